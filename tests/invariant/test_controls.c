/* SPDX-License-Identifier: Apache-2.0 */
/* Controls in a sweep: each response is that of the same value written alone, bit for bit, however
 * the sweep is cut up. */
#include <math.h>

#include "models.h"

#define INSTANCES 3
#define SITES 8
#define PROMPTS 7

static const int32_t prompts[PROMPTS][12] = {
    {1, 75, 107, 104, 35, 102},
    {40},
    {9, 9, 61, 130, 17}, /* sources */
    {1, 80, 109, 108, 35, 112, 110},
    {200, 7, 31, 5},
    {77},                            /* targets */
    {1, 66, 33, 90, 12, 61, 7, 18}}; /* another question's source */
static const size_t counts[PROMPTS] = {6, 1, 5, 7, 4, 1, 8};
/* The other prompt of each instance: a source of the same group, a prompt of its own. */
static const int others[INSTANCES] = {2, 6, 0};
static const char *const names[SITES] = {"attn",          "ffn+self",    "block+shuffled",
                                         "a:m+shuffled7", "ffn+random3", "o:o+mean",
                                         "attn+random",   "ffn"};

#include "sweep_fixture.h"

/* NULL: of a small random model. */
static void controls_open(Fixture *f, const char *path, int threads) {
  fixture_open_path(f, path, &(xt_model_options){.threads = threads});
  f->options.max_new_tokens = 6;
  for (int s = 0; s < SITES; s++)
    for (int i = 0; i < INSTANCES; i++)
      f->controls[i][s] = (xt_control_input){.ids = prompts[others[i]],
                                             .count = counts[others[i]],
                                             .means = {[XT_TAP_BLOCK] = f->values},
                                             .seed = UINT64_C(0x123456789) * (unsigned)(s + i)};
}

static xt_taps *prompt_taps(const Fixture *f, int prompt) {
  return taps_of(f, &(xt_request){.ids = prompts[prompt], .count = counts[prompt]});
}

