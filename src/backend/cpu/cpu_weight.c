/* SPDX-License-Identifier: Apache-2.0 */
/* Weights packed into panels: see cpu_matmul.c for what a panel is. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_weight.h"
#include "files/dtype.h"
#include "backend/cpu/quantised.h"
#include "base/mem.h"
#include "base/parallel.h"

#define PACK_STRIP \
  DTYPE_BLOCK_MAX /* values of a row that are packed at
                                                            once: whole blocks of any type */

typedef struct Pack {
  const MatrixSource *parts;
  int n_parts;
  const Weight *w;
  int columns, lanes;       /* of a panel */
  int pairs;                /* 1: a panel holds pairs (PairKernels), 0: single values */
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
  return (StackedRow){(const char *)s->data + (size_t)matrix_source_place(s, n) *
                                                  dtype_bytes(s->dtype, (size_t)s->cols),
                      s->dtype};
}

/* Copies `count` values of a row into every `step`-th place of the panel; with pairs 1, two side by
 * side. False: one is not finite. */
static bool pack_words(uint16_t *to, int step, int pairs, const char *from, int count,
                       uint16_t exponent) {
  unsigned broken = 0;
  for (int i = 0; i < count; i++) {
    uint16_t h;
    memcpy(&h, from + 2 * i, sizeof h);
    broken |= (h & exponent) == exponent;
    to[(i >> pairs) * step + (i & pairs)] = h;
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
static bool pack_rounded(uint16_t *to, int step, int pairs, const char *from, Dtype type,
                         int count) {
  unsigned broken = 0;
  for (int i = 0; i < count; i++) {
    const uint16_t h = dtype_to_bf16(dtype_load(from, type, (size_t)i));
    broken |= (h & 0x7f80) == 0x7f80;
    to[(i >> pairs) * step + (i & pairs)] = h;
  }
  return !broken;
}

/* Values [k, k + depth) of a row, k even, into a panel's column; quantised ones are whole blocks. */
static bool pack_strip(char *out, Dtype type, int columns, int pairs, StackedRow row, int k,
                       int depth) {
  const char *at = row.at + dtype_bytes(row.type, (size_t)k);
  float wide[PACK_STRIP];
  uint16_t *words = (uint16_t *)(void *)out;
  const int step = columns << pairs;
  if (row.type != type && (type == DTYPE_F32 || dtype_is_quantised(row.type))) {
    dtype_widen(row.type, at, (size_t)depth, wide);
    at = (const char *)wide;
    row.type = DTYPE_F32;
  }
  if (type == DTYPE_F32) return pack_floats((uint32_t *)(void *)out, columns, at, depth);
  if (type != row.type) return pack_rounded(words, step, pairs, at, row.type, depth);
  return pack_words(words, step, pairs, at, depth, type == DTYPE_F16 ? 0x7c00 : 0x7f80);
}

static int panel_slot(const Pack *p, int column) {
  return p->pairs ? 2 * column : kernels_panel_slot(column, p->lanes, p->w->type);
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
      fine &= pack_strip(out + (size_t)panel_slot(p, j) * dtype_size(w->type), w->type, p->columns,
                         p->pairs, rows[j], k, depth);
  }
  if (fine) return;
  int known = atomic_load(&p->first_broken);
  while ((int)item < known && !atomic_compare_exchange_weak(&p->first_broken, &known, (int)item)) {
  }
}

static xt_status check_product(const CpuBackend *b, const Weight *w, xt_error *error) {
  if (w->panels <= CPU_MOST_PANELS && w->k <= (int)CPU_PACKED_ROWS * BACKEND_K_BLOCK)
    return XT_STATUS_OK;
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                 "a product of %d columns and depth %d; at most %d and %d are possible", w->n, w->k,
                 CPU_MOST_PANELS * b->kernels->tile_columns,
                 (int)CPU_PACKED_ROWS * BACKEND_K_BLOCK);
}

