/* SPDX-License-Identifier: Apache-2.0 */
/* Products by oneDNN in the types it has on this processor: right within float's error, and the
 * promise that it does not make but we rely on: a row's bits do not depend on rows beside it or
 * threads. */
#include "backend_support.h"

#include "backend/cpu/onednn_matmul.h"

enum { N = 1360, K = 1100, MOST = 512 }; /* a weight of several strips, and a narrower one */

/* A build without the library has onednn_absent.c. */
#define NEEDS_ONEDNN                                              \
  do {                                                            \
    int version[3];                                               \
    if (!onednn_version(version)) {                               \
      print_message("# needs a build with oneDNN (XT_ONEDNN)\n"); \
      skip();                                                     \
    }                                                             \
  } while (0)

static const Dtype types[] = {DTYPE_F32, DTYPE_BF16};

/* Values of the type, as stored and as floats. The caller frees both. */
static void *make_values(Dtype type, size_t n, uint64_t seed, float **values) {
  float *v = random_floats(n, seed);
  uint16_t *half = malloc(n * sizeof *v);
  assert_non_null(half);
  for (size_t i = 0; type == DTYPE_BF16 && i < n; i++) v[i] = bf16_value(half[i] = bf16_of(v[i]));
  if (type == DTYPE_F32) memcpy(half, v, n * sizeof *v);
  *values = v;
  return half;
}

static void test_values(void **state) {
  (void)state;
  NEEDS_ONEDNN;
  static const int shapes[][3] = {{1, 1, 1},    {5, 33, 70},  {17, 100, 513},
                                  {40, 16, 32}, {200, 70, 9}, {300, 1100, 40}};
  int tried = 0;
  ThreadPool *pool;
  assert_int_equal(pool_create(2, &pool, NULL), XT_STATUS_OK);
  for (int t = 0; t < 2; t++)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
      const int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
      OnednnCache *c;
      OnednnWeight *w;
      xt_error error;
      ASSERT_OK(onednn_cache_create(pool, &c, &error));
      if (onednn_has(c, types[t])) {
        float *wv, *xv, *y = calloc((size_t)(m * n), sizeof *y);
        void *rows = make_values(types[t], (size_t)(n * k), 1, &wv),
             *x = make_values(types[t], (size_t)(m * k), 2, &xv);
        ASSERT_OK(onednn_weight_create(c, types[t], n, k, rows, &w, &error));
        assert_true(onednn_weight_bytes(w) >= (size_t)(n * k) * (types[t] == DTYPE_F32 ? 4 : 2));
        assert_true(onednn_multiply(c, w, x, y, m));
        for (int r = 0; r < m; r++)
          for (int j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int i = 0; i < k; i++) {
              const double p = (double)xv[r * k + i] * (double)wv[j * k + i];
              sum += p;
              size += fabs(p);
            }
            /* At most one rounding a product and one an addition, in whatever order. */
            const double bound = (k + 1) * 0x1p-24 * size, off = fabs((double)y[r * n + j] - sum);
            if (!(off <= bound)) fail_msg("%d x %d x %d: off by %g > %g", m, n, k, off, bound);
          }
        free(wv), free(xv), free(y), free(rows), free(x);
        onednn_weight_free(w);
        tried++;
      }
      onednn_cache_free(c);
    }
  pool_free(pool);
  if (!tried) skip();
}

/* Larger than the sample that onednn_keeps_order goes by. The weight is packed by one cache and
 * used by others, one of which outlives the first. */
static void test_rows_and_threads(void **state) {
  (void)state;
  NEEDS_ONEDNN;
  static const int counts[] = {1, 2, 5, 6, 7, 16, 37, 64, 130, 512};
  int tried = 0;
  ThreadPool *pools[4] = {NULL}; /* by threads */
  for (int threads = 2; threads < 4; threads++)
    assert_int_equal(pool_create(threads, &pools[threads], NULL), XT_STATUS_OK);
  for (int t = 0; t < 2; t++) {
    OnednnCache *maker;
    OnednnWeight *w;
    xt_error error;
    ASSERT_OK(onednn_cache_create(pools[2], &maker, &error));
    bool keeps = false;
    if (onednn_has(maker, types[t]))
      ASSERT_OK(onednn_keeps_order(pools[2], types[t], &keeps, &error));
    if (!keeps) { /* then the backend does not use it */
      onednn_cache_free(maker);
      continue;
    }
    tried++;
    const size_t size = types[t] == DTYPE_F32 ? 4 : 2;
    float *wv, *xv, *all = calloc(MOST * N, sizeof *all), *some = calloc(MOST * N, sizeof *some);
    void *rows = make_values(types[t], N * K, 3, &wv);
    char *x = make_values(types[t], MOST * K, 4, &xv);
    ASSERT_OK(onednn_weight_create(maker, types[t], N, K, rows, &w, &error));
    assert_true(onednn_multiply(maker, w, x, all, MOST));
    onednn_cache_free(maker);
    for (int threads = 1; threads <= 3; threads++) {
      OnednnCache *c;
      ASSERT_OK(onednn_cache_create(pools[threads], &c, &error));
      for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const int m = counts[i], first = (MOST - m) * (int)(i + 1) % (MOST - m + 1);
        assert_true(onednn_multiply(c, w, x + (size_t)first * K * size, some, m));
        if (memcmp(some, all + first * N, (size_t)(m * N) * sizeof *some) != 0)
          fail_msg("%d rows on %d threads change bits", m, threads);
      }
      onednn_cache_free(c);
    }
    onednn_weight_free(w);
    free(wv), free(xv), free(rows), free(x), free(all), free(some);
  }
  for (int threads = 2; threads < 4; threads++) pool_free(pools[threads]);
  if (!tried) skip();
}

static void test_nothing(void **state) {
  (void)state;
  onednn_weight_free(NULL);
  onednn_cache_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_rows_and_threads),
      cmocka_unit_test(test_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
