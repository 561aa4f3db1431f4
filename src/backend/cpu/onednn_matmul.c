/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/onednn_matmul.h"

#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/half.h"
#include "base/mem.h"
#include "base/rng.h"

/* The product for one shape and one number of rows, with the memories it is run on. */
typedef struct Entry {
  Dtype type;
  int n, k, rows;
  dnnl_primitive_t primitive;
  dnnl_memory_t src, dst, scratch;
  dnnl_memory_desc_t packed; /* the weights' layout */
  size_t scratch_bytes;
} Entry;

struct OnednnCache {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  int threads;
  Entry *entries;
  size_t count, capacity;
  char *scratch;
  size_t scratch_bytes;
};

struct OnednnWeight {
  Dtype type;
  int n, k;
  dnnl_memory_desc_t packed;
  size_t bytes;
  char *data;
  /* Its own, so that it may outlive the cache it was packed by; and set once, because setting a memory's
   * address writes zeros into its padding, which threads that share the weight must not do. */
  dnnl_engine_t engine;
  dnnl_memory_t memory;
};

static xt_status failed(xt_error *error, dnnl_status_t status, const char *doing) {
  if (status == dnnl_out_of_memory) return err_memory(error, 0);
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "oneDNN cannot %s (its status %d)", doing, (int)status);
}

/* oneDNN takes its threads from the calling thread's OpenMP setting: set around a call, then put back. */
static int threads_enter(const OnednnCache *c) {
  const int before = omp_get_max_threads();
  if (before != c->threads) omp_set_num_threads(c->threads);
  return before;
}
static void threads_leave(const OnednnCache *c, int before) {
  if (before != c->threads) omp_set_num_threads(before);
}

xt_status onednn_cache_create(int threads, OnednnCache **out, xt_error *error) {
  *out = NULL;
  OnednnCache *c;
  TRY(mem_alloc(&c, 1, sizeof *c, error));
  c->threads = threads;
  dnnl_status_t status = dnnl_engine_create(&c->engine, dnnl_cpu, 0);
  if (status == dnnl_success) status = dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags);
  if (status != dnnl_success) {
    onednn_cache_free(c);
    return failed(error, status, "start");
  }
  *out = c;
  return XT_STATUS_OK;
}

static void entry_clear(Entry *e) {
  if (e->primitive) dnnl_primitive_destroy(e->primitive);
  if (e->src) dnnl_memory_destroy(e->src);
  if (e->dst) dnnl_memory_destroy(e->dst);
  if (e->scratch) dnnl_memory_destroy(e->scratch);
}

void onednn_cache_free(OnednnCache *c) {
  if (!c) return;
  for (size_t i = 0; i < c->count; i++) entry_clear(&c->entries[i]);
  free(c->entries);
  cpu_block_free(c->scratch);
  if (c->stream) dnnl_stream_destroy(c->stream);
  if (c->engine) dnnl_engine_destroy(c->engine);
  free(c);
}

static dnnl_data_type_t type_of(Dtype type) { return type == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32; }

/* packed NULL: oneDNN chooses the weights' layout. */
static dnnl_status_t describe(OnednnCache *c, Dtype type, int n, int k, int rows, const dnnl_memory_desc_t *packed,
                              dnnl_primitive_desc_t *out) {
  const dnnl_dims_t src_dims = {rows, k}, w_dims = {k, n}, dst_dims = {rows, n};
  dnnl_memory_desc_t src, w, dst;
  dnnl_matmul_desc_t op;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_status_t status = dnnl_memory_desc_init_by_tag(&src, 2, src_dims, type_of(type), dnnl_ab);
  if (!status) status = dnnl_memory_desc_init_by_tag(&dst, 2, dst_dims, dnnl_f32, dnnl_ab);
  if (!status && !packed) status = dnnl_memory_desc_init_by_tag(&w, 2, w_dims, type_of(type), dnnl_format_tag_any);
  if (!status) status = dnnl_matmul_desc_init(&op, &src, packed ? packed : &w, NULL, &dst);
  if (!status) status = dnnl_primitive_attr_create(&attr);
  /* Its scratch memory is ours: it allocates none while it runs. */
  if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
  if (!status) status = dnnl_primitive_desc_create(out, &op, attr, c->engine, NULL);
  if (attr) dnnl_primitive_attr_destroy(attr);
  return status;
}

bool onednn_has(OnednnCache *c, Dtype type) {
  if (type != DTYPE_F32 && type != DTYPE_BF16) return false;
  const int before = threads_enter(c);
  dnnl_primitive_desc_t desc = NULL;
  const char *name = NULL;
  bool has = describe(c, type, 256, 256, 64, NULL, &desc) == dnnl_success &&
             dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) == dnnl_success && name &&
             !strstr(name, "ref");
  if (desc) dnnl_primitive_desc_destroy(desc);
  threads_leave(c, before);
  return has;
}

