/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define PI 3.14159265358979323846

/* ---- quantiles of distributions -------------------------------------------------------------- */

static double normal_tail(double z) { return erfc(z / sqrt(2)) / 2; } /* beyond z */

/* Student's probability beyond t > 0: the finite series for whole degrees of freedom (Abramowitz
 * and Stegun 26.7.3, 26.7.4). */
static double student_tail(double t, size_t freedom) {
  const double angle = atan(t / sqrt((double)freedom)), square = cos(angle) * cos(angle);
  double term = freedom % 2 ? cos(angle) : 1, sum = freedom == 1 ? 0 : term;
  for (size_t k = freedom % 2 ? 3 : 2; k < freedom; k += 2) {
    term *= square * (double)(k - 1) / (double)k;
    sum += term;
  }
  /* -t and t */
  const double between = freedom % 2 ? 2 / PI * (angle + sin(angle) * sum) : sin(angle) * sum;
  return (1 - between) / 2;
}

/* The argument at which a falling tail is `share`, at most one half. */
static double tail_quantile(double share, size_t freedom) {
  double low = 0, high = 1;
  while ((freedom ? student_tail(high, freedom) : normal_tail(high)) > share) high *= 2;
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (!(middle > low && middle < high)) return middle; /* nothing is between the ends */
    if ((freedom ? student_tail(middle, freedom) : normal_tail(middle)) > share)
      low = middle;
    else
      high = middle;
  }
}

double normal_quantile(double probability) {
  return probability < 0.5 ? -tail_quantile(probability, 0) : tail_quantile(1 - probability, 0);
}

double student_quantile(double probability, size_t freedom) {
  return probability < 0.5 ? -tail_quantile(probability, freedom)
                           : tail_quantile(1 - probability, freedom);
}

/* ---- intervals ------------------------------------------------------------------------------- */

void wilson_interval(double p, double n, double confidence, double *low, double *high) {
  const double z = -normal_quantile((1 - confidence) / 2), divisor = 1 + z * z / n;
  const double centre = (p + z * z / (2 * n)) / divisor,
               half = z / divisor * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  *low = fmax(0, centre - half);
  *high = fmin(1, centre + half);
}

double interval_tail(double confidence, size_t questions, size_t strata) {
  if (questions <= strata) return NAN;
  const double n = (double)questions, freedom = n - (double)strata;
  const double t = -student_quantile((1 - confidence) / 2, questions - strata);
  return normal_tail(t * sqrt(n / freedom));
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void sort_numbers(double *values, size_t count) { qsort(values, count, sizeof *values, by_value); }

double quantile_of(double *values, size_t count, double probability) {
  if (count == 0 || isnan(probability)) return NAN;
  sort_numbers(values, count);
  const double at = probability * (double)(count - 1);
  const size_t below = (size_t)at;
  if (below + 1 >= count) return values[count - 1];
  return values[below] + (at - (double)below) * (values[below + 1] - values[below]);
}

xt_status xt_bootstrap_ratio(const double *sums, const double *weights, size_t count, int samples,
                             unsigned long long seed, double confidence, double *low, double *high,
                             xt_error *error) {
  double *ratios;
  size_t known = 0;
  Rng rng = {seed};
  const double tail = interval_tail(confidence, count, 1);
  TRY(MEM_ALLOC(&ratios, (size_t)samples, error));
  for (int s = 0; s < samples; s++) {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < count; i++) {
      const size_t at = rng_below(&rng, count);
      sum += sums[at];
      weight += weights[at];
    }
    if (weight > 0) ratios[known++] = sum / weight;
  }
  *low = quantile_of(ratios, known, tail);
  *high = quantile_of(ratios, known, 1 - tail);
  free(ratios);
  return XT_STATUS_OK;
}

double xt_mcnemar_exact(size_t won, size_t lost) {
  const size_t n = won + lost, least = won < lost ? won : lost;
  if (won == lost) return 1;
  double sum = 0;
  /* from the largest term down; each is the previous one times k / (n - k + 1) */
  const double top = lgamma((double)n + 1) - lgamma((double)least + 1) -
                     lgamma((double)(n - least) + 1) - (double)n * log(2);
  double ratio = 1;
  for (size_t k = least;; k--) {
    sum += ratio;
    if (k == 0 || ratio < 1e-18 * sum) break;
    ratio *= (double)k / (double)(n - k + 1);
  }
  return fmin(1, 2 * exp(top) * sum);
}

/* ---- sign flips ------------------------------------------------------------------------------ */

#define CONVOLVE_MOST ((size_t)1 << 24)
#define ENUMERATE_MOST 16

/* The sizes are whole numbers, so that the distribution of their sum under random signs is computed
 * exactly, by convolution with one after another. */
