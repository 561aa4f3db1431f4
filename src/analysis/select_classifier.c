/* SPDX-License-Identifier: Apache-2.0 */
/* The strategies that learn what a right response looks like, each candidate being an example. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/select_fits.h"
#include "base/mem.h"

enum {
  FEATURE_VANILLA = 0,
  FEATURE_ENTROPY,
  FEATURE_MEAN_ENTROPY,
  FEATURE_LOGPROB,
  FEATURE_MARGIN,
  FEATURE_LENGTH,
  FEATURE_ENTROPY_GAIN,
  FEATURE_LOGPROB_GAIN,
  FEATURE_MARGIN_GAIN,
  FEATURE_SAME_ANSWER,
  FEATURE_ANSWERED,
  FEATURE_VANILLA_ANSWERED,
  FEATURE_VOTE,
  FEATURE_PROMPT,
  FEATURE_SOURCE_DEPTH,
  FEATURE_TARGET_DEPTH,
  FEATURE_COUNT /* then each source layer, target layer, language */
};

static size_t layout_width(const Layout *l) {
  return FEATURE_COUNT + (size_t)l->layers * (l->all_targets ? 2 : 1) + l->language_count;
}

/* features: [layout_width], zeroed first. */
static void fill_features(const Layout *l, const Gathered *q, const Candidate *c, float *f) {
  const Candidate *v = &q->vanilla;
  const double depth = l->layers > 1 ? l->layers - 1 : 1;
  memset(f, 0, layout_width(l) * sizeof *f);
  f[FEATURE_VANILLA] = c->source_layer < 0;
  f[FEATURE_ENTROPY] = (float)c->entropy;
  f[FEATURE_MEAN_ENTROPY] = (float)c->mean_entropy;
  f[FEATURE_LOGPROB] = (float)c->mean_logprob;
  f[FEATURE_MARGIN] = (float)c->margin;
  f[FEATURE_LENGTH] = (float)c->count;
  f[FEATURE_ENTROPY_GAIN] = (float)(c->entropy - v->entropy);
  f[FEATURE_LOGPROB_GAIN] = (float)(c->mean_logprob - v->mean_logprob);
  f[FEATURE_MARGIN_GAIN] = (float)(c->margin - v->margin);
  f[FEATURE_SAME_ANSWER] = c->answer == v->answer;
  f[FEATURE_ANSWERED] = c->answered;
  f[FEATURE_VANILLA_ANSWERED] = v->answered;
  f[FEATURE_VOTE] = (float)gathered_votes(q, c->answer) / (float)q->count;
  f[FEATURE_PROMPT] = (float)log1p((double)q->prompt_length);
  size_t at = FEATURE_COUNT;
  if (c->source_layer >= 0) {
    f[FEATURE_SOURCE_DEPTH] = (float)(c->source_layer / depth);
    f[FEATURE_TARGET_DEPTH] = (float)(c->target_layer / depth);
    f[at + (size_t)c->source_layer] = 1;
    if (l->all_targets) f[at + (size_t)(l->layers + c->target_layer)] = 1;
  }
  at += (size_t)l->layers * (l->all_targets ? 2 : 1);
  for (size_t i = 0; i < l->language_count; i++) f[at + i] = strcmp(l->languages[i], q->lang) == 0;
}

static xt_status add_examples(const QuestionSet *set, size_t question, float *features,
                              Examples *examples, xt_error *error) {
  const Gathered *q = &set->questions[question];
  for (size_t i = 0; i <= q->count; i++) {
    const Candidate *c = gathered_run(q, i);
    fill_features(&set->layout, q, c, features);
    TRY(examples_add(examples, features, c->correct == 1, error));
  }
  return XT_STATUS_OK;
}

xt_status fit_classifier(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                         xt_error *error) {
  Examples examples = {.width = (int)layout_width(&set->layout)};
  size_t *all = NULL;
  float *features;
  xt_status status = MEM_ALLOC(&features, layout_width(&set->layout), error);
  for (size_t r = 0; r < count && !status; r++)
    status = add_examples(set, rows[r], features, &examples, error);
  if (!status) status = MEM_ALLOC(&all, examples.count, error);
  for (size_t i = 0; i < examples.count && !status; i++) all[i] = i;
  if (!status)
    status = learner_train(set->options->strategy == XT_STRATEGY_LOGISTIC ? LEARNER_LOGISTIC
                                                                          : LEARNER_STUMPS,
                           &examples, all, examples.count, &fit->learner, error);
  free(features);
  free(all);
  examples_free(&examples);
  return status;
}

xt_status choose_by_classifier(const Fit *fit, const xt_select_options *options, const Gathered *q,
                               Choice *out, xt_error *error) {
  float *features;
  (void)options;
  TRY(MEM_ALLOC(&features, layout_width(fit->layout), error));
  fill_features(fit->layout, q, &q->vanilla, features);
  double highest = learner_probability(fit->learner, features);
  *out = (Choice){.run = &q->vanilla};
  for (size_t i = 0; i < q->count; i++) {
    fill_features(fit->layout, q, &q->candidates[i], features);
    const double probability = learner_probability(fit->learner, features);
    if (!(probability > highest)) continue;
    highest = probability;
    out->run = &q->candidates[i];
  }
  free(features);
  return XT_STATUS_OK;
}
