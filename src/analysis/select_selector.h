/* SPDX-License-Identifier: Apache-2.0 */
/* What a strategy has learned from the questions of one store, to choose for those of another. */
#ifndef ANALYSIS_SELECT_SELECTOR_H
#define ANALYSIS_SELECT_SELECTOR_H

#include "analysis/select_fits.h"

#define SELECTOR_FROM_SIZE 21 /* with its NUL: what XT_STRATEGY_NAME_SIZE has room for */

struct xt_selector {
  Layout layout;
  xt_strategy strategy;
  Fit fit;
  char from[SELECTOR_FROM_SIZE]; /* "pilot.3fa9c201": the store's file, and a digest of its
                                    questions and their untouched runs */
  xt_selector_info info;
  Asked *learned; /* [info.learned] */
};

/* An error if it has learned from one of the set's questions. */
xt_status selector_check(const xt_selector *selector, const QuestionSet *set, xt_error *error);

#endif
