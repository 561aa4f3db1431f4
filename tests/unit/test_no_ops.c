/* SPDX-License-Identifier: Apache-2.0 */
/* Reports find by themselves that a transplant which puts back what is there changed something. */
#include "models.h"
#include "xtransplant/report.h"

typedef struct Made {
  char path[128];
  xt_model *model;
  xt_store *store;
} Made;

static void made_open(Made *m, const char *name) {
  xt_error error;
  char hash[XT_MODEL_HASH_SIZE];
  const xt_store_settings settings = {.max_new_tokens = 20};
  models_open("tiny-llama", "bf16", NULL, &m->model, NULL);
  snprintf(m->path, sizeof m->path, "%s/%s", models_folder, name);
  remove(m->path);
  ASSERT_OK(xt_model_hash(m->model, hash, &error));
  ASSERT_OK(xt_store_open(m->path, XT_STORE_WRITE, &m->store, &error));
  ASSERT_OK(xt_store_begin(m->store, m->model, hash, &settings, "", &error));
}

static int64_t add_question(Made *m, const char *task, const char *lang, const char *source_lang,
                            const char *source, const char *target) {
  static const int32_t ids[] = {1, 2};
  static int number_of;
  xt_error error;
  char id[16];
  int64_t number;
  snprintf(id, sizeof id, "q%d", number_of);
  const xt_question q = {.id = id,
                         .number = (size_t)number_of++,
                         .task = task,
                         .lang = lang,
                         .source_lang = source_lang,
                         .source = source,
                         .target = target,
                         .gold = "A"};
  ASSERT_OK(xt_store_add_question(
      m->store, &q,
      &(xt_instance){.source = ids, .target = ids, .source_count = 2, .target_count = 2}, &number,
      &error));
  return number;
}

/* Site NULL: the untouched run. */
static void add_response(Made *m, int64_t question, const char *site, int source, int target,
                         const char *text) {
  xt_error error;
  xt_site at;
  int32_t *ids;
  size_t count;
  float numbers[3 * 64] = {0};
  if (site) ASSERT_OK(xt_site_parse(site, &at, &error));
  ASSERT_OK(xt_tokenizer_encode(xt_model_tokenizer(m->model), text, strlen(text), false, &ids,
                                &count, &error));
  assert_true(count <= 64);
  const xt_generation g = {.count = count,
                           .ids = ids,
                           .margins = numbers,
                           .entropies = numbers + 64,
                           .logprobs = numbers + 128};
  ASSERT_OK(
      xt_store_add_response(m->store, question, site ? &at : NULL, source, target, &g, &error));
  free(ids);
}

/* The report's table of them, or NULL. */
static char *table(Made *m) {
  xt_error error;
  xt_report *report;
  char *text = NULL;
  size_t length;
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
  xt_store_close(m->store);
  xt_model_close(m->model);
  ASSERT_OK(xt_report_create(m->path, NULL, &report, &error));
  ASSERT_OK(xt_report_text(report, &(xt_report_text_options){.table = "no-ops", .width = 200},
                           &text, &length, &error));
  xt_report_free(report);
  return text;
}

/* English into English with i = j is the untouched run; what may differ does. */
static void test_nothing_wrong(void **state) {
  (void)state;
  Made m;
  made_open(&m, "no-ops-right.db");
  const int64_t en = add_question(&m, "xquad", "en", "en", "A?", "A?"),
                sw = add_question(&m, "xquad", "sw", "en", "A?", "B?");
  const int64_t other = add_question(&m, "xquad", "en", "en", "C?", "D?");
  const int64_t numbers[] = {en, sw, other};
  for (int q = 0; q < 3; q++) add_response(&m, numbers[q], NULL, -1, -1, "no");
  for (int layer = 0; layer < 6; layer++) add_response(&m, en, "ffn", layer, layer, "no");
  add_response(&m, en, "ffn", 0, 1, "yes");
  add_response(&m, en, "attn-released", 0, 0, "yes"); /* m in the place of a */
  add_response(&m, sw, "ffn", 0, 0, "yes");
  add_response(&m, other, "ffn", 0, 0, "yes");
  char *text = table(&m);
  if (text) assert_null(strstr(text, "cannot be"));
  xt_free(text);
}

static void test_told(void **state) {
  (void)state;
  Made m;
  made_open(&m, "no-ops-wrong.db");
  const int64_t en = add_question(&m, "globalopinionqa", "en", "en", "A?", "A?"),
                other = add_question(&m, "globalopinionqa", "en", "en", "A?", "B?");
  const int64_t de = add_question(&m, "globalopinionqa", "de", "de", "Wie?", "A?");
  const int64_t numbers[] = {en, other, de};
  for (int q = 0; q < 3; q++) add_response(&m, numbers[q], NULL, -1, -1, "no");
  for (int layer = 0; layer < 6; layer++)
    add_response(&m, en, "ffn", layer, layer, layer == 3 || layer == 5 ? "yes" : "no");
  add_response(&m, other, "ffn", 0, 0, "yes");
  add_response(&m, de, "ffn", 0, 0, "yes");
  char *text = table(&m);
  assert_non_null(text);
  assert_non_null(strstr(text, "Results that cannot be"));
  const char *row = strstr(text, "GlobalOpinionQA, ffn");
  assert_non_null(row);
  int questions, responses, differ, others;
  char lang[8], id[8];
  int layer;
  assert_int_equal(sscanf(row, "GlobalOpinionQA, ffn %d %d %d %7s %7[^,], layer %d %d", &questions,
                          &responses, &differ, lang, id, &layer, &others),
                   7);
  assert_int_equal(questions, 1);
  assert_int_equal(responses, 6);
  assert_int_equal(differ, 2);
  assert_string_equal(lang, "en");
  assert_int_equal(layer, 3);
  assert_int_equal(others, 1);
  xt_free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_wrong),
                                     cmocka_unit_test(test_told)};
  return cmocka_run_group_tests_name("no-ops", tests, NULL, NULL);
}
