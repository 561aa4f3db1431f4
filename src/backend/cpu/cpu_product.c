/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/cpu_product.h"

#include <string.h>

#include "base/parallel.h"

/* Enough for the second operand of most products at once; it is read from the outer caches. */
#define ROOM_FLOATS ((size_t)4 << 20)

xt_status cpu_product_room(const CpuBackend *b, int depth, ProductRoom *out, xt_error *error) {
  const size_t least = (size_t)depth * (size_t)b->kernels->tile_columns * 8;
  out->floats = least > ROOM_FLOATS ? least : ROOM_FLOATS;
  return cpu_block_create(out->floats * sizeof *out->panels, &out->panels, error);
}

void cpu_product_room_free(ProductRoom *room) {
  cpu_block_free(room->panels);
  *room = (ProductRoom){0};
}

/* ---- packing --------------------------------------------------------------------------------- */

/* Columns [first, first + count) of op(B), count <= tile_columns, as [k][tile_columns], zeros after
 * the last. */
static void pack_panel(const Kernels *kernels, float *to, const Operand *b, int first, int count,
                       int k, bool round) {
  const size_t columns = (size_t)kernels->tile_columns;
  if (count < kernels->tile_columns) memset(to, 0, (size_t)k * columns * sizeof *to);
  if (b->transposed)
    kernels->transpose(to, columns, b->at + (size_t)first * b->ld, b->ld, count, k);
  else
    for (int i = 0; i < k; i++)
      memcpy(to + (size_t)i * columns, b->at + (size_t)i * b->ld + first,
             (size_t)count * sizeof *to);
  if (round) kernels->round_bf16(to, to, (size_t)k * columns);
}

size_t product_panel_floats(const Kernels *kernels, int n, int k) {
  const int columns = kernels->tile_columns;
  return (size_t)((n + columns - 1) / columns * columns) * (size_t)k;
}

void product_pack(const Kernels *kernels, float *panels, Operand b, int n, int k) {
  const int columns = kernels->tile_columns;
  for (int j = 0; j < n; j += columns)
    pack_panel(kernels, panels + (size_t)j * (size_t)k, &b, j, n - j < columns ? n - j : columns, k,
               false);
}

void product_packed(const Kernels *kernels, const ProductArgs *p, const float *panels) {
  const size_t columns = (size_t)kernels->tile_columns;
  for (int k = 0; k < p->k; k += BACKEND_K_BLOCK) {
    const int depth = p->k - k < BACKEND_K_BLOCK ? p->k - k : BACKEND_K_BLOCK;
    const GemmArgs g = {.a = p->a.at + k,
                        .lda = p->a.ld,
                        .rows = p->m,
                        .columns = p->n,
                        .depth = depth,
                        .type = DTYPE_F32,
                        .b = panels + (size_t)k * columns,
                        .panel_stride = (size_t)p->k * columns * sizeof *panels,
                        .c = p->c,
                        .ldc = p->ldc,
                        .add = p->accumulate || k > 0 ? p->c : NULL,
                        .ld_add = p->ldc};
    kernels->gemm(&g);
  }
}

/* ---- products on all threads ----------------------------------------------------------------- */

/* Columns [first, first + columns) of a product, whose panels are in the room together. */
typedef struct Piece {
  const CpuBackend *b;
  const ProductArgs *args;
  float *panels;
  int first, columns;
  int panel_count, rows, row_blocks, group; /* rows of a block, panels of a group */
} Piece;

static void pack_one(void *context, size_t item, int thread) {
  const Piece *p = context;
  (void)thread;
  const int tile = p->b->kernels->tile_columns, at = (int)item * tile;
  pack_panel(p->b->kernels, p->panels + item * (size_t)tile * (size_t)p->args->k, &p->args->b,
             p->first + at, p->columns - at < tile ? p->columns - at : tile, p->args->k,
             p->b->base.compute == XT_COMPUTE_BF16);
}