/* Fills *e; what it made is cleared by the caller on failure. */
static dnnl_status_t entry_make(OnednnCache *c, const dnnl_memory_desc_t *packed, Entry *e) {
  dnnl_primitive_desc_t desc = NULL;
  dnnl_status_t status = describe(c, e->type, e->n, e->k, e->rows, packed, &desc);
  if (status) return status;
  const dnnl_memory_desc_t *src = dnnl_primitive_desc_query_md(desc, dnnl_query_src_md, 0);
  const dnnl_memory_desc_t *w = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
  const dnnl_memory_desc_t *dst = dnnl_primitive_desc_query_md(desc, dnnl_query_dst_md, 0);
  const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
  status = dnnl_primitive_create(&e->primitive, desc);
  if (!status) status = dnnl_memory_create(&e->src, src, c->engine, DNNL_MEMORY_NONE);
  if (!status) status = dnnl_memory_create(&e->dst, dst, c->engine, DNNL_MEMORY_NONE);
  if (!status) status = dnnl_memory_create(&e->scratch, scratch, c->engine, DNNL_MEMORY_NONE);
  if (!status) {
    e->packed = *w;
    e->scratch_bytes = dnnl_memory_desc_get_size(scratch);
  }
  dnnl_primitive_desc_destroy(desc);
  return status;
}

/* The entry for these rows, made when there is none; NULL when it cannot be. */
static Entry *entry_get(OnednnCache *c, Dtype type, int n, int k, int rows, const dnnl_memory_desc_t *packed,
                        dnnl_status_t *status) {
  *status = dnnl_success;
  for (size_t i = 0; i < c->count; i++) {
    Entry *e = &c->entries[i];
    if (e->type == type && e->n == n && e->k == k && e->rows == rows) return e;
  }
  *status = dnnl_out_of_memory;
  if (mem_grow(&c->entries, &c->capacity, c->count + 1, sizeof *c->entries, NULL)) return NULL;
  Entry made = {.type = type, .n = n, .k = k, .rows = rows};
  *status = entry_make(c, packed, &made);
  if (!*status && made.scratch_bytes > c->scratch_bytes) {
    char *scratch;
    if (cpu_block_create(made.scratch_bytes, &scratch, NULL)) *status = dnnl_out_of_memory;
    else {
      cpu_block_free(c->scratch);
      c->scratch = scratch;
      c->scratch_bytes = made.scratch_bytes;
    }
  }
  if (*status) {
    entry_clear(&made);
    return NULL;
  }
  c->entries[c->count] = made;
  return &c->entries[c->count++];
}

/* From [n,k] row-major into the packed layout. */
static dnnl_status_t reorder(OnednnCache *c, const OnednnWeight *w, const void *rows) {
  const dnnl_dims_t dims = {w->k, w->n}, strides = {1, w->k};
  dnnl_memory_desc_t plain;
  dnnl_primitive_desc_t desc = NULL;
  dnnl_primitive_t primitive = NULL;
  dnnl_memory_t from = NULL;
  dnnl_status_t status = dnnl_memory_desc_init_by_strides(&plain, 2, dims, type_of(w->type), strides);
  if (!status) status = dnnl_reorder_primitive_desc_create(&desc, &plain, c->engine, &w->packed, c->engine, NULL);
  if (!status) status = dnnl_primitive_create(&primitive, desc);
  /* oneDNN only reads from it; its interface has no const. */
  if (!status) status = dnnl_memory_create(&from, &plain, c->engine, (void *)(uintptr_t)rows);
  if (!status) {
    const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, w->memory}};
    status = dnnl_primitive_execute(primitive, c->stream, 2, args);
  }
  if (!status) status = dnnl_stream_wait(c->stream);
  if (from) dnnl_memory_destroy(from);
  if (primitive) dnnl_primitive_destroy(primitive);
  if (desc) dnnl_primitive_desc_destroy(desc);
  return status;
}

xt_status onednn_weight_create(OnednnCache *c, Dtype type, int n, int k, const void *rows, OnednnWeight **out,
                               xt_error *error) {
  *out = NULL;
  OnednnWeight *w;
  TRY(mem_alloc(&w, 1, sizeof *w, error));
  w->type = type;
  w->n = n;
  w->k = k;
  const int before = threads_enter(c);
  /* The layout is the one preferred for many rows; fewer rows are then bound to it. */
  dnnl_status_t made = dnnl_success;
  const Entry *many = entry_get(c, type, n, k, ONEDNN_MOST_ROWS, NULL, &made);
  xt_status status = XT_STATUS_OK;
  if (!many) status = failed(error, made, "make a product");
  if (!status) {
    w->packed = many->packed;
    w->bytes = dnnl_memory_desc_get_size(&w->packed);
    status = cpu_block_create(w->bytes, &w->data, error);
  }
  if (!status) {
    made = dnnl_engine_create(&w->engine, dnnl_cpu, 0);
    if (!made) made = dnnl_memory_create(&w->memory, &w->packed, w->engine, w->data);
    if (!made) made = reorder(c, w, rows);
    if (made) status = failed(error, made, "pack a weight");
  }
  if (!status && !entry_get(c, type, n, k, 1, &w->packed, &made)) status = failed(error, made, "make a product of one row");
  threads_leave(c, before);
  if (status) {
    onednn_weight_free(w);
    return status;
  }
  *out = w;
  return XT_STATUS_OK;
}

