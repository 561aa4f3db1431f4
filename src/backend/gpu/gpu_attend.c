/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, values and attention. A prefix: [layer][kv head], keys [capacity][head_dim] and values
 * [head_dim][capacity], so that scores and weighted values are both a product of rows with rows.
 * Private positions: [layer][slot][key | value][kv_heads * head_dim], in as many buffers as are
 * needed. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_checks.h"
#include "backend/gpu/gpu_backend.h"
#include "base/mem.h"

/* The memory of prefixes that were made together, which one launch can read. */
typedef struct PrefixMemory {
  GpuBuffer *data;
  int users;
} PrefixMemory;

struct KvPrefix {
  KvShape shape;
  int capacity; /* a multiple of 4 */
  gpu_size at;  /* its first number */
  PrefixMemory *memory;
};

struct KvTail {
  KvShape shape;
  struct {
    GpuBuffer *data; /* of this layer and those beside it that fit into one buffer with it */
    gpu_size at;     /* its first float */
  } layer[];         /* [layers] */
};

static gpu_size prefix_floats(const KvPrefix *p) {
  return (gpu_size)p->shape.layers * (gpu_size)p->shape.kv_heads * 2 * (gpu_size)p->capacity *
         (gpu_size)p->shape.head_dim;
}

static xt_status new_prefix(KvShape shape, int capacity, KvPrefix **out, xt_error *error) {
  TRY(cpu_check_kv(shape, capacity, error));
  if (capacity > INT32_MAX - 4) return err_memory(error, SIZE_MAX);
  TRY(MEM_ALLOC(out, 1, error));
  (*out)->shape = shape;
  (*out)->capacity = (capacity + 3) / 4 * 4;
  const size_t heads = (size_t)shape.layers * (size_t)shape.kv_heads,
               floats = (size_t)(*out)->capacity * 2 * (size_t)shape.head_dim;
  return floats > SIZE_MAX / 8 / heads ? err_memory(error, SIZE_MAX) : XT_STATUS_OK;
}

/* Memory for the first of these prefixes, and for as many of those after it as one buffer can hold;
 * returns their number in *together. */
static xt_status place_prefixes(GpuBackend *b, KvPrefix *const *list, int count, int *together,
                                xt_error *error) {
  const gpu_size most = b->device->info.largest / sizeof(float);
  PrefixMemory *memory;
  gpu_size floats = prefix_floats(list[0]);
  int n = 1;
  for (; n < count; floats += prefix_floats(list[n++]))
    if (floats > most || prefix_floats(list[n]) > most - floats) break;
  TRY(MEM_ALLOC(&memory, 1, error));
  const xt_status status =
      gpu_buffer(b->device, (size_t)floats * sizeof(float), &memory->data, error);
  if (status) {
    free(memory);
    return status;
  }
  floats = 0;
  for (int i = 0; i < n; floats += prefix_floats(list[i++])) {
    list[i]->at = floats;
    list[i]->memory = memory;
  }
  memory->users = *together = n;
  return XT_STATUS_OK;
}

xt_status gpu_prefix_create(Backend *backend, KvShape shape, const int *capacities, int count,
                            KvPrefix **out, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i < count; i++) out[i] = NULL;
  for (int i = 0; i < count && !status; i++)
    status = new_prefix(shape, capacities[i], &out[i], error);
  for (int i = 0, together = 0; i < count && !status; i += together)
    status = place_prefixes(gpu_of(backend), out + i, count - i, &together, error);
  for (int i = 0; i < count && status; i++) {
    gpu_prefix_release(backend, out[i]);
    out[i] = NULL;
  }
  return status;
}

void gpu_prefix_release(Backend *backend, KvPrefix *p) {
  if (!p) return;
  if (p->memory && --p->memory->users == 0) {
    gpu_buffer_free(gpu_of(backend)->device, p->memory->data);
    free(p->memory);
  }
  free(p);
}

static gpu_size prefix_layer(const KvPrefix *p, int layer) {
  return p->at + prefix_floats(p) / (gpu_size)p->shape.layers * (gpu_size)layer;
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
  GPU_LAUNCH(b, prefix_store, gpu_groups(floats), 1, 1, 256, args, p->memory->data, key.buffer,
             value.buffer);
}

