/* SPDX-License-Identifier: Apache-2.0 */
/* A small model and four questions to run jobs of. */
#ifndef TESTS_JOB_FIXTURE_H
#define TESTS_JOB_FIXTURE_H

#include "models.h"

#define ALL 100000

static const char pairs[] =
    "{\"id\": \"a\", \"lang\": \"sw\", \"source_lang\": \"en\", \"source\": \"The capital of "
    "France is\", \"target\": \"Mji mkuu ni\", \"gold\": \"e\", \"task\": \"xquad\"}\n"
    "{\"id\": \"b\", \"lang\": \"sw\", \"source_lang\": \"en\", \"source\": \"The capital of "
    "France is\", \"target\": \"Mji\", \"gold\": \"a\", \"task\": \"xquad\"}\n"
    "{\"id\": \"c\", \"lang\": \"tr\", \"source_lang\": \"en\", \"source\": \"Two\", \"target\": "
    "\"Iki arti iki\", \"gold\": \"i\", \"task\": \"xquad\"}\n"
    "{\"id\": \"d\", \"lang\": \"tr\", \"source_lang\": \"en\", \"source\": \"Three and three\", "
    "\"target\": \"Uc\", \"gold\": \"u\", \"task\": \"xquad\"}\n";

static xt_model *model;
static xt_session *session;
static xt_dataset *dataset;
static char hash[XT_MODEL_HASH_SIZE];
static const xt_site sites[] = {{.read = XT_TAP_ATTN, .write = XT_TAP_ATTN},
                                {.read = XT_TAP_BLOCK, .write = XT_TAP_BLOCK}};

static inline xt_dataset *parse(const char *text, const xt_dataset_options *options) {
  xt_dataset *out;
  xt_error error;
  ASSERT_OK(xt_dataset_parse_pairs(text, strlen(text), "pairs", options, &out, &error));
  return out;
}

static inline int set_up(void **state) {
  (void)state;
  xt_error error;
  models_open("tiny-llama", "f32", &(xt_model_options){.threads = 1}, &model, &session);
  ASSERT_OK(xt_model_hash(model, hash, &error));
  dataset = parse(pairs, NULL);
  return 0;
}

static inline int tear_down(void **state) {
  (void)state;
  xt_dataset_close(dataset);
  xt_session_free(session);
  xt_model_close(model);
  return 0;
}

static const char *path_of(const char *name) {
  static char path[160];
  snprintf(path, sizeof path, "%s/%s", models_folder, name);
  return path;
}

static inline xt_store *open_store(const char *name) {
  xt_error error;
  xt_store *store;
  ASSERT_OK(xt_store_open(path_of(name), XT_STORE_WRITE, &store, &error));
  return store;
}

/* Stops when it has been asked so many times. */
static inline bool count_down(void *user) { return --*(int *)user < 0; }

static inline xt_job_options options_for(int *patience) {
  return (xt_job_options){.sites = sites,
                          .site_count = 2,
                          .max_new_tokens = 4,
                          .max_rows = 40,
                          .commit_seconds = -1,
                          .cancel = count_down,
                          .user = patience};
}

static inline xt_job *create(const xt_job_options *options) {
  xt_error error;
  xt_job *job;
  ASSERT_OK(xt_job_create(model, dataset, options, &job, &error));
  return job;
}

/* Runs a job of its own on a store that is opened for it. */
static inline xt_status run_once(const char *name, const xt_job_options *options,
                                 xt_job_result *result) {
  xt_error error;
  xt_store *store = open_store(name);
  xt_job *job = create(options);
  const xt_status status = xt_job_run(job, session, store, result, &error);
  xt_job_free(job);
  xt_store_close(store);
  return status;
}

/* A text as the model reads it; ids are the caller's to free. */
typedef struct Encoded {
  int32_t *ids;
  size_t count;
} Encoded;

static inline Encoded encode(const char *text) {
  xt_error error;
  Encoded out;
  ASSERT_OK(xt_tokenizer_encode(xt_model_tokenizer(model), text, strlen(text), true, &out.ids,
                                &out.count, &error));
  return out;
}

#endif
