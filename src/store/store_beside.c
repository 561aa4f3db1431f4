/* SPDX-License-Identifier: Apache-2.0 */
/* Tables besides the responses: runs, and those that later verbs add to a store. Tables that a
 * store does not have count as empty. */
#include "store/store_parts.h"

/* Calls `row` for each row of a query, if the table exists. */
static xt_status read_table(xt_store *s, StoreTable table, const char *sql,
                            xt_status (*row)(sqlite3_stmt *statement, const void *callback,
                                             void *user, xt_error *error),
                            const void *callback, void *user, xt_error *error) {
  sqlite3_stmt *statement;
  bool more;
  xt_status status;
  if (!s->schema.has[table]) return XT_STATUS_OK;
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
  const Db *db;
  xt_status (*call)(void *, const char *, const char *, xt_error *);
} RunCallback;

static xt_status run_row(sqlite3_stmt *statement, const void *callback, void *user,
                         xt_error *error) {
  const RunCallback *run = callback;
  Columns c = columns_of(run->db, statement, "runs", error);
  const char *started = column_text(&c, 0, "started"),
             *provenance = column_text(&c, 1, "provenance");
  TRY(c.status);
  return run->call(user, started, provenance, error);
}

xt_status xt_store_read_runs(xt_store *s,
                             xt_status (*run)(void *user, const char *started,
                                              const char *provenance, xt_error *error),
                             void *user, xt_error *error) {
  return read_table(s, TABLE_RUNS, "SELECT started, provenance FROM runs ORDER BY id", run_row,
                    &(RunCallback){&s->db, run}, user, error);
}
