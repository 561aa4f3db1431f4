/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing layers for each question, from what is known when it is asked: no strategy uses the gold
 * answer of a question that it chooses for.
 *
 * A strategy chooses one of a question's candidates, which are responses that the store has at a
 * site for some layers. The chosen layers are stored; whether the choice is right follows from the
 * response, and xt_store_summarize_selections reports it. */
#ifndef XTRANSPLANT_SELECT_H
#define XTRANSPLANT_SELECT_H

#include "xtransplant/analysis.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xt_strategy {
  XT_STRATEGY_COARSE = 0,   /* "coarse": the paper's table 2: understanding attn, last layer into
                               first; the others ffn, first into first */
  XT_STRATEGY_ENTROPY,      /* "entropy": lowest entropy of the first token's distribution (the
                               paper's section F, with candidates "ends") */
  XT_STRATEGY_MEAN_ENTROPY, /* "mean-entropy": lowest mean over the response's tokens */
  XT_STRATEGY_LOGPROB,      /* "logprob": highest mean log-probability of the response's tokens */
  XT_STRATEGY_VOTE,         /* "vote": the answer that most candidates give; among those that
                               give it, the highest mean log-probability */
  XT_STRATEGY_LOGISTIC,     /* "logistic": highest probability of being right by a logistic
                               regression; may keep the untouched run */
  XT_STRATEGY_STUMPS,       /* "stumps": the same, by gradient-boosted stumps */
  XT_STRATEGY_CALIBRATED,   /* "calibrated": a vote in which each configuration's answer counts the
                             more, the less often that configuration gives it to the store's other
                             questions of the task in the language. It needs no gold answers */
  XT_STRATEGY_CONTROL,      /* "control": a vote of the candidates whose answer is another one with
                             the control "shuffled" at the same layers; the untouched run if there
                             are none */
  XT_STRATEGY_WEIGHTED,   /* "weighted-vote": a vote of candidates and the untouched run, each with
                             the log-odds of its accuracy */
  XT_STRATEGY_CONTROLLER, /* "controller": the answer of highest probability by a conditional logit
                             over a question's answers, from who gives them and how surely */
  XT_STRATEGY_SEQUENCE,   /* "sequence": the choice of "weighted-vote", with candidates run in order
                             of their weight only until the rest cannot change it */
  XT_STRATEGY_NEIGHBOURS, /* "neighbours": the layers that are most accurate for the questions whose
                             source prompts are most alike */
  XT_STRATEGY_PROBE,      /* "probe": the layers that a ridge regression on an early layer's
                             activation of the source prompt expects to be most accurate */
  XT_STRATEGY_CONTEXTUAL  /* "contextual": the option whose label has the highest log-probability,
                             less the configuration's mean over the store's other questions of the
                             task in the language, summed over candidates. It needs no gold answers, but the
                             log-probabilities of the labels (xt_store_track) */
} xt_strategy;

typedef enum xt_candidates {
  XT_CANDIDATES_ENDS = 0,     /* "ends": first or last layer into the first */
  XT_CANDIDATES_TARGET_FIRST, /* "target-first": every layer into the first */
  XT_CANDIDATES_SOURCE_LAST,  /* "source-last": the last layer into every layer */
  XT_CANDIDATES_ALL           /* "all": every layer into every layer */
} xt_candidates;

/* The names above, in their order, NULL-terminated; static. */
XT_API const char *const *xt_strategy_names(void);
XT_API const char *const *xt_candidates_names(void);

/* The default candidates of a strategy: "ends" for the entropies, as in the paper, else
 * "target-first". */
XT_API xt_candidates xt_strategy_candidates(xt_strategy strategy);
/* Whether the strategy learns from questions with known answers. */
XT_API bool xt_strategy_learns(xt_strategy strategy);
/* Whether it needs xt_select_options.states: it then chooses before any candidate is run, so that a
 * question costs one response. */
XT_API bool xt_strategy_needs_states(xt_strategy strategy);
/* Whether it needs the log-probabilities of options' labels, of every candidate; it chooses only for
 * questions that have them, and whose language has another question with them. */
XT_API bool xt_strategy_needs_labels(xt_strategy strategy);

typedef struct xt_selector xt_selector;

/* What a model makes of the source prompts of a store's questions: the output of an early and of a
 * middle layer (a quarter and half of the way up) at the last token. */
typedef struct xt_states xt_states;
/* Runs each different source prompt once. The caller frees *out with xt_states_free; it may outlive the
 * model and the store. */
XT_API xt_status xt_states_create(xt_store *store, const xt_model *model, xt_states **out,
                                  xt_error *error);
XT_API void xt_states_free(xt_states *states);

