/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/onednn_matmul.h"

#include <dnnl.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "files/dtype.h"
#include "backend/cpu/onednn_layout.h"
#include "base/mem.h"

#define STRIP_MOST 512 /* columns of a strip */
#define STRIP_STEP 64  /* strips are multiples of: what oneDNN works on at once */
#define STRIPS_A_THREAD 4
#define ROWS_LEAST 64 /* of one item of work, where a product has few strips */

/* The memories that a primitive is run on, one set for each thread. */
typedef struct Memories {
  dnnl_memory_t src, dst, scratch;
} Memories;

/* The product for one shape and one number of rows. */
typedef struct Entry {
  Dtype type;
  int n, k, rows;
  dnnl_primitive_t primitive;
  Memories *memories; /* [threads] */
  Layout packed;      /* the weights' */
  size_t scratch_bytes;
} Entry;

struct OnednnCache {
  dnnl_engine_t engine;
  dnnl_stream_t *streams; /* [threads] */
  ThreadPool *pool;
  int threads;
  Entry *entries;
  size_t count, capacity;
  char *scratch; /* [threads][scratch_bytes] */
  size_t scratch_bytes;
  /* [threads][ONEDNN_MOST_ROWS][STRIP_MOST] of a strip, before they are copied to their place */
  float *results;
};

/* Columns [first, first + n) of a weight. */
typedef struct Strip {
  int first, n;
  Layout packed;
  size_t at; /* bytes into the data */
  /* Set once, because setting a memory's address writes zeros into its padding, which threads that
   * share the weight must not do. */
  dnnl_memory_t memory;
} Strip;

struct OnednnWeight {
  Dtype type;
  int n, k;
  int strip_count;
  Strip *strips;
  size_t bytes;
  char *data;
  dnnl_engine_t engine; /* its own, so that it may outlive the cache it was packed by */
};

static xt_status failed(xt_error *error, dnnl_status_t status, const char *doing) {
  if (status == dnnl_out_of_memory) return err_memory(error, 0);
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "oneDNN cannot %s (its status %d)",
                 doing, (int)status);
}

/* oneDNN takes its number of threads from the calling thread's OpenMP setting, which is set to one
 * around a call and then restored. */
static int single_enter(void) {
  const int before = omp_get_max_threads();
  if (before != 1) omp_set_num_threads(1);
  return before;
}
static void single_leave(int before) {
  if (before != 1) omp_set_num_threads(before);
}

bool onednn_version(int version[3]) {
  const dnnl_version_t *v = dnnl_version();
  version[0] = v->major;
  version[1] = v->minor;
  version[2] = v->patch;
  return true;
}

xt_status onednn_cache_create(ThreadPool *pool, OnednnCache **out, xt_error *error) {
  *out = NULL;
  OnednnCache *c;
  TRY(MEM_ALLOC(&c, 1, error));
  c->pool = pool;
  c->threads = pool_threads(pool);
  xt_status status = MEM_ALLOC(&c->streams, (size_t)c->threads, error);
  if (!status)
    status =
        cpu_block_create((size_t)c->threads * ONEDNN_MOST_ROWS * STRIP_MOST * sizeof *c->results,
                         &c->results, error);
  dnnl_status_t made = dnnl_success;
  if (!status) made = dnnl_engine_create(&c->engine, dnnl_cpu, 0);
  for (int t = 0; t < c->threads && !status && !made; t++)
    made = dnnl_stream_create(&c->streams[t], c->engine, dnnl_stream_default_flags);
  if (made) status = failed(error, made, "start");
  if (status)
    onednn_cache_free(c);
  else
    *out = c;
  return status;
}

static void entry_clear(Entry *e, int threads) {
  if (e->primitive) dnnl_primitive_destroy(e->primitive);
  for (int t = 0; e->memories && t < threads; t++) {
    if (e->memories[t].src) dnnl_memory_destroy(e->memories[t].src);
    if (e->memories[t].dst) dnnl_memory_destroy(e->memories[t].dst);
    if (e->memories[t].scratch) dnnl_memory_destroy(e->memories[t].scratch);
  }
  free(e->memories);
  layout_free(e->packed);
}

