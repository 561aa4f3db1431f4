/* Weights in panels, and the matrix product's blocking.
 *
 * A weight [N,K] is stored as ceil(N / tile_columns) panels of [K][tile_columns] in its own type. One
 * thread takes a block of rows and a group of panels; for each block of K it packs its rows (they stay
 * in L2) and runs every panel of the group against them. The sums of a block of K are added to y, so
 * neither rows nor groups nor threads change an element's order. With bfloat16 products and a processor that
 * has instructions for them, oneDNN does the product instead. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/half.h"
#include "base/mem.h"
#include "base/parallel.h"

struct Weight {
  int n, k;
  Dtype type;
  int panels;
  size_t panel_stride, bytes;
  char *data;
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

/* Row n of the stacked parts. */
static const char *stacked_row(const Pack *p, int n) {
  const MatrixSource *s = p->parts;
  while (n >= s->rows) n -= (s++)->rows;
  return (const char *)s->data + (size_t)n * (size_t)s->cols * half_size(s->dtype);
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

/* One panel, in strips of K that stay in L1 while its rows fill them. */
static void pack_panel(void *context, size_t item, int thread) {
  Pack *p = context;
  (void)thread;
  const Weight *w = p->w;
  const Dtype from = p->parts->dtype;
  const int first = (int)item * p->columns, strip = 64;
  const char *rows[64];
  bool fine = true;
  const int count = w->n - first < p->columns ? w->n - first : p->columns;
  for (int j = 0; j < count; j++) rows[j] = stacked_row(p, first + j);
  for (int k = 0; k < w->k; k += strip) {
    const int depth = w->k - k < strip ? w->k - k : strip;
    char *out = w->data + item * w->panel_stride + (size_t)(k * p->columns) * half_size(w->type);
    for (int j = 0; j < count; j++) {
      const int slot = kernels_panel_slot(j, p->lanes, w->type);
      const char *at = rows[j] + (size_t)k * half_size(from);
      if (w->type == DTYPE_F32) fine &= pack_floats((uint32_t *)(void *)out + slot, p->columns, at, depth);
      else if (w->type != from) fine &= pack_rounded((uint16_t *)(void *)out + slot, p->columns, at, from, depth);
      else fine &= pack_words((uint16_t *)(void *)out + slot, p->columns, at, depth, from == DTYPE_F16 ? 0x7c00 : 0x7f80);
    }
  }
  if (fine) return;
  int known = atomic_load(&p->first_broken);
  while ((int)item < known && !atomic_compare_exchange_weak(&p->first_broken, &known, (int)item)) {}
}

/* Panels of n columns from the parts; finite values only. */
static xt_status make_panels(const CpuBackend *b, const MatrixSource *parts, int n_parts, Weight *w, xt_error *error) {
  const int columns = b->kernels->tile_columns;
  w->panels = (w->n + columns - 1) / columns;
  w->panel_stride = (size_t)w->k * (size_t)columns * half_size(w->type);
  w->bytes = w->panel_stride * (size_t)w->panels;
  TRY(cpu_block_create(w->bytes, &w->data, error));
  Pack p = {.parts = parts, .n_parts = n_parts, .w = w, .columns = columns, .lanes = b->kernels->lanes};
  atomic_init(&p.first_broken, w->panels);
  parallel_for(b->base.threads, (size_t)w->panels, pack_panel, &p);
  const int broken = atomic_load(&p.first_broken);
  if (broken == w->panels) return XT_STATUS_OK;
  return cpu_find_not_finite(parts, n_parts, broken * columns, (broken + 1) * columns, w->type != parts->dtype, error);
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
  const size_t k = (size_t)p->pack->w->k;
  if (pack_rounded(p->to + item * k, 1, stacked_row(p->pack, (int)item), p->pack->parts->dtype, (int)k)) return;
  int known = atomic_load(&p->first_broken);
  while ((int)item < known && !atomic_compare_exchange_weak(&p->first_broken, &known, (int)item)) {}
}

static xt_status make_onednn(const CpuBackend *b, const MatrixSource *parts, int n_parts, Weight *w, xt_error *error) {
  const Pack pack = {.parts = parts, .n_parts = n_parts, .w = w};
  uint16_t *rows;
  TRY(cpu_block_create((size_t)w->n * (size_t)w->k * sizeof *rows, &rows, error));
  Narrow p = {.pack = &pack, .to = rows};
  atomic_init(&p.first_broken, w->n);
  parallel_for(b->base.threads, (size_t)w->n, narrow_row, &p);
  const int broken = atomic_load(&p.first_broken);
  xt_status status = broken == w->n ? XT_STATUS_OK
                                    : cpu_find_not_finite(parts, n_parts, broken, broken + 1, true, error);
  if (!status) status = onednn_weight_create(b->onednn, DTYPE_BF16, w->n, w->k, rows, &w->onednn, error);
  if (!status) w->bytes = onednn_weight_bytes(w->onednn);
  cpu_block_free(rows);
  return status;
}

xt_status cpu_weight_create(Backend *backend, const MatrixSource *parts, int n_parts, Weight **out, xt_error *error) {
  const CpuBackend *b = cpu_of(backend);
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  Weight *w;
  TRY(mem_alloc(&w, 1, sizeof *w, error));
  for (int p = 0; p < n_parts; p++) w->n += parts[p].rows;
  w->k = parts->cols;
  w->type = backend->compute == XT_COMPUTE_BF16 ? DTYPE_BF16 : parts->dtype;
  const xt_status status = b->onednn ? make_onednn(b, parts, n_parts, w, error) : make_panels(b, parts, n_parts, w, error);
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
  free(w);
}

size_t cpu_weight_bytes(const Weight *w) { return w->bytes; }

/* ---- the product ---- */

#define MOST_GROUPS 512
#define LEAST_PANELS 3 /* of a group: fewer would not pay for packing the rows */

typedef struct Product {
  const CpuBackend *b;
  const Weight *w;
  const float *x, *bias;
  float *y;
  int m;
  int row_blocks, rows;     /* rows of a block */
  int groups;
  int first_panel[MOST_GROUPS + 1]; /* [groups + 1] */
} Product;

static void run(const Product *p, const float *a, size_t lda, int row, int rows, int panel, int panels, int k) {
  const Weight *w = p->w;
  const int columns = p->b->kernels->tile_columns, first = panel * columns;
  const int depth = w->k - k < BACKEND_K_BLOCK ? w->k - k : BACKEND_K_BLOCK;
  const GemmArgs g = {
      .a = a, .lda = lda, .rows = rows, .depth = depth, .type = w->type,
      .columns = w->n - first < panels * columns ? w->n - first : panels * columns,
      .b = w->data + (size_t)panel * w->panel_stride + (size_t)k * (size_t)columns * half_size(w->type),
      .panel_stride = w->panel_stride,
      .c = p->y + (size_t)row * (size_t)w->n + first, .ldc = (size_t)w->n, .accumulate = k > 0,
      .bias = p->bias && k + depth == w->k ? p->bias + first : NULL};
  p->b->kernels->gemm(&g);
}

/* Rows [row, row+rows) of x, columns [k, k + BACKEND_K_BLOCK), side by side. */
static void pack_rows(const Product *p, float *to, int row, int rows, int k) {
  const size_t width = (size_t)p->w->k;
  const size_t depth = width - (size_t)k < BACKEND_K_BLOCK ? width - (size_t)k : BACKEND_K_BLOCK;
  const float *from = p->x + (size_t)row * width + k;
  for (int r = 0; r < rows; r++, to += CPU_PACKED_LD, from += width) {
    if (p->b->base.compute == XT_COMPUTE_BF16) p->b->kernels->round_bf16(to, from, depth);
    else memcpy(to, from, depth * sizeof *to);
  }
}

static void product_part(void *context, size_t item, int thread) {
  const Product *p = context;
  const Weight *w = p->w;
  /* Row blocks of one group follow each other: its panels are then read from the shared cache. */
  const int block = (int)item % p->row_blocks, group = (int)item / p->row_blocks;
  const int row = block * p->rows, rows = p->m - row < p->rows ? p->m - row : p->rows;
  const int first = p->first_panel[group], end = p->first_panel[group + 1];
  const int blocks = (w->k + BACKEND_K_BLOCK - 1) / BACKEND_K_BLOCK;
  float *packed = cpu_scratch(p->b, thread);
  if (rows <= 0) return;
  if (rows <= 4 && p->b->base.compute != XT_COMPUTE_BF16) {
    /* Few rows: the weights' speed from memory decides. Read x in place, panels from end to end. */
    const int together = rows == 1 ? 3 : rows == 2 ? 2 : 1;
    for (int q = first; q < end; q += together)
      for (int k = 0; k < w->k; k += BACKEND_K_BLOCK)
        run(p, p->x + (size_t)row * (size_t)w->k + k, (size_t)w->k, row, rows, q, end - q < together ? end - q : together, k);
  } else if (rows * blocks <= CPU_ROW_BLOCK) { /* all of K fits packed */
    const size_t step = (size_t)rows * CPU_PACKED_LD;
    for (int i = 0; i < blocks; i++) pack_rows(p, packed + (size_t)i * step, row, rows, i * BACKEND_K_BLOCK);
    for (int q = first; q < end; q++)
      for (int i = 0; i < blocks; i++)
        run(p, packed + (size_t)i * step, CPU_PACKED_LD, row, rows, q, 1, i * BACKEND_K_BLOCK);
  } else {
    for (int k = 0; k < w->k; k += BACKEND_K_BLOCK) {
      pack_rows(p, packed, row, rows, k);
      run(p, packed, CPU_PACKED_LD, row, rows, first, end - first, k);
    }
  }
}

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
    parallel_for(rows < 8 ? 1 : b->base.threads, (size_t)rows, narrow_activations, &a);
    if (!onednn_multiply(b->onednn, w->onednn, b->narrow, a.y, rows)) /* no memory at all: let nobody take it for a result */
      for (size_t i = 0; i < (size_t)rows * a.n; i++) a.y[i] = NAN;
    if (bias) parallel_for(rows < 8 ? 1 : b->base.threads, (size_t)rows, add_bias, &a);
  }
}

