/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, values and attention.
 *
 * The shared prefix is stored as the matrix product wants it, for each layer and kv head:
 *     keys   [panel of positions][head_dim][tile_columns]
 *     values [panel of head_dim ][position][tile_columns]
 * so that attention of many rows over it is two products with a softmax between. The query heads of
 * one kv head are stacked: stacked row s is query head s % group of row s / group.
 * Private positions: [layer][slot][key | value][kv_heads * head_dim], as many slots in each layer
 * as were asked for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "base/parallel.h"

/* Stacked rows of one part of the work, and the scores they may have together, which stay in the L2
 * cache. */
#define ATTEND_ROWS 48
#define ATTEND_SCORES 65536

struct KvPrefix {
  KvShape shape;
  int capacity;      /* a multiple of `align` */
  int align;         /* of the first position looked at: of panels and of the 16 lanes */
  int rows;          /* stacked rows of one part */
  size_t keys, head; /* floats of one head's keys; of one head */
  float *data;
};

struct KvTail {
  KvShape shape;
  size_t slot_stride; /* floats */
  float *data;
  size_t layer_at[]; /* [layers] first float of each */
};

static size_t scratch_floats(int head_dim, int rows, int span) {
  return (size_t)rows * (3 * ((size_t)head_dim + 16) + (size_t)span + 16 + 4) + 64;
}

/* ---- shared prefix --------------------------------------------------------------------------- */

xt_status cpu_each_prefix(Backend *b, KvShape shape, const int *capacities, int count,
                          xt_status (*make)(Backend *, KvShape, int capacity, KvPrefix **out,
                                            xt_error *),
                          KvPrefix **out, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i < count; i++) out[i] = NULL;
  for (int i = 0; i < count && !status; i++) status = make(b, shape, capacities[i], &out[i], error);
  for (int i = 0; i < count && status; i++) {
    b->ops->prefix_release(b, out[i]);
    out[i] = NULL;
  }
  return status;
}

static xt_status make_prefix(Backend *backend, KvShape shape, int capacity, KvPrefix **out,
                             xt_error *error) {
  CpuBackend *b = cpu_of(backend);
  *out = NULL;
  TRY(cpu_check_kv(shape, capacity, error));
  const int columns = b->kernels->tile_columns, tile = b->kernels->tile_rows;
  const int align = columns > 16 ? columns : 16;
  if (capacity > INT32_MAX - align) return err_memory(error, SIZE_MAX);
  KvPrefix *p;
  TRY(MEM_ALLOC(&p, 1, error));
  p->shape = shape;
  p->align = align;
  p->capacity = (capacity + align - 1) / align * align;
  p->rows = ATTEND_SCORES / p->capacity / tile * tile;
  p->rows = p->rows < tile ? tile : p->rows > ATTEND_ROWS ? ATTEND_ROWS : p->rows;
  const size_t width = (size_t)((shape.head_dim + columns - 1) / columns * columns);
  p->keys = (size_t)p->capacity * (size_t)shape.head_dim;
  p->head = p->keys + (size_t)p->capacity * width;
  const size_t heads = (size_t)shape.layers * (size_t)shape.kv_heads;
  xt_status status = XT_STATUS_OK;
  if (p->head > SIZE_MAX / sizeof(float) / heads) TRY_DONE(err_memory(error, SIZE_MAX));
  TRY_DONE(cpu_block_create(p->head * heads * sizeof(float), &p->data, error));
  TRY_DONE(cpu_scratch_reserve(b, scratch_floats(shape.head_dim, p->rows, p->capacity), error));
  *out = p;
  return XT_STATUS_OK;
done:
  cpu_prefix_release(backend, p);
  return status;
}

xt_status cpu_prefix_create(Backend *b, KvShape shape, const int *capacities, int count,
                            KvPrefix **out, xt_error *error) {
  return cpu_each_prefix(b, shape, capacities, count, make_prefix, out, error);
}

void cpu_prefix_release(Backend *backend, KvPrefix *p) {
  (void)backend;
  if (!p) return;
  cpu_block_free(p->data);
  free(p);
}

