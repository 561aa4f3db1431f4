/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix product's blocking.
 *
 * A weight [N,K] is stored as ceil(N / tile_columns) panels of [K][tile_columns] in its own type.
 * The rows are packed once, a block of K after the other, where all threads read them. A thread
 * takes a group of panels and a block of rows, and goes through the blocks of K; the sums lie
 * beside the packed rows in its L2 until the last one, which writes them into y. The sums of a
 * block of K are added to those before, so neither rows nor groups nor threads change an element's
 * order. bfloat16 products on a processor that has instructions for them are the same with pairs of
 * values (PairKernels) in the place of floats. Those of tiles (AMX) take so little time that what
 * is read from beyond L2 decides: all of K of the rows stays there, or of a group of panels. */
#include <string.h>

#include "backend/cpu/cpu_weight.h"
#include "files/dtype.h"
#include "backend/cpu/quantised.h"
#include "base/mem.h"
#include "base/parallel.h"

#define MOST_SHARING \
  128 /* threads that the last groups are cut
                                                            up for */
#define LEAST_SHARE \
  16 /* panels for each thread; else rows are
                                                            divided too */

/* ---- the product ----------------------------------------------------------------------------- */

typedef struct Product {
  const CpuBackend *b;
  const Weight *w;
  const float *x, *bias;
  float *y;
  int m, blocks;             /* rows; blocks of K */
  int row_block, row_blocks; /* rows worked on together; how many times that is */
  int parts;                 /* of the row blocks, where there are few panels for the
                                       threads */
  int groups;
  int depth;                            /* values of a block of K */
  size_t ld;                            /* words of 32 bits between the packed rows of one */
  int group;                            /* the most panels of one */
  size_t cached;                        /* PairKernels.cached_bytes, or 0 */
  int span;                             /* blocks of K after which the sums are in y */
  int first_panel[CPU_MOST_GROUPS + 1]; /* [groups + 1] */
} Product;

/* Values of a row in block `block`. */
static int block_depth(const Product *p, int block) {
  const int left = p->w->k - block * p->depth;
  return left < p->depth ? left : p->depth;
}
/* 32-bit words of a packed row. */
static int block_words(const Product *p, int block) {
  const int depth = block_depth(p, block);
  return p->b->pairs ? (depth + 1) / 2 : depth;
}
static void tiles(const Product *p, const GemmArgs *g) {
  if (p->b->pairs)
    p->b->pairs->gemm(g);
  else
    p->b->kernels->gemm(g);
}
static const char *panel_at(const Product *p, int panel, int block) {
  const Weight *w = p->w;
  return w->data + (size_t)panel * w->panel_stride +
         (size_t)block * (size_t)(p->depth * p->b->kernels->tile_columns) * dtype_size(w->type);
}

/* Rows [row, row + rows), lda apart, against panels [panel, panel + panels) in one block of K. Sums
 * of the blocks before are in `sums`, and the result goes there until the span's last block, which
 * writes it into y, where the next span finds it. */
static GemmArgs part_of(const Product *p, const float *a, size_t lda, int row, int rows, int panel,
                        int panels, int block, float *sums, size_t ld) {
  const Weight *w = p->w;
  const int columns = p->b->kernels->tile_columns, first = panel * columns;
  const bool last = block == p->blocks - 1, begins = block % p->span == 0,
             ends = last || (block + 1) % p->span == 0;
  float *y = p->y + (size_t)row * (size_t)w->n + first;
  return (GemmArgs){.a = a,
                    .lda = lda,
                    .rows = rows,
                    .depth = block_words(p, block),
                    .type = p->b->pairs ? DTYPE_F32 : w->type,
                    .columns = w->n - first < panels * columns ? w->n - first : panels * columns,
                    .b = panel_at(p, panel, block),
                    .panel_stride = w->panel_stride,
                    .c = ends ? y : sums,
                    .ldc = ends ? (size_t)w->n : ld,
                    .add = block == 0 ? NULL
                           : begins   ? y
                                      : sums,
                    .ld_add = begins ? (size_t)w->n : ld,
                    .bias = last && p->bias ? p->bias + first : NULL};
}

/* Packed: [block of K][m][ld]. */
static float *packed_at(const Product *p, int block, int row) {
  return p->b->packed + ((size_t)block * (size_t)p->m + (size_t)row) * p->ld;
}

