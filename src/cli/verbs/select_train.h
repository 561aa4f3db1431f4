/* SPDX-License-Identifier: Apache-2.0 */
/* What `select` is asked for and has made, and what it learns before it chooses. */
#ifndef CLI_VERBS_SELECT_TRAIN_H
#define CLI_VERBS_SELECT_TRAIN_H

#include "verbs/sweep_job.h"

#define STRATEGIES_MAX 16

typedef struct SelectArguments {
  SweepArguments sweep;
  const char *strategies, *train;
  int candidates, folds;
  bool by_language, compare;
} SelectArguments;

typedef struct Select {
  SelectArguments *arguments;
  xt_select_options strategies[STRATEGIES_MAX];
  char names[STRATEGIES_MAX][XT_STRATEGY_NAME_SIZE];
  xt_select_counts counts[STRATEGIES_MAX];
  int count;
  LoadedModel model;
  bool loaded, begun;
  char hash[XT_MODEL_HASH_SIZE];
  xt_store *store, *pilot;
  xt_states *states, *pilot_states; /* of their source prompts, for strategies that need them */
  xt_selector *selectors[STRATEGIES_MAX]; /* trained on --train's file; NULL for strategies that
                                             do not learn */
  uint64_t added;                         /* responses */
} Select;

/* Describes the model, and hashes it. */
xt_status select_describe(Select *select, xt_error *error);
/* Learns from --train's file for the strategies that learn, without the questions of the store that
 * they choose for, and says how many these are. NULL: that store is not there yet; it is found only
 * whether there is something to learn from. */
xt_status select_train(Select *select, xt_store *chosen_for, xt_error *error);
/* Reads the activations of the questions that are chosen for, if a strategy needs them. */
xt_status select_read_states(Select *select, xt_error *error);

#endif
