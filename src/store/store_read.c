/* SPDX-License-Identifier: Apache-2.0 */
/* Responses, out: in an order of their content alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/store_metrics.h"

xt_status xt_store_get_info(xt_store *s, xt_store_info *info, xt_error *error) {
  static const char *const counts[] = {"SELECT count(*) FROM instances", "SELECT count(*) FROM responses", "SELECT count(*) FROM vanilla",
                                       "SELECT count(*) FROM texts", "SELECT count(*) FROM runs"};
  *info = (xt_store_info){.path = s->db.path, .model_hash = s->settings.of[STORE_MODEL_HASH], .model_name = s->model_name, .compute = s->settings.of[STORE_COMPUTE],
                          .layers = atoi(s->settings.of[STORE_LAYERS]), .max_new_tokens = atoi(s->settings.of[STORE_MAX_NEW_TOKENS]),
                          .repetition_penalty = strtod(s->settings.of[STORE_PENALTY], NULL), .ignore_eos = s->settings.of[STORE_IGNORE_EOS][0] == '1'};
  int64_t *const out[] = {&info->questions, &info->responses, &info->vanilla, &info->texts, &info->runs};
  for (size_t i = 0; i < sizeof out / sizeof *out && !s->schema.empty; i++) TRY(db_number(&s->db, counts[i], out[i], error));
  return XT_STATUS_OK;
}

#define ROW_STATEMENTS 2 /* at most */

typedef struct Reader {
  xt_store *store;
  sqlite3_stmt *questions, *rows[ROW_STATEMENTS]; /* `rows` are of one question, ?1 */
  xt_question question;
  const xt_task *task;
  xt_choice *choices; /* of the question; their strings lie in `json` */
  json_t *json;
  char key[STORE_KEY_SIZE];
  bool of_source, sampled; /* what the rows are */
  xt_status (*row)(void *user, const xt_store_row *row, xt_error *error);
  void *user;
} Reader;

static void forget_choices(Reader *r) {
  free(r->choices);
  json_decref(r->json);
  r->choices = NULL;
  r->json = NULL;
}

static xt_status read_choices(Reader *r, const char *text, xt_error *error) {
  const char *label;
  json_t *value;
  forget_choices(r);
  r->question.choices = NULL;
  r->question.choice_count = 0;
  if (!text[0]) return XT_STATUS_OK;
  TRY(json_parse(text, strlen(text), r->store->db.path, &r->json, error));
  if (!json_is_object(r->json)) return err_set(error, XT_STATUS_INPUT, r->store->db.path, "choices", -1, "of question %s is not a JSON object", r->key);
  TRY(mem_alloc(&r->choices, json_object_size(r->json), sizeof *r->choices, error));
  size_t n = 0;
  json_object_foreach(r->json, label, value) r->choices[n++] = (xt_choice){label, json_string_value(value)};
  r->question.choices = r->choices;
  r->question.choice_count = n;
  return XT_STATUS_OK;
}

/* The question of the current row, whose strings stay until the next. */
static xt_status read_question(Reader *r, xt_error *error) {
  sqlite3_stmt *q = r->questions;
  snprintf(r->key, sizeof r->key, "%s", db_text(q, 1));
  r->question = (xt_question){.task = db_text(q, 2), .lang = db_text(q, 3), .source_lang = db_text(q, 4), .number = (size_t)sqlite3_column_int64(q, 5),
                              .id = db_text(q, 6), .source = db_text(q, 7), .target = db_text(q, 8),
                              .gold = sqlite3_column_type(q, 9) == SQLITE_NULL ? NULL : db_text(q, 9)};
  r->task = xt_task_find(r->question.task);
  return read_choices(r, db_text(q, 10), error);
}

void xt_text_hash(const char *text, size_t length, char out[XT_TEXT_HASH_SIZE]) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  hash_raw(&hash, text, length);
  hash_finish(&hash, digest);
  hash_hex(digest, HASH_BYTES, out);
}

static void response_id(const Reader *r, const xt_store_row *row, char out[XT_RESPONSE_ID_SIZE]) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  hash_text(&hash, "xtransplant response 1");
  for (int i = 0; i < STORE_SETTING_COUNT; i++) hash_text(&hash, r->store->settings.of[i]);
  hash_text(&hash, r->key);
  hash_text(&hash, row->site);
  hash_number(&hash, (uint64_t)(int64_t)row->source_layer);
  hash_number(&hash, (uint64_t)(int64_t)row->target_layer);
  hash_finish(&hash, digest);
  hash_hex(digest, (XT_RESPONSE_ID_SIZE - 1) / 2, out);
}

