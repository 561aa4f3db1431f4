/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel is told beside its buffers: a structure by value, the same text on the host and on
 * the device. gpu_size counts elements (floats, or what a buffer holds); the first fields say where
 * in its buffer each array begins. ld: elements between rows. Fields are ordered so that no
 * compiler pads between them. */
#ifndef GPU_KERNELS_ARGS_H
#define GPU_KERNELS_ARGS_H
#ifndef GPU_DEVICE_CODE
#include <stdint.h>
typedef uint64_t gpu_size;
#else
typedef ulong gpu_size;
#endif

#define GPU_K_BLOCK 512 /* BACKEND_K_BLOCK */
#define GPU_LANES 16    /* of every reduction */
#define GPU_MASS_BLOCK \
  1024                     /* logits whose weights are added in float32 before they are added in
                               double */
#define GPU_TAIL_BLOCK 64  /* private positions that are reduced together */
#define GPU_TILE_SIZES 3   /* large, medium and small tiles of a product */
#define GPU_SMALL_TILE 32  /* rows, and columns, of the small ones */
#define GPU_FEW_COLUMNS 32 /* of a work-group in the product for few rows */
#define GPU_FEW_BLOCKS 8   /* blocks of K side by side there */
#define GPU_FEW_ROWS 4     /* rows of one work-item there */

/* A quantised type (QUANTISED_FORMATS in backend/cpu/quantised.h) as one int: bits 0-3 its low
 * bits, 4-5 its high bits, then one bit each for groups of 32 (else 16), blocks of 256 (else 32),
 * scales, + m, - m least; 11-18 the offset; from bit 19 on which values. Rows lie as a panel of one
 * column has them: what precedes the codes of a block is an even number of bytes, and so is a
 * block. */
#define GPU_FORMAT(block, low, high, group, offset, scales, plus, minus, values)        \
  ((low) | (high) << 4 | ((group) == 32) << 6 | ((block) == 256) << 7 | (scales) << 8 | \
   (plus) << 9 | (minus) << 10 | (offset) << 11 | (values) << 19)
#define GPU_VALUES_F16 1 /* d (q - m), rounded to float16 */
#define GPU_VALUES_BF16 2
#define GPU_VALUES_F8 3 /* d q of E4M3; d is a float32, its upper half in m's place */
#define GPU_VALUES_F8_BF16 4

/* y[m,n] = x[m,k] w[n,k]^T. Row r of x begins at (r / group) ldx + (r % group) ldx_in. Sums of
 * `chain` products at a time, added in order; from_zero: the first of them to +0. Quantised w: w and
 * ldw count bytes. */
typedef struct GpuProduct {
  gpu_size y, x, w, bias;
  int m, n, k, chain, ldy, ldx, ldx_in, group, ldw, has_bias, from_zero, format;
} GpuProduct;

/* Types of operands of products on tensor cores. */
typedef enum GpuNarrowKind { GPU_TO_TF32 = 0, GPU_TO_F16, GPU_TO_BF16 } GpuNarrowKind;
/* to[all_rows][ld] = from[rows][cols] rounded, nearest, ties to even; what lies beyond is 0. `from`
 * in elements, of quantised weights in bytes, as are its rows `row` apart; type and format as in
 * GpuEmbed. A number that rounds to infinity and is finite raises the flag. */
typedef struct GpuNarrow {
  gpu_size to, from, row;
  int rows, cols, all_rows, ld, kind, type, format, pad;
} GpuNarrow;

/* y[rows][cols] = from + bias, if there is one; from may be y. */
typedef struct GpuSettle {
  gpu_size y, from, bias;
  int rows, cols, ldy, ld, has_bias, pad;
} GpuSettle;

typedef struct GpuNorm {
  gpu_size y, x, weight, bias;
  int width, groups, ldy, ldx, own, has_bias; /* own: each group has weights of its own */
  float eps, pad;
} GpuNorm;

typedef struct GpuRope {
  gpu_size x, positions, cos_sin;
  int rows, ld, heads, head_dim, width, pairs;
} GpuRope;

typedef struct GpuActivate {
  gpu_size y, x;
  int rows, width, kind, gated;        /* kind: Activation */
  float positive, negative, beta, eps; /* of xIELU */
} GpuActivate;

