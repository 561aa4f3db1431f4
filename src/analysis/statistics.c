/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

xt_estimate estimate_mean(double sum, double squares, size_t count) {
  if (count == 0) return (xt_estimate){NAN, NAN, 0};
  const double n = (double)count, mean = sum / n;
  if (count == 1) return (xt_estimate){mean, NAN, 1};
  return (xt_estimate){mean, sqrt(fmax(squares - sum * mean, 0) / (n - 1) / n), count};
}

xt_estimate estimate_proportion(size_t correct, size_t count) { return estimate_mean((double)correct, (double)correct, count); }

xt_estimate estimate_average(const xt_estimate *parts, size_t count) {
  double sum = 0, variance = 0;
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (parts[i].count == 0) continue;
    sum += parts[i].value;
    variance += parts[i].error * parts[i].error;
    n++;
  }
  if (n == 0) return (xt_estimate){NAN, NAN, 0};
  return (xt_estimate){sum / (double)n, sqrt(variance) / (double)n, n};
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void sort_numbers(double *values, size_t count) { qsort(values, count, sizeof *values, by_value); }

double quantile_of(double *values, size_t count, double probability) {
  if (count == 0) return NAN;
  sort_numbers(values, count);
  const double at = probability * (double)(count - 1);
  const size_t below = (size_t)at;
  if (below + 1 >= count) return values[count - 1];
  return values[below] + (at - (double)below) * (values[below + 1] - values[below]);
}

double xt_mcnemar_exact(size_t won, size_t lost) {
  const size_t n = won + lost, least = won < lost ? won : lost;
  if (won == lost) return 1;
  double sum = 0;
  /* from the largest term down; each is the one above times k / (n - k + 1) */
  const double top = lgamma((double)n + 1) - lgamma((double)least + 1) - lgamma((double)(n - least) + 1) - (double)n * log(2);
  double ratio = 1;
  for (size_t k = least;; k--) {
    sum += ratio;
    if (k == 0 || ratio < 1e-18 * sum) break;
    ratio *= (double)k / (double)(n - k + 1);
  }
  return fmin(1, 2 * exp(top) * sum);
}

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
  TRY(mem_alloc(out, count, sizeof **out, error));
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
