/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, the schema, settings, transactions.
 *
 * Why a rollback journal and not a write-ahead log: it works on network file systems, and leaves one file
 * behind. The writer keeps a transaction open all the time (RESERVED lock), so that a second writer is refused at once
 * while readers see what was committed last. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "files/hub_folder.h"
#include "model/model.h"
#include "store/store_parts.h"

#define READER_PATIENCE 30000 /* milliseconds that a commit waits for readers, and a reader for a commit */

const char *const store_setting_names[STORE_SETTING_COUNT] = {
    [STORE_MODEL_HASH] = "model_hash", [STORE_LAYERS] = "layers", [STORE_COMPUTE] = "compute",
    [STORE_MAX_NEW_TOKENS] = "max_new_tokens", [STORE_PENALTY] = "repetition_penalty", [STORE_IGNORE_EOS] = "ignore_eos",
};

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- opening ---------------------------------------------------------------------------------- */

/* That the settings are what a sweep writes: readers take them for numbers. */
static xt_status check_settings(const xt_store *s, xt_error *error) {
  static const struct { StoreSetting setting; double low, high; } numbers[] = {
      {STORE_LAYERS, 1, XT_STORE_LAYERS_MOST}, {STORE_MAX_NEW_TOKENS, 0, 1e9}, {STORE_PENALTY, 0, 1e9}, {STORE_IGNORE_EOS, 0, 1}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const char *name = store_setting_names[numbers[i].setting], *text = s->settings.of[numbers[i].setting];
    char *end;
    const double value = strtod(text, &end);
    const bool whole = numbers[i].setting == STORE_PENALTY || (double)(int)value == value;
    if (end == text || *end || !(value >= numbers[i].low && value <= numbers[i].high) || !whole)
      return err_set(error, XT_STATUS_INPUT, s->db.path, name, -1, "the store is damaged: this setting is \"%.40s\", not a number from %g to %g", text, numbers[i].low, numbers[i].high);
  }
  return XT_STATUS_OK;
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
    for (int i = 0; i < STORE_SETTING_COUNT; i++)
      if (strcmp(store_setting_names[i], db_text(statement, 0)) == 0)
        snprintf(s->settings.of[i], STORE_VALUE_SIZE, "%s", db_text(statement, 1));
    if (strcmp("model_name", db_text(statement, 0)) == 0) snprintf(s->model_name, sizeof s->model_name, "%s", db_text(statement, 1));
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

static xt_status open_store(xt_store *s, const char *path, xt_error *error) {
  const bool writes = s->mode == XT_STORE_WRITE;
  TRY(mem_copy_text(&s->db.path, path, strlen(path), error));
  s->fresh = !file_exists(path);
  if (s->fresh && !writes) {
    errno = ENOENT;
    return err_io(error, path, "cannot open");
  }
  /* Readers too: a journal that a killed writer left has to be rolled back by whoever comes first. */
  const int flags = SQLITE_OPEN_READWRITE | (writes ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path, &s->db.handle, flags, NULL);
  if (code != SQLITE_OK) return db_error(&s->db, code, "cannot open", error);
  if (writes) {
    TRY(db_run(&s->db, "PRAGMA cache_size = -65536", "cannot open", error)); /* no spilling, which would lock readers out */
    TRY(store_begin_transaction(s, error));
  }
  sqlite3_busy_timeout(s->db.handle, READER_PATIENCE);
  TRY(schema_read(&s->db, &s->schema, error));
  s->fresh = s->fresh && s->schema.empty;
  if (s->schema.empty && !writes) return err_set(error, XT_STATUS_INPUT, path, NULL, -1, "holds no results: whatever began it was stopped before its first");
  return read_settings(s, error);
}

xt_status xt_store_open(const char *path, xt_store_mode mode, xt_store **out, xt_error *error) {
  xt_store *s;
  *out = NULL;
  TRY(mem_alloc(&s, 1, sizeof *s, error));
  s->mode = mode;
  const xt_status status = open_store(s, path, error);
  if (status) xt_store_close(s);
  else *out = s;
  return status;
}

void xt_store_close(xt_store *s) {
  if (!s) return;
  for (int i = 0; i < STORE_STATEMENT_COUNT; i++) sqlite3_finalize(s->statements[i]);
  if (s->in_transaction && s->fresh) unlink(s->db.path); /* while the lock keeps others from having begun it */
  if (s->in_transaction) sqlite3_exec(s->db.handle, "ROLLBACK", NULL, NULL, NULL);
  sqlite3_close(s->db.handle);
  free(s->db.path);
  free(s);
}

xt_status store_make_tables(xt_store *s, xt_error *error) {
  if (s->mode != XT_STORE_WRITE) return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1, "the store was opened for reading");
  for (int t = 0; t < STORE_TABLE_COUNT; t++) {
    if (s->schema.has[t]) continue;
    TRY(schema_make(&s->db, &s->schema, error));
    store_touched(s);
  }
  return XT_STATUS_OK;
}