static float *prefix_head(const KvPrefix *p, int layer, int head) {
  return p->data + ((size_t)layer * (size_t)p->shape.kv_heads + (size_t)head) * p->head;
}

typedef struct Store {
  KvPrefix *prefix;
  const float *k, *v;
  size_t ld;
  int layer, m, first, columns;
} Store;

static void store_head(void *context, size_t head, int thread) {
  const Store *s = context;
  (void)thread;
  const KvPrefix *p = s->prefix;
  const int d = p->shape.head_dim, columns = s->columns;
  float *keys = prefix_head(p, s->layer, (int)head), *values = keys + p->keys;
  for (int r = 0; r < s->m; r++) {
    const int at = s->first + r;
    const float *k = s->k + (size_t)r * s->ld + head * (size_t)d,
                *v = s->v + (size_t)r * s->ld + head * (size_t)d;
    float *to = keys + (size_t)(at / columns) * (size_t)(d * columns) + at % columns;
    for (int i = 0; i < d; i++) to[(size_t)i * (size_t)columns] = k[i];
    for (int i = 0; i < d; i += columns) {
      const int n = d - i < columns ? d - i : columns;
      memcpy(values + (size_t)i * (size_t)p->capacity + (size_t)at * (size_t)columns, v + i,
             (size_t)n * sizeof *v);
    }
  }
}

void cpu_prefix_store(Backend *backend, KvPrefix *p, int layer, Dev k, Dev v, int ld, int m,
                      int first) {
  if (m <= 0) return;
  Store s = {p,
             cpu_floats(k),
             cpu_floats(v),
             (size_t)ld,
             layer,
             m,
             first,
             cpu_of(backend)->kernels->tile_columns};
  const size_t floats = (size_t)m * (size_t)(p->shape.kv_heads * p->shape.head_dim);
  parallel_for(floats < 8192 ? NULL : backend->pool, (size_t)p->shape.kv_heads, store_head, &s);
}

/* Positions are panels of keys, and rows of each panel of values. A panel that is copied in part is
 * written whole: what stands after position `count` is written before it is read, or is never
 * seen. */
void cpu_prefix_copy(Backend *backend, KvPrefix *to, const KvPrefix *from, int count) {
  const size_t columns = (size_t)cpu_of(backend)->kernels->tile_columns,
               d = (size_t)to->shape.head_dim, n = (size_t)count;
  const size_t keys = (n + columns - 1) / columns * columns * d;
  for (int l = 0; l < to->shape.layers; l++)
    for (int h = 0; h < to->shape.kv_heads; h++) {
      float *k = prefix_head(to, l, h), *v = k + to->keys;
      const float *from_k = prefix_head(from, l, h), *from_v = from_k + from->keys;
      memcpy(k, from_k, keys * sizeof *k);
      for (size_t i = 0; i < d; i += columns)
        memcpy(v + i * (size_t)to->capacity, from_v + i * (size_t)from->capacity,
               n * columns * sizeof *v);
    }
}

/* ---- private tails --------------------------------------------------------------------------- */

xt_status cpu_tail_create(Backend *backend, KvShape shape, const int32_t *slots, KvTail **out,
                          xt_error *error) {
  *out = NULL;
  TRY(cpu_check_kv(shape, 1, error));
  KvTail *t;
  TRY(mem_alloc(&t, 1, sizeof *t + (size_t)shape.layers * sizeof *t->layer_at, error));
  t->shape = shape;
  t->slot_stride = 2 * (size_t)shape.kv_heads * (size_t)shape.head_dim;
  xt_status status = XT_STATUS_OK;
  size_t total = 0;
  for (int l = 0; l < shape.layers; l++) {
    t->layer_at[l] = total * t->slot_stride;
    if (slots[l] < 0)
      TRY_DONE(err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "layer %d: %d slots", l,
                       (int)slots[l]));
    total += (size_t)slots[l]; /* < 2^31 * 2^31 */
    if (total > SIZE_MAX / 16 / t->slot_stride) TRY_DONE(err_memory(error, SIZE_MAX));
  }
  TRY_DONE(cpu_block_create(total * t->slot_stride * sizeof(float), &t->data, error));
  TRY_DONE(
      cpu_scratch_reserve(cpu_of(backend), scratch_floats(shape.head_dim, ATTEND_ROWS, 0), error));
  *out = t;
  return XT_STATUS_OK;
