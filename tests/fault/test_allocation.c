/* SPDX-License-Identifier: Apache-2.0 */
/* Allocations that fail, and allocations that must not happen. Linked with malloc's family
 * wrapped. */
#include <unistd.h>

#include "base/json.h"
#include "base/out_folder.h"
#include "failing_malloc.h"
#include "models.h"
#include "xtransplant/tasks.h"

static const int32_t prompt[] = {1, 75, 107, 104, 35, 102, 100, 115, 108, 119, 100, 111};

/* Open, capture, generate, close. */
static xt_status whole_job(const char *path, xt_error *error) {
  const xt_model_options options = {.threads = 1};
  const xt_request plain = {.ids = prompt, .count = 12};
  xt_model *model = NULL;
  xt_session *session = NULL;
  xt_taps *taps = NULL;
  xt_generation out = {0};
  xt_status status = xt_model_open(path, &options, &model, error);
  if (!status) status = xt_session_create(model, &session, error);
  if (!status) status = xt_session_capture(session, &plain, &taps, error);
  if (!status) {
    const xt_intervention iv = {.write = XT_TAP_ATTN,
                                .layer = 1,
                                .position = 3,
                                .value = xt_taps_get(taps, XT_TAP_ATTN, 2)};
    const xt_request request = {
        .ids = prompt, .count = 12, .interventions = &iv, .intervention_count = 1};
    status = xt_session_generate(session, &request, 1, &(xt_generate_options){.lens = true}, &out,
                                 error);
  }
  xt_generation_deinit(&out);
  xt_taps_free(taps);
  xt_session_free(session);
  xt_model_close(model);
  return status;
}

/* The n-th allocation fails, for every n: an error that says so, no crash, no leak. */
static void test_every_failure(void **state) {
  (void)state;
  char path[128];
  xt_error error = {0};
  models_make("tiny-llama", "bf16", path);
  calls = 0;
  ASSERT_OK(whole_job(path, &error));
  const long total = calls;
  /* the tokenizer's and the checkpoint's many small ones are sampled, the rest tried one by one */
  const long step = total > 3000 ? total / 1500 : 1;
  for (long n = 1; n <= total; n += n + 400 > total ? 1 : step) {
    error = (xt_error){0};
    calls = 0;
    fail_at = n;
    const xt_status status = whole_job(path, &error);
    fail_at = -1;
    if (status != XT_STATUS_OK && status != XT_STATUS_MEMORY) {
      char line[1400];
      fail_msg("allocation %ld of %ld: status %d, %s", n, total, (int)status,
               xt_error_format(&error, line, sizeof line));
    }
  }
}

/* JSON: whatever token an allocation fails in, the text is not to blame; and broken text still
 * is. */
static void test_json_says_memory(void **state) {
  (void)state;
  static const char text[] = "{\"architectures\": [\"Qwen2ForCausalLM\"], \"a\\u00e9 rather long "
                             "key, beyond a first buffer\": -1.25e3, "
                             "\"n\": 1234567890123456, \"o\": {\"p\": [true, false, null, []]}}";
  json_set_alloc_funcs(__wrap_malloc, free); /* a shared library's own calls of malloc are not
                                                wrapped */
  for (long n = 1, failed = 1; failed; n++) {
    xt_error error = {0};
    json_t *root = NULL;
    calls = 0;
    fail_at = n;
    const xt_status status = json_parse(text, sizeof text - 1, "x.json", &root, &error);
    fail_at = -1;
    failed = calls >= n;
    json_decref(root);
    assert_true(failed || n > 20);
    /* Where a token's buffer cannot grow, jansson 2.14 drops a byte and goes on: that may
     * succeed. */
    if (status != XT_STATUS_MEMORY && status != XT_STATUS_OK)
      fail_msg("allocation %ld: status %d, %s", n, (int)status, error.message);
  }
  json_set_alloc_funcs(__real_malloc, free);
  for (size_t length = 0; length < sizeof text - 1; length++) {
    xt_error error = {0};
    json_t *root = NULL;
    assert_int_equal(json_parse(text, length, "x.json", &root, &error), XT_STATUS_INPUT);
    assert_null(root);
  }
}

typedef struct Watch {
  long counts[64];
  int steps;
} Watch;