/* Zero-initialise for the defaults. */
typedef struct xt_select_options {
  size_t size; /* sizeof this, or 0: see api.h */
  xt_strategy strategy;
  xt_candidates candidates;    /* not used by coarse */
  const xt_site *site;         /* NULL: the site that the paper uses for each task */
  const xt_selector *selector; /* learning strategies: trained on other questions. NULL:
                                  cross-validation within the store, each question by a selector
                                  that was trained on the other folds */
  bool uncommitted;            /* xt_store_select does not commit its choices, so that those of
                                  several strategies can be committed together by xt_store_commit */
  int folds; /* of the cross-validation; 0: 5. Instances of one question, as analysis.h joins
                them, are in one fold */
  const xt_states *states; /* of the store's source prompts, for strategies that need them */
  xt_store *chosen_for;    /* xt_selector_train: the store that the selector will choose for. What
                              is asked there, too, is left out of what it learns from; NULL:
                              nothing is */
} xt_select_options;

#define XT_STRATEGY_NAME_SIZE 48
/* How the store names the strategy: "coarse", "entropy:ends", ...; with a selector also what that
 * has learned from, as the beginning of the file's name and a digest of its questions:
 * "stumps:target-first@pilot.3fa9c201". */
XT_API const char *xt_strategy_format(const xt_select_options *options,
                                      char buffer[XT_STRATEGY_NAME_SIZE]);

/* The site and layers that `options` need for a question of `task` (its name, or ""). */
typedef struct xt_select_need {
  xt_site site;
  bool source_first, source_last, source_all; /* source layers */
  bool target_first, target_all;              /* target layers */
  bool control;                               /* the control "shuffled" of the site, too */
} xt_select_need;
XT_API void xt_select_get_need(const xt_select_options *options, const char *task,
                               xt_select_need *out);

#define XT_SELECT_LEAST_QUESTIONS \
  20 /* with a gold answer and their candidates, that learning needs */

/* Trains a selector on every question of the store that has its candidates and a gold answer: the
 * features are the entropies, log-probability, margin and length of the candidate, their
 * differences from the untouched run, its share of the vote, its layers, and the language.
 * Deterministic. Fewer than XT_SELECT_LEAST_QUESTIONS such questions, or only right or only wrong
 * candidates, are an XT_STATUS_INPUT error, and so is a store of which `chosen_for` asks everything.
 * A question is the same if instances of one store would be (analysis.h), except that ids that are
 * only numbers of lines say nothing in another store, or if its target prompt is. The caller frees
 * *out with xt_selector_free. */
XT_API xt_status xt_selector_train(xt_store *store, const xt_select_options *options,
                                   xt_selector **out, xt_error *error);
XT_API void xt_selector_free(xt_selector *selector);

typedef struct xt_selector_info {
  size_t learned;  /* the store's questions, in each language, with a gold answer and candidates */
  size_t left_out; /* more such questions, which chosen_for asks, too */
} xt_selector_info;
XT_API void xt_selector_get_info(const xt_selector *selector, xt_selector_info *out);

typedef struct xt_select_counts {
  uint64_t selected; /* questions for which a choice was made */
  uint64_t kept;     /* of them, those whose untouched run was chosen */
  uint64_t
      incomplete;   /* questions that lack candidates, the untouched run, or the log-probabilities
                          that the strategy needs */
  uint64_t changed; /* choices that the store did not have yet */
} xt_select_counts;

/* Chooses for every question of the store that has its candidates, and writes the choices into the
 * store, which must be open for writing. A selector that has learned from one of these questions is
 * an XT_STATUS_ARGUMENT error. `counts` may be NULL. */
XT_API xt_status xt_store_select(xt_store *store, const xt_select_options *options,
                                 xt_select_counts *counts, xt_error *error);

/* How many questions are right, among those for which a strategy chose and that have a gold answer,
 * in one language or in all (lang NULL). */
typedef struct xt_selection_row {
  const char *strategy, *site, *task, *lang;
  const char *pivot; /* source language of a task that goes to a language; "" elsewhere */
  bool cot;          /* prompts that ask for reasoning */
  uint64_t questions;
  uint64_t vanilla, selected; /* right untouched; right as chosen */
  uint64_t bound;             /* some candidate of the strategy is right: the upper bound of its
                                 choices */
  uint64_t with_target_first; /* questions that have every layer into the first; of these: */
  /* one of those candidates is right (the paper's TargetFirst); right untouched; right as chosen */
  uint64_t target_first, target_first_vanilla, target_first_selected;
  /* The gain of the choices over the untouched model, and over the coarse strategy at the same
   * site, if the store has its responses. The report has the same figures. `holm` and `bh` are NaN:
   * only the report adjusts p-values. */
  xt_difference vanilla_gain, coarse_gain;
} xt_selection_row;

/* Calls `row` for each task, pivot, site, strategy and language, languages before their sum.
 * Strings are borrowed for the call. `options` say how intervals and p-values are computed; NULL:
 * the defaults. */
XT_API xt_status xt_store_summarize_selections(xt_store *store, const xt_analysis_options *options,
                                               xt_status (*row)(void *user,
                                                                const xt_selection_row *row,
                                                                xt_error *error),
                                               void *user, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