done:
  cpu_tail_release(backend, t);
  return status;
}

void cpu_tail_release(Backend *backend, KvTail *t) {
  (void)backend;
  if (!t) return;
  cpu_block_free(t->data);
  free(t);
}

void cpu_tail_store(Backend *backend, KvTail *t, int layer, Dev k, Dev v, int ld, int m,
                    IndexList list) {
  const int32_t *slots = cpu_ints(list);
  (void)backend; /* a few kilobytes per row: not worth waking threads */
  const size_t width = t->slot_stride / 2;
  for (int r = 0; r < m; r++) {
    float *to = t->data + t->layer_at[layer] + (size_t)slots[r] * t->slot_stride;
    memcpy(to, cpu_floats(k) + (size_t)r * (size_t)ld, width * sizeof *to);
    memcpy(to + width, cpu_floats(v) + (size_t)r * (size_t)ld, width * sizeof *to);
  }
}

/* ---- attention ------------------------------------------------------------------------------- */

/* Some rows of the call, and how they are cut up. */
typedef struct AttendCut {
  int begin; /* first row */
  const KvPrefix *prefix;
  KvShape shape;
  int group;                /* query heads of a kv head */
  int stacked, rows, parts; /* stacked rows, those of one part, parts of a kv head */
  size_t first_item, items; /* parts of all kv heads */
} AttendCut;

#define ATTEND_CUTS 64 /* spans whose parts are dealt to threads together */

typedef struct Attend {
  const CpuBackend *b;
  const AttendArgs *args;
  /* the call's lists; NULL: none */
  const int32_t *prefix_begin, *prefix_end, *tail_slots, *tail_begin, *tail_end;
  AttendCut cuts[ATTEND_CUTS];
  int count;
} Attend;

/* One part's stacked rows while they are worked on; [rows][ld] each but the last four. */
typedef struct Part {
  const Attend *all;
  const AttendCut *cut;
  int head, first, count; /* kv head, first stacked row of the cut */
  size_t ld;
  float *q, *shared, *own, *scores;
  float *shared_max, *shared_sum, *own_max, *own_sum;
} Part;

/* Stacked row i of the part: its row of the call, its query head. */
static int row_of(const Part *p, int i) { return p->cut->begin + (p->first + i) / p->cut->group; }
static int head_of(const Part *p, int i) {
  return p->head * p->cut->group + (p->first + i) % p->cut->group;
}

static void gather_queries(const Part *p) {
  const AttendArgs *a = p->all->args;
  const size_t d = (size_t)p->cut->shape.head_dim;
  for (int i = 0; i < p->count; i++) {
    const int r = row_of(p, i), h = head_of(p, i);
    memcpy(p->q + (size_t)i * d, cpu_floats(a->q) + (size_t)r * (size_t)a->ld_q + (size_t)h * d,
           d * sizeof(float));
  }
}

/* [*begin, *end): the prefix positions of stacked row i of the part; empty: begin == end == 0. */
static void visible(const Part *p, int i, int *begin, int *end) {
  const Attend *a = p->all;
  const int r = row_of(p, i);
  *begin = a->prefix_begin ? a->prefix_begin[r] : 0;
  *end = a->prefix_end ? a->prefix_end[r] : 0;
  if (*begin >= *end) *begin = *end = 0;
}

/* The positions of the prefix that any of the part's rows sees; the rows' sums begin at 0. *to is
 * 0: none. */
static void seen_of_shared(const Part *p, int *from, int *to) {
  *from = INT32_MAX;
  *to = 0;
  for (int i = 0; i < p->count; i++) {
    int begin, end;
    visible(p, i, &begin, &end);
    p->shared_sum[i] = 0;
    if (begin == end) continue;
    if (begin < *from) *from = begin;
    if (end > *to) *to = end;
  }
}

