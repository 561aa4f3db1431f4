/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in panels, and the matrix product's blocking.
 *
 * A weight [N,K] is stored as ceil(N / tile_columns) panels of [K][tile_columns] in its own type. The rows
 * are packed once, a block of K after the other, where all threads read them. A thread takes a group of
 * panels and a block of rows, and goes through the blocks of K; the sums lie beside the packed rows in its
 * L2 until the last one, which writes them into y. The sums of a block of K are added to those before,
 * so neither rows nor groups nor threads change an element's order. With bfloat16 products and a processor
 * that has instructions for them, oneDNN does the product instead. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/half.h"
#include "backend/cpu/quantised.h"
#include "base/mem.h"
#include "base/parallel.h"

#define MOST_GROUPS 4096                                 /* of a product's panels */
#define MOST_PANELS (CPU_GROUP_PANELS * MOST_GROUPS / 2) /* the other half is for the small groups at the end */
#define PACK_STRIP DTYPE_BLOCK_MAX                       /* values of a row that are packed at once: whole blocks of any type */
#define MOST_SHARING 128                                 /* threads that the last groups are cut up for */
#define LEAST_SHARE 16                                   /* panels for each thread; else rows are divided too */

/* A panel of a quantised weight; its columns are of one part. */
typedef struct QuantisedPanel {
  char *at;
  Dtype type;
  int first, columns;
} QuantisedPanel;

struct Weight {
  int n, k;
  Dtype type;
  int panels;
  size_t panel_stride, bytes;
  char *data;
  QuantisedPanel *quantised; /* [panels], in `data`; NULL: panels follow one another, panel_stride apart */
  OnednnWeight *onednn; /* instead of panels */
};

/* ---- preparing weights ---- */

typedef struct Pack {
  const MatrixSource *parts;
  int n_parts;
  const Weight *w;
  int columns, lanes;       /* of a panel */
  _Atomic int first_broken; /* lowest panel with a value that is not finite */
} Pack;

/* Row n of the stacked parts, as it is stored. */
typedef struct StackedRow {
  const char *at;
  Dtype type;
} StackedRow;

static StackedRow stacked_row(const Pack *p, int n) {
  const MatrixSource *s = p->parts;
  while (n >= s->rows) n -= (s++)->rows;
  return (StackedRow){(const char *)s->data + (size_t)matrix_source_place(s, n) * dtype_bytes(s->dtype, (size_t)s->cols), s->dtype};
}

/* Copies `count` values of a row into every `step`-th place of the panel. False: one is not finite. */
static bool pack_words(uint16_t *to, int step, const char *from, int count, uint16_t exponent) {
  unsigned broken = 0;
  for (int i = 0; i < count; i++) {
    uint16_t h;
    memcpy(&h, from + 2 * i, sizeof h);
    broken |= (h & exponent) == exponent;
    to[i * step] = h;
  }
  return !broken;
}
static bool pack_floats(uint32_t *to, int step, const char *from, int count) {
  unsigned broken = 0;
  for (int i = 0; i < count; i++) {
    uint32_t h;
    memcpy(&h, from + 4 * i, sizeof h);
    broken |= (h & 0x7f800000u) == 0x7f800000u;
    to[i * step] = h;
  }
  return !broken;
}
static bool pack_rounded(uint16_t *to, int step, const char *from, Dtype type, int count) {
  unsigned broken = 0;
  for (int i = 0; i < count; i++) {
    const uint16_t h = half_to_bf16(half_load(from, type, (size_t)i));
    broken |= (h & 0x7f80) == 0x7f80;
    to[i * step] = h;
  }
  return !broken;
}

/* Values [k, k + depth) of a row into every `columns`-th place; quantised ones are whole blocks. */
static bool pack_strip(char *out, Dtype type, int columns, StackedRow row, int k, int depth) {
  const char *at = row.at + dtype_bytes(row.type, (size_t)k);
  float wide[PACK_STRIP];
  uint16_t *words = (uint16_t *)(void *)out;
  if (row.type != type && (type == DTYPE_F32 || dtype_is_quantised(row.type))) {
    dtype_widen(row.type, at, (size_t)depth, wide);
    at = (const char *)wide;
    row.type = DTYPE_F32;
  }
  if (type == DTYPE_F32) return pack_floats((uint32_t *)(void *)out, columns, at, depth);
  if (type != row.type) return pack_rounded(words, columns, at, row.type, depth);
  return pack_words(words, columns, at, depth, type == DTYPE_F16 ? 0x7c00 : 0x7f80);
}

