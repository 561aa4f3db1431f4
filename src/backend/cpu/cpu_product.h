/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices that change with every step, in any orientation: what training needs. The
 * inner loops are those of the engine's product; both operands are packed on the way.
 *
 * The order of sums is the engine's: one chain of fused multiply-adds per block of BACKEND_K_BLOCK
 * along K, block sums added in order, whatever the number of rows and threads. */
#ifndef CPU_CPU_PRODUCT_H
#define CPU_CPU_PRODUCT_H

#include "backend/cpu/cpu.h"

/* A row-major matrix whose rows are ld floats apart; with `transposed`, its transpose. */
typedef struct Operand {
  const float *at;
  size_t ld;
  bool transposed;
} Operand;

typedef struct ProductArgs {
  float *c; /* [m, n], rows ldc apart */
  size_t ldc;
  int m, n, k;
  Operand a, b;      /* [m, k] and [k, n] */
  const float *bias; /* [n] or NULL, added to every row */
  bool accumulate;   /* c += instead of c = */
} ProductArgs;

/* Where the second operand is packed: shared by all threads, of one caller at a time. */
typedef struct ProductRoom {
  float *panels;
  size_t floats;
} ProductRoom;

/* Room for a depth of up to `depth`; larger products of that depth are computed in pieces. */
xt_status cpu_product_room(const CpuBackend *b, int depth, ProductRoom *out, xt_error *error);
void cpu_product_room_free(ProductRoom *room);

/* With compute bf16, both operands are rounded to bfloat16 on the way; sums stay float32. */
void cpu_product(const CpuBackend *b, const ProductRoom *room, const ProductArgs *args);

/* The same on the calling thread, float32, with `panels` for the second operand
 * (product_panel_floats) and without packing the first, which may not be transposed. */
size_t product_panel_floats(const Kernels *kernels, int n, int k);
void product_pack(const Kernels *kernels, float *panels, Operand b, int n, int k);
void product_packed(const Kernels *kernels, const ProductArgs *args, const float *panels);

#endif