/* ---- settings --------------------------------------------------------------------------------- */

static void settings_text(const xt_model *model, const char *hash, const xt_store_settings *settings,
                          StoreTexts *texts) {
  xt_model_info info;
  xt_model_get_info(model, &info);
  const double penalty = settings->repetition_penalty > 0 ? settings->repetition_penalty : info.repetition_penalty;
  snprintf(texts->of[STORE_MODEL_HASH], STORE_VALUE_SIZE, "%s", hash);
  snprintf(texts->of[STORE_LAYERS], STORE_VALUE_SIZE, "%d", info.layers);
  snprintf(texts->of[STORE_COMPUTE], STORE_VALUE_SIZE, "%s", settings->compute == XT_COMPUTE_BF16 ? "bf16" : "f32");
  snprintf(texts->of[STORE_MAX_NEW_TOKENS], STORE_VALUE_SIZE, "%d", settings->max_new_tokens);
  snprintf(texts->of[STORE_PENALTY], STORE_VALUE_SIZE, "%.9g", penalty);
  snprintf(texts->of[STORE_IGNORE_EOS], STORE_VALUE_SIZE, "%d", settings->ignore_eos);
}

xt_status xt_store_check(const xt_store *s, const xt_model *model, const char *hash, const xt_store_settings *settings, xt_error *error) {
  StoreTexts wanted;
  if (!s->settings.of[STORE_MODEL_HASH][0]) return XT_STATUS_OK;
  settings_text(model, hash, settings, &wanted);
  if (strcmp(s->settings.of[STORE_MODEL_HASH], wanted.of[STORE_MODEL_HASH]) != 0)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, "model", -1,
                   "the store has results of another model: %s, hash %.12s...; this one's is %.12s... Give that model, or another results file",
                   s->model_name, s->settings.of[STORE_MODEL_HASH], wanted.of[STORE_MODEL_HASH]);
  for (int i = 0; i < STORE_SETTING_COUNT; i++)
    if (strcmp(s->settings.of[i], wanted.of[i]) != 0)
      return err_set(error, XT_STATUS_ARGUMENT, s->db.path, store_setting_names[i], -1,
                     "the store's results were made with %s, not %s. Give the same, or another results file", s->settings.of[i], wanted.of[i]);
  return XT_STATUS_OK;
}

xt_status store_write_settings(xt_store *s, xt_error *error) {
  sqlite3_stmt *statement;
  TRY(db_prepare(&s->db, "INSERT OR REPLACE INTO settings VALUES(?1, ?2)", &statement, error));
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i <= STORE_SETTING_COUNT && !status; i++) {
    db_bind_text(statement, 1, i < STORE_SETTING_COUNT ? store_setting_names[i] : "model_name");
    db_bind_text(statement, 2, i < STORE_SETTING_COUNT ? s->settings.of[i] : s->model_name);
    status = db_do(&s->db, statement, error);
  }
  sqlite3_finalize(statement);
  return status;
}

static xt_status add_run(xt_store *s, const char *provenance, xt_error *error) {
  sqlite3_stmt *statement;
  TRY(db_prepare(&s->db, "INSERT INTO runs(started, provenance) VALUES(strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), ?1)", &statement, error));
  db_bind_text(statement, 1, provenance);
  const xt_status status = db_do(&s->db, statement, error);
  sqlite3_finalize(statement);
  if (!status) s->run = sqlite3_last_insert_rowid(s->db.handle);
  return status;
}

