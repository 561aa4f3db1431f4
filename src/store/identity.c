/* SPDX-License-Identifier: Apache-2.0 */
/* The model and the settings of a store's responses, as in the table `settings`. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "files/hub_folder.h"
#include "model/model.h"
#include "store/store_parts.h"

/* ---- of a model ------------------------------------------------------------------------------ */

/* Without the provenance, which needs files to be read. `name` has room for the folder's name. */
static xt_store_identity describe(const xt_model *model, const char *hash,
                                  const xt_store_settings *settings, char name[HUB_NAME_SIZE]) {
  xt_store_identity out = {.hash = hash,
                           .name = name,
                           .layers = model->config.layers,
                           .settings = *settings,
                           .tokenizer = model->tokenizer};
  hub_folder_name(model->path, name);
  if (!(settings->repetition_penalty > 0))
    out.settings.repetition_penalty = model->config.repetition_penalty;
  return out;
}

xt_status xt_store_identify(const xt_model *model, const char *hash,
                            const xt_store_settings *settings, const char *command,
                            xt_store_identity *out, xt_error *error) {
  char name[HUB_NAME_SIZE], *own_hash = NULL, *own_name = NULL, *provenance = NULL;
  xt_status status;
  *out = (xt_store_identity){0};
  const xt_store_identity found = describe(model, hash, settings, name);
  TRY_DONE(mem_copy_text(&own_hash, hash, strlen(hash), error));
  TRY_DONE(mem_copy_text(&own_name, name, strlen(name), error));
  TRY_DONE(store_provenance(model, hash, settings, command, &provenance, error));
  *out = found;
  out->hash = own_hash;
  out->name = own_name;
  out->provenance = provenance;
  return XT_STATUS_OK;
done:
  free(own_hash);
  free(own_name);
  return status;
}

void xt_store_identity_deinit(xt_store_identity *identity) {
  if (!identity) return;
  free((void *)(uintptr_t)identity->hash);
  free((void *)(uintptr_t)identity->name);
  free((void *)(uintptr_t)identity->provenance);
  *identity = (xt_store_identity){0};
}

/* ---- compared -------------------------------------------------------------------------------- */

static void settings_text(const xt_store_identity *identity, StoreTexts *texts) {
  const xt_store_settings *settings = &identity->settings;
  snprintf(texts->of[STORE_MODEL_HASH], STORE_VALUE_SIZE, "%s", identity->hash);
  snprintf(texts->of[STORE_LAYERS], STORE_VALUE_SIZE, "%d", identity->layers);
  snprintf(texts->of[STORE_COMPUTE], STORE_VALUE_SIZE, "%s", xt_compute_name(settings->compute));
  snprintf(texts->of[STORE_MAX_NEW_TOKENS], STORE_VALUE_SIZE, "%d", settings->max_new_tokens);
  number_print(texts->of[STORE_PENALTY], STORE_VALUE_SIZE, "%.9g", settings->repetition_penalty);
  snprintf(texts->of[STORE_IGNORE_EOS], STORE_VALUE_SIZE, "%d", settings->ignore_eos);
}

xt_status store_check_identity(const xt_store *s, const xt_store_identity *identity,
                               xt_error *error) {
  StoreTexts wanted;
  if (!s->settings.of[STORE_MODEL_HASH][0]) return XT_STATUS_OK;
  settings_text(identity, &wanted);
  if (strcmp(s->settings.of[STORE_MODEL_HASH], wanted.of[STORE_MODEL_HASH]) != 0)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, "model", -1,
                   "the store has results of another model: %s, hash %.12s...; this one's is "
                   "%.12s... Give that model, "
                   "or another results file",
                   s->model_name, s->settings.of[STORE_MODEL_HASH], wanted.of[STORE_MODEL_HASH]);
  for (int i = 0; i < STORE_SETTING_COUNT; i++)
    if (strcmp(s->settings.of[i], wanted.of[i]) != 0)
      return err_set(
          error, XT_STATUS_ARGUMENT, s->db.path, store_setting_names[i], -1,
          "the store's results were made with %s, not %s. Give the same, or another results file",
          s->settings.of[i], wanted.of[i]);
  return XT_STATUS_OK;
}

