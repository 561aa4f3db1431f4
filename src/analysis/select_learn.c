/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/select_learn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/cholesky.h"
#include "base/arena.h"
#include "base/mem.h"

/* Logistic regression: an L2 penalty of RIDGE / 2 * |w|^2 on weights of standardised features
 * (Newton's method; Hastie, Tibshirani, Friedman, 4.4.1). */
#define RIDGE 1.0
#define NEWTON_STEPS 50
#define NEWTON_DONE 1e-9 /* of the objective, relative */

/* Boosted stumps: each round fits one split to gradient and curvature of the log-loss (Friedman
 * 2001, with the Newton leaves of Chen & Guestrin 2016). */
#define ROUNDS 300
#define RATE 0.1
#define LEAF_RIDGE 1.0
#define LEAF_CURVATURE 1.0 /* least sum of p (1 - p) in a leaf */
#define THRESHOLDS 63      /* largest number per feature: quantiles of its values */

typedef struct Stump {
  int feature;
  float threshold; /* below or equal: low; above: high */
  double low, high;
} Stump;

struct Learner {
  LearnerKind kind;
  Arena arena;
  int width;
  double bias;
  double *weights; /* [width], of raw features */
  Stump *stumps;
  size_t stump_count;
};

xt_status examples_add(Examples *e, const float *features, bool right, xt_error *error) {
  const size_t width = (size_t)e->width;
  TRY(MEM_GROW(&e->right, &e->capacity, e->count + 1, error));
  TRY(MEM_GROW(&e->features, &e->feature_capacity, (e->count + 1) * width, error));
  memcpy(e->features + e->count * width, features, width * sizeof *features);
  e->right[e->count++] = right;
  return XT_STATUS_OK;
}

void examples_free(Examples *e) {
  free(e->features);
  free(e->right);
  *e = (Examples){0};
}

static const float *example(const Examples *e, size_t row) {
  return e->features + row * (size_t)e->width;
}
static double sigmoid(double t) { return t >= 0 ? 1 / (1 + exp(-t)) : exp(t) / (1 + exp(t)); }
/* log(1 + e^t) */
static double softplus(double t) { return t > 0 ? t + log1p(exp(-t)) : log1p(exp(t)); }

/* ---- logistic regression --------------------------------------------------------------------- */

typedef struct Fit {
  const Examples *examples;
  const size_t *rows;
  size_t count, size;      /* size: weights, the bias last */
  double *mean, *scale;    /* [size - 1]; scale 0: the feature does not vary, and is left out */
  double *weights, *trial; /* [size] */
  double *gradient, *step; /* [size] */
  double *hessian;         /* [size, size], lower half */
  double *x;               /* [size] one standardised example */
} Fit;

static void standardise(Fit *f) {
  const size_t width = f->size - 1;
  for (size_t i = 0; i < f->count; i++)
    for (size_t k = 0; k < width; k++) f->mean[k] += (double)example(f->examples, f->rows[i])[k];
  for (size_t k = 0; k < width; k++) f->mean[k] /= (double)f->count;
  for (size_t i = 0; i < f->count; i++)
    for (size_t k = 0; k < width; k++) {
      const double d = (double)example(f->examples, f->rows[i])[k] - f->mean[k];
      f->scale[k] += d * d;
    }
  for (size_t k = 0; k < width; k++) {
    const double deviation = sqrt(f->scale[k] / (double)f->count);
    f->scale[k] = deviation > 1e-9 ? 1 / deviation : 0;
  }
}

static void load(Fit *f, size_t row) {
  const float *from = example(f->examples, row);
  for (size_t k = 0; k + 1 < f->size; k++) f->x[k] = ((double)from[k] - f->mean[k]) * f->scale[k];
  f->x[f->size - 1] = 1;
}

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < n; k++) sum += a[k] * b[k];
  return sum;
}

static double objective(Fit *f, const double *weights) {
  double sum = RIDGE / 2 * dot(weights, weights, f->size - 1);
  for (size_t i = 0; i < f->count; i++) {
    load(f, f->rows[i]);
    const double t = dot(weights, f->x, f->size);
    sum += softplus(t) - (f->examples->right[f->rows[i]] ? t : 0);
  }
  return sum;
}

static void derivatives(Fit *f) {
  const size_t n = f->size;
  memset(f->hessian, 0, n * n * sizeof *f->hessian);
  for (size_t k = 0; k < n; k++) {
    f->gradient[k] = k + 1 < n ? RIDGE * f->weights[k] : 0;
    f->hessian[k * n + k] = k + 1 < n ? RIDGE : 1e-9; /* the bias is free */
  }
  for (size_t i = 0; i < f->count; i++) {
    load(f, f->rows[i]);
    const double p = sigmoid(dot(f->weights, f->x, n)),
                 rest = p - (f->examples->right[f->rows[i]] ? 1 : 0), curve = p * (1 - p);
    for (size_t k = 0; k < n; k++) {
      f->gradient[k] += rest * f->x[k];
      const double scaled = curve * f->x[k];
      if (scaled == 0) continue;
      for (size_t m = 0; m <= k; m++) f->hessian[k * n + m] += scaled * f->x[m];
    }
  }
}