static void pack_row(void *context, size_t row, int thread) {
  const Product *p = context;
  (void)thread;
  const float *from = p->x + row * (size_t)p->w->k;
  for (int i = 0; i < p->blocks; i++, from += p->depth) {
    float *to = packed_at(p, i, (int)row);
    const size_t depth = (size_t)block_depth(p, i);
    if (p->b->pairs) {
      uint16_t *words = (uint16_t *)(void *)to;
      p->b->kernels->narrow(words, from, depth);
      if (depth % 2) words[depth] = 0;
    } else if (p->b->base.compute == XT_COMPUTE_BF16)
      p->b->kernels->round_bf16(to, from, depth);
    else
      memcpy(to, from, depth * sizeof *to);
  }
}

/* With few rows, reading the weights from memory takes the time. Panels are read from end to end,
 * and up to four rows are not packed. */
static void stream_group(void *context, size_t group, int thread) {
  const Product *p = context;
  const int end = p->first_panel[group + 1], together = p->cached   ? 1
                                                        : p->m == 1 ? 3
                                                        : p->m == 2 ? 2
                                                                    : 1;
  const bool packed = p->b->base.compute == XT_COMPUTE_BF16 || p->m > 4;
  for (int q = p->first_panel[group]; q < end; q += together)
    for (int i = 0; i < p->blocks; i++) {
      GemmArgs g = part_of(p, packed ? packed_at(p, i, 0) : p->x + (size_t)i * (size_t)p->depth,
                           packed ? p->ld : (size_t)p->w->k, 0, p->m, q,
                           end - q < together ? end - q : together, i, cpu_scratch(p->b, thread),
                           3 * (size_t)p->b->kernels->tile_columns);
      if (p->cached) g.next_panel = panel_at(p, i + 1 < p->blocks ? q : q + 1, (i + 1) % p->blocks);
      tiles(p, &g);
    }
}

/* Panels [first, first + panels) and rows [begin, stop) over a span of blocks of K, [from, to). */
static void multiply_span(const Product *p, int first, int panels, int begin, int stop, int from,
                          int to, int thread) {
  const int columns = p->b->kernels->tile_columns;
  const size_t ld = (size_t)p->group * (size_t)columns + 16;
  for (int row = begin; row < stop; row += p->row_block)
    for (int i = from; i < to; i++) {
      const int end = row + p->row_block < stop ? row + p->row_block : stop;
      GemmArgs g = part_of(p, packed_at(p, i, row), p->ld, row, end - row, first, panels, i,
                           cpu_scratch(p->b, thread), ld);
      const bool last = i == to - 1;
      const int next = !last        ? row
                       : end < stop ? end
                                    : begin,
                next_end = next + p->row_block < stop ? next + p->row_block : stop;
      const int after = !last ? i + 1 : end < stop ? from : to % p->blocks;
      g.next_panel = panel_at(p, after == 0 && end == stop ? first + panels : first, after);
      g.next_rows = packed_at(p, after, next);
      g.next_rows_bytes = (size_t)(next_end - next) * p->ld * sizeof(float);
      if (p->cached && row == begin) g.next_rows = NULL; /* the panels come from memory then */
      tiles(p, &g);
    }
}

/* A group of panels with a part of the rows. */
static void multiply_group(void *context, size_t item, int thread) {
  const Product *p = context;
  const int group = (int)item / p->parts, part = (int)item % p->parts;
  const int first = p->first_panel[group], panels = p->first_panel[group + 1] - first;
  const int begin = p->row_blocks * part / p->parts * p->row_block;
  int stop = p->row_blocks * (part + 1) / p->parts * p->row_block;
  if (stop > p->m) stop = p->m;
  for (int from = 0, to; from < p->blocks; from = to) {
    to = p->blocks - from > p->span ? from + p->span : p->blocks;
    multiply_span(p, first, panels, begin, stop, from, to, thread);
  }
}

/* The product of few rows and quantised weights, which are expanded in registers, two panels of one
 * type at a time. */
#define STREAMED_ROWS 8

static const char *quantised_at(const Product *p, int panel, int block) {
  const QuantisedPanel *q = &p->w->quantised[panel];
  const QuantisedFormat *f = quantised_format(q->type);
  return q->at + (size_t)(block * p->depth / f->block) *
                     quantised_block_bytes(f, p->b->kernels->tile_columns);
}

/* Adds the sums of a block of K to those of the blocks before, and the bias after the last block.
 */
static void add_sums(const Product *p, const QuantisedPanel *panel, int block, const float *sums,
                     size_t ld) {
  const float *bias = block == p->blocks - 1 && p->bias ? p->bias + panel->first : NULL;
  for (int row = 0; row < p->m; row++, sums += ld) {
    float *y = p->y + (size_t)row * (size_t)p->w->n + panel->first;
    for (int j = 0; j < panel->columns; j++) y[j] = block > 0 ? y[j] + sums[j] : sums[j];
    for (int j = 0; bias && j < panel->columns; j++) y[j] += bias[j];
  }
}