xt_status xt_store_begin(xt_store *s, const xt_model *model, const char *hash, const xt_store_settings *settings, const char *command,
                         xt_error *error) {
  char *provenance;
  if (s->mode != XT_STORE_WRITE) return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1, "the store was opened for reading");
  if (!model->backend) return err_set(error, XT_STATUS_ARGUMENT, model->path, NULL, -1, "the model's weights are not loaded");
  TRY(xt_store_check(s, model, hash, settings, error));
  TRY(store_provenance(model, hash, settings, command, &provenance, error));
  xt_status status = store_make_tables(s, error);
  if (!status && !s->settings.of[STORE_MODEL_HASH][0]) {
    settings_text(model, hash, settings, &s->settings);
    hub_folder_name(model->path, s->model_name);
    status = store_write_settings(s, error);
  }
  if (!status) status = add_run(s, provenance, error);
  free(provenance);
  s->model = status ? NULL : model;
  return status;
}

/* ---- transactions ----------------------------------------------------------------------------- */

void store_touched(xt_store *s) {
  if (!s->dirty) s->dirty_since = seconds();
  s->dirty = true;
}

xt_status xt_store_commit(xt_store *s, double least_seconds, xt_error *error) {
  if (!s->dirty || (least_seconds > 0 && seconds() - s->dirty_since < least_seconds)) return XT_STATUS_OK;
  const xt_status status = db_run(&s->db, "COMMIT", "cannot write", error);
  if (status) {
    sqlite3_exec(s->db.handle, "ROLLBACK", NULL, NULL, NULL);
    s->in_transaction = s->dirty = false;
    return status;
  }
  s->in_transaction = s->dirty = s->fresh = false;
  return store_begin_transaction(s, error);
}

xt_status store_statement(xt_store *s, StoreStatement which, sqlite3_stmt **out, xt_error *error) {
  static const char *const sql[STORE_STATEMENT_COUNT] = {
      [STORE_FIND_QUESTION] = "SELECT id FROM instances WHERE key = ?1",
      [STORE_ADD_QUESTION] = "INSERT INTO instances(key, task, lang, source_lang, number, doc_id, source, target, gold, choices, source_ids, target_ids)"
                             " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
      [STORE_FIND_RESPONSES] = "SELECT source_layer, target_layer FROM responses WHERE instance = ?1 AND site = ?2",
      [STORE_FIND_VANILLA] = "SELECT 1 FROM vanilla WHERE instance = ?1",
      [STORE_FIND_TEXT] = "SELECT id FROM texts WHERE ids = ?1",
      [STORE_ADD_TEXT] = "INSERT INTO texts(ids, text) VALUES(?1, ?2)",
      [STORE_ADD_RESPONSE] = "INSERT OR IGNORE INTO responses(instance, text, margin, entropy, mean_entropy, mean_logprob, run, site, source_layer, target_layer)"
                             " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
      [STORE_ADD_VANILLA] = "INSERT OR IGNORE INTO vanilla(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      [STORE_FIND_SOURCE] = "SELECT 1 FROM sources WHERE instance = ?1",
      [STORE_ADD_SOURCE] = "INSERT OR IGNORE INTO sources(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
                           " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      [STORE_FIND_SAMPLES] = "SELECT number FROM samples WHERE instance = ?1 AND temperature = ?2 AND top_p = ?3 AND seed = ?4",
      [STORE_ADD_SAMPLE] = "INSERT OR IGNORE INTO samples(instance, temperature, top_p, seed, number, text, mean_logprob, run)"
                           " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
      [STORE_ADD_PLAN] = "INSERT INTO plans(key, task, lang, source_lang, cot, dataset, too_long, sites, source_layers, target_layers, questions)"
                         " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(key) DO NOTHING",
      [STORE_ADD_TEXT_METRIC] = "INSERT OR REPLACE INTO text_metrics(text, name, value) VALUES(?1, ?2, ?3)",
      [STORE_ADD_PAIR_METRIC] = "INSERT OR REPLACE INTO pair_metrics(instance, text, name, value) VALUES(?4, ?1, ?2, ?3)",
      [STORE_FIND_SELECTION] = "SELECT source_layer, target_layer FROM selections WHERE instance = ?1 AND strategy = ?2 AND site = ?3",
      [STORE_ADD_SELECTION] = "INSERT OR REPLACE INTO selections(instance, strategy, site, source_layer, target_layer) VALUES(?1, ?2, ?3, ?4, ?5)",
  };
  if (!s->statements[which]) TRY(db_prepare(&s->db, sql[which], &s->statements[which], error));
  *out = s->statements[which];
  return XT_STATUS_OK;
}