void gpu_prefix_copy(Backend *backend, KvPrefix *to, const KvPrefix *from, int count) {
  GpuBackend *b = gpu_of(backend);
  if (count <= 0) return;
  const GpuPrefixCopy args = {.to = to->at,
                              .from = from->at,
                              .heads = to->shape.layers * to->shape.kv_heads,
                              .head_dim = to->shape.head_dim,
                              .to_capacity = to->capacity,
                              .from_capacity = from->capacity,
                              .count = count};
  const uint64_t floats = (uint64_t)args.heads * (uint64_t)args.head_dim * (uint64_t)count;
  GPU_LAUNCH(b, prefix_copy, gpu_groups(floats), 1, 1, 256, args, to->memory->data,
             from->memory->data);
}

/* A buffer for layer `first` and those after it that fit, which end before *end. */
static xt_status place_layers(GpuBackend *b, KvTail *t, const int32_t *slots, int first, int *end,
                              xt_error *error) {
  const gpu_size each = 2 * (gpu_size)t->shape.kv_heads * (gpu_size)t->shape.head_dim,
                 most = b->device->info.largest / sizeof(float) / each;
  gpu_size all = 0;
  GpuBuffer *data;
  int l = first;
  do {
    t->layer[l].at = all * each;
    all += (gpu_size)slots[l++];
  } while (l < t->shape.layers && all <= most && (gpu_size)slots[l] <= most - all);
  if (all > SIZE_MAX / 16 / each) return err_memory(error, SIZE_MAX);
  TRY(gpu_buffer(b->device, (size_t)(all * each) * sizeof(float), &data, error));
  for (*end = l; l > first; l--) t->layer[l - 1].data = data;
  return XT_STATUS_OK;
}

xt_status gpu_tail_create(Backend *backend, KvShape shape, const int32_t *slots, KvTail **out,
                          xt_error *error) {
  KvTail *t;
  *out = NULL;
  TRY(cpu_check_kv(shape, 1, error));
  for (int l = 0; l < shape.layers; l++)
    if (slots[l] < 0)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "layer %d: %d slots", l,
                     (int)slots[l]);
  TRY(mem_alloc(&t, 1, sizeof *t + (size_t)shape.layers * sizeof *t->layer, error));
  t->shape = shape;
  xt_status status = XT_STATUS_OK;
  for (int l = 0; l < shape.layers && !status;)
    status = place_layers(gpu_of(backend), t, slots, l, &l, error);
  if (status)
    gpu_tail_release(backend, t);
  else
    *out = t;
  return status;
}

void gpu_tail_release(Backend *backend, KvTail *t) {
  if (!t) return;
  for (int l = 0; l < t->shape.layers; l++)
    if (l == 0 || t->layer[l].data != t->layer[l - 1].data)
      gpu_buffer_free(gpu_of(backend)->device, t->layer[l].data);
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
                             .at = t->layer[layer].at,
                             .slots = list.at,
                             .ld = ld,
                             .m = m,
                             .width = width};
  GPU_LAUNCH(b, tail_store, gpu_groups((uint64_t)m * (uint64_t)width), 1, 1, 256, args,
             t->layer[layer].data, key.buffer, value.buffer, list.buffer);
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
    gpu_fail(&b->user, &error);
    return (GpuPlace){0};
  }
  if (!gpu_room(b, &b->slopes, bytes)) return (GpuPlace){0};
  gpu_write(&b->user, b->slopes.buffer, 0, slopes, bytes);
  memcpy(b->slopes_host, slopes, bytes);
  b->slope_count = count;
  return (GpuPlace){b->slopes.buffer, 0};
}

/* The lists of a call. */
typedef struct Lists {
  GpuPlace prefix_begin, prefix_end, slots, tail_begin, tail_end, slopes;
} Lists;

/* A call. The largest scores and sums of all its rows, and their weighted values, are laid out as
 * [kv_heads][rows * group] in the shared room, so that what follows the products is one launch. */
