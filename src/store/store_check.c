/* SPDX-License-Identifier: Apache-2.0 */
/* A store's values, all of them, by the checks that its readers make (columns.c): merge copies
 * values within SQLite, where nobody looks at them. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/store_effects.h"
#include "store/store_metrics.h"
#include "store/store_options.h"
#include "store/store_plans.h"
#include "store/store_selections.h"

/* Sums of two runs' numbers must be one, too. */
#define RUN_MOST (INT64_C(1) << 40)

typedef enum ColumnKind {
  COLUMN_ID,
  COLUMN_RUN,
  COLUMN_COUNT,   /* an integer from 0 */
  COLUMN_INTEGER, /* any */
  COLUMN_SMALL,   /* of 31 bits */
  COLUMN_LAYER,
  COLUMN_ANY_LAYER, /* -1: none */
  COLUMN_TEXT,
  COLUMN_TEXT_OR_NULL,
  COLUMN_WORDS, /* any characters, or null */
  COLUMN_KEY,
  COLUMN_SITE,
  COLUMN_RUN_SITE, /* "vanilla" and "source", too */
  COLUMN_ANSWERS,
  COLUMN_NUMBERS,
  COLUMN_SUMS,
  COLUMN_CHOICES,
  COLUMN_IDS,
  COLUMN_REAL,
  COLUMN_REAL_OR_NONE,
  COLUMN_METRIC /* of the name in the column before it */
} ColumnKind;

#define TABLE_COLUMNS_MOST 12
typedef struct TableColumns {
  StoreTable table;
  const char *name;
  int keys;        /* how many of the columns, from the first on, name the row */
  bool references; /* its rows belong to a question and a text */
  struct {
    const char *name;
    ColumnKind kind;
  } columns[TABLE_COLUMNS_MOST]; /* ends with a NULL name, or is full */
} TableColumns;

#define NUMBERS                                                                       \
  {"margin", COLUMN_REAL_OR_NONE}, {"entropy", COLUMN_REAL_OR_NONE},                  \
      {"mean_entropy", COLUMN_REAL_OR_NONE}, {"mean_logprob", COLUMN_REAL_OR_NONE}, { \
    "run", COLUMN_RUN                                                                 \
  }

static const TableColumns checked[] = {
    {TABLE_SETTINGS, "settings", 1, false, {{"name", COLUMN_TEXT}, {"value", COLUMN_TEXT}}},
    {TABLE_RUNS,
     "runs",
     1,
     false,
     {{"id", COLUMN_RUN}, {"started", COLUMN_TEXT}, {"provenance", COLUMN_TEXT}}},
    {TABLE_INSTANCES,
     "instances",
     2,
     false,
     {{"id", COLUMN_ID},
      {"key", COLUMN_KEY},
      {"task", COLUMN_TEXT},
      {"lang", COLUMN_TEXT},
      {"source_lang", COLUMN_TEXT},
      {"number", COLUMN_COUNT},
      {"doc_id", COLUMN_TEXT},
      {"source", COLUMN_TEXT},
      {"target", COLUMN_TEXT},
      {"gold", COLUMN_TEXT_OR_NULL},
      {"choices", COLUMN_CHOICES},
      {"source_ids", COLUMN_IDS}}},
    {TABLE_INSTANCES, "instances", 1, false, {{"id", COLUMN_ID}, {"target_ids", COLUMN_IDS}}},
    {TABLE_TEXTS,
     "texts",
     1,
     false,
     {{"id", COLUMN_ID}, {"ids", COLUMN_IDS}, {"text", COLUMN_WORDS}}},
    {TABLE_VANILLA, "vanilla", 1, true, {{"instance", COLUMN_ID}, {"text", COLUMN_ID}, NUMBERS}},
    {TABLE_SOURCES, "sources", 1, true, {{"instance", COLUMN_ID}, {"text", COLUMN_ID}, NUMBERS}},
    {TABLE_RESPONSES,
     "responses",
     4,
     true,
     {{"instance", COLUMN_ID},
      {"site", COLUMN_SITE},
      {"source_layer", COLUMN_LAYER},
      {"target_layer", COLUMN_LAYER},
      {"text", COLUMN_ID},
      NUMBERS}},
    {TABLE_SAMPLES,
     "samples",
     5,
     true,
     {{"instance", COLUMN_ID},
      {"temperature", COLUMN_REAL},
      {"top_p", COLUMN_REAL},
      {"seed", COLUMN_INTEGER},
      {"number", COLUMN_SMALL},
      {"text", COLUMN_ID},
      {"mean_logprob", COLUMN_REAL_OR_NONE},
      {"run", COLUMN_RUN}}},
    {TABLE_TEXT_METRICS,
     "text_metrics",
     2,
     false,
     {{"text", COLUMN_ID}, {"name", COLUMN_TEXT}, {"value", COLUMN_METRIC}}},
    {TABLE_PAIR_METRICS,
     "pair_metrics",
     3,
     false,
     {{"instance", COLUMN_ID},
      {"text", COLUMN_ID},
      {"name", COLUMN_TEXT},
      {"value", COLUMN_METRIC}}},
    {TABLE_TRACKED, "tracked", 1, false, {{"instance", COLUMN_ID}, {"answers", COLUMN_ANSWERS}}},
    {TABLE_EFFECTS,
     "effects",
     4,
     false,
     {{"instance", COLUMN_ID},
      {"site", COLUMN_RUN_SITE},
      {"source_layer", COLUMN_ANY_LAYER},
      {"target_layer", COLUMN_ANY_LAYER},
      {"numbers", COLUMN_NUMBERS}}},
    {TABLE_OPTION_SCORES,
     "option_scores",
     4,
     false,
     {{"instance", COLUMN_ID},
      {"site", COLUMN_RUN_SITE},
      {"source_layer", COLUMN_ANY_LAYER},
      {"target_layer", COLUMN_ANY_LAYER},
      {"sums", COLUMN_SUMS}}},
};

