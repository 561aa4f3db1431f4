/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

xt_status db_error(const Db *db, int code, const char *doing, xt_error *error) {
  const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
  char words[ERR_SYSTEM_TEXT];
  const int system = db->handle ? sqlite3_system_errno(db->handle) : 0;
  switch (code & 0xff) {
    case SQLITE_NOMEM: return err_memory(error, 0);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return err_set(error, XT_STATUS_IO, db->path, NULL, -1, "another process is writing to this store; let it finish, or give another file");
    case SQLITE_FULL:
      return err_set(error, XT_STATUS_IO, db->path, NULL, -1, "%s: the disk is full; what was committed is kept, so free some space and start again", doing);
    case SQLITE_NOTADB: return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1, "is no results store: not an SQLite file");
    case SQLITE_CORRUPT: return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1, "the store is damaged: %s", text);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_IOERR:
      return err_set(error, XT_STATUS_IO, db->path, NULL, -1, "%s: %s%s%s", doing, text, system ? ": " : "", system ? err_system_text(system, words) : "");
    default: return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1, "%s: %s", doing, text);
  }
}

xt_status db_run(const Db *db, const char *sql, const char *doing, xt_error *error) {
  const int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? XT_STATUS_OK : db_error(db, code, doing, error);
}

xt_status db_prepare(const Db *db, const char *sql, sqlite3_stmt **out, xt_error *error) {
  const int code = sqlite3_prepare_v2(db->handle, sql, -1, out, NULL);
  return code == SQLITE_OK ? XT_STATUS_OK : db_error(db, code, "cannot read", error);
}

xt_status db_step(const Db *db, sqlite3_stmt *statement, bool *row, const char *doing, xt_error *error) {
  const int code = sqlite3_step(statement);
  *row = code == SQLITE_ROW;
  return code == SQLITE_ROW || code == SQLITE_DONE ? XT_STATUS_OK : db_error(db, code, doing, error);
}

xt_status db_do(const Db *db, sqlite3_stmt *statement, xt_error *error) {
  bool row;
  const xt_status status = db_step(db, statement, &row, "cannot write", error);
  sqlite3_reset(statement); /* gives the step's code again, which has been told */
  return status;
}

xt_status db_number(const Db *db, const char *sql, int64_t *out, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  TRY(db_prepare(db, sql, &statement, error));
  const xt_status status = db_step(db, statement, &row, "cannot read", error);
  if (!status && row) *out = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return status;
}

void db_bind_text(sqlite3_stmt *statement, int index, const char *text) {
  if (text) sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
  else sqlite3_bind_null(statement, index);
}

void db_bind_ids(sqlite3_stmt *statement, int index, const int32_t *ids, size_t count) {
  sqlite3_bind_blob64(statement, index, count ? (const void *)ids : "", count * sizeof *ids, SQLITE_STATIC);
}

const char *db_text(sqlite3_stmt *statement, int column) {
  const unsigned char *text = sqlite3_column_text(statement, column);
  return text ? (const char *)text : "";
}
