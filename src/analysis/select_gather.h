/* SPDX-License-Identifier: Apache-2.0 */
/* A store's questions one after another, each with the candidates that a strategy chooses among. */
#ifndef ANALYSIS_SELECT_GATHER_H
#define ANALYSIS_SELECT_GATHER_H

#include "analysis/same_question.h"
#include "base/err.h"
#include "xtransplant/select.h"

#define OPTIONS_MOST 8 /* whose log-probabilities are compared */

/* What a strategy needs for a question. */
typedef struct StrategyReads {
  bool untouched; /* the untouched run too */
  bool control;   /* the control of each candidate too */
  bool labels;    /* the log-probabilities of the options' labels of each candidate */
  bool one;       /* only the response that it chooses, whose layers it chooses beforehand */
  bool some;      /* one after another, as many as the choice needs */
} StrategyReads;

/* One response, as a strategy may see it, and whether it is right, which a strategy may not see. */
typedef struct Candidate {
  int source_layer, target_layer; /* -1: the untouched run */
  double entropy, mean_entropy, mean_logprob, margin;
  size_t count;     /* tokens */
  uint64_t answer;  /* equal numbers: the same answer */
  bool answered;    /* it names one of the options or, if there are none, is not empty */
  int correct;      /* 1, 0, or -1: not known */
  uint64_t control; /* the answer of the control at the same layers, where the strategy reads it */
  float options[OPTIONS_MOST]; /* of Gathered.options: log-probability of the label's token */
} Candidate;

typedef struct Gathered {
  int64_t number; /* the store's, of the question */
  size_t place;   /* xt_question.number */
  Asked asked;
  uint64_t group; /* a hash of task, source language, reasoning and language: questions whose runs
                     are compared with one another */
  const char *task, *lang;
  char site[XT_SITE_NAME_SIZE];
  size_t prompt_length; /* bytes of the target prompt */
  bool has_vanilla;
  Candidate vanilla;
  Candidate *candidates; /* by source layer, then target layer */
  size_t count, capacity;
  size_t wanted;   /* candidates of a complete question */
  size_t controls; /* candidates whose control is there */
  StrategyReads reads;
  /* The options whose labels are tracked, as Candidate.answer has them; 0 if any run lacks their
   * log-probabilities */
  uint64_t options[OPTIONS_MOST];
  size_t option_count;
} Gathered;

static inline bool gathered_is_complete(const Gathered *g) {
  return g->has_vanilla && g->count == g->wanted && (!g->reads.control || g->controls == g->wanted);
}

/* How many candidates give the answer. */
static inline size_t gathered_votes(const Gathered *q, uint64_t answer) {
  size_t n = 0;
  for (size_t i = 0; i < q->count; i++) n += q->candidates[i].answer == answer;
  return n;
}

/* Calls `visit` for each question, complete or not. Borrowed for the call. */
xt_status gather_questions(xt_store *store, const xt_select_options *options,
                           xt_status (*visit)(void *user, const Gathered *question,
                                              xt_error *error),
                           void *user, xt_error *error);

/* Whether the strategy may choose these layers for a question. */
bool need_has(const xt_select_need *need, int layers, int source_layer, int target_layer);

StrategyReads strategy_reads(xt_strategy strategy);

/* The reverse of xt_strategy_format; false: no such name. */
bool strategy_parse(const char *name, xt_select_options *out);

#endif
