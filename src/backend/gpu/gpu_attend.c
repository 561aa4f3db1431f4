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
  TRY(mem_alloc(&p, 1, sizeof *p, error));
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
  if (mem_alloc(&b->slopes_host, (size_t)count, sizeof *slopes, &error)) {
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

/* One span of a call, and where the largest scores and the sums of its stacked rows lie in the
 * shared room. */
typedef struct Span {
  const AttendArgs *args;
  const AttendSpan *span;
  const Lists *lists;
  int heads, group, d, stacked;
  gpu_size largest, sum;
} Span;

/* Softmax over the whole capacity, since the host does not know what the rows see; weights outside
 * of it are 0. */
static void attend_shared(GpuBackend *b, const Span *s) {
  const AttendArgs *a = s->args;
  const KvPrefix *p = s->span->prefix;
  const Lists *l = s->lists;
  const gpu_size head = 2 * (gpu_size)p->capacity * (gpu_size)s->d,
                 layer = prefix_layer(p, a->layer), rows = (gpu_size)s->stacked;
  const gpu_size first = (gpu_size)s->span->first;
  const GpuPlace q = gpu_place(a->q);
  const GpuProduct scores = {.x = q.at + first * (gpu_size)a->ld_q,
                             .w = layer,
                             .y_z = rows * (gpu_size)p->capacity,
                             .x_z = (gpu_size)s->group * (gpu_size)s->d,
                             .w_z = head,
                             .m = s->stacked,
                             .n = p->capacity,
                             .k = s->d,
                             .chain = 1 << 30,
                             .ldy = p->capacity,
                             .ldx = a->ld_q,
                             .ldx_in = s->d,
                             .group = s->group,
                             .ldw = s->d};
  gpu_multiply(b, GPU_F32, false, &scores, s->heads, b->scores.buffer, q.buffer, p->data, NULL);
  const GpuSoftmax softmax = {.begin = l->prefix_begin.at + first,
                              .end = l->prefix_end.at + first,
                              .slopes = l->slopes.at,
                              .largest = s->largest,
                              .sum = s->sum,
                              .stacked = s->stacked,
                              .group = s->group,
                              .ld = p->capacity,
                              .has_begin = l->prefix_begin.buffer != NULL,
                              .has_slopes = a->slopes != NULL,
                              .scale = a->scale,
                              .cap = a->cap};
  GPU_LAUNCH(b, softmax, (uint32_t)((s->stacked + 3) / 4), (uint32_t)s->heads, 1, 64, softmax,
             b->scores.buffer, l->prefix_begin.buffer, l->prefix_end.buffer, l->slopes.buffer,
             b->shared.buffer, b->shared.buffer);
  const GpuProduct values = {.w = layer + (gpu_size)p->capacity * (gpu_size)s->d,
                             .y_z = rows * (gpu_size)s->d,
                             .x_z = rows * (gpu_size)p->capacity,
                             .w_z = head,
                             .m = s->stacked,
                             .n = s->d,
                             .k = p->capacity,
                             .chain = GPU_K_BLOCK,
                             .ldy = s->d,
                             .ldx = p->capacity,
                             .group = 1,
                             .ldw = p->capacity,
                             .from_zero = 1};
  gpu_multiply(b, GPU_F32, false, &values, s->heads, b->shared.buffer, b->scores.buffer, p->data,
               NULL);
}

static void attend_span(GpuBackend *b, Span *s) {
  const AttendArgs *a = s->args;
  const KvPrefix *p = s->span->prefix;
  const Lists *l = s->lists;
  const KvShape shape = p ? p->shape : a->tail->shape;
  const gpu_size first = (gpu_size)s->span->first,
                 all = (gpu_size)s->span->rows * (gpu_size)a->heads;
  s->heads = shape.kv_heads;
  s->d = shape.head_dim;
  s->group = a->heads / s->heads;
  s->stacked = s->span->rows * s->group;
  s->largest = all * (gpu_size)s->d;
  s->sum = s->largest + all;
  if (p && (!gpu_room(b, &b->scores, (size_t)all * (size_t)p->capacity * sizeof(float)) ||
            !gpu_room(b, &b->shared, (size_t)(s->sum + all) * sizeof(float))))
    return;
  if (p) attend_shared(b, s);
  const GpuPlace out = gpu_place(a->out), q = gpu_place(a->q);
  const GpuFinish finish = {.out = out.at + first * (gpu_size)a->heads * (gpu_size)s->d,
                            .q = q.at + first * (gpu_size)a->ld_q,
                            .largest = s->largest,
                            .sum = s->sum,
                            .tail = a->tail ? a->tail->layer_at[a->layer] : 0,
                            .slots = l->slots.at + first * (gpu_size)a->tail_ld,
                            .tail_begin = l->tail_begin.at + first,
                            .tail_end = l->tail_end.at + first,
                            .prefix_end = l->prefix_end.at + first,
                            .slopes = l->slopes.at,
                            .rows = s->span->rows,
                            .heads = a->heads,
                            .group = s->group,
                            .head_dim = s->d,
                            .ldq = a->ld_q,
                            .slots_ld = a->tail_ld,
                            .tail_width = s->heads * s->d,
                            .has_prefix = p != NULL,
                            .has_tail = a->tail != NULL,
                            .has_begin = l->tail_begin.buffer != NULL,
                            .has_prefix_end = l->prefix_end.buffer != NULL,
                            .has_slopes = a->slopes != NULL,
                            .scale = a->scale,
                            .cap = a->cap};
  GPU_LAUNCH(b, finish, (uint32_t)s->span->rows, (uint32_t)a->heads, 1, 64, finish, out.buffer,
             q.buffer, b->shared.buffer, b->shared.buffer, b->shared.buffer,
             a->tail ? a->tail->data : NULL, l->slots.buffer, l->tail_begin.buffer,
             l->tail_end.buffer, l->prefix_end.buffer, l->slopes.buffer);
}

void gpu_attend(Backend *backend, const AttendArgs *a) {
  GpuBackend *b = gpu_of(backend);
  const Lists lists = {.prefix_begin = gpu_place(a->prefix_begin.at),
                       .prefix_end = gpu_place(a->prefix_end.at),
                       .slots = gpu_place(a->tail_slots.at),
                       .tail_begin = gpu_place(a->tail_begin.at),
                       .tail_end = gpu_place(a->tail_end.at),
                       .slopes = place_slopes(b, a->slopes, a->heads)};
  for (int i = 0; i < a->span_count; i++) {
    Span s = {.args = a, .span = &a->spans[i], .lists = &lists};
    if (s.span->rows > 0 && (s.span->prefix || a->tail)) attend_span(b, &s);
  }
}
