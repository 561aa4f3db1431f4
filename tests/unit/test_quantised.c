/* SPDX-License-Identifier: Apache-2.0 */
/* Products by quantised weights are, bit for bit, the products by the float32 values they stand
 * for: every type, every set of kernels, any number of rows; and their panels take little more
 * memory than the file. */
#include "backend/cpu/quantised.h"
#include "quantised_support.h"

enum { DEPTH = 1280, MOST_ROWS = 201 }; /* two whole blocks of K, and a half */

/* The same matrix as float32, its rows in order. The caller frees `data`. */
static MatrixSource widened(const MatrixSource *s) {
  const size_t cols = (size_t)s->cols, stride = dtype_bytes(s->dtype, cols);
  float *values = malloc((size_t)s->rows * cols * sizeof *values);
  assert_non_null(values);
  for (int r = 0; r < s->rows; r++)
    dtype_widen(s->dtype, (const uint8_t *)s->data + (size_t)matrix_source_place(s, r) * stride,
                cols, values + (size_t)r * cols);
  return (MatrixSource){.dtype = DTYPE_F32, .rows = s->rows, .cols = s->cols, .data = values};
}

static float *product(Backend *b, const MatrixSource *parts, int n_parts, int n, const float *x,
                      const float *bias, int m, size_t *bytes) {
  Weight *w;
  xt_error error;
  ASSERT_OK(b->ops->weight_create(b, parts, n_parts, &w, &error));
  Dev from = to_device(b, x, (size_t)m * DEPTH), to = to_device(b, NULL, (size_t)m * (size_t)n),
      added = to_device(b, bias, (size_t)n);
  b->ops->matmul(b, to, from, w, added, m);
  float *got = to_host(b, to, (size_t)m * (size_t)n);
  if (bytes) *bytes = b->ops->weight_bytes(w);
  b->ops->release(b, from), b->ops->release(b, to), b->ops->release(b, added),
      b->ops->weight_release(b, w);
  return got;
}

static void same_product(Backend *b, const char *what, const MatrixSource *parts, int n_parts) {
  static const int counts[] = {1, 2, 3, 4, 5, 13, 64, MOST_ROWS};
  MatrixSource wide[3];
  int n = 0;
  for (int p = 0; p < n_parts; p++) {
    wide[p] = widened(&parts[p]);
    n += parts[p].rows;
  }
  float *x = random_floats((size_t)MOST_ROWS * DEPTH, 5), *bias = random_floats((size_t)n, 6);
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    const size_t count = (size_t)counts[i] * (size_t)n;
    float *got = product(b, parts, n_parts, n, x, bias, counts[i], NULL),
          *want = product(b, wide, n_parts, n, x, bias, counts[i], NULL);
    for (size_t k = 0; k < count; k++)
      if (bits_of(got[k]) != bits_of(want[k]))
        fail_msg("%s, %s, %d rows: element %zu is %a, expected %a", b->ops->name, what, counts[i],
                 k, (double)got[k], (double)want[k]);
    free(got);
    free(want);
  }
  for (int p = 0; p < n_parts; p++) free((void *)(uintptr_t)wide[p].data);
  free(x);
  free(bias);
}

static void every_type_and_kernel(xt_compute compute) {
  for (size_t set = 0; set < KERNEL_SETS - 1; set++) { /* the plain loops widen the weights
                                                          themselves */
    Backend *b = backend_or_null(kernel_sets[set], 2, compute);
    if (!b) continue;
    for (size_t t = 0; t < QUANTISED_TYPES; t++) {
      const MatrixSource s = random_blocks(quantised_types[t], 83, DEPTH, 10 + t);
      same_product(b, dtype_name(quantised_types[t]), &s, 1);
      free((void *)(uintptr_t)s.data);
    }
    b->ops->destroy(b);
  }
}

static void products_are_those_of_the_values(void **state) {
  (void)state;
  every_type_and_kernel(XT_COMPUTE_F32);
}

