/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/least_squares.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/cholesky.h"
#include "base/mem.h"

xt_status least_squares(const float *x, const float *y, size_t count, size_t from, size_t to,
                        double ridge, float *map, xt_error *error) {
  double *gram, *column;
  TRY(MEM_ALLOC(&gram, from * from + from, error));
  column = gram + from * from;
  for (size_t i = 0; i < from; i++) gram[i * from + i] = ridge;
  for (size_t r = 0; r < count; r++)
    for (size_t i = 0; i < from; i++) {
      const double value = (double)x[r * from + i];
      for (size_t k = 0; k <= i; k++) gram[i * from + k] += value * (double)x[r * from + k];
    }
  cholesky_factor(gram, from, 1e-300);
  for (size_t j = 0; j < to; j++) {
    memset(column, 0, from * sizeof *column);
    for (size_t r = 0; r < count; r++)
      for (size_t i = 0; i < from; i++)
        column[i] += (double)y[r * to + j] * (double)x[r * from + i];
    cholesky_solve(gram, from, column, column);
    for (size_t i = 0; i < from; i++) map[j * from + i] = (float)column[i];
  }
  free(gram);
  return XT_STATUS_OK;
}