/* One panel, in strips of K that stay in L1 while its rows fill them. */
static void pack_panel(void *context, size_t item, int thread) {
  Pack *p = context;
  (void)thread;
  const Weight *w = p->w;
  const int first = (int)item * p->columns;
  StackedRow rows[64];
  bool fine = true;
  const int count = w->n - first < p->columns ? w->n - first : p->columns;
  for (int j = 0; j < count; j++) rows[j] = stacked_row(p, first + j);
  for (int k = 0; k < w->k; k += PACK_STRIP) {
    const int depth = w->k - k < PACK_STRIP ? w->k - k : PACK_STRIP;
    char *out = w->data + item * w->panel_stride + (size_t)(k * p->columns) * dtype_size(w->type);
    for (int j = 0; j < count; j++)
      fine &= pack_strip(out + (size_t)kernels_panel_slot(j, p->lanes, w->type) * dtype_size(w->type), w->type, p->columns, rows[j], k, depth);
  }
  if (fine) return;
  int known = atomic_load(&p->first_broken);
  while ((int)item < known && !atomic_compare_exchange_weak(&p->first_broken, &known, (int)item)) {}
}

static xt_status check_product(const CpuBackend *b, const Weight *w, xt_error *error) {
  if (w->panels <= MOST_PANELS && w->k <= (int)CPU_PACKED_ROWS * BACKEND_K_BLOCK) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "a product of %d columns and depth %d; at most %d and %d are possible", w->n, w->k,
                 MOST_PANELS * b->kernels->tile_columns, (int)CPU_PACKED_ROWS * BACKEND_K_BLOCK);
}

/* Panels of n columns from the parts; finite values only. */
static xt_status make_panels(const CpuBackend *b, const MatrixSource *parts, int n_parts, Weight *w, xt_error *error) {
  const int columns = b->kernels->tile_columns;
  w->panels = (w->n + columns - 1) / columns;
  TRY(check_product(b, w, error));
  w->panel_stride = (size_t)w->k * (size_t)columns * dtype_size(w->type);
  w->bytes = w->panel_stride * (size_t)w->panels;
  TRY(cpu_block_create(w->bytes, &w->data, error));
  Pack p = {.parts = parts, .n_parts = n_parts, .w = w, .columns = columns, .lanes = b->kernels->lanes};
  atomic_init(&p.first_broken, w->panels);
  parallel_for(b->base.pool, (size_t)w->panels, pack_panel, &p);
  const int broken = atomic_load(&p.first_broken);
  if (broken == w->panels) return XT_STATUS_OK;
  return cpu_find_not_finite(parts, n_parts, broken * columns, (broken + 1) * columns, b->base.compute == XT_COMPUTE_BF16, error);
}

static void pack_quantised(void *context, size_t item, int thread) {
  Pack *p = context;
  (void)thread;
  const QuantisedPanel *panel = &p->w->quantised[item];
  bool fine = true;
  for (int j = 0; j < panel->columns; j++)
    fine &= quantised_pack(panel->type, stacked_row(p, panel->first + j).at, p->w->k, panel->at, p->columns, j);
  if (fine) return;
  int known = atomic_load(&p->first_broken);
  while ((int)item < known && !atomic_compare_exchange_weak(&p->first_broken, &known, (int)item)) {}
}

