/* SPDX-License-Identifier: Apache-2.0 */
/* Writing questions and responses. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/number.h"
#include "store/store_effects.h"

void store_question_key(const xt_question *q, char out[STORE_KEY_SIZE]) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  hash_text(&hash, "xtransplant question 1");
  const char *const parts[] = {q->task, q->lang, q->source_lang, q->id, q->source, q->target};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) hash_text(&hash, parts[i]);
  hash_number(&hash, q->gold != NULL);
  hash_text(&hash, q->gold);
  hash_number(&hash, q->choice_count);
  for (size_t i = 0; i < q->choice_count; i++) {
    hash_text(&hash, q->choices[i].label);
    hash_text(&hash, q->choices[i].text);
  }
  hash_finish(&hash, digest);
  hash_hex(digest, (STORE_KEY_SIZE - 1) / 2, out);
}

xt_status store_choices_text(const xt_question *q, char **out, xt_error *error) {
  *out = NULL;
  if (q->choice_count == 0) return XT_STATUS_OK;
  json_t *object = json_object();
  for (size_t i = 0; object && i < q->choice_count; i++) {
    if (json_object_set_new(object, q->choices[i].label,
                            q->choices[i].text ? json_string(q->choices[i].text) : json_null()) !=
        0) {
      json_decref(object);
      object = NULL;
    }
  }
  if (object) *out = number_json(object, JSON_COMPACT);
  json_decref(object);
  return *out ? XT_STATUS_OK : err_memory(error, 0);
}

static xt_status find(xt_store *s, const char *key, int64_t *number, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  *number = -1;
  if (s->schema.empty) return XT_STATUS_OK;
  TRY(store_statement(s, STORE_FIND_QUESTION, &statement, error));
  db_bind_text(&s->db, statement, 1, key);
  const xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row) *number = sqlite3_column_int64(statement, 0);
  sqlite3_reset(statement);
  return status;
}

xt_status xt_store_find_question(xt_store *s, const xt_question *q, int64_t *number,
                                 xt_error *error) {
  char key[STORE_KEY_SIZE];
  store_question_key(q, key);
  return find(s, key, number, error);
}

xt_status xt_store_add_question(xt_store *s, const xt_question *q, const xt_instance *ids,
                                int64_t *number, xt_error *error) {
  char key[STORE_KEY_SIZE], *choices;
  sqlite3_stmt *statement;
  store_question_key(q, key);
  TRY(find(s, key, number, error));
  if (*number >= 0) return XT_STATUS_OK;
  TRY(store_statement(s, STORE_ADD_QUESTION, &statement, error));
  TRY(store_choices_text(q, &choices, error));
  const char *const texts[] = {key,   q->task,   q->lang,   q->source_lang, NULL,
                               q->id, q->source, q->target, q->gold,        choices};
  for (int i = 0; i < 10; i++) db_bind_text(&s->db, statement, i + 1, texts[i]);
  db_bind_integer(&s->db, statement, 5, (int64_t)q->number);
  db_bind_ids(&s->db, statement, 11, ids->source, ids->source_count);
  db_bind_ids(&s->db, statement, 12, ids->target, ids->target_count);
  const xt_status status = db_do(&s->db, statement, error);
  free(choices);
  if (status) return status;
  *number = sqlite3_last_insert_rowid(s->db.handle);
  store_mark_dirty(s);
  return XT_STATUS_OK;
}

xt_status xt_store_find_responses(xt_store *s, int64_t question, xt_site site, int layers,
                                  bool *have, bool *vanilla, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  char name[XT_SITE_NAME_SIZE];
  xt_status status;
  TRY(store_statement(s, STORE_FIND_RESPONSES, &statement, error));
  db_bind_integer(&s->db, statement, 1, question);
  db_bind_text(&s->db, statement, 2, xt_site_format(site, name));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    const int i = sqlite3_column_int(statement, 0), j = sqlite3_column_int(statement, 1);
    if (i >= 0 && i < layers && j >= 0 && j < layers) have[i * layers + j] = true;
  }
  if (vanilla) {
    sqlite3_stmt *untouched;
    TRY_DONE(store_statement(s, STORE_FIND_VANILLA, &untouched, error));
    db_bind_integer(&s->db, untouched, 1, question);
    status = db_step(&s->db, untouched, vanilla, "cannot read", error);
    sqlite3_reset(untouched);
  }
done:
  sqlite3_reset(statement);
  return status;
}

/* The number of a response's text, which is stored once for all responses that have it. */
static xt_status text_number(xt_store *s, const xt_generation *g, int64_t *number,
                             xt_error *error) {
  sqlite3_stmt *find_text, *add_text;
  bool row;
  TRY(store_statement(s, STORE_FIND_TEXT, &find_text, error));
  db_bind_ids(&s->db, find_text, 1, g->ids, g->count);
  xt_status status = db_step(&s->db, find_text, &row, "cannot read", error);
  if (!status && row) *number = sqlite3_column_int64(find_text, 0);
  sqlite3_reset(find_text);
  if (status || row) return status;
  char *text = NULL;
  size_t length = 0;
  TRY(store_statement(s, STORE_ADD_TEXT, &add_text, error));
  if (s->tokenizer)
    TRY(xt_tokenizer_decode(s->tokenizer, g->ids, g->count, true, &text, &length, error));
  db_bind_ids(&s->db, add_text, 1, g->ids, g->count);
  db_bind_text_of(&s->db, add_text, 2, text, length);
  status = db_do(&s->db, add_text, error);
  free(text);
  *number = sqlite3_last_insert_rowid(s->db.handle);
  return status;
}

