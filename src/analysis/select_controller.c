/* SPDX-License-Identifier: Apache-2.0 */
/* The controller: a conditional logit (McFadden 1974) over the answers of a question. The
 * probability of answer a is e^(w x_a) over the sum of that of all answers, x_a being what is known
 * of the runs that give it. The weights maximise the sum over questions of the log of the
 * probability of its right answers, less RIDGE / 2 |w|^2; questions without a right answer, or with
 * no other, teach nothing. Newton's method with the curvature of the denominator, which is positive
 * definite. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/cholesky.h"
#include "analysis/select_fits.h"
#include "base/mem.h"

#define RIDGE 1.0
#define STEPS 50
#define DONE 1e-9      /* of the objective, relative */
#define PLACES_MOST 65 /* more runs than these are told apart by source and target layers alone */

enum {
  ANSWER_UNTOUCHED = 0, /* the untouched run gives it */
  ANSWER_SHARE,         /* share of the runs that give it */
  ANSWER_LOGPROB,       /* the highest mean log-probability of a response that gives it */
  ANSWER_ENTROPY,       /* the lowest entropy of the first token */
  ANSWER_GIVEN,         /* it names an option, or is not empty */
  ANSWER_FEATURES       /* then each place, or each source and target layer */
};

static bool has_places(const Layout *l) {
  return !l->all_targets || layout_places(l) <= PLACES_MOST;
}

static size_t answer_width(const Layout *l) {
  if (!l->all_targets) return ANSWER_FEATURES + (size_t)l->layers;
  return ANSWER_FEATURES + (has_places(l) ? layout_places(l) - 1 : 2 * (size_t)l->layers);
}

/* Adds what a run says for its answer. */
static void add_run(const Layout *l, const Gathered *q, const Candidate *c, double *x) {
  x[ANSWER_SHARE] += 1 / (double)(q->count + 1);
  x[ANSWER_LOGPROB] = fmax(x[ANSWER_LOGPROB], c->mean_logprob);
  x[ANSWER_ENTROPY] = fmin(x[ANSWER_ENTROPY], c->entropy);
  x[ANSWER_GIVEN] = c->answered;
  if (c->source_layer < 0) {
    x[ANSWER_UNTOUCHED] = 1;
  } else if (!l->all_targets) {
    x[ANSWER_FEATURES + c->source_layer] = 1;
  } else if (has_places(l)) {
    x[ANSWER_FEATURES + layout_place(l, c)] = 1;
  } else {
    x[ANSWER_FEATURES + c->source_layer] += 1 / (double)l->layers;
    x[ANSWER_FEATURES + l->layers + c->target_layer] += 1 / (double)l->layers;
  }
}

/* One question's answers. */
typedef struct Answers {
  size_t count;
  double *features;        /* [count, width] */
  const Candidate **first; /* [count] the likeliest run that gives it */
  bool *right;
} Answers;

static void answers_free(Answers *a) {
  free(a->features);
  free(a->first);
  free(a->right);
}

static xt_status find_answers(const Layout *l, const Gathered *q, Answers *a, xt_error *error) {
  const size_t width = answer_width(l), most = q->count + 1;
  *a = (Answers){0};
  TRY(MEM_ALLOC(&a->features, most * width, error));
  TRY(MEM_ALLOC(&a->first, most, error));
  TRY(MEM_ALLOC(&a->right, most, error));
  for (size_t i = 0; i < most; i++) {
    const Candidate *c = gathered_run(q, i);
    size_t at = 0;
    while (at < a->count && a->first[at]->answer != c->answer) at++;
    double *x = a->features + at * width;
    if (at == a->count) {
      a->count++;
      a->first[at] = c;
      x[ANSWER_LOGPROB] = -INFINITY;
      x[ANSWER_ENTROPY] = INFINITY;
    } else if (c->mean_logprob > a->first[at]->mean_logprob) {
      a->first[at] = c;
    }
    a->right[at] = a->right[at] || c->correct == 1;
    add_run(l, q, c, x);
  }
  for (size_t at = 0; at < a->count; at++) /* a response without tokens has neither */
    for (size_t k = ANSWER_LOGPROB; k <= ANSWER_ENTROPY; k++)
      if (!isfinite(a->features[at * width + k])) a->features[at * width + k] = 0;
  return XT_STATUS_OK;
}

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < n; k++) sum += a[k] * b[k];
  return sum;
}

/* The probabilities of a question's answers; returns the sum of those that are right. */
static double probabilities(const Answers *a, const double *weights, size_t width, double *out) {
  double highest = -INFINITY, sum = 0, right = 0;
  for (size_t i = 0; i < a->count; i++) {
    out[i] = dot(weights, a->features + i * width, width);
    highest = fmax(highest, out[i]);
  }
  for (size_t i = 0; i < a->count; i++) sum += out[i] = exp(out[i] - highest);
  for (size_t i = 0; i < a->count; i++) {
    out[i] /= sum;
    if (a->right[i]) right += out[i];
  }
  return right;
}

