/* SPDX-License-Identifier: Apache-2.0 */
/* Linear maps by least squares. */
#ifndef ANALYSIS_LEAST_SQUARES_H
#define ANALYSIS_LEAST_SQUARES_H

#include "base/err.h"

/* The map W, [to, from], that minimises the sum over `count` rows of |W x - y|^2 plus
 * ridge * |W|^2, from the normal equations W = Y' X (X' X + ridge 1)^-1. x: [count, from]; y: [count,
 * to]; ridge above 0, which makes the equations solvable whatever the rows. */
xt_status least_squares(const float *x, const float *y, size_t count, size_t from, size_t to,
                        double ridge, float *map, xt_error *error);

#endif