static uint64_t next(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* A vector of random direction as sweep.h describes it, as long as `like`. */
static void random_like(uint64_t seed, xt_tap tap, int layer, const float *like, size_t width,
                        float *out) {
  uint64_t state = 0;
  double norm = 0, length = 0;
  for (int place = 0; place <= 4 * layer + (int)tap; place++) state = next(&seed);
  for (size_t c = 0; c < width; c++) {
    out[c] = (float)(__builtin_popcountll(next(&state)) - 32);
    length += (double)out[c] * (double)out[c];
    norm += (double)like[c] * (double)like[c];
  }
  for (size_t c = 0; c < width; c++) out[c] = (float)((double)out[c] * (sqrt(norm) / sqrt(length)));
}

static void check_alone(Fixture *f, const Results *r) {
  xt_error error;
  float *made = calloc(f->width, sizeof *made);
  for (int n = 0; n < INSTANCES; n++) {
    xt_taps *taps[3] = {prompt_taps(f, n), prompt_taps(f, INSTANCES + n),
                        prompt_taps(f, others[n])};
    for (int s = 0; s < (int)f->options.site_count; s++)
      for (int i = 0; i < f->layers; i++) {
        const xt_site *site = &f->sites[s];
        const float *value = xt_taps_get(taps[site->control == XT_CONTROL_SELF       ? 1
                                              : site->control == XT_CONTROL_SHUFFLED ? 2
                                                                                     : 0],
                                         site->read, i);
        if (site->control == XT_CONTROL_MEAN) value = f->values + (size_t)i * f->width;
        if (site->control == XT_CONTROL_RANDOM) {
          random_like(f->controls[n][s].seed, site->read, i, value, f->width, made);
          value = made;
        }
        for (int j = 0; j < f->layers; j += getenv("XT_TEST_BRIEF") ? f->layers - 1 : 1) {
          const xt_intervention iv = {
              .write = site->write, .layer = j, .position = XT_POSITION_LAST, .value = value};
          const xt_request target = {.ids = prompts[INSTANCES + n],
                                     .count = counts[INSTANCES + n],
                                     .interventions = &iv,
                                     .intervention_count = 1};
          const xt_generate_options o = {.max_new_tokens = f->options.max_new_tokens};
          xt_generation alone;
          ASSERT_OK(xt_session_generate(f->session, &target, 1, &o, &alone, &error));
          models_same(&alone, &r->cells[n][s][i][j]);
          xt_generation_deinit(&alone);
        }
      }
    for (int k = 0; k < 3; k++) xt_taps_free(taps[k]);
  }
  free(made);
}

static void test_equals_run_alone(void **state) {
  (void)state;
  static const char *const paths[] = {NULL, XT_SOURCE_DIR "/tests/golden/models/neox"};
  xt_error error;
  for (size_t k = 0; k < 2; k++) {
    Fixture f;
    controls_open(&f, paths[k], 1);
    /* no writes at mid where modules are parallel */
    if (paths[k]) ASSERT_OK(xt_site_parse("m:a+shuffled7", &f.sites[3], &error));
    Results *r = sweep(&f, &f.options, NULL);
    assert_int_equal(r->count, INSTANCES * (1 + SITES * f.layers * f.layers));
    check_alone(&f, r);
    results_free(r);
    fixture_close(&f);
  }
}

static void test_cutting_does_not_matter(void **state) {
  (void)state;
  static const int rows[] = {1, 31, 60};
  Fixture f;
  controls_open(&f, NULL, 2);
  Results *whole = sweep(&f, &f.options, NULL);
  fixture_close(&f);
  controls_open(&f, NULL, 1);
  for (size_t k = getenv("XT_TEST_BRIEF") ? 1 : 0; k < sizeof rows / sizeof *rows; k++) {
    f.options.max_rows = rows[k];
    Results *r = sweep(&f, &f.options, NULL);
    same_results(whole, r);
    results_free(r);
  }
  results_free(whole);
  fixture_close(&f);
}

/* What a control needs and does not get is told before any work, and a plan counts its prompts. */
static void test_inputs(void **state) {
  (void)state;
  Fixture f;
  xt_error error;
  xt_sweep_plan plan, more;
  Results none = {0};
  controls_open(&f, NULL, 1);
  f.controls[1][5].means[XT_TAP_BLOCK] = NULL;
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &more, &error));
  f.options.site_count = 1;
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error));
  f.options.site_count = SITES;
  assert_true(more.bytes > plan.bytes);
  assert_int_equal(more.responses, INSTANCES * (1 + SITES * f.layers * f.layers));
  const struct {
    int instance, site;
    xt_control_input input;
    const char *message;
  } wrong[] = {{1, 5, {.ids = prompts[0], .count = 1}, "mean of instance 1"},
               {2, 2, {.means = {[XT_TAP_BLOCK] = f.values}}, ""}};
  for (size_t k = 0; k < 2; k++) {
    const xt_control_input before = f.controls[wrong[k].instance][wrong[k].site];
    f.controls[1][5].means[XT_TAP_BLOCK] = f.values;
    f.controls[wrong[k].instance][wrong[k].site] = wrong[k].input;
    assert_int_equal(
        xt_session_sweep(f.session, f.instances, INSTANCES, &f.options, keep, &none, NULL, &error),
        XT_STATUS_ARGUMENT);
    assert_non_null(strstr(error.message, wrong[k].message));
    f.controls[wrong[k].instance][wrong[k].site] = before;
  }
  f.options.controls = NULL;
  assert_int_equal(
      xt_session_sweep(f.session, f.instances, INSTANCES, &f.options, keep, &none, NULL, &error),
      XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "shuffled"));
  assert_int_equal(none.count, 0);
  fixture_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_equals_run_alone),
                                     cmocka_unit_test(test_cutting_does_not_matter),
                                     cmocka_unit_test(test_inputs)};
  return cmocka_run_group_tests_name("controls", tests, NULL, NULL);
}
