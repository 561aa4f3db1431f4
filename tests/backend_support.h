/* SPDX-License-Identifier: Apache-2.0 */
/* Making backends and data for tests of the op table. */
#ifndef TESTS_BACKEND_SUPPORT_H
#define TESTS_BACKEND_SUPPORT_H

#include <math.h>

#include "support.h"

#include "backend/backend.h"
#include "base/rng.h"

static const char *const kernel_sets[] = {"avx512", "amx", "avx2", "neon", "portable", "reference"};
#define KERNEL_SETS (sizeof kernel_sets / sizeof *kernel_sets)

/* NULL when this processor or build lacks the kernels. */
static inline Backend *backend_or_null(const char *kernels, int threads, xt_compute compute) {
  Backend *b;
  xt_error error;
  const BackendOptions options = {.kernels = kernels, .threads = threads, .compute = compute};
  const xt_status status = backend_create("cpu", &options, &b, &error);
  if (status == XT_STATUS_UNSUPPORTED) return NULL;
  assert_int_equal(status, XT_STATUS_OK);
  return b;
}

static inline float *random_floats(size_t n, uint64_t seed) {
  float *x = calloc(n ? n : 1, sizeof *x);
  assert_non_null(x);
  Rng rng = {seed};
  for (size_t i = 0; i < n; i++) x[i] = rng_symmetric(&rng);
  return x;
}

/* A device array with the given contents. */
static inline Dev to_device(Backend *b, const float *x, size_t n) {
  Dev d;
  assert_int_equal(b->ops->alloc(b, n * sizeof(float), &d, NULL), XT_STATUS_OK);
  if (x) b->ops->upload(b, d, x, n * sizeof(float));
  return d;
}
static inline IndexList to_indices(Backend *b, const int32_t *x, size_t n) {
  IndexList list;
  assert_int_equal(b->ops->alloc(b, n * sizeof(int32_t), &list.at, NULL), XT_STATUS_OK);
  b->ops->upload(b, list.at, x, n * sizeof(int32_t));
  return list;
}
static inline float *to_host(Backend *b, Dev d, size_t n) {
  float *x = malloc((n ? n : 1) * sizeof *x);
  assert_non_null(x);
  b->ops->download(b, x, d, n * sizeof *x);
  return x;
}

static inline uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}
static inline uint16_t bf16_of(float x) {
  const uint32_t u = bits_of(x);
  return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
static inline float bf16_value(uint16_t h) {
  const uint32_t u = (uint32_t)h << 16;
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}
/* By definition: sign, exponent, fraction. */
static inline float f16_value(uint16_t h) {
  const int e = (h >> 10) & 31, f = h & 1023;
  const double magnitude = e == 0   ? ldexp(f, -24)
                           : e < 31 ? ldexp(1024 + f, e - 25)
                           : f      ? (double)NAN
                                    : (double)INFINITY;
  return (float)(h & 0x8000 ? -magnitude : magnitude);
}
static inline uint16_t f16_random(Rng *rng) { /* any finite half below 2 in size, subnormals too */
  return (uint16_t)(rng_next(rng) & 0xbfffu);
}

/* A random stored matrix and its values; the caller frees both. */
static inline MatrixSource random_matrix(Dtype type, int rows, int cols, uint64_t seed,
                                         float **values) {
  const size_t n = (size_t)rows * (size_t)cols;
  Rng rng = {seed};
  float *v = malloc(n * sizeof *v);
  uint16_t *half = malloc(n * sizeof *v);
  assert_non_null(v);
  assert_non_null(half);
  for (size_t i = 0; i < n; i++) {
    v[i] = rng_symmetric(&rng);
    if (type == DTYPE_BF16) v[i] = bf16_value(half[i] = bf16_of(v[i]));
    if (type == DTYPE_F16) v[i] = f16_value(half[i] = f16_random(&rng));
  }
  if (type == DTYPE_F32) memcpy(half, v, n * sizeof *v);
  if (values)
    *values = v;
  else
    free(v);
  return (MatrixSource){.dtype = type, .rows = rows, .cols = cols, .data = half};
}

#endif
