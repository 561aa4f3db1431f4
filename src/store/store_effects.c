/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_effects.h"

#include <math.h>
#include <string.h>

#include "base/arena_text.h"
#include "base/mem.h"
#include "base/number.h"
#include "files/dtype.h"

#define LARGEST_HALF 65504.0f
#define NUMBERS_MOST (XT_EFFECT_TRACKED + XT_TRACKED_MOST)

/* A number as it is stored. */
static uint16_t half_of(float number) {
  return dtype_to_f16(fmaxf(fminf(number, LARGEST_HALF), -LARGEST_HALF));
}

/* ---- the answers ----------------------------------------------------------------------------- */

/* [[id, kind, answer, spelling], ...], or [id, kind, answer, spelling, other id] of two tokens */
static xt_status answers_text(const xt_tracked *list, size_t count, char **out, xt_error *error) {
  json_t *array = json_array();
  bool ok = array != NULL;
  for (size_t i = 0; i < count && ok; i++) {
    json_t *entry =
        json_pack("[i, s, s, s]", (int)list[i].id, list[i].kind, list[i].answer, list[i].spelling);
    if (list[i].also) ok = json_array_append_new(entry, json_integer(list[i].also)) == 0;
    ok = json_array_append_new(array, entry) == 0 && ok;
  }
  *out = ok ? number_json(array, JSON_COMPACT) : NULL;
  json_decref(array);
  return *out ? XT_STATUS_OK : err_memory(error, 0);
}

static xt_status copy_string(const json_t *from, Arena *arena, const char **out, xt_error *error) {
  return arena_copy_text(arena, json_string_value(from), json_string_length(from), out, error);
}

static bool is_token(const json_t *value, json_int_t least) {
  return json_is_integer(value) && json_integer_value(value) >= least &&
         json_integer_value(value) <= INT32_MAX;
}

static bool is_answer(const json_t *entry) {
  const size_t size = json_array_size(entry);
  bool ok = (size == 4 || (size == 5 && is_token(json_array_get(entry, 4), 1))) &&
            is_token(json_array_get(entry, 0), 0);
  for (size_t k = 1; k < 4 && ok; k++) ok = json_is_string(json_array_get(entry, k));
  return ok;
}

static xt_status copy_answers(const Db *db, const json_t *json, Arena *arena, Tracked *out,
                              xt_error *error) {
  const size_t count = json_array_size(json);
  xt_tracked *list;
  if (!json_is_array(json) || count > XT_TRACKED_MOST)
    return db_damaged(db, "tracked", error, "a value of answers is not a list of answers");
  TRY(ARENA_ALLOC(arena, &list, count + 1, error));
  for (size_t i = 0; i < count; i++) {
    const json_t *entry = json_array_get(json, i);
    if (!is_answer(entry))
      return db_damaged(db, "tracked", error, "answer %zu of a question is not one", i);
    list[i].id = (int32_t)json_integer_value(json_array_get(entry, 0));
    list[i].also = (int32_t)json_integer_value(json_array_get(entry, 4));
    TRY(copy_string(json_array_get(entry, 1), arena, &list[i].kind, error));
    TRY(copy_string(json_array_get(entry, 2), arena, &list[i].answer, error));
    TRY(copy_string(json_array_get(entry, 3), arena, &list[i].spelling, error));
  }
  *out = (Tracked){list, count};
  return XT_STATUS_OK;
}

/* Parses the column `answers`. */
static xt_status effects_parse(const Db *db, const char *text, Arena *arena, Tracked *out,
                               xt_error *error) {
  json_t *json;
  *out = (Tracked){0};
  TRY(json_parse(text, strlen(text), db->path, &json, error));
  const xt_status status = copy_answers(db, json, arena, out, error);
  json_decref(json);
  return status;
}