static bool count_step(void *user) {
  Watch *w = user;
  w->counts[w->steps++] = calls;
  return false;
}

/* After its first two steps, decoding allocates nothing. */
static void test_decoding_allocates_nothing(void **state) {
  (void)state;
  xt_error error;
  xt_model *model;
  xt_session *session;
  xt_generation out[50];
  xt_request requests[50];
  static Watch watch;
  models_open("tiny-qwen2", "bf16", NULL, &model, &session);
  for (size_t r = 0; r < 50; r++) requests[r] = (xt_request){.ids = prompt, .count = 1 + r % 12};
  const xt_generate_options o = {
      .max_new_tokens = 30, .cancel = count_step, .user = &watch, .ignore_eos = true};
  ASSERT_OK(xt_session_generate(session, requests, 50, &o, out, &error));
  assert_int_equal(watch.steps, 30);
  for (int s = 2; s < watch.steps; s++) assert_int_equal(watch.counts[s], watch.counts[2]);
  for (size_t r = 0; r < 50; r++) xt_generation_deinit(&out[r]);
  xt_session_free(session);
  xt_model_close(model);
}

static void put_file(const char *folder, const char *name, const char *text) {
  char path[200];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  fputs(text, out);
  fclose(out);
}

/* Make a PilotSet, read it, score. `out` is removed again. */
static xt_status tasks_job(const char *folder, const char *name, xt_error *error) {
  char out[200], set[300];
  const xt_task *task = xt_task_find(name);
  const char *de = "de";
  const xt_pilotset_options how = {
      .languages = &de, .language_count = 1, .count = 1, .translations = folder};
  const xt_dataset_options options = {
      .languages = &de, .language_count = 1, .pivot = task->direction ? "en" : "de", .cot = true};
  xt_dataset *d = NULL;
  snprintf(out, sizeof out, "%s/out", folder);
  snprintf(set, sizeof set, "%s/%s_sample", out, task->title);
  xt_status status = xt_pilotset_build(task, folder, out, &how, NULL, error);
  if (status) return status;
  status = xt_dataset_open(task, set, &options, &d, error);
  for (size_t i = 0; !status && i < xt_dataset_count(d); i++) {
    const xt_question *q = xt_dataset_get(d, i);
    bool correct;
    status =
        xt_task_score(task, q->choices, q->choice_count, "(A) (1)", 7, q->gold, &correct, error);
  }
  xt_dataset_close(d);
  fail_at = -1;
  out_folder_remove(out);
  return status;
}

static void test_tasks(void **state) {
  (void)state;
  char folder[] = "/tmp/xt-fault-XXXXXX";
  assert_non_null(mkdtemp(folder));
  put_file(folder, "xnli.test.tsv",
           "language\tgold_"
           "label\tsentence1\tsentence2\tpairID\nde\tneutral\ta\tb\t7\nde\tneutral\ta\tb\t8\n");
  put_file(folder, "global_opinions.csv",
           "question,selections,options\n\"a, \"\"b\"\"\",\"defaultdict(<class 'list'>, "
           "{'Germany': [0.9, 0.1]})\",\"['x', 1]\"\n");
  put_file(folder, "de.jsonl",
           "{\"id\": \"0 Germany\", \"question\": \"f\", \"country\": \"D\", \"options\": [\"x\", "
           "\"y\"]}\n");
  for (int which = 0; which < 2; which++) {
    const char *name = which ? "globalopinionqa" : "xnli";
    xt_error error = {0};
    calls = 0;
    ASSERT_OK(tasks_job(folder, name, &error));
    const long total = calls;
    assert_true(total > 30);
    for (long n = 1; n <= total; n++) {
      error = (xt_error){0};
      calls = 0;
      fail_at = n;
      const xt_status status = tasks_job(folder, name, &error);
      fail_at = -1;
      if (status == XT_STATUS_MEMORY) continue;
      char line[1400];
      if (status)
        fail_msg("%s, allocation %ld of %ld: status %d, %s", name, n, total, (int)status,
                 xt_error_format(&error, line, sizeof line));
    }
  }
  out_folder_remove(folder);
}

static xt_status drop_response(void *user, const xt_sweep_response *response, xt_error *error) {
  (void)user, (void)response, (void)error;
  return XT_STATUS_OK;
}

