/* SPDX-License-Identifier: Apache-2.0 */
/* The queries for the rows that store_read.c gives. */
#ifndef XT_STORE_STORE_ROW_QUERIES_H
#define XT_STORE_STORE_ROW_QUERIES_H

#include "store/store_parts.h"

/* The kinds of rows. */
typedef enum RowKind {
  ROWS_RESPONSES = 0, /* untouched runs and transplants */
  ROWS_UNTOUCHED,
  ROWS_SITE, /* the transplants of one site */
  ROWS_SOURCES,
  ROWS_SAMPLES,
  ROWS_SELECTIONS
} RowKind;

#define ROW_STATEMENTS 2 /* at most */

/* Prepares the statements for the rows of one question, ?1; of ROWS_SITE ?2 is the site. Those that
 * a kind does not need stay as they are. The caller finalises them, also after an error. */
xt_status row_queries_prepare(xt_store *store, RowKind kind, sqlite3_stmt *out[ROW_STATEMENTS],
                              xt_error *error);

#endif
