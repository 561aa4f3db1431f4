/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading the choices of strategies. */
#ifndef STORE_STORE_SELECTIONS_H
#define STORE_STORE_SELECTIONS_H

#include "store/store_parts.h"

/* Makes the tables if they are missing. The store must be open for writing. */
xt_status selections_begin(xt_store *store, xt_error *error);
/* One choice. `strategy` and `site` are borrowed for the call. */
typedef struct Selection {
  int64_t question;
  const char *strategy, *site;
  int source_layer, target_layer; /* -1: the untouched run */
  int64_t responses, tokens; /* that had to be generated for this choice; 0 responses: not kept,
                                since the strategy always needs the same */
} Selection;

/* *changed: whether the store had a different choice, or none. */
xt_status selections_set(xt_store *store, const Selection *selection, bool *changed,
                         xt_error *error);

/* Calls `row`, if it is not NULL, for every choice, by question's number, strategy, site. */
xt_status selections_read(xt_store *store,
                          xt_status (*row)(void *user, const Selection *selection, xt_error *error),
                          void *user, xt_error *error);

#endif
