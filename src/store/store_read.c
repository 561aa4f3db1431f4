/* Responses, out: in an order of their content alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/store_parts.h"

xt_status xt_store_get_info(xt_store *s, xt_store_info *info, xt_error *error) {
  static const char *const counts[] = {"SELECT count(*) FROM instances", "SELECT count(*) FROM responses", "SELECT count(*) FROM vanilla",
                                       "SELECT count(*) FROM texts", "SELECT count(*) FROM runs"};
  *info = (xt_store_info){.path = s->db.path, .model_hash = s->settings.of[STORE_MODEL_HASH], .model_name = s->model_name, .compute = s->settings.of[STORE_COMPUTE],
                          .layers = atoi(s->settings.of[STORE_LAYERS]), .max_new_tokens = atoi(s->settings.of[STORE_MAX_NEW_TOKENS]),
                          .repetition_penalty = strtod(s->settings.of[STORE_PENALTY], NULL), .ignore_eos = s->settings.of[STORE_IGNORE_EOS][0] == '1'};
  int64_t *const out[] = {&info->questions, &info->responses, &info->vanilla, &info->texts, &info->runs};
  for (size_t i = 0; i < sizeof out / sizeof *out && !s->empty; i++) TRY(db_number(&s->db, counts[i], out[i], error));
  return XT_STATUS_OK;
}

typedef struct Reader {
  xt_store *store;
  sqlite3_stmt *questions, *vanilla, *responses;
  xt_question question;
  const xt_task *task;
  xt_choice *choices; /* of the question; their strings lie in `json` */
  json_t *json;
  char key[STORE_KEY_SIZE];
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

/* Columns: ids, text, margin, entropy, mean_entropy, mean_logprob, number of the text, site, source_layer, target_layer. */
static xt_status give_row(Reader *r, sqlite3_stmt *s, bool vanilla, xt_error *error) {
  xt_store_row row = {.question = &r->question, .site = vanilla ? "vanilla" : db_text(s, 7), .correct = -1,
                      .source_layer = vanilla ? -1 : sqlite3_column_int(s, 8), .target_layer = vanilla ? -1 : sqlite3_column_int(s, 9),
                      .margin = sqlite3_column_double(s, 2), .entropy = sqlite3_column_double(s, 3),
                      .mean_entropy = sqlite3_column_double(s, 4), .mean_logprob = sqlite3_column_double(s, 5),
                      .question_number = sqlite3_column_int64(r->questions, 0), .text_number = sqlite3_column_int64(s, 6)};
  row.ids = sqlite3_column_blob(s, 0);
  row.count = (size_t)sqlite3_column_bytes(s, 0) / sizeof *row.ids;
  if (sqlite3_column_type(s, 1) != SQLITE_NULL) {
    row.text = db_text(s, 1);
    row.text_length = (size_t)sqlite3_column_bytes(s, 1);
  }
  response_id(r, &row, row.id);
  if (r->task && r->question.gold && row.text) {
    bool correct;
    TRY(xt_task_score(r->task, r->question.choices, r->question.choice_count, row.text, row.text_length, r->question.gold, &correct, error));
    row.correct = correct;
  }
  return r->row(r->user, &row, error);
}

static xt_status give_rows(Reader *r, sqlite3_stmt *statement, bool vanilla, xt_error *error) {
  const Db *db = &r->store->db;
  bool more;
  xt_status status;
  sqlite3_bind_int64(statement, 1, sqlite3_column_int64(r->questions, 0));
  do {
    status = db_step(db, statement, &more, "cannot read", error);
    if (!status && more) status = give_row(r, statement, vanilla, error);
  } while (!status && more);
  sqlite3_reset(statement);
  return status;
}

xt_status xt_store_read(xt_store *s, xt_status (*row)(void *user, const xt_store_row *row, xt_error *error), void *user, xt_error *error) {
  static const char by_question[] =
      "SELECT id, key, task, lang, source_lang, number, doc_id, source, target, gold, choices FROM instances"
      " ORDER BY task, lang, source_lang, number, doc_id, key";
  static const char untouched[] =
      "SELECT t.ids, t.text, margin, entropy, mean_entropy, mean_logprob, t.id FROM vanilla JOIN texts t ON t.id = vanilla.text WHERE instance = ?1";
  static const char transplanted[] =
      "SELECT t.ids, t.text, margin, entropy, mean_entropy, mean_logprob, t.id, site, source_layer, target_layer FROM responses"
      " JOIN texts t ON t.id = responses.text WHERE instance = ?1 ORDER BY site, source_layer, target_layer";
  Reader r = {.store = s, .row = row, .user = user};
  bool more;
  xt_status status;
  if (s->empty) return XT_STATUS_OK;
  TRY_DONE(db_prepare(&s->db, by_question, &r.questions, error));
  TRY_DONE(db_prepare(&s->db, untouched, &r.vanilla, error));
  TRY_DONE(db_prepare(&s->db, transplanted, &r.responses, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, r.questions, &more, "cannot read", error));
    if (!more) break;
    TRY_DONE(read_question(&r, error));
    TRY_DONE(give_rows(&r, r.vanilla, true, error));
    TRY_DONE(give_rows(&r, r.responses, false, error));
  }
done:
  sqlite3_finalize(r.questions);
  sqlite3_finalize(r.vanilla);
  sqlite3_finalize(r.responses);
  forget_choices(&r);
  return status;
}
