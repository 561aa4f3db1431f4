/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_options.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define OPTION_BYTES 8 /* a float64, the least significant byte first */

xt_status options_add(xt_store *s, int64_t question, const char *site, int source_layer,
                      int target_layer, const double *sums, size_t count, xt_error *error) {
  sqlite3_stmt *statement;
  uint8_t *bytes;
  TRY(store_statement(s, STORE_ADD_OPTIONS, &statement, error));
  TRY(MEM_ALLOC(&bytes, count * OPTION_BYTES, error));
  for (size_t i = 0; i < count; i++) {
    uint64_t bits;
    memcpy(&bits, &sums[i], sizeof bits);
    for (size_t b = 0; b < OPTION_BYTES; b++)
      bytes[i * OPTION_BYTES + b] = (uint8_t)(bits >> 8 * b);
  }
  db_bind_integer(&s->db, statement, 1, question);
  db_bind_text(&s->db, statement, 2, site);
  db_bind_integer(&s->db, statement, 3, source_layer);
  db_bind_integer(&s->db, statement, 4, target_layer);
  db_bind_blob(&s->db, statement, 5, bytes, count * OPTION_BYTES);
  const xt_status status = db_do(&s->db, statement, error);
  free(bytes);
  if (!status) store_mark_dirty(s);
  return status;
}

static double sum_at(const uint8_t *bytes, size_t i) {
  uint64_t bits = 0;
  double sum;
  for (size_t b = OPTION_BYTES; b-- > 0;) bits = bits << 8 | bytes[i * OPTION_BYTES + b];
  memcpy(&sum, &bits, sizeof sum);
  return sum;
}

void options_check_sums(Columns *c, int column, const char *name) {
  size_t size;
  const uint8_t *bytes = column_blob(c, column, name, OPTION_BYTES, &size);
  for (size_t i = 0; c->status == XT_STATUS_OK && i < size / OPTION_BYTES; i++) {
    const double sum = sum_at(bytes, i);
    if (!isfinite(sum) || sum > 0)
      c->status = db_damaged(c->db, c->table, c->error,
                             "a value of %s is not a finite log-probability", name);
  }
}

xt_status options_reader_init(OptionsReader *r, xt_store *s, xt_error *error) {
  *r = (OptionsReader){0};
  if (!s->schema.has[TABLE_OPTION_SCORES]) return XT_STATUS_OK;
  return db_prepare(&s->db,
                    "SELECT sums FROM option_scores WHERE instance = ?1 AND site = ?2 AND "
                    "source_layer = ?3 AND target_layer = ?4",
                    &r->sums, error);
}

void options_reader_deinit(OptionsReader *r) {
  sqlite3_finalize(r->sums);
  *r = (OptionsReader){0};
}

static xt_status copy_sums(Columns *c, size_t count, Arena *arena, const double **out,
                           xt_error *error) {
  size_t size;
  double *sums;
  options_check_sums(c, 0, "sums");
  TRY(c->status);
  const uint8_t *bytes = column_blob(c, 0, "sums", OPTION_BYTES, &size);
  if (size != count * OPTION_BYTES)
    return db_damaged(c->db, c->table, error, "a value of sums has %zu of them, not %zu",
                      size / OPTION_BYTES, count);
  TRY(ARENA_ALLOC(arena, &sums, count, error));
  for (size_t i = 0; i < count; i++) sums[i] = sum_at(bytes, i);
  *out = sums;
  return XT_STATUS_OK;
}

xt_status options_read_row(const OptionsReader *r, Db *db, Arena *arena, xt_store_row *row,
                           xt_error *error) {
  bool found;
  row->options = r->options;
  row->option_count = r->count;
  if (!r->sums || !r->count) return XT_STATUS_OK;
  db_bind_integer(db, r->sums, 1, row->question_number);
  db_bind_text(db, r->sums, 2, row->site);
  db_bind_integer(db, r->sums, 3, row->source_layer);
  db_bind_integer(db, r->sums, 4, row->target_layer);
  xt_status status = db_step(db, r->sums, &found, "cannot read", error);
  if (!status && found) {
    Columns c = columns_of(db, r->sums, "option_scores", error);
    status = copy_sums(&c, r->count, arena, &row->option_sums, error);
  }
  sqlite3_reset(r->sums);
  return status;
}
