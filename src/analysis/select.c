/* SPDX-License-Identifier: Apache-2.0 */
/* The strategies, and storing their choices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/select_gather.h"
#include "analysis/select_learn.h"
#include "base/mem.h"
#include "base/options.h"
#include "store/store_selections.h"

#define DEFAULT_FOLDS 5

/* ---- rules ----------------------------------------------------------------------------------- */

/* How many candidates give the answer. */
static size_t votes(const Gathered *q, uint64_t answer) {
  size_t n = 0;
  for (size_t i = 0; i < q->count; i++) n += q->candidates[i].answer == answer;
  return n;
}

/* Larger is better; ties go to the earlier candidate. */
static double rule_score(xt_strategy strategy, const Gathered *q, const Candidate *c) {
  switch (strategy) {
    case XT_STRATEGY_ENTROPY: return -c->entropy;
    case XT_STRATEGY_MEAN_ENTROPY: return -c->mean_entropy;
    case XT_STRATEGY_LOGPROB: return c->mean_logprob;
    /* e^logprob is below 1, so that votes decide first, then the log-probability */
    case XT_STRATEGY_VOTE:
      return (double)votes(q, c->answer) + (c->mean_logprob < 0 ? exp(c->mean_logprob) : 0.999999);
    default: return 0; /* coarse has one candidate */
  }
}

static const Candidate *choose_by_rule(xt_strategy strategy, const Gathered *q) {
  const Candidate *best = &q->candidates[0];
  double highest = rule_score(strategy, q, best);
  for (size_t i = 1; i < q->count; i++) {
    const double score = rule_score(strategy, q, &q->candidates[i]);
    if (!(score > highest)) continue;
    highest = score;
    best = &q->candidates[i];
  }
  return best;
}

/* ---- learned selectors ----------------------------------------------------------------------- */

#define NAME_SIZE 64
typedef struct Layout { /* the meaning of a feature's index */
  int layers;
  bool all_targets; /* candidates have different target layers */
  char (*languages)[NAME_SIZE];
  size_t language_count, language_capacity;
} Layout;

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

struct xt_selector {
  Layout layout;
  Learner *learner;
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
  f[FEATURE_VOTE] = (float)votes(q, c->answer) / (float)q->count;
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

static xt_status choose_by_learner(const Learner *learner, const Layout *l, const Gathered *q,
                                   const Candidate **out, xt_error *error) {
  float *features;
  TRY(MEM_ALLOC(&features, layout_width(l), error));
  fill_features(l, q, &q->vanilla, features);
  double highest = learner_probability(learner, features);
  *out = &q->vanilla;
  for (size_t i = 0; i < q->count; i++) {
    fill_features(l, q, &q->candidates[i], features);
    const double probability = learner_probability(learner, features);
    if (!(probability > highest)) continue;
    highest = probability;
    *out = &q->candidates[i];
  }
  free(features);
  return XT_STATUS_OK;
}

/* All questions of a store in memory, with each candidate as an example. */
typedef struct TrainingData {
  const xt_select_options *options;
  Layout layout;
  Gathered *questions;       /* candidates owned; lang points into the layout's languages */
  size_t *question_language; /* [questions] */
  size_t count, capacity, language_capacity;
  Examples examples;
  size_t *example_question; /* [examples] */
  size_t example_capacity;
} TrainingData;

static xt_status add_language(Layout *l, const char *lang, size_t *index, xt_error *error) {
  for (*index = 0; *index < l->language_count; ++*index)
    if (strncmp(l->languages[*index], lang, NAME_SIZE - 1) == 0) return XT_STATUS_OK;
  TRY(MEM_GROW(&l->languages, &l->language_capacity, l->language_count + 1, error));
  snprintf(l->languages[l->language_count++], NAME_SIZE, "%s", lang);
  return XT_STATUS_OK;
}

static xt_status add_question(void *user, const Gathered *q, xt_error *error) {
  TrainingData *d = user;
  if (!gathered_is_complete(q)) return XT_STATUS_OK;
  Candidate *candidates;
  size_t language;
  TRY(add_language(&d->layout, q->lang, &language, error));
  TRY(MEM_GROW(&d->questions, &d->capacity, d->count + 1, error));
  TRY(MEM_GROW(&d->question_language, &d->language_capacity, d->count + 1, error));
  TRY(MEM_ALLOC(&candidates, q->count, error));
  memcpy(candidates, q->candidates, q->count * sizeof *candidates);
  d->question_language[d->count] = language;
  d->questions[d->count] = *q;
  d->questions[d->count].task = d->questions[d->count].lang = ""; /* borrowed for this call */
  d->questions[d->count++].candidates = candidates;
  return XT_STATUS_OK;
}

static xt_status add_examples(TrainingData *d, size_t question, float *features, xt_error *error) {
  const Gathered *q = &d->questions[question];
  for (size_t i = 0; i <= q->count; i++) {
    const Candidate *c = i < q->count ? &q->candidates[i] : &q->vanilla;
    if (c->correct < 0) return XT_STATUS_OK;
    fill_features(&d->layout, q, c, features);
    TRY(MEM_GROW(&d->example_question, &d->example_capacity, d->examples.count + 1, error));
    d->example_question[d->examples.count] = question;
    TRY(examples_add(&d->examples, features, c->correct == 1, error));
  }
  return XT_STATUS_OK;
}

static xt_status training_data_load(TrainingData *d, xt_store *store,
                                    const xt_select_options *options, xt_error *error) {
  xt_store_info info;
  xt_select_need need;
  float *features = NULL;
  *d = (TrainingData){.options = options};
  TRY(xt_store_get_info(store, &info, error));
  xt_select_get_need(options, "", &need);
  d->layout.layers = info.layers;
  d->layout.all_targets = need.target_all;
  TRY(gather_questions(store, options, add_question, d, error));
  for (size_t i = 0; i < d->count; i++)
    d->questions[i].lang = d->layout.languages[d->question_language[i]];
  d->examples.width = (int)layout_width(&d->layout);
  TRY(MEM_ALLOC(&features, layout_width(&d->layout), error));
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < d->count && !status; i++) status = add_examples(d, i, features, error);
  free(features);
  return status;
}

