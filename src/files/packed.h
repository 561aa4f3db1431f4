/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised matrices of safetensors files: several tensors that together stand for one matrix of
 * floats.
 *
 *   w[n, k] = (code[n, k] - zero[n, g]) * scale[n, g],   g the group of column k
 *
 * FP8's and int8's codes are a tensor of the matrix's shape. GPTQ, AWQ and compressed-tensors pack
 * codes of 2 to 8 bits into words of 32:
 *
 *                 codes                            zeros                        scales    g
 *   GPTQ          qweight [K bits/32, N], along K  qzeros [G, N bits/32]        [G, N]    g_idx[k], or k / group
 *   AWQ (gemm)    qweight [K, N/8], along N        qzeros [G, N/8]              [G, N]    k / group
 *   compressed-   weight_packed [N, K bits/32]     weight_zero_point            [N, G]    weight_g_idx[k], or k / group
 *   tensors                                        [N bits/32, G], along N
 *
 * AWQ's words have value j of eight at the place {0, 4, 1, 5, 2, 6, 3, 7}[j]. GPTQ's first version
 * stores zero - 1.
 *
 * The arithmetic is the reference code's: the difference is exact, and the product is rounded once,
 * to the type of the scales (GPTQ: AutoGPTQ's qlinear_cuda; AWQ: AutoAWQ's dequantize_gemm;
 * compressed-tensors 0.20), or to float32 (FP8 as transformers 5.23's Fp8Dequantize has it for a
 * float32 model). Activations are not quantised, whatever the file says of them. */
#ifndef FILES_PACKED_H
#define FILES_PACKED_H

#include "files/tensor.h"

typedef enum PackedKind {
  PACKING_NONE = 0,
  PACKING_FP8, /* weight, weight_scale_inv or weight_scale: one number, or one of each block */
  PACKING_GPTQ,
  PACKING_AWQ,
  PACKING_PLAIN, /* compressed-tensors: weight as F8_E4M3 or I8, weight_scale */
  PACKING_WORDS  /* compressed-tensors: weight_packed */
} PackedKind;

/* What quantization_config says. */
typedef struct PackedFormat {
  PackedKind kind;
  int bits;                   /* of a packed code */
  int group;                  /* columns that share a scale; 0: all of a row, or as the scales'
                                  shape has it */
  int block_rows, block_cols; /* that share a scale (FP8); 0: as the scales' shape has it */
  int zero_more;              /* what is added to stored zeros */
  bool symmetric;             /* zeros are in the middle, and not in the file */
  char about[80];             /* in words */
} PackedFormat;

/* Codes of one tensor. Lanes are rows or columns of the matrix, each a string of bits: value v of
 * it at bits v * bits of its words. */
typedef struct PackedCodes {
  const uint8_t *data;             /* NULL: none */
  size_t word_stride, lane_stride; /* bytes */
  int bits;                        /* 0: one byte, int8 or FP8, at each place */
  bool by_column;                  /* a lane is a column, or a group */
  bool awq;
} PackedCodes;

typedef struct PackedMatrix {
  const Tensor *stored[4]; /* codes, scales, zeros, groups of columns: the latter two may be
                                  NULL */
  PackedCodes codes, zeros;
  int middle, zero_more; /* of codes without zeros, and what is added to zeros */
  bool fp8;
  Dtype scale_dtype;
  size_t scale_row, scale_group; /* steps between scales of rows (of blocks), and of groups */
  int rows, cols, groups, group, block_rows;
  Dtype block_type; /* packed_block_type's */
} PackedMatrix;

/* Values of packed matrices for [first, first + count) rows, as float32 or 16-bit floats of
 * `dtype`: [count, cols]. */
void packed_expand(const PackedMatrix *m, Dtype dtype, int first, int count, void *to);

/* The type of blocks that hold a matrix whose values are of `dtype`; DTYPE_COUNT: there is none,
 * because the columns of a block belong to several groups (GPTQ's order of activations), or because
 * nobody's files are so. */
Dtype packed_block_type(const PackedMatrix *m, Dtype dtype);
/* The same rows as blocks of that type, which stand for the values of packed_expand. */
void packed_blocks(const PackedMatrix *m, Dtype type, int first, int count, void *to);

#endif
