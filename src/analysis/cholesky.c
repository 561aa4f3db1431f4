/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/cholesky.h"

#include <math.h>

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < n; k++) sum += a[k] * b[k];
  return sum;
}

void cholesky_factor(double *a, size_t n, double least) {
  for (size_t k = 0; k < n; k++)
    for (size_t m = 0; m <= k; m++) {
      const double s = a[k * n + m] - dot(a + k * n, a + m * n, m);
      a[k * n + m] = k == m ? sqrt(s > least ? s : least) : s / a[m * n + m];
    }
}

void cholesky_solve(const double *l, size_t n, const double *b, double *x) {
  for (size_t k = 0; k < n; k++) x[k] = (b[k] - dot(l + k * n, x, k)) / l[k * n + k];
  for (size_t k = n; k-- > 0;) {
    double s = x[k];
    for (size_t m = k + 1; m < n; m++) s -= l[m * n + k] * x[m];
    x[k] = s / l[k * n + k];
  }
}