void onednn_cache_free(OnednnCache *c) {
  if (!c) return;
  for (size_t i = 0; i < c->count; i++) entry_clear(&c->entries[i], c->threads);
  free(c->entries);
  cpu_block_free(c->scratch);
  cpu_block_free(c->results);
  for (int t = 0; c->streams && t < c->threads; t++)
    if (c->streams[t]) dnnl_stream_destroy(c->streams[t]);
  free(c->streams);
  if (c->engine) dnnl_engine_destroy(c->engine);
  free(c);
}

static dnnl_data_type_t type_of(Dtype type) { return type == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32; }

/* packed NULL: oneDNN chooses the weights' layout. */
static dnnl_status_t describe(OnednnCache *c, Dtype type, int n, int k, int rows,
                              ConstLayout packed, dnnl_primitive_desc_t *out) {
  const dnnl_dims_t src_dims = {rows, k}, w_dims = {k, n}, dst_dims = {rows, n};
  Layout src = NULL, w = NULL, dst = NULL;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_status_t status = layout_by_tag(&src, src_dims, type_of(type), dnnl_ab);
  if (!status) status = layout_by_tag(&dst, dst_dims, dnnl_f32, dnnl_ab);
  if (!status && !packed) status = layout_by_tag(&w, w_dims, type_of(type), dnnl_format_tag_any);
  if (!status) status = dnnl_primitive_attr_create(&attr);
  /* Its scratch memory is ours: it allocates none while it runs. */
  if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
  if (!status) status = matmul_desc(out, c->engine, src, packed ? packed : w, dst, attr);
  if (attr) dnnl_primitive_attr_destroy(attr);
  layout_free(src);
  layout_free(w);
  layout_free(dst);
  return status;
}

bool onednn_has(OnednnCache *c, Dtype type) {
  if (type != DTYPE_F32 && type != DTYPE_BF16) return false;
  const int before = single_enter();
  dnnl_primitive_desc_t desc = NULL;
  const char *name = NULL;
  bool has = describe(c, type, 256, 256, 64, NULL, &desc) == dnnl_success &&
             dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) == dnnl_success &&
             name && !strstr(name, "ref");
  if (desc) dnnl_primitive_desc_destroy(desc);
  single_leave(before);
  return has;
}

/* Fills *e; what it made is cleared by the caller on failure. */
static dnnl_status_t entry_make(OnednnCache *c, ConstLayout packed, Entry *e) {
  dnnl_primitive_desc_t desc = NULL;
  dnnl_status_t status = describe(c, e->type, e->n, e->k, e->rows, packed, &desc);
  if (status) return status;
  ConstLayout src = dnnl_primitive_desc_query_md(desc, dnnl_query_src_md, 0);
  ConstLayout w = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
  ConstLayout dst = dnnl_primitive_desc_query_md(desc, dnnl_query_dst_md, 0);
  ConstLayout scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
  status = dnnl_primitive_create(&e->primitive, desc);
  if (!status && MEM_ALLOC(&e->memories, (size_t)c->threads, NULL)) status = dnnl_out_of_memory;
  for (int t = 0; t < c->threads && !status; t++) {
    Memories *m = &e->memories[t];
    status = dnnl_memory_create(&m->src, src, c->engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&m->dst, dst, c->engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&m->scratch, scratch, c->engine, DNNL_MEMORY_NONE);
  }
  if (!status) status = layout_copy(&e->packed, w);
  if (!status) e->scratch_bytes = dnnl_memory_desc_get_size(scratch);
  dnnl_primitive_desc_destroy(desc);
  return status;
}

static const Entry *entry_find(const OnednnCache *c, Dtype type, int n, int k, int rows) {
  for (size_t i = 0; i < c->count; i++) {
    const Entry *e = &c->entries[i];
    if (e->type == type && e->n == n && e->k == k && e->rows == rows) return e;
  }
  return NULL;
}

