/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised weights stay as their blocks on a GPU, and what it makes of them has the processor's
 * bits. XT_TEST_GPU and XT_TEST_TINY: gpu_sides.h. */
#include "gpu_matrices.h"

/* Every quantised type as its blocks: embedded, and multiplied by few rows and by many. */
static void test_quantised(void **state) {
  NEEDS_GPU();
  const int k = tiny ? 256 : 1280;
  static const Dtype few[] = {DTYPE_Q5_1, DTYPE_Q6_K, DTYPE_G4_F16, DTYPE_F8_BF16};
  for (size_t t = 0; t < (tiny ? sizeof few / sizeof *few : QUANTISED_TYPES); t++) {
    const Dtype type = tiny ? few[t] : quantised_types[t];
    embed_case(random_blocks(type, 6, k, 3), 6);
    product_case(type, 3, 37, k, true, false);
    product_case(type, tiny ? 9 : 50, 33, k, false, false);
    product_at(1, type, 3, 5, k, true, false);
    product_at(1, type, 34, 5, k, false, false);
  }
}

static void test_tiles(void **state) {
  NEEDS_GPU();
  EACH_TILE_SIZE(size) {
    const int side = gpu_tile_sizes[size].side;
    take_tiles(size);
    if (tiny) {
      product_case(DTYPE_Q5_1, 9, 10, 32, true, false);
      product_at(3, DTYPE_Q5_1, 9, 10, 32, true, false);
      product_case(DTYPE_G4_BF16, 9, 10, 32, true, false);
    }
    for (size_t t = 0; t < QUANTISED_TYPES && !tiny; t++)
      product_at(t % 2, quantised_types[t], side + 3, side + 2, 1280, true, true);
  }
}

/* Codes of every value, with scales that make the smallest numbers of a type, and the largest. */
static void test_packed_values(void **state) {
  NEEDS_GPU();
  static const float scales[] = {0x1p-24f,   0x1.8p-20f, -0x1p-14f,    0x1.554p-3f, -1.0f,
                                 0x1.ffcp7f, 0x1p-126f,  -0x1.3p-130f, 0x1.fep118f};
  enum { SCALES = sizeof scales / sizeof *scales, COLS = 256 };
  for (size_t t = GGML_TYPES; t < QUANTISED_TYPES; t++) {
    const Dtype type = quantised_types[t];
    const bool f16 = type == DTYPE_G4_F16 || type == DTYPE_G8_F16, four = dtype_size(type) == 20;
    const int rows = tiny ? 2 : f16 ? 6 : SCALES;
    const size_t size = dtype_size(type), codes = size - (four ? 16 : 32);
    uint8_t *data = calloc((size_t)rows * COLS / 32, size), *to = data;
    for (int r = 0; r < rows; r++)
      for (int block = 0; block < COLS / 32; block++, to += size) {
        const uint16_t d = f16 ? dtype_to_f16(scales[r]) : dtype_to_bf16(scales[r]),
                       zero = dtype_to_f16((float)(block * (four ? 2 : 36)));
        if (codes == 4 && type != DTYPE_F8_F32) memcpy(to + 2, &zero, 2);
        memcpy(to, &d, 2);
        if (type == DTYPE_F8_F32) memcpy(to, &scales[r], 4);
        for (size_t i = codes; i < size; i++) {
          const int code = (int)(i - codes) + block * 32;
          to[i] = (uint8_t)(four ? (code % 16) * 17 ^ block << 4 : code);
          if (type >= DTYPE_F8_F32 && (to[i] & 0x7f) == 0x7f) to[i] = 0x7e;
        }
      }
    embed_case((MatrixSource){.dtype = type, .rows = rows, .cols = COLS, .data = data}, rows);
  }
}

/* What lies on the device is about as large as what is stored. */
static void test_quantised_bytes(void **state) {
  NEEDS_GPU();
  MatrixSource parts[] = {random_blocks(DTYPE_Q4_K, 64, 512, 1),
                          random_blocks(DTYPE_Q6_K, 32, 512, 2),
                          random_blocks(DTYPE_Q6_K, 32, 512, 3)};
  const size_t stored = dtype_bytes(DTYPE_Q4_K, 64 * 512) + 2 * dtype_bytes(DTYPE_Q6_K, 32 * 512);
  float *x = random_floats(5 * 512, 5), *bias = random_floats(128, 6), *got[2];
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    xt_error error;
    Weight *w;
    ASSERT_OK(b->ops->weight_create(b, parts, 3, &w, &error));
    if (side) assert_in_range(b->ops->weight_bytes(w), stored, stored * 103 / 100);
    Dev dx = to_device(b, x, 5 * 512), dy = to_device(b, NULL, 5 * 128),
        db = to_device(b, bias, 128);
    b->ops->matmul(b, dy, dx, w, db, 5);
    got[side] = to_host(b, dy, 5 * 128);
    b->ops->release(b, dx), b->ops->release(b, dy), b->ops->release(b, db);
    b->ops->weight_release(b, w);
  }
  same("parts of two types", got, 5 * 128);
  for (int p = 0; p < 3; p++) free((void *)(uintptr_t)parts[p].data);
  free(x), free(bias);
  for (size_t t = GGML_TYPES; t < QUANTISED_TYPES; t++) {
    const MatrixSource packed = random_blocks(quantised_types[t], 8, 64, 4);
    xt_error error;
    Weight *w;
    ASSERT_OK(gpu->ops->weight_create(gpu, &packed, 1, &w, &error));
    assert_int_equal(gpu->ops->weight_bytes(w), dtype_bytes(packed.dtype, (size_t)8 * 64));
    gpu->ops->weight_release(gpu, w);
    free((void *)(uintptr_t)packed.data);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_quantised), cmocka_unit_test(test_tiles),
                                     cmocka_unit_test(test_packed_values),
                                     cmocka_unit_test(test_quantised_bytes)};
  return cmocka_run_group_tests_name("gpu quantised weights", tests, set_up, tear_down);
}