static void stream_quantised(void *context, size_t group, int thread) {
  const Product *p = context;
  const QuantisedPanel *panels = p->w->quantised;
  const size_t columns = (size_t)p->b->kernels->tile_columns, ld = STREAM_PANELS * columns;
  const bool packed = p->m > 4;
  float *sums = cpu_scratch(p->b, thread);
  for (int q = p->first_panel[group], next; q < p->first_panel[group + 1]; q = next) {
    const bool two = q + 1 < p->first_panel[group + 1] && panels[q + 1].type == panels[q].type;
    next = q + 1 + two;
    for (int i = 0; i < p->blocks; i++) {
      const StreamArgs g = {.type = panels[q].type,
                            .x = packed ? packed_at(p, i, 0) : p->x + (size_t)i * (size_t)p->depth,
                            .ldx = packed ? p->ld : (size_t)p->w->k,
                            .rows = p->m,
                            .values = block_depth(p, i),
                            .panels = {quantised_at(p, q, i), quantised_at(p, next - 1, i)},
                            .sums = sums};
      p->b->kernels->stream(&g);
      add_sums(p, &panels[q], i, sums, ld);
      if (two) add_sums(p, &panels[q + 1], i, sums + columns, ld);
    }
  }
}

/* With many rows, a panel's block of K is expanded into the scratch memory, and all rows of a block
 * of rows read it from there. Between blocks of K, the sums are in y itself. With several blocks of
 * rows, so many panels are expanded together, and all of them read these. */
#define EXPANDED_PANELS 4
_Static_assert(EXPANDED_PANELS *BACKEND_K_BLOCK <= CPU_ROW_BLOCK * CPU_GROUP_PANELS,
               "the scratch memory of sums has room for them");

static float *expanded_at(const Product *p, int place, int thread) {
  return cpu_scratch(p->b, thread) +
         (size_t)place * (size_t)(p->depth * p->b->kernels->tile_columns);
}

static void expand_panel(const Product *p, int panel, int block, float *wide) {
  const int columns = p->b->kernels->tile_columns, depth = block_depth(p, block);
  p->b->kernels->expand(p->w->quantised[panel].type, wide, quantised_at(p, panel, block), depth);
  if (p->b->base.compute == XT_COMPUTE_BF16)
    p->b->kernels->round_bf16(wide, wide, (size_t)depth * (size_t)columns);
}

/* Rows [row, row + rows) against a panel's expanded block of K; meanwhile the codes of the same
 * block of panel `next` are prefetched, if that is below `end`. */
static void multiply_expanded(const Product *p, const float *wide, int panel, int block, int row,
                              int rows, int next, int end) {
  const Weight *w = p->w;
  const QuantisedPanel *q = &w->quantised[panel];
  const bool packed = p->b->base.compute == XT_COMPUTE_BF16 || p->m > 4, ahead = next < end;
  const size_t values = (size_t)block_depth(p, block) * (size_t)p->b->kernels->tile_columns;
  float *y = p->y + (size_t)row * (size_t)w->n + q->first;
  const GemmArgs g = {.a = packed ? packed_at(p, block, row)
                                  : p->x + (size_t)row * (size_t)w->k +
                                        (size_t)block * (size_t)p->depth,
                      .lda = packed ? p->ld : (size_t)w->k,
                      .rows = rows,
                      .columns = q->columns,
                      .depth = block_words(p, block),
                      .type = DTYPE_F32,
                      .b = wide,
                      .c = y,
                      .ldc = (size_t)w->n,
                      .add = block > 0 ? y : NULL,
                      .ld_add = (size_t)w->n,
                      .next_rows = ahead ? quantised_at(p, next, block) : NULL,
                      .next_rows_bytes = ahead ? dtype_bytes(w->quantised[next].type, values) : 0,
                      .bias = block == p->blocks - 1 && p->bias ? p->bias + q->first : NULL};
  tiles(p, &g);
}

/* Panels [first, last) of a group that ends at `end`, and rows [begin, stop). */
static void multiply_quantised(const Product *p, int first, int last, int end, int begin, int stop,
                               int thread) {
  const bool together = stop - begin > p->row_block; /* else each panel before its product */
  for (int i = 0; i < p->blocks; i++) {
    for (int q = first; together && q < last; q++)
      expand_panel(p, q, i, expanded_at(p, q - first, thread));
    for (int row = begin; row < stop; row += p->row_block) {
      const int rows = stop - row < p->row_block ? stop - row : p->row_block;
      for (int q = first; q < last; q++) {
        float *wide = expanded_at(p, together ? q - first : 0, thread);
        if (!together) expand_panel(p, q, i, wide);
        multiply_expanded(p, wide, q, i, row, rows, together ? q + last - first : q + 1,
                          row == begin ? end : 0);
      }
    }
  }
}

