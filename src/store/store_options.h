/* SPDX-License-Identifier: Apache-2.0 */
/* What a store keeps of options that were scored by likelihood: for each run of a question the
 * log-probability of each option's text, as float64, in the order of question_options. */
#ifndef STORE_STORE_OPTIONS_H
#define STORE_STORE_OPTIONS_H

#include "base/arena.h"
#include "store/store_parts.h"

/* Adds the numbers of a run, each finite and at most 0: a site's name with its layers, or "vanilla"
 * and -1. Existing ones are not changed. */
xt_status options_add(xt_store *store, int64_t question, const char *site, int source_layer,
                      int target_layer, const double *sums, size_t count, xt_error *error);

typedef struct OptionsReader {
  sqlite3_stmt *sums;       /* NULL: the store has none */
  const xt_choice *options; /* of the question at hand, in the reader's arena */
  size_t count;
} OptionsReader;
xt_status options_reader_init(OptionsReader *r, xt_store *store, xt_error *error);
void options_reader_deinit(OptionsReader *r);
/* Fills the row's options and, if there are any, their numbers. */
xt_status options_read_row(const OptionsReader *r, Db *db, Arena *arena, xt_store_row *row,
                           xt_error *error);

/* The check of store_check_values. */
void options_check_sums(Columns *c, int column, const char *name);

#endif
