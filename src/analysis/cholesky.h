/* SPDX-License-Identifier: Apache-2.0 */
/* Symmetric positive definite systems of equations. */
#ifndef ANALYSIS_CHOLESKY_H
#define ANALYSIS_CHOLESKY_H

#include <stddef.h>

/* a: [n, n], of which only the lower half is read; it becomes the factor L with L L' = a. A pivot
 * below `least` (a small positive number) is taken as `least`. */
void cholesky_factor(double *a, size_t n, double least);
/* x := a^-1 b by the factor; [n] each, x may be b. */
void cholesky_solve(const double *factor, size_t n, const double *b, double *x);

#endif
