/* SPDX-License-Identifier: Apache-2.0 */
#include "store/schema.h"

#include <stdio.h>
#include <string.h>

typedef struct TableText {
  const char *name, *columns; /* SQLite keeps the text, so that a file can be compared with it */
  int schema;                 /* first schema with the table */
  bool optional;              /* a store of that schema may lack it */
} TableText;

#define NUMBERS                                                                            \
  "margin REAL, entropy REAL, mean_entropy REAL, mean_logprob REAL, run INTEGER NOT NULL " \
  "REFERENCES runs"

static const TableText tables[STORE_TABLE_COUNT] = {
    [TABLE_SETTINGS] = {"settings", "(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID", 1,
                        false},
    [TABLE_RUNS] = {"runs",
                    "(id INTEGER PRIMARY KEY, started TEXT NOT NULL, provenance TEXT NOT NULL)", 1,
                    false},
    [TABLE_INSTANCES] = {"instances",
                         "(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, task TEXT NOT NULL, "
                         "lang TEXT NOT NULL,"
                         " source_lang TEXT NOT NULL, number INTEGER NOT NULL, doc_id TEXT NOT "
                         "NULL, source TEXT NOT NULL,"
                         " target TEXT NOT NULL, gold TEXT, choices TEXT, source_ids BLOB NOT "
                         "NULL, target_ids BLOB NOT NULL)",
                         1, false},
    [TABLE_TEXTS] = {"texts", "(id INTEGER PRIMARY KEY, ids BLOB NOT NULL UNIQUE, text TEXT)", 1,
                     false},
    [TABLE_VANILLA] = {"vanilla",
                       "(instance INTEGER PRIMARY KEY REFERENCES instances, text INTEGER NOT NULL "
                       "REFERENCES texts, " NUMBERS ")",
                       1, false},
    [TABLE_RESPONSES] = {"responses",
                         "(instance INTEGER NOT NULL REFERENCES instances, site TEXT NOT NULL, "
                         "source_layer INTEGER NOT NULL,"
                         " target_layer INTEGER NOT NULL, text INTEGER NOT NULL REFERENCES texts, "
                         "margin REAL, entropy REAL, mean_entropy REAL,"
                         " mean_logprob REAL, run INTEGER NOT NULL REFERENCES runs, PRIMARY "
                         "KEY(instance, site, source_layer, target_layer)) WITHOUT ROWID",
                         1, false},
    [TABLE_TEXT_METRICS] = {"text_metrics",
                            "(text INTEGER NOT NULL REFERENCES texts, name TEXT NOT NULL, value, "
                            "PRIMARY KEY(text, name)) WITHOUT ROWID",
                            1, true},
    [TABLE_PAIR_METRICS] =
        {"pair_metrics",
         "(instance INTEGER NOT NULL REFERENCES instances, text INTEGER NOT NULL REFERENCES texts,"
         " name TEXT NOT NULL, value, PRIMARY KEY(instance, text, name)) WITHOUT ROWID",
         1, true},
    [TABLE_SELECTIONS] = {"selections",
                          "(strategy TEXT NOT NULL, site TEXT NOT NULL, instance INTEGER NOT NULL "
                          "REFERENCES instances,"
                          " source_layer INTEGER NOT NULL, target_layer INTEGER NOT NULL, PRIMARY "
                          "KEY(instance, strategy, site)) WITHOUT ROWID",
                          1, true},
    [TABLE_SOURCES] = {"sources",
                       "(instance INTEGER PRIMARY KEY REFERENCES instances, text INTEGER NOT NULL "
                       "REFERENCES texts, " NUMBERS ")",
                       2, false},
    [TABLE_PLANS] = {"plans",
                     "(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, task TEXT NOT NULL, lang "
                     "TEXT NOT NULL, source_lang TEXT NOT NULL,"
                     " cot INTEGER NOT NULL, dataset INTEGER NOT NULL, too_long INTEGER NOT NULL, "
                     "sites TEXT NOT NULL, source_layers TEXT NOT NULL,"
                     " target_layers TEXT NOT NULL, questions BLOB NOT NULL)",
                     2, false},
    [TABLE_SAMPLES] = {"samples",
                       "(instance INTEGER NOT NULL REFERENCES instances, temperature REAL NOT "
                       "NULL, top_p REAL NOT NULL, seed INTEGER NOT NULL,"
                       " number INTEGER NOT NULL, text INTEGER NOT NULL REFERENCES texts, "
                       "mean_logprob REAL, run INTEGER NOT NULL REFERENCES runs,"
                       " PRIMARY KEY(instance, temperature, top_p, seed, number)) WITHOUT ROWID",
                       2, false},
    [TABLE_TRACKED] = {"tracked",
                       "(instance INTEGER PRIMARY KEY REFERENCES instances, answers TEXT NOT NULL)",
                       3, false},
    [TABLE_EFFECTS] = {"effects",
                       "(instance INTEGER NOT NULL REFERENCES instances, site TEXT NOT NULL, "
                       "source_layer INTEGER NOT NULL,"
                       " target_layer INTEGER NOT NULL, numbers BLOB NOT NULL, PRIMARY "
                       "KEY(instance, site, source_layer, target_layer)) WITHOUT ROWID",
                       3, false},
    [TABLE_SELECTION_COSTS] = {"selection_costs",
                               "(strategy TEXT NOT NULL, site TEXT NOT NULL, instance INTEGER NOT "
                               "NULL REFERENCES instances,"
                               " responses INTEGER NOT NULL, tokens INTEGER NOT NULL, PRIMARY "
                               "KEY(instance, strategy, site)) WITHOUT ROWID",
                               2, true},
    [TABLE_OPTION_SCORES] = {"option_scores",
                             "(instance INTEGER NOT NULL REFERENCES instances, site TEXT NOT NULL, "
                             "source_layer INTEGER NOT NULL,"
                             " target_layer INTEGER NOT NULL, sums BLOB NOT NULL, PRIMARY "
                             "KEY(instance, site, source_layer, target_layer)) WITHOUT ROWID",
                             3, true},
};

