/* SPDX-License-Identifier: Apache-2.0 */
/* Statistical functions of plain arrays. */
#ifndef ANALYSIS_STATISTICS_H
#define ANALYSIS_STATISTICS_H

#include <stddef.h>

#include "base/rng.h"
#include "xtransplant/analysis.h"

/* Phi(z) = probability, and Student's t of `freedom` degrees (at least 1): of probabilities in (0,
 * 1). */
double normal_quantile(double probability);
double student_quantile(double probability, size_t freedom);

/* Wilson's interval of the proportion p of n, which need not be a whole number. */
void wilson_interval(double p, double n, double confidence, double *low, double *high);

/* The share that each end of an expanded percentile interval cuts off (analysis.h), for `questions`
 * in `strata`; NaN: there is no interval. */
double interval_tail(double confidence, size_t questions, size_t strata);

/* Sorts `values` and gives the quantile by linear interpolation between order statistics (type 7 of
 * Hyndman and Fan 1996). NaN of none. */
double quantile_of(double *values, size_t count, double probability);
void sort_numbers(double *values, size_t count);

/* Uniform in [0, bound); the bias of the remainder is below bound / 2^64. */
static inline size_t rng_below(Rng *rng, size_t bound) { return (size_t)(rng_next(rng) % bound); }

#endif