void onednn_weight_free(OnednnWeight *w) {
  if (!w) return;
  if (w->memory) dnnl_memory_destroy(w->memory);
  if (w->engine) dnnl_engine_destroy(w->engine);
  cpu_block_free(w->data);
  free(w);
}

size_t onednn_weight_bytes(const OnednnWeight *w) { return w->bytes; }

/* The next piece of m rows: multiples of 16, then what is left. */
static int piece(int m) { return m >= 16 ? m / 16 * 16 : m; }

static dnnl_status_t run(OnednnCache *c, const OnednnWeight *w, const Entry *e, const char *x, float *y) {
  dnnl_status_t status = dnnl_memory_set_data_handle(e->src, (void *)(uintptr_t)x);
  if (!status) status = dnnl_memory_set_data_handle(e->dst, y);
  if (!status) status = dnnl_memory_set_data_handle(e->scratch, c->scratch);
  if (status) return status;
  const dnnl_exec_arg_t args[4] = {{DNNL_ARG_SRC, e->src}, {DNNL_ARG_WEIGHTS, w->memory}, {DNNL_ARG_DST, e->dst},
                                   {DNNL_ARG_SCRATCHPAD, e->scratch}};
  status = dnnl_primitive_execute(e->primitive, c->stream, 4, args);
  return status ? status : dnnl_stream_wait(c->stream);
}

bool onednn_multiply(OnednnCache *c, const OnednnWeight *w, const void *x, float *y, int m) {
  const size_t size = w->type == DTYPE_BF16 ? 2 : 4;
  const char *from = x;
  const int before = threads_enter(c);
  dnnl_status_t status = dnnl_success;
  while (m > 0 && !status) {
    int rows = piece(m);
    const Entry *e = entry_get(c, w->type, w->n, w->k, rows, &w->packed, &status);
    if (!e) { /* no memory for another primitive: one row at a time, slowly but surely */
      rows = 1;
      e = entry_get(c, w->type, w->n, w->k, 1, &w->packed, &status);
    }
    if (e) status = run(c, w, e, from, y);
    from += (size_t)rows * (size_t)w->k * size;
    y += (size_t)rows * (size_t)w->n;
    m -= rows;
  }
  threads_leave(c, before);
  return status == dnnl_success;
}

/* ---- does it keep the order? ---- */

enum { SAMPLE_N = 160, SAMPLE_K = 1100, SAMPLE_ROWS = 64 };

/* Products of several row counts against those of all rows at once. */
static bool sample_agrees(OnednnCache *c, const OnednnWeight *w, const char *x, size_t row_bytes, const float *all,
                          float *some) {
  static const int counts[] = {1, 2, 5, 7, 16, 37, SAMPLE_ROWS};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    const int first = SAMPLE_ROWS - counts[i];
    if (!onednn_multiply(c, w, x + (size_t)first * row_bytes, some, counts[i])) return false;
    if (memcmp(some, all + first * SAMPLE_N, (size_t)(counts[i] * SAMPLE_N) * sizeof *some) != 0) return false;
  }
  return true;
}

xt_status onednn_keeps_order(int threads, Dtype type, bool *keeps, xt_error *error) {
  *keeps = false;
  const size_t values = (SAMPLE_N + SAMPLE_ROWS) * SAMPLE_K, sums = SAMPLE_ROWS * SAMPLE_N;
  const size_t size = type == DTYPE_BF16 ? 2 : 4, row_bytes = SAMPLE_K * size;
  OnednnCache *many = NULL, *one = NULL;
  OnednnWeight *w = NULL;
  char *data = NULL;
  float *all = NULL;
  xt_status status = XT_STATUS_OK;
  TRY_DONE(cpu_block_create(values * size, &data, error));
  TRY_DONE(mem_alloc(&all, 2 * sums, sizeof *all, error));
  Rng rng = {1};
  for (size_t i = 0; i < values; i++) {
    const float x = rng_symmetric(&rng);
    const uint16_t h = half_to_bf16(x);
    memcpy(data + i * size, type == DTYPE_BF16 ? (const void *)&h : (const void *)&x, size);
  }
  TRY_DONE(onednn_cache_create(threads, &many, error));
  TRY_DONE(onednn_cache_create(1, &one, error));
  TRY_DONE(onednn_weight_create(many, type, SAMPLE_N, SAMPLE_K, data, &w, error));
  const char *x = data + SAMPLE_N * row_bytes;
  *keeps = onednn_multiply(many, w, x, all, SAMPLE_ROWS) && sample_agrees(many, w, x, row_bytes, all, all + sums) &&
           sample_agrees(one, w, x, row_bytes, all, all + sums);
done:
  onednn_weight_free(w);
  onednn_cache_free(many);
  onednn_cache_free(one);
  cpu_block_free(data);
  free(all);
  return status;
}
