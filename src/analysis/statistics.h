/* SPDX-License-Identifier: Apache-2.0 */
/* Small statistics, each over plain arrays. */
#ifndef ANALYSIS_STATISTICS_H
#define ANALYSIS_STATISTICS_H

#include <stddef.h>

#include "base/rng.h"
#include "xtransplant/analysis.h"

/* Of `correct` among `count`: standard error sqrt(p (1 - p) / (count - 1)). */
xt_estimate estimate_proportion(size_t correct, size_t count);
/* Of values known by their sum and the sum of their squares. */
xt_estimate estimate_mean(double sum, double squares, size_t count);
/* Unweighted mean of those estimates that have a value. */
xt_estimate estimate_average(const xt_estimate *parts, size_t count);

/* Sorts `values` and gives the quantile by linear interpolation between order statistics (type 7 of Hyndman and
 * Fan 1996). NaN of none. */
double quantile_of(double *values, size_t count, double probability);
void sort_numbers(double *values, size_t count);

/* Uniform in [0, bound); the bias of the remainder is below bound / 2^64. */
static inline size_t rng_below(Rng *rng, size_t bound) { return (size_t)(rng_next(rng) % bound); }

#endif
