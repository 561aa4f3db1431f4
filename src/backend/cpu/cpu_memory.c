/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, transfers and the checks that every set of kernels shares. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/cpu/cpu.h"
#include "files/dtype.h"
#include "base/mem.h"
#include "base/parallel.h"

/* A block begins with a header of one cache line. Large ones are mapped: zero pages come when they
 * are touched, and huge pages spare the matrix product most of its TLB misses. */
typedef struct BlockHeader {
  void *base;
  size_t mapped; /* bytes; 0: from aligned_alloc */
  char pad[48];
} BlockHeader;
_Static_assert(sizeof(BlockHeader) == 64, "keeps the block aligned");
#define HUGE_PAGE ((size_t)2 << 20)

xt_status cpu_block_create(size_t bytes, void *out, xt_error *error) {
  const size_t most = SIZE_MAX / 4;
  void *null = NULL;
  memcpy(out, &null, sizeof null);
  if (bytes > most) return err_memory(error, bytes);
  const size_t whole = (bytes + sizeof(BlockHeader) + 63) / 64 * 64;
  BlockHeader *header = NULL;
  if (whole < 2 * HUGE_PAGE) {
    header = aligned_alloc(64, whole);
    if (!header) return err_memory(error, bytes);
    memset(header, 0, whole);
    header->base = header;
  } else {
    /* the last part is in small pages */
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (whole + page - 1) / page * page;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return err_memory(error, bytes);
#ifdef MADV_HUGEPAGE
    (void)madvise(base, size, MADV_HUGEPAGE); /* only a hint */
#endif
    header = base;
    header->base = base;
    header->mapped = size;
  }
  void *block = header + 1;
  memcpy(out, &block, sizeof block);
  return XT_STATUS_OK;
}

void cpu_block_free(void *block) {
  if (!block) return;
  BlockHeader *header = (BlockHeader *)block - 1;
  if (header->mapped)
    munmap(header->base, header->mapped);
  else
    free(header->base);
}

xt_status cpu_scratch_reserve(CpuBackend *b, size_t floats, xt_error *error) {
  floats = (floats + 15) / 16 * 16 + 16; /* a cache line between the threads' parts */
  if (floats <= b->scratch_floats) return XT_STATUS_OK;
  if (floats > SIZE_MAX / 8 / (size_t)b->base.threads) return err_memory(error, SIZE_MAX);
  float *scratch;
  TRY(cpu_block_create(floats * sizeof *scratch * (size_t)b->base.threads, &scratch, error));
  cpu_block_free(b->scratch);
  b->scratch = scratch;
  b->scratch_floats = floats;
  return XT_STATUS_OK;
}

xt_status cpu_alloc(Backend *b, size_t bytes, Dev *out, xt_error *error) {
  (void)b;
  *out = (Dev){0};
  return cpu_block_create(bytes, &out->buffer, error);
}

void cpu_release(Backend *b, Dev d) {
  (void)b;
  cpu_block_free(d.buffer);
}

void cpu_upload(Backend *b, Dev to, const void *from, size_t bytes) {
  (void)b;
  if (bytes) memcpy(cpu_floats(to), from, bytes);
}

void cpu_download(Backend *b, void *to, Dev from, size_t bytes) {
  (void)b;
  if (bytes) memcpy(to, cpu_floats(from), bytes);
}

xt_status cpu_status(Backend *b, xt_error *error) {
  (void)b, (void)error; /* no op fails once its memory was allocated */
  return XT_STATUS_OK;
}

typedef struct CopyRows {
  float *to;
  const float *from;
  const int32_t *to_rows, *from_rows;
  size_t width;
  int m, step;
} CopyRows;

static void copy_some(void *context, size_t item, int thread) {
  const CopyRows *c = context;
  (void)thread;
  const int first = (int)item * c->step, end = c->m - first < c->step ? c->m : first + c->step;
  for (int r = first; r < end; r++) {
    const size_t to = c->to_rows ? (size_t)c->to_rows[r] : (size_t)r;
    const size_t from = c->from_rows ? (size_t)c->from_rows[r] : (size_t)r;
    memcpy(c->to + to * c->width, c->from + from * c->width, c->width * sizeof *c->to);
  }
}