static void newton(Fit *f) {
  double now = objective(f, f->weights);
  for (int step = 0; step < NEWTON_STEPS; step++) {
    derivatives(f);
    /* the hessian is positive definite by the penalty */
    cholesky_factor(f->hessian, f->size, 1e-12);
    cholesky_solve(f->hessian, f->size, f->gradient, f->step);
    double next = now, length = 1;
    for (; length > 1e-6; length /= 2) {
      for (size_t k = 0; k < f->size; k++) f->trial[k] = f->weights[k] - length * f->step[k];
      next = objective(f, f->trial);
      if (next < now) break;
    }
    if (!(next < now)) return;
    memcpy(f->weights, f->trial, f->size * sizeof *f->weights);
    if (now - next <= NEWTON_DONE * now) return;
    now = next;
  }
}

static xt_status train_logistic(Learner *l, const Examples *e, const size_t *rows, size_t count,
                                xt_error *error) {
  Fit f = {.examples = e, .rows = rows, .count = count, .size = (size_t)e->width + 1};
  Arena scratch = {0};
  double **const vectors[] = {&f.mean, &f.scale, &f.weights, &f.trial, &f.gradient, &f.step, &f.x};
  xt_status status = ARENA_ALLOC(&scratch, &f.hessian, f.size * f.size, error);
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors && !status; i++)
    status = ARENA_ALLOC(&scratch, vectors[i], f.size, error);
  if (!status) status = ARENA_ALLOC(&l->arena, &l->weights, f.size, error);
  if (!status) {
    standardise(&f);
    newton(&f);
    l->bias = f.weights[f.size - 1];
    for (size_t k = 0; k + 1 < f.size; k++) {
      l->weights[k] = f.weights[k] * f.scale[k];
      l->bias -= l->weights[k] * f.mean[k];
    }
  }
  arena_free(&scratch);
  return status;
}

/* ---- boosted stumps -------------------------------------------------------------------------- */

typedef struct Boost {
  const Examples *examples;
  const size_t *rows;
  size_t count;
  int width;
  float *thresholds;     /* [width, THRESHOLDS] ascending */
  int *threshold_count;  /* [width] */
  uint8_t *bins;         /* [width, count] how many thresholds lie below the value */
  double *margin;        /* [count] log-odds so far */
  double *slope, *curve; /* [count] of the log-loss there */
} Boost;

