/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite with this project's errors: every failure names the file and what would be right. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct Db {
  sqlite3 *handle;
  char *path;
} Db;

/* A failed SQLite call as a status. `doing`: "cannot read", "cannot write". */
xt_status db_error(const Db *db, int code, const char *doing, xt_error *error);

/* Runs statements that give no rows. */
xt_status db_run(const Db *db, const char *sql, const char *doing, xt_error *error);
/* The first column of the first row; *out is left as it was where there is none. */
xt_status db_number(const Db *db, const char *sql, int64_t *out, xt_error *error);

xt_status db_prepare(const Db *db, const char *sql, sqlite3_stmt **out, xt_error *error);
/* *row: whether there is one more. */
xt_status db_step(const Db *db, sqlite3_stmt *statement, bool *row, const char *doing, xt_error *error);
/* A statement that gives no row, run and reset. */
xt_status db_do(const Db *db, sqlite3_stmt *statement, xt_error *error);

/* Parameters are counted from 1. Texts and blobs are borrowed until the statement is reset. */
void db_bind_text(sqlite3_stmt *statement, int index, const char *text); /* NULL: a null */
void db_bind_ids(sqlite3_stmt *statement, int index, const int32_t *ids, size_t count);
/* A column's text; "" for a null. Borrowed until the next step. */
const char *db_text(sqlite3_stmt *statement, int column);

#endif