static void products_in_bfloat16_too(void **state) {
  (void)state;
  every_type_and_kernel(XT_COMPUTE_BF16);
}

/* As Q4_K_M files have q, k and v: three types, rows of the first in pairs; and with one that is
 * not quantised. */
static void parts_of_several_types(void **state) {
  (void)state;
  for (size_t set = 0; set < KERNEL_SETS - 1; set++) {
    Backend *b = backend_or_null(kernel_sets[set], 2, XT_COMPUTE_F32);
    if (!b) continue;
    MatrixSource parts[3] = {random_blocks(DTYPE_Q4_K, 96, DEPTH, 1),
                             random_blocks(DTYPE_Q5_0, 24, DEPTH, 2),
                             random_blocks(DTYPE_Q6_K, 24, DEPTH, 3)};
    float *plain = random_floats((size_t)24 * DEPTH, 4);
    parts[0].paired = 24;
    same_product(b, "three types", parts, 3);
    const MatrixSource mixed[3] = {
        parts[0], parts[1], {.dtype = DTYPE_F32, .rows = 24, .cols = DEPTH, .data = plain}};
    same_product(b, "one plain part", mixed, 3);
    for (int p = 0; p < 3; p++) free((void *)(uintptr_t)parts[p].data);
    free(plain);
    b->ops->destroy(b);
  }
}

/* A scale that is not finite is an error that says where its block is. */
static void scales_are_finite(void **state) {
  (void)state;
  for (size_t set = 0; set < KERNEL_SETS; set++)
    for (size_t t = 0; t < QUANTISED_TYPES; t++) {
      Backend *b = backend_or_null(kernel_sets[set], 1, XT_COMPUTE_F32);
      if (!b) continue;
      const MatrixSource s = random_blocks(quantised_types[t], 3, DEPTH, 20);
      const size_t at = dtype_bytes(quantised_types[t], DEPTH) + dtype_size(quantised_types[t]);
      const Dtype type = quantised_types[t];
      const bool wide = type == DTYPE_G4_BF16 || type == DTYPE_G8_BF16 || type >= DTYPE_F8_F32;
      const uint16_t infinite = wide ? 0x7f80 : 0x7c00;
      int half[2];
      Weight *w;
      xt_error error;
      halves(quantised_types[t], half);
      memcpy((uint8_t *)(uintptr_t)s.data + at + (half[1] >= 0 ? half[1] : half[0]), &infinite, 2);
      assert_int_equal(b->ops->weight_create(b, &s, 1, &w, &error), XT_STATUS_INPUT);
      assert_int_equal(error.offset, at);
      assert_string_equal(error.field, "0");
      free((void *)(uintptr_t)s.data);
      b->ops->destroy(b);
    }
}

static void panels_stay_small(void **state) {
  (void)state;
  for (size_t set = 0; set < KERNEL_SETS - 1; set++)
    for (size_t t = 0; t < QUANTISED_TYPES; t++) {
      Backend *b = backend_or_null(kernel_sets[set], 1, XT_COMPUTE_F32);
      if (!b) continue;
      const MatrixSource s = random_blocks(quantised_types[t], 64, DEPTH, 20);
      float *x = random_floats(DEPTH, 1), *bias = random_floats(64, 1);
      size_t bytes;
      free(product(b, &s, 1, 64, x, bias, 1, &bytes));
      /* IQ4's take a byte each */
      const double size = (double)dtype_bytes(quantised_types[t], (size_t)64 * DEPTH),
                   most = t >= GGML_TYPES - 2 && t < GGML_TYPES ? 2.0 : 1.2;
      if ((double)bytes > size * most)
        fail_msg("%s: %zu bytes of %g", dtype_name(quantised_types[t]), bytes, size);
      free((void *)(uintptr_t)s.data);
      free(x);
      free(bias);
      b->ops->destroy(b);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_those_of_the_values),
      cmocka_unit_test(products_in_bfloat16_too), cmocka_unit_test(parts_of_several_types),
      cmocka_unit_test(scales_are_finite), cmocka_unit_test(panels_stay_small)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
