/* SPDX-License-Identifier: Apache-2.0 */
#include "train/causal.h"

#include <string.h>

#include "backend/cpu/cpu_product.h"
#include "base/parallel.h"

/* One thread computes one key head of one sequence, and the query heads that read it, in blocks of
 * rows. For each block, the scores of all visible positions are in memory at once; they are small,
 * because sequences are short.
 *
 *   S = scale Q K^T, P = softmax(S), O = P V dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(dO O))
 *   scale, dQ = dS K, dK = dS^T Q */

#define BLOCK_ROWS 64
#define ALIGN \
  32 /* first position that is read: a multiple of the tile's columns and of the softmax's 16
        lanes */

static size_t round_up(int n) { return (size_t)((n + ALIGN - 1) / ALIGN * ALIGN); }

size_t causal_scratch(int length, int head_dim) {
  const size_t t = round_up(length), d = round_up(head_dim);
  return 4 * t * d + 2 * BLOCK_ROWS * (t + 16) + (t + d) * BLOCK_ROWS + 64;
}

/* One key head of one sequence during the computation. Panels are such as product_pack makes. */
typedef struct Item {
  const CausalArgs *args;
  const Kernels *kernels;
  int length;
  size_t ld, ld_out, ld_scores;
  const float *q, *k, *v;             /* of the first token; q of the current head */
  float *keys_across, *values_across; /* panels of K^T and V^T: [positions / tile][d][tile] */
  float *keys_down, *values_down;     /* panels of K and V: [d / tile][T][tile] */
  float *scores, *slopes;             /* [BLOCK_ROWS][ld_scores]: P and dS */
  float *turned, *rows;               /* [T][BLOCK_ROWS]; panels of a block of Q or dO */
} Item;

/* Rows [first, end) of a sequence, which see positions [low, end). */
typedef struct Block {
  int first, end, low;
} Block;

static Block block_at(const Item *it, int first) {
  Block b = {.first = first,
             .end = first + BLOCK_ROWS < it->length ? first + BLOCK_ROWS : it->length};
  const int window = it->args->window;
  if (window && first - window + 1 > 0) b.low = (first - window + 1) / ALIGN * ALIGN;
  return b;
}

static void item_begin(Item *it, const CausalArgs *a, size_t item, int thread, bool backward) {
  const int s = (int)item / a->kv_heads, g = (int)item % a->kv_heads, d = a->head_dim;
  const int first = a->starts[s];
  *it = (Item){.args = a,
               .kernels = a->backend->kernels,
               .length = a->starts[s + 1] - first,
               .ld = (size_t)(a->heads + 2 * a->kv_heads) * (size_t)d,
               .ld_out = (size_t)a->heads * (size_t)d};
  const float *row = a->qkv + (size_t)first * it->ld;
  it->q = row + (size_t)(g * (a->heads / a->kv_heads)) * (size_t)d;
  it->k = row + (size_t)(a->heads + g) * (size_t)d;
  it->v = row + (size_t)(a->heads + a->kv_heads + g) * (size_t)d;
  const size_t t = round_up(it->length), wide = round_up(d);
  it->ld_scores = t + 16;
  it->keys_across = cpu_scratch(a->backend, thread);
  it->values_down = it->keys_across + t * wide;
  it->values_across = it->values_down + t * wide;
  it->keys_down = it->values_across + t * wide;
  it->scores = it->keys_down + t * wide;
  it->slopes = it->scores + BLOCK_ROWS * it->ld_scores;
  it->turned = it->slopes + BLOCK_ROWS * it->ld_scores;
  it->rows = it->turned + t * BLOCK_ROWS;
  product_pack(it->kernels, it->keys_across, (Operand){it->k, it->ld, true}, it->length, d);
  if (!backward) {
    product_pack(it->kernels, it->values_down, (Operand){it->v, it->ld, false}, d, it->length);
    return;
  }
  product_pack(it->kernels, it->values_across, (Operand){it->v, it->ld, true}, it->length, d);
  product_pack(it->kernels, it->keys_down, (Operand){it->k, it->ld, false}, d, it->length);
}

/* c[rows, positions low..end) = a[rows, d] times the panels of a matrix [d, positions]. */
static void times_across(const Item *it, const Block *b, float *c, const float *a, size_t lda,
                         const float *panels) {
  const int d = it->args->head_dim;
  const GemmArgs g = {.a = a,
                      .lda = lda,
                      .rows = b->end - b->first,
                      .columns = b->end - b->low,
                      .depth = d,
                      .type = DTYPE_F32,
                      .b = panels + (size_t)b->low * (size_t)d,
                      .panel_stride = (size_t)(d * it->kernels->tile_columns) * sizeof *panels,
                      .c = c,
                      .ldc = it->ld_scores};
  it->kernels->gemm(&g);
}

/* c[rows, d] = a[rows, positions low..end) times the panels of a matrix [positions, d]. */
static void times_down(const Item *it, const Block *b, float *c, size_t ldc, const float *a,
                       const float *panels) {
  const size_t tile = (size_t)it->kernels->tile_columns;
  const GemmArgs g = {.a = a,
                      .lda = it->ld_scores,
                      .rows = b->end - b->first,
                      .columns = it->args->head_dim,
                      .depth = b->end - b->low,
                      .type = DTYPE_F32,
                      .b = panels + (size_t)b->low * tile,
                      .panel_stride = (size_t)it->length * tile * sizeof *panels,
                      .c = c,
                      .ldc = ldc};
  it->kernels->gemm(&g);
}