typedef struct Logit {
  size_t width, count;
  Answers *answers;                                     /* [count] */
  double *probability, *gradient, *step, *trial, *mean; /* [most answers], then [width] each */
  double *curvature;                                    /* [width, width] */
} Logit;

static double objective(const Logit *l, const double *weights) {
  double sum = RIDGE / 2 * dot(weights, weights, l->width);
  for (size_t i = 0; i < l->count; i++)
    sum -= log(fmax(1e-300, probabilities(&l->answers[i], weights, l->width, l->probability)));
  return sum;
}

static void derivatives(const Logit *l, const double *weights) {
  const size_t n = l->width;
  memset(l->curvature, 0, n * n * sizeof *l->curvature);
  for (size_t k = 0; k < n; k++) {
    l->gradient[k] = RIDGE * weights[k];
    l->curvature[k * n + k] = RIDGE;
  }
  for (size_t i = 0; i < l->count; i++) {
    const Answers *a = &l->answers[i];
    const double right = fmax(1e-300, probabilities(a, weights, n, l->probability));
    memset(l->mean, 0, n * sizeof *l->mean);
    for (size_t at = 0; at < a->count; at++) {
      const double p = l->probability[at], *x = a->features + at * n;
      const double rest = p - (a->right[at] ? p / right : 0);
      for (size_t k = 0; k < n; k++) {
        l->gradient[k] += rest * x[k];
        l->mean[k] += p * x[k];
      }
      for (size_t k = 0; k < n; k++)
        for (size_t m = 0; m <= k && x[k] != 0; m++) l->curvature[k * n + m] += p * x[k] * x[m];
    }
    for (size_t k = 0; k < n; k++)
      for (size_t m = 0; m <= k; m++) l->curvature[k * n + m] -= l->mean[k] * l->mean[m];
  }
}

static void newton(const Logit *l, double *weights) {
  double now = objective(l, weights);
  for (int step = 0; step < STEPS; step++) {
    derivatives(l, weights);
    cholesky_factor(l->curvature, l->width, 1e-12);
    cholesky_solve(l->curvature, l->width, l->gradient, l->step);
    double next = now, length = 1;
    for (; length > 1e-6; length /= 2) {
      for (size_t k = 0; k < l->width; k++) l->trial[k] = weights[k] - length * l->step[k];
      next = objective(l, l->trial);
      if (next < now) break;
    }
    if (!(next < now)) return;
    memcpy(weights, l->trial, l->width * sizeof *weights);
    if (now - next <= DONE * now) return;
    now = next;
  }
}

/* Keeps the questions that teach something. */
static xt_status gather_answers(Logit *l, const QuestionSet *set, const size_t *rows, size_t count,
                                size_t *most, xt_error *error) {
  TRY(MEM_ALLOC(&l->answers, count, error));
  for (size_t r = 0; r < count; r++) {
    Answers *a = &l->answers[l->count];
    bool right = false, wrong = false;
    const xt_status status = find_answers(&set->layout, &set->questions[rows[r]], a, error);
    if (status) {
      answers_free(a);
      return status;
    }
    for (size_t at = 0; at < a->count; at++) {
      right = right || a->right[at];
      wrong = wrong || !a->right[at];
    }
    if (a->count > *most) *most = a->count;
    if (right && wrong)
      l->count++;
    else
      answers_free(a);
  }
  return XT_STATUS_OK;
}

xt_status fit_controller(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                         xt_error *error) {
  Logit l = {.width = answer_width(&set->layout)};
  size_t most = 0;
  double *numbers = NULL;
  xt_status status;
  TRY_DONE(ARENA_ALLOC(&fit->arena, &fit->weights, l.width, error));
  TRY_DONE(gather_answers(&l, set, rows, count, &most, error));
  TRY_DONE(MEM_ALLOC(&numbers, most + (4 + l.width) * l.width, error));
  l.probability = numbers;
  l.gradient = numbers + most;
  l.step = l.gradient + l.width;
  l.trial = l.step + l.width;
  l.mean = l.trial + l.width;
  l.curvature = l.mean + l.width;
  newton(&l, fit->weights);
done:
  for (size_t i = 0; i < l.count; i++) answers_free(&l.answers[i]);
  free(l.answers);
  free(numbers);
  return status;
}

xt_status choose_by_controller(const Fit *fit, const xt_select_options *options, const Gathered *q,
                               Choice *out, xt_error *error) {
  const size_t width = answer_width(fit->layout);
  double highest = -INFINITY;
  Answers a;
  (void)options;
  *out = (Choice){.run = &q->vanilla};
  const xt_status status = find_answers(fit->layout, q, &a, error);
  for (size_t at = 0; at < a.count && !status; at++) {
    const double value = dot(fit->weights, a.features + at * width, width);
    if (!(value > highest)) continue;
    highest = value;
    out->run = a.first[at];
  }
  answers_free(&a);
  return status;
}