/* The entry for these rows, made when there is none; NULL when it cannot be. */
static const Entry *entry_get(OnednnCache *c, Dtype type, int n, int k, int rows,
                              ConstLayout packed, dnnl_status_t *status) {
  const Entry *known = entry_find(c, type, n, k, rows);
  *status = dnnl_success;
  if (known) return known;
  *status = dnnl_out_of_memory;
  if (MEM_GROW(&c->entries, &c->capacity, c->count + 1, NULL)) return NULL;
  Entry made = {.type = type, .n = n, .k = k, .rows = rows};
  *status = entry_make(c, packed, &made);
  const size_t bytes = (made.scratch_bytes + 63) / 64 * 64;
  if (!*status && bytes > c->scratch_bytes) {
    char *scratch;
    if (cpu_block_create(bytes * (size_t)c->threads, &scratch, NULL))
      *status = dnnl_out_of_memory;
    else {
      cpu_block_free(c->scratch);
      c->scratch = scratch;
      c->scratch_bytes = bytes;
    }
  }
  if (*status) {
    entry_clear(&made, c->threads);
    return NULL;
  }
  c->entries[c->count] = made;
  return &c->entries[c->count++];
}

/* ---- weights --------------------------------------------------------------------------------- */

/* From [n,k] row-major into the packed layout. */
static dnnl_status_t reorder(const OnednnCache *c, const OnednnWeight *w, const Strip *strip,
                             dnnl_stream_t stream, const char *rows) {
  const dnnl_dims_t dims = {w->k, strip->n}, strides = {1, w->k};
  Layout plain = NULL;
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_t primitive = NULL;
  dnnl_memory_t from = NULL;
  dnnl_status_t status = layout_by_strides(&plain, dims, type_of(w->type), strides);
  if (!status)
    status =
        dnnl_reorder_primitive_desc_create(&desc, plain, c->engine, strip->packed, c->engine, NULL);
  if (!status) status = dnnl_primitive_create(&primitive, desc);
  /* oneDNN only reads from it; its interface has no const. */
  if (!status) status = dnnl_memory_create(&from, plain, c->engine, (void *)(uintptr_t)rows);
  if (!status) {
    const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, strip->memory}};
    status = dnnl_primitive_execute(primitive, stream, 2, args);
  }
  if (!status) status = dnnl_stream_wait(stream);
  if (from) dnnl_memory_destroy(from);
  if (primitive) dnnl_primitive_destroy(primitive);
  if (desc) dnnl_primitive_desc_destroy(desc);
  layout_free(plain);
  return status;
}

/* Columns of a strip: several strips for each thread, so that threads end together, in as large
 * pieces as that allows. */
static int strip_columns(const OnednnCache *c, int n) {
  const int pieces = STRIPS_A_THREAD * c->threads,
            each = ((n + pieces - 1) / pieces + STRIP_STEP - 1) / STRIP_STEP * STRIP_STEP;
  return each < STRIP_MOST ? each : STRIP_MOST;
}

/* Sets the strips and finds their layout: the one that oneDNN prefers for many rows, which products
 * with fewer rows then have to use, too. */
static xt_status lay_out_strips(OnednnCache *c, OnednnWeight *w, xt_error *error) {
  const int columns = strip_columns(c, w->n);
  TRY(MEM_ALLOC(&w->strips, (size_t)((w->n + columns - 1) / columns), error));
  for (int first = 0; first < w->n; first += columns) {
    dnnl_status_t made = dnnl_success;
    Strip *strip = &w->strips[w->strip_count++];
    *strip = (Strip){
        .first = first, .n = w->n - first < columns ? w->n - first : columns, .at = w->bytes};
    const Entry *many = entry_get(c, w->type, strip->n, w->k, ONEDNN_MOST_ROWS, NULL, &made);
    if (!many) return failed(error, made, "make a product");
    made = layout_copy(&strip->packed, many->packed);
    if (made) return failed(error, made, "make a product");
    if (!entry_get(c, w->type, strip->n, w->k, 1, strip->packed, &made))
      return failed(error, made, "make a product of one row");
    w->bytes += (dnnl_memory_desc_get_size(strip->packed) + 63) / 64 * 64;
  }
  return XT_STATUS_OK;
}

