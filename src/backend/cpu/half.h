/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats, one at a time: for loads of any alignment and for the plain loops. */
#ifndef CPU_HALF_H
#define CPU_HALF_H

#include <stdint.h>
#include <string.h>

#include "files/dtype.h"

static inline uint32_t half_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static inline float half_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Exponent and mantissa moved into place, then the bias set right by an exact product. */
static inline float half_from_f16(uint16_t h) {
  const uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
  if ((h & 0x7c00) == 0x7c00) return half_float(sign | 0x7f800000u | magnitude);
  return half_float(sign | half_bits(half_float(magnitude) * 0x1p112f));
}

/* Nearest, ties to even; infinities stay, NaN stays NaN. */
static inline uint16_t half_to_bf16(float x) {
  const uint32_t bits = half_bits(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* Element i of a stored array of F32, F16 or BF16. */
static inline float half_load(const void *data, Dtype type, size_t i) {
  const char *at = data;
  if (type == DTYPE_F32) {
    float x;
    memcpy(&x, at + 4 * i, sizeof x);
    return x;
  }
  uint16_t h;
  memcpy(&h, at + 2 * i, sizeof h);
  return type == DTYPE_F16 ? half_from_f16(h) : dtype_from_bf16(h);
}

#endif
