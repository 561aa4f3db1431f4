/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products and weights of every set of kernels against sums in double. */
#include "op_sums.h"

/* y [m][n] of a weight and x [m][k], for the caller to free. bias may be NULL. */
static float *product_of(Backend *b, const MatrixSource *w, const float *x, const float *bias,
                         int m) {
  const size_t in = (size_t)m * (size_t)w->cols, out = (size_t)m * (size_t)w->rows;
  Weight *weight;
  xt_error error;
  ASSERT_OK(b->ops->weight_create(b, w, 1, &weight, &error));
  Dev dx = to_device(b, x, in), dy = to_device(b, NULL, out);
  Dev db = bias ? to_device(b, bias, (size_t)w->rows) : (Dev){0};
  b->ops->matmul(b, dy, dx, weight, db, m);
  float *y = to_host(b, dy, out);
  b->ops->release(b, dx), b->ops->release(b, dy), b->ops->release(b, db);
  b->ops->weight_release(b, weight);
  return y;
}

static void matmul_case(Backend *b, Dtype type, int m, int n, int k, bool with_bias) {
  const bool bf16 = b->compute == XT_COMPUTE_BF16;
  float *w, *x = random_floats((size_t)m * (size_t)k, 7), *bias = random_floats((size_t)n, 8);
  const MatrixSource source = random_matrix(type, n, k, 9, &w);
  float *y = product_of(b, &source, x, with_bias ? bias : NULL, m);
  for (int r = 0; r < m; r++)
    for (int c = 0; c < n; c++) {
      double sum = with_bias ? (double)bias[c] : 0, size = fabs(sum);
      for (int i = 0; i < k; i++) {
        const double p = rounded(x[r * k + i], bf16) * rounded(w[c * k + i], bf16);
        sum += p;
        size += fabs(p);
      }
      /* A product, at most 512 roundings of a block, one a block sum, one for the bias. */
      const double roundings =
          1 + (k < BACKEND_K_BLOCK ? k : BACKEND_K_BLOCK) + k / BACKEND_K_BLOCK + 2;
      check("matmul", b, (size_t)(r * n + c), y[r * n + c], sum, roundings * U * size);
    }
  free(y), free(x), free(w), free(bias), free((void *)(uintptr_t)source.data);
}

/* One element as the processor's tiles compute it (kernels_amx.c): steps of 32 values, in each of
 * which the even places make one chain and the odd ones another. */
static float by_tiles(const float *x, const float *w, int k) {
  float sum = 0;
  for (int from = 0; from < k; from += 32) {
    float chains[2] = {0, 0};
    for (int i = from; i < k && i < from + 32; i++)
      chains[i % 2] = fmaf((float)rounded(x[i], true), (float)rounded(w[i], true), chains[i % 2]);
    sum += chains[0] + chains[1];
  }
  return sum;
}

static void amx_case(Backend *b, int m, int n, int k) {
  float *w, *x = random_floats((size_t)m * (size_t)k, 7), *bias = random_floats((size_t)n, 8);
  const MatrixSource source = random_matrix(DTYPE_F32, n, k, 9, &w);
  float *y = product_of(b, &source, x, bias, m);
  for (int r = 0; r < m; r++)
    for (int c = 0; c < n; c += n / 7) {
      const float want = by_tiles(x + r * k, w + c * k, k) + bias[c];
      if (memcmp(&want, &y[r * n + c], sizeof want) != 0)
        fail_msg("%d x %d x %d: element %d, %d is %.9g, not %.9g", m, n, k, r, c,
                 (double)y[r * n + c], (double)want);
    }
  free(y), free(x), free(w), free(bias), free((void *)(uintptr_t)source.data);
}

/* Every bit, at all remainders of rows and of depth, and beyond a block of K. */
static void test_amx_bits(void **state) {
  (void)state;
  Backend *b = backend_or_null("amx", 2, XT_COMPUTE_BF16);
  if (!b) {
    print_message("# needs a processor with AMX\n");
    skip();
  }
  static const int depths[] = {1, 2, 31, 32, 33, 256, 300, 1024, 1061, 2500};
  for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
    for (int m = 1; m <= 130; m += m < 34 ? 1 : 19) amx_case(b, m, 30 + m, depths[d]);
  amx_case(b, 310, 700, 2500);  /* more rows than L2 keeps: groups of panels, blocks of rows */
  amx_case(b, 1001, 230, 5700); /* more than are packed at once */
  b->ops->destroy(b);
}

static void test_matmul(void **state) {
  (void)state;
  static const int shapes[][3] = {{1, 1, 1},
                                  {1, 100, 37},
                                  {2, 33, 513},
                                  {3, 7, 1030},
                                  {4, 65, 64},
                                  {5, 16, 511},
                                  {6, 96, 512},
                                  {7, 47, 100},
                                  {13, 49, 1100},
                                  {12, 64, 30},
                                  {100, 50, 40},
                                  {97, 17, 520},
                                  /* several groups of panels, blocks of rows and of depth */
                                  {200, 5, 3},
                                  {110, 700, 1030},
                                  {2830, 3, 600}}; /* more rows than are packed at once */
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
      matmul_case(b, (Dtype)type, shapes[i][0], shapes[i][1], shapes[i][2], i % 2 == 0);
}

static void test_matmul_bf16(void **state) {
  (void)state;
  EACH_BACKEND(b, 2, XT_COMPUTE_BF16)
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
    matmul_case(b, (Dtype)type, 1, 40, 700, true);
    matmul_case(b, (Dtype)type, 9, 65, 513, false);
    matmul_case(b, (Dtype)type, 70, 30, 64, true);
    matmul_case(b, (Dtype)type, 110, 700, 1030, false);
  }
}

