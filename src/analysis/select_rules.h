/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies that need no gold answers. */
#ifndef ANALYSIS_SELECT_RULES_H
#define ANALYSIS_SELECT_RULES_H

#include "analysis/select_set.h"

/* What each candidate of a set says of each answer, by task, pivot and language: how often it gives it and, of
 * options, the sum of its log-probabilities. */
typedef struct Frequencies {
  struct {
    uint64_t key;       /* a hash of Gathered.group, layers and answer */
    size_t count, seen; /* seen: questions with a log-probability */
    double sum;
  } * slots;
  size_t size; /* a power of two */
} Frequencies;

/* The caller frees what it holds with frequencies_deinit, also after a failure. */
xt_status frequencies_of(Frequencies *frequencies, const QuestionSet *set, xt_error *error);
void frequencies_deinit(Frequencies *frequencies);

/* "contextual": the surest candidate that gives the best option of those that some candidate gives;
 * the surest of all where none gives one. NULL: the task has no other question in the language. */
const Candidate *choose_contextual(const Gathered *q, const Frequencies *frequencies);
/* The other rules. `frequencies` of the set that the question is of: for "calibrated", else NULL. */
const Candidate *choose_by_rule(xt_strategy strategy, const Gathered *q,
                                const Frequencies *frequencies);

#endif
