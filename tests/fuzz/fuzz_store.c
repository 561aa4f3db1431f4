/* SPDX-License-Identifier: Apache-2.0 */
/* Results files, in memory: any bytes; and a right schema whose values are anything. */
#include <math.h>
#include <stdio.h>

#include "fuzz.h"
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

/* Statements are prepared once: those of a change by its table and column. */
enum { BEGIN, ROLLBACK, FEW_LAYERS, CHANGES, COLUMNS_MOST = 16 };
static sqlite3_stmt *prepared[CHANGES + 2 * COLUMNS_MOST * (sizeof targets / sizeof *targets)];
static int prepared_count;

static sqlite3_stmt *statement_of(sqlite3 *db, size_t which, const char *sql) {
  if (prepared[which]) return prepared[which];
  if (sqlite3_prepare_v2(db, sql, -1, &prepared[which], NULL) != SQLITE_OK) abort();
  prepared_count++;
  return prepared[which];
}

static void change(sqlite3 *db, const uint8_t *data, size_t left) {
  const size_t table = data[0] % (sizeof targets / sizeof *targets);
  const Target *t = &targets[table];
  const int column = data[1] % t->columns;
  const bool settings = t == targets, take = !settings && data[2] >= 250;
  char sql[200];
  if (take)
    snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s = ?2 OR ?1 IS NULL", t->table, t->key);
  else
    snprintf(sql, sizeof sql, "UPDATE OR REPLACE %s SET %s = ?1 WHERE %s = ?2", t->table,
             t->names[column], t->key);
  sqlite3_stmt *s = statement_of(
      db, CHANGES + (2 * table + take) * COLUMNS_MOST + (size_t)(take ? 0 : column), sql);
  bind_value(s, 1, data[3], data + 4, left - 4);
  if (settings)
    sqlite3_bind_text(s, 2, setting_names[data[2] % 5], -1, SQLITE_STATIC);
  else
    sqlite3_bind_int(s, 2, data[2] % 5);
  sqlite3_step(s);
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
}

/* SQLite's memory from lists of pieces that were given back: under the address sanitizer half of
 * the time was its allocator's, for what SQLite makes while it parses. Values are read out of
 * SQLite's pages, where the sanitizer sees nothing in any case. */
typedef union Piece {
  struct {
    int class;
    union Piece *next;
  } head;
  long double aligned;
} Piece;

enum { PIECE_LEAST = 32, PIECE_CLASSES = 22 };
static Piece *pieces[PIECE_CLASSES];

static int piece_class(int size) {
  int class = 0;
  while (class + 1 < PIECE_CLASSES && PIECE_LEAST << class < size) class ++;
  return class;
}

static int piece_size(void *memory) { return PIECE_LEAST << ((Piece *)memory - 1)->head.class; }

static void *piece_take(int size) {
  const int class = piece_class(size);
  Piece *p = pieces[class];
  if (PIECE_LEAST << class < size) return NULL;
  if (p)
    pieces[class] = p->head.next;
  else if (!(p = malloc(sizeof *p + ((size_t)PIECE_LEAST << class))))
    return NULL;
  p->head.class = class;
  return p + 1;
}

static void piece_give(void *memory) {
  Piece *p = (Piece *)memory - 1;
  p->head.next = pieces[p->head.class];
  pieces[p->head.class] = p;
}

static void *piece_resize(void *memory, int size) {
  if (size <= piece_size(memory)) return memory;
  void *more = piece_take(size);
  if (!more) return NULL;
  memcpy(more, memory, (size_t)piece_size(memory));
  piece_give(memory);
  return more;
}

static int piece_round(int size) {
  return size <= PIECE_LEAST << (PIECE_CLASSES - 1) ? PIECE_LEAST << piece_class(size) : size;
}
static int piece_begin(void *none) { return none ? SQLITE_ERROR : SQLITE_OK; }
static void piece_end(void *none) { (void)none; }

/* Refused, and no matter, where SQLite is in use already. */
static void configure(void) {
  static const sqlite3_mem_methods memory = {piece_take,  piece_give,  piece_resize, piece_size,
                                             piece_round, piece_begin, piece_end,    NULL};
  sqlite3_config(SQLITE_CONFIG_SINGLETHREAD); /* quicker by a third */
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
}

/* The right store, of which every execution changes some values, and takes the changes back when
 * they have been read. One database for all of them: its schema is read once. */
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
  return to;
}

/* Tables of the analysis go by the layers' square, and would take most of the time (test_memory has
 * wide stores). */
static const char few_layers[] = "UPDATE settings SET value = '9' WHERE name = 'layers' AND "
                                 "CAST(value AS INTEGER) BETWEEN 10 AND 256";

static void run(sqlite3 *db, size_t which, const char *sql) {
  sqlite3_stmt *s = statement_of(db, which, sql);
  if (sqlite3_step(s) != SQLITE_DONE || sqlite3_reset(s) != SQLITE_OK) abort();
}

static int statements_of(sqlite3 *db) {
  int count = 0;
  for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s; s = sqlite3_next_stmt(db, s)) count++;
  return count;
}

void fuzz_store_rows(const uint8_t *data, size_t size) {
  static sqlite3 *db;
  static size_t right_size;
  xt_store *store;
  xt_error error;
  if (!db) db = open_right(&right_size);
  run(db, BEGIN, "BEGIN");
  for (size_t at = 0; at + 4 <= size && at < 32; at += 4) change(db, data + at, size - at);
  run(db, FEW_LAYERS, few_layers);
  if (store_open_handle(db, right_size, &store, &error) == XT_STATUS_OK) {
    read_some(store, data, size);
    xt_store_close(store);
  }
  if (statements_of(db) != prepared_count) abort(); /* one was left open */
  run(db, ROLLBACK, "ROLLBACK");
}