typedef struct Call {
  const AttendArgs *args;
  Lists lists;
  GpuAttend launch; /* of the spans that were gathered for the next launches: */
  int spans, most_rows, most_capacity;
  size_t scores;              /* floats of the room for scores that they take */
  const PrefixMemory *memory; /* NULL: none of their rows sees a prefix */
} Call;

/* The scores or the weighted values of all spans that were gathered. */
static void multiply_spans(GpuBackend *b, const Call *c, GpuBuffer *y, GpuBuffer *x, bool values) {
  const GpuAttend *a = &c->launch;
  const int m = c->most_rows * a->group, n = values ? a->head_dim : c->most_capacity;
  const bool quadruples = values || (a->q | (gpu_size)a->ldq | (gpu_size)a->head_dim) % 4 == 0;
  const int products = c->spans * a->heads;
  const GpuTiles tiles =
      gpu_tiles(b, values ? GPU_VALUES : GPU_SCORES, false, quadruples, m, n, products);
  gpu_launch(&b->user, &(GpuLaunch){.kernel = tiles.kernel,
                                    .items = tiles.items,
                                    .groups = {gpu_parts(n, tiles.columns),
                                               gpu_parts(m, tiles.rows), (uint32_t)products},
                                    .buffers = {y, x, c->memory->data, NULL},
                                    .buffer_count = 4,
                                    .args = a,
                                    .args_size = sizeof *a});
}

/* Three launches; one where no row sees a prefix, which says so. */
static void run_spans(GpuBackend *b, Call *c) {
  const Lists *l = &c->lists;
  if (c->spans == 0 || !gpu_room(b, &b->scores, c->scores * sizeof(float))) return;
  if (c->memory) multiply_spans(b, c, b->scores.buffer, gpu_place(c->args->q).buffer, false);
  GPU_LAUNCH(b, softmax, gpu_parts(c->most_rows * c->launch.group, 4), (uint32_t)c->launch.heads,
             (uint32_t)c->spans, 64, c->launch, b->scores.buffer, l->prefix_begin.buffer,
             l->prefix_end.buffer, l->slopes.buffer, b->shared.buffer, b->shared.buffer);
  if (c->memory) multiply_spans(b, c, b->shared.buffer, b->scores.buffer, true);
  c->spans = c->most_rows = c->most_capacity = 0;
  c->scores = 0;
  c->memory = NULL;
}

static int at_most(size_t n, int most) { return n < (size_t)most ? (int)n : most; }

/* Gathers a span, in pieces where the room for scores or the device's grid asks for them. */
static void add_span(GpuBackend *b, Call *c, const AttendSpan *span) {
  const KvPrefix *p = span->prefix;
  const size_t capacity = p ? (size_t)p->capacity : 0, row = (size_t)c->args->heads * capacity,
               grid = b->device->info.grid, room = b->score_bytes / sizeof(float);
  const int most_spans = at_most(grid / (size_t)c->launch.heads, GPU_SPANS),
            most_rows = at_most(grid * GPU_SMALL_TILE / (size_t)c->launch.group, INT32_MAX);
  for (int done = 0, rows; done < span->rows; done += rows) {
    const bool apart = p && c->memory && c->memory != p->memory;
    if (apart || c->spans >= most_spans || (row && c->scores && c->scores + row > room))
      run_spans(b, c);
    rows = at_most(row ? (room - c->scores) / row : INT32_MAX, span->rows - done);
    rows = at_most((size_t)rows, most_rows);
    if (rows < 1) rows = 1; /* makes room beyond what is planned */
    c->launch.spans[c->spans++] = (GpuSpan){.keys = p ? prefix_layer(p, c->args->layer) : 0,
                                            .scores = (int)c->scores,
                                            .first = span->first + done,
                                            .rows = rows,
                                            .capacity = (int)capacity};
    c->scores += (size_t)rows * row;
    if (p) c->memory = p->memory;
    if (c->most_rows < rows) c->most_rows = rows;
    if (c->most_capacity < (int)capacity) c->most_capacity = (int)capacity;
  }
}

