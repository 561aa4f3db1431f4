/* SPDX-License-Identifier: Apache-2.0 */
/* What strategies learn from questions, and how they choose by it. Everything is deterministic:
 * serial sums in double, no random numbers; ties go to the earlier candidate. */
#ifndef ANALYSIS_SELECT_FITS_H
#define ANALYSIS_SELECT_FITS_H

#include "analysis/select_learn.h"
#include "analysis/select_set.h"
#include "base/arena.h"

/* Ridge regressions and neighbours by source states. */
typedef struct StateFit {
  size_t count, width;
  int which;     /* of the states of a question: STATE_EARLY or STATE_MIDDLE */
  double *mean;  /* [width], subtracted from each state */
  double *rows;  /* [count, width] of the questions learned from; neighbours: of
                                 length 1 */
  double *right; /* [count, places]: neighbours: 1, 0, or NaN: no such run. Ridge: the
                                 weights of the rows */
} StateFit;

typedef struct Fit {
  Arena arena;
  const Layout *layout; /* borrowed */
  Learner *learner;     /* logistic, stumps */
  double *weights;      /* [layout_places]: of each run's vote; controller: of its features */
  double *accuracy;     /* [layout_places]; -1: not seen */
  StateFit states;
} Fit;

/* A choice, and how many responses and tokens it took; 0: all that the strategy needs. */
typedef struct Choice {
  const Candidate *run;
  size_t responses, tokens;
} Choice;

/* Learns from the questions rows[0..count) of a set. The caller frees what *fit holds with
 * fit_deinit, also after a failure. For errors: where, which follows the number of questions that are
 * needed, and the store's path. */
xt_status fit_learn(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                    const char *where, const char *path, xt_error *error);
void fit_deinit(Fit *fit);
xt_status fit_choose(const Fit *fit, const xt_select_options *options, const Gathered *q,
                     Choice *out, xt_error *error);

/* ---- each strategy's, for fit_learn and fit_choose ------------------------------------------- */

xt_status fit_classifier(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                         xt_error *error);
xt_status choose_by_classifier(const Fit *fit, const xt_select_options *options, const Gathered *q,
                               Choice *out, xt_error *error);
/* The accuracy of each run's layers, (right + 1) / (questions + 2), and the log-odds of its answer
 * as a weight. */
xt_status fit_accuracies(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                         xt_error *error);
xt_status choose_by_weights(const Fit *fit, const xt_select_options *options, const Gathered *q,
                            Choice *out, xt_error *error);
xt_status choose_by_sequence(const Fit *fit, const xt_select_options *options, const Gathered *q,
                             Choice *out, xt_error *error);
xt_status fit_controller(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                         xt_error *error);
xt_status choose_by_controller(const Fit *fit, const xt_select_options *options, const Gathered *q,
                               Choice *out, xt_error *error);
xt_status fit_states(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                     xt_error *error);
xt_status choose_by_states(const Fit *fit, const xt_select_options *options, const Gathered *q,
                           Choice *out, xt_error *error);

#endif
