/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing by strategies, and storing their choices. */
#include <stdlib.h>
#include <string.h>

#include "analysis/select_rules.h"
#include "analysis/select_selector.h"
#include "base/mem.h"
#include "base/options.h"
#include "store/store_selections.h"

#define DEFAULT_FOLDS 5

/* ---- choosing -------------------------------------------------------------------------------- */

/* One for each question of a set; run NULL: none. */
typedef struct Picks {
  const QuestionSet *set;
  Choice *choices;
} Picks;

static xt_status pick_by_rule(Picks *p, xt_error *error) {
  const QuestionSet *set = p->set;
  const xt_strategy strategy = set->options->strategy;
  const bool contextual = strategy == XT_STRATEGY_CONTEXTUAL,
             counts = contextual || strategy == XT_STRATEGY_CALIBRATED;
  Frequencies frequencies = {0};
  const xt_status status = counts ? frequencies_of(&frequencies, set, error) : XT_STATUS_OK;
  for (size_t i = 0; i < set->count && !status; i++)
    p->choices[i].run = contextual ? choose_contextual(&set->questions[i], &frequencies)
                                   : choose_by_rule(strategy, &set->questions[i], &frequencies);
  frequencies_deinit(&frequencies);
  return status;
}

static xt_status pick_by_selector(Picks *p, const xt_selector *selector, xt_error *error) {
  xt_status status = selector_check(selector, p->set, error);
  for (size_t i = 0; i < p->set->count && !status; i++)
    status =
        fit_choose(&selector->fit, p->set->options, &p->set->questions[i], &p->choices[i], error);
  return status;
}

/* Learns from every question outside a fold. */
static xt_status learn(Fit *fit, const QuestionSet *set, const char *path, int fold, int folds,
                       xt_error *error) {
  size_t *rows, n = 0;
  *fit = (Fit){0};
  TRY(MEM_ALLOC(&rows, set->count, error));
  for (size_t i = 0; i < set->count; i++)
    if (!question_set_in_fold(set, i, fold, folds)) rows[n++] = i;
  xt_status status = XT_STATUS_OK;
  if (n < set->count || !n) /* an empty fold has nothing to choose for */
    status = fit_learn(fit, set, rows, n, " outside each fold", path, error);
  free(rows);
  return status;
}

/* Chooses for the questions of each fold by what was learned without them. */
static xt_status pick_by_folds(Picks *p, const char *path, xt_error *error) {
  const QuestionSet *set = p->set;
  const int folds = set->options->folds ? set->options->folds : DEFAULT_FOLDS;
  xt_status status = XT_STATUS_OK;
  for (int fold = 0; fold < folds && !status; fold++) {
    Fit fit;
    status = learn(&fit, set, path, fold, folds, error);
    for (size_t i = 0; i < set->count && !status; i++)
      if (question_set_in_fold(set, i, fold, folds))
        status = fit_choose(&fit, set->options, &set->questions[i], &p->choices[i], error);
    fit_deinit(&fit);
  }
  return status;
}

static xt_status check_options(const xt_store *store, const xt_select_options *o, xt_error *error) {
  if ((unsigned)o->strategy > XT_STRATEGY_CONTEXTUAL)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "strategy", -1, "%d is none", (int)o->strategy);
  if ((unsigned)o->candidates > XT_CANDIDATES_ALL)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "candidates", -1, "%d are none",
                   (int)o->candidates);
  if (o->folds && (o->folds < 2 || o->folds > 1000))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "folds", -1, "is %d; it must be 2 to 1000",
                   o->folds);
  if (xt_strategy_needs_states(o->strategy) && !o->states)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "states", -1, "are missing");
  if (!o->selector) return XT_STATUS_OK;
  if (o->selector->strategy != o->strategy)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "selector", -1, "is of another strategy");
  const int layers = atoi(store->settings.of[STORE_LAYERS]);
  if (o->selector->layout.layers != layers)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "selector", -1,
                   "was trained for a model of %d layers; the store's has %d",
                   o->selector->layout.layers, layers);
  xt_select_need need;
  xt_select_get_need(o, "", &need);
  if (need.target_all && !o->selector->layout.all_targets)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "selector", -1,
                   "was trained on candidates of the first target layer only");
  return XT_STATUS_OK;
}

static xt_status store_choices(xt_store *store, const Picks *p, xt_select_counts *counts,
                               xt_error *error) {
  char name[XT_STRATEGY_NAME_SIZE];
  TRY(selections_begin(store, error));
  xt_strategy_format(p->set->options, name);
  for (size_t i = 0; i < p->set->count; i++) {
    const Candidate *run = p->choices[i].run;
    bool changed;
    if (!run) {
      counts->incomplete++;
      continue;
    }
    TRY(selections_set(store,
                       &(Selection){.question = p->set->questions[i].number,
                                    .strategy = name,
                                    .site = p->set->questions[i].site,
                                    .source_layer = run->source_layer,
                                    .target_layer = run->target_layer,
                                    .responses = (int64_t)p->choices[i].responses,
                                    .tokens = (int64_t)p->choices[i].tokens},
                       &changed, error));
    counts->changed += changed;
    counts->kept += run->source_layer < 0;
    counts->selected++;
  }
  counts->incomplete += p->set->incomplete;
  return XT_STATUS_OK;
}

xt_status xt_store_select(xt_store *store, const xt_select_options *options,
                          xt_select_counts *counts, xt_error *error) {
  QuestionSet set = {0};
  Picks p = {.set = &set};
  xt_select_counts count = {0};
  xt_status status;
  TRY(OPTIONS_CHECK(options, error));
  TRY(check_options(store, options, error));
  TRY_DONE(question_set_load(&set, store, options, error));
  TRY_DONE(MEM_ALLOC(&p.choices, set.count, error));
  if (!xt_strategy_learns(options->strategy))
    TRY_DONE(pick_by_rule(&p, error));
  else if (options->selector)
    TRY_DONE(pick_by_selector(&p, options->selector, error));
  else
    TRY_DONE(pick_by_folds(&p, store->db.path, error));
  TRY_DONE(store_choices(store, &p, &count, error));
  if (!options->uncommitted) TRY_DONE(xt_store_commit(store, 0, error));
  if (counts) *counts = count;
done:
  question_set_deinit(&set);
  free(p.choices);
  return status;
}
