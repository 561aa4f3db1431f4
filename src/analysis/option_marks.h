/* SPDX-License-Identifier: Apache-2.0 */
/* Which scored runs are right by each rule that chooses among options (xt_option_rule). */
#ifndef ANALYSIS_OPTION_MARKS_H
#define ANALYSIS_OPTION_MARKS_H

#include "xtransplant/analysis.h"

typedef struct OptionMarks {
  int64_t question; /* its number in the store */
  const char *site; /* "vanilla" of untouched runs, whose layers are -1; borrowed for the call */
  int source_layer, target_layer;
  uint8_t marks; /* bit r: right by rule r */
} OptionMarks;
typedef xt_status OptionMarksTake(void *user, const OptionMarks *run, xt_error *error);

/* Calls `take` for each scored run of a question with a gold answer. */
xt_status option_marks_each(xt_store *store, OptionMarksTake *take, void *user, xt_error *error);

#endif