static void quantised_group(void *context, size_t item, int thread) {
  const Product *p = context;
  const int group = (int)item / p->parts, part = (int)item % p->parts,
            end = p->first_panel[group + 1], begin = p->row_blocks * part / p->parts * p->row_block;
  int stop = p->row_blocks * (part + 1) / p->parts * p->row_block;
  if (stop > p->m) stop = p->m;
  for (int q = p->first_panel[group], last; q < end; q = last) {
    last = stop - begin > p->row_block && end - q > EXPANDED_PANELS ? q + EXPANDED_PANELS : end;
    multiply_quantised(p, q, last, end, begin, stop, thread);
  }
}

/* Groups of panels, smaller ones at the end so that the threads end together. */
static void divide_panels(Product *p, int threads) {
  const int sharing = threads < MOST_SHARING ? threads : MOST_SHARING;
  int at = 0;
  p->groups = 0;
  while (at < p->w->panels) {
    const int left = p->w->panels - at;
    int panels = sharing == 1 && p->parts == 1 ? left : left / (2 * sharing);
    if (panels > p->group) panels = p->group;
    if (panels < 1) panels = 1;
    p->first_panel[p->groups++] = at;
    at += panels;
  }
  p->first_panel[p->groups] = at;
}

/* Blocks of K of PairKernels.cached_bytes. With more of them, a group has so few panels that the rows
 * are read too often. */
#define CACHED_BLOCKS 4
/* Panels of a group that stays in L2 with so many blocks of K. There are never more groups than have a
 * place. */
static int cached_panels(const Product *p, int span) {
  const size_t block = (size_t)p->depth * (size_t)p->b->kernels->tile_columns * sizeof(uint16_t),
               fit = p->cached / 2 / ((size_t)span * block);
  const int least = p->w->panels / (CPU_MOST_GROUPS / 2) + 1;
  return fit > CPU_GROUP_PANELS ? CPU_GROUP_PANELS : (int)fit > least ? (int)fit : least;
}

void cpu_matmul(Backend *backend, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  const CpuBackend *b = cpu_of(backend);
  if (m <= 0) return;
  Product p = {.b = b,
               .w = w,
               .bias = cpu_floats(bias),
               .depth = b->pairs ? 2 * b->pairs->block_words : BACKEND_K_BLOCK,
               .ld = b->pairs ? b->pairs->packed_ld : CPU_PACKED_LD,
               .group = CPU_GROUP_PANELS,
               .cached = b->pairs ? b->pairs->cached_bytes : 0};
  p.blocks = (w->k + p.depth - 1) / p.depth;
  const int tile = b->kernels->tile_rows,
            most = (int)(CPU_PACKED_ROWS * CPU_PACKED_LD / p.ld / (size_t)p.blocks),
            threads = backend->threads;
  const size_t rows_bytes = (size_t)(m < most ? m : most) * (size_t)p.blocks * p.ld * sizeof(float);
  const bool streams =
      rows_bytes <= (p.cached ? p.cached : CPU_ROW_BLOCK * CPU_PACKED_LD * sizeof(float));
  const int held = p.blocks < CACHED_BLOCKS ? p.blocks : CACHED_BLOCKS;
  p.span = p.cached && !streams ? held : p.blocks;
  if (p.cached) p.group = cached_panels(&p, held);
  for (int first = 0; first < m; first += most) {
    p.m = m - first < most ? m - first : most;
    p.x = cpu_floats(x) + (size_t)first * (size_t)w->k;
    p.y = cpu_floats(y) + (size_t)first * (size_t)w->n;
    p.row_blocks = (p.m + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK;
    p.row_block = ((p.m + p.row_blocks - 1) / p.row_blocks + tile - 1) / tile * tile;
    p.row_blocks = (p.m + p.row_block - 1) / p.row_block;
    p.parts = streams ? 1 : (LEAST_SHARE * threads + w->panels - 1) / w->panels;
    if (p.parts > p.row_blocks) p.parts = p.row_blocks;
    divide_panels(&p, (threads + p.parts - 1) / p.parts);
    if (p.m > 4 || backend->compute == XT_COMPUTE_BF16)
      parallel_for(p.m * w->k < 8192 ? NULL : backend->pool, (size_t)p.m, pack_row, &p);
    ParallelBody *body = streams ? stream_group : multiply_group;
    if (w->quantised)
      body = p.m <= STREAMED_ROWS && backend->compute == XT_COMPUTE_F32 ? stream_quantised
                                                                        : quantised_group;
    parallel_for(backend->pool, (size_t)p.groups * (size_t)p.parts, body, &p);
  }
}