/* The stored numbers of a response: ?1 question, ?2 text, ?3 to ?6 the numbers, ?7 run. */
static xt_status bind_response(xt_store *s, sqlite3_stmt *statement, int64_t question,
                               const xt_generation *g, xt_error *error) {
  int64_t text = 0;
  double margin = g->count ? (double)g->margins[0] : 0, entropy = 0, logprob = 0;
  for (size_t t = 0; t < g->count; t++) {
    margin = fmin(margin, (double)g->margins[t]);
    entropy += (double)g->entropies[t];
    logprob += (double)g->logprobs[t];
  }
  const double count = g->count ? (double)g->count : 1;
  TRY(text_number(s, g, &text, error));
  db_bind_integer(&s->db, statement, 1, question);
  db_bind_integer(&s->db, statement, 2, text);
  db_bind_real(&s->db, statement, 3, margin);
  db_bind_real(&s->db, statement, 4, g->count ? (double)g->entropies[0] : 0);
  db_bind_real(&s->db, statement, 5, entropy / count);
  db_bind_real(&s->db, statement, 6, logprob / count);
  db_bind_integer(&s->db, statement, 7, s->run);
  return XT_STATUS_OK;
}

static xt_status not_begun(const xt_store *s, xt_error *error) {
  return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1, "xt_store_begin was not called");
}

static xt_status finish_adding(xt_store *s, sqlite3_stmt *statement, xt_error *error) {
  TRY(db_do(&s->db, statement, error));
  store_mark_dirty(s);
  return xt_store_commit(s, STORE_COMMIT_SECONDS, error);
}

xt_status xt_store_add_response(xt_store *s, int64_t question, const xt_site *site,
                                int source_layer, int target_layer, const xt_generation *g,
                                xt_error *error) {
  sqlite3_stmt *statement;
  char name[XT_SITE_NAME_SIZE];
  if (!s->begun) return not_begun(s, error);
  TRY(store_statement(s, site ? STORE_ADD_RESPONSE : STORE_ADD_VANILLA, &statement, error));
  TRY(bind_response(s, statement, question, g, error));
  if (site) {
    db_bind_text(&s->db, statement, 8, xt_site_format(*site, name));
    db_bind_integer(&s->db, statement, 9, source_layer);
    db_bind_integer(&s->db, statement, 10, target_layer);
  }
  if (g->effect_count)
    TRY(effects_add(s, question, site ? name : "vanilla", site ? source_layer : -1,
                    site ? target_layer : -1, g->effects, g->effect_count, error));
  return finish_adding(s, statement, error);
}

xt_status xt_store_add_source(xt_store *s, int64_t question, const xt_generation *g,
                              xt_error *error) {
  sqlite3_stmt *statement;
  if (!s->begun) return not_begun(s, error);
  TRY(store_statement(s, STORE_ADD_SOURCE, &statement, error));
  TRY(bind_response(s, statement, question, g, error));
  return finish_adding(s, statement, error);
}

xt_status xt_store_find_source(xt_store *s, int64_t question, bool *have, xt_error *error) {
  sqlite3_stmt *statement;
  *have = false;
  if (!s->schema.has[TABLE_SOURCES]) return XT_STATUS_OK;
  TRY(store_statement(s, STORE_FIND_SOURCE, &statement, error));
  db_bind_integer(&s->db, statement, 1, question);
  const xt_status status = db_step(&s->db, statement, have, "cannot read", error);
  sqlite3_reset(statement);
  return status;
}

/* ---- samples --------------------------------------------------------------------------------- */

static void bind_sample(xt_store *s, sqlite3_stmt *statement, int64_t question,
                        const xt_sample_settings *settings) {
  db_bind_integer(&s->db, statement, 1, question);
  db_bind_real(&s->db, statement, 2, settings->temperature);
  db_bind_real(&s->db, statement, 3, settings->top_p);
  db_bind_integer(&s->db, statement, 4, (int64_t)settings->seed);
}

xt_status xt_store_add_sample(xt_store *s, int64_t question, const xt_sample_settings *settings,
                              int number, const xt_generation *g, xt_error *error) {
  sqlite3_stmt *statement;
  int64_t text = 0;
  double logprob = 0;
  if (!s->begun) return not_begun(s, error);
  if (!isfinite(settings->temperature) || !isfinite(settings->top_p) || number < 0)
    return err_set(
        error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1,
        "a sample's temperature and top_p must be numbers, and its index must not be negative");
  for (size_t t = 0; t < g->count; t++) logprob += (double)g->logprobs[t];
  TRY(text_number(s, g, &text, error));
  TRY(store_statement(s, STORE_ADD_SAMPLE, &statement, error));
  bind_sample(s, statement, question, settings);
  db_bind_integer(&s->db, statement, 5, number);
  db_bind_integer(&s->db, statement, 6, text);
  db_bind_real(&s->db, statement, 7, g->count ? logprob / (double)g->count : 0);
  db_bind_integer(&s->db, statement, 8, s->run);
  return finish_adding(s, statement, error);
}

xt_status xt_store_find_samples(xt_store *s, int64_t question, const xt_sample_settings *settings,
                                int count, bool *have, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  xt_status status;
  if (!s->schema.has[TABLE_SAMPLES]) return XT_STATUS_OK;
  TRY(store_statement(s, STORE_FIND_SAMPLES, &statement, error));
  bind_sample(s, statement, question, settings);
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    const int64_t number = sqlite3_column_int64(statement, 0);
    if (number >= 0 && number < count) have[number] = true;
  }
done:
  sqlite3_reset(statement);
  return status;
}
