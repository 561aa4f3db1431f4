/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, values and attention. A prefix: [layer][kv head], keys [capacity][head_dim] and values
 * [head_dim][capacity], so that scores and weighted values are both a product of rows with rows.
 * Private positions: [layer][slot][key | value][kv_heads * head_dim]. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_checks.h"
#include "backend/gpu/gpu_backend.h"
#include "base/mem.h"

struct KvPrefix {
  KvShape shape;
  int capacity; /* a multiple of 4 */
  GpuBuffer *data;
};

struct KvTail {
  KvShape shape;
  GpuBuffer *data;
  gpu_size layer_at[]; /* [layers] first float of each */
};

xt_status gpu_prefix_create(Backend *backend, KvShape shape, int capacity, KvPrefix **out,
                            xt_error *error) {
  KvPrefix *p;
  *out = NULL;
  TRY(cpu_check_kv(shape, capacity, error));
  if (capacity > INT32_MAX - 4) return err_memory(error, SIZE_MAX);
  TRY(MEM_ALLOC(&p, 1, error));
  p->shape = shape;
  p->capacity = (capacity + 3) / 4 * 4;
  const size_t heads = (size_t)shape.layers * (size_t)shape.kv_heads,
               floats = (size_t)p->capacity * 2 * (size_t)shape.head_dim;
  xt_status status = floats > SIZE_MAX / 8 / heads ? err_memory(error, SIZE_MAX) : XT_STATUS_OK;
  if (!status)
    status = gpu_buffer(gpu_of(backend)->device, heads * floats * sizeof(float), &p->data, error);
  if (status)
    free(p);
  else
    *out = p;
  return status;
}

void gpu_prefix_release(Backend *backend, KvPrefix *p) {
  if (!p) return;
  gpu_buffer_free(gpu_of(backend)->device, p->data);
  free(p);
}

static gpu_size prefix_layer(const KvPrefix *p, int layer) {
  return (gpu_size)layer * (gpu_size)p->shape.kv_heads * 2 * (gpu_size)p->capacity *
         (gpu_size)p->shape.head_dim;
}

void gpu_prefix_store(Backend *backend, KvPrefix *p, int layer, Dev k, Dev v, int ld, int m,
                      int first) {
  GpuBackend *b = gpu_of(backend);
  if (m <= 0) return;
  const GpuPlace key = gpu_place(k), value = gpu_place(v);
  const GpuPrefixStore args = {.k = key.at,
                               .v = value.at,
                               .at = prefix_layer(p, layer),
                               .ld = ld,
                               .m = m,
                               .first = first,
                               .kv_heads = p->shape.kv_heads,
                               .head_dim = p->shape.head_dim,
                               .capacity = p->capacity};
  const uint64_t floats = (uint64_t)m * (uint64_t)p->shape.kv_heads * (uint64_t)p->shape.head_dim;
  GPU_LAUNCH(b, prefix_store, gpu_groups(floats), 1, 1, 256, args, p->data, key.buffer,
             value.buffer);
}

void gpu_prefix_copy(Backend *backend, KvPrefix *to, const KvPrefix *from, int count) {
  GpuBackend *b = gpu_of(backend);
  if (count <= 0) return;
  const GpuPrefixCopy args = {.heads = to->shape.layers * to->shape.kv_heads,
                              .head_dim = to->shape.head_dim,
                              .to_capacity = to->capacity,
                              .from_capacity = from->capacity,
                              .count = count};
  const uint64_t floats = (uint64_t)args.heads * (uint64_t)args.head_dim * (uint64_t)count;
  GPU_LAUNCH(b, prefix_copy, gpu_groups(floats), 1, 1, 256, args, to->data, from->data);
}

xt_status gpu_tail_create(Backend *backend, KvShape shape, const int32_t *slots, KvTail **out,
                          xt_error *error) {
  KvTail *t;
  *out = NULL;
  TRY(cpu_check_kv(shape, 1, error));
  TRY(mem_alloc(&t, 1, sizeof *t + (size_t)shape.layers * sizeof *t->layer_at, error));
  t->shape = shape;
  const size_t stride = 2 * (size_t)shape.kv_heads * (size_t)shape.head_dim;
  xt_status status = XT_STATUS_OK;
  size_t total = 0;
  for (int l = 0; l < shape.layers && !status; l++) {
    t->layer_at[l] = total * stride;
    if (slots[l] < 0)
      status = err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "layer %d: %d slots", l,
                       (int)slots[l]);
    else
      total += (size_t)slots[l];
    if (!status && total > SIZE_MAX / 16 / stride) status = err_memory(error, SIZE_MAX);
  }
  if (!status)
    status = gpu_buffer(gpu_of(backend)->device, total * stride * sizeof(float), &t->data, error);
  if (status)
    free(t);
  else
    *out = t;
  return status;
}

void gpu_tail_release(Backend *backend, KvTail *t) {
  if (!t) return;
  gpu_buffer_free(gpu_of(backend)->device, t->data);
  free(t);
}