static void attend_shared(const Part *p) {
  const AttendArgs *a = p->all->args;
  const KvPrefix *kv = p->cut->prefix;
  const Kernels *kernels = p->all->b->kernels;
  const int d = kv->shape.head_dim, columns = kernels->tile_columns;
  int from, to;
  seen_of_shared(p, &from, &to);
  if (to == 0) return;
  from -= from % kv->align;
  const float *keys = prefix_head(kv, a->layer, p->head), *values = keys + kv->keys;
  const size_t ld = (size_t)kv->capacity + 16;
  const GemmArgs scores = {.a = p->q,
                           .lda = (size_t)d,
                           .rows = p->count,
                           .depth = d,
                           .type = DTYPE_F32,
                           /* whole panels: softmax drops the rest */
                           .columns = (to - from + columns - 1) / columns * columns,
                           .b = keys + (size_t)from * (size_t)d,
                           .panel_stride = (size_t)(d * columns) * sizeof(float),
                           .c = p->scores,
                           .ldc = ld};
  kernels->gemm(&scores);
  for (int i = 0; i < p->count; i++) {
    int begin, end;
    visible(p, i, &begin, &end);
    float *s = p->scores + (size_t)i * ld, scale = a->scale;
    if (begin == end) begin = end = from;
    if (a->cap != 0 || a->slopes) {
      kernels->bend(s, to - from, scale, a->cap, a->slopes ? a->slopes[head_of(p, i)] : 0, from);
      scale = 1;
    }
    kernels->softmax(s, to - from, begin - from, end - from, scale, &p->shared_max[i],
                     &p->shared_sum[i]);
  }
  /* From +0, so that blocks of zeros before a row's range leave no trace, not even a sign. */
  memset(p->shared, 0, (size_t)p->count * p->ld * sizeof *p->shared);
  for (int k = from; k < to;) {
    const int next = (k / BACKEND_K_BLOCK + 1) * BACKEND_K_BLOCK, end = next < to ? next : to;
    const GemmArgs weighted = {.a = p->scores + (k - from),
                               .lda = ld,
                               .rows = p->count,
                               .depth = end - k,
                               .type = DTYPE_F32,
                               .columns = d,
                               .b = values + (size_t)k * (size_t)columns,
                               .panel_stride =
                                   (size_t)kv->capacity * (size_t)columns * sizeof(float),
                               .c = p->shared,
                               .ldc = p->ld,
                               .add = p->shared,
                               .ld_add = p->ld};
    kernels->gemm(&weighted);
    k = end;
  }
}

/* The private positions of one row, for its stacked rows from i on. */
static void attend_own(const Part *p, int i, int heads) {
  const Attend *all = p->all;
  const AttendArgs *a = all->args;
  const KvTail *t = a->tail;
  const size_t d = (size_t)t->shape.head_dim;
  const int r = row_of(p, i);
  const int begin = all->tail_begin ? all->tail_begin[r] : 0, end = all->tail_end[r];
  const TailArgs own = {.q = p->q + (size_t)i * d,
                        .heads = heads,
                        .head_dim = (int)d,
                        .keys = t->data + t->layer_at[a->layer] + (size_t)p->head * d,
                        .slot_stride = t->slot_stride,
                        .value_offset = t->slot_stride / 2,
                        .slots = all->tail_slots + (size_t)r * (size_t)a->tail_ld + begin,
                        .count = end > begin ? end - begin : 0,
                        .scale = a->scale,
                        .cap = a->cap,
                        .slopes = a->slopes ? a->slopes + head_of(p, i) : NULL,
                        .position = (all->prefix_end ? all->prefix_end[r] : 0) + begin,
                        .out = p->own + (size_t)i * d,
                        .largest = p->own_max + i,
                        .sum = p->own_sum + i};
  p->all->b->kernels->tail(&own);
}

