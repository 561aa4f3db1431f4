/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define STEPS_TOGETHER 100000 /* steps of the virtual machine between two checks of the limit */
#define STEPS_LEAST \
  INT64_C(2000000) /* a fraction of a second, more than any query of a small store needs */
#define STEPS_A_BYTE \
  100 /* a row of a store has tens of bytes, and a query needs tens of steps for it */

/* ---- opening --------------------------------------------------------------------------------- */

xt_status db_file_name(const char *path, char **out, xt_error *error) {
  const size_t length = strlen(path);
  char *name;
  TRY(MEM_ALLOC(&name, length + 3, error));
  if (path[0] != '/') memcpy(name, "./", 2);
  memcpy(name + (path[0] != '/' ? 2 : 0), path, length + 1);
  *out = name;
  return XT_STATUS_OK;
}

static int too_long(void *user) {
  Db *db = user;
  db->steps += STEPS_TOGETHER;
  return db->steps_most && db->steps > db->steps_most;
}

void db_bound_work(Db *db, uint64_t bytes) {
  const uint64_t most = (uint64_t)(INT64_MAX - STEPS_LEAST) / STEPS_A_BYTE;
  db->bytes = bytes;
  db->steps_most = STEPS_LEAST + STEPS_A_BYTE * (int64_t)(bytes < most ? bytes : most);
}

void db_watch(Db *db) { sqlite3_progress_handler(db->handle, STEPS_TOGETHER, too_long, db); }

xt_status db_harden(Db *db, xt_error *error) {
  static const struct {
    int limit, most;
  } limits[] = {{SQLITE_LIMIT_LENGTH, 1 << 28},     {SQLITE_LIMIT_SQL_LENGTH, 100000},
                {SQLITE_LIMIT_COLUMN, 100},         {SQLITE_LIMIT_EXPR_DEPTH, 100},
                {SQLITE_LIMIT_COMPOUND_SELECT, 8},  {SQLITE_LIMIT_VDBE_OP, 25000},
                {SQLITE_LIMIT_FUNCTION_ARG, 8},     {SQLITE_LIMIT_ATTACHED, 1},
                {SQLITE_LIMIT_VARIABLE_NUMBER, 32}, {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
                {SQLITE_LIMIT_WORKER_THREADS, 0}};
  sqlite3_extended_result_codes(db->handle, 1);
#ifdef SQLITE_DBCONFIG_DEFENSIVE
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
#endif
#ifdef SQLITE_DBCONFIG_TRUSTED_SCHEMA
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
#endif
#ifdef SQLITE_DBCONFIG_ENABLE_VIEW
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
#endif
  sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    sqlite3_limit(db->handle, limits[i].limit, limits[i].most);
  db_watch(db);
  /* A mapped file that shrinks would end the process. */
  return db_run(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0", "cannot open", error);
}

xt_status db_open(Db *db, const char *path, int flags, xt_error *error) {
  char *name;
  struct stat file;
  if (!db->path) TRY(mem_copy_text(&db->path, path, strlen(path), error));
  const bool there = stat(path, &file) == 0;
  if (there && !S_ISREG(file.st_mode))
    return err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                   "is %s; a results file has to be a regular file",
                   S_ISDIR(file.st_mode) ? "a folder" : "no regular file");
  db_bound_work(db, there ? (uint64_t)file.st_size : 0);
  TRY(db_file_name(path, &name, error));
  const int code = sqlite3_open_v2(name, &db->handle, flags, NULL);
  free(name);
  return code == SQLITE_OK ? db_harden(db, error) : db_error(db, code, "cannot open", error);
}

void db_close(Db *db) {
  if (db->borrowed)
    sqlite3_progress_handler(db->handle, 0, NULL, NULL);
  else
    sqlite3_close(db->handle);
  free(db->path);
  *db = (Db){0};
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* SQLite loses the reason why it could not open a file when it looks for other files afterwards. */
static int reason(const Db *db) {
  const int system = db->handle ? sqlite3_system_errno(db->handle) : 0;
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  close(fd);
  return system;
}

static xt_status system_failure(const Db *db, const char *doing, const char *text,
                                xt_error *error) {
  const int system = reason(db);
  char words[ERR_SYSTEM_TEXT];
  return err_set(error, XT_STATUS_IO, db->path, NULL, -1, "%s: %s%s%s", doing, text,
                 system ? ": " : "", system ? err_system_text(system, words) : "");
}

/* SQLite treats a file system without locks like one where another process has the lock, and the
 * reason is only in errno. */
static xt_status busy(const Db *db, int system, xt_error *error) {
  if (system == ENOLCK)
    return err_set(error, XT_STATUS_IO, db->path, NULL, -1,
                   "its file system cannot lock files (of NFS, the server's lock service is not "
                   "running); copy the file to a local disk");
  return err_set(error, XT_STATUS_IO, db->path, NULL, -1,
                 "another process is writing to this store; let it finish, or give another file");
}

xt_status db_error(const Db *db, int code, const char *doing, xt_error *error) {
  const int system = errno;
  const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
  if (code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY)
    return err_set(error, XT_STATUS_IO, db->path, NULL, -1,
                   "a writer was stopped in the middle of a commit, and what it left cannot be "
                   "undone here, as the file cannot be written to: copy it and "
                   "its -journal to a folder where they can, and read that copy");
  switch (code & 0xff) {
    case SQLITE_NOMEM: return err_memory(error, 0);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return busy(db, system, error);
    case SQLITE_FULL:
      return err_set(
          error, XT_STATUS_IO, db->path, NULL, -1,
          "%s: the disk is full; what was committed is kept, so free some space and start again",
          doing);
    case SQLITE_NOTADB:
      return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1,
                     "is not a results store: not an SQLite file");
    case SQLITE_CORRUPT:
      return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1, "the store is damaged: %s", text);
    case SQLITE_INTERRUPT:
      return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1,
                     "the store is damaged: reading it takes far more steps than a file of its "
                     "size needs");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_IOERR: return system_failure(db, doing, text, error);
    default: return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1, "%s: %s", doing, text);
  }
}