/* c[positions low..end, d] += transposed a[rows, positions] times x[rows, d]. */
static void turned_times(const Item *it, const Block *b, float *c, const float *a, const float *x,
                         size_t ldx) {
  const int rows = b->end - b->first, d = it->args->head_dim;
  it->kernels->transpose(it->turned, BLOCK_ROWS, a, it->ld_scores, rows, b->end - b->low);
  product_pack(it->kernels, it->rows, (Operand){x, ldx, false}, d, rows);
  const GemmArgs g = {.a = it->turned,
                      .lda = BLOCK_ROWS,
                      .rows = b->end - b->low,
                      .columns = d,
                      .depth = rows,
                      .type = DTYPE_F32,
                      .b = it->rows,
                      .panel_stride = (size_t)(rows * it->kernels->tile_columns) * sizeof *x,
                      .c = c + (size_t)b->low * it->ld,
                      .ldc = it->ld,
                      .add = c + (size_t)b->low * it->ld,
                      .ld_add = it->ld};
  it->kernels->gemm(&g);
}

/* The block's weights, not yet divided by their sums. */
static void block_weights(const Item *it, const Block *b, float sums[BLOCK_ROWS]) {
  times_across(it, b, it->scores, it->q + (size_t)b->first * it->ld, it->ld, it->keys_across);
  for (int r = b->first; r < b->end; r++) {
    const int window = it->args->window, begin = window && r - window + 1 > 0 ? r - window + 1 : 0;
    float largest;
    it->kernels->softmax(it->scores + (size_t)(r - b->first) * it->ld_scores, b->end - b->low,
                         begin - b->low, r + 1 - b->low, it->args->scale, &largest,
                         &sums[r - b->first]);
  }
}

static void forward_item(void *context, size_t item, int thread) {
  const CausalArgs *a = context;
  const int d = a->head_dim, group = a->heads / a->kv_heads;
  Item it;
  float sums[BLOCK_ROWS];
  item_begin(&it, a, item, thread, false);
  float *out = a->out + (size_t)a->starts[(int)item / a->kv_heads] * it.ld_out +
               (size_t)((int)item % a->kv_heads * group * d);
  for (int h = 0; h < group; h++, it.q += d, out += d)
    for (int first = 0; first < it.length; first += BLOCK_ROWS) {
      const Block b = block_at(&it, first);
      block_weights(&it, &b, sums);
      times_down(&it, &b, out + (size_t)first * it.ld_out, it.ld_out, it.scores, it.values_down);
      for (int r = b.first; r < b.end; r++)
        it.kernels->scale_by(out + (size_t)r * it.ld_out, (size_t)d, 1.0f / sums[r - b.first]);
    }
}

static void backward_item(void *context, size_t item, int thread) {
  const CausalArgs *a = context;
  const int d = a->head_dim, group = a->heads / a->kv_heads, s = (int)item / a->kv_heads;
  Item it;
  float sums[BLOCK_ROWS];
  item_begin(&it, a, item, thread, true);
  const size_t head = (size_t)((int)item % a->kv_heads * group * d), row = (size_t)a->starts[s];
  const float *out = a->out + row * it.ld_out + head, *d_out = a->d_out + row * it.ld_out + head;
  float *base = a->d_qkv + row * it.ld, *dq = base + (it.q - (a->qkv + row * it.ld));
  float *dk = base + (it.k - (a->qkv + row * it.ld)), *dv = base + (it.v - (a->qkv + row * it.ld));
  for (int r = 0; r < it.length; r++) {
    memset(dk + (size_t)r * it.ld, 0, (size_t)d * sizeof *dk);
    memset(dv + (size_t)r * it.ld, 0, (size_t)d * sizeof *dv);
  }
  for (int h = 0; h < group; h++, it.q += d, dq += d, out += d, d_out += d)
    for (int first = 0; first < it.length; first += BLOCK_ROWS) {
      const Block b = block_at(&it, first);
      const size_t seen = (size_t)(b.end - b.low);
      block_weights(&it, &b, sums);
      times_across(&it, &b, it.slopes, d_out + (size_t)first * it.ld_out, it.ld_out,
                   it.values_across);
      for (int r = b.first; r < b.end; r++) {
        const size_t at = (size_t)(r - b.first) * it.ld_scores;
        const float mean =
            it.kernels->dot(d_out + (size_t)r * it.ld_out, out + (size_t)r * it.ld_out, (size_t)d);
        it.kernels->scale_by(it.scores + at, seen, 1.0f / sums[r - b.first]);
        it.kernels->softmax_back(it.slopes + at, it.scores + at, mean, a->scale, seen);
      }
      times_down(&it, &b, dq + (size_t)first * it.ld, it.ld, it.slopes, it.keys_down);
      turned_times(&it, &b, dv, it.scores, d_out + (size_t)first * it.ld_out, it.ld_out);
      turned_times(&it, &b, dk, it.slopes, it.q + (size_t)first * it.ld, it.ld);
    }
}

void causal_forward(const CausalArgs *args) {
  parallel_for(args->backend->base.pool, (size_t)args->sequences * (size_t)args->kv_heads,
               forward_item, (void *)(uintptr_t)args);
}

void causal_backward(const CausalArgs *args) {
  parallel_for(args->backend->base.pool, (size_t)args->sequences * (size_t)args->kv_heads,
               backward_item, (void *)(uintptr_t)args);
}
