/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite with this project's errors: every failure names the file and what would be right. A file
 * may come from a stranger, so it is opened with all of SQLite's defences, the type and range of
 * every column are checked as it is read, and the work of every query is limited. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct Db {
  sqlite3 *handle;
  bool borrowed;             /* the handle is the caller's, and stays open */
  char *path;                /* as the user gave it */
  int bind_code;             /* the code of the first parameter since the last step that could
                                not be bound; SQLITE_OK: none */
  int64_t steps, steps_most; /* steps of SQLite's virtual machine within one run of a statement;
                                0: no limit */
  uint64_t bytes;            /* size of the existing data */
} Db;

/* The name with which SQLite opens a path as a plain file, and not as a URI or as one of its
 * special names. The caller frees *out with free(). */
xt_status db_file_name(const char *path, char **out, xt_error *error);

/* Opens a file. `flags` are sqlite3_open_v2's. db_close must be called, even on failure. */
xt_status db_open(Db *db, const char *path, int flags, xt_error *error);
/* The defences, for a handle that was opened in another way. */
xt_status db_harden(Db *db, xt_error *error);
/* Has the handle's work counted here: a part of db_harden, for a handle that has been hardened by
 * another Db. */
void db_watch(Db *db);
/* Limits the work of each run of a statement, for all its rows together, by the size of the
 * existing data, far above what any query of this program needs: in a damaged file, rows may have
 * no end. */
void db_bound_work(Db *db, uint64_t bytes);
/* Accepts a zeroed one. */
void db_close(Db *db);

/* A failed SQLite call as a status. `doing`: "cannot read", "cannot write". */
xt_status db_error(const Db *db, int code, const char *doing, xt_error *error);
/* XT_STATUS_INPUT: the store's content is wrong; the message names `table` and what is wrong. */
xt_status db_damaged(const Db *db, const char *table, xt_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Runs statements that give no rows. */
xt_status db_run(Db *db, const char *sql, const char *doing, xt_error *error);
/* The first column of the first row; *out is not changed if there is none. */
xt_status db_number(Db *db, const char *sql, int64_t *out, xt_error *error);

xt_status db_prepare(Db *db, const char *sql, sqlite3_stmt **out, xt_error *error);
/* *row: whether there is another row. Fails if a parameter could not be bound. */
xt_status db_step(Db *db, sqlite3_stmt *statement, bool *row, const char *doing, xt_error *error);
/* A statement that gives no row, run and reset. */
xt_status db_do(Db *db, sqlite3_stmt *statement, xt_error *error);

/* Parameters are counted from 1. Texts and blobs are borrowed until the statement is reset; ids are
 * copied. If a parameter cannot be bound, the next step reports it, so that a statement never runs
 * with a null instead of a value. */
void db_bind_text(Db *db, sqlite3_stmt *statement, int index, const char *text); /* NULL: a null */
void db_bind_text_of(Db *db, sqlite3_stmt *statement, int index, const char *text, size_t length);
void db_bind_integer(Db *db, sqlite3_stmt *statement, int index, int64_t value);
void db_bind_real(Db *db, sqlite3_stmt *statement, int index, double value); /* NaN: a null */
void db_bind_blob(Db *db, sqlite3_stmt *statement, int index, const void *bytes, size_t size);
/* As little-endian int32, whatever the machine's order. */
void db_bind_ids(Db *db, sqlite3_stmt *statement, int index, const int32_t *ids, size_t count);

/* A column's text; "" for a null. Borrowed until the next step. Only for SQLite's own answers;
 * tables are read with Columns. */
const char *db_text(sqlite3_stmt *statement, int column);

/* ---- columns --------------------------------------------------------------------------------- */

/* The current row of a statement, read column by column: the first invalid value is reported at the
 * end. Values that are read after it are "", 0 or NaN. Columns are counted from 0; `name` is for
 * the message. */
typedef struct Columns {
  const Db *db;
  sqlite3_stmt *statement;
  const char *table;
  xt_error *error;
  xt_status status;
} Columns;

static inline Columns columns_of(const Db *db, sqlite3_stmt *statement, const char *table,
                                 xt_error *error) {
  return (Columns){.db = db, .statement = statement, .table = table, .error = error};
}

int64_t column_integer(Columns *columns, int column, const char *name, int64_t low, int64_t high);
/* UTF-8 without a NUL in it. Borrowed until the next step. */
const char *column_text(Columns *columns, int column, const char *name);
const char *column_text_or_null(Columns *columns, int column, const char *name); /* NULL: a null */
/* UTF-8 with any characters, including NUL. NULL: a null. */
const char *column_any_text(Columns *columns, int column, const char *name, size_t *length);
double column_real(Columns *columns, int column, const char *name);         /* finite */
double column_real_or_none(Columns *columns, int column, const char *name); /* NaN: a null */
/* A number, or the text "none": measured, but there was nothing to measure. *measured: whether it is
 * no null. */
double column_metric(Columns *columns, int column, const char *name, bool *measured);
const void *column_blob(Columns *columns, int column, const char *name, size_t multiple,
                        size_t *size);
/* The number of ids of a column, and the ids, [count]. */
size_t column_id_count(Columns *columns, int column, const char *name);
void column_ids(Columns *columns, int column, const char *name, int32_t *out, size_t count);

#define ID_MOST INT64_MAX /* numbers of rows, which are positive */

#endif
