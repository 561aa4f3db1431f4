/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of `baseline`: a row for each language, of each layer or of several together. */
#ifndef CLI_VERBS_BASELINE_ROWS_H
#define CLI_VERBS_BASELINE_ROWS_H

#include "verbs/baseline_questions.h"

typedef struct BaselineRow {
  const Questions *questions; /* judged, untouched and changed at these layers */
  const char *method;
  double alpha;
  const char *layers;
  bool together, json;
} BaselineRow;

void baseline_print_heading(void);
/* Of one language; NULL: of all. */
xt_status baseline_print_row(const BaselineRow *row, const char *lang, xt_error *error);

#endif