void cpu_copy_rows(Backend *b, Dev to, IndexList to_rows, Dev from, IndexList from_rows, int m,
                   int width) {
  if (m <= 0) return;
  const int step = 65536 / (width > 0 ? width : 1) + 1;
  CopyRows c = {cpu_floats(to),
                cpu_floats(from),
                cpu_ints(to_rows),
                cpu_ints(from_rows),
                (size_t)width,
                m,
                step};
  parallel_for(b->pool, (size_t)((m - 1) / step + 1), copy_some, &c);
}

xt_status cpu_check_parts(const MatrixSource *parts, int n_parts, xt_error *error) {
  long long rows = 0;
  for (int p = 0; p < n_parts; p++) {
    const MatrixSource *s = &parts[p];
    if (!dtype_is_weight(s->dtype))
      return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                     "weights must be F32, F16, BF16 or quantised, not %s", dtype_name(s->dtype));
    if (s->cols != parts[0].cols || s->cols <= 0 || s->rows <= 0 ||
        (size_t)s->cols % dtype_block(s->dtype) ||
        (s->paired && (s->paired < 0 || s->paired % 2 || s->rows % s->paired)))
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                     "parts of one weight differ in columns, or are not whole blocks or heads");
    rows += s->rows;
  }
  if (n_parts <= 0 || rows > INT32_MAX - 64)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "a weight of %d parts, %lld rows",
                   n_parts, rows);
  return XT_STATUS_OK;
}

xt_status cpu_check_kv(KvShape shape, int positions, xt_error *error) {
  if (shape.layers <= 0 || shape.kv_heads <= 0 || shape.head_dim <= 0 || positions <= 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                   "a cache of %d layers, %d heads of %d, %d positions", shape.layers,
                   shape.kv_heads, shape.head_dim, positions);
  return XT_STATUS_OK;
}

/* The types that operands of products are rounded to: names, and the sizes from which on a number
 * rounds to infinity. */
static const struct {
  const char *as;
  float infinite;
} rounded[] = {[XT_COMPUTE_F32] = {"", INFINITY},
               [XT_COMPUTE_BF16] = {" (as bfloat16)", 0x1.ffp127f},
               [XT_COMPUTE_F16] = {" (as float16)", 65520.0f},
               [XT_COMPUTE_TF32] = {" (as TF32)", 0x1.ffep127f}};

/* The first value of a stored row that is not finite, or `cols`. */
static int broken_column(const MatrixSource *s, const char *row, xt_compute compute, float *value) {
  float wide[DTYPE_BLOCK_MAX];
  for (int c = 0; c < s->cols; c += DTYPE_BLOCK_MAX) {
    const int count = s->cols - c < DTYPE_BLOCK_MAX ? s->cols - c : DTYPE_BLOCK_MAX;
    dtype_widen(s->dtype, row + dtype_bytes(s->dtype, (size_t)c), (size_t)count, wide);
    for (int i = 0; i < count; i++) {
      *value = wide[i];
      if (!(fabsf(wide[i]) < rounded[compute].infinite)) return c + i;
    }
  }
  return s->cols;
}

xt_status cpu_find_not_finite(const MatrixSource *parts, int n_parts, int from, int to,
                              xt_compute compute, xt_error *error) {
  int first = 0; /* stacked row of the part's first row */
  for (int p = 0; p < n_parts; first += parts[p].rows, p++) {
    const MatrixSource *s = &parts[p];
    const size_t stride = dtype_bytes(s->dtype, (size_t)s->cols), block = dtype_block(s->dtype);
    for (int r = from > first ? from - first : 0; r < s->rows && r + first < to; r++) {
      float x;
      const size_t place = (size_t)matrix_source_place(s, r) * stride;
      const int c = broken_column(s, (const char *)s->data + place, compute, &x);
      if (c == s->cols) continue;
      char field[16];
      snprintf(field, sizeof field, "%d", p);
      return err_set(error, XT_STATUS_INPUT, NULL, field,
                     (long long)(place + (size_t)c / block * dtype_size(s->dtype)),
                     "row %d, column %d is %s: weights must be finite%s", r, c,
                     isnan(x) ? "NaN" : "infinite", rounded[compute].as);
    }
  }
  return XT_STATUS_OK;
}
