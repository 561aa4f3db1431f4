/* SPDX-License-Identifier: Apache-2.0 */
/* Random matrices of every quantised type. */
#ifndef TESTS_QUANTISED_SUPPORT_H
#define TESTS_QUANTISED_SUPPORT_H

#include "backend_support.h"

static const Dtype quantised_types[] = {
    DTYPE_Q4_0,   DTYPE_Q4_1,    DTYPE_Q5_0,   DTYPE_Q5_1,    DTYPE_Q8_0,   DTYPE_Q2_K,
    DTYPE_Q3_K,   DTYPE_Q4_K,    DTYPE_Q5_K,   DTYPE_Q6_K,    DTYPE_IQ4_NL, DTYPE_IQ4_XS,
    DTYPE_G4_F16, DTYPE_G4_BF16, DTYPE_G8_F16, DTYPE_G8_BF16, DTYPE_F8_F32, DTYPE_F8_BF16};
#define QUANTISED_TYPES (sizeof quantised_types / sizeof *quantised_types)
#define GGML_TYPES 12 /* the first ones */

/* Where a block has its f16 numbers; -1: none. */
static inline void halves(Dtype type, int at[2]) {
  at[0] = type == DTYPE_Q2_K ? 80 : type == DTYPE_Q3_K ? 108 : type == DTYPE_Q6_K ? 208 : 0;
  at[1] = type == DTYPE_Q2_K ? 82
          : type == DTYPE_Q4_1 || type == DTYPE_Q5_1 || type == DTYPE_Q4_K || type == DTYPE_Q5_K ||
                  type == DTYPE_F8_F32 /* the upper half of a float32 */
              ? 2
              : -1;
}

/* Numbers of a block of packed.h: d, and the zero as a whole number; no E4M3 number is a NaN. */
static inline void packed_numbers(Dtype type, uint8_t *block, Rng *rng) {
  const float scale = (1 + (float)(rng_next(rng) >> 40) * 0x1p-24f) * 0x1p-7f;
  const bool f16 = type == DTYPE_G4_F16 || type == DTYPE_G8_F16;
  const uint16_t d = f16 ? dtype_to_f16(scale) : dtype_to_bf16(scale),
                 zero =
                     dtype_to_f16((float)(rng_next(rng) >> 60) + (type >= DTYPE_G8_F16 ? 120 : 0));
  if (type == DTYPE_F8_F32)
    memcpy(block, &scale, 4);
  else
    memcpy(block, &d, 2);
  if (type < DTYPE_F8_F32) memcpy(block + 2, &zero, 2);
  for (size_t i = dtype_size(type) - 32; type >= DTYPE_F8_F32 && i < dtype_size(type); i++)
    if ((block[i] & 0x7f) == 0x7f) block[i] &= 0x80;
}

/* Random blocks, their scales among them. The caller frees `data`. */
static inline MatrixSource random_blocks(Dtype type, int rows, int cols, uint64_t seed) {
  const size_t size = dtype_bytes(type, (size_t)rows * (size_t)cols), block = dtype_size(type);
  uint8_t *data = malloc(size);
  Rng rng = {seed};
  int at[2];
  assert_non_null(data);
  halves(type, at);
  for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(rng_next(&rng) >> 24);
  for (size_t i = 0; i < size && type >= DTYPE_G4_F16; i += block)
    packed_numbers(type, data + i, &rng);
  for (size_t i = 0; i < size && type < DTYPE_G4_F16; i += block)
    for (int h = 0; h < 2 && at[h] >= 0; h++) {
      const uint16_t value = f16_random(&rng);
      memcpy(data + i + at[h], &value, 2);
    }
  return (MatrixSource){.dtype = type, .rows = rows, .cols = cols, .data = data};
}

#endif
