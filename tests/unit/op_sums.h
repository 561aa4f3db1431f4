/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of every set of kernels against sums in double, with bounds from the error of float
 * arithmetic: u = 2^-24 is the unit roundoff. */
#ifndef TESTS_OP_SUMS_H
#define TESTS_OP_SUMS_H

#include "backend_support.h"

static const double U = 0x1p-24;

#define EACH_BACKEND(b, threads, compute)                                      \
  for (size_t set_ = 0; set_ < KERNEL_SETS; set_++)                            \
    for (Backend *b = backend_or_null(kernel_sets[set_], threads, compute); b; \
         b->ops->destroy(b), b = NULL)

static inline void check(const char *what, const Backend *b, size_t i, float got, double want,
                         double bound) {
  if (!(fabs((double)got - want) <= bound))
    fail_msg("%s, %s: element %zu is %.9g, not %.9g within %.3g", what, b->ops->name, i,
             (double)got, want, bound);
}

static inline double rounded(float x, bool bf16) {
  return (double)(bf16 ? bf16_value(bf16_of(x)) : x);
}

#endif