typedef struct Packing {
  const OnednnCache *cache;
  const OnednnWeight *weight;
  const char *rows;
  _Atomic int failed; /* a dnnl_status_t */
} Packing;

static void pack_strip(void *context, size_t item, int thread) {
  Packing *p = context;
  const OnednnWeight *w = p->weight;
  Strip *strip = &w->strips[item];
  const size_t row = (size_t)w->k * (w->type == DTYPE_BF16 ? 2 : 4);
  const int before = single_enter();
  dnnl_status_t status =
      dnnl_memory_create(&strip->memory, strip->packed, w->engine, w->data + strip->at);
  if (!status)
    status = reorder(p->cache, w, strip, p->cache->streams[thread],
                     p->rows + (size_t)strip->first * row);
  if (status) atomic_store(&p->failed, (int)status);
  single_leave(before);
}

xt_status onednn_weight_create(OnednnCache *c, Dtype type, int n, int k, const void *rows,
                               OnednnWeight **out, xt_error *error) {
  *out = NULL;
  OnednnWeight *w;
  TRY(MEM_ALLOC(&w, 1, error));
  w->type = type;
  w->n = n;
  w->k = k;
  const int before = single_enter();
  xt_status status = lay_out_strips(c, w, error);
  if (!status) status = cpu_block_create(w->bytes, &w->data, error);
  if (!status) {
    const dnnl_status_t made = dnnl_engine_create(&w->engine, dnnl_cpu, 0);
    if (made) status = failed(error, made, "pack a weight");
  }
  if (!status) {
    Packing p = {.cache = c, .weight = w, .rows = rows};
    parallel_for(c->pool, (size_t)w->strip_count, pack_strip, &p);
    if (p.failed) status = failed(error, (dnnl_status_t)p.failed, "pack a weight");
  }
  single_leave(before);
  if (status) {
    onednn_weight_free(w);
    return status;
  }
  *out = w;
  return XT_STATUS_OK;
}

void onednn_weight_free(OnednnWeight *w) {
  if (!w) return;
  for (int i = 0; i < w->strip_count; i++) {
    if (w->strips[i].memory) dnnl_memory_destroy(w->strips[i].memory);
    layout_free(w->strips[i].packed);
  }
  if (w->engine) dnnl_engine_destroy(w->engine);
  cpu_block_free(w->data);
  free(w->strips);
  free(w);
}

size_t onednn_weight_bytes(const OnednnWeight *w) { return w->bytes; }

/* ---- products -------------------------------------------------------------------------------- */

/* The next piece of m rows: multiples of 16, then what is left. */
static int piece(int m) { return m >= 16 ? m / 16 * 16 : m; }

/* A product, dealt out as strips times parts of the rows. */
typedef struct Work {
  const OnednnCache *cache;
  const OnednnWeight *weight;
  const char *x;
  float *y;
  int m, parts, part_rows; /* part_rows: a multiple of 16, but for one part */
  atomic_bool failed;
} Work;

/* Rows [row, row + rows of e). A strip's result is computed as a matrix of its own and then copied:
 * for a result inside a wider matrix oneDNN has another kernel, whose bits depend on the number of
 * rows. */