static void finish(const Part *p, int i) {
  const Attend *all = p->all;
  const AttendArgs *a = all->args;
  const size_t d = (size_t)p->cut->shape.head_dim;
  const int r = row_of(p, i), h = head_of(p, i);
  float *out = cpu_floats(a->out) + ((size_t)r * (size_t)a->heads + (size_t)h) * d;
  const float *shared = p->shared + (size_t)i * p->ld, *own = p->own + (size_t)i * d;
  const float s = p->cut->prefix ? p->shared_sum[i] : 0, o = a->tail ? p->own_sum[i] : 0;
  const Kernels *k = all->b->kernels;
  if (s > 0 && o > 0) {
    const float top = p->shared_max[i] > p->own_max[i] ? p->shared_max[i] : p->own_max[i];
    const float keep = k->exponential(p->shared_max[i] - top),
                gain = k->exponential(p->own_max[i] - top);
    k->merge(out, shared, keep, own, gain, 1.0f / (s * keep + o * gain), d);
  } else if (s > 0)
    k->merge(out, shared, 1, NULL, 0, 1.0f / s, d);
  else if (o > 0)
    k->merge(out, own, 1, NULL, 0, 1.0f / o, d);
  else
    memset(out, 0, d * sizeof *out); /* sees nothing */
}

static void attend_part(void *context, size_t item, int thread) {
  const Attend *all = context;
  int c = 0;
  while (item >= all->cuts[c].first_item + all->cuts[c].items) c++;
  const AttendCut *cut = &all->cuts[c];
  const int part = (int)(item - cut->first_item);
  const size_t d = (size_t)cut->shape.head_dim, rows = (size_t)cut->rows;
  Part p = {.all = all,
            .cut = cut,
            .head = part / cut->parts,
            .first = part % cut->parts * cut->rows,
            .ld = d + 16};
  p.count = cut->stacked - p.first < cut->rows ? cut->stacked - p.first : cut->rows;
  if (p.count <= 0) return;
  p.q = cpu_scratch(all->b, thread);
  p.shared = p.q + rows * d;
  p.own = p.shared + rows * p.ld;
  p.shared_max = p.own + rows * d;
  p.shared_sum = p.shared_max + rows;
  p.own_max = p.shared_sum + rows;
  p.own_sum = p.own_max + rows;
  p.scores = p.own_sum + rows;
  gather_queries(&p);
  if (cut->prefix) attend_shared(&p);
  for (int i = 0; all->args->tail && i < p.count;) {
    int heads = cut->group - (p.first + i) % cut->group;
    if (heads > p.count - i) heads = p.count - i;
    attend_own(&p, i, heads);
    i += heads;
  }
  for (int i = 0; i < p.count; i++) finish(&p, i);
}

static AttendCut cut_span(const Attend *all, const AttendSpan *span, size_t first_item) {
  const AttendArgs *args = all->args;
  const int tile = all->b->kernels->tile_rows,
            most = span->prefix ? span->prefix->rows : ATTEND_ROWS;
  AttendCut cut = {.begin = span->first,
                   .prefix = span->prefix,
                   .shape = span->prefix ? span->prefix->shape : args->tail->shape,
                   .first_item = first_item};
  cut.group = args->heads / cut.shape.kv_heads;
  cut.stacked = span->rows * cut.group;
  cut.parts = (cut.stacked + most - 1) / most;
  cut.rows = (cut.stacked + cut.parts - 1) / cut.parts;
  if (cut.parts > 1) cut.rows = (cut.rows + tile - 1) / tile * tile;
  cut.parts = (cut.stacked + cut.rows - 1) / cut.rows;
  cut.items = (size_t)cut.parts * (size_t)cut.shape.kv_heads;
  return cut;
}

void cpu_attend(Backend *backend, const AttendArgs *args) {
  Attend all = {.b = cpu_of(backend),
                .args = args,
                .prefix_begin = cpu_ints(args->prefix_begin),
                .prefix_end = cpu_ints(args->prefix_end),
                .tail_slots = cpu_ints(args->tail_slots),
                .tail_begin = cpu_ints(args->tail_begin),
                .tail_end = cpu_ints(args->tail_end)};
  size_t items = 0;
  for (int s = 0; s < args->span_count; s++) {
    if (args->spans[s].rows > 0 && (args->spans[s].prefix || args->tail)) {
      all.cuts[all.count] = cut_span(&all, &args->spans[s], items);
      items += all.cuts[all.count++].items;
    }
    if (all.count < ATTEND_CUTS && s + 1 < args->span_count) continue;
    parallel_for(backend->pool, items, attend_part, &all);
    all.count = 0;
    items = 0;
  }
}