/* Panels of quantised parts, each of its own type. */
static xt_status make_quantised(const CpuBackend *b, const MatrixSource *parts, int n_parts, Weight *w, xt_error *error) {
  const int columns = b->kernels->tile_columns;
  for (int i = 0; i < n_parts; i++) w->panels += (parts[i].rows + columns - 1) / columns;
  TRY(check_product(b, w, error));
  TRY(mem_alloc(&w->quantised, (size_t)w->panels, sizeof *w->quantised, error));
  QuantisedPanel *panel = w->quantised;
  int first = 0;
  for (int i = 0; i < n_parts; first += parts[i].rows, i++)
    for (int row = 0; row < parts[i].rows; row += columns, panel++) {
      const QuantisedFormat *f = quantised_format(parts[i].dtype);
      *panel = (QuantisedPanel){(char *)w->bytes, parts[i].dtype, first + row, parts[i].rows - row < columns ? parts[i].rows - row : columns};
      w->bytes += (size_t)(w->k / f->block) * quantised_block_bytes(f, columns);
    }
  TRY(cpu_block_create(w->bytes, &w->data, error));
  for (int i = 0; i < w->panels; i++) w->quantised[i].at = w->data + (uintptr_t)w->quantised[i].at;
  Pack p = {.parts = parts, .n_parts = n_parts, .w = w, .columns = columns};
  atomic_init(&p.first_broken, w->panels);
  parallel_for(b->base.pool, (size_t)w->panels, pack_quantised, &p);
  const int broken = atomic_load(&p.first_broken);
  if (broken == w->panels) return XT_STATUS_OK;
  panel = &w->quantised[broken];
  return cpu_find_not_finite(parts, n_parts, panel->first, panel->first + panel->columns, b->base.compute == XT_COMPUTE_BF16, error);
}

/* The stacked rows as bfloat16, row-major, for oneDNN to pack; finite values only. */
typedef struct Narrow {
  const Pack *pack;
  uint16_t *to;
  _Atomic int first_broken; /* lowest row */
} Narrow;

static void narrow_row(void *context, size_t item, int thread) {
  Narrow *p = context;
  (void)thread;
  const int k = p->pack->w->k;
  const StackedRow row = stacked_row(p->pack, (int)item);
  bool fine = true;
  for (int at = 0; at < k; at += PACK_STRIP)
    fine &= pack_strip((char *)(p->to + item * (size_t)k + at), DTYPE_BF16, 1, row, at, k - at < PACK_STRIP ? k - at : PACK_STRIP);
  if (fine) return;
  int known = atomic_load(&p->first_broken);
  while ((int)item < known && !atomic_compare_exchange_weak(&p->first_broken, &known, (int)item)) {}
}

static xt_status make_onednn(const CpuBackend *b, const MatrixSource *parts, int n_parts, Weight *w, xt_error *error) {
  const Pack pack = {.parts = parts, .n_parts = n_parts, .w = w};
  uint16_t *rows;
  TRY(cpu_block_create((size_t)w->n * (size_t)w->k * sizeof *rows, &rows, error));
  Narrow p = {.pack = &pack, .to = rows};
  atomic_init(&p.first_broken, w->n);
  parallel_for(b->base.pool, (size_t)w->n, narrow_row, &p);
  const int broken = atomic_load(&p.first_broken);
  xt_status status = broken == w->n ? XT_STATUS_OK
                                    : cpu_find_not_finite(parts, n_parts, broken, broken + 1, true, error);
  if (!status) status = onednn_weight_create(b->onednn, DTYPE_BF16, w->n, w->k, rows, &w->onednn, error);
  if (!status) w->bytes = onednn_weight_bytes(w->onednn);
  cpu_block_free(rows);
  return status;
}

static bool all_quantised(const MatrixSource *parts, int n_parts) {
  for (int p = 0; p < n_parts; p++)
    if (!dtype_is_quantised(parts[p].dtype)) return false;
  return true;
}

/* What panels hold every part's values in exactly. */
static Dtype common_type(const MatrixSource *parts, int n_parts) {
  for (int p = 0; p < n_parts; p++)
    if (parts[p].dtype != parts[0].dtype || dtype_is_quantised(parts[p].dtype)) return DTYPE_F32;
  return parts[0].dtype;
}

