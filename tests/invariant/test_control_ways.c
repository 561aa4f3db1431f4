/* SPDX-License-Identifier: Apache-2.0 */
/* Controls of attention heads, of means over languages and of plans in a sweep: each response is that
 * of the same values written alone, bit for bit, however the sweep is cut up. The values are made
 * here. */
#include <math.h>

#include "models.h"

#define INSTANCES 2
#define SITES 14
#define PROMPTS 6
#define PLANS 8 /* the first site that is one */
#define WRITES 6

static const int32_t prompts[PROMPTS][8] = {
    {1, 75, 107, 104, 35, 102},
    {9, 9, 61, 130, 17}, /* sources */
    {1, 80, 109, 108, 35, 112, 110},
    {200, 7, 31, 5},                /* targets */
    {1, 66, 33, 90, 12, 61, 7, 18}, /* another question's source, or one of two languages */
    {4, 120, 33}};                  /* the other one of the two */
static const size_t counts[PROMPTS] = {6, 5, 7, 4, 8, 3};
static const xt_prompt_ids sources[2] = {{prompts[4], 8}, {prompts[5], 3}};
/* Plans are of two kinds: the second changes whole prompts. */
static const char *const names[SITES] = {"attn+heads0-3+random",
                                         "attn+heads1+mean",
                                         "attn+heads0.2+add2+random7",
                                         "attn+heads1.3+span2+generated+mean",
                                         "attn+heads0+shuffled",
                                         "attn+langs.a.b+heads0.2",
                                         "attn+langs.a.b+heads1+random",
                                         "attn+heads2+all+random",
                                         "plan.last+self",
                                         "plan.last+shuffled",
                                         "plan.last+random",
                                         "plan.last+mean3",
                                         "plan.all+random5",
                                         "plan.all+mean"};

#include "sweep_fixture.h"

/* What a site reads of a prompt at one tap, for all layers. */
static size_t tap_width(const Fixture *f, xt_tap tap) {
  return tap == XT_TAP_HEADS ? (size_t)f->info.heads * (size_t)f->info.head_dim : f->width;
}

typedef struct Plan {
  xt_plan_write writes[WRITES];
  size_t count;
} Plan;

static Plan plans[INSTANCES][2];
static float *means[INSTANCES][XT_TAP_HEADS + 1];

static void add(Plan *plan, const char *site, xt_layer_base source_base, int source,
                xt_layer_base target_base, int target, const float *vector) {
  xt_error error;
  xt_plan_write *w = &plan->writes[plan->count++];
  *w = (xt_plan_write){.source_base = source_base,
                       .source = source,
                       .target_base = target_base,
                       .target = target,
                       .vector = vector};
  ASSERT_OK(xt_site_parse(site, &w->site, &error));
  if (vector) {
    w->site.from = XT_FROM_VECTOR;
    strcpy(w->site.label, "v");
  }
}

static void plans_init(Fixture *f) {
  for (int n = 0; n < INSTANCES; n++) {
    const float *vector = f->values + (size_t)n * (size_t)f->layers * f->width;
    Plan *last = &plans[n][0], *all = &plans[n][1];
    last->count = all->count = 0;
    add(last, "attn", XT_LAYER_SOURCE, 0, XT_LAYER_TARGET, 0, NULL);
    add(last, "attn+heads1-2+add0.5", XT_LAYER_SOURCE, 0, XT_LAYER_TARGET, 1, NULL);
    add(last, "ffn+self", XT_LAYER_SOURCE, 0, XT_LAYER_TARGET, 1, NULL);
    add(last, "block+add0.5", XT_LAYER_SOURCE, -1, XT_LAYER_TARGET, -1, vector);
    add(last, "m:f+span2+generated", XT_LAYER_FIXED, 1, XT_LAYER_TARGET, 0, NULL);
    add(last, "ffn+blend0.25+span2", XT_LAYER_FIXED, 2, XT_LAYER_TARGET, 2, vector);
    add(all, "ffn+blend0.5+all", XT_LAYER_SOURCE, 0, XT_LAYER_TARGET, 0, NULL);
    add(all, "attn+heads3+all", XT_LAYER_FIXED, 0, XT_LAYER_TARGET, 0, NULL);
    add(all, "block+add0.25", XT_LAYER_TARGET, 0, XT_LAYER_FIXED, 1, vector);
  }
}

