/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "files/dtype.h"
#include "support.h"

/* The value a binary16 pattern stands for, by the definition of the format. */
static double half_value(unsigned bits) {
  const unsigned exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude =
      exponent ? ldexp(1024 + fraction, (int)exponent - 25) : ldexp(fraction, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

static void every_half_is_exact_and_returns(void **state) {
  (void)state;
  for (unsigned bits = 0; bits < 65536; bits++) {
    const float value = dtype_from_f16((uint16_t)bits);
    const bool special = (bits >> 10 & 31) == 31;
    if (special && (bits & 1023)) {
      assert_true(isnan(value));
      assert_true(isnan(dtype_from_f16(dtype_to_f16(value))));
      continue;
    }
    if (special)
      assert_true(isinf(value));
    else
      assert_true((double)value == half_value(bits));
    assert_int_equal(!!signbit(value), bits >> 15);
    assert_int_equal(dtype_to_f16(value), bits);
  }
}

/* Rounding is monotone, so the two sides of each midpoint, and the midpoint, decide it
 * everywhere. */
static void half_rounds_to_nearest_even(void **state) {
  (void)state;
  for (unsigned bits = 0; bits < 0x7c00; bits++) {
    const double next = bits == 0x7bff ? 65536 : half_value(bits + 1);
    /* exact: one bit more than a half has */
    const float middle = (float)((half_value(bits) + next) / 2);
    const unsigned even = bits & 1 ? bits + 1 : bits;
    for (unsigned sign = 0; sign < 2; sign++) {
      const float s = sign ? -1.0f : 1.0f;
      assert_int_equal(dtype_to_f16(s * nextafterf(middle, 0)), bits | sign << 15);
      assert_int_equal(dtype_to_f16(s * middle), even | sign << 15);
      assert_int_equal(dtype_to_f16(s * nextafterf(middle, INFINITY)), (bits + 1) | sign << 15);
    }
  }
  assert_int_equal(dtype_to_f16(3e38f), 0x7c00);
  assert_int_equal(dtype_to_f16(1e-45f), 0);
}

static void every_bf16_is_exact_and_rounds_to_nearest_even(void **state) {
  (void)state;
  for (unsigned bits = 0; bits < 65536; bits++) {
    const float value = dtype_from_bf16((uint16_t)bits);
    if (isnan(value)) {
      assert_true(isnan(dtype_from_bf16(dtype_to_bf16(value))));
      continue;
    }
    assert_int_equal(dtype_to_bf16(value), bits);
    if (isinf(value)) continue;
    const uint32_t below = bits << 16 | 0x7fff, middle = bits << 16 | 0x8000,
                   above = bits << 16 | 0x8001;
    float b, m, a;
    memcpy(&b, &below, 4);
    memcpy(&m, &middle, 4);
    memcpy(&a, &above, 4);
    assert_int_equal(dtype_to_bf16(b), bits);
    assert_int_equal(dtype_to_bf16(m), bits & 1 ? bits + 1 : bits);
    assert_int_equal(dtype_to_bf16(a), bits + 1);
  }
  const uint32_t low_nan = 0x7f800001; /* its payload lies in the bits that are dropped */
  float nan_value;
  memcpy(&nan_value, &low_nan, 4);
  assert_true(isnan(dtype_from_bf16(dtype_to_bf16(nan_value))));
}

static void names_and_sizes(void **state) {
  (void)state;
  static const size_t sizes[DTYPE_COUNT] = {4,   2,   2,  8,   8,  4,  2,  1,  8,  4,   2,
                                            1,   1,   1,  18,  20, 22, 24, 34, 84, 110, 144,
                                            176, 210, 18, 136, 20, 20, 36, 36, 36, 34};
  for (int i = 0; i < DTYPE_COUNT; i++) {
    assert_int_equal(dtype_find(dtype_name((Dtype)i)), i < DTYPE_Q4_0 ? i : DTYPE_COUNT);
    assert_int_equal(dtype_size((Dtype)i), sizes[i]);
  }
  assert_string_equal(dtype_name(DTYPE_BF16), "BF16");
  assert_int_equal(dtype_find("f32"), DTYPE_COUNT);
  assert_int_equal(dtype_size(DTYPE_COUNT), 0);
}

/* Blocks of every quantised type, scales of every size, against the Python package gguf: equal to
 * the bit. */
static void quantised_blocks_are_ggufs(void **state) {
  (void)state;
  FILE *file = fopen(XT_SOURCE_DIR "/tests/golden/gguf/blocks.bin", "rb");
  char name[9] = {0};
  uint8_t count_bytes[4], blocks[16 * 256];
  float want[512], got[512];
  int types = 0;
  assert_non_null(file);
  while (fread(name, 1, 8, file) == 8) {
    Dtype type = DTYPE_Q4_0;
    while (type < DTYPE_COUNT && strcmp(dtype_name(type), name) != 0) type++;
    assert_true(type < DTYPE_COUNT);
    assert_int_equal(fread(count_bytes, 1, 4, file), 4);
    const size_t count = count_bytes[0], values = count * dtype_block(type);
    assert_int_equal(values, 512);
    assert_int_equal(fread(blocks, dtype_size(type), count, file), count);
    assert_int_equal(fread(want, sizeof *want, values, file), values);
    dtype_widen(type, blocks, values, got);
    for (size_t i = 0; i < values; i++)
      if (memcmp(&got[i], &want[i], sizeof *got) != 0)
        fail_msg("%s: value %zu is %a, expected %a", name, i, (double)got[i], (double)want[i]);
    types++;
  }
  fclose(file);
  assert_int_equal(types, DTYPE_G4_F16 - DTYPE_Q4_0);
}

static void quantised_names_are_not_safetensors(void **state) {
  (void)state;
  assert_int_equal(dtype_find("BF16"), DTYPE_BF16);
  assert_int_equal(dtype_find("Q4_K"), DTYPE_COUNT);
  for (int type = 0; type < DTYPE_COUNT; type++)
    assert_true(dtype_block((Dtype)type) <= DTYPE_BLOCK_MAX);
  assert_int_equal(dtype_bytes(DTYPE_Q4_K, 512), 288);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_half_is_exact_and_returns),
      cmocka_unit_test(half_rounds_to_nearest_even),
      cmocka_unit_test(every_bf16_is_exact_and_rounds_to_nearest_even),
      cmocka_unit_test(names_and_sizes),
      cmocka_unit_test(quantised_blocks_are_ggufs),
      cmocka_unit_test(quantised_names_are_not_safetensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
