/* SPDX-License-Identifier: Apache-2.0 */
/* Element types of stored tensors. One table; sizes are asserted beside it. */
#ifndef FILES_DTYPE_H
#define FILES_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum Dtype {
  DTYPE_F32 = 0, DTYPE_F16, DTYPE_BF16, /* these may be weights */
  DTYPE_F64, DTYPE_I64, DTYPE_I32, DTYPE_I16, DTYPE_I8, DTYPE_U64, DTYPE_U32, DTYPE_U16, DTYPE_U8,
  DTYPE_BOOL,
  DTYPE_COUNT
} Dtype;

size_t dtype_size(Dtype dtype);       /* bytes of one element */
const char *dtype_name(Dtype dtype);  /* safetensors' name: "F32", "BF16", ... */
/* DTYPE_COUNT when the name is not known. */
Dtype dtype_find(const char *name);

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