xt_status xt_store_check(const xt_store *s, const xt_model *model, const char *hash,
                         const xt_store_settings *settings, xt_error *error) {
  char name[HUB_NAME_SIZE];
  const xt_store_identity identity = describe(model, hash, settings, name);
  return store_check_identity(s, &identity, error);
}

/* ---- written --------------------------------------------------------------------------------- */

xt_status store_write_settings(xt_store *s, xt_error *error) {
  sqlite3_stmt *statement;
  TRY(db_prepare(&s->db, "INSERT OR REPLACE INTO settings VALUES(?1, ?2)", &statement, error));
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i <= STORE_SETTING_COUNT && !status; i++) {
    db_bind_text(&s->db, statement, 1,
                 i < STORE_SETTING_COUNT ? store_setting_names[i] : "model_name");
    db_bind_text(&s->db, statement, 2, i < STORE_SETTING_COUNT ? s->settings.of[i] : s->model_name);
    status = db_do(&s->db, statement, error);
  }
  sqlite3_finalize(statement);
  return status;
}

static xt_status add_run(xt_store *s, const char *provenance, xt_error *error) {
  sqlite3_stmt *statement;
  TRY(db_prepare(
      &s->db,
      "INSERT INTO runs(started, provenance) VALUES(strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), ?1)",
      &statement, error));
  db_bind_text(&s->db, statement, 1, provenance);
  const xt_status status = db_do(&s->db, statement, error);
  sqlite3_finalize(statement);
  if (!status) s->run = sqlite3_last_insert_rowid(s->db.handle);
  return status;
}

/* Refuses what readers would refuse. */
static xt_status check_values(const xt_store *s, const xt_store_identity *identity,
                              xt_error *error) {
  const char *field = NULL;
  if (!identity->hash || !identity->hash[0] || strlen(identity->hash) >= STORE_VALUE_SIZE)
    field = "hash";
  else if (identity->layers < 1 || identity->layers > XT_STORE_LAYERS_MOST)
    field = "layers";
  else if (identity->settings.max_new_tokens < 0)
    field = "max_new_tokens";
  else if (!(identity->settings.repetition_penalty > 0 &&
             identity->settings.repetition_penalty <= 1e9))
    field = "repetition_penalty";
  if (!field) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_ARGUMENT, s->db.path, field, -1,
                 "is out of range: a model has a hash, 1 to %d layers, and a penalty above 0 (%d "
                 "layers, a penalty of "
                 "%g were given)",
                 XT_STORE_LAYERS_MOST, identity->layers, identity->settings.repetition_penalty);
}

xt_status xt_store_begin_as(xt_store *s, const xt_store_identity *identity, xt_error *error) {
  if (s->mode != XT_STORE_WRITE)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1,
                   "the store was opened for reading");
  TRY(check_values(s, identity, error));
  TRY(store_check_identity(s, identity, error));
  TRY(store_check_kind(s, identity->provenance, error));
  s->begun = false;
  TRY(store_make_tables(s, error));
  if (!s->settings.of[STORE_MODEL_HASH][0]) {
    settings_text(identity, &s->settings);
    store_copy_name(identity->name ? identity->name : "", s->model_name, sizeof s->model_name);
    TRY(store_write_settings(s, error));
  }
  TRY(add_run(s, identity->provenance ? identity->provenance : "{}", error));
  s->tokenizer = identity->tokenizer;
  s->begun = true;
  return XT_STATUS_OK;
}

xt_status xt_store_begin(xt_store *s, const xt_model *model, const char *hash,
                         const xt_store_settings *settings, const char *command, xt_error *error) {
  xt_store_identity identity;
  if (s->mode != XT_STORE_WRITE)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1,
                   "the store was opened for reading");
  TRY(xt_store_check(s, model, hash, settings, error)); /* before files are read for the record */
  TRY(xt_store_identify(model, hash, settings, command, &identity, error));
  const xt_status status = xt_store_begin_as(s, &identity, error);
  xt_store_identity_deinit(&identity);
  return status;
}
