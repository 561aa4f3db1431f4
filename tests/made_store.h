/* SPDX-License-Identifier: Apache-2.0 */
/* Stores made for a test, question by question and response by response, so that what they hold is
 * known. */
#ifndef TESTS_MADE_STORE_H
#define TESTS_MADE_STORE_H

#include "models.h"

typedef struct Made {
  char path[128];
  xt_model *model;
  xt_store *store;
  const char *task;
  xt_site site;
} Made;

/* `model_hash` NULL: the model's own. */
static inline void made_open_of(Made *m, const char *name, const char *task,
                                const char *model_hash) {
  xt_error error;
  char hash[XT_MODEL_HASH_SIZE];
  const xt_store_settings settings = {.max_new_tokens = 20};
  models_open("tiny-llama", "bf16", NULL, &m->model, NULL);
  snprintf(m->path, sizeof m->path, "%s/%s", models_folder, name);
  remove(m->path);
  if (model_hash)
    snprintf(hash, sizeof hash, "%s", model_hash);
  else
    ASSERT_OK(xt_model_hash(m->model, hash, &error));
  ASSERT_OK(xt_store_open(m->path, XT_STORE_WRITE, &m->store, &error));
  ASSERT_OK(xt_store_begin(m->store, m->model, hash, &settings, "", &error));
  m->task = task;
  ASSERT_OK(xt_site_parse("ffn", &m->site, &error));
}

static inline void made_open(Made *m, const char *name, const char *task) {
  made_open_of(m, name, task, NULL);
}

static inline void made_close(Made *m) {
  xt_store_close(m->store);
  xt_model_close(m->model);
}

static inline int64_t add_pivot_question(Made *m, int index, const char *pivot, const char *lang,
                                         const char *gold) {
  xt_error error;
  char id[16], source[64], target[64];
  int64_t number;
  static const int32_t ids[] = {1, 2};
  snprintf(id, sizeof id, "%d", index);
  snprintf(source, sizeof source, "Question %d%s?", index, strcmp(pivot, "en") == 0 ? "" : pivot);
  snprintf(target, sizeof target, "Swali %d %s?", index, lang);
  const xt_question q = {.id = id,
                         .number = (size_t)index,
                         .task = m->task,
                         .lang = lang,
                         .source_lang = pivot,
                         .source = source,
                         .target = target,
                         .gold = gold};
  ASSERT_OK(xt_store_add_question(
      m->store, &q,
      &(xt_instance){.source = ids, .target = ids, .source_count = 2, .target_count = 2}, &number,
      &error));
  return number;
}

static inline int64_t add_question(Made *m, int index, const char *lang, const char *gold) {
  return add_pivot_question(m, index, "en", lang, gold);
}

/* A response of this text, with these numbers for each token. Empty: the model ended at once. */
static inline void add_response(Made *m, int64_t question, int source, int target, const char *text,
                                float entropy, float mean_entropy, float logprob) {
  xt_error error;
  int32_t *ids;
  size_t count;
  ASSERT_OK(xt_tokenizer_encode(xt_model_tokenizer(m->model), text, strlen(text), false, &ids,
                                &count, &error));
  float *const numbers = calloc(3 * count + 1, sizeof *numbers);
  for (size_t t = 0; t < count; t++) {
    numbers[t] = 1;
    numbers[count + t] =
        t && count > 1 ? (mean_entropy * (float)count - entropy) / (float)(count - 1) : entropy;
    numbers[2 * count + t] = logprob;
  }
  const xt_generation g = {.count = count,
                           .ids = ids,
                           .margins = numbers,
                           .entropies = numbers + count,
                           .logprobs = numbers + 2 * count,
                           .stopped = count == 0};
  ASSERT_OK(xt_store_add_response(m->store, question, source < 0 ? NULL : &m->site, source, target,
                                  &g, &error));
  free(numbers);
  free(ids);
}

#endif