static dnnl_status_t run(const Work *work, const Strip *strip, const Entry *e, int row,
                         int thread) {
  const OnednnWeight *w = work->weight;
  const Memories *m = &e->memories[thread];
  const dnnl_stream_t stream = work->cache->streams[thread];
  const size_t size = w->type == DTYPE_BF16 ? 2 : 4, n = (size_t)strip->n;
  float *to = work->y + (size_t)row * (size_t)w->n + strip->first;
  float *at = e->rows == 1 || strip->n == w->n
                  ? to
                  : work->cache->results + (size_t)thread * ONEDNN_MOST_ROWS * STRIP_MOST;
  /* oneDNN only reads from the former; its interface has no const. */
  dnnl_status_t status = dnnl_memory_set_data_handle(
      m->src, (void *)(uintptr_t)(work->x + (size_t)row * (size_t)w->k * size));
  if (!status) status = dnnl_memory_set_data_handle(m->dst, at);
  if (!status)
    status = dnnl_memory_set_data_handle(
        m->scratch, work->cache->scratch + (size_t)thread * work->cache->scratch_bytes);
  if (status) return status;
  const dnnl_exec_arg_t args[4] = {{DNNL_ARG_SRC, m->src},
                                   {DNNL_ARG_WEIGHTS, strip->memory},
                                   {DNNL_ARG_DST, m->dst},
                                   {DNNL_ARG_SCRATCHPAD, m->scratch}};
  status = dnnl_primitive_execute(e->primitive, stream, 4, args);
  if (!status) status = dnnl_stream_wait(stream);
  for (int r = 0; at != to && r < e->rows; r++)
    memcpy(to + (size_t)r * (size_t)w->n, at + (size_t)r * n, n * sizeof *to);
  return status;
}

static void multiply_strip(void *context, size_t item, int thread) {
  Work *work = context;
  const OnednnWeight *w = work->weight;
  const Strip *strip = &w->strips[item / (size_t)work->parts];
  int row = (int)(item % (size_t)work->parts) * work->part_rows;
  const int end = work->m - row < work->part_rows ? work->m : row + work->part_rows,
            before = single_enter();
  while (row < end) {
    int rows = piece(end - row);
    const Entry *e = entry_find(work->cache, w->type, strip->n, w->k, rows);
    if (!e) { /* no memory for another primitive: one row at a time, which is slow but works */
      rows = 1;
      e = entry_find(work->cache, w->type, strip->n, w->k, 1);
    }
    if (!e || run(work, strip, e, row, thread)) {
      atomic_store(&work->failed, true);
      break;
    }
    row += rows;
  }
  single_leave(before);
}

/* Makes what multiply_strip will look for, as far as there is memory. */
static void prepare_rows(OnednnCache *c, const OnednnWeight *w, int rows) {
  const Strip *const kinds[] = {&w->strips[0], &w->strips[w->strip_count - 1]};
  for (int i = 0; i < 2; i++)
    for (int left = rows; left > 0; left -= piece(left)) {
      dnnl_status_t ignored;
      const Strip *strip = kinds[i];
      if (!entry_get(c, w->type, strip->n, w->k, piece(left), strip->packed, &ignored))
        entry_get(c, w->type, strip->n, w->k, 1, strip->packed, &ignored);
    }
}

bool onednn_multiply(OnednnCache *c, const OnednnWeight *w, const void *x, float *y, int m) {
  Work work = {.cache = c, .weight = w, .x = x, .y = y, .m = m, .parts = 1, .part_rows = m};
  const int before = single_enter(),
            wanted = (STRIPS_A_THREAD * c->threads + w->strip_count - 1) / w->strip_count;
  if (wanted > 1 && c->threads > 1 && m >= 2 * ROWS_LEAST) {
    const int parts = m / ROWS_LEAST < wanted ? m / ROWS_LEAST : wanted;
    work.part_rows = ((m + parts - 1) / parts + 15) / 16 * 16;
    work.parts = (m + work.part_rows - 1) / work.part_rows;
  }
  prepare_rows(c, w, work.part_rows);
  prepare_rows(c, w, m - (work.parts - 1) * work.part_rows);
  parallel_for(c->pool, (size_t)w->strip_count * (size_t)work.parts, multiply_strip, &work);
  single_leave(before);
  return !work.failed;
}