/* A number; NaN for a null, and for the word that stands for a text with nothing to measure. */
static double real_or_none(sqlite3_stmt *s, int column) {
  const int type = sqlite3_column_type(s, column);
  return type == SQLITE_NULL || type == SQLITE_TEXT ? (double)NAN : sqlite3_column_double(s, column);
}

/* Columns: ids, text, margin, entropy, mean_entropy, mean_logprob, site, source_layer, target_layer, strategy, those of
 * `measured`, the text's number, the strategy's site. */
static xt_status give_row(Reader *r, sqlite3_stmt *s, xt_error *error) {
  xt_store_row row = {.question = &r->question, .question_number = sqlite3_column_int64(r->questions, 0),
                      .text_number = sqlite3_column_int64(s, 14), .site = db_text(s, 6), .correct = -1, .source_layer = sqlite3_column_int(s, 7),
                      .target_layer = sqlite3_column_int(s, 8), .margin = real_or_none(s, 2), .entropy = real_or_none(s, 3),
                      .mean_entropy = real_or_none(s, 4), .mean_logprob = real_or_none(s, 5),
                      .strategy = sqlite3_column_type(s, 9) == SQLITE_NULL ? NULL : db_text(s, 9),
                      .strategy_site = sqlite3_column_type(s, 15) == SQLITE_NULL ? NULL : db_text(s, 15),
                      .nll_standalone = real_or_none(s, 10), .nll_conditional = real_or_none(s, 11),
                      .language = sqlite3_column_type(s, 12) == SQLITE_NULL ? NULL : db_text(s, 12), .language_probability = real_or_none(s, 13)};
  row.standalone_measured = sqlite3_column_type(s, 10) != SQLITE_NULL;
  row.conditional_measured = sqlite3_column_type(s, 11) != SQLITE_NULL;
  if (r->sampled)
    row.sample = (xt_store_sample){(int)sqlite3_column_int64(s, 19),
                                   {sqlite3_column_double(s, 16), sqlite3_column_double(s, 17), (unsigned long long)sqlite3_column_int64(s, 18)}};
  row.ids = sqlite3_column_blob(s, 0);
  row.count = (size_t)sqlite3_column_bytes(s, 0) / sizeof *row.ids;
  if (sqlite3_column_type(s, 1) != SQLITE_NULL) {
    row.text = db_text(s, 1);
    row.text_length = (size_t)sqlite3_column_bytes(s, 1);
  }
  response_id(r, &row, row.id);
  /* a gold answer is the target prompt's */
  if (r->task && r->question.gold && row.text && !r->of_source) {
    bool correct;
    TRY(xt_task_score(r->task, r->question.choices, r->question.choice_count, row.text, row.text_length, r->question.gold, &correct, error));
    row.correct = correct;
  }
  return r->row(r->user, &row, error);
}

static xt_status give_rows(Reader *r, sqlite3_stmt *statement, xt_error *error) {
  const Db *db = &r->store->db;
  bool more;
  xt_status status;
  sqlite3_bind_int64(statement, 1, sqlite3_column_int64(r->questions, 0));
  do {
    status = db_step(db, statement, &more, "cannot read", error);
    if (!status && more) status = give_row(r, statement, error);
  } while (!status && more);
  sqlite3_reset(statement);
  return status;
}

/* Values of texts (store_metrics.c), or nulls in a store that has none. 'none': measured, and there was nothing to measure. */
static const char measured[] =
    "(SELECT ifnull(value, 'none') FROM text_metrics m WHERE m.text = t.id AND m.name = 'nll_standalone'),"
    " (SELECT ifnull(value, 'none') FROM pair_metrics m WHERE m.instance = ?1 AND m.text = t.id AND m.name = 'nll_conditional'),"
    " (SELECT value FROM text_metrics m WHERE m.text = t.id AND m.name = 'lang'),"
    " (SELECT value FROM text_metrics m WHERE m.text = t.id AND m.name = 'lang_probability')";
static const char unmeasured[] = "NULL, NULL, NULL, NULL";

#define OF_RESPONSE "SELECT t.ids, t.text, r.margin, r.entropy, r.mean_entropy, r.mean_logprob, "
static const char untouched[] = OF_RESPONSE "'vanilla', -1, -1, NULL, %s, t.id, NULL FROM vanilla r JOIN texts t ON t.id = r.text WHERE r.instance = ?1";
static const char of_source[] = OF_RESPONSE "'source', -1, -1, NULL, %s, t.id, NULL FROM sources r JOIN texts t ON t.id = r.text WHERE r.instance = ?1";
static const char transplanted[] = OF_RESPONSE "r.site, r.source_layer, r.target_layer, NULL, %s, t.id, NULL FROM responses r JOIN texts t ON t.id = r.text"
                                   " WHERE r.instance = ?1 ORDER BY r.site, r.source_layer, r.target_layer";
