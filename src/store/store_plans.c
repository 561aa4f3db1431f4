/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_plans.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/text_buffer.h"
#include "store/store_metrics.h"
#include "xtransplant/metrics.h"
#include "xtransplant/sweep.h"

/* ---- adding ---------------------------------------------------------------------------------- */

static void layers_text(TextBuffer *out, const int *layers, size_t count) {
  text_buffer_add_text(out, ""); /* an empty list gives a text too */
  for (size_t i = 0; i < count; i++) text_buffer_format(out, i ? ",%d" : "%d", layers[i]);
}

static void sites_text(TextBuffer *out, const xt_site *sites, size_t count) {
  char name[XT_SITE_NAME_SIZE];
  text_buffer_add_text(out, "");
  for (size_t i = 0; i < count; i++)
    text_buffer_format(out, i ? ",%s" : "%s", xt_site_format(sites[i], name));
}

void store_key_digest(const char *key, uint8_t out[STORE_DIGEST_BYTES]) {
  for (size_t i = 0; i < STORE_DIGEST_BYTES; i++) {
    const char pair[3] = {key[2 * i], key[2 * i + 1], 0};
    out[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
}

static int compare_digests(const void *a, const void *b) {
  return memcmp(a, b, STORE_DIGEST_BYTES);
}

/* Plans are equal if all their columns are. */
static void plan_key(const xt_store_plan *plan, const char *const lists[3],
                     const uint8_t *questions, char out[STORE_KEY_SIZE]) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  hash_text(&hash, "xtransplant plan 1");
  const char *const texts[] = {plan->task, plan->lang, plan->source_lang,
                               lists[0],   lists[1],   lists[2]};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) hash_text(&hash, texts[i]);
  const uint64_t numbers[] = {plan->cot, plan->dataset, plan->too_long};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) hash_number(&hash, numbers[i]);
  hash_part(&hash, questions, plan->question_count * STORE_DIGEST_BYTES);
  hash_finish(&hash, digest);
  hash_hex(digest, STORE_DIGEST_BYTES, out);
}

static xt_status insert_plan(xt_store *s, const xt_store_plan *plan, const char *const lists[3],
                             const uint8_t *questions, xt_error *error) {
  char key[STORE_KEY_SIZE];
  sqlite3_stmt *statement;
  plan_key(plan, lists, questions, key);
  TRY(store_statement(s, STORE_ADD_PLAN, &statement, error));
  const char *const texts[] = {key, plan->task, plan->lang, plan->source_lang};
  for (int i = 0; i < 4; i++) db_bind_text(&s->db, statement, i + 1, texts[i]);
  db_bind_integer(&s->db, statement, 5, plan->cot);
  db_bind_integer(&s->db, statement, 6, (int64_t)plan->dataset);
  db_bind_integer(&s->db, statement, 7, (int64_t)plan->too_long);
  for (int i = 0; i < 3; i++) db_bind_text(&s->db, statement, 8 + i, lists[i]);
  db_bind_blob(&s->db, statement, 11, questions, plan->question_count * STORE_DIGEST_BYTES);
  TRY(db_do(&s->db, statement, error));
  if (sqlite3_changes(s->db.handle)) store_mark_dirty(s);
  return XT_STATUS_OK;
}

xt_status xt_store_add_plan(xt_store *s, const xt_store_plan *plan, xt_error *error) {
  TextBuffer lists[3] = {0};
  uint8_t *questions;
  xt_status status = XT_STATUS_OK;
  if (s->mode != XT_STORE_WRITE || !s->schema.has[TABLE_PLANS])
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1,
                   "xt_store_begin was not called");
  TRY(mem_alloc(&questions, plan->question_count + 1, STORE_DIGEST_BYTES, error));
  for (size_t i = 0; i < plan->question_count; i++) {
    char key[STORE_KEY_SIZE];
    store_question_key(plan->questions[i], key);
    store_key_digest(key, questions + i * STORE_DIGEST_BYTES);
  }
  qsort(questions, plan->question_count, STORE_DIGEST_BYTES, compare_digests);
  sites_text(&lists[0], plan->sites, plan->site_count);
  layers_text(&lists[1], plan->source_layers, plan->source_layer_count);
  layers_text(&lists[2], plan->target_layers, plan->target_layer_count);
  for (int i = 0; i < 3; i++)
    if (lists[i].failed) status = err_memory(error, 0);
  if (!status)
    status =
        insert_plan(s, plan, (const char *const[]){lists[0].data, lists[1].data, lists[2].data},
                    questions, error);
  for (int i = 0; i < 3; i++) text_buffer_free(&lists[i]);
  free(questions);
  return status;
}

/* ---- reading plans --------------------------------------------------------------------------- */

#define PLAN_LAYERS_MOST 1000

typedef struct PlanLists {
  char sites[XT_SWEEP_SITES_MOST * XT_SITE_NAME_SIZE];
  const char *names[XT_SWEEP_SITES_MOST];
  int sources[PLAN_LAYERS_MOST], targets[PLAN_LAYERS_MOST];
} PlanLists;

