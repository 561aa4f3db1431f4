/* SPDX-License-Identifier: Apache-2.0 */
/* Statements on one database that are prepared once: what SQLite makes of a text depends on the
 * schema, which is the same in every execution, and making it took half of the time. The linker has
 * all code call these (--wrap). On other databases they are SQLite's own. */
#include "fuzz_statements.h"

#include <string.h>

int __real_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **out,
                              const char **tail);
int __real_sqlite3_finalize(sqlite3_stmt *statement);
int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **out,
                              const char **tail);
int __wrap_sqlite3_finalize(sqlite3_stmt *statement);

typedef struct Kept {
  sqlite3_stmt *statement;
  uint64_t hash; /* of its text */
  bool lent;
} Kept;

enum { KEPT_MOST = 256 };
static Kept kept[KEPT_MOST];
static size_t kept_count, lent_count;
static sqlite3 *kept_of;

void statements_keep(sqlite3 *db) { kept_of = db; }

size_t statements_lent(void) { return lent_count; }

static uint64_t hash_of(const char *text) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (; *text; text++) hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
  return hash;
}

static bool is_free(const Kept *k, uint64_t hash, const char *sql) {
  return !k->lent && k->hash == hash && strcmp(sqlite3_sql(k->statement), sql) == 0;
}

int __wrap_sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **out,
                              const char **tail) {
  if (!kept_of || db != kept_of || size >= 0 || tail)
    return __real_sqlite3_prepare_v2(db, sql, size, out, tail);
  const uint64_t hash = hash_of(sql);
  size_t i = 0;
  while (i < kept_count && !is_free(&kept[i], hash, sql)) i++;
  if (i == kept_count) {
    if (i == KEPT_MOST) abort(); /* a text has values in it; they should be bound */
    const int code = __real_sqlite3_prepare_v2(db, sql, -1, &kept[i].statement, NULL);
    if (code != SQLITE_OK || !kept[i].statement) {
      *out = kept[i].statement;
      return code;
    }
    kept[i].hash = hash;
    kept_count++;
  }
  kept[i].lent = true;
  lent_count++;
  *out = kept[i].statement;
  return SQLITE_OK;
}

int __wrap_sqlite3_finalize(sqlite3_stmt *statement) {
  for (size_t i = 0; statement && i < kept_count; i++) {
    if (kept[i].statement != statement) continue;
    if (!kept[i].lent) abort(); /* twice */
    kept[i].lent = false;
    lent_count--;
    const int code = sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code;
  }
  return __real_sqlite3_finalize(statement);
}
