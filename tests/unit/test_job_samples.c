/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that draw samples: what is stored does not depend on where a job was stopped. */
#include "job_fixture.h"

static const xt_sample_settings warm = {.temperature = 0.8, .top_p = 0.95, .seed = 7};

static xt_job_options sampling_for(int *patience, int samples) {
  static const int first[] = {0};
  xt_job_options o = options_for(patience);
  o.source_layers = o.target_layers = first;
  o.source_layer_count = o.target_layer_count = o.site_count = 1;
  o.samples = samples;
  o.sampling = warm;
  return o;
}

typedef struct Samples {
  char ids[65536];
  int count;
} Samples;

static xt_status add_sample(void *user, const xt_store_row *r, xt_error *error) {
  (void)error;
  Samples *s = user;
  const size_t used = strlen(s->ids);
  assert_true(r->sample.settings.temperature == warm.temperature &&
              r->sample.settings.top_p == warm.top_p && r->sample.settings.seed == warm.seed);
  s->count++;
  snprintf(s->ids + used, sizeof s->ids - used, "%s %d %a:", r->question->id, r->sample.number,
           r->mean_logprob);
  for (size_t t = 0; t < r->count; t++)
    snprintf(s->ids + strlen(s->ids), sizeof s->ids - strlen(s->ids), " %d", (int)r->ids[t]);
  return XT_STATUS_OK;
}

static void read_samples(const char *name, Samples *out) {
  xt_error error;
  xt_store *store;
  *out = (Samples){0};
  ASSERT_OK(xt_store_open(path_of(name), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_read_samples(store, add_sample, out, &error));
  xt_store_close(store);
}

/* What xt_session_generate draws by itself for each prompt, as read_samples has it. */
static void draw_alone(int samples, Samples *out) {
  xt_error error;
  int patience = ALL;
  const xt_job_options o = sampling_for(&patience, samples);
  const xt_generate_options how = {.max_new_tokens = o.max_new_tokens,
                                   .temperature = warm.temperature,
                                   .top_p = warm.top_p,
                                   .seed = warm.seed};
  xt_job *job = create(&o);
  *out = (Samples){0};
  for (size_t q = 0; xt_job_question(job, q); q++)
    for (int k = 0; k < samples; k++) {
      const xt_instance *in = xt_job_instance(job, q);
      const xt_request request = {
          .ids = in->target, .count = in->target_count, .sample = (uint64_t)k};
      xt_generation g;
      double sum = 0;
      ASSERT_OK(xt_session_generate(session, &request, 1, &how, &g, &error));
      for (size_t t = 0; t < g.count; t++) sum += (double)g.logprobs[t];
      const xt_store_row row = {.question = xt_job_question(job, q),
                                .ids = g.ids,
                                .count = g.count,
                                .mean_logprob = sum / (double)g.count,
                                .sample = {k, warm}};
      add_sample(out, &row, &error);
      xt_generation_deinit(&g);
    }
  xt_job_free(job);
}

/* More samples than a batch has, stopped and gone on with, then more of them: each is what
 * generating it alone gives. */
static void test_samples(void **state) {
  (void)state;
  static Samples stored, alone;
  xt_job_result result;
  int stops = 0, patience;
  uint64_t sum = 0;
  for (int n = 4;; n += 3, stops++) {
    patience = n;
    const xt_job_options o = sampling_for(&patience, 70);
    const xt_status status = run_once("samples.db", &o, &result);
    sum += result.samples;
    if (status == XT_STATUS_OK) break;
    assert_int_equal(status, XT_STATUS_CANCELLED);
  }
  assert_true(stops >= 2);
  assert_int_equal(sum, 280);
  patience = ALL;
  xt_job_options o = sampling_for(&patience, 73);
  assert_int_equal(run_once("samples.db", &o, &result), XT_STATUS_OK);
  assert_int_equal(result.samples, 12);
  assert_int_equal(result.responses, 0);
  assert_int_equal(run_once("samples.db", &o, &result), XT_STATUS_OK);
  assert_true(!result.begun && result.samples == 0);
  read_samples("samples.db", &stored);
  draw_alone(73, &alone);
  assert_int_equal(stored.count, 4 * 73);
  assert_string_equal(stored.ids, alone.ids);
  o.sampling.seed = 8; /* others */
  assert_int_equal(run_once("samples.db", &o, &result), XT_STATUS_OK);
  assert_int_equal(result.samples, 4 * 73);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples)};
  return cmocka_run_group_tests_name("job samples", tests, set_up, tear_down);
}