/* Groups of panels, each a part of what is left: large ones first, which pay for packing their rows, small ones
 * last, so that the threads end together. */
static void divide_panels(Product *p, int threads) {
  const int share = 2 * threads > p->row_blocks ? (2 * threads + p->row_blocks - 1) / p->row_blocks : 1;
  int at = 0;
  p->groups = 0;
  while (at < p->w->panels) {
    const int left = p->w->panels - at;
    int panels = threads == 1 ? left : (left + share) / (share + 1);
    if (panels < LEAST_PANELS) panels = LEAST_PANELS;
    if (panels > left || p->groups == MOST_GROUPS - 1) panels = left;
    p->first_panel[p->groups++] = at;
    at += panels;
  }
  p->first_panel[p->groups] = at;
}

void cpu_matmul(Backend *backend, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  if (m <= 0) return;
  const CpuBackend *b = cpu_of(backend);
  if (w->onednn) {
    onednn_product(b, cpu_floats(y), cpu_floats(x), w, cpu_floats(bias), m);
    return;
  }
  Product p = {.b = b, .w = w, .x = cpu_floats(x), .y = cpu_floats(y), .bias = cpu_floats(bias), .m = m};
  const int tile = b->kernels->tile_rows;
  p.row_blocks = (m + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK;
  p.rows = (m + p.row_blocks - 1) / p.row_blocks;
  if (p.row_blocks > 1) p.rows = (p.rows + tile - 1) / tile * tile;
  p.row_blocks = (m + p.rows - 1) / p.rows;
  divide_panels(&p, backend->threads);
  parallel_for(backend->threads, (size_t)p.groups * (size_t)p.row_blocks, product_part, &p);
}
