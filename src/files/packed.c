/* SPDX-License-Identifier: Apache-2.0 */
#include "files/packed.h"

#include <string.h>

#define ROWS_AT_A_TIME 64

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

/* What the values of a group of columns share, of rows [first, first + count). */
typedef struct GroupValues {
  float scale[ROWS_AT_A_TIME];
  int zero[ROWS_AT_A_TIME];
} GroupValues;

static void look_up(const PackedMatrix *m, int group, int first, int count, GroupValues *out) {
  for (int r = 0; r < count; r++) {
    out->scale[r] = scale_at(m, first + r, group);
    out->zero[r] = m->zeros.data ? code_at(&m->zeros, first + r, group) + m->zero_more : m->middle;
  }
}

/* Rows [first, first + count), at most ROWS_AT_A_TIME, a column at a time, so that the values of
 * its group are looked up once. */
static void expand_rows(const PackedMatrix *m, Dtype dtype, const float *fp8, int first, int count,
                        void *to) {
  GroupValues g;
  int known = -1;
  for (int k = 0; k < m->cols; k++) {
    const int group = group_of(m, k);
    if (group != known) look_up(m, group, first, count, &g);
    known = group;
    for (int r = 0; r < count; r++) {
      const int code = code_at(&m->codes, first + r, k);
      const float value = fp8 ? fp8[(uint8_t)code] : (float)(code - g.zero[r]);
      store(dtype, to, (size_t)r * (size_t)m->cols + (size_t)k, value * g.scale[r]);
    }
  }
}

void packed_expand(const PackedMatrix *m, Dtype dtype, int first, int count, void *to) {
  float fp8[256];
  for (int i = 0; m->fp8 && i < 256; i++) fp8[i] = dtype_from_fp8((uint8_t)i);
  for (int r = 0; r < count; r += ROWS_AT_A_TIME) {
    const int rows = count - r < ROWS_AT_A_TIME ? count - r : ROWS_AT_A_TIME;
    expand_rows(m, dtype, m->fp8 ? fp8 : NULL, first + r, rows,
                (char *)to + (size_t)r * (size_t)m->cols * dtype_size(dtype));
  }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

#define BLOCK 32

Dtype packed_block_type(const PackedMatrix *m, Dtype dtype) {
  const bool four = m->codes.bits && m->codes.bits <= 4;
  if (m->cols % BLOCK) return DTYPE_COUNT;
  for (int k = 0; k < m->cols; k++)
    if (k % BLOCK && group_of(m, k) != group_of(m, k - 1)) return DTYPE_COUNT;
  if (m->fp8)
    return dtype == DTYPE_F32 ? DTYPE_F8_F32 : dtype == DTYPE_BF16 ? DTYPE_F8_BF16 : DTYPE_COUNT;
  if (dtype == DTYPE_F16) return four ? DTYPE_G4_F16 : DTYPE_G8_F16;
  if (dtype == DTYPE_BF16) return four ? DTYPE_G4_BF16 : DTYPE_G8_BF16;
  return DTYPE_COUNT;
}

/* A block's scale and zero; returns where its codes begin. */
static uint8_t *put_head(Dtype type, uint8_t *to, float scale, int zero) {
  const uint32_t wide = float_bits(scale);
  const bool f16 = type == DTYPE_G4_F16 || type == DTYPE_G8_F16;
  const uint16_t d = f16 ? dtype_to_f16(scale) : dtype_to_bf16(scale),
                 z = dtype_to_f16((float)zero);
  if (type == DTYPE_F8_F32) {
    memcpy(to, &wide, sizeof wide);
    return to + 4;
  }
  memcpy(to, &d, sizeof d);
  if (type == DTYPE_F8_BF16) return to + 2;
  memcpy(to + 2, &z, sizeof z);
  return to + 4;
}

/* A block of each of so many rows, at most ROWS_AT_A_TIME; `stride` bytes between rows. */
static void put_blocks(const PackedMatrix *m, Dtype type, int first, int count, int column,
                       size_t stride, uint8_t *to) {
  const bool four = type == DTYPE_G4_F16 || type == DTYPE_G4_BF16;
  const int more = m->codes.bits == 0 && !m->fp8 ? 128 : 0; /* int8 */
  GroupValues g;
  look_up(m, group_of(m, column), first, count, &g);
  for (int r = 0; r < count; r++, to += stride) {
    uint8_t *codes = put_head(type, to, g.scale[r], g.zero[r] + more);
    if (four) memset(codes, 0, BLOCK / 2);
    for (int k = 0; k < BLOCK; k++) {
      const int code = code_at(&m->codes, first + r, column + k) + more;
      if (four)
        codes[k % 16] = (uint8_t)(codes[k % 16] | code << (k / 16 * 4));
      else
        codes[k] = (uint8_t)code;
    }
  }
}

void packed_blocks(const PackedMatrix *m, Dtype type, int first, int count, void *to) {
  const size_t stride = dtype_bytes(type, (size_t)m->cols), size = dtype_size(type);
  for (int r = 0; r < count; r += ROWS_AT_A_TIME)
    for (int k = 0; k < m->cols; k += BLOCK)
      put_blocks(m, type, first + r, count - r < ROWS_AT_A_TIME ? count - r : ROWS_AT_A_TIME, k,
                 stride, (uint8_t *)to + (size_t)r * stride + (size_t)(k / BLOCK) * size);
}