/* Parts of one weight are stacked; sources may lie at odd addresses. */
static void test_weight_parts(void **state) {
  (void)state;
  enum { K = 21, M = 3 };
  static const int rows[3] = {5, 30, 18};
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
    MatrixSource parts[3];
    float *values[3], *x = random_floats(M * K, 1);
    char *shifted[3];
    for (int p = 0; p < 3; p++) {
      parts[p] = random_matrix((Dtype)type, rows[p], K, (uint64_t)p + 20, &values[p]);
      const size_t bytes = (size_t)(rows[p] * K) * (type == DTYPE_F32 ? 4 : 2);
      shifted[p] = malloc(bytes + 1);
      memcpy(shifted[p] + 1, parts[p].data, bytes);
      free((void *)(uintptr_t)parts[p].data);
      parts[p].data = shifted[p] + 1;
    }
    Weight *w;
    xt_error error;
    ASSERT_OK(b->ops->weight_create(b, parts, 3, &w, &error));
    assert_true(b->ops->weight_bytes(w) >= (size_t)(53 * K) * (type == DTYPE_F32 ? 4 : 2));
    Dev dx = to_device(b, x, M * K), dy = to_device(b, NULL, M * 53);
    b->ops->matmul(b, dy, dx, w, (Dev){0}, M);
    float *y = to_host(b, dy, M * 53);
    for (int r = 0; r < M; r++)
      for (int p = 0, first = 0; p < 3; first += rows[p], p++)
        for (int n = 0; n < rows[p]; n++) {
          double sum = 0;
          for (int k = 0; k < K; k++) sum += (double)x[r * K + k] * (double)values[p][n * K + k];
          check("parts", b, (size_t)n, y[r * 53 + first + n], sum, 30 * U * K * 2);
        }
    for (int p = 0; p < 3; p++) free(values[p]), free(shifted[p]);
    free(x), free(y), b->ops->release(b, dx), b->ops->release(b, dy), b->ops->weight_release(b, w);
  }
}

/* A value that is not finite is named by part and byte, the first one where there are several. */
static void test_weight_not_finite(void **state) {
  (void)state;
  static const int at[][2] = {{0, 0}, {0, 75}, {1, 0}, {1, 700}, {1, 1709}};
  static const uint32_t f32[] = {0x7fc00000u, 0x7f800000u, 0xff800000u};
  static const uint16_t f16[] = {0x7e00, 0x7c00, 0xfc00}, bf16[] = {0x7fc0, 0x7f80, 0xff80};
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
      const int p = at[i][0], e = at[i][1];
      MatrixSource parts[2] = {random_matrix((Dtype)type, 4, 19, 3, NULL),
                               random_matrix((Dtype)type, 90, 19, 4, NULL)};
      for (int twice = 0; twice < 2; twice++) { /* a later one, in the last row, does not hide
                                                     the first */
        const int q = twice ? 1 : p, j = twice ? 1709 : e;
        char *to = (char *)(uintptr_t)parts[q].data + (size_t)j * (type == DTYPE_F32 ? 4 : 2);
        if (type == DTYPE_F32)
          memcpy(to, &f32[i % 3], 4);
        else
          memcpy(to, type == DTYPE_F16 ? &f16[i % 3] : &bf16[i % 3], 2);
        Weight *w;
        xt_error error = {0};
        assert_int_equal(b->ops->weight_create(b, parts, 2, &w, &error), XT_STATUS_INPUT);
        assert_null(w);
        assert_int_equal(error.offset, (long long)e * (type == DTYPE_F32 ? 4 : 2));
        assert_string_equal(error.field, p ? "1" : "0");
      }
      free((void *)(uintptr_t)parts[0].data), free((void *)(uintptr_t)parts[1].data);
    }
  EACH_BACKEND(b, 1, XT_COMPUTE_BF16) { /* finite as float32, not as bfloat16 */
    float x[3] = {1, 2, 3.4e38f};
    const MatrixSource part = {.dtype = DTYPE_F32, .rows = 1, .cols = 3, .data = x};
    Weight *w;
    xt_error error = {0};
    assert_int_equal(b->ops->weight_create(b, &part, 1, &w, &error), XT_STATUS_INPUT);
    assert_int_equal(error.offset, 8);
  }
}

static void test_weight_arguments(void **state) {
  (void)state;
  float x[8] = {0};
  EACH_BACKEND(b, 1, XT_COMPUTE_F32) {
    const MatrixSource unlike[2] = {{DTYPE_F32, 1, 4, x, 0}, {DTYPE_F32, 1, 3, x, 0}},
                       ints = {DTYPE_I32, 1, 4, x, 0};
    Weight *w;
    Table *t;
    assert_int_equal(b->ops->weight_create(b, unlike, 2, &w, NULL), XT_STATUS_ARGUMENT);
    assert_int_equal(b->ops->weight_create(b, unlike, 0, &w, NULL), XT_STATUS_ARGUMENT);
    assert_int_equal(b->ops->weight_create(b, &ints, 1, &w, NULL), XT_STATUS_UNSUPPORTED);
    assert_int_equal(b->ops->table_create(b, &ints, &t, NULL), XT_STATUS_UNSUPPORTED);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_matmul),
                                     cmocka_unit_test(test_matmul_bf16),
                                     cmocka_unit_test(test_amx_bits),
                                     cmocka_unit_test(test_weight_parts),
                                     cmocka_unit_test(test_weight_not_finite),
                                     cmocka_unit_test(test_weight_arguments)};
  return cmocka_run_group_tests_name("products", tests, NULL, NULL);
}