void gpu_tail_store(Backend *backend, KvTail *t, int layer, Dev k, Dev v, int ld, int m,
                    IndexList slots) {
  GpuBackend *b = gpu_of(backend);
  if (m <= 0) return;
  const int width = t->shape.kv_heads * t->shape.head_dim;
  const GpuPlace key = gpu_place(k), value = gpu_place(v), list = gpu_place(slots.at);
  const GpuTailStore args = {.k = key.at,
                             .v = value.at,
                             .at = t->layer_at[layer],
                             .slots = list.at,
                             .ld = ld,
                             .m = m,
                             .width = width};
  GPU_LAUNCH(b, tail_store, gpu_groups((uint64_t)m * (uint64_t)width), 1, 1, 256, args, t->data,
             key.buffer, value.buffer, list.buffer);
}

/* ---- attention ------------------------------------------------------------------------------- */

/* The slopes of ALiBi on the device: they are the same in every call. */
static GpuPlace place_slopes(GpuBackend *b, const float *slopes, int count) {
  const size_t bytes = (size_t)count * sizeof *slopes;
  if (!slopes) return (GpuPlace){0};
  if (b->slope_count == count && memcmp(b->slopes_host, slopes, bytes) == 0)
    return (GpuPlace){b->slopes.buffer, 0};
  free(b->slopes_host);
  b->slope_count = 0;
  xt_error error;
  if (MEM_ALLOC(&b->slopes_host, (size_t)count, &error)) {
    gpu_fail(b->device, &error);
    return (GpuPlace){0};
  }
  if (!gpu_room(b, &b->slopes, bytes)) return (GpuPlace){0};
  gpu_write(b->device, b->slopes.buffer, 0, slopes, bytes);
  memcpy(b->slopes_host, slopes, bytes);
  b->slope_count = count;
  return (GpuPlace){b->slopes.buffer, 0};
}

/* The lists of a call. */
typedef struct Lists {
  GpuPlace prefix_begin, prefix_end, slots, tail_begin, tail_end, slopes;
} Lists;

/* A call, and where its largest scores and sums lie in the shared room, which is laid out as
 * [kv_heads][rows * group] of all its rows, so that what follows the products is one launch. */
typedef struct Call {
  const AttendArgs *args;
  Lists lists;
  int heads, group, d;
  gpu_size stacked, largest, sum; /* stacked rows of a kv head; places in `shared` */
} Call;

/* Some rows of a span over its prefix. Softmax over the whole capacity, since the host does not
 * know what the rows see; weights outside of it are 0. */
static void attend_shared(GpuBackend *b, const Call *c, const KvPrefix *p, int first_row,
                          int rows) {
  const AttendArgs *a = c->args;
  const Lists *l = &c->lists;
  const int stacked = rows * c->group;
  const gpu_size head = 2 * (gpu_size)p->capacity * (gpu_size)c->d,
                 layer = prefix_layer(p, a->layer), first = (gpu_size)first_row,
                 place = first * (gpu_size)c->group;
  const GpuPlace q = gpu_place(a->q);
  const GpuProduct scores = {.x = q.at + first * (gpu_size)a->ld_q,
                             .w = layer,
                             .y_z = (gpu_size)stacked * (gpu_size)p->capacity,
                             .x_z = (gpu_size)c->group * (gpu_size)c->d,
                             .w_z = head,
                             .m = stacked,
                             .n = p->capacity,
                             .k = c->d,
                             .chain = 1 << 30,
                             .ldy = p->capacity,
                             .ldx = a->ld_q,
                             .ldx_in = c->d,
                             .group = c->group,
                             .ldw = c->d};
  gpu_multiply(b, GPU_F32, false, &scores, c->heads, b->scores.buffer, q.buffer, p->data, NULL);
  const GpuSoftmax softmax = {.begin = l->prefix_begin.at + first,
                              .end = l->prefix_end.at + first,
                              .slopes = l->slopes.at,
                              .largest = c->largest + place,
                              .sum = c->sum + place,
                              .stacked = stacked,
                              .all = (int)c->stacked,
                              .group = c->group,
                              .ld = p->capacity,
                              .has_begin = l->prefix_begin.buffer != NULL,
                              .has_slopes = a->slopes != NULL,
                              .scale = a->scale,
                              .cap = a->cap};
  GPU_LAUNCH(b, softmax, (uint32_t)((stacked + 3) / 4), (uint32_t)c->heads, 1, 64, softmax,
             b->scores.buffer, l->prefix_begin.buffer, l->prefix_end.buffer, l->slopes.buffer,
             b->shared.buffer, b->shared.buffer);
  const GpuProduct values = {.y = place * (gpu_size)c->d,
                             .w = layer + (gpu_size)p->capacity * (gpu_size)c->d,
                             .y_z = c->stacked * (gpu_size)c->d,
                             .x_z = (gpu_size)stacked * (gpu_size)p->capacity,
                             .w_z = head,
                             .m = stacked,
                             .n = c->d,
                             .k = p->capacity,
                             .chain = GPU_K_BLOCK,
                             .ldy = c->d,
                             .ldx = p->capacity,
                             .group = 1,
                             .ldw = p->capacity,
                             .from_zero = 1};
  gpu_multiply(b, GPU_F32, false, &values, c->heads, b->shared.buffer, b->scores.buffer, p->data,
               NULL);
}

