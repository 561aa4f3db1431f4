/* SPDX-License-Identifier: Apache-2.0 */
/* A store's questions in memory, with their candidates: what selectors learn from, and what they
 * choose for. */
#ifndef ANALYSIS_SELECT_SET_H
#define ANALYSIS_SELECT_SET_H

#include "analysis/select_gather.h"

#define LANGUAGE_NAME_SIZE 64

/* What the numbers of layers and languages mean to a selector. */
typedef struct Layout {
  int layers;
  bool all_targets; /* candidates have different target layers */
  char (*languages)[LANGUAGE_NAME_SIZE];
  size_t language_count, language_capacity;
} Layout;

typedef struct QuestionSet {
  const xt_select_options *options;
  Layout layout;
  Gathered
      *questions;   /* complete ones; candidates owned; lang points into the layout's languages */
  size_t *language; /* [count] of each question, in the layout */
  size_t *kin;      /* [count] the first of the questions that ask the same (same_question.h) */
  size_t count, capacity, room; /* room: of `language` */
  uint64_t incomplete;
} QuestionSet;

/* The caller frees what it holds with question_set_deinit, also after a failure. */
xt_status question_set_load(QuestionSet *set, xt_store *store, const xt_select_options *options,
                            xt_error *error);
void question_set_deinit(QuestionSet *set);

/* Whether a question is in a fold. Questions that ask the same are in one fold. */
bool question_set_in_fold(const QuestionSet *set, size_t question, int fold, int folds);

/* The place of a candidate's layers: source * layers + target; of the untouched run the last. */
static inline size_t layout_place(const Layout *l, const Candidate *c) {
  return c->source_layer < 0 ? (size_t)l->layers * (size_t)l->layers
                             : (size_t)(c->source_layer * l->layers + c->target_layer);
}
static inline size_t layout_places(const Layout *l) {
  return (size_t)l->layers * (size_t)l->layers + 1;
}

/* A question's runs: its candidates, then the untouched one. */
static inline const Candidate *gathered_run(const Gathered *q, size_t at) {
  return at < q->count ? &q->candidates[at] : &q->vanilla;
}

#endif
