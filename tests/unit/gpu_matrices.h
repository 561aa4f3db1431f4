/* SPDX-License-Identifier: Apache-2.0 */
/* A product and an embedding on the processor and on a GPU. */
#ifndef TESTS_GPU_MATRICES_H
#define TESTS_GPU_MATRICES_H

#include "gpu_sides.h"

/* Numbers of every size, subnormal ones and both zeros among them. */
static inline float *wild_floats(size_t n, uint64_t seed) {
  float *x = random_floats(n, seed);
  for (size_t i = 0; i < n; i += 7) x[i] *= i % 3 == 0 ? 0x1p-135f : i % 3 == 1 ? 0x1p12f : -0.0f;
  return x;
}

/* The rows, the bias and the result begin at float `place`: rows at odd places take kernels of their
 * own. */
static inline void product_at(size_t place, Dtype type, int m, int n, int k, bool with_bias,
                              bool wild) {
  const MatrixSource source =
      dtype_is_quantised(type) ? random_blocks(type, n, k, 9) : random_matrix(type, n, k, 9, NULL);
  const size_t floats = place + (size_t)m * (size_t)k, results = place + (size_t)m * (size_t)n;
  float *x = wild ? wild_floats(floats, 7) : random_floats(floats, 7),
        *bias = random_floats(place + (size_t)n, 8), *got[2];
  xt_error error;
  char what[80];
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    Weight *w;
    ASSERT_OK(b->ops->weight_create(b, &source, 1, &w, &error));
    Dev dx = to_device(b, x, floats), dy = to_device(b, NULL, results),
        db = to_device(b, bias, place + (size_t)n);
    b->ops->matmul(b, dev_at(dy, place), dev_at(dx, place), w,
                   with_bias ? dev_at(db, place) : (Dev){0}, m);
    got[side] = to_host(b, dy, results);
    b->ops->release(b, dx), b->ops->release(b, dy), b->ops->release(b, db),
        b->ops->weight_release(b, w);
  }
  snprintf(what, sizeof what, "product of %d rows, %d x %d, %s", m, n, k, dtype_name(type));
  same(what, got, results);
  free(x), free(bias), free((void *)(uintptr_t)source.data);
}

static inline void product_case(Dtype type, int m, int n, int k, bool with_bias, bool wild) {
  product_at(0, type, m, n, k, with_bias, wild);
}

/* So many rows of a table, at most 4096, in an order of their own; frees the table's data. */
static inline void embed_case(MatrixSource source, int rows) {
  const size_t cols = (size_t)source.cols, results = (size_t)rows * cols + 1;
  int32_t ids[4096];
  float *got[2];
  xt_error error;
  for (int i = 0; i < rows; i++) ids[i] = (i * 37 + 5) % source.rows;
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    Table *t;
    ASSERT_OK(b->ops->table_create(b, &source, &t, &error));
    Dev dy = to_device(b, NULL, results);
    const IndexList list = to_indices(b, ids, (size_t)rows);
    b->ops->embed(b, dev_at(dy, 1), t, list, rows);
    got[side] = to_host(b, dy, results);
    b->ops->release(b, dy), b->ops->release(b, list.at), b->ops->table_release(b, t);
  }
  same("embedding", got, results);
  free((void *)(uintptr_t)source.data);
}

#endif
