/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_selections.h"

#include "store/store_metrics.h"

xt_status selections_begin(xt_store *s, xt_error *error) { return metrics_make_tables(s, error); }

xt_status selections_set(xt_store *s, int64_t question, const char *strategy, const char *site, int source_layer, int target_layer, bool *changed,
                         xt_error *error) {
  sqlite3_stmt *find, *add;
  TRY(store_statement(s, STORE_FIND_SELECTION, &find, error));
  sqlite3_bind_int64(find, 1, question);
  db_bind_text(find, 2, strategy);
  db_bind_text(find, 3, site);
  bool row;
  const xt_status status = db_step(&s->db, find, &row, "cannot read", error);
  *changed = !row || sqlite3_column_int(find, 0) != source_layer || sqlite3_column_int(find, 1) != target_layer;
  sqlite3_reset(find);
  if (status || !*changed) return status; /* a store that has it all stays the same file */
  TRY(store_statement(s, STORE_ADD_SELECTION, &add, error));
  sqlite3_bind_int64(add, 1, question);
  db_bind_text(add, 2, strategy);
  db_bind_text(add, 3, site);
  sqlite3_bind_int(add, 4, source_layer);
  sqlite3_bind_int(add, 5, target_layer);
  TRY(db_do(&s->db, add, error));
  store_touched(s);
  return XT_STATUS_OK;
}

xt_status selections_read(xt_store *s, xt_status (*row)(void *user, const Selection *selection, xt_error *error), void *user, xt_error *error) {
  sqlite3_stmt *statement;
  bool more;
  xt_status status;
  if (!metrics_are_there(s)) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "SELECT instance, strategy, site, source_layer, target_layer FROM selections ORDER BY instance, strategy, site", &statement, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &more, "cannot read", error));
    if (!more) break;
    const Selection selection = {.question = sqlite3_column_int64(statement, 0), .strategy = db_text(statement, 1), .site = db_text(statement, 2),
                                 .source_layer = sqlite3_column_int(statement, 3), .target_layer = sqlite3_column_int(statement, 4)};
    TRY_DONE(row(user, &selection, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}