/* ---- statements ------------------------------------------------------------------------------ */

xt_status db_run(Db *db, const char *sql, const char *doing, xt_error *error) {
  db->steps = 0;
  const int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? XT_STATUS_OK : db_error(db, code, doing, error);
}

xt_status db_prepare(Db *db, const char *sql, sqlite3_stmt **out, xt_error *error) {
  const int code = sqlite3_prepare_v2(db->handle, sql, -1, out, NULL);
  db->bind_code = SQLITE_OK;
  return code == SQLITE_OK ? XT_STATUS_OK : db_error(db, code, "cannot read", error);
}

xt_status db_step(Db *db, sqlite3_stmt *statement, bool *row, const char *doing, xt_error *error) {
  const int unbound = db->bind_code;
  *row = false;
  db->bind_code = SQLITE_OK;
  if (!sqlite3_stmt_busy(statement)) db->steps = 0; /* it begins */
  if (unbound != SQLITE_OK)
    return unbound == SQLITE_TOOBIG ? err_set(error, XT_STATUS_IO, db->path, NULL, -1,
                                              "%s: a value is too long for the store", doing)
                                    : db_error(db, unbound, doing, error);
  const int code = sqlite3_step(statement);
  *row = code == SQLITE_ROW;
  return code == SQLITE_ROW || code == SQLITE_DONE ? XT_STATUS_OK
                                                   : db_error(db, code, doing, error);
}

xt_status db_do(Db *db, sqlite3_stmt *statement, xt_error *error) {
  bool row;
  const xt_status status = db_step(db, statement, &row, "cannot write", error);
  sqlite3_reset(statement); /* returns the step's code again, which has been reported */
  return status;
}

xt_status db_number(Db *db, const char *sql, int64_t *out, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  TRY(db_prepare(db, sql, &statement, error));
  const xt_status status = db_step(db, statement, &row, "cannot read", error);
  if (!status && row) *out = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return status;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static void note_bind(Db *db, int code) {
  if (db->bind_code == SQLITE_OK) db->bind_code = code;
}

void db_bind_text(Db *db, sqlite3_stmt *statement, int index, const char *text) {
  note_bind(db, text ? sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC)
                     : sqlite3_bind_null(statement, index));
}

void db_bind_text_of(Db *db, sqlite3_stmt *statement, int index, const char *text, size_t length) {
  note_bind(db,
            text ? sqlite3_bind_text64(statement, index, text, length, SQLITE_STATIC, SQLITE_UTF8)
                 : sqlite3_bind_null(statement, index));
}

void db_bind_integer(Db *db, sqlite3_stmt *statement, int index, int64_t value) {
  note_bind(db, sqlite3_bind_int64(statement, index, value));
}

void db_bind_real(Db *db, sqlite3_stmt *statement, int index, double value) {
  note_bind(db, sqlite3_bind_double(statement, index, value));
}

void db_bind_blob(Db *db, sqlite3_stmt *statement, int index, const void *bytes, size_t size) {
  note_bind(db, sqlite3_bind_blob64(statement, index, size ? bytes : "", size, SQLITE_STATIC));
}

void db_bind_ids(Db *db, sqlite3_stmt *statement, int index, const int32_t *ids, size_t count) {
  uint8_t *bytes = sqlite3_malloc64(4 * (sqlite3_uint64)count + 1);
  if (!bytes) {
    note_bind(db, SQLITE_NOMEM);
    return;
  }
  for (size_t i = 0; i < count; i++)
    for (int k = 0; k < 4; k++) bytes[4 * i + (size_t)k] = (uint8_t)((uint32_t)ids[i] >> (8 * k));
  note_bind(db, sqlite3_bind_blob64(statement, index, bytes, 4 * count, sqlite3_free));
}

const char *db_text(sqlite3_stmt *statement, int column) {
  const unsigned char *text = sqlite3_column_text(statement, column);
  return text ? (const char *)text : "";
}
