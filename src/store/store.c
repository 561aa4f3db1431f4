/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, the schema, transactions.
 *
 * The store uses a rollback journal and not a write-ahead log, because that works on network file
 * systems and leaves only one file. The writer keeps a transaction open all the time (RESERVED
 * lock), so that a second writer is refused at once, while readers see the last committed state. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/system.h"
#include "store/store_parts.h"
#include "text/utf8.h"

#define WRITER_BYTES (UINT64_C(4) << 20)
#define READER_PATIENCE \
  30000 /* milliseconds that a commit waits for readers, and a reader for a commit */

const char *const store_setting_names[STORE_SETTING_COUNT] = {
    [STORE_MODEL_HASH] = "model_hash",
    [STORE_LAYERS] = "layers",
    [STORE_COMPUTE] = "compute",
    [STORE_MAX_NEW_TOKENS] = "max_new_tokens",
    [STORE_PENALTY] = "repetition_penalty",
    [STORE_IGNORE_EOS] = "ignore_eos",
};

/* ---- opening --------------------------------------------------------------------------------- */

/* Checks that the settings are such as a sweep writes, because readers convert them to numbers. */
static xt_status check_settings(const xt_store *s, xt_error *error) {
  static const struct {
    StoreSetting setting;
    double low, high;
  } numbers[] = {{STORE_LAYERS, 1, XT_STORE_LAYERS_MOST},
                 {STORE_MAX_NEW_TOKENS, 0, 1e9},
                 {STORE_PENALTY, 0, 1e9},
                 {STORE_IGNORE_EOS, 0, 1}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const char *name = store_setting_names[numbers[i].setting],
               *text = s->settings.of[numbers[i].setting];
    char *end;
    const double value = number_read(text, &end);
    const bool whole = numbers[i].setting == STORE_PENALTY || floor(value) == value;
    if (end == text || *end || !(value >= numbers[i].low && value <= numbers[i].high) || !whole)
      return err_set(error, XT_STATUS_INPUT, s->db.path, name, -1,
                     "the store is damaged: this setting is \"%.40s\", not a number from %g to %g",
                     text, numbers[i].low, numbers[i].high);
  }
  return XT_STATUS_OK;
}

void store_copy_name(const char *name, char *out, size_t size) {
  const size_t length = strlen(name);
  size_t at = 0, n = 0;
  while (at < length) {
    size_t bad;
    const size_t whole = utf8_valid_prefix(name + at, length - at, &bad);
    for (size_t i = 0; i < whole && n + 1 < size; i++) out[n++] = name[at + i];
    if (bad && n + 1 < size) out[n++] = '?';
    at += whole + bad;
  }
  out[n] = 0;
  size_t bad;
  out[utf8_valid_prefix(out, n, &bad)] = 0; /* cut within a character */
}

static xt_status read_settings(xt_store *s, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  memset(&s->settings, 0, sizeof s->settings);
  if (s->schema.empty) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "SELECT name, value FROM settings", &statement, error));
  xt_status status;
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    const char *name = db_text(statement, 0), *value = db_text(statement, 1);
    for (int i = 0; i < STORE_SETTING_COUNT; i++)
      if (strcmp(store_setting_names[i], name) == 0)
        snprintf(s->settings.of[i], STORE_VALUE_SIZE, "%s", value);
    if (strcmp("model_name", name) == 0)
      store_copy_name(value, s->model_name, sizeof s->model_name);
  }
  TRY_DONE(check_settings(s, error));
done:
  sqlite3_finalize(statement);
  return status;
}

xt_status store_begin_transaction(xt_store *s, xt_error *error) {
  TRY(db_run(&s->db, "BEGIN IMMEDIATE", "cannot write", error));
  s->in_transaction = true;
  return XT_STATUS_OK;
}

/* The file may grow: what is not committed yet is not in the size that stat gives. */
static void bound_writer(xt_store *s) {
  struct stat file;
  db_bound_work(&s->db, (stat(s->db.path, &file) == 0 ? (uint64_t)file.st_size : 0) + WRITER_BYTES);
}

/* A writer that was killed in the middle of a commit leaves a journal, which the next process has
 * to roll back: this is the only case in which a reader needs to write. */
static xt_status open_reader(xt_store *s, const char *path, xt_error *error) {
  TRY(db_open(&s->db, path, SQLITE_OPEN_READONLY, error));
  sqlite3_busy_timeout(s->db.handle, READER_PATIENCE);
  const xt_status status = schema_read(&s->db, &s->schema, error);
  if (!status || sqlite3_extended_errcode(s->db.handle) != SQLITE_READONLY_ROLLBACK) return status;
  db_close(&s->db);
  TRY(db_open(&s->db, path, SQLITE_OPEN_READWRITE, error));
  sqlite3_busy_timeout(s->db.handle, READER_PATIENCE);
  return schema_read(&s->db, &s->schema, error);
}

/* No spilling, which would lock readers out. The commit, including the removal of the journal, must
 * also survive a power loss. */
