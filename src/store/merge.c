/* SPDX-License-Identifier: Apache-2.0 */
/* Joining stores. What is the same in several of them is known by its content: questions by their key, texts
 * by their ids, responses by question, site and layers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "store/store_metrics.h"

/* Takes over the settings of the first input, and checks the others' against them. */
static xt_status same_settings(xt_store *out, const char *input, const char *first, Schema *schema, xt_error *error) {
  xt_store *in;
  TRY(xt_store_open(input, XT_STORE_READ, &in, error));
  xt_status status = XT_STATUS_OK;
  *schema = in->schema;
  if (!out->settings.of[STORE_MODEL_HASH][0]) {
    out->settings = in->settings;
    memcpy(out->model_name, in->model_name, sizeof out->model_name);
  }
  for (int i = 0; i < STORE_SETTING_COUNT && !status; i++)
    if (strcmp(out->settings.of[i], in->settings.of[i]) != 0)
      status = err_set(error, XT_STATUS_INPUT, input, store_setting_names[i], -1, "is %.64s, and %.200s has %.64s; only results of one model under the same settings can be joined",
                       in->settings.of[i], first, out->settings.of[i]);
  xt_store_close(in);
  return status;
}

/* The numbers that questions and texts of the attached store have in the joined one. */
static const char add_and_map[] =
    "INSERT OR IGNORE INTO main.instances(key, task, lang, source_lang, number, doc_id, source, target, gold, choices, source_ids, target_ids)"
    " SELECT key, task, lang, source_lang, number, doc_id, source, target, gold, choices, source_ids, target_ids FROM part.instances;"
    "INSERT OR IGNORE INTO main.texts(ids, text) SELECT ids, text FROM part.texts;"
    "CREATE TEMP TABLE question_map(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "INSERT INTO question_map SELECT p.id, m.id FROM part.instances p JOIN main.instances m ON m.key = p.key;"
    "CREATE TEMP TABLE text_map(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "INSERT INTO text_map SELECT p.id, m.id FROM part.texts p JOIN main.texts m ON m.ids = p.ids;";

static const char conflicts[] =
    "SELECT i.task, i.lang, i.doc_id, p.site, p.source_layer, p.target_layer FROM part.responses p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text"
    " JOIN main.responses m ON m.instance = q.new AND m.site = p.site AND m.source_layer = p.source_layer AND m.target_layer = p.target_layer"
    " JOIN main.instances i ON i.id = q.new WHERE m.text != t.new OR m.margin IS NOT p.margin "
    "UNION ALL SELECT i.task, i.lang, i.doc_id, 'vanilla', -1, -1 FROM part.vanilla p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text JOIN main.vanilla m ON m.instance = q.new"
    " JOIN main.instances i ON i.id = q.new WHERE m.text != t.new OR m.margin IS NOT p.margin LIMIT 1";

/* %lld: how far the numbers of the attached store's runs move. */
static const char add_responses[] =
    "INSERT INTO main.runs(id, started, provenance) SELECT id + %lld, started, provenance FROM part.runs ORDER BY id;"
    "INSERT OR IGNORE INTO main.vanilla(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
    " SELECT q.new, t.new, margin, entropy, mean_entropy, mean_logprob, run + %lld FROM part.vanilla p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text ORDER BY q.new;"
    "INSERT OR IGNORE INTO main.responses(instance, site, source_layer, target_layer, text, margin, entropy, mean_entropy, mean_logprob, run)"
    " SELECT q.new, site, source_layer, target_layer, t.new, margin, entropy, mean_entropy, mean_logprob, run + %lld FROM part.responses p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text ORDER BY q.new, site, source_layer, target_layer;";

/* What stores have since schema 2. %lld as above. */
static const char add_since_2[] =
    "INSERT OR IGNORE INTO main.sources(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
    " SELECT q.new, t.new, margin, entropy, mean_entropy, mean_logprob, run + %lld FROM part.sources p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text ORDER BY q.new;"
    "INSERT OR IGNORE INTO main.samples(instance, temperature, top_p, seed, number, text, mean_logprob, run)"
    " SELECT q.new, temperature, top_p, seed, p.number, t.new, mean_logprob, run + %lld FROM part.samples p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text ORDER BY q.new;"
    "INSERT OR IGNORE INTO main.plans(key, task, lang, source_lang, cot, dataset, too_long, sites, source_layers, target_layers, questions)"
    " SELECT key, task, lang, source_lang, cot, dataset, too_long, sites, source_layers, target_layers, questions FROM part.plans ORDER BY id;";

/* What was measured of texts, and selected; where the attached store has any. */
static const char add_measured[] =
    "INSERT OR IGNORE INTO main.text_metrics(text, name, value) SELECT t.new, name, value FROM part.text_metrics p JOIN text_map t ON t.old = p.text;"
    "INSERT OR IGNORE INTO main.pair_metrics(instance, text, name, value) SELECT q.new, t.new, name, value FROM part.pair_metrics p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text;"
    "INSERT OR IGNORE INTO main.selections(strategy, site, instance, source_layer, target_layer)"
    " SELECT strategy, site, q.new, source_layer, target_layer FROM part.selections p JOIN question_map q ON q.old = p.instance;";

static const char other_selections[] =
    "SELECT count(*) FROM part.selections p JOIN question_map q ON q.old = p.instance JOIN main.selections m ON m.instance = q.new"
    " AND m.strategy = p.strategy AND m.site = p.site WHERE m.source_layer != p.source_layer OR m.target_layer != p.target_layer";