xt_status cpu_weight_create(Backend *backend, const MatrixSource *parts, int n_parts, Weight **out, xt_error *error) {
  const CpuBackend *b = cpu_of(backend);
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  Weight *w;
  TRY(mem_alloc(&w, 1, sizeof *w, error));
  for (int p = 0; p < n_parts; p++) w->n += parts[p].rows;
  w->k = parts->cols;
  w->type = backend->compute == XT_COMPUTE_BF16 ? DTYPE_BF16 : common_type(parts, n_parts);
  xt_status status;
  if (b->onednn) status = make_onednn(b, parts, n_parts, w, error);
  else if (all_quantised(parts, n_parts)) status = make_quantised(b, parts, n_parts, w, error);
  else status = make_panels(b, parts, n_parts, w, error);
  if (status != XT_STATUS_OK) {
    cpu_weight_release(backend, w);
    return status;
  }
  *out = w;
  return XT_STATUS_OK;
}

void cpu_weight_release(Backend *backend, Weight *w) {
  (void)backend;
  if (!w) return;
  onednn_weight_free(w->onednn);
  cpu_block_free(w->data);
  free(w->quantised);
  free(w);
}

size_t cpu_weight_bytes(const Weight *w) { return w->bytes; }

/* ---- the product by oneDNN ---- */

typedef struct Around {
  const CpuBackend *b;
  const float *x, *bias;
  float *y;
  size_t n, k;
} Around;

static void narrow_activations(void *context, size_t row, int thread) {
  const Around *a = context;
  (void)thread;
  a->b->kernels->narrow(a->b->narrow + row * a->k, a->x + row * a->k, a->k);
}
static void add_bias(void *context, size_t row, int thread) {
  const Around *a = context;
  (void)thread;
  a->b->kernels->add(a->y + row * a->n, a->bias, a->n);
}

static void onednn_product(const CpuBackend *b, float *y, const float *x, const Weight *w, const float *bias, int m) {
  Around a = {b, x, bias, y, (size_t)w->n, (size_t)w->k};
  size_t most = CPU_NARROW / a.k;
  most = most >= ONEDNN_MOST_ROWS ? ONEDNN_MOST_ROWS : most >= 16 ? most / 16 * 16 : most;
  for (int row = 0; row < m; row += (int)most, a.x += most * a.k, a.y += most * a.n) {
    const int rows = m - row < (int)most ? m - row : (int)most;
    parallel_for(rows < 8 ? NULL : b->base.pool, (size_t)rows, narrow_activations, &a);
    if (!onednn_multiply(b->onednn, w->onednn, b->narrow, a.y, rows)) /* oneDNN had no memory: NaN, so that nobody takes the row for a result */
      for (size_t i = 0; i < (size_t)rows * a.n; i++) a.y[i] = NAN;
    if (bias) parallel_for(rows < 8 ? NULL : b->base.pool, (size_t)rows, add_bias, &a);
  }
}

/* ---- the product ---- */

typedef struct Product {
  const CpuBackend *b;
  const Weight *w;
  const float *x, *bias;
  float *y;
  int m, blocks;                    /* rows; blocks of K */
  int row_block, row_blocks;        /* rows worked on together; how many times that is */
  int parts;                        /* of the row blocks, where there are few panels for the threads */
  int groups;
  int first_panel[MOST_GROUPS + 1]; /* [groups + 1] */
} Product;

static int block_depth(const Weight *w, int block) {
  const int left = w->k - block * BACKEND_K_BLOCK;
  return left < BACKEND_K_BLOCK ? left : BACKEND_K_BLOCK;
}
static const char *panel_at(const Weight *w, int columns, int panel, int block) {
  return w->data + (size_t)panel * w->panel_stride + (size_t)block * BACKEND_K_BLOCK * (size_t)columns * dtype_size(w->type);
}

/* Rows [row, row + rows), lda apart, against panels [panel, panel + panels) in one block of K. Sums of the blocks before
 * are in `sums`, and the result goes there until the last block. */
static GemmArgs part_of(const Product *p, const float *a, size_t lda, int row, int rows, int panel, int panels, int block, float *sums, size_t ld) {
  const Weight *w = p->w;
  const int columns = p->b->kernels->tile_columns, first = panel * columns;
  const bool last = block == p->blocks - 1;
  return (GemmArgs){
      .a = a, .lda = lda, .rows = rows, .depth = block_depth(w, block), .type = w->type,
      .columns = w->n - first < panels * columns ? w->n - first : panels * columns,
      .b = panel_at(w, columns, panel, block), .panel_stride = w->panel_stride,
      .c = last ? p->y + (size_t)row * (size_t)w->n + first : sums, .ldc = last ? (size_t)w->n : ld,
      .add = block > 0 ? sums : NULL, .ld_add = ld, .bias = last && p->bias ? p->bias + first : NULL};
}

