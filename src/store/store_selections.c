/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_selections.h"

#include "store/store_metrics.h"

#define COST_MOST (INT64_C(1) << 40)

xt_status selections_begin(xt_store *s, xt_error *error) { return metrics_make_tables(s, error); }

static xt_status set_cost(xt_store *s, const Selection *c, xt_error *error) {
  sqlite3_stmt *add;
  TRY(store_statement(s, STORE_ADD_SELECTION_COST, &add, error));
  db_bind_integer(&s->db, add, 1, c->question);
  db_bind_text(&s->db, add, 2, c->strategy);
  db_bind_text(&s->db, add, 3, c->site);
  db_bind_integer(&s->db, add, 4, c->responses);
  db_bind_integer(&s->db, add, 5, c->tokens);
  return db_do(&s->db, add, error);
}

xt_status selections_set(xt_store *s, const Selection *c, bool *changed, xt_error *error) {
  sqlite3_stmt *find, *add;
  TRY(store_statement(s, STORE_FIND_SELECTION, &find, error));
  db_bind_integer(&s->db, find, 1, c->question);
  db_bind_text(&s->db, find, 2, c->strategy);
  db_bind_text(&s->db, find, 3, c->site);
  bool row;
  const xt_status status = db_step(&s->db, find, &row, "cannot read", error);
  *changed = !row || sqlite3_column_int(find, 0) != c->source_layer ||
             sqlite3_column_int(find, 1) != c->target_layer ||
             (c->responses && sqlite3_column_int64(find, 2) != c->responses);
  sqlite3_reset(find);
  if (status || !*changed) return status; /* a store that has all choices is not changed */
  TRY(store_statement(s, STORE_ADD_SELECTION, &add, error));
  db_bind_integer(&s->db, add, 1, c->question);
  db_bind_text(&s->db, add, 2, c->strategy);
  db_bind_text(&s->db, add, 3, c->site);
  db_bind_integer(&s->db, add, 4, c->source_layer);
  db_bind_integer(&s->db, add, 5, c->target_layer);
  TRY(db_do(&s->db, add, error));
  if (c->responses) TRY(set_cost(s, c, error));
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
                 s->schema.has[TABLE_SELECTION_COSTS]
                     ? "SELECT instance, strategy, site, source_layer, target_layer, "
                       "ifnull(responses, 0), ifnull(tokens, 0) FROM selections LEFT JOIN "
                       "selection_costs USING(instance, strategy, site) ORDER BY instance, "
                       "strategy, site"
                     : "SELECT instance, strategy, site, source_layer, target_layer, 0, 0 FROM "
                       "selections ORDER BY instance, strategy, site",
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
        .target_layer = (int)column_integer(&c, 4, "target_layer", -1, XT_STORE_LAYERS_MOST),
        .responses = column_integer(&c, 5, "responses", 0, COST_MOST),
        .tokens = column_integer(&c, 6, "tokens", 0, COST_MOST)};
    store_check_site(&c, selection.site);
    store_check_layers(&c, store_layers(s), true, selection.source_layer, selection.target_layer);
    TRY_DONE(c.status);
    if (row) TRY_DONE(row(user, &selection, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}
