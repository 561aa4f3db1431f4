/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of first tokens: those of a sweep have the bits of a response generated alone,
 * however the sweep is cut up, and are what the logits give. */
#include <math.h>

#include "models.h"

#define INSTANCES 3
#define SITES 5
#define PLAN 4 /* the site that is a plan */
#define TRACKED 4

static const int32_t prompts[2 * INSTANCES][8] = {{1, 75, 107, 104, 35, 102},
                                                  {1, 75, 107, 104, 35, 102},
                                                  {9, 9, 61, 130, 17}, /* sources */
                                                  {1, 80, 109, 108, 35, 112, 110},
                                                  {200, 7, 31, 5},
                                                  {77}}; /* targets */
static const size_t counts[2 * INSTANCES] = {6, 6, 5, 7, 4, 1};
static const int32_t tracked[INSTANCES][TRACKED] = {{3, 200, 17, 17}, {5, 0, 255, 9}, {61, 60}};
static const size_t tracked_counts[INSTANCES] = {4, 4, 2};

static const char *const names[SITES] = {"attn", "o:o+self", "block+add0.5+all", "ffn+generated",
                                         "plan.two"};

#include "sweep_fixture.h"

static xt_plan_write writes[2];

static void effects_open(Fixture *f, int threads, double penalty) {
  fixture_open(f, "tiny-llama", "bf16", &(xt_model_options){.threads = threads});
  for (int i = 0; i < INSTANCES; i++) {
    f->instances[i].run_source = i != 1;
    f->instances[i].tracked = tracked[i];
    f->instances[i].tracked_count = tracked_counts[i];
    f->controls[i][PLAN] = (xt_control_input){.writes = writes, .write_count = 2};
  }
  writes[0] = (xt_plan_write){f->sites[0], XT_LAYER_SOURCE, XT_LAYER_TARGET, 0, 1, NULL};
  writes[1] = (xt_plan_write){f->sites[1], XT_LAYER_TARGET, XT_LAYER_TARGET, -1, 0, NULL};
  f->options.max_new_tokens = 3;
  f->options.repetition_penalty = penalty;
  f->options.effects = true;
}

/* Every response has the numbers of its instance, but for those to sources, which questions share. */
static Results *sweep_all(Fixture *f) {
  Results *r = sweep(f, &f->options, NULL);
  assert_int_equal(r->count, INSTANCES * (1 + SITES * f->layers * f->layers) + 2);
  for (int n = 0; n < INSTANCES; n++) {
    const size_t count = XT_EFFECT_TRACKED + tracked_counts[n];
    const xt_generation *cells = &r->cells[n][0][0][0];
    assert_int_equal(r->source[n].effect_count, 0);
    assert_int_equal(r->vanilla[n].effect_count, count);
    for (int c = 0; c < SITES * LAYERS * LAYERS; c++)
      assert_int_equal(cells[c].effect_count, count);
  }
  return r;
}

/* ln softmax(logits), in double. */
static void log_softmax(const float *logits, double *out, int vocab) {
  double most = -1e30, mass = 0;
  for (int v = 0; v < vocab; v++) most = fmax(most, (double)logits[v]);
  for (int v = 0; v < vocab; v++) mass += exp((double)logits[v] - most);
  for (int v = 0; v < vocab; v++) out[v] = (double)logits[v] - most - log(mass);
}

static void check_number(float got, double want) {
  if (fabs((double)got - want) > 1e-5 * (1 + fabs(want)))
    fail_msg("%.9g is not %.9g", (double)got, want);
}

/* What the logits of a run, without a penalty, and of its references give. */
static void check_numbers(const float *got, const float *logits, const float *references[2],
                          const int32_t *ids, size_t count, int vocab) {
  double *p = calloc(2 * (size_t)vocab, sizeof *p), *q = p + vocab;
  log_softmax(logits, p, vocab);
  for (int k = 0; k < 2; k++) {
    double sum = 0;
    log_softmax(references[k], q, vocab);
    for (int v = 0; v < vocab; v++) sum += exp(q[v]) * (q[v] - p[v]);
    check_number(got[k], sum);
    if (references[k] == logits) assert_true(got[k] == 0);
  }
  for (size_t i = 0; i < count; i++) check_number(got[XT_EFFECT_TRACKED + i], p[ids[i]]);
  free(p);
}

/* What a site writes at a pair of layers, as far as the model has them; the number of interventions.
 * taps: of the source and of the target. */
static size_t put_site(const Fixture *f, int s, xt_taps *const taps[2], int i, int j,
                       xt_intervention *out) {
  static const int positions[] = {XT_POSITION_LAST, XT_POSITION_ALL, XT_POSITION_GENERATED};
  const xt_site *site = &f->sites[s];
  if (i < 0 || i >= f->layers || j >= f->layers) return 0;
  if (s == PLAN) {
    const size_t first = put_site(f, 0, taps, i, j + 1, out);
    return first + put_site(f, 1, taps, j - 1, j, out + first);
  }
  *out = (xt_intervention){.write = site->write,
                           .layer = j,
                           .position = positions[site->positions],
                           .rule = site->rule,
                           .alpha = site->alpha,
                           .value =
                               xt_taps_get(taps[site->control == XT_CONTROL_SELF], site->read, i)};
  return 1;
}