static xt_status open_writer(xt_store *s, const char *path, xt_error *error) {
  TRY(db_open(&s->db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, error));
  bound_writer(s);
  TRY(db_run(&s->db, "PRAGMA cache_size = -65536; PRAGMA synchronous = EXTRA", "cannot open",
             error));
  TRY(store_begin_transaction(s, error));
  sqlite3_busy_timeout(s->db.handle, READER_PATIENCE);
  return schema_read(&s->db, &s->schema, error);
}

static xt_status open_store(xt_store *s, const char *path, xt_error *error) {
  const bool writes = s->mode == XT_STORE_WRITE;
  TRY(mem_copy_text(&s->db.path, path, strlen(path), error));
  s->fresh = !file_exists(path);
  if (s->fresh && !writes) {
    errno = ENOENT;
    return err_io(error, path, "cannot open");
  }
  TRY((writes ? open_writer : open_reader)(s, path, error));
  s->fresh = s->fresh && s->schema.empty;
  if (s->schema.empty && !writes)
    return err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                   "holds no results: the program that made it was stopped before its first "
                   "result");
  return read_settings(s, error);
}

xt_status xt_store_open(const char *path, xt_store_mode mode, xt_store **out, xt_error *error) {
  xt_store *s;
  *out = NULL;
  TRY(MEM_ALLOC(&s, 1, error));
  s->mode = mode;
  const xt_status status = open_store(s, path, error);
  if (status)
    xt_store_close(s);
  else
    *out = s;
  return status;
}

static xt_status enter_handle(xt_store *s, size_t size, xt_error *error) {
  TRY(mem_copy_text(&s->db.path, "memory", 6, error));
  db_watch(&s->db);
  db_bound_work(&s->db, size);
  TRY(schema_read(&s->db, &s->schema, error));
  if (s->schema.empty)
    return err_set(error, XT_STATUS_INPUT, s->db.path, NULL, -1, "holds no results");
  return read_settings(s, error);
}

xt_status store_open_handle(sqlite3 *handle, size_t size, xt_store **out, xt_error *error) {
  xt_store *s;
  *out = NULL;
  TRY(MEM_ALLOC(&s, 1, error));
  s->db = (Db){.handle = handle, .borrowed = true};
  const xt_status status = enter_handle(s, size, error);
  if (status)
    xt_store_close(s);
  else
    *out = s;
  return status;
}

void xt_store_close(xt_store *s) {
  if (!s) return;
  for (int i = 0; i < STORE_STATEMENT_COUNT; i++) sqlite3_finalize(s->statements[i]);
  if (s->in_transaction && s->fresh)
    unlink(s->db.path); /* while the lock prevents other processes from beginning it */
  if (s->in_transaction) sqlite3_exec(s->db.handle, "ROLLBACK", NULL, NULL, NULL);
  db_close(&s->db);
  free(s);
}

xt_status store_make_tables(xt_store *s, xt_error *error) {
  if (s->mode != XT_STORE_WRITE)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1,
                   "the store was opened for reading");
  for (int t = 0; t < STORE_TABLE_COUNT; t++) {
    if (s->schema.has[t]) continue;
    TRY(schema_make(&s->db, &s->schema, error));
    store_mark_dirty(s);
  }
  return XT_STATUS_OK;
}

/* ---- transactions ---------------------------------------------------------------------------- */

void store_mark_dirty(xt_store *s) {
  if (!s->dirty) s->dirty_since = system_seconds();
  s->dirty = true;
}

void xt_store_on_wait(xt_store *s, bool (*wait)(void *user, const xt_store_wait *wait),
                      void *user) {
  s->wait = wait;
  s->wait_user = user;
}

static bool give_up(xt_store *s, double now) {
  xt_store_wait wait = {.path = s->db.path, .seconds = now - s->waiting_since};
  char name[XT_STORE_NAME_SIZE] = "";
  if (!s->wait) return now - s->waiting_since > READER_PATIENCE / 1000.0;
  if (s->waiting_reported > 0 && now >= s->waiting_reported && now - s->waiting_reported < 0.9)
    return false;
  s->waiting_reported = now;
  wait.process = store_lock_holder(s->db.path, name);
  wait.name = name;
  return s->wait(s->wait_user, &wait);
}

/* Readers hold the file for milliseconds, but other programs may hold it for any time. Until they
 * release it nothing can be written, but what was added stays in memory: a commit that may happen
 * later is tried again then, and one that must happen now waits. */
static xt_status commit(xt_store *s, bool must, double now, bool *committed, xt_error *error) {
  for (*committed = false;;) {
    sqlite3_busy_timeout(s->db.handle, must ? 1000 : 20);
    s->db.steps = 0;
    const int code = sqlite3_exec(s->db.handle, "COMMIT", NULL, NULL, NULL);
    sqlite3_busy_timeout(s->db.handle, READER_PATIENCE);
    *committed = code == SQLITE_OK;
    if (*committed) return XT_STATUS_OK;
    if ((code & 0xff) != SQLITE_BUSY || sqlite3_get_autocommit(s->db.handle))
      return db_error(&s->db, code, "cannot write", error);
    if (s->waiting_since == 0) s->waiting_since = now;
    now = system_seconds();
    if (!must && now - s->waiting_since < 1) return XT_STATUS_OK;
    const bool stop = give_up(s, now);
    if (!must) return XT_STATUS_OK;
    if (stop)
      return err_set(error, XT_STATUS_IO, s->db.path, NULL, -1,
                     "cannot write: another process has been reading the store for %.0f s",
                     now - s->waiting_since);
  }
}