static int compare_floats(const void *a, const void *b) {
  const float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

/* Thresholds of one feature: its values but the largest, or quantiles of them. sorted: [count]
 * scratch. */
static void place_thresholds(Boost *b, int feature, float *sorted) {
  float *out = b->thresholds + (size_t)feature * THRESHOLDS;
  size_t distinct = 0, n = 0;
  for (size_t i = 0; i < b->count; i++) sorted[i] = example(b->examples, b->rows[i])[feature];
  qsort(sorted, b->count, sizeof *sorted, compare_floats);
  for (size_t i = 1; i < b->count; i++) distinct += sorted[i] != sorted[i - 1];
  for (size_t i = 1; i < b->count; i++) {
    if (sorted[i] == sorted[i - 1]) continue;
    /* all of them, or the first value change at or after each quantile */
    if (distinct <= THRESHOLDS || i * (THRESHOLDS + 1) / b->count > n) out[n++] = sorted[i - 1];
    if (n == THRESHOLDS) break;
  }
  b->threshold_count[feature] = (int)n;
  for (size_t i = 0; i < b->count; i++) {
    const float value = example(b->examples, b->rows[i])[feature];
    uint8_t bin = 0;
    while (bin < n && value > out[bin]) bin++;
    b->bins[(size_t)feature * b->count + i] = bin;
  }
}

static double leaf_gain(double slope, double curve) { return slope * slope / (curve + LEAF_RIDGE); }

/* The best split of one feature; true if it beats *gain. */
static bool best_split(const Boost *b, int feature, double slope, double curve, double *gain,
                       int *at, double *low, double *high) {
  double slopes[THRESHOLDS + 1] = {0}, curves[THRESHOLDS + 1] = {0};
  const uint8_t *bins = b->bins + (size_t)feature * b->count;
  for (size_t i = 0; i < b->count; i++) {
    slopes[bins[i]] += b->slope[i];
    curves[bins[i]] += b->curve[i];
  }
  double left_slope = 0, left_curve = 0;
  bool better = false;
  for (int t = 0; t < b->threshold_count[feature]; t++) {
    left_slope += slopes[t];
    left_curve += curves[t];
    const double right_slope = slope - left_slope, right_curve = curve - left_curve;
    if (left_curve < LEAF_CURVATURE || right_curve < LEAF_CURVATURE) continue;
    const double found = leaf_gain(left_slope, left_curve) + leaf_gain(right_slope, right_curve) -
                         leaf_gain(slope, curve);
    if (found <= *gain + 1e-12) continue;
    *gain = found;
    *at = t;
    *low = -RATE * left_slope / (left_curve + LEAF_RIDGE);
    *high = -RATE * right_slope / (right_curve + LEAF_RIDGE);
    better = true;
  }
  return better;
}

/* One round; false: no split helps. */
static bool add_stump(Boost *b, Learner *l) {
  double slope = 0, curve = 0, gain = 1e-6;
  int chosen = -1, at = 0;
  Stump s = {0};
  for (size_t i = 0; i < b->count; i++) {
    const double p = sigmoid(b->margin[i]);
    b->slope[i] = p - (b->examples->right[b->rows[i]] ? 1 : 0);
    b->curve[i] = p * (1 - p);
    slope += b->slope[i];
    curve += b->curve[i];
  }
  for (int k = 0; k < b->width; k++)
    if (best_split(b, k, slope, curve, &gain, &at, &s.low, &s.high)) chosen = k;
  if (chosen < 0) return false;
  s.feature = chosen;
  s.threshold = b->thresholds[(size_t)chosen * THRESHOLDS + (size_t)at];
  for (size_t i = 0; i < b->count; i++)
    b->margin[i] += b->bins[(size_t)chosen * b->count + i] <= at ? s.low : s.high;
  l->stumps[l->stump_count++] = s;
  return true;
}

static xt_status boost_init(Boost *b, Arena *scratch, xt_error *error) {
  const size_t width = (size_t)b->width;
  TRY(ARENA_ALLOC(scratch, &b->thresholds, width * THRESHOLDS, error));
  TRY(ARENA_ALLOC(scratch, &b->threshold_count, width, error));
  TRY(ARENA_ALLOC(scratch, &b->bins, width * b->count, error));
  TRY(ARENA_ALLOC(scratch, &b->margin, b->count, error));
  TRY(ARENA_ALLOC(scratch, &b->slope, b->count, error));
  return ARENA_ALLOC(scratch, &b->curve, b->count, error);
}

static xt_status train_stumps(Learner *l, const Examples *e, const size_t *rows, size_t count,
                              xt_error *error) {
  Boost b = {.examples = e, .rows = rows, .count = count, .width = e->width};
  Arena scratch = {0};
  float *sorted = NULL;
  xt_status status = boost_init(&b, &scratch, error);
  if (!status) status = ARENA_ALLOC(&scratch, &sorted, count, error);
  if (!status) status = ARENA_ALLOC(&l->arena, &l->stumps, ROUNDS, error);
  if (!status) {
    double right = 0.5;
    for (size_t i = 0; i < count; i++) right += e->right[rows[i]] ? 1 : 0;
    l->bias = log(right / ((double)count + 1 - right));
    for (int k = 0; k < b.width; k++) place_thresholds(&b, k, sorted);
    for (size_t i = 0; i < count; i++) b.margin[i] = l->bias;
    for (int round = 0; round < ROUNDS && add_stump(&b, l); round++) continue;
  }
  arena_free(&scratch);
  return status;
}

/* ---- both ------------------------------------------------------------------------------------ */

xt_status learner_train(LearnerKind kind, const Examples *examples, const size_t *rows,
                        size_t count, Learner **out, xt_error *error) {
  Learner *l;
  *out = NULL;
  TRY(MEM_ALLOC(&l, 1, error));
  l->kind = kind;
  l->width = examples->width;
  const xt_status status =
      (kind == LEARNER_LOGISTIC ? train_logistic : train_stumps)(l, examples, rows, count, error);
  if (status)
    learner_free(l);
  else
    *out = l;
  return status;
}

void learner_free(Learner *l) {
  if (!l) return;
  arena_free(&l->arena);
  free(l);
}

double learner_probability(const Learner *l, const float *features) {
  double t = l->bias;
  for (int k = 0; l->kind == LEARNER_LOGISTIC && k < l->width; k++)
    t += l->weights[k] * (double)features[k];
  for (size_t s = 0; s < l->stump_count; s++)
    t += features[l->stumps[s].feature] <= l->stumps[s].threshold ? l->stumps[s].low
                                                                  : l->stumps[s].high;
  return sigmoid(t);
}