static void training_data_free(TrainingData *d) {
  for (size_t i = 0; i < d->count; i++) free(d->questions[i].candidates);
  free(d->questions);
  free(d->question_language);
  free(d->layout.languages);
  free(d->example_question);
  examples_free(&d->examples);
}

/* Questions with one number are the same question in several languages and must be in one fold.
 * fold < 0: the whole data set is one fold. */
static bool in_fold(const Gathered *q, int fold, int folds) {
  if (fold < 0) return false;
  uint64_t hash = (uint64_t)q->place * 0x9E3779B97F4A7C15u;
  hash = (hash ^ (hash >> 31)) * 0xBF58476D1CE4E5B9u;
  return (hash ^ (hash >> 29)) % (uint64_t)folds == (uint64_t)fold;
}

/* Trains a learner on every question outside the fold. */
static xt_status fit(const TrainingData *d, const char *path, int fold, int folds, Learner **out,
                     xt_error *error) {
  size_t *rows, n = 0, right = 0, questions = 0;
  *out = NULL;
  TRY(MEM_ALLOC(&rows, d->examples.count, error));
  for (size_t i = 0; i < d->examples.count; i++) {
    if (in_fold(&d->questions[d->example_question[i]], fold, folds)) continue;
    questions += n == 0 || d->example_question[rows[n - 1]] != d->example_question[i];
    right += d->examples.right[i];
    rows[n++] = i;
  }
  xt_status status = XT_STATUS_OK;
  if (questions < XT_SELECT_LEAST_QUESTIONS)
    status =
        err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                "%zu questions with a gold answer have all their candidates; learning needs %d%s",
                questions, XT_SELECT_LEAST_QUESTIONS, fold < 0 ? "" : " outside each fold");
  else if (right == 0 || right == n)
    status =
        err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                "all candidates are %s: there is nothing to learn from", right ? "right" : "wrong");
  else
    status = learner_train(d->options->strategy == XT_STRATEGY_LOGISTIC ? LEARNER_LOGISTIC
                                                                        : LEARNER_STUMPS,
                           &d->examples, rows, n, out, error);
  free(rows);
  return status;
}

xt_status xt_selector_train(xt_store *store, const xt_select_options *options, xt_selector **out,
                            xt_error *error) {
  xt_selector *selector;
  TrainingData data;
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  if (!xt_strategy_learns(options->strategy))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "strategy", -1,
                   "is not a strategy that learns");
  TRY(MEM_ALLOC(&selector, 1, error));
  xt_status status = training_data_load(&data, store, options, error);
  if (!status) status = fit(&data, store->db.path, -1, 1, &selector->learner, error);
  if (!status) {
    selector->layout = data.layout;
    data.layout.languages = NULL;
    *out = selector;
  } else {
    free(selector);
  }
  training_data_free(&data);
  return status;
}

