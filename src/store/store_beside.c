/* What lies beside the responses: runs, and what later verbs add to a store. Tables that a store does not have count
 * as empty ones. */
#include <math.h>

#include "store/store_parts.h"

static xt_status has_table(xt_store *s, const char *name, bool *has, xt_error *error) {
  sqlite3_stmt *statement;
  *has = false;
  if (s->empty) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", &statement, error));
  db_bind_text(statement, 1, name);
  const xt_status status = db_step(&s->db, statement, has, "cannot read", error);
  sqlite3_finalize(statement);
  return status;
}

/* Calls `row` for each row of a query, unless the table is not there. */
static xt_status read_table(xt_store *s, const char *table, const char *sql, xt_status (*row)(sqlite3_stmt *statement, const void *callback, void *user, xt_error *error),
                            const void *callback, void *user, xt_error *error) {
  sqlite3_stmt *statement;
  bool more;
  xt_status status;
  TRY(has_table(s, table, &more, error));
  if (!more) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, sql, &statement, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &more, "cannot read", error));
    if (!more) break;
    TRY_DONE(row(statement, callback, user, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}

typedef struct RunCallback {
  xt_status (*call)(void *, const char *, const char *, xt_error *);
} RunCallback;

static xt_status run_row(sqlite3_stmt *statement, const void *callback, void *user, xt_error *error) {
  return ((const RunCallback *)callback)->call(user, db_text(statement, 0), db_text(statement, 1), error);
}

xt_status xt_store_read_runs(xt_store *s, xt_status (*run)(void *user, const char *started, const char *provenance, xt_error *error), void *user,
                             xt_error *error) {
  return read_table(s, "runs", "SELECT started, provenance FROM runs ORDER BY id", run_row, &(RunCallback){run}, user, error);
}

typedef struct SelectionCallback {
  xt_status (*call)(void *, const xt_store_selection *, xt_error *);
} SelectionCallback;

static xt_status selection_row(sqlite3_stmt *statement, const void *callback, void *user, xt_error *error) {
  const xt_store_selection selection = {.strategy = db_text(statement, 0), .site = db_text(statement, 1), .question_number = sqlite3_column_int64(statement, 2),
                                        .source_layer = sqlite3_column_int(statement, 3), .target_layer = sqlite3_column_int(statement, 4)};
  return ((const SelectionCallback *)callback)->call(user, &selection, error);
}

xt_status xt_store_read_selections(xt_store *s, xt_status (*selection)(void *user, const xt_store_selection *selection, xt_error *error), void *user,
                                   xt_error *error) {
  return read_table(s, "selections", "SELECT strategy, site, instance, source_layer, target_layer FROM selections ORDER BY strategy, site, instance",
                    selection_row, &(SelectionCallback){selection}, user, error);
}

typedef struct MetricCallback {
  xt_status (*call)(void *, const xt_store_text_metric *, xt_error *);
} MetricCallback;

static xt_status metric_row(sqlite3_stmt *statement, const void *callback, void *user, xt_error *error) {
  const int type = sqlite3_column_type(statement, 2);
  const double value = type == SQLITE_INTEGER || type == SQLITE_FLOAT ? sqlite3_column_double(statement, 2) : (double)NAN;
  const xt_store_text_metric metric = {.text_number = sqlite3_column_int64(statement, 0), .name = db_text(statement, 1), .text = db_text(statement, 2),
                                       .value = value};
  return ((const MetricCallback *)callback)->call(user, &metric, error);
}

xt_status xt_store_read_text_metrics(xt_store *s, xt_status (*metric)(void *user, const xt_store_text_metric *metric, xt_error *error), void *user,
                                     xt_error *error) {
  return read_table(s, "text_metrics", "SELECT text, name, value FROM text_metrics ORDER BY text, name", metric_row, &(MetricCallback){metric}, user, error);
}