xt_status xt_store_commit(xt_store *s, double least_seconds, xt_error *error) {
  const double now = system_seconds();
  if (!s->dirty) return XT_STATUS_OK;
  if (now < s->dirty_since)
    s->dirty_since = now; /* commits must not be postponed because a clock was set back */
  if (least_seconds > 0 && now - s->dirty_since < least_seconds) return XT_STATUS_OK;
  bool committed;
  const xt_status status = commit(s, least_seconds <= 0, now, &committed, error);
  if (status) {
    sqlite3_exec(s->db.handle, "ROLLBACK", NULL, NULL, NULL);
    s->in_transaction = s->dirty = false;
    return status;
  }
  if (!committed) return XT_STATUS_OK;
  s->in_transaction = s->dirty = s->fresh = false;
  s->waiting_since = 0;
  bound_writer(s);
  return store_begin_transaction(s, error);
}

xt_status store_statement(xt_store *s, StoreStatement which, sqlite3_stmt **out, xt_error *error) {
  static const char *const sql[STORE_STATEMENT_COUNT] = {
      [STORE_FIND_QUESTION] = "SELECT id FROM instances WHERE key = ?1",
      [STORE_ADD_QUESTION] = "INSERT INTO instances(key, task, lang, source_lang, number, doc_id, "
                             "source, target, gold, choices, source_ids, target_ids)"
                             " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
      [STORE_FIND_RESPONSES] =
          "SELECT source_layer, target_layer FROM responses WHERE instance = ?1 AND site = ?2",
      [STORE_FIND_VANILLA] = "SELECT 1 FROM vanilla WHERE instance = ?1",
      [STORE_FIND_TEXT] = "SELECT id FROM texts WHERE ids = ?1",
      [STORE_ADD_TEXT] = "INSERT INTO texts(ids, text) VALUES(?1, ?2)",
      [STORE_ADD_RESPONSE] = "INSERT INTO responses(instance, text, margin, entropy, mean_entropy, "
                             "mean_logprob, run, site, source_layer, target_layer)"
                             " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON "
                             "CONFLICT(instance, site, source_layer, target_layer) DO NOTHING",
      [STORE_ADD_VANILLA] =
          "INSERT INTO vanilla(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(instance) DO NOTHING",
      [STORE_FIND_SOURCE] = "SELECT 1 FROM sources WHERE instance = ?1",
      [STORE_ADD_SOURCE] =
          "INSERT INTO sources(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(instance) DO NOTHING",
      [STORE_FIND_SAMPLES] = "SELECT number FROM samples WHERE instance = ?1 AND temperature = ?2 "
                             "AND top_p = ?3 AND seed = ?4",
      [STORE_ADD_SAMPLE] =
          "INSERT INTO samples(instance, temperature, top_p, seed, number, text, mean_logprob, run)"
          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(instance, temperature, top_p, seed, "
          "number) DO NOTHING",
      [STORE_ADD_PLAN] =
          "INSERT INTO plans(key, task, lang, source_lang, cot, dataset, too_long, sites, "
          "source_layers, target_layers, questions)"
          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(key) DO NOTHING",
      [STORE_FIND_TRACKED] = "SELECT answers FROM tracked WHERE instance = ?1",
      [STORE_ADD_TRACKED] = "INSERT INTO tracked(instance, answers) VALUES(?1, ?2)",
      [STORE_ADD_EFFECTS] = "INSERT INTO effects(instance, site, source_layer, target_layer, "
                            "numbers) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
      [STORE_ADD_OPTIONS] = "INSERT INTO option_scores(instance, site, source_layer, target_layer, "
                            "sums) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
      [STORE_ADD_TEXT_METRIC] =
          "INSERT OR REPLACE INTO text_metrics(text, name, value) VALUES(?1, ?2, ?3)",
      [STORE_ADD_PAIR_METRIC] =
          "INSERT OR REPLACE INTO pair_metrics(instance, text, name, value) VALUES(?4, ?1, ?2, ?3)",
      [STORE_FIND_SELECTION] =
          "SELECT source_layer, target_layer, responses FROM selections LEFT JOIN selection_costs "
          "USING(instance, strategy, site) WHERE instance = ?1 AND strategy = ?2 AND site = ?3",
      [STORE_ADD_SELECTION] = "INSERT OR REPLACE INTO selections(instance, strategy, site, "
                              "source_layer, target_layer) VALUES(?1, ?2, ?3, ?4, ?5)",
      [STORE_ADD_SELECTION_COST] = "INSERT OR REPLACE INTO selection_costs(instance, strategy, "
                                   "site, responses, tokens) VALUES(?1, ?2, ?3, ?4, ?5)",
  };
  if (!s->statements[which]) TRY(db_prepare(&s->db, sql[which], &s->statements[which], error));
  *out = s->statements[which];
  return XT_STATUS_OK;
}