static xt_status bad_plan(const xt_store *s, const char *column, xt_error *error) {
  return db_damaged(&s->db, "plans", error, "a plan's %s is not a list that a sweep writes",
                    column);
}

/* Ascending layers of the model, separated by commas; no layers give an empty text. */
static bool parse_layers(const char *text, int layers, int *out, size_t *count) {
  *count = 0;
  while (*text) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    const long layer = strtol(text, &end, 10);
    if (layer >= layers || *count >= PLAN_LAYERS_MOST || (*count && layer <= out[*count - 1]))
      return false;
    out[(*count)++] = (int)layer;
    if (*end == ',' && end[1])
      end++;
    else if (*end)
      return false;
    text = end;
  }
  return true;
}

static bool parse_sites(const char *text, PlanLists *lists, size_t *count) {
  *count = 0;
  if (strlen(text) >= sizeof lists->sites) return false;
  snprintf(lists->sites, sizeof lists->sites, "%s", text);
  char *save = NULL;
  for (char *name = strtok_r(lists->sites, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
    xt_site site;
    if (*count >= XT_SWEEP_SITES_MOST || xt_site_parse(name, &site, NULL) != XT_STATUS_OK)
      return false;
    lists->names[(*count)++] = name;
  }
  return true;
}

static xt_status read_plan(xt_store *s, sqlite3_stmt *row, PlanLists *lists, StoredPlan *plan,
                           xt_error *error) {
  const int layers = atoi(s->settings.of[STORE_LAYERS]);
  Columns c = columns_of(&s->db, row, "plans", error);
  *plan = (StoredPlan){.task = column_text(&c, 0, "task"),
                       .lang = column_text(&c, 1, "lang"),
                       .source_lang = column_text(&c, 2, "source_lang"),
                       .cot = column_integer(&c, 3, "cot", 0, 1) != 0,
                       .dataset = (size_t)column_integer(&c, 4, "dataset", 0, INT_MAX),
                       .too_long = (size_t)column_integer(&c, 5, "too_long", 0, INT_MAX),
                       .source_layers = lists->sources,
                       .target_layers = lists->targets,
                       .sites = lists->names};
  const char *sites = column_text(&c, 6, "sites"), *sources = column_text(&c, 7, "source_layers"),
             *targets = column_text(&c, 8, "target_layers");
  size_t bytes;
  plan->questions = column_blob(&c, 9, "questions", STORE_DIGEST_BYTES, &bytes);
  plan->question_count = bytes / STORE_DIGEST_BYTES;
  TRY(c.status);
  if (!parse_sites(sites, lists, &plan->site_count)) return bad_plan(s, "sites", error);
  if (!parse_layers(sources, layers, lists->sources, &plan->source_layer_count))
    return bad_plan(s, "source_layers", error);
  if (!parse_layers(targets, layers, lists->targets, &plan->target_layer_count))
    return bad_plan(s, "target_layers", error);
  return XT_STATUS_OK;
}

xt_status plans_read(xt_store *s,
                     xt_status (*plan)(void *user, const StoredPlan *plan, xt_error *error),
                     void *user, xt_error *error) {
  static const char sql[] = "SELECT task, lang, source_lang, cot, dataset, too_long, sites, "
                            "source_layers, target_layers, questions FROM plans ORDER BY id";
  sqlite3_stmt *statement = NULL;
  PlanLists *lists = NULL;
  bool row;
  xt_status status;
  if (!s->schema.has[TABLE_PLANS]) return XT_STATUS_OK;
  TRY_DONE(MEM_ALLOC(&lists, 1, error));
  TRY_DONE(db_prepare(&s->db, sql, &statement, error));
  for (;;) {
    StoredPlan one;
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    TRY_DONE(read_plan(s, statement, lists, &one, error));
    if (plan) TRY_DONE(plan(user, &one, error));
  }
done:
  sqlite3_finalize(statement);
  free(lists);
  return status;
}

/* ---- what is there --------------------------------------------------------------------------- */

xt_status plans_read_questions(xt_store *s,
                               xt_status (*question)(void *user, const StoredQuestion *question,
                                                     xt_error *error),
                               void *user, xt_error *error) {
  char sql[512];
  sqlite3_stmt *statement;
  bool row;
  xt_status status;
  if (s->schema.empty) return XT_STATUS_OK;
  snprintf(
      sql, sizeof sql,
      "SELECT i.id, i.key, i.task, i.lang, i.source_lang, i.doc_id, i.gold IS NOT NULL, v.text IS "
      "NOT NULL, t.text IS NOT NULL, %s FROM instances i"
      " LEFT JOIN vanilla v ON v.instance = i.id LEFT JOIN texts t ON t.id = v.text ORDER BY i.id",
      s->schema.has[TABLE_SOURCES] ? "EXISTS(SELECT 1 FROM sources o WHERE o.instance = i.id)"
                                   : "0");
  TRY(db_prepare(&s->db, sql, &statement, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    Columns c = columns_of(&s->db, statement, "instances", error);
    StoredQuestion one = {.number = column_integer(&c, 0, "id", 1, ID_MOST),
                          .task = column_text(&c, 2, "task"),
                          .lang = column_text(&c, 3, "lang"),
                          .source_lang = column_text(&c, 4, "source_lang"),
                          .id = column_text(&c, 5, "doc_id"),
                          .gold = sqlite3_column_int(statement, 6) != 0,
                          .vanilla = sqlite3_column_int(statement, 7) != 0,
                          .vanilla_decoded = sqlite3_column_int(statement, 8) != 0,
                          .source = sqlite3_column_int(statement, 9) != 0};
    const char *key = column_text(&c, 1, "key");
    TRY_DONE(c.status);
    if (strlen(key) != STORE_KEY_SIZE - 1)
      TRY_DONE(
          db_damaged(&s->db, "instances", error, "a question's key has %zu digits", strlen(key)));
    store_key_digest(key, one.digest);
    TRY_DONE(question(user, &one, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}

/* An expression that says whether a query's row r was measured; it is "0" or "1" if that is known
 * for all rows, which is quick. */
static xt_status measured_text(xt_store *s, const char *name, xt_metric metric, char out[160],
                               xt_error *error) {
  char sql[160];
  int64_t any = 0;
  uint64_t missing;
  snprintf(out, 160, "0");
  if (!metrics_exist(s)) return XT_STATUS_OK;
  const char *table = metric == XT_METRIC_CONDITIONAL ? "pair_metrics" : "text_metrics";
  snprintf(sql, sizeof sql, "SELECT EXISTS(SELECT 1 FROM %s WHERE name = '%s')", table, name);
  TRY(db_number(&s->db, sql, &any, error));
  if (!any) return XT_STATUS_OK;
  TRY(xt_store_count_unmeasured(s, metric, &missing, error));
  if (missing == 0)
    snprintf(out, 160, "1");
  else
    snprintf(out, 160, "EXISTS(SELECT 1 FROM %s m WHERE m.text = r.text AND m.name = '%s'%s)",
             table, name, metric == XT_METRIC_CONDITIONAL ? " AND m.instance = r.instance" : "");
  return XT_STATUS_OK;
}

/* A transplant's site as sweeps write it, or one of the words for responses without a
 * transplant. */
static const char *column_site(Columns *c, int column) {
  const char *site = column_text(c, column, "site");
  if (strcmp(site, "vanilla") != 0 && strcmp(site, "source") != 0) store_check_site(c, site);
  return site;
}

/* `site`: an expression. */
static xt_status count_table(xt_store *s, const char *table, const char *site,
                             const char *const measured[3],
                             xt_status (*count)(void *user, const StoredCount *count,
                                                xt_error *error),
                             void *user, xt_error *error) {
  char sql[800];
  sqlite3_stmt *statement;
  bool row;
  xt_status status;
  snprintf(sql, sizeof sql,
           "SELECT instance, %s, count(*), sum(%s), sum(%s), sum(%s) FROM %s r GROUP BY 1, 2", site,
           measured[0], measured[1], measured[2], table);
  TRY(db_prepare(&s->db, sql, &statement, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    Columns c = columns_of(&s->db, statement, table, error);
    const StoredCount one = {column_integer(&c, 0, "instance", 1, ID_MOST),
                             column_site(&c, 1),
                             (uint64_t)sqlite3_column_int64(statement, 2),
                             (uint64_t)sqlite3_column_int64(statement, 3),
                             (uint64_t)sqlite3_column_int64(statement, 4),
                             (uint64_t)sqlite3_column_int64(statement, 5)};
    TRY_DONE(c.status);
    TRY_DONE(count(user, &one, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}

xt_status plans_count_responses(xt_store *s,
                                xt_status (*count)(void *user, const StoredCount *count,
                                                   xt_error *error),
                                void *user, xt_error *error) {
  char standalone[160], conditional[160], language[160];
  if (s->schema.empty) return XT_STATUS_OK;
  TRY(measured_text(s, "nll_standalone", XT_METRIC_STANDALONE, standalone, error));
  TRY(measured_text(s, "nll_conditional", XT_METRIC_CONDITIONAL, conditional, error));
  TRY(measured_text(s, "lang", XT_METRIC_LANGUAGE, language, error));
  const char *const measured[] = {standalone, conditional, language}, *const of_source[] = {
                                                                          standalone, "0",
                                                                          language};
  TRY(count_table(s, "vanilla", "'vanilla'", measured, count, user, error));
  if (s->schema.has[TABLE_SOURCES])
    TRY(count_table(s, "sources", "'source'", of_source, count, user, error));
  return count_table(s, "responses", "site", measured, count, user, error);
}