/* Checks that an object of the file is a table exactly as this program makes it, or the index of
 * its primary key. */
static xt_status check_object(const Db *db, sqlite3_stmt *object, Schema *schema, xt_error *error) {
  const char *type = db_text(object, 0), *name = db_text(object, 1), *sql = db_text(object, 3);
  char expected[1024];
  if (strcmp(type, "index") == 0 && !sql[0] && strncmp(name, "sqlite_autoindex_", 17) == 0)
    return XT_STATUS_OK;
  for (int t = 0; t < STORE_TABLE_COUNT && strcmp(type, "table") == 0; t++) {
    if (strcmp(name, tables[t].name) != 0) continue;
    snprintf(expected, sizeof expected, "CREATE TABLE %s%s", tables[t].name, tables[t].columns);
    if (strcmp(sql, expected) != 0)
      return err_set(
          error, XT_STATUS_INPUT, db->path, name, -1,
          "is not a results store that this program made: its table is defined as \"%.200s\"", sql);
    schema->has[t] = true;
    return XT_STATUS_OK;
  }
  return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1,
                 "is not a results store that this program made: it has the %.20s \"%.60s\", "
                 "which a results store does not have",
                 type, name);
}

static xt_status check_objects(Db *db, Schema *schema, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  xt_status status;
  TRY(db_prepare(db, "SELECT type, name, tbl_name, sql FROM sqlite_master", &statement, error));
  for (;;) {
    TRY_DONE(db_step(db, statement, &row, "cannot read", error));
    if (!row) break;
    TRY_DONE(check_object(db, statement, schema, error));
  }
done:
  sqlite3_finalize(statement);
  return status;
}

xt_status schema_read(Db *db, Schema *schema, xt_error *error) {
  int64_t application = 0, version = 0, objects = 0;
  *schema = (Schema){0};
  /* Objects are read first: if a writer makes the store between the two reads, what is read after
   * the objects belongs to them. */
  TRY(db_number(db, "SELECT count(*) FROM sqlite_master", &objects, error));
  TRY(db_number(db, "PRAGMA application_id", &application, error));
  TRY(db_number(db, "PRAGMA user_version", &version, error));
  schema->empty = objects == 0 && application == 0;
  if (schema->empty) return XT_STATUS_OK;
  if (application != STORE_APPLICATION_ID)
    return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1,
                   "is not a results store: an SQLite file of another program");
  if (version < 1 || version > STORE_SCHEMA)
    return err_set(error, XT_STATUS_INPUT, db->path, NULL, -1,
                   "has schema %lld; this build reads schemas 1 to %d. A newer version of this "
                   "program made it: read it with that one",
                   (long long)version, STORE_SCHEMA);
  schema->version = (int)version;
  TRY(check_objects(db, schema, error));
  for (int t = 0; t < STORE_TABLE_COUNT; t++)
    if (!schema->has[t] && !tables[t].optional && tables[t].schema <= version)
      return err_set(error, XT_STATUS_INPUT, db->path, tables[t].name, -1,
                     "is not a complete results store: it lacks this table");
  return XT_STATUS_OK;
}

xt_status schema_make(Db *db, Schema *schema, xt_error *error) {
  char sql[1100];
  for (int t = 0; t < STORE_TABLE_COUNT; t++) {
    if (schema->has[t]) continue;
    snprintf(sql, sizeof sql, "CREATE TABLE %s%s", tables[t].name, tables[t].columns);
    TRY(db_run(db, sql, "cannot write", error));
  }
  if (schema->version != STORE_SCHEMA) {
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             STORE_APPLICATION_ID, STORE_SCHEMA);
    TRY(db_run(db, sql, "cannot write", error));
  }
  *schema = (Schema){.version = STORE_SCHEMA};
  for (int t = 0; t < STORE_TABLE_COUNT; t++) schema->has[t] = true;
  return XT_STATUS_OK;
}
