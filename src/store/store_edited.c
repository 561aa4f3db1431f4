/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that were edited after they were run: they have the same place in the same dataset, but
 * a different prompt or answer. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/store_metrics.h"
#include "store/store_plans.h"

typedef struct Given {
  uint8_t place[STORE_DIGEST_BYTES]; /* of task, languages and id */
  char key[STORE_KEY_SIZE];
  size_t index;
} Given;

static void place_of(const char *task, const char *lang, const char *source_lang, const char *id,
                     uint8_t out[STORE_DIGEST_BYTES]) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  const char *const parts[] = {task, lang, source_lang, id};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) hash_text(&hash, parts[i]);
  hash_finish(&hash, digest);
  memcpy(out, digest, STORE_DIGEST_BYTES);
}

static int by_place(const void *a, const void *b) {
  return memcmp(((const Given *)a)->place, ((const Given *)b)->place, STORE_DIGEST_BYTES);
}

typedef struct Search {
  const Given *given;
  size_t count;
  xt_status (*edited)(void *user, size_t index, int64_t number, xt_error *error);
  void *user;
} Search;

static xt_status look(void *user, const StoredQuestion *q, xt_error *error) {
  const Search *s = user;
  Given here;
  char key[STORE_KEY_SIZE];
  place_of(q->task, q->lang, q->source_lang, q->id, here.place);
  const Given *found = bsearch(&here, s->given, s->count, sizeof *s->given, by_place);
  if (!found) return XT_STATUS_OK;
  hash_hex(q->digest, STORE_DIGEST_BYTES, key);
  while (found > s->given && by_place(found - 1, &here) == 0) found--;
  const Given *first = found;
  for (; found < s->given + s->count && by_place(found, &here) == 0; found++)
    if (strcmp(found->key, key) == 0) return XT_STATUS_OK;
  return s->edited(s->user, first->index, q->number, error);
}

xt_status xt_store_find_edited(xt_store *s, const xt_question *const *questions, size_t count,
                               xt_status (*edited)(void *user, size_t index, int64_t number,
                                                   xt_error *error),
                               void *user, xt_error *error) {
  Given *given;
  TRY(MEM_ALLOC(&given, count + 1, error));
  for (size_t i = 0; i < count; i++) {
    const xt_question *q = questions[i];
    place_of(q->task, q->lang, q->source_lang, q->id, given[i].place);
    store_question_key(q, given[i].key);
    given[i].index = i;
  }
  qsort(given, count, sizeof *given, by_place);
  const xt_status status =
      plans_read_questions(s, look, &(Search){given, count, edited, user}, error);
  free(given);
  return status;
}

/* ---- taking out ------------------------------------------------------------------------------ */

static xt_status remove_one(xt_store *s, int64_t number, xt_error *error) {
  static const char *const tables[][2] = {
      {"responses", "instance"},       {"vanilla", "instance"},      {"sources", "instance"},
      {"samples", "instance"},         {"pair_metrics", "instance"}, {"selections", "instance"},
      {"selection_costs", "instance"}, {"effects", "instance"},      {"tracked", "instance"},
      {"option_scores", "instance"},   {"instances", "id"}};
  char sql[120];
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
    snprintf(sql, sizeof sql, "DELETE FROM %s WHERE %s = %lld", tables[t][0], tables[t][1],
             (long long)number);
    TRY(db_run(&s->db, sql, "cannot write", error));
  }
  return XT_STATUS_OK;
}

/* Removes a question from the plan in the statement's row: *out is the plan's questions without
 * this one. */
static xt_status without(Columns *c, const uint8_t digest[STORE_DIGEST_BYTES], uint8_t **out,
                         size_t *size, bool *changed, xt_error *error) {
  size_t all;
  const uint8_t *questions = column_blob(c, 1, "questions", STORE_DIGEST_BYTES, &all);
  *size = 0;
  *out = NULL;
  TRY(c->status);
  TRY(MEM_ALLOC(out, all + 1, error));
  for (size_t at = 0; at < all; at += STORE_DIGEST_BYTES) {
    if (memcmp(questions + at, digest, STORE_DIGEST_BYTES) == 0) continue;
    memcpy(*out + *size, questions + at, STORE_DIGEST_BYTES);
    *size += STORE_DIGEST_BYTES;
  }
  *changed = *size != all;
  return XT_STATUS_OK;
}

static xt_status update_plan(xt_store *s, int64_t plan, const uint8_t *questions, size_t size,
                             xt_error *error) {
  sqlite3_stmt *statement;
  TRY(db_prepare(&s->db, "UPDATE plans SET questions = ?2 WHERE id = ?1", &statement, error));
  db_bind_integer(&s->db, statement, 1, plan);
  db_bind_blob(&s->db, statement, 2, questions, size);
  const xt_status status = db_do(&s->db, statement, error);
  sqlite3_finalize(statement);
  return status;
}

static xt_status remove_from_plans(xt_store *s, int64_t number, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  xt_status status;
  char key[STORE_KEY_SIZE] = "";
  uint8_t digest[STORE_DIGEST_BYTES];
  TRY(db_prepare(&s->db,
                 "SELECT p.id, p.questions, i.key FROM plans p JOIN instances i ON i.id = ?1 AND "
                 "i.task = p.task AND i.lang = p.lang",
                 &statement, error));
  db_bind_integer(&s->db, statement, 1, number);
  for (;;) {
    uint8_t *left;
    size_t size;
    bool changed = false;
    TRY_DONE(db_step(&s->db, statement, &row, "cannot read", error));
    if (!row) break;
    Columns c = columns_of(&s->db, statement, "plans", error);
    const int64_t plan = column_integer(&c, 0, "id", 1, ID_MOST);
    snprintf(key, sizeof key, "%s", column_text(&c, 2, "key"));
    store_key_digest(key, digest);
    status = without(&c, digest, &left, &size, &changed, error);
    if (!status && changed) status = update_plan(s, plan, left, size, error);
    free(left);
    if (status) goto done;
  }
done:
  sqlite3_finalize(statement);
  return status;
}

xt_status xt_store_remove_questions(xt_store *s, const int64_t *numbers, size_t count,
                                    xt_error *error) {
  static const char orphans[] =
      "DELETE FROM texts WHERE id NOT IN (SELECT text FROM responses UNION SELECT text FROM "
      "vanilla UNION SELECT text FROM sources UNION SELECT text FROM samples);"
      "DELETE FROM text_metrics WHERE text NOT IN (SELECT id FROM texts)";
  if (count == 0) return XT_STATUS_OK;
  TRY(store_make_tables(s, error));
  for (size_t i = 0; i < count; i++) {
    TRY(remove_from_plans(s, numbers[i], error));
    TRY(remove_one(s, numbers[i], error));
  }
  store_mark_dirty(s);
  return db_run(&s->db, orphans, "cannot write", error);
}