static int column_count(const TableColumns *t) {
  int count = 0;
  while (count < TABLE_COLUMNS_MOST && t->columns[count].name) count++;
  return count;
}

static void check_key(Columns *c, int at, const char *name) {
  const char *key = column_text(c, at, name);
  if (c->status == XT_STATUS_OK && strlen(key) != STORE_KEY_SIZE - 1)
    c->status =
        db_damaged(c->db, c->table, c->error, "a question's key has %zu digits", strlen(key));
}

static void check_choices(Columns *c, int at, const char *name) {
  json_t *json;
  const char *text = column_text_or_null(c, at, name);
  if (c->status != XT_STATUS_OK || !text || !text[0]) return;
  c->status = json_parse(text, strlen(text), c->db->path, &json, c->error);
  if (c->status != XT_STATUS_OK) return;
  if (!json_is_object(json))
    c->status = db_damaged(c->db, c->table, c->error, "choices are not a JSON object");
  json_decref(json);
}

static void check_run_site(Columns *c, const char *site) {
  if (strcmp(site, "vanilla") != 0 && strcmp(site, "source") != 0) store_check_site(c, site);
}

static void check_value(Columns *c, const TableColumns *t, int at, int layers) {
  const char *name = t->columns[at].name;
  size_t size;
  switch (t->columns[at].kind) {
    case COLUMN_ID: column_integer(c, at, name, 1, ID_MOST); break;
    case COLUMN_RUN: column_integer(c, at, name, 1, RUN_MOST); break;
    case COLUMN_COUNT: column_integer(c, at, name, 0, ID_MOST); break;
    case COLUMN_INTEGER: column_integer(c, at, name, INT64_MIN, INT64_MAX); break;
    case COLUMN_SMALL: column_integer(c, at, name, 0, INT32_MAX); break;
    case COLUMN_LAYER: column_integer(c, at, name, 0, layers - 1); break;
    case COLUMN_ANY_LAYER: column_integer(c, at, name, -1, layers - 1); break;
    case COLUMN_TEXT: column_text(c, at, name); break;
    case COLUMN_TEXT_OR_NULL: column_text_or_null(c, at, name); break;
    case COLUMN_WORDS: column_any_text(c, at, name, &size); break;
    case COLUMN_KEY: check_key(c, at, name); break;
    case COLUMN_SITE: store_check_site(c, column_text(c, at, name)); break;
    case COLUMN_RUN_SITE: check_run_site(c, column_text(c, at, name)); break;
    case COLUMN_ANSWERS: effects_check_answers(c, at, name); break;
    case COLUMN_NUMBERS: effects_check_numbers(c, at, name); break;
    case COLUMN_SUMS: options_check_sums(c, at, name); break;
    case COLUMN_CHOICES: check_choices(c, at, name); break;
    case COLUMN_IDS: column_id_count(c, at, name); break;
    case COLUMN_REAL: column_real(c, at, name); break;
    case COLUMN_REAL_OR_NONE: column_real_or_none(c, at, name); break;
    case COLUMN_METRIC: metrics_check(c, column_text(c, at - 1, "name"), at); break;
  }
}

/* Adds to the error which row it is. */
static void name_row(const TableColumns *t, sqlite3_stmt *row, xt_error *error) {
  for (int k = 0; error && k < t->keys; k++) {
    const size_t used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, "%s%s %.40s",
             k ? ", " : ", in the row of ", t->columns[k].name, db_text(row, k));
  }
}

static xt_status check_row(Columns *c, const TableColumns *t, int count, int layers) {
  for (int i = 0; i < count && c->status == XT_STATUS_OK; i++) check_value(c, t, i, layers);
  if (c->status == XT_STATUS_OK && t->references && !sqlite3_column_int(c->statement, count))
    c->status = db_damaged(c->db, t->name, c->error, "its question or its text is not there");
  if (c->status == XT_STATUS_INPUT) name_row(t, c->statement, c->error);
  return c->status;
}

static xt_status check_table(xt_store *s, const TableColumns *t, xt_error *error) {
  static const char both[] = ", EXISTS(SELECT 1 FROM instances i WHERE i.id = r.instance) AND "
                             "EXISTS(SELECT 1 FROM texts t WHERE t.id = r.text)";
  char sql[512] = "SELECT ";
  const int count = column_count(t);
  sqlite3_stmt *statement;
  bool row;
  xt_status status;
  for (int i = 0; i < count; i++)
    snprintf(sql + strlen(sql), sizeof sql - strlen(sql), "%sr.%s", i ? ", " : "",
             t->columns[i].name);
  snprintf(sql + strlen(sql), sizeof sql - strlen(sql), "%s FROM %s r", t->references ? both : "",
           t->name);
  TRY(db_prepare(&s->db, sql, &statement, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    Columns c = columns_of(&s->db, statement, t->name, error);
    TRY_DONE(check_row(&c, t, count, store_layers(s)));
  }
done:
  sqlite3_finalize(statement);
  return status;
}

xt_status store_check_values(xt_store *s, xt_error *error) {
  for (size_t i = 0; i < sizeof checked / sizeof *checked; i++)
    if (s->schema.has[checked[i].table]) TRY(check_table(s, &checked[i], error));
  TRY(selections_read(s, NULL, NULL, error));
  return plans_read(s, NULL, NULL, error);
}
