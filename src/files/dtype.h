/* SPDX-License-Identifier: Apache-2.0 */
/* Element types of stored tensors. One table; sizes are asserted beside it. Values come in blocks
 * of equal size: of one value, or, where they are quantised, of 32 or 256 that share their scales:
 * ggml's types, and
 *
 *   G4_, G8_  d, the zero as f16, 32 codes of 4 or 8 bits: d (code - zero), rounded to d's type
 *   F8_       d, 32 E4M3 numbers: d code, rounded to d's type
 *
 * d is a number of the type that the name ends in; codes of 4 bits lie as Q4_1's do. */
#ifndef FILES_DTYPE_H
#define FILES_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum Dtype {
  DTYPE_F32 = 0,
  DTYPE_F16,
  DTYPE_BF16, /* these may be weights */
  DTYPE_F64,
  DTYPE_I64,
  DTYPE_I32,
  DTYPE_I16,
  DTYPE_I8,
  DTYPE_U64,
  DTYPE_U32,
  DTYPE_U16,
  DTYPE_U8,
  DTYPE_BOOL,
  DTYPE_F8_E4M3,
  DTYPE_Q4_0,
  DTYPE_Q4_1,
  DTYPE_Q5_0,
  DTYPE_Q5_1,
  DTYPE_Q8_0,
  DTYPE_Q2_K,
  DTYPE_Q3_K,
  DTYPE_Q4_K,
  DTYPE_Q5_K,
  DTYPE_Q6_K,
  DTYPE_IQ4_NL,
  DTYPE_IQ4_XS, /* these may be weights, too */
  DTYPE_G4_F16, /* and these, which packed_blocks makes: no file has them */
  DTYPE_G4_BF16,
  DTYPE_G8_F16,
  DTYPE_G8_BF16,
  DTYPE_F8_F32,
  DTYPE_F8_BF16,
  DTYPE_COUNT
} Dtype;

#define DTYPE_BLOCK_MAX 256 /* most values of a block */

size_t dtype_size(Dtype dtype);      /* bytes of one block */
size_t dtype_block(Dtype dtype);     /* values of one block */
const char *dtype_name(Dtype dtype); /* safetensors' name, "F32", "BF16", ..., or ggml's, "Q4_K" */
/* The type of one value with that name of safetensors'; DTYPE_COUNT when there is none. */
Dtype dtype_find(const char *name);

static inline bool dtype_is_quantised(Dtype dtype) {
  return dtype >= DTYPE_Q4_0 && dtype < DTYPE_COUNT;
}
static inline bool dtype_is_weight(Dtype dtype) {
  return dtype <= DTYPE_BF16 || dtype_is_quantised(dtype);
}
/* Bytes of so many values, which are whole blocks. */
static inline size_t dtype_bytes(Dtype dtype, size_t values) {
  return values / dtype_block(dtype) * dtype_size(dtype);
}

/* Stored weights, whole blocks of them, as float32: bit for bit what the Python package gguf makes
 * of them, and what packed_expand does (dequantize.c). */
void dtype_widen(Dtype dtype, const void *from, size_t values, float *to);
/* Whether all values of a block of a quantised type are finite. */
bool dtype_block_is_finite(Dtype dtype, const void *block);
/* E4M3 without infinities (OCP 8-bit floating point, 2023); 0x7f and 0xff are NaN. */
float dtype_from_fp8(uint8_t bits);

static inline uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
static inline float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Exponent and mantissa moved into place, then the bias set right by an exact product. */
static inline float dtype_from_f16(uint16_t h) {
  const uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
  if ((h & 0x7c00) == 0x7c00) return float_of_bits(sign | 0x7f800000u | magnitude);
  return float_of_bits(sign | float_bits(float_of_bits(magnitude) * 0x1p112f));
}

/* Nearest, ties to even; infinities stay, NaN stays NaN. */
static inline uint16_t dtype_to_bf16(float x) {
  const uint32_t bits = float_bits(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
static inline float dtype_from_bf16(uint16_t bits) { return float_of_bits((uint32_t)bits << 16); }
uint16_t dtype_to_f16(float value); /* nearest, ties to even */

/* Element i of a stored array of F32, F16 or BF16. */
static inline float dtype_load(const void *data, Dtype type, size_t i) {
  const char *at = data;
  if (type == DTYPE_F32) {
    float x;
    memcpy(&x, at + 4 * i, sizeof x);
    return x;
  }
  uint16_t h;
  memcpy(&h, at + 2 * i, sizeof h);
  return type == DTYPE_F16 ? dtype_from_f16(h) : dtype_from_bf16(h);
}

#endif