static xt_status flip_exactly(const double *d, size_t count, size_t total, double sum, double *p,
                              xt_error *error) {
  const size_t width = 2 * total + 1;
  double *now = NULL, *next = NULL;
  size_t reached = 0; /* sums of up to this are possible so far */
  xt_status status;
  TRY_DONE(MEM_ALLOC(&now, width, error));
  TRY_DONE(MEM_ALLOC(&next, width, error));
  now[total] = 1;
  for (size_t k = 0; k < count; k++) {
    const size_t size = (size_t)fabs(d[k]);
    for (size_t i = total - reached - size; i <= total + reached + size; i++) next[i] = 0;
    for (size_t i = total - reached; i <= total + reached; i++) {
      next[i - size] += now[i] / 2;
      next[i + size] += now[i] / 2;
    }
    reached += size;
    double *kept = now;
    now = next;
    next = kept;
  }
  *p = 0;
  /* symmetric */
  for (size_t i = (size_t)fabs(sum); i <= total; i++) *p += (i ? 2 : 1) * now[total + i];
  *p = fmin(1, *p);
done:
  free(now);
  free(next);
  return status;
}

/* The share of signs with which the sum is at least so far from 0. */
static double flip_by_enumeration(const double *d, size_t count, double least) {
  const size_t all = (size_t)1 << count;
  size_t far = 0;
  for (size_t signs = 0; signs < all; signs++) {
    double sum = 0;
    for (size_t k = 0; k < count; k++) sum += signs >> k & 1 ? -d[k] : d[k];
    far += fabs(sum) >= least;
  }
  return (double)far / (double)all;
}

static double flip_by_draws(const double *d, size_t count, double least, int draws, uint64_t seed) {
  Rng rng = {seed};
  int far = 0;
  for (int i = 0; i < draws; i++) {
    double sum = 0;
    uint64_t word = 0;
    for (size_t k = 0; k < count; k++) {
      if (k % 64 == 0) word = rng_next(&rng);
      sum += word >> (k % 64) & 1 ? -d[k] : d[k];
    }
    far += fabs(sum) >= least;
  }
  return (1 + (double)far) / (1 + (double)draws);
}

xt_status xt_sign_flip(const double *differences, size_t count, int draws, unsigned long long seed,
                       double *p, xt_error *error) {
  double *d, sum = 0, total = 0;
  size_t kept = 0, positive = 0;
  bool whole = true, alike = true;
  TRY(MEM_ALLOC(&d, count, error));
  for (size_t i = 0; i < count; i++) {
    if (fabs(differences[i]) <= 0) continue;
    d[kept++] = differences[i];
    sum += differences[i];
    total += fabs(differences[i]);
    positive += differences[i] > 0;
    whole = whole && floor(differences[i]) >= differences[i];
    alike = alike && fabs(differences[i]) <= fabs(d[0]) && fabs(differences[i]) >= fabs(d[0]);
  }
  const double least =
      fabs(sum) - 1e-12 * total; /* that sum as it may be rounded in another order */
  xt_status status = XT_STATUS_OK;
  if (alike)
    *p = xt_mcnemar_exact(positive, kept - positive);
  else if (whole && (double)kept * (2 * total + 1) <= (double)CONVOLVE_MOST)
    status = flip_exactly(d, kept, (size_t)total, sum, p, error);
  else if (kept <= ENUMERATE_MOST)
    *p = flip_by_enumeration(d, kept, least);
  else
    *p = flip_by_draws(d, kept, least, draws, seed);
  free(d);
  return status;
}

/* ---- many tests ------------------------------------------------------------------------------ */

typedef struct Ranked {
  double p;
  size_t at;
} Ranked;

static int by_p(const void *a, const void *b) {
  const Ranked *x = a, *y = b;
  if (x->p != y->p) return x->p < y->p ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

static xt_status rank(const double *p, size_t count, Ranked **out, xt_error *error) {
  TRY(MEM_ALLOC(out, count, error));
  for (size_t i = 0; i < count; i++) (*out)[i] = (Ranked){p[i], i};
  qsort(*out, count, sizeof **out, by_p);
  return XT_STATUS_OK;
}

xt_status xt_adjust_holm(double *p, size_t count, xt_error *error) {
  Ranked *ranked;
  double largest = 0;
  TRY(rank(p, count, &ranked, error));
  for (size_t k = 0; k < count; k++) {
    largest = fmax(largest, fmin(1, ranked[k].p * (double)(count - k)));
    p[ranked[k].at] = largest;
  }
  free(ranked);
  return XT_STATUS_OK;
}

xt_status xt_adjust_bh(double *p, size_t count, xt_error *error) {
  Ranked *ranked;
  double least = 1;
  TRY(rank(p, count, &ranked, error));
  for (size_t k = count; k-- > 0;) {
    least = fmin(least, ranked[k].p * (double)count / (double)(k + 1));
    p[ranked[k].at] = least;
  }
  free(ranked);
  return XT_STATUS_OK;
}