/* One plan has vectors of each instance, and the other is the same for both. */
static void controls_open(Fixture *f, int threads) {
  fixture_open_path(f, NULL, &(xt_model_options){.threads = threads});
  f->options.max_new_tokens = 5;
  plans_init(f);
  for (int n = 0; n < INSTANCES; n++) {
    for (int tap = 0; tap <= XT_TAP_HEADS; tap++) {
      const size_t all = (size_t)f->layers * tap_width(f, (xt_tap)tap);
      means[n][tap] = calloc(all, sizeof(float));
      for (size_t k = 0; k < all; k++)
        means[n][tap][k] = 0.01f * (float)((k * 6151 + (size_t)(tap + 5 * n) * 31) % 173) - 0.8f;
    }
    for (int s = 0; s < SITES; s++) {
      xt_control_input *in = &f->controls[n][s];
      const Plan *plan = strstr(names[s], "plan.all") ? &plans[0][1] : &plans[n][0];
      *in = (xt_control_input){.ids = prompts[4],
                               .count = counts[4],
                               .sources = sources,
                               .source_count = 2,
                               .seed = UINT64_C(0x987654321) * (unsigned)(s + 17 * n + 1)};
      for (int tap = 0; tap <= XT_TAP_HEADS; tap++) in->means[tap] = means[n][tap];
      if (s < PLANS) continue;
      in->writes = plan->writes;
      in->write_count = plan->count;
    }
  }
}

