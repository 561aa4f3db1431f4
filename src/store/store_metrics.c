/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The rows of the tables that hold a metric's values. */
static const char *const names[XT_METRIC_COUNT] = {[XT_METRIC_STANDALONE] = "nll_standalone",
                                                   [XT_METRIC_CONDITIONAL] = "nll_conditional",
                                                   [XT_METRIC_LANGUAGE] = "lang"};
#define LANGUAGE_PROBABILITY "lang_probability"
#define LANGID_SETTING "langid_hash"

xt_status metrics_make_tables(xt_store *s, xt_error *error) {
  if (s->schema.empty)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1,
                   "the store has no responses yet");
  return store_make_tables(s, error);
}

void metrics_check(Columns *c, const char *name, int column) {
  bool measured;
  if (strcmp(name, names[XT_METRIC_LANGUAGE]) == 0) column_text_or_null(c, column, name);
  if (strcmp(name, LANGUAGE_PROBABILITY) == 0) column_real_or_none(c, column, name);
  if (strcmp(name, names[XT_METRIC_STANDALONE]) == 0 ||
      strcmp(name, names[XT_METRIC_CONDITIONAL]) == 0)
    column_metric(c, column, name, &measured);
}

/* ---- what is missing ------------------------------------------------------------------------- */

static const char unmeasured_texts[] = "FROM texts t WHERE t.id > ?1 AND NOT EXISTS (SELECT 1 FROM "
                                       "text_metrics m WHERE m.text = t.id AND m.name = ?2)";
static const char unmeasured_pairs[] =
    "FROM instances i JOIN (SELECT instance, text FROM vanilla UNION SELECT instance, text FROM "
    "responses) r ON r.instance = i.id JOIN texts t ON t.id = r.text"
    " WHERE i.id > ?1 AND NOT EXISTS (SELECT 1 FROM pair_metrics m WHERE m.instance = i.id AND "
    "m.text = t.id AND m.name = ?2)";
/* of one question */
static const char texts_of_question[] =
    "SELECT i.id, t.id, t.ids, t.text, i.target_ids FROM instances i JOIN"
    " (SELECT text FROM vanilla WHERE instance = ?1 UNION SELECT text FROM responses WHERE "
    "instance = ?1) r JOIN texts t ON t.id = r.text"
    " WHERE i.id = ?1 AND NOT EXISTS (SELECT 1 FROM pair_metrics m WHERE m.instance = ?1 AND "
    "m.text = t.id AND m.name = ?2) ORDER BY t.id LIMIT ?3";

xt_status xt_store_count_unmeasured(xt_store *s, xt_metric metric, uint64_t *count,
                                    xt_error *error) {
  const bool pairs = metric == XT_METRIC_CONDITIONAL;
  char sql[512];
  bool row;
  sqlite3_stmt *statement;
  *count = 0;
  if (s->schema.empty) return XT_STATUS_OK;
  if (metrics_exist(s))
    snprintf(sql, sizeof sql, "SELECT count(*) %s", pairs ? unmeasured_pairs : unmeasured_texts);
  else if (pairs)
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM (SELECT instance, text FROM vanilla UNION SELECT instance, text "
             "FROM responses)");
  else
    snprintf(sql, sizeof sql, "SELECT count(*) FROM texts");
  TRY(db_prepare(&s->db, sql, &statement, error));
  if (metrics_exist(s)) {
    db_bind_integer(&s->db, statement, 1, 0);
    db_bind_text(&s->db, statement, 2, names[metric]);
  }
  const xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row) *count = (uint64_t)sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return status;
}

static xt_status copy_ids(Columns *c, int column, const char *name, int32_t **out, size_t *count,
                          xt_error *error) {
  *count = column_id_count(c, column, name);
  TRY(c->status);
  TRY(MEM_ALLOC(out, *count, error));
  column_ids(c, column, name, *out, *count);
  return c->status;
}

/* Columns: question or 0, text, ids, words, prompt's ids. */
static xt_status add_item(const Db *db, MetricItems *out, sqlite3_stmt *statement,
                          xt_error *error) {
  Columns c = columns_of(db, statement, "texts", error);
  TRY(MEM_GROW(&out->items, &out->capacity, out->count + 1, error));
  MetricItem *item = &out->items[out->count++];
  *item = (MetricItem){.question = column_integer(&c, 0, "id", 0, ID_MOST),
                       .text = column_integer(&c, 1, "id", 1, ID_MOST)};
  TRY(copy_ids(&c, 2, "ids", &item->ids, &item->count, error));
  const char *words = column_any_text(&c, 3, "text", &item->length);
  TRY(c.status);
  if (words) TRY(mem_copy_text(&item->words, words, item->length, error));
  return item->question ? copy_ids(&c, 4, "target_ids", &item->prompt, &item->prompt_count, error)
                        : XT_STATUS_OK;
}