/* The stored answers of a question. *text NULL: it has none; else the caller frees it. */
static xt_status find_answers(xt_store *s, int64_t question, char **text, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  *text = NULL;
  if (!s->schema.has[TABLE_TRACKED]) return XT_STATUS_OK;
  TRY(store_statement(s, STORE_FIND_TRACKED, &statement, error));
  db_bind_integer(&s->db, statement, 1, question);
  xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row && !(*text = strdup(db_text(statement, 0)))) status = err_memory(error, 0);
  sqlite3_reset(statement);
  return status;
}

xt_status xt_store_find_tracked(xt_store *s, int64_t question, const xt_tracked *list, size_t count,
                                bool *have, bool *same, xt_error *error) {
  char *text, *known;
  TRY(find_answers(s, question, &known, error));
  *have = known != NULL;
  *same = false;
  if (!known) return XT_STATUS_OK;
  const xt_status status = answers_text(list, count, &text, error);
  *same = !status && strcmp(text, known) == 0;
  free(known);
  if (!status) free(text);
  return status;
}

xt_status xt_store_track(xt_store *s, int64_t question, const xt_tracked *list, size_t count,
                         xt_error *error) {
  sqlite3_stmt *statement;
  bool have, same;
  char *text;
  TRY(xt_store_find_tracked(s, question, list, count, &have, &same, error));
  if (same) return XT_STATUS_OK;
  if (have)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, "tracked", -1,
                   "question %lld of the store is tracked with other answers than those given",
                   (long long)question);
  TRY(answers_text(list, count, &text, error));
  xt_status status = store_statement(s, STORE_ADD_TRACKED, &statement, error);
  if (!status) {
    db_bind_integer(&s->db, statement, 1, question);
    db_bind_text(&s->db, statement, 2, text);
    status = db_do(&s->db, statement, error);
  }
  free(text);
  if (!status) store_mark_dirty(s);
  return status;
}

/* ---- the numbers ----------------------------------------------------------------------------- */

xt_status effects_add(xt_store *s, int64_t question, const char *site, int source_layer,
                      int target_layer, const float *numbers, size_t count, xt_error *error) {
  uint8_t halves[2 * NUMBERS_MOST];
  sqlite3_stmt *statement;
  if (count > NUMBERS_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, "effects", -1,
                   "are %zu numbers; at most %d are kept", count, NUMBERS_MOST);
  for (size_t i = 0; i < count; i++) {
    const uint16_t half = half_of(numbers[i]);
    halves[2 * i] = (uint8_t)half;
    halves[2 * i + 1] = (uint8_t)(half >> 8);
  }
  TRY(store_statement(s, STORE_ADD_EFFECTS, &statement, error));
  db_bind_integer(&s->db, statement, 1, question);
  db_bind_text(&s->db, statement, 2, site);
  db_bind_integer(&s->db, statement, 3, source_layer);
  db_bind_integer(&s->db, statement, 4, target_layer);
  db_bind_blob(&s->db, statement, 5, halves, 2 * count);
  TRY(db_do(&s->db, statement, error));
  store_mark_dirty(s);
  return XT_STATUS_OK;
}

xt_status xt_store_add_source_effects(xt_store *s, int64_t question, const float *numbers,
                                      size_t count, xt_error *error) {
  if (!s->begun)
    return err_set(error, XT_STATUS_ARGUMENT, s->db.path, NULL, -1,
                   "xt_store_begin was not called");
  return effects_add(s, question, "source", -1, -1, numbers, count, error);
}

float xt_effect_stored(float number) { return dtype_from_f16(half_of(number)); }

static float half_at(const uint8_t *bytes, size_t i) {
  return dtype_from_f16((uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8));
}

/* ---- reading --------------------------------------------------------------------------------- */

xt_status effects_reader_init(EffectsReader *r, xt_store *s, xt_error *error) {
  *r = (EffectsReader){0};
  if (!s->schema.has[TABLE_TRACKED] || !s->schema.has[TABLE_EFFECTS]) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "SELECT answers FROM tracked WHERE instance = ?1", &r->tracked, error));
  return db_prepare(&s->db,
                    "SELECT numbers FROM effects WHERE instance = ?1 AND site = ?2 AND "
                    "source_layer = ?3 AND target_layer = ?4",
                    &r->numbers, error);
}