/* Packed: [block of K][m][CPU_PACKED_LD]. */
static float *packed_at(const Product *p, int block, int row) {
  return p->b->packed + ((size_t)block * (size_t)p->m + (size_t)row) * CPU_PACKED_LD;
}

static void pack_row(void *context, size_t row, int thread) {
  const Product *p = context;
  (void)thread;
  const float *from = p->x + row * (size_t)p->w->k;
  for (int i = 0; i < p->blocks; i++, from += BACKEND_K_BLOCK) {
    float *to = packed_at(p, i, (int)row);
    const size_t depth = (size_t)block_depth(p->w, i);
    if (p->b->base.compute == XT_COMPUTE_BF16) p->b->kernels->round_bf16(to, from, depth);
    else memcpy(to, from, depth * sizeof *to);
  }
}

/* Few rows: the weights' speed from memory decides. Panels are read from end to end; so few rows as four need no packing. */
static void stream_group(void *context, size_t group, int thread) {
  const Product *p = context;
  const int end = p->first_panel[group + 1], together = p->m == 1 ? 3 : p->m == 2 ? 2 : 1;
  const bool packed = p->b->base.compute == XT_COMPUTE_BF16 || p->m > 4;
  for (int q = p->first_panel[group]; q < end; q += together)
    for (int i = 0; i < p->blocks; i++) {
      const GemmArgs g = part_of(p, packed ? packed_at(p, i, 0) : p->x + (size_t)i * BACKEND_K_BLOCK, packed ? CPU_PACKED_LD : (size_t)p->w->k,
                                 0, p->m, q, end - q < together ? end - q : together, i, cpu_scratch(p->b, thread),
                                 3 * (size_t)p->b->kernels->tile_columns);
      p->b->kernels->gemm(&g);
    }
}

/* A group of panels with a part of the rows. */
static void multiply_group(void *context, size_t item, int thread) {
  const Product *p = context;
  const int group = (int)item / p->parts, part = (int)item % p->parts;
  const int first = p->first_panel[group], panels = p->first_panel[group + 1] - first;
  const int begin = p->row_blocks * part / p->parts * p->row_block, columns = p->b->kernels->tile_columns;
  int stop = p->row_blocks * (part + 1) / p->parts * p->row_block;
  const size_t ld = CPU_GROUP_PANELS * (size_t)columns + 16;
  if (stop > p->m) stop = p->m;
  for (int row = begin; row < stop; row += p->row_block)
    for (int i = 0; i < p->blocks; i++) {
      const int end = row + p->row_block < stop ? row + p->row_block : stop;
      GemmArgs g = part_of(p, packed_at(p, i, row), CPU_PACKED_LD, row, end - row, first, panels, i, cpu_scratch(p->b, thread), ld);
      const bool last = i == p->blocks - 1;
      const int next = !last ? row : end < stop ? end : begin, next_end = next + p->row_block < stop ? next + p->row_block : stop;
      g.next_panel = panel_at(p->w, columns, last && end == stop ? first + panels : first, last ? 0 : i + 1);
      g.next_rows = packed_at(p, last ? 0 : i + 1, next);
      g.next_rows_bytes = (size_t)(next_end - next) * CPU_PACKED_LD * sizeof(float);
      p->b->kernels->gemm(&g);
    }
}

/* Few rows by quantised weights: expanding costs more than reading the codes once for each row. */
#define STREAMED_ROWS 3

