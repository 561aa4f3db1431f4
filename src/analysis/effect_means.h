/* SPDX-License-Identifier: Apache-2.0 */
/* What the numbers of first tokens say about a question's answers. */
#ifndef ANALYSIS_EFFECT_MEANS_H
#define ANALYSIS_EFFECT_MEANS_H

#include "analysis/analysis_parts.h"

/* The answers of a question among its tracked tokens: its options, or, of a question without
 * options, the gold answer (all accepted ones together) and the words that were asked for. A token
 * with which two answers begin says nothing about either, and is left out. */
typedef struct Answers {
  int count, gold; /* gold: its index; below 0: none */
  bool options;
  const char **names; /* [count] */
  int *of;            /* of each tracked token: the answer; below 0: none */
} Answers;
bool effects_has_options(const AnalysisInstance *instance);
/* Its options, or what is no option. Arrays are in the arena. */
xt_status effects_answers(const AnalysisInstance *instance, bool options, Arena *arena,
                          Answers *out, xt_error *error);

/* The log-probability that the first token is one of an answer's, [count]; -INFINITY: none is
 * tracked. `numbers`: xt_generation.effects. */
void effects_scores(const AnalysisInstance *instance, const Answers *answers, const float *numbers,
                    double *out);
/* Gold minus the best other answer; NaN: there are no two. */
double effects_difference(const Answers *answers, const double *scores);
double effects_gold(const Answers *answers, const double *scores); /* its probability, or NaN */
/* The probability of all answers together; NaN: there are none. */
double effects_tracked(const Answers *answers, const double *scores);

/* ---- while a store is read ------------------------------------------------------------------- */

/* Copies what is tracked of a question. */
xt_status effects_add_instance(xt_analysis *a, const xt_store_row *row, AnalysisInstance *instance,
                               xt_error *error);
/* Copies the numbers of a run; *out NULL: it has none. */
xt_status effects_copy(xt_analysis *a, const xt_store_row *row, const float **out, xt_error *error);
/* Keeps the numbers of instance `at`'s response in a cell. */
xt_status effects_add_response(xt_analysis *a, AnalysisSite *site, size_t at, size_t cell,
                               const xt_store_row *row, xt_error *error);
/* The numbers of a response; NULL: none. */
static inline const float *effects_of(const AnalysisGroup *g, const AnalysisSite *s, size_t at,
                                      size_t cell) {
  const size_t width = XT_EFFECT_TRACKED + g->instances[at].tracked_count;
  const float *all = at < s->effect_capacity ? s->effects[at] : NULL;
  return all && all[cell * width] >= 0 ? all + cell * width : NULL; /* a divergence; -1: absent */
}

/* ---- means ----------------------------------------------------------------------------------- */

/* Whether an instance's numbers count: with a gold answer and an untouched run; in a group that has
 * no such instance, each. */
static inline bool effects_counted(const AnalysisGroup *g, size_t at) {
  return g->instances[at].scored || g->group.scored == 0;
}

/* Sums over responses that count. */
struct EffectSums {
  size_t count, golds, differences, choices;
  double gold, log_gold, kl[XT_EFFECT_TRACKED];
  double difference, untouched, source; /* over the responses that have all three */
  double own;                           /* the sum of differences of all that have one */
  size_t owns;
  double right, calibrated;
  size_t answers;
  double tracked; /* over the responses to questions that have answers */
};

/* The runs of one configuration, the untouched ones, or the source prompts. */
typedef struct Batch {
  const AnalysisGroup *group;
  const struct Known *known; /* [instances of the group] */
  const float **numbers;     /* [instances]; NULL: absent */
} Batch;
/* Arrays are in the arena; no numbers yet. */
xt_status effects_batch(const AnalysisGroup *group, Arena *arena, Batch *out, xt_error *error);
/* Sets the numbers of a site's configuration, and of the group's untouched runs or sources. */
void effects_of_cell(Batch *batch, const AnalysisSite *site, size_t cell);
void effects_of_run(Batch *batch, bool source);

/* What the means of a batch are over: of each instance the value of each measure, with that of
 * `normalised` D - D_untouched, and then D_source - D_untouched. NaN: it has none. */
#define EFFECT_SPAN XT_MEASURE_COUNT
#define EFFECT_VALUES (XT_MEASURE_COUNT + 1)
void effects_values(const Batch *batch, double *out); /* [EFFECT_VALUES][instances] */

/* Fills the members of the group and its sites, and the sums by language. */
xt_status analysis_effects(xt_analysis *a, AnalysisGroup *g, xt_error *error);
/* Their intervals, of a group with questions that are scored; after analysis_effects. */
xt_status analysis_effect_intervals(xt_analysis *a, AnalysisGroup *g, xt_error *error);
/* The same of answers one by one, of a group without gold answers. */
xt_status analysis_answer_effects(xt_analysis *a, AnalysisGroup *g, xt_error *error);

#endif
