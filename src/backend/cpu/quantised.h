/* SPDX-License-Identifier: Apache-2.0 */
/* How panels hold quantised weights: blocks (dtype.h) with the bits of the columns side by side.
 *
 * A value is (d scale) (q - offset), then + m, or - (m least): d and m are 16-bit floats of a
 * block, scale and least bytes of a group of values. q is an unsigned code, its low and high bits
 * apart. A block of a panel of C columns is, in this order,
 *
 *   d f16[C];  m f16[C], with a minimum;  for each group scale i8[C], then least i8[C], with those
 *   for each 32 values: low bits as u32[`low`][C], then high bits as u32[`high`][C]
 *
 * Low bits of value k are in word i = k / (32/low) at bit j low, j = k % (32/low). A word of high
 * bits goes with low/high words of low ones: value k's are at bit j low + (i % (low/high)) high, so
 * that one shift of the word brings those of all j above their low bits. IQ4's levels are codes of
 * eight bits here.
 *
 * d scale (q - offset) is exact in float32: d has 11 significant bits, scale and code have 13 at
 * most together.
 *
 * The blocks of packed.h have other values: of G4 and G8, d (q - m), which is exact, rounded to d's
 * type; of F8, d times the E4M3 number q. F8_F32's d is a float32, whose lower half is in d's place
 * and whose upper half is in m's. */
#ifndef CPU_QUANTISED_H
#define CPU_QUANTISED_H

#include <stdbool.h>

#include "files/dtype.h"

typedef enum QuantisedValues {
  VALUES_SUM = 0, /* ggml's */
  VALUES_F16,
  VALUES_BF16,
  VALUES_F8,
  VALUES_F8_BF16
} QuantisedValues;

/* X(type, values of a block, low bits, high bits, values of a group, offset, scales, m, - m least,
 * which values) */
#define QUANTISED_FORMATS(X)                         \
  X(Q4_0, 32, 4, 0, 32, 8, 0, 0, 0, VALUES_SUM)      \
  X(Q4_1, 32, 4, 0, 32, 0, 0, 1, 0, VALUES_SUM)      \
  X(Q5_0, 32, 4, 1, 32, 16, 0, 0, 0, VALUES_SUM)     \
  X(Q5_1, 32, 4, 1, 32, 0, 0, 1, 0, VALUES_SUM)      \
  X(Q8_0, 32, 8, 0, 32, 128, 0, 0, 0, VALUES_SUM)    \
  X(Q2_K, 256, 2, 0, 16, 0, 1, 0, 1, VALUES_SUM)     \
  X(Q3_K, 256, 2, 1, 16, 4, 1, 0, 0, VALUES_SUM)     \
  X(Q4_K, 256, 4, 0, 32, 0, 1, 0, 1, VALUES_SUM)     \
  X(Q5_K, 256, 4, 1, 32, 0, 1, 0, 1, VALUES_SUM)     \
  X(Q6_K, 256, 4, 2, 16, 32, 1, 0, 0, VALUES_SUM)    \
  X(IQ4_NL, 32, 8, 0, 32, 127, 0, 0, 0, VALUES_SUM)  \
  X(IQ4_XS, 256, 8, 0, 32, 127, 1, 0, 0, VALUES_SUM) \
  X(G4_F16, 32, 4, 0, 32, 0, 0, 1, 0, VALUES_F16)    \
  X(G4_BF16, 32, 4, 0, 32, 0, 0, 1, 0, VALUES_BF16)  \
  X(G8_F16, 32, 8, 0, 32, 0, 0, 1, 0, VALUES_F16)    \
  X(G8_BF16, 32, 8, 0, 32, 0, 0, 1, 0, VALUES_BF16)  \
  X(F8_F32, 32, 8, 0, 32, 0, 0, 1, 0, VALUES_F8)     \
  X(F8_BF16, 32, 8, 0, 32, 0, 0, 0, 0, VALUES_F8_BF16)

typedef struct QuantisedFormat {
  int block, low, high, group, offset;
  int scales, plus, minus; /* 0 or 1 */
  QuantisedValues values;
} QuantisedFormat;

/* Of a quantised type. */
const QuantisedFormat *quantised_format(Dtype type);

/* Bytes of one block of a panel. */
static inline size_t quantised_block_bytes(const QuantisedFormat *f, int columns) {
  const int groups = f->block / f->group, of_column = 2 + 2 * (f->plus | f->minus) +
                                                      groups * (f->scales + f->minus) +
                                                      f->block / 8 * (f->low + f->high);
  return (size_t)of_column * (size_t)columns;
}

/* Column `column` of a panel's blocks from a stored row of `values` values; the panel was zero
 * there. False: a value is not finite. */
bool quantised_pack(Dtype type, const void *row, int values, char *panel, int columns, int column);

#endif