typedef struct GpuScale {
  gpu_size x, floats;
  float factor, cap;
} GpuScale;

typedef struct GpuAdd {
  gpu_size x, y, floats;
} GpuAdd;

/* Edits are four words each (MixEdit): row of x from `first` on, row of the values, keep, gain. */
typedef struct GpuMix {
  gpu_size x, values, edits;
  int first, rows, width, count;
} GpuMix;

typedef struct GpuCopy {
  gpu_size to, from, to_rows, from_rows;
  int m, width, has_to, has_from;
} GpuCopy;

typedef struct GpuEmbed {
  gpu_size y, ids;
  int m, width, type, format; /* 0 float32, 1 float16, 2 bfloat16, 3 quantised */
} GpuEmbed;

/* A prefix's head of a layer: keys [capacity][head_dim], then values [head_dim][capacity]. */
typedef struct GpuPrefixStore {
  gpu_size k, v, at; /* at: the layer's first head */
  int ld, m, first, kv_heads, head_dim, capacity;
} GpuPrefixStore;

typedef struct GpuPrefixCopy {
  gpu_size to, from;                                           /* the first head of each */
  int heads, head_dim, to_capacity, from_capacity, count, pad; /* heads: of all layers */
} GpuPrefixCopy;

typedef struct GpuTailStore {
  gpu_size k, v, at, slots; /* at: the layer's first slot */
  int ld, m, width, pad;
} GpuTailStore;

/* Rows [first, first + rows) of a call, which see one prefix. */
typedef struct GpuSpan {
  gpu_size keys;             /* the first number of the prefix's first head in the layer */
  int scores;                /* the first of theirs, [kv_heads][rows * group][capacity] */
  int first, rows, capacity; /* capacity 0: they see no prefix */
} GpuSpan;

/* Attention over prefixes, so many spans in a launch: as many as a kernel's arguments have room for
 * on every device, 1024 bytes (OpenCL 3.0, CL_DEVICE_MAX_PARAMETER_SIZE). Stacked row s of a span is
 * query head s % group of its row s / group; `stacked` are those of the call, for which largest, sum
 * and the weighted values, [kv_heads][stacked][head_dim], are laid out. */
#define GPU_SPANS 32
typedef struct GpuAttend {
  gpu_size q, begin, end, slopes, largest, sum, stacked;
  int heads /* of keys */, group, head_dim, ldq, has_begin, has_slopes;
  float scale, cap;
  GpuSpan spans[GPU_SPANS];
} GpuAttend;

/* The private positions of each row, merged with the shared part [kv_heads][stacked][head_dim]. */
typedef struct GpuFinish {
  gpu_size out, q, shared, largest, sum, tail, slots, tail_begin, tail_end, prefix_end, slopes;
  /* tail_width: floats of a slot's key, then of its value */
  int rows, heads, group, head_dim, ldq, slots_ld, tail_width;
  int has_prefix, has_tail, has_begin, has_prefix_end, has_slopes;
  float scale, cap;
} GpuFinish;

/* The lists of SeenIds lie in one buffer: all prompts' ids, where each prompt's begin, each list's
 * prompt, what each list got since ([lists][capacity]), and how many those are. */
typedef struct GpuPenalize {
  gpu_size logits, lists, newest, start, prompt, added, counts;
  int vocab, capacity;
  float penalty, pad;
} GpuPenalize;

/* chosen: [rows][5] Choice, of which the host finishes entropy and log-probabilities; here they are
 * the largest logit, unused, and the difference of the logit asked about to the largest. all:
 * [rows][5 + 2 blocks], each row's choice and the sums of its blocks, which are read in one copy. */
typedef struct GpuChoose {
  gpu_size logits, chosen, wanted, all;
  int rows, vocab, blocks, has_wanted;
} GpuChoose;

/* width: of a row of out, [rows][2 blocks + asked]. */
typedef struct GpuCompare {
  gpu_size logits, chosen, ids, against, distributions, out;
  int vocab, blocks, asked, width;
} GpuCompare;

#define GPU_SPIN_CHAINS 16
typedef struct GpuSpin {
  int rounds, pad;
} GpuSpin;
#endif
