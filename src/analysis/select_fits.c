/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/select_fits.h"

#include <stdlib.h>

#include "base/mem.h"

static const struct {
  xt_status (*fit)(Fit *, const QuestionSet *, const size_t *, size_t, xt_error *);
  xt_status (*choose)(const Fit *, const xt_select_options *, const Gathered *, Choice *,
                      xt_error *);
} methods[] = {[XT_STRATEGY_LOGISTIC] = {fit_classifier, choose_by_classifier},
               [XT_STRATEGY_STUMPS] = {fit_classifier, choose_by_classifier},
               [XT_STRATEGY_WEIGHTED] = {fit_accuracies, choose_by_weights},
               [XT_STRATEGY_CONTROLLER] = {fit_controller, choose_by_controller},
               [XT_STRATEGY_SEQUENCE] = {fit_accuracies, choose_by_sequence},
               [XT_STRATEGY_NEIGHBOURS] = {fit_states, choose_by_states},
               [XT_STRATEGY_PROBE] = {fit_states, choose_by_states}};

/* Whether every run of a question is known to be right or wrong. */
static bool has_answer(const Gathered *q, size_t *right) {
  size_t n = 0;
  for (size_t i = 0; i <= q->count; i++) {
    if (gathered_run(q, i)->correct < 0) return false;
    n += gathered_run(q, i)->correct == 1;
  }
  *right += n;
  return true;
}

xt_status fit_learn(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                    const char *where, const char *path, xt_error *error) {
  size_t *kept, n = 0, right = 0, runs = 0;
  *fit = (Fit){.layout = &set->layout};
  TRY(MEM_ALLOC(&kept, count, error));
  for (size_t r = 0; r < count; r++) {
    if (!has_answer(&set->questions[rows[r]], &right)) continue;
    runs += set->questions[rows[r]].count + 1;
    kept[n++] = rows[r];
  }
  xt_status status;
  if (n < XT_SELECT_LEAST_QUESTIONS)
    status =
        err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                "%zu questions with a gold answer have all their candidates; learning needs %d%s",
                n, XT_SELECT_LEAST_QUESTIONS, where);
  else if (right == 0 || right == runs)
    status =
        err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                "all candidates are %s: there is nothing to learn from", right ? "right" : "wrong");
  else
    status = methods[set->options->strategy].fit(fit, set, kept, n, error);
  free(kept);
  return status;
}

void fit_deinit(Fit *fit) {
  learner_free(fit->learner);
  arena_free(&fit->arena);
  *fit = (Fit){0};
}

xt_status fit_choose(const Fit *fit, const xt_select_options *options, const Gathered *q,
                     Choice *out, xt_error *error) {
  return methods[options->strategy].choose(fit, options, q, out, error);
}