/* Rows [row, row + rows) of op(A), depth [k, k + depth). */
static void pack_rows(const Piece *p, float *to, int row, int rows, int k, int depth) {
  const Operand *a = &p->args->a;
  if (a->transposed)
    p->b->kernels->transpose(to, CPU_PACKED_LD, a->at + (size_t)k * a->ld + row, a->ld, depth,
                             rows);
  else
    for (int r = 0; r < rows; r++)
      memcpy(to + (size_t)r * CPU_PACKED_LD, a->at + (size_t)(row + r) * a->ld + k,
             (size_t)depth * sizeof *to);
  if (p->b->base.compute == XT_COMPUTE_BF16)
    for (int r = 0; r < rows; r++)
      p->b->kernels->round_bf16(to + (size_t)r * CPU_PACKED_LD, to + (size_t)r * CPU_PACKED_LD,
                                (size_t)depth);
}

static void multiply(void *context, size_t item, int thread) {
  const Piece *p = context;
  const ProductArgs *a = p->args;
  const size_t tile = (size_t)p->b->kernels->tile_columns;
  const int block = (int)item % p->row_blocks, panel = (int)item / p->row_blocks * p->group;
  const int row = block * p->rows, rows = a->m - row < p->rows ? a->m - row : p->rows;
  const int first = panel * (int)tile, left = p->columns - first, most = p->group * (int)tile;
  float *packed = cpu_scratch(p->b, thread);
  if (rows <= 0 || left <= 0) return;
  for (int k = 0; k < a->k; k += BACKEND_K_BLOCK) {
    const int depth = a->k - k < BACKEND_K_BLOCK ? a->k - k : BACKEND_K_BLOCK;
    pack_rows(p, packed, row, rows, k, depth);
    float *c = a->c + (size_t)row * a->ldc + p->first + first;
    const GemmArgs g = {.a = packed,
                        .lda = CPU_PACKED_LD,
                        .rows = rows,
                        .columns = left < most ? left : most,
                        .depth = depth,
                        .type = DTYPE_F32,
                        .b = p->panels + ((size_t)panel * (size_t)a->k + (size_t)k) * tile,
                        .panel_stride = (size_t)a->k * tile * sizeof(float),
                        .c = c,
                        .ldc = a->ldc,
                        .add = a->accumulate || k > 0 ? c : NULL,
                        .ld_add = a->ldc,
                        .bias = a->bias && k + depth == a->k ? a->bias + p->first + first : NULL};
    p->b->kernels->gemm(&g);
  }
}

void cpu_product(const CpuBackend *b, const ProductRoom *room, const ProductArgs *args) {
  if (args->m <= 0 || args->n <= 0) return;
  const int tile = b->kernels->tile_columns, threads = b->base.threads;
  const size_t fit = room->floats / ((size_t)args->k * (size_t)tile) * (size_t)tile;
  const int step = fit < (size_t)args->n ? (int)fit : args->n;
  Piece p = {.b = b, .args = args, .panels = room->panels};
  p.row_blocks = (args->m + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK;
  p.rows = (args->m + p.row_blocks - 1) / p.row_blocks;
  if (p.row_blocks > 1)
    p.rows = (p.rows + b->kernels->tile_rows - 1) / b->kernels->tile_rows * b->kernels->tile_rows;
  p.row_blocks = (args->m + p.rows - 1) / p.rows;
  for (p.first = 0; p.first < args->n; p.first += step) {
    p.columns = args->n - p.first < step ? args->n - p.first : step;
    p.panel_count = (p.columns + tile - 1) / tile;
    /* there are few groups, and each packs the rows again */
    const int wanted = threads == 1 ? 1 : (4 * threads + p.row_blocks - 1) / p.row_blocks;
    p.group = (p.panel_count + wanted - 1) / wanted;
    if (p.group < 3) p.group = 3;
    parallel_for(b->base.pool, (size_t)p.panel_count, pack_one, &p);
    parallel_for(b->base.pool,
                 (size_t)p.row_blocks * (size_t)((p.panel_count + p.group - 1) / p.group), multiply,
                 &p);
  }
}