static void controls_close(Fixture *f) {
  for (int n = 0; n < INSTANCES; n++)
    for (int tap = 0; tap <= XT_TAP_HEADS; tap++) free(means[n][tap]);
  fixture_close(f);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static uint64_t next(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static double length_of(const float *x, size_t width) {
  double sum = 0;
  for (size_t c = 0; c < width; c++) sum += (double)x[c] * (double)x[c];
  return sqrt(sum);
}

/* Random directions, as docs/REPRODUCE.md describes them: those of a layer's heads follow each other in
 * the stream of tap attn. */
static void draw(const Fixture *f, uint64_t seed, xt_tap tap, float *values) {
  const size_t width = tap == XT_TAP_HEADS ? (size_t)f->info.head_dim : f->width,
               parts = tap_width(f, tap) / width;
  for (int l = 0; l < f->layers; l++) {
    uint64_t first = seed, stream = 0;
    for (int k = 0; k <= 4 * l + (int)(tap == XT_TAP_HEADS ? XT_TAP_ATTN : tap); k++)
      stream = next(&first);
    for (size_t p = 0; p < parts; p++, values += width) {
      const double length = length_of(values, width);
      for (size_t c = 0; c < width; c++)
        values[c] = (float)(__builtin_popcountll(next(&stream)) - 32);
      const double drawn = length_of(values, width);
      for (size_t c = 0; c < width; c++) values[c] = (float)((double)values[c] * (length / drawn));
    }
  }
}

static void copy_tap(const Fixture *f, int prompt, xt_tap tap, float *out) {
  xt_taps *taps = taps_of(f, &(xt_request){.ids = prompts[prompt], .count = counts[prompt]});
  memcpy(out, xt_taps_get(taps, tap, 0), (size_t)f->layers * tap_width(f, tap) * sizeof *out);
  xt_taps_free(taps);
}

/* What a site of an instance writes of a tap, or one of a plan's writes: [layers][width of the tap]. The
 * caller frees it. */
static float *values_of(const Fixture *f, int n, int s, const xt_plan_write *write) {
  const xt_site *site = &f->sites[s], *one = write ? &write->site : site;
  const xt_tap tap = one->heads[0] ? XT_TAP_HEADS : one->read;
  const size_t all = (size_t)f->layers * tap_width(f, tap);
  const bool own = (write && one->control == XT_CONTROL_SELF) || site->control == XT_CONTROL_SELF;
  float *out = calloc(all, sizeof *out), *other = calloc(all, sizeof *out);
  if (own)
    copy_tap(f, INSTANCES + n, tap, out);
  else if (write && write->vector)
    memcpy(out, write->vector, all * sizeof *out);
  else if (site->control == XT_CONTROL_MEAN)
    memcpy(out, means[n][tap], all * sizeof *out);
  else if (site->from == XT_FROM_LANGS) {
    copy_tap(f, 4, tap, out);
    copy_tap(f, 5, tap, other);
    for (size_t k = 0; k < all; k++) out[k] = (float)(((double)out[k] + (double)other[k]) / 2);
  } else {
    copy_tap(f, site->control == XT_CONTROL_SHUFFLED ? 4 : n, tap, out);
  }
  if (site->control == XT_CONTROL_RANDOM && !own) draw(f, f->controls[n][s].seed, tap, out);
  free(other);
  return out;
}

/* The interventions of one response, listed. */
typedef struct List {
  const Fixture *fixture;
  const float *values;
  xt_intervention at[64];
  size_t count;
} List;

static void put(void *user, const xt_intervention *iv, int layer) {
  List *list = user;
  const xt_model_info *info = &list->fixture->info;
  xt_intervention *to = &list->at[list->count++];
  *to = *iv;
  to->value = iv->write == XT_TAP_HEADS
                  ? list->values + (size_t)(layer * info->heads + iv->head) * (size_t)info->head_dim
                  : list->values + (size_t)layer * list->fixture->width;
}

static void check_response(Fixture *f, int n, int s, int i, int j, float *const *values,
                           const xt_generation *swept) {
  xt_error error;
  xt_generation alone;
  const int bases[] = {0, i, j};
  const xt_control_input *in = &f->controls[n][s];
  List list = {.fixture = f, .values = values[0]};
  if (s < PLANS) xt_site_each_write(&f->sites[s], f->layers, f->info.heads, i, j, put, &list);
  for (size_t k = 0; s >= PLANS && k < in->write_count; k++) {
    const xt_plan_write *w = &in->writes[k];
    const int from = bases[w->source_base] + w->source, to = bases[w->target_base] + w->target;
    list.values = values[k];
    if (from >= 0 && to >= 0)
      xt_site_each_write(&w->site, f->layers, f->info.heads, from, to, put, &list);
  }
  const xt_request request = {.ids = prompts[INSTANCES + n],
                              .count = counts[INSTANCES + n],
                              .interventions = list.at,
                              .intervention_count = list.count};
  const xt_generate_options options = {.max_new_tokens = f->options.max_new_tokens};
  ASSERT_OK(xt_session_generate(f->session, &request, 1, &options, &alone, &error));
  models_same(&alone, swept);
  xt_generation_deinit(&alone);
}

static void test_equals_run_alone(void **state) {
  (void)state;
  Fixture f;
  controls_open(&f, 1);
  Results *r = sweep(&f, &f.options, NULL);
  assert_int_equal(r->count, INSTANCES * (1 + SITES * f.layers * f.layers));
  for (int n = 0; n < INSTANCES; n++)
    for (int s = 0; s < SITES; s++) {
      const xt_control_input *in = &f.controls[n][s];
      const size_t count = s < PLANS ? 1 : in->write_count;
      float *values[WRITES];
      for (size_t k = 0; k < count; k++)
        values[k] = values_of(&f, n, s, s < PLANS ? NULL : &in->writes[k]);
      for (int i = 0; i < f.layers; i++)
        for (int j = 0; j < f.layers; j += getenv("XT_TEST_BRIEF") ? f.layers - 1 : 1)
          check_response(&f, n, s, i, j, values, &r->cells[n][s][i][j]);
      for (size_t k = 0; k < count; k++) free(values[k]);
    }
  results_free(r);
  controls_close(&f);
}

static void test_cutting_does_not_matter(void **state) {
  (void)state;
  Fixture f;
  controls_open(&f, 2);
  Results *whole = sweep(&f, &f.options, NULL);
  controls_close(&f);
  controls_open(&f, 1);
  f.options.max_rows = 31;
  Results *r = sweep(&f, &f.options, NULL);
  same_results(whole, r);
  results_free(r);
  results_free(whole);
  controls_close(&f);
}

/* What a control takes is there for each tap that a plan's writes read, and counts in its memory. */
static void test_inputs(void **state) {
  (void)state;
  Fixture f;
  xt_error error;
  Results none = {0};
  xt_sweep_plan plain, random;
  controls_open(&f, 1);
  f.controls[1][11].means[XT_TAP_HEADS] = NULL;
  assert_int_equal(
      xt_session_sweep(f.session, f.instances, INSTANCES, &f.options, keep, &none, NULL, &error),
      XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "mean of instance 1"));
  f.controls[1][11].means[XT_TAP_BLOCK] = NULL; /* which no write reads of the source */
  f.controls[1][11].means[XT_TAP_HEADS] = means[1][XT_TAP_HEADS];
  f.controls[0][11].writes = NULL;
  assert_int_equal(
      xt_session_sweep(f.session, f.instances, INSTANCES, &f.options, keep, &none, NULL, &error),
      XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "writes for the plan of instance 0"));
  f.controls[0][11].writes = plans[0][0].writes;
  xt_sweep_options one = f.options;
  one.site_count = 1;
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &one, &random, &error));
  ASSERT_OK(xt_site_parse("attn+heads0-3", &f.sites[0], &error));
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &one, &plain, &error));
  assert_true(random.bytes > plain.bytes);
  Results *r = sweep(&f, &f.options, NULL);
  results_free(r);
  controls_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_run_alone),
                                     cmocka_unit_test(test_cutting_does_not_matter),
                                     cmocka_unit_test(test_inputs)};
  return cmocka_run_group_tests_name("controls of heads and plans", tests, NULL, NULL);
}