/* Nor does a sweep's: of one instance, since each group of them has buffers of its own. */
static void test_sweep_allocates_nothing(void **state) {
  (void)state;
  xt_error error;
  xt_model *model;
  xt_session *session;
  static Watch watch;
  const xt_instance instance = {
      .source = prompt, .source_count = 12, .target = prompt + 3, .target_count = 7};
  xt_site sites[2];
  ASSERT_OK(xt_site_parse("attn", &sites[0], &error));
  ASSERT_OK(xt_site_parse("block", &sites[1], &error));
  models_open("tiny-qwen2", "bf16", NULL, &model, &session);
  const xt_sweep_options o = {.sites = sites,
                              .site_count = 2,
                              .max_new_tokens = 30,
                              .repetition_penalty = 1.1,
                              .cancel = count_step,
                              .user = &watch,
                              .ignore_eos = true};
  ASSERT_OK(xt_session_sweep(session, &instance, 1, &o, drop_response, NULL, NULL, &error));
  assert_int_equal(watch.steps, 1 + 29 + 1); /* after the prompts, which run together, before each
                                                token but the first, at the end */
  for (int s = 4; s < watch.steps; s++) assert_int_equal(watch.counts[s], watch.counts[4]);
  xt_session_free(session);
  xt_model_close(model);
}

/* A dataset's own lines, swept into a new store, with samples. */
static xt_status store_job(xt_model *model, xt_session *session, const char *path,
                           xt_error *error) {
  static const char lines[] = "{\"source\": \"a\", \"target\": \"b c\"}\n{\"source\": \"a\", "
                              "\"target\": \"d\", \"lang\": \"sw\"}\n";
  static const int first = 0;
  static const xt_site site = {.read = XT_TAP_ATTN, .write = XT_TAP_ATTN};
  const xt_job_options o = {.sites = &site,
                            .site_count = 1,
                            .source_layers = &first,
                            .source_layer_count = 1,
                            .target_layers = &first,
                            .target_layer_count = 1,
                            .max_new_tokens = 2,
                            .samples = 2};
  char hash[XT_MODEL_HASH_SIZE];
  memset(hash, 'a', sizeof hash - 1);
  hash[sizeof hash - 1] = 0;
  xt_dataset *dataset = NULL;
  xt_store *store = NULL;
  xt_job *job = NULL;
  xt_status status =
      xt_dataset_parse_pairs(lines, sizeof lines - 1, "lines", NULL, &dataset, error);
  if (!status) status = xt_job_create(model, dataset, &o, &job, error);
  if (!status) status = xt_store_open(path, XT_STORE_WRITE, &store, error);
  if (!status) status = xt_job_plan(job, store, hash, error);
  if (!status) status = xt_job_run(job, session, store, NULL, error);
  xt_job_free(job);
  xt_store_close(store);
  xt_dataset_close(dataset);
  return status;
}

static void test_jobs(void **state) {
  (void)state;
  xt_error error = {0};
  xt_model *model;
  xt_session *session;
  char path[160];
  models_open("tiny-llama", "bf16", &(xt_model_options){.threads = 1}, &model, &session);
  snprintf(path, sizeof path, "%s/job.db", models_folder);
  ASSERT_OK(store_job(model, session, path, &error)); /* what is made once in a process */
  unlink(path);
  calls = 0;
  ASSERT_OK(store_job(model, session, path, &error));
  const long total = calls;
  assert_true(total > 50);
  for (long n = 1; n <= total; n++) {
    unlink(path);
    error = (xt_error){0};
    calls = 0;
    fail_at = n;
    const xt_status status = store_job(model, session, path, &error);
    fail_at = -1;
    if (status == XT_STATUS_MEMORY) continue;
    char line[1400];
    if (status)
      fail_msg("allocation %ld of %ld: status %d, %s", n, total, (int)status,
               xt_error_format(&error, line, sizeof line));
  }
  xt_session_free(session);
  xt_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_failure),
                                     cmocka_unit_test(test_json_says_memory),
                                     cmocka_unit_test(test_decoding_allocates_nothing),
                                     cmocka_unit_test(test_sweep_allocates_nothing),
                                     cmocka_unit_test(test_tasks),
                                     cmocka_unit_test(test_jobs)};
  return cmocka_run_group_tests_name("allocation", tests, NULL, NULL);
}
