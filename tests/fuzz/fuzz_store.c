/* SPDX-License-Identifier: Apache-2.0 */
/* Results files, in memory: any bytes; and a right schema whose values are anything. */
#include <math.h>
#include <stdio.h>

#include "fuzz.h"
#include "fuzz_statements.h"
#include "store_reading.h"

void fuzz_store_bytes(const uint8_t *data, size_t size) {
  xt_store *store;
  xt_error error;
  sqlite3 *db = database_of(data, size);
  if (db) harden(db);
  if (db && store_open_handle(db, size, &store, &error) == XT_STATUS_OK) {
    read_some(store, data, size);
    xt_store_close(store);
  }
  sqlite3_close(db);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Changes to a right store, four bytes each (table, column, row, value); what follows them is text
 * for values, too. */
typedef struct Target {
  const char *table, *key;
  int columns;
  const char *const *names;
} Target;

#define NAMES(...) \
  (const char *const[]) { __VA_ARGS__ }
#define COUNT_OF(...) (int)(sizeof(const char *const[]){__VA_ARGS__} / sizeof(char *))
#define TARGET(name, column, ...) \
  { name, column, COUNT_OF(__VA_ARGS__), NAMES(__VA_ARGS__) }
static const Target targets[] = {
    TARGET("settings", "name", "value"),
    TARGET("runs", "id", "id", "started", "provenance"),
    TARGET("instances", "id", "id", "key", "task", "lang", "source_lang", "number", "doc_id",
           "source", "target", "gold", "choices", "source_ids", "target_ids"),
    TARGET("texts", "id", "id", "ids", "text"),
    TARGET("vanilla", "instance", "instance", "text", "margin", "entropy", "mean_entropy",
           "mean_logprob", "run"),
    TARGET("sources", "instance", "instance", "text", "margin", "entropy", "mean_entropy",
           "mean_logprob", "run"),
    TARGET("responses", "instance", "instance", "site", "source_layer", "target_layer", "text",
           "margin", "entropy", "mean_entropy", "mean_logprob", "run"),
    TARGET("text_metrics", "text", "text", "name", "value"),
    TARGET("pair_metrics", "instance", "instance", "text", "name", "value"),
    TARGET("selections", "instance", "strategy", "site", "instance", "source_layer",
           "target_layer"),
    TARGET("samples", "instance", "instance", "temperature", "top_p", "seed", "number", "text",
           "mean_logprob"),
    TARGET("plans", "id", "task", "lang", "source_lang", "cot", "dataset", "too_long", "sites",
           "source_layers", "target_layers", "questions"),
};
static const char *const setting_names[] = {"layers", "max_new_tokens", "repetition_penalty",
                                            "ignore_eos", "model_name"};

static void bind_value(sqlite3_stmt *s, int index, uint8_t kind, const uint8_t *rest, size_t left) {
  static const sqlite3_int64 integers[] = {
      0,     -1,         1,          2,          3,          255,       256,
      65536, 2147483647, 2147483648, 4294967295, 4294967296, INT64_MAX, INT64_MIN};
  static const double reals[] = {0.0, -1.5, 1e308, -1e308, 1e-300, 0.5};
  static const char *const texts[] = {
      "",    "vanilla", "source", "ffn", "attn-released", "facts", "xnli", "{}", "{\"1\":1}", "[",
      "0,1", "0,2",     ",",      "en",  "coarse",        "none"};
  const uint8_t n = kind >> 3;
  switch (kind & 7) {
    case 0: sqlite3_bind_null(s, index); break;
    case 1:
    case 2: sqlite3_bind_int64(s, index, integers[n % (sizeof integers / sizeof *integers)]); break;
    case 3:
      sqlite3_bind_double(s, index, n == 31 ? HUGE_VAL : reals[n % (sizeof reals / sizeof *reals)]);
      break;
    case 4:
      sqlite3_bind_text(s, index, texts[n % (sizeof texts / sizeof *texts)], -1, SQLITE_STATIC);
      break;
    case 5:
      sqlite3_bind_text(s, index, (const char *)rest, (int)(left < 64 ? left : 64), SQLITE_STATIC);
      break;
    case 6: sqlite3_bind_blob(s, index, rest, (int)(left < 64 ? left : 64), SQLITE_STATIC); break;
    default: sqlite3_bind_int64(s, index, n); break;
  }
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) abort();
  return statement;
}

static void change(sqlite3 *db, const uint8_t *data, size_t left) {
  const Target *t = &targets[data[0] % (sizeof targets / sizeof *targets)];
  const int column = data[1] % t->columns;
  const bool settings = t == targets, take = !settings && data[2] >= 250;
  char sql[200];
  if (take)
    snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s = ?2 OR ?1 IS NULL", t->table, t->key);
  else
    snprintf(sql, sizeof sql, "UPDATE OR REPLACE %s SET %s = ?1 WHERE %s = ?2", t->table,
             t->names[column], t->key);
  sqlite3_stmt *s = prepare(db, sql);
  bind_value(s, 1, data[3], data + 4, left - 4);
  if (settings)
    sqlite3_bind_text(s, 2, setting_names[data[2] % 5], -1, SQLITE_STATIC);
  else
    sqlite3_bind_int(s, 2, data[2] % 5);
  sqlite3_step(s);
  sqlite3_finalize(s);
}

/* Refused, and no matter, where SQLite is in use already. */
static void configure(void) {
  sqlite3_config(SQLITE_CONFIG_SINGLETHREAD); /* quicker by a third */
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* The right store, of which every execution changes some values, and takes the changes back when
 * they have been read. One database for all of them: its schema is read once, and statements are
 * prepared once. */
static sqlite3 *open_right(size_t *size) {
  configure();
  sqlite3_int64 bytes;
  unsigned char *right = right_store(&bytes);
  if (!right) abort();
  *size = (size_t)bytes;
  sqlite3 *from = database_of(right, *size), *to;
  if (!from || sqlite3_open_v2(":memory:", &to, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) abort();
  /* one that can roll back: a deserialised one can not */
  sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
  if (!backup || sqlite3_backup_step(backup, -1) != SQLITE_DONE ||
      sqlite3_backup_finish(backup) != SQLITE_OK)
    abort();
  sqlite3_close(from);
  sqlite3_free(right);
  harden(to);
  statements_keep(to);
  return to;
}

/* Tables of the analysis go by the layers' square, and would take most of the time (test_memory has
 * wide stores). */
static const char few_layers[] = "UPDATE settings SET value = '9' WHERE name = 'layers' AND "
                                 "CAST(value AS INTEGER) BETWEEN 10 AND 256";

static void run(sqlite3 *db, const char *sql) {
  sqlite3_stmt *s = prepare(db, sql);
  if (sqlite3_step(s) != SQLITE_DONE || sqlite3_finalize(s) != SQLITE_OK) abort();
}

void fuzz_store_rows(const uint8_t *data, size_t size) {
  static sqlite3 *db;
  static size_t right_size;
  xt_store *store;
  xt_error error;
  if (!db) db = open_right(&right_size);
  run(db, "BEGIN");
  for (size_t at = 0; at + 4 <= size && at < 32; at += 4) change(db, data + at, size - at);
  run(db, few_layers);
  if (store_open_handle(db, right_size, &store, &error) == XT_STATUS_OK) {
    read_some(store, data, size);
    xt_store_close(store);
  }
  if (statements_lent()) abort(); /* one was left open */
  run(db, "ROLLBACK");
}