/* The private positions of all rows, merged with what they share. */
static void finish_rows(GpuBackend *b, const Call *c, bool has_prefix) {
  const AttendArgs *a = c->args;
  const Lists *l = &c->lists;
  const GpuAttend *shared = &c->launch;
  const GpuPlace out = gpu_place(a->out), q = gpu_place(a->q);
  const GpuFinish finish = {.out = out.at,
                            .q = q.at,
                            .largest = shared->largest,
                            .sum = shared->sum,
                            .tail = a->tail ? a->tail->layer[a->layer].at : 0,
                            .slots = l->slots.at,
                            .tail_begin = l->tail_begin.at,
                            .tail_end = l->tail_end.at,
                            .prefix_end = l->prefix_end.at,
                            .slopes = l->slopes.at,
                            .rows = a->rows,
                            .heads = a->heads,
                            .group = shared->group,
                            .head_dim = shared->head_dim,
                            .ldq = a->ld_q,
                            .slots_ld = a->tail_ld,
                            .tail_width = shared->heads * shared->head_dim,
                            .has_prefix = has_prefix,
                            .has_tail = a->tail != NULL,
                            .has_begin = l->tail_begin.buffer != NULL,
                            .has_prefix_end = l->prefix_end.buffer != NULL,
                            .has_slopes = a->slopes != NULL,
                            .scale = a->scale,
                            .cap = a->cap};
  GPU_LAUNCH(b, finish, (uint32_t)a->rows * (uint32_t)a->heads, 1, 1, 64, finish, out.buffer,
             q.buffer, b->shared.buffer, b->shared.buffer, b->shared.buffer,
             a->tail ? a->tail->layer[a->layer].data : NULL, l->slots.buffer, l->tail_begin.buffer,
             l->tail_end.buffer, l->prefix_end.buffer, l->slopes.buffer);
}

/* What the launches are told of all spans. */
static GpuAttend attend_launch(const AttendArgs *a, const Lists *l, KvShape shape) {
  const gpu_size all = (gpu_size)a->rows * (gpu_size)a->heads,
                 largest = all * (gpu_size)shape.head_dim;
  const int group = a->heads / shape.kv_heads;
  return (GpuAttend){.q = gpu_place(a->q).at,
                     .begin = l->prefix_begin.at,
                     .end = l->prefix_end.at,
                     .slopes = l->slopes.at,
                     .largest = largest,
                     .sum = largest + all,
                     .stacked = (gpu_size)a->rows * (gpu_size)group,
                     .heads = shape.kv_heads,
                     .group = group,
                     .head_dim = shape.head_dim,
                     .ldq = a->ld_q,
                     .has_begin = l->prefix_begin.buffer != NULL,
                     .has_slopes = a->slopes != NULL,
                     .scale = a->scale,
                     .cap = a->cap};
}

/* Three launches for the prefixes of all rows, and one for the rows, unless the prefixes lie in
 * several pieces of memory, are more than GPU_SPANS, or their scores need more room. */
void gpu_attend(Backend *backend, const AttendArgs *a) {
  GpuBackend *b = gpu_of(backend);
  const KvPrefix *any = NULL;
  for (int i = 0; i < a->span_count && !any; i++) any = a->spans[i].prefix;
  if (a->rows <= 0 || (!any && !a->tail)) return;
  Call c = {.args = a,
            .lists = {.prefix_begin = gpu_place(a->prefix_begin.at),
                      .prefix_end = gpu_place(a->prefix_end.at),
                      .slots = gpu_place(a->tail_slots.at),
                      .tail_begin = gpu_place(a->tail_begin.at),
                      .tail_end = gpu_place(a->tail_end.at),
                      .slopes = place_slopes(b, a->slopes, a->heads)}};
  c.launch = attend_launch(a, &c.lists, any ? any->shape : a->tail->shape);
  if (any) {
    const gpu_size floats = c.launch.sum + (c.launch.sum - c.launch.largest);
    if (!gpu_room(b, &b->shared, (size_t)floats * sizeof(float))) return;
    for (int i = 0; i < a->span_count; i++) add_span(b, &c, &a->spans[i]);
    run_spans(b, &c);
  }
  finish_rows(b, &c, any != NULL);
}