static xt_status read_items(xt_store *s, const char *sql, int64_t parameter, const char *name,
                            size_t most, MetricItems *out, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  xt_status status;
  TRY(db_prepare(&s->db, sql, &statement, error));
  db_bind_integer(&s->db, statement, 1, parameter);
  db_bind_text(&s->db, statement, 2, name);
  db_bind_integer(&s->db, statement, 3, (int64_t)most);
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    TRY_DONE(add_item(&s->db, out, statement, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}

/* *out: 0 if there is none. */
static xt_status question_after(xt_store *s, int64_t after, int64_t *out, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  TRY(db_prepare(&s->db, "SELECT min(id) FROM instances WHERE id > ?1", &statement, error));
  db_bind_integer(&s->db, statement, 1, after);
  const xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status) *out = sqlite3_column_int64(statement, 0); /* a null is read as 0 */
  sqlite3_finalize(statement);
  return status;
}

static xt_status next_pairs(xt_store *s, size_t most, int64_t *after, MetricItems *out,
                            xt_error *error) {
  while (out->count < most) {
    int64_t question;
    TRY(question_after(s, *after, &question, error));
    if (question == 0) return XT_STATUS_OK;
    if (question <= *after) /* a damaged file, in which the search would never end */
      return db_damaged(&s->db, "instances", error, "question %lld follows question %lld",
                        (long long)question, (long long)*after);
    TRY(read_items(s, texts_of_question, question, names[XT_METRIC_CONDITIONAL], most - out->count,
                   out, error));
    if (out->count < most) *after = question; /* else it may have more */
  }
  return XT_STATUS_OK;
}

xt_status metrics_next(xt_store *s, xt_metric metric, size_t most, int64_t *after, MetricItems *out,
                       xt_error *error) {
  char sql[400];
  metrics_clear(out);
  if (metric == XT_METRIC_CONDITIONAL) return next_pairs(s, most, after, out, error);
  snprintf(sql, sizeof sql, "SELECT 0, t.id, t.ids, t.text %s ORDER BY t.id LIMIT ?3",
           unmeasured_texts);
  TRY(read_items(s, sql, *after, names[metric], most, out, error));
  if (out->count) *after = out->items[out->count - 1].text;
  return XT_STATUS_OK;
}

void metrics_clear(MetricItems *items) {
  for (size_t i = 0; i < items->count; i++) {
    free(items->items[i].words);
    free(items->items[i].ids);
    free(items->items[i].prompt);
  }
  items->count = 0;
}

void metrics_free(MetricItems *items) {
  metrics_clear(items);
  free(items->items);
  *items = (MetricItems){0};
}

/* ---- adding ---------------------------------------------------------------------------------- */

static xt_status finish_value(xt_store *s, sqlite3_stmt *statement, xt_error *error) {
  TRY(db_do(&s->db, statement, error));
  store_mark_dirty(s);
  return xt_store_commit(s, STORE_COMMIT_SECONDS, error);
}

xt_status metrics_add_number(xt_store *s, xt_metric metric, const MetricItem *item, double value,
                             xt_error *error) {
  sqlite3_stmt *statement;
  const bool pair = metric == XT_METRIC_CONDITIONAL;
  TRY(store_statement(s, pair ? STORE_ADD_PAIR_METRIC : STORE_ADD_TEXT_METRIC, &statement, error));
  db_bind_integer(&s->db, statement, 1, item->text);
  db_bind_text(&s->db, statement, 2, names[metric]);
  db_bind_real(&s->db, statement, 3, value);
  if (pair) db_bind_integer(&s->db, statement, 4, item->question);
  return finish_value(s, statement, error);
}

xt_status metrics_add_language(xt_store *s, const MetricItem *item, const char *lang,
                               double probability, xt_error *error) {
  sqlite3_stmt *statement;
  TRY(store_statement(s, STORE_ADD_TEXT_METRIC, &statement, error));
  db_bind_integer(&s->db, statement, 1, item->text);
  db_bind_text(&s->db, statement, 2, LANGUAGE_PROBABILITY);
  db_bind_real(&s->db, statement, 3, probability);
  TRY(db_do(&s->db, statement, error));
  db_bind_text(&s->db, statement, 2, names[XT_METRIC_LANGUAGE]);
  db_bind_text(&s->db, statement, 3, lang);
  return finish_value(s, statement, error);
}

xt_status metrics_claim_langid(xt_store *s, const char *hash, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  char known[STORE_VALUE_SIZE] = "";
  TRY(db_prepare(&s->db, "SELECT value FROM settings WHERE name = '" LANGID_SETTING "'", &statement,
                 error));
  xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row) snprintf(known, sizeof known, "%s", db_text(statement, 0));
  sqlite3_finalize(statement);
  if (status) return status;
  if (known[0] && strcmp(known, hash) != 0)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, "lid", -1,
                   "the store's languages were identified with another fastText file, with hash "
                   "%.12s...; this file's hash is %.12s... Give that file",
                   known, hash);
  if (known[0]) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "INSERT INTO settings VALUES('" LANGID_SETTING "', ?1)", &statement,
                 error));
  db_bind_text(&s->db, statement, 1, hash);
  status = db_do(&s->db, statement, error);
  sqlite3_finalize(statement);
  store_mark_dirty(s);
  return status;
}