static xt_status add_metrics(xt_store *s, const char *input, const Schema *part, xt_error *error) {
  int64_t differ = 0;
  sqlite3_stmt *statement;
  bool row;
  char hash[STORE_VALUE_SIZE] = "";
  if (!part->has[TABLE_TEXT_METRICS] || !part->has[TABLE_PAIR_METRICS] || !part->has[TABLE_SELECTIONS]) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "SELECT value FROM part.settings WHERE name = 'langid_hash'", &statement, error));
  xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row) snprintf(hash, sizeof hash, "%s", db_text(statement, 0));
  sqlite3_finalize(statement);
  if (status) return status;
  if (hash[0] && metrics_claim_langid(s, hash, NULL))
    return err_set(error, XT_STATUS_INPUT, input, "lid", -1, "its languages were identified by another file than an earlier store's");
  TRY(db_number(&s->db, other_selections, &differ, error));
  if (differ) return err_set(error, XT_STATUS_INPUT, input, NULL, -1, "%lld selections differ from an earlier file's of the same strategy", (long long)differ);
  return db_run(&s->db, add_measured, "cannot write", error);
}

static xt_status refuse_conflicts(xt_store *s, const char *input, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  TRY(db_prepare(&s->db, conflicts, &statement, error));
  xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row) {
    char layers[64] = "";
    if (sqlite3_column_int(statement, 4) >= 0)
      snprintf(layers, sizeof layers, ", layer %d into %d", sqlite3_column_int(statement, 4), sqlite3_column_int(statement, 5));
    status = err_set(error, XT_STATUS_INPUT, input, NULL, -1, "another response than an earlier file's for %.40s %.40s, question %.60s, %.20s%s; which is right cannot be told",
                     db_text(statement, 0), db_text(statement, 1), db_text(statement, 2), db_text(statement, 3), layers);
  }
  sqlite3_finalize(statement);
  return status;
}

static xt_status attach(xt_store *s, const char *input, xt_error *error) {
  sqlite3_stmt *statement;
  char *name;
  TRY(db_file_name(input, &name, error));
  xt_status status = db_prepare(&s->db, "ATTACH ?1 AS part", &statement, error);
  if (!status) {
    db_bind_text(&s->db, statement, 1, name);
    status = db_do(&s->db, statement, error);
    sqlite3_finalize(statement);
  }
  free(name);
  return status;
}

static xt_status add_store(xt_store *s, const char *input, const Schema *part, xt_error *error) {
  int64_t runs = 0;
  char sql[sizeof add_responses + sizeof add_since_2];
  /* files cannot be attached within a transaction */
  TRY(db_run(&s->db, "COMMIT", "cannot write", error));
  s->in_transaction = false;
  TRY(attach(s, input, error));
  TRY(store_begin_transaction(s, error));
  TRY(db_number(&s->db, "SELECT coalesce(max(id), 0) FROM main.runs", &runs, error));
  TRY(db_run(&s->db, add_and_map, "cannot write", error));
  TRY(refuse_conflicts(s, input, error));
  TRY(add_metrics(s, input, part, error));
  snprintf(sql, sizeof sql, add_responses, (long long)runs, (long long)runs, (long long)runs);
  TRY(db_run(&s->db, sql, "cannot write", error));
  if (part->version >= 2) {
    snprintf(sql, sizeof sql, add_since_2, (long long)runs, (long long)runs);
    TRY(db_run(&s->db, sql, "cannot write", error));
  }
  TRY(db_run(&s->db, "DROP TABLE question_map; DROP TABLE text_map", "cannot write", error));
  TRY(db_run(&s->db, "COMMIT", "cannot write", error));
  s->in_transaction = false;
  TRY(db_run(&s->db, "DETACH part", "cannot write", error));
  return store_begin_transaction(s, error);
}

static xt_status merge_into(xt_store *s, const char *const *inputs, size_t count, xt_error *error) {
  Schema *schemas;
  xt_status status;
  TRY(mem_alloc(&schemas, count, sizeof *schemas, error));
  for (size_t i = 0; i < count; i++) TRY_DONE(same_settings(s, inputs[i], inputs[0], &schemas[i], error));
  TRY_DONE(store_make_tables(s, error));
  TRY_DONE(store_write_settings(s, error));
  for (size_t i = 0; i < count; i++) TRY_DONE(add_store(s, inputs[i], &schemas[i], error));
  status = xt_store_commit(s, 0, error);
done:
  free(schemas);
  return status;
}

xt_status xt_store_merge(const char *path, const char *const *inputs, size_t count, xt_error *error) {
  char *partial, suffix[48];
  xt_store *s = NULL;
  if (count == 0) return err_set(error, XT_STATUS_ARGUMENT, path, NULL, -1, "nothing to join: give the stores");
  if (file_exists(path)) return err_set(error, XT_STATUS_ARGUMENT, path, NULL, -1, "exists already; the joined store has to be a new file");
  snprintf(suffix, sizeof suffix, ".%ld.partial", (long)getpid());
  const size_t size = strlen(path) + sizeof suffix;
  TRY(mem_alloc(&partial, size, 1, error));
  snprintf(partial, size, "%s%s", path, suffix);
  unlink(partial); /* of a process that had this number before, and was killed */
  xt_status status = xt_store_open(partial, XT_STORE_WRITE, &s, error);
  const bool made = !status;
  if (!status) status = merge_into(s, inputs, count, error);
  xt_store_close(s);
  if (!status && rename(partial, path) != 0) status = err_io(error, path, "cannot write");
  if (status && made) unlink(partial);
  free(partial);
  return status;
}