void xt_selector_free(xt_selector *selector) {
  if (!selector) return;
  learner_free(selector->learner);
  free(selector->layout.languages);
  free(selector);
}

/* ---- choosing -------------------------------------------------------------------------------- */

typedef struct Pick {
  int64_t question;
  char site[XT_SITE_NAME_SIZE];
  int source_layer, target_layer;
} Pick;

typedef struct Picks {
  const xt_select_options *options;
  Pick *picks;
  size_t count, capacity;
  uint64_t incomplete;
} Picks;

static xt_status add_pick(Picks *p, const Gathered *q, const Candidate *c, xt_error *error) {
  TRY(MEM_GROW(&p->picks, &p->capacity, p->count + 1, error));
  Pick *pick = &p->picks[p->count++];
  *pick = (Pick){
      .question = q->number, .source_layer = c->source_layer, .target_layer = c->target_layer};
  memcpy(pick->site, q->site, sizeof pick->site);
  return XT_STATUS_OK;
}

static xt_status pick_one(void *user, const Gathered *q, xt_error *error) {
  Picks *p = user;
  if (!gathered_is_complete(q)) {
    p->incomplete++;
    return XT_STATUS_OK;
  }
  const xt_selector *selector = p->options->selector;
  const Candidate *best;
  if (selector)
    TRY(choose_by_learner(selector->learner, &selector->layout, q, &best, error));
  else
    best = choose_by_rule(p->options->strategy, q);
  return add_pick(p, q, best, error);
}

static xt_status count_incomplete(void *user, const Gathered *q, xt_error *error) {
  (void)error;
  ((Picks *)user)->incomplete += !gathered_is_complete(q);
  return XT_STATUS_OK;
}

/* Chooses for the questions of each fold by a selector that was trained without them. */
static xt_status pick_by_folds(Picks *p, xt_store *store, xt_error *error) {
  const int folds = p->options->folds ? p->options->folds : DEFAULT_FOLDS;
  TrainingData data;
  xt_status status = training_data_load(&data, store, p->options, error);
  for (int fold = 0; fold < folds && !status; fold++) {
    Learner *learner = NULL;
    status = fit(&data, store->db.path, fold, folds, &learner, error);
    for (size_t i = 0; i < data.count && !status; i++) {
      const Candidate *best;
      if (!in_fold(&data.questions[i], fold, folds)) continue;
      status = choose_by_learner(learner, &data.layout, &data.questions[i], &best, error);
      if (!status) status = add_pick(p, &data.questions[i], best, error);
    }
    learner_free(learner);
  }
  training_data_free(&data);
  return status ? status : gather_questions(store, p->options, count_incomplete, p, error);
}

static xt_status check_options(const xt_store *store, const xt_select_options *o, xt_error *error) {
  if ((unsigned)o->strategy > XT_STRATEGY_STUMPS)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "strategy", -1, "%d is none", (int)o->strategy);
  if ((unsigned)o->candidates > XT_CANDIDATES_ALL)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "candidates", -1, "%d are none",
                   (int)o->candidates);
  if (o->folds && (o->folds < 2 || o->folds > 1000))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "folds", -1, "is %d; it must be 2 to 1000",
                   o->folds);
  if (!o->selector) return XT_STATUS_OK;
  if (!xt_strategy_learns(o->strategy))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "selector", -1, "the strategy does not use it");
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

xt_status xt_store_select(xt_store *store, const xt_select_options *options,
                          xt_select_counts *counts, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  Picks p = {.options = options};
  xt_select_counts count = {0};
  char name[XT_STRATEGY_NAME_SIZE];
  TRY(check_options(store, options, error));
  const bool by_folds = xt_strategy_learns(options->strategy) && !options->selector;
  xt_status status = by_folds ? pick_by_folds(&p, store, error)
                              : gather_questions(store, options, pick_one, &p, error);
  if (!status) status = selections_begin(store, error);
  xt_strategy_format(options, name);
  for (size_t i = 0; i < p.count && !status; i++) {
    bool changed;
    const Pick *pick = &p.picks[i];
    status = selections_set(store, pick->question, name, pick->site, pick->source_layer,
                            pick->target_layer, &changed, error);
    count.changed += changed;
    count.kept += pick->source_layer < 0;
  }
  if (!status && !options->uncommitted) status = xt_store_commit(store, 0, error);
  count.selected = p.count;
  count.incomplete = p.incomplete;
  if (counts && !status) *counts = count;
  free(p.picks);
  return status;
}