/* Panels of n columns from the parts; finite values only. */
static xt_status make_panels(const CpuBackend *b, const MatrixSource *parts, int n_parts, Weight *w,
                             xt_error *error) {
  const int columns = b->kernels->tile_columns;
  w->panels = (w->n + columns - 1) / columns;
  TRY(check_product(b, w, error));
  const int depth = b->pairs ? (w->k + 1) / 2 * 2 : w->k;
  w->panel_stride = (size_t)depth * (size_t)columns * dtype_size(w->type);
  w->bytes = w->panel_stride * (size_t)w->panels;
  TRY(cpu_block_create(w->bytes, &w->data, error));
  Pack p = {.parts = parts,
            .n_parts = n_parts,
            .w = w,
            .columns = columns,
            .lanes = b->kernels->lanes,
            .pairs = b->pairs != NULL};
  atomic_init(&p.first_broken, w->panels);
  parallel_for(b->base.pool, (size_t)w->panels, pack_panel, &p);
  const int broken = atomic_load(&p.first_broken);
  if (broken == w->panels) return XT_STATUS_OK;
  return cpu_find_not_finite(parts, n_parts, broken * columns, (broken + 1) * columns,
                             b->base.compute, error);
}

static void pack_quantised(void *context, size_t item, int thread) {
  Pack *p = context;
  (void)thread;
  const QuantisedPanel *panel = &p->w->quantised[item];
  bool fine = true;
  for (int j = 0; j < panel->columns; j++)
    fine &= quantised_pack(panel->type, stacked_row(p, panel->first + j).at, p->w->k, panel->at,
                           p->columns, j);
  if (fine) return;
  int known = atomic_load(&p->first_broken);
  while ((int)item < known && !atomic_compare_exchange_weak(&p->first_broken, &known, (int)item)) {
  }
}

/* Panels of quantised parts, each of its own type. */
static xt_status make_quantised(const CpuBackend *b, const MatrixSource *parts, int n_parts,
                                Weight *w, xt_error *error) {
  const int columns = b->kernels->tile_columns;
  for (int i = 0; i < n_parts; i++) w->panels += (parts[i].rows + columns - 1) / columns;
  TRY(check_product(b, w, error));
  TRY(MEM_ALLOC(&w->quantised, (size_t)w->panels, error));
  QuantisedPanel *panel = w->quantised;
  int first = 0;
  for (int i = 0; i < n_parts; first += parts[i].rows, i++)
    for (int row = 0; row < parts[i].rows; row += columns, panel++) {
      const QuantisedFormat *f = quantised_format(parts[i].dtype);
      *panel = (QuantisedPanel){(char *)w->bytes, parts[i].dtype, first + row,
                                parts[i].rows - row < columns ? parts[i].rows - row : columns};
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
  return cpu_find_not_finite(parts, n_parts, panel->first, panel->first + panel->columns,
                             b->base.compute, error);
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

xt_status cpu_weight_create(Backend *backend, const MatrixSource *parts, int n_parts, Weight **out,
                            xt_error *error) {
  const CpuBackend *b = cpu_of(backend);
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  Weight *w;
  TRY(MEM_ALLOC(&w, 1, error));
  for (int p = 0; p < n_parts; p++) w->n += parts[p].rows;
  w->k = parts->cols;
  w->type = backend->compute == XT_COMPUTE_BF16 ? DTYPE_BF16 : common_type(parts, n_parts);
  xt_status status;
  /* Products of pairs are so fast that to expand and to round a panel each time takes longer than
   * to read it rounded. */
  if (all_quantised(parts, n_parts) && !b->pairs)
    status = make_quantised(b, parts, n_parts, w, error);
  else
    status = make_panels(b, parts, n_parts, w, error);
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
  cpu_block_free(w->data);
  free(w->quantised);
  free(w);
}

size_t cpu_weight_bytes(const Weight *w) { return w->bytes; }
