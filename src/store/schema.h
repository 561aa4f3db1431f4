/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a store: those that a file must have, and those that older files lack. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/db.h"

#define STORE_APPLICATION_ID 0x58545253 /* "XTRS" */
#define STORE_SCHEMA 3 /* `user_version`; 1 has no sources, plans and samples, 2 no effects */

typedef enum StoreTable {
  TABLE_SETTINGS = 0,
  TABLE_RUNS,
  TABLE_INSTANCES,
  TABLE_TEXTS,
  TABLE_VANILLA,
  TABLE_RESPONSES,
  TABLE_TEXT_METRICS,
  TABLE_PAIR_METRICS,
  TABLE_SELECTIONS,
  TABLE_SOURCES,
  TABLE_PLANS,
  TABLE_SAMPLES,
  TABLE_TRACKED,
  TABLE_EFFECTS,
  TABLE_SELECTION_COSTS,
  TABLE_OPTION_SCORES,
  STORE_TABLE_COUNT
} StoreTable;

typedef struct Schema {
  bool empty; /* the file has no tables yet */
  int version;
  bool has[STORE_TABLE_COUNT];
} Schema;

/* Finds which tables the file has. A file with anything but a store's tables, exactly as this
 * program makes them, is an XT_STATUS_INPUT error, because foreign views, triggers and indexes
 * would run with every query. */
xt_status schema_read(Db *db, Schema *out, xt_error *error);
/* Makes the missing tables, and marks the file as one of STORE_SCHEMA. Must be called within a
 * transaction. */
xt_status schema_make(Db *db, Schema *schema, xt_error *error);

#endif
