/* SPDX-License-Identifier: Apache-2.0 */
/* Element types of stored tensors. One table; sizes are asserted beside it. Values come in blocks
 * of equal size: of one value, or, where they are quantised (ggml's types), of 32 or 256 that share
 * their scales. */
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
 * of them (dequantize.c). */
void dtype_widen(Dtype dtype, const void *from, size_t values, float *to);

static inline float dtype_from_bf16(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}
float dtype_from_f16(uint16_t bits);
uint16_t dtype_to_f16(float value);  /* nearest, ties to even */
uint16_t dtype_to_bf16(float value); /* nearest, ties to even; NaN stays NaN */

#endif
