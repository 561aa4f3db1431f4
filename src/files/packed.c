/* SPDX-License-Identifier: Apache-2.0 */
#include "files/packed.h"

#include <math.h>
#include <string.h>

#define ROWS_AT_A_TIME 64

float packed_fp8(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float size = exponent == 15 && mantissa == 7 ? NAN
                     : exponent                      ? ldexpf((float)(8 + mantissa), exponent - 10)
                                                     : ldexpf((float)mantissa, -9);
  return bits & 0x80 ? -size : size;
}

static uint32_t load_word(const uint8_t *at) {
  uint32_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* The code of a lane at a place. */
static int unpack(const PackedCodes *c, size_t lane, size_t place) {
  static const uint8_t awq_place[8] = {0, 4, 1, 5, 2, 6, 3, 7};
  const uint8_t *from = c->data + lane * c->lane_stride;
  if (c->bits == 0) return (int8_t)from[place * c->word_stride];
  if (c->awq) place = (place & ~(size_t)7) | awq_place[place & 7];
  const size_t bit = place * (size_t)c->bits;
  const int offset = (int)(bit % 32), more = offset + c->bits - 32;
  const uint8_t *at = from + bit / 32 * c->word_stride;
  uint32_t code = load_word(at) >> offset;
  if (more > 0) code |= load_word(at + c->word_stride) << (c->bits - more);
  return (int)(code & ((1u << c->bits) - 1));
}

static int code_at(const PackedCodes *c, int row, int column) {
  return c->by_column ? unpack(c, (size_t)column, (size_t)row)
                      : unpack(c, (size_t)row, (size_t)column);
}

static float scale_at(const PackedMatrix *m, int row, int group) {
  const size_t at = (size_t)(row / m->block_rows) * m->scale_row + (size_t)group * m->scale_group;
  float value;
  dtype_widen(m->scale_dtype, (const uint8_t *)m->stored[1]->data + at * dtype_size(m->scale_dtype),
              1, &value);
  return value;
}

static int group_of(const PackedMatrix *m, int column) {
  int32_t group;
  if (!m->stored[3]) return column / m->group;
  memcpy(&group, (const uint8_t *)m->stored[3]->data + 4 * (size_t)column, sizeof group);
  return group;
}

static void store(Dtype dtype, void *to, size_t at, float value) {
  const uint16_t half = dtype == DTYPE_F16    ? dtype_to_f16(value)
                        : dtype == DTYPE_BF16 ? dtype_to_bf16(value)
                                              : 0;
  if (dtype == DTYPE_F32)
    ((float *)to)[at] = value;
  else
    memcpy((char *)to + 2 * at, &half, sizeof half);
}

/* Rows [first, first + count), at most ROWS_AT_A_TIME, a column at a time, so that the values of
 * its group are looked up once. */
static void expand_rows(const PackedMatrix *m, Dtype dtype, const float *fp8, int first, int count,
                        void *to) {
  float scale[ROWS_AT_A_TIME];
  int zero[ROWS_AT_A_TIME], known = -1;
  for (int k = 0; k < m->cols; k++) {
    const int group = group_of(m, k);
    for (int r = 0; group != known && r < count; r++) {
      scale[r] = scale_at(m, first + r, group);
      zero[r] = m->zeros.data ? code_at(&m->zeros, first + r, group) + m->zero_more : m->middle;
    }
    known = group;
    for (int r = 0; r < count; r++) {
      const int code = code_at(&m->codes, first + r, k);
      const float value = fp8 ? fp8[(uint8_t)code] : (float)(code - zero[r]);
      store(dtype, to, (size_t)r * (size_t)m->cols + (size_t)k, value * scale[r]);
    }
  }
}

void packed_expand(const PackedMatrix *m, Dtype dtype, int first, int count, void *to) {
  float fp8[256];
  for (int i = 0; m->fp8 && i < 256; i++) fp8[i] = packed_fp8((uint8_t)i);
  for (int r = 0; r < count; r += ROWS_AT_A_TIME) {
    const int rows = count - r < ROWS_AT_A_TIME ? count - r : ROWS_AT_A_TIME;
    expand_rows(m, dtype, m->fp8 ? fp8 : NULL, first + r, rows,
                (char *)to + (size_t)r * (size_t)m->cols * dtype_size(dtype));
  }
}