static const char selected[] =
    OF_RESPONSE "s.site AS site, s.source_layer, s.target_layer, s.strategy AS strategy, %s, t.id, s.site FROM selections s"
    " JOIN responses r ON r.instance = s.instance AND r.site = s.site AND r.source_layer = s.source_layer AND r.target_layer = s.target_layer"
    " JOIN texts t ON t.id = r.text WHERE s.instance = ?1 UNION ALL "
    OF_RESPONSE "'vanilla', -1, -1, s.strategy, %s, t.id, s.site FROM selections s JOIN vanilla r ON r.instance = s.instance JOIN texts t ON t.id = r.text"
    " WHERE s.instance = ?1 AND s.source_layer < 0 ORDER BY strategy, site";

/* Samples have no margins and entropies. */
static const char sampled[] =
    "SELECT t.ids, t.text, NULL, NULL, NULL, r.mean_logprob, 'sample', -1, -1, NULL, %s, t.id, NULL, r.temperature, r.top_p, r.seed, r.number FROM samples r"
    " JOIN texts t ON t.id = r.text WHERE r.instance = ?1 ORDER BY r.temperature, r.top_p, r.seed, r.number";

static xt_status prepare_rows(Reader *r, size_t index, const char *format, bool have_metrics, xt_error *error) {
  char sql[4 * sizeof measured + sizeof selected];
  const char *columns = have_metrics ? measured : unmeasured;
  const char *first = strstr(format, "%s"), *second = strstr(first + 2, "%s");
  if (second) snprintf(sql, sizeof sql, "%.*s%s%.*s%s%s", (int)(first - format), format, columns, (int)(second - first - 2), first + 2, columns, second + 2);
  else snprintf(sql, sizeof sql, "%.*s%s%s", (int)(first - format), format, columns, first + 2);
  return db_prepare(&r->store->db, sql, &r->rows[index], error);
}

static xt_status read_all(Reader *r, xt_error *error) {
  static const char by_question[] =
      "SELECT id, key, task, lang, source_lang, number, doc_id, source, target, gold, choices FROM instances"
      " ORDER BY task, lang, source_lang, number, doc_id, key";
  bool more;
  TRY(db_prepare(&r->store->db, by_question, &r->questions, error));
  for (;;) {
    TRY(db_step(&r->store->db, r->questions, &more, "cannot read", error));
    if (!more) return XT_STATUS_OK;
    TRY(read_question(r, error));
    for (size_t i = 0; i < ROW_STATEMENTS && r->rows[i]; i++) TRY(give_rows(r, r->rows[i], error));
  }
}

static void reader_deinit(Reader *r) {
  sqlite3_finalize(r->questions);
  for (size_t i = 0; i < ROW_STATEMENTS; i++) sqlite3_finalize(r->rows[i]);
  forget_choices(r);
}

/* Reads the rows of up to ROW_STATEMENTS statements, question by question. */
static xt_status read_rows(xt_store *s, const char *const *formats, size_t count, xt_status (*row)(void *user, const xt_store_row *row, xt_error *error),
                           void *user, xt_error *error) {
  Reader r = {.store = s, .row = row, .user = user};
  xt_status status = XT_STATUS_OK;
  r.of_source = formats[0] == of_source;
  r.sampled = formats[0] == sampled;
  for (size_t i = 0; i < count && !status; i++) status = prepare_rows(&r, i, formats[i], metrics_are_there(s), error);
  if (!status) status = read_all(&r, error);
  reader_deinit(&r);
  return status;
}

xt_status xt_store_read(xt_store *s, xt_status (*row)(void *user, const xt_store_row *row, xt_error *error), void *user, xt_error *error) {
  return s->schema.empty ? XT_STATUS_OK : read_rows(s, (const char *const[]){untouched, transplanted}, 2, row, user, error);
}

xt_status xt_store_read_sources(xt_store *s, xt_status (*row)(void *user, const xt_store_row *row, xt_error *error), void *user, xt_error *error) {
  return s->schema.has[TABLE_SOURCES] ? read_rows(s, (const char *const[]){of_source}, 1, row, user, error) : XT_STATUS_OK;
}

xt_status xt_store_read_samples(xt_store *s, xt_status (*row)(void *user, const xt_store_row *row, xt_error *error), void *user, xt_error *error) {
  return s->schema.has[TABLE_SAMPLES] ? read_rows(s, (const char *const[]){sampled}, 1, row, user, error) : XT_STATUS_OK;
}

xt_status xt_store_read_selections(xt_store *s, xt_status (*row)(void *user, const xt_store_row *row, xt_error *error), void *user, xt_error *error) {
  return metrics_are_there(s) ? read_rows(s, (const char *const[]){selected}, 1, row, user, error) : XT_STATUS_OK;
}
