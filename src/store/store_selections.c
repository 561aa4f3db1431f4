/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_selections.h"

#include "store/store_metrics.h"

xt_status selections_begin(xt_store *s, xt_error *error) { return metrics_make_tables(s, error); }

xt_status selections_set(xt_store *s, int64_t question, const char *strategy, const char *site,
                         int source_layer, int target_layer, bool *changed, xt_error *error) {
  sqlite3_stmt *find, *add;
  TRY(store_statement(s, STORE_FIND_SELECTION, &find, error));
  db_bind_integer(&s->db, find, 1, question);
  db_bind_text(&s->db, find, 2, strategy);
  db_bind_text(&s->db, find, 3, site);
  bool row;
  const xt_status status = db_step(&s->db, find, &row, "cannot read", error);
  *changed = !row || sqlite3_column_int(find, 0) != source_layer ||
             sqlite3_column_int(find, 1) != target_layer;
  sqlite3_reset(find);
  if (status || !*changed) return status; /* a store that has all choices is not changed */
  TRY(store_statement(s, STORE_ADD_SELECTION, &add, error));
  db_bind_integer(&s->db, add, 1, question);
  db_bind_text(&s->db, add, 2, strategy);
  db_bind_text(&s->db, add, 3, site);
  db_bind_integer(&s->db, add, 4, source_layer);
  db_bind_integer(&s->db, add, 5, target_layer);
  TRY(db_do(&s->db, add, error));
  store_mark_dirty(s);
  return XT_STATUS_OK;
}

xt_status selections_read(xt_store *s,
                          xt_status (*row)(void *user, const Selection *selection, xt_error *error),
                          void *user, xt_error *error) {
  sqlite3_stmt *statement;
  bool more;
  xt_status status;
  if (!metrics_exist(s)) return XT_STATUS_OK;
  TRY(db_prepare(&s->db,
                 "SELECT instance, strategy, site, source_layer, target_layer FROM selections "
                 "ORDER BY instance, strategy, site",
                 &statement, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &more, "cannot read", error));
    if (!more) break;
    Columns c = columns_of(&s->db, statement, "selections", error);
    const Selection selection = {
        .question = column_integer(&c, 0, "instance", 1, ID_MOST),
        .strategy = column_text(&c, 1, "strategy"),
        .site = column_text(&c, 2, "site"),
        .source_layer = (int)column_integer(&c, 3, "source_layer", -1, XT_STORE_LAYERS_MOST),
        .target_layer = (int)column_integer(&c, 4, "target_layer", -1, XT_STORE_LAYERS_MOST)};
    store_check_site(&c, selection.site);
    store_check_layers(&c, store_layers(s), true, selection.source_layer, selection.target_layer);
    TRY_DONE(c.status);
    if (row) TRY_DONE(row(user, &selection, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}
