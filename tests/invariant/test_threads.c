/* SPDX-License-Identifier: Apache-2.0 */
/* One model, several threads with a session each: the same results as one after the other; and a
 * child process. */
#include <pthread.h>
#include <sys/wait.h>

#include "models.h"
#include "sleep.h"

#define WORKERS 3
static const int32_t prompt[] = {1, 75, 107, 104, 35, 102, 100, 115, 108, 119, 100, 111};

typedef struct Worker {
  const xt_model *model;
  xt_generation out[8];
  xt_status status;
} Worker;

static void *work(void *argument) {
  Worker *w = argument;
  xt_session *session;
  xt_taps *taps = NULL;
  xt_intervention ivs[8];
  xt_request requests[8];
  const xt_request source = {.ids = prompt, .count = 7};
  w->status = xt_session_create(w->model, &session, NULL);
  if (w->status) return NULL;
  w->status = xt_session_capture(session, &source, &taps, NULL);
  for (int r = 0; r < 8; r++) {
    ivs[r] = (xt_intervention){.write = XT_TAP_FFN,
                               .layer = r % 6,
                               .position = XT_POSITION_LAST,
                               .value = xt_taps_get(taps, XT_TAP_FFN, 2)};
    requests[r] =
        (xt_request){.ids = prompt, .count = 12, .interventions = &ivs[r], .intervention_count = 1};
  }
  if (!w->status) w->status = xt_session_generate(session, requests, 8, NULL, w->out, NULL);
  xt_taps_free(taps);
  xt_session_free(session);
  return NULL;
}

static void sessions_share_a_model(const xt_model_options options) {
  Worker workers[WORKERS + 1];
  pthread_t threads[WORKERS];
  xt_model *model;
  models_open("tiny-qwen2", "bf16", &options, &model, NULL);
  for (int i = 0; i <= WORKERS; i++) workers[i].model = model;
  work(&workers[WORKERS]);
  for (int i = 0; i < WORKERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
  for (int i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i <= WORKERS; i++) {
    assert_int_equal(workers[i].status, XT_STATUS_OK);
    for (int r = 0; r < 8; r++) models_same(&workers[WORKERS].out[r], &workers[i].out[r]);
  }
  for (int i = 0; i <= WORKERS; i++)
    for (int r = 0; r < 8; r++) xt_generation_deinit(&workers[i].out[r]);
  xt_model_close(model);
}

static void test_sessions_share_a_model(void **state) {
  (void)state;
  sessions_share_a_model((xt_model_options){.threads = 1});
  sessions_share_a_model((xt_model_options){.threads = 3}); /* each with two workers of its own */
  sessions_share_a_model((xt_model_options){.threads = 2, .compute = XT_COMPUTE_BF16});
}

/* A child process made by fork() goes on with the parent's session: the same results, and it
 * ends. */
static void test_fork(void **state) {
  (void)state;
  if (!CAN_FORK_THREADS) skip();
  static const xt_compute computes[] = {XT_COMPUTE_F32, XT_COMPUTE_BF16};
  for (size_t i = 0; i < 2; i++) {
    const xt_model_options options = {.threads = 2, .compute = computes[i]};
    const xt_request request = {.ids = prompt, .count = 12};
    xt_model *model;
    xt_session *session;
    xt_generation parent, after, again;
    xt_error error;
    int status;
    models_open("tiny-qwen2", "bf16", &options, &model, &session);
    ASSERT_OK(xt_session_generate(session, &request, 1, NULL, &parent, &error));
    fflush(NULL);
    wait_for_sleep();
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      alarm(60);
      status = xt_session_generate(session, &request, 1, NULL, &after, &error) != XT_STATUS_OK ||
               after.count != parent.count ||
               memcmp(after.ids, parent.ids, parent.count * sizeof *parent.ids) != 0 ||
               memcmp(after.margins, parent.margins, parent.count * sizeof *parent.margins) != 0;
      xt_session_free(session);
      xt_model_close(model);
      _exit(status);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    ASSERT_OK(xt_session_generate(session, &request, 1, NULL, &again, &error));
    models_same(&parent, &again);
    xt_generation_deinit(&parent);
    xt_generation_deinit(&again);
    xt_session_free(session);
    xt_model_close(model);
  }
}

/* Every thread has a place of its own for what it computes: the thread sanitizer looks on. */
static void test_peak_of_many_threads(void **state) {
  (void)state;
  const xt_model_options options = {.threads = 80};
  xt_model *model;
  xt_session *session;
  xt_error error;
  double flops = 0;
  models_open("tiny-llama", "f32", &options, &model, &session);
  ASSERT_OK(xt_session_peak(session, &flops, NULL, &error));
  assert_true(flops > 0);
  xt_session_free(session);
  xt_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sessions_share_a_model),
                                     cmocka_unit_test(test_fork),
                                     cmocka_unit_test(test_peak_of_many_threads)};
  return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