/* Works on as many rows at a time as the room for scores holds. */
static void attend_span(GpuBackend *b, const Call *c, const AttendSpan *span) {
  const size_t row = (size_t)c->args->heads * (size_t)span->prefix->capacity * sizeof(float),
               fit = b->score_bytes / row;
  const int most = fit < 1 ? 1 : fit < (size_t)span->rows ? (int)fit : span->rows;
  if (!gpu_room(b, &b->scores, (size_t)most * row)) return;
  for (int done = 0, rows; done < span->rows; done += rows) {
    rows = span->rows - done < most ? span->rows - done : most;
    attend_shared(b, c, span->prefix, span->first + done, rows);
  }
}

/* The private positions of rows [first_row, first_row + rows), merged with what they share. */
static void finish_rows(GpuBackend *b, const Call *c, int first_row, int rows, bool has_prefix) {
  const AttendArgs *a = c->args;
  const Lists *l = &c->lists;
  const gpu_size first = (gpu_size)first_row, place = first * (gpu_size)c->group;
  const GpuPlace out = gpu_place(a->out), q = gpu_place(a->q);
  const GpuFinish finish = {.out = out.at + first * (gpu_size)a->heads * (gpu_size)c->d,
                            .q = q.at + first * (gpu_size)a->ld_q,
                            .shared = place * (gpu_size)c->d,
                            .largest = c->largest + place,
                            .sum = c->sum + place,
                            .tail = a->tail ? a->tail->layer_at[a->layer] : 0,
                            .slots = l->slots.at + first * (gpu_size)a->tail_ld,
                            .tail_begin = l->tail_begin.at + first,
                            .tail_end = l->tail_end.at + first,
                            .prefix_end = l->prefix_end.at + first,
                            .slopes = l->slopes.at,
                            .rows = a->rows,
                            .heads = a->heads,
                            .group = c->group,
                            .head_dim = c->d,
                            .ldq = a->ld_q,
                            .slots_ld = a->tail_ld,
                            .tail_width = c->heads * c->d,
                            .has_prefix = has_prefix,
                            .has_tail = a->tail != NULL,
                            .has_begin = l->tail_begin.buffer != NULL,
                            .has_prefix_end = l->prefix_end.buffer != NULL,
                            .has_slopes = a->slopes != NULL,
                            .scale = a->scale,
                            .cap = a->cap};
  GPU_LAUNCH(b, finish, (uint32_t)rows * (uint32_t)a->heads, 1, 1, 64, finish, out.buffer, q.buffer,
             b->shared.buffer, b->shared.buffer, b->shared.buffer, a->tail ? a->tail->data : NULL,
             l->slots.buffer, l->tail_begin.buffer, l->tail_end.buffer, l->prefix_end.buffer,
             l->slopes.buffer);
}

/* Three launches for each prefix, and one for all rows that lie side by side and have one. */
void gpu_attend(Backend *backend, const AttendArgs *a) {
  GpuBackend *b = gpu_of(backend);
  const KvPrefix *any = NULL;
  for (int i = 0; i < a->span_count && !any; i++) any = a->spans[i].prefix;
  if (!any && !a->tail) return;
  const KvShape shape = any ? any->shape : a->tail->shape;
  Call c = {
      .args = a, .heads = shape.kv_heads, .group = a->heads / shape.kv_heads, .d = shape.head_dim};
  c.lists = (Lists){.prefix_begin = gpu_place(a->prefix_begin.at),
                    .prefix_end = gpu_place(a->prefix_end.at),
                    .slots = gpu_place(a->tail_slots.at),
                    .tail_begin = gpu_place(a->tail_begin.at),
                    .tail_end = gpu_place(a->tail_end.at),
                    .slopes = place_slopes(b, a->slopes, a->heads)};
  const gpu_size all = (gpu_size)a->rows * (gpu_size)a->heads;
  c.stacked = (gpu_size)a->rows * (gpu_size)c.group;
  c.largest = all * (gpu_size)c.d;
  c.sum = c.largest + all;
  if (any && !gpu_room(b, &b->shared, (size_t)(c.sum + all) * sizeof(float))) return;
  for (int i = 0, next; i < a->span_count; i = next) {
    const bool has_prefix = a->spans[i].prefix != NULL;
    int rows = 0;
    for (next = i; next < a->span_count && (a->spans[next].prefix != NULL) == has_prefix; next++) {
      if (has_prefix && a->spans[next].rows > 0) attend_span(b, &c, &a->spans[next]);
      rows += a->spans[next].rows;
    }
    if (rows > 0 && (has_prefix || a->tail))
      finish_rows(b, &c, a->spans[i].first, rows, has_prefix);
  }
}
