/* SPDX-License-Identifier: Apache-2.0 */
/* Drawn tokens: the right distribution, and the same whatever is drawn beside them. */
#include <math.h>

#include "engine/sampling.h"
#include "models.h"

#define VOCAB 5
#define DRAWS 20000

/* Chi-square of 20,000 draws against softmax(logits / temperature) cut at top_p; 4 degrees of
 * freedom at most, 23.5 is p = 1e-4. */
static void check_distribution(double temperature, double top_p) {
  static const float logits[VOCAB] = {0.3f, -1.0f, 1.2f, 0.0f, -2.5f};
  xt_error error;
  Sampling s;
  int order[VOCAB] = {2, 0, 3, 1, 4}, seen[VOCAB] = {0};
  double p[VOCAB], total = 0, mass = 0, chi = 0;
  ASSERT_OK(sampling_init(&s, temperature, top_p, 7, VOCAB, &error));
  for (int v = 0; v < VOCAB; v++) total += p[v] = exp(logits[v] / temperature);
  for (int i = 0; i < VOCAB; i++) {
    const bool kept = mass < top_p * total;
    mass += kept ? p[order[i]] : 0;
    if (!kept) p[order[i]] = 0;
  }
  for (uint64_t draw = 0; draw < DRAWS; draw++) {
    float logprob;
    memcpy(s.logits, logits, sizeof logits);
    seen[sampling_draw(&s, sampling_key((const int32_t[]){1, 2}, 2, draw), draw % 3, &logprob)]++;
  }
  for (int v = 0; v < VOCAB; v++) {
    const double want = DRAWS * p[v] / mass;
    if (want == 0)
      assert_int_equal(seen[v], 0);
    else
      chi += (seen[v] - want) * (seen[v] - want) / want;
  }
  if (chi > 23.5) fail_msg("temperature %g, top-p %g: chi-square %.1f", temperature, top_p, chi);
  sampling_deinit(&s);
}

static void test_distribution(void **state) {
  (void)state;
  check_distribution(1, 1);
  check_distribution(0.5, 1);
  check_distribution(3, 1);
  check_distribution(1, 0.9);
  check_distribution(1, 0.6);
  check_distribution(2, 0.5);
  check_distribution(1, 1e-6); /* the likeliest alone */
}

#define SAMPLES 24

static void generate(xt_session *session, size_t n, bool backwards, const xt_generate_options *how,
                     xt_generation *out) {
  static const int32_t ids[2][5] = {{1, 5, 9, 2, 7}, {1, 5, 8, 8, 3}};
  xt_error error;
  xt_request requests[SAMPLES];
  for (size_t i = 0; i < n; i++) {
    const size_t k = backwards ? n - 1 - i : i;
    requests[i] = (xt_request){.ids = ids[k % 2], .count = 5, .sample = k / 2};
  }
  ASSERT_OK(xt_session_generate(session, requests, n, how, out, &error));
}

/* The same bits alone, together, in any order and with any number of threads; other seeds and
 * samples differ. */
static void test_invariance(void **state) {
  (void)state;
  xt_error error;
  const xt_generate_options how = {
      .max_new_tokens = 8, .temperature = 1.3, .top_p = 0.95, .seed = 3, .repetition_penalty = 1.1};
  xt_generation all[SAMPLES], again[SAMPLES];
  xt_model *model;
  xt_session *session;
  models_open("tiny-llama", "bf16", NULL, &model, &session);
  generate(session, SAMPLES, false, &how, all);
  generate(session, SAMPLES, true, &how, again);
  for (int i = 0; i < SAMPLES; i++) models_same(&all[i], &again[SAMPLES - 1 - i]);
  for (int i = 0; i < SAMPLES; i++) xt_generation_deinit(&again[i]);
  generate(session, 2, false, &how, again);
  for (int i = 0; i < 2; i++) {
    models_same(&all[i], &again[i]);
    xt_generation_deinit(&again[i]);
  }
  bool differ = false;
  for (int i = 2; i < SAMPLES; i += 2)
    differ = differ || all[i].count != all[0].count ||
             memcmp(all[i].ids, all[0].ids, all[0].count * sizeof *all[0].ids) != 0;
  assert_true(differ);
  xt_session_free(session);
  xt_model_close(model);
  const xt_model_options one = {.threads = 1};
  models_open("tiny-llama", "bf16", &one, &model, &session);
  generate(session, SAMPLES, false, &how, again);
  for (int i = 0; i < SAMPLES; i++) {
    models_same(&all[i], &again[i]);
    xt_generation_deinit(&again[i]);
    xt_generation_deinit(&all[i]);
  }
  const xt_generate_options wrong[] = {{.temperature = -1}, {.temperature = 1, .top_p = 1.5}};
  for (int i = 0; i < 2; i++)
    assert_int_equal(xt_session_generate(session,
                                         &(xt_request){.ids = (const int32_t[]){1}, .count = 1}, 1,
                                         &wrong[i], again, &error),
                     XT_STATUS_ARGUMENT);
  xt_session_free(session);
  xt_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_distribution),
                                     cmocka_unit_test(test_invariance)};
  return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