void effects_reader_deinit(EffectsReader *r) {
  sqlite3_finalize(r->tracked);
  sqlite3_finalize(r->numbers);
  *r = (EffectsReader){0};
}

xt_status effects_read_tracked(const EffectsReader *r, Db *db, int64_t question, Arena *arena,
                               Tracked *out, xt_error *error) {
  bool row;
  *out = (Tracked){0};
  if (!r->tracked) return XT_STATUS_OK;
  db_bind_integer(db, r->tracked, 1, question);
  xt_status status = db_step(db, r->tracked, &row, "cannot read", error);
  if (!status && row) {
    Columns c = columns_of(db, r->tracked, "tracked", error);
    const char *text = column_text(&c, 0, "answers");
    status = c.status ? c.status : effects_parse(db, text, arena, out, error);
  }
  sqlite3_reset(r->tracked);
  return status;
}

/* The numbers of the statement's row. */
static xt_status copy_numbers(Columns *c, const Tracked *tracked, Arena *arena, const float **out,
                              xt_error *error) {
  const size_t count = XT_EFFECT_TRACKED + tracked->count;
  size_t size;
  float *numbers;
  const uint8_t *bytes = column_blob(c, 0, "numbers", 2, &size);
  if (c->status) return c->status;
  if (size != 2 * count)
    return db_damaged(c->db, "effects", error, "a value of numbers has %zu of them, not %zu",
                      size / 2, count);
  TRY(ARENA_ALLOC(arena, &numbers, count, error));
  for (size_t i = 0; i < count; i++) {
    numbers[i] = half_at(bytes, i);
    if (!isfinite(numbers[i]))
      return db_damaged(c->db, "effects", error, "a value of numbers is not finite");
  }
  *out = numbers;
  return XT_STATUS_OK;
}

xt_status effects_read_numbers(const EffectsReader *r, Db *db, int64_t question, const char *site,
                               int source_layer, int target_layer, const Tracked *tracked,
                               Arena *arena, const float **out, xt_error *error) {
  bool row;
  *out = NULL;
  if (!tracked->list) return XT_STATUS_OK;
  db_bind_integer(db, r->numbers, 1, question);
  db_bind_text(db, r->numbers, 2, site);
  db_bind_integer(db, r->numbers, 3, source_layer);
  db_bind_integer(db, r->numbers, 4, target_layer);
  xt_status status = db_step(db, r->numbers, &row, "cannot read", error);
  if (!status && row) {
    Columns c = columns_of(db, r->numbers, "effects", error);
    status = copy_numbers(&c, tracked, arena, out, error);
  }
  sqlite3_reset(r->numbers);
  return status;
}

/* ---- checks ---------------------------------------------------------------------------------- */

void effects_check_answers(Columns *c, int column, const char *name) {
  Arena arena = {0};
  Tracked tracked;
  const char *text = column_text(c, column, name);
  if (c->status != XT_STATUS_OK) return;
  c->status = effects_parse(c->db, text, &arena, &tracked, c->error);
  arena_free(&arena);
}

void effects_check_numbers(Columns *c, int column, const char *name) {
  size_t size;
  const uint8_t *bytes = column_blob(c, column, name, 2, &size);
  if (c->status == XT_STATUS_OK && (size < 2 * XT_EFFECT_TRACKED || size > 2 * NUMBERS_MOST))
    c->status =
        db_damaged(c->db, c->table, c->error, "a value of %s has %zu of them", name, size / 2);
  for (size_t i = 0; i < size / 2 && c->status == XT_STATUS_OK; i++)
    if (!isfinite(half_at(bytes, i)))
      c->status = db_damaged(c->db, c->table, c->error, "a value of %s is not finite", name);
}
