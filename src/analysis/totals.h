/* SPDX-License-Identifier: Apache-2.0 */
/* Means of several measures over responses, with bootstrap intervals over questions. */
#ifndef ANALYSIS_TOTALS_H
#define ANALYSIS_TOTALS_H

#include "analysis/analysis_parts.h"

/* Of each measure and instance, the sum over responses and their number. */
typedef struct Totals {
  const AnalysisGroup *group;
  size_t measures;
  double *sums, *weights; /* [measures][instances] */
} Totals;

/* Arrays are in the arena. */
xt_status totals_create(const AnalysisGroup *group, size_t measures, Arena *arena, Totals *out,
                        xt_error *error);
void totals_clear(Totals *totals);
/* Adds a response of each instance: values less `less` (NULL: 0), both [measures][instances]; NaN:
 * there is none. */
void totals_add(Totals *totals, const double *values, const double *less);
Measured totals_of(const Totals *totals, size_t measure);
/* The mean of a measure; NaN: there is nothing. */
double totals_mean(Measured of, size_t instances);
/* The same with its interval; samples: [samples of the bootstrap], is overwritten. */
xt_status totals_interval(xt_analysis *a, const Totals *totals, const Bootstrap *b, size_t measure,
                          double *samples, xt_interval *out, xt_error *error);

/* What a run is compared with: values of each measure and instance, and their means and differences,
 * which are paired by instance. */
typedef struct Paired {
  double *own, *untouched, *other; /* [measures][instances]: of a configuration, of the untouched
                                      runs, and of the control's transplant; NaN: none */
  Totals means, over_untouched, over_control;
} Paired;

/* Arrays are in the arena. */
xt_status paired_create(const AnalysisGroup *group, size_t measures, Arena *arena, Paired *out,
                        xt_error *error);
/* Forgets what was added. */
void paired_clear(Paired *paired);
/* Adds `own`: to the means and, less `untouched`, to the differences from the untouched run. */
void paired_add(Paired *paired);

#endif