static void stream_quantised(void *context, size_t group, int thread) {
  const Product *p = context;
  const Weight *w = p->w;
  float *sums = cpu_scratch(p->b, thread);
  for (int q = p->first_panel[group]; q < p->first_panel[group + 1]; q++)
    for (int row = 0; row < p->m; row++) {
      const QuantisedPanel *panel = &w->quantised[q];
      const QuantisedFormat *f = quantised_format(panel->type);
      const size_t block_bytes = quantised_block_bytes(f, p->b->kernels->tile_columns);
      float *y = p->y + (size_t)row * (size_t)w->n + panel->first;
      for (int i = 0; i < p->blocks; i++) {
        p->b->kernels->stream(panel->type, p->x + (size_t)row * (size_t)w->k + (size_t)i * BACKEND_K_BLOCK,
                              panel->at + (size_t)(i * BACKEND_K_BLOCK / f->block) * block_bytes, block_depth(w, i), sums);
        for (int j = 0; j < panel->columns; j++) y[j] = i > 0 ? y[j] + sums[j] : sums[j];
      }
      for (int j = 0; p->bias && j < panel->columns; j++) y[j] += p->bias[panel->first + j];
    }
}

/* Many rows: a panel's block of K is expanded into the scratch memory, from where all rows of a block of them
 * read it. Sums go from block to block of K in y itself. */
static void quantised_group(void *context, size_t item, int thread) {
  const Product *p = context;
  const Weight *w = p->w;
  const int group = (int)item / p->parts, part = (int)item % p->parts, end = p->first_panel[group + 1], columns = p->b->kernels->tile_columns;
  const bool packed = p->b->base.compute == XT_COMPUTE_BF16 || p->m > 4;
  float *wide = cpu_scratch(p->b, thread);
  int stop = p->row_blocks * (part + 1) / p->parts * p->row_block;
  if (stop > p->m) stop = p->m;
  for (int row = p->row_blocks * part / p->parts * p->row_block; row < stop; row += p->row_block)
    for (int i = 0; i < p->blocks; i++)
      for (int q = p->first_panel[group]; q < end; q++) {
        const QuantisedPanel *panel = &w->quantised[q];
        const QuantisedFormat *f = quantised_format(panel->type);
        const int depth = block_depth(w, i), rows = stop - row < p->row_block ? stop - row : p->row_block;
        p->b->kernels->expand(panel->type, wide, panel->at + (size_t)(i * BACKEND_K_BLOCK / f->block) * quantised_block_bytes(f, columns), depth);
        if (p->b->base.compute == XT_COMPUTE_BF16) p->b->kernels->round_bf16(wide, wide, (size_t)depth * (size_t)columns);
        float *y = p->y + (size_t)row * (size_t)w->n + panel->first;
        const GemmArgs g = {.a = packed ? packed_at(p, i, row) : p->x + (size_t)row * (size_t)w->k + (size_t)i * BACKEND_K_BLOCK,
                            .lda = packed ? CPU_PACKED_LD : (size_t)w->k, .rows = rows, .columns = panel->columns, .depth = depth, .type = DTYPE_F32,
                            .b = wide, .c = y, .ldc = (size_t)w->n, .add = i > 0 ? y : NULL, .ld_add = (size_t)w->n,
                            .bias = i == p->blocks - 1 && p->bias ? p->bias + panel->first : NULL};
        p->b->kernels->gemm(&g);
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
    if (panels > CPU_GROUP_PANELS) panels = CPU_GROUP_PANELS;
    if (panels < 1) panels = 1;
    p->first_panel[p->groups++] = at;
    at += panels;
  }
  p->first_panel[p->groups] = at;
}

void cpu_matmul(Backend *backend, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  const CpuBackend *b = cpu_of(backend);
  if (m <= 0) return;
  if (w->onednn) {
    onednn_product(b, cpu_floats(y), cpu_floats(x), w, cpu_floats(bias), m);
    return;
  }
  Product p = {.b = b, .w = w, .bias = cpu_floats(bias), .blocks = (w->k + BACKEND_K_BLOCK - 1) / BACKEND_K_BLOCK};
  const int tile = b->kernels->tile_rows, most = (int)(CPU_PACKED_ROWS / (size_t)p.blocks), threads = backend->threads;
  const bool streams = (m < most ? m : most) * p.blocks <= CPU_ROW_BLOCK;
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
    if (w->quantised) body = streams && p.m <= STREAMED_ROWS && backend->compute == XT_COMPUTE_F32 ? stream_quantised : quantised_group;
    parallel_for(backend->pool, (size_t)p.groups * (size_t)p.parts, body, &p);
  }
}