/* Requests 0 and 1 of each call are the source and the untouched run. */
static void check_alone(Fixture *f, const Results *r, int n, double penalty) {
  xt_error error;
  xt_model_info info;
  xt_model_get_info(f->model, &info);
  const size_t count = XT_EFFECT_TRACKED + tracked_counts[n], bytes = count * sizeof(float);
  xt_request three[3] = {{.ids = prompts[n], .count = counts[n]},
                         {.ids = prompts[INSTANCES + n], .count = counts[INSTANCES + n]}};
  xt_taps *const taps[2] = {taps_of(f, &three[0]), taps_of(f, &three[1])};
  for (int s = 0; s < SITES; s++)
    for (int i = 0; i < f->layers; i++)
      for (int j = 0; j < f->layers; j += f->layers - 1) {
        xt_intervention put[2];
        three[2] = three[1];
        three[2].interventions = put;
        three[2].intervention_count = put_site(f, s, taps, i, j, put);
        for (int k = 0; k < 3; k++)
          three[k].untouched = 2, three[k].source = 1, three[k].tracked = tracked[n],
          three[k].tracked_count = tracked_counts[n];
        const xt_generate_options o = {.max_new_tokens = 2, .repetition_penalty = penalty};
        xt_generation out[3];
        ASSERT_OK(xt_session_generate(f->session, three, 3, &o, out, &error));
        const float *got = r->cells[n][s][i][j].effects;
        assert_int_equal(out[2].effect_count, count);
        assert_memory_equal(out[0].effects, r->source_effects[n], bytes);
        assert_memory_equal(out[1].effects, r->vanilla[n].effects, bytes);
        assert_memory_equal(out[2].effects, got, bytes);
        if ((s == 1 && i == j) || s == 3) assert_true(got[XT_EFFECT_KL_UNTOUCHED] == 0);
        for (int k = 0; k < 3; k++) xt_generation_deinit(&out[k]);
        three[2].untouched = three[2].source = 0;
        xt_taps *changed = taps_of(f, &three[2]);
        const float *of[2] = {xt_taps_logits(taps[1]), xt_taps_logits(taps[0])};
        if (penalty == 1) {
          check_numbers(got, xt_taps_logits(changed), of, tracked[n], tracked_counts[n],
                        info.vocab);
          check_numbers(r->vanilla[n].effects, of[0], of, tracked[n], tracked_counts[n],
                        info.vocab);
          check_numbers(r->source_effects[n], of[1], of, tracked[n], tracked_counts[n], info.vocab);
        }
        xt_taps_free(changed);
      }
  for (int k = 0; k < 2; k++) xt_taps_free(taps[k]);
}

static void test_equals_run_alone(void **state) {
  (void)state;
  static const double penalties[] = {1, 1.3};
  for (int k = 0; k < 2; k++) {
    Fixture f;
    effects_open(&f, 1, penalties[k]);
    Results *r = sweep_all(&f);
    for (int n = 0; n < INSTANCES; n++) check_alone(&f, r, n, penalties[k]);
    results_free(r);
    fixture_close(&f);
  }
}

/* The tracked tokens of another call change nothing but themselves, and batches nothing at all. */
static void test_cutting_does_not_matter(void **state) {
  (void)state;
  static const int rows[] = {1, 31, 60};
  Fixture f;
  effects_open(&f, 2, 1.3);
  Results *whole = sweep_all(&f);
  fixture_close(&f);
  effects_open(&f, 1, 1.3);
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    f.options.max_rows = rows[k];
    f.options.no_sharing = k == 1;
    Results *r = sweep_all(&f);
    same_results(whole, r);
    results_free(r);
  }
  results_free(whole);
  fixture_close(&f);
}

static xt_status keep_first(void *user, const xt_sweep_response *r, xt_error *error) {
  (void)error;
  int *none = user;
  *none += r->generation->effect_count == 0 && !r->source_effects;
  return XT_STATUS_OK;
}

/* A plan counts what comparing takes; tokens that the model lacks are refused before any work. */
static void test_inputs(void **state) {
  (void)state;
  Fixture f;
  xt_error error;
  xt_sweep_plan plan, more;
  int none = 0;
  effects_open(&f, 1, 1);
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &more, &error));
  f.options.effects = false;
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error));
  assert_true(more.bytes > plan.bytes);
  ASSERT_OK(
      xt_session_sweep(f.session, f.instances, 1, &f.options, keep_first, &none, NULL, &error));
  assert_int_equal(none, 2 + SITES * f.layers * f.layers);
  f.options.effects = true;
  const int32_t wrong[] = {3, 100000};
  f.instances[2].tracked = wrong;
  assert_int_equal(xt_session_sweep(f.session, f.instances, INSTANCES, &f.options, keep_first,
                                    &none, NULL, &error),
                   XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "token 100000 for prompt 2"));
  const xt_request lost = {.ids = prompts[0], .count = 6, .untouched = 1, .source = 2};
  xt_generation out;
  assert_int_equal(xt_session_generate(f.session, &lost, 1, NULL, &out, &error),
                   XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "compared with prompts 0 and 1 of 1"));
  fixture_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_run_alone),
                                     cmocka_unit_test(test_cutting_does_not_matter),
                                     cmocka_unit_test(test_inputs)};
  return cmocka_run_group_tests_name("effects", tests, NULL, NULL);
}
