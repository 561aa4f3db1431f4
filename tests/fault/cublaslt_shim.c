/* SPDX-License-Identifier: Apache-2.0 */
/* A pretended cuBLASLt, part of the pretended CUDA (cuda_shim.c): it looks at descriptions, and
 * multiplies on the host as they say. Of the algorithms that it offers the first is split over k,
 * the second needs more room than was allowed, the third sums in another order when there are more
 * than 128 rows, the fourth by a row's place, the fifth in the last tile of more than 1024 rows; the
 * others are as they should be. In the environment:
 *   XT_LT_REAL=LIBRARY   descriptions and preferences are made by that library, too, and what it refuses
 *                        stops the program
 *   XT_LT_OFFERS=N       it offers the first N of them alone */
#include "cuda_shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/cublaslt_api.h"

enum { HANDLE = 11, DESC, LAYOUT, PREFERENCE };
typedef struct Thing {
  int kind;
  int compute, scale, transposed[2]; /* of a description */
  int type;                          /* of a layout: its element, rows, columns and ld */
  uint64_t rows, columns;
  int64_t ld;
  uint64_t workspace; /* of a preference */
  uint32_t reduction, alignment[4];
  void *real;
} Thing;
static long live;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

long shim_lt_live(void) { return live; }

#define LT_FIELD(result, name, parameters) result(*name) parameters;
static struct {
  bool there;
  CUBLASLT_CALLS(LT_FIELD)
} real;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void open_real(void) {
  const char *name = getenv("XT_LT_REAL");
  void *library = name && *name ? shim_open_real(name) : NULL;
  if (!library) return;
#define LT_FIND(result, name, parameters)         \
  {                                               \
    void *address = dlsym(library, #name);        \
    CHECK(address, #name);                        \
    memcpy(&real.name, &address, sizeof address); \
  }
  CUBLASLT_CALLS(LT_FIND)
  real.there = true;
}
#define REALLY(call) \
  if (real.there) CHECK((call) == 0, "the real library refuses it")

#define BEGIN()                                                \
  pthread_once(&once, open_real);                              \
  const int code = shim_fault(__func__);                       \
  CHECK(shim_has_context(), "no context is the thread's one"); \
  if (code) return code

static Thing *make(int kind) {
  Thing *t = calloc(1, sizeof *t);
  CHECK(t, "the host's memory is full");
  t->kind = kind;
  pthread_mutex_lock(&lock);
  live++;
  pthread_mutex_unlock(&lock);
  return t;
}
static Thing *find(void *name, int kind) {
  Thing *t = name;
  CHECK(t && t->kind == kind, "no such thing");
  return t;
}
static void drop(Thing *t) {
  pthread_mutex_lock(&lock);
  live--;
  pthread_mutex_unlock(&lock);
  t->kind = 0;
  free(t);
}

size_t cublasLtGetVersion(void) {
  (void)shim_fault(__func__);
  return 130100;
}
LtStatus cublasLtCreate(LtHandle *out) {
  BEGIN();
  return *out = (LtHandle)(void *)make(HANDLE), 0;
}
LtStatus cublasLtDestroy(LtHandle handle) { return drop(find(handle, HANDLE)), 0; }

LtStatus cublasLtMatmulDescCreate(LtDesc *out, int compute, int scale) {
  BEGIN();
  Thing *t = make(DESC);
  t->compute = compute;
  t->scale = scale;
  REALLY(real.cublasLtMatmulDescCreate((LtDesc *)&t->real, compute, scale));
  return *out = (LtDesc)(void *)t, 0;
}
LtStatus cublasLtMatmulDescDestroy(LtDesc desc) {
  Thing *t = find(desc, DESC);
  REALLY(real.cublasLtMatmulDescDestroy(t->real));
  return drop(t), 0;
}
LtStatus cublasLtMatmulDescSetAttribute(LtDesc desc, int what, const void *value, size_t size) {
  BEGIN();
  Thing *t = find(desc, DESC);
  CHECK(what == LT_DESC_TRANSA || what == LT_DESC_TRANSB, "an attribute that is not looked for");
  CHECK(size == 4, "size");
  memcpy(&t->transposed[what == LT_DESC_TRANSB], value, size);
  REALLY(real.cublasLtMatmulDescSetAttribute(t->real, what, value, size));
  return 0;
}
LtStatus cublasLtMatrixLayoutCreate(LtLayout *out, int type, uint64_t rows, uint64_t columns,
                                    int64_t ld) {
  BEGIN();
  CHECK(rows > 0 && columns > 0 && ld >= (int64_t)rows, "a layout");
  Thing *t = make(LAYOUT);
  t->type = type;
  t->rows = rows;
  t->columns = columns;
  t->ld = ld;
  REALLY(real.cublasLtMatrixLayoutCreate((LtLayout *)&t->real, type, rows, columns, ld));
  return *out = (LtLayout)(void *)t, 0;
}
LtStatus cublasLtMatrixLayoutDestroy(LtLayout layout) {
  Thing *t = find(layout, LAYOUT);
  REALLY(real.cublasLtMatrixLayoutDestroy(t->real));
  return drop(t), 0;
}
LtStatus cublasLtMatmulPreferenceCreate(LtPreference *out) {
  BEGIN();
  Thing *t = make(PREFERENCE);
  t->reduction = 7;
  for (int i = 0; i < 4; i++) t->alignment[i] = 256;
  REALLY(real.cublasLtMatmulPreferenceCreate((LtPreference *)&t->real));
  return *out = (LtPreference)(void *)t, 0;
}
LtStatus cublasLtMatmulPreferenceDestroy(LtPreference preference) {
  Thing *t = find(preference, PREFERENCE);
  REALLY(real.cublasLtMatmulPreferenceDestroy(t->real));
  return drop(t), 0;
}
LtStatus cublasLtMatmulPreferenceSetAttribute(LtPreference preference, int what, const void *value,
                                              size_t size) {
  BEGIN();
  Thing *t = find(preference, PREFERENCE);
  if (what == LT_PREF_MAX_WORKSPACE_BYTES) {
    CHECK(size == sizeof t->workspace, "size");
    memcpy(&t->workspace, value, size);
  } else if (what == LT_PREF_REDUCTION_SCHEME_MASK) {
    CHECK(size == sizeof t->reduction, "size");
    memcpy(&t->reduction, value, size);
  } else {
    const int which = what - LT_PREF_MIN_ALIGNMENT_A_BYTES;
    CHECK(which >= 0 && which < 4 && size == sizeof *t->alignment, "alignment");
    memcpy(&t->alignment[which], value, size);
  }
  REALLY(real.cublasLtMatmulPreferenceSetAttribute(t->real, what, value, size));
  return 0;
}

/* ---- algorithms ------------------------------------------------------------------------------ */

enum { SPLIT, ROOMY, BY_ROWS, BY_PLACE, BY_TILES, OFFERS = 7, TILE = 128, MAGIC = 0x5a5a };

/* The matrices of a product agree with each other and with the description. */
static void check_product(LtDesc desc, LtLayout a_, LtLayout b_, LtLayout c, LtLayout d_) {
  const Thing *t = find(desc, DESC), *a = find(a_, LAYOUT), *b = find(b_, LAYOUT),
              *d = find(d_, LAYOUT);
  CHECK(c == d_, "C is D");
  CHECK(t->scale == LT_F32 && t->transposed[0] == LT_OP_T && t->transposed[1] == LT_OP_N,
        "the description");
  CHECK(a->type == b->type && d->type == LT_F32, "types");
  CHECK(a->type == LT_F32
            ? t->compute == LT_COMPUTE_32F_FAST_TF32
            : (a->type == LT_F16 || a->type == LT_BF16) && t->compute == LT_COMPUTE_32F,
        "the compute type");
  CHECK(a->rows == b->rows && a->columns == d->rows && b->columns == d->columns, "sizes");
  CHECK(b->columns % 128 == 0 && a->rows % 8 == 0 && d->ld % 4 == 0, "whole tiles");
}

LtStatus cublasLtMatmulAlgoGetHeuristic(LtHandle handle, LtDesc desc, LtLayout a, LtLayout b,
                                        LtLayout c, LtLayout d, LtPreference preference, int most,
                                        LtHeuristic *out, int *count) {
  BEGIN();
  const Thing *p = find(preference, PREFERENCE);
  find(handle, HANDLE);
  check_product(desc, a, b, c, d);
  CHECK(p->workspace > 0 && p->reduction == LT_REDUCTION_SCHEME_NONE, "what is preferred");
  CHECK(p->alignment[0] <= 256 && p->alignment[1] <= 256 && p->alignment[2] <= 16 &&
            p->alignment[3] <= 16,
        "alignments that are not kept");
  const int offers = getenv("XT_LT_OFFERS") ? atoi(getenv("XT_LT_OFFERS")) : OFFERS;
  for (*count = 0; *count < offers && *count < most; ++*count)
    out[*count] = (LtHeuristic){.algorithm = {{MAGIC, (uint64_t)*count}}};
  return 0;
}
LtStatus cublasLtMatmulAlgoCheck(LtHandle handle, LtDesc desc, LtLayout a, LtLayout b, LtLayout c,
                                 LtLayout d, const LtAlgorithm *algorithm, LtHeuristic *out) {
  BEGIN();
  find(handle, HANDLE);
  check_product(desc, a, b, c, d);
  if (algorithm->data[0] != MAGIC) return 15;
  *out = (LtHeuristic){.algorithm = *algorithm,
                       .workspace = algorithm->data[1] == ROOMY ? (size_t)1 << 40 : 0};
  return 0;
}
LtStatus cublasLtMatmulAlgoConfigGetAttribute(const LtAlgorithm *algorithm, int what, void *value,
                                              size_t size, size_t *written) {
  BEGIN();
  CHECK(size == 4 && (what == LT_CONFIG_SPLITK_NUM || what == LT_CONFIG_REDUCTION_SCHEME),
        "an attribute that is not looked for");
  const int32_t split = algorithm->data[1] == SPLIT;
  const int32_t number = what == LT_CONFIG_SPLITK_NUM ? (split ? 4 : 1) : split;
  memcpy(value, &number, size);
  return *written = size, 0;
}

/* ---- the product ----------------------------------------------------------------------------- */

static float element(CudaPointer at, int type, uint64_t index) {
  uint32_t bits = 0;
  float x;
  memcpy(&bits, (const char *)(uintptr_t)at + index * (type == LT_F32 ? 4 : 2),
         type == LT_F32 ? 4 : 2);
  if (type == LT_F32) CHECK((bits & 0x1fff) == 0, "an operand is not rounded to TF32");
  if (type == LT_BF16) bits <<= 16;
  if (type == LT_F16) {
    const uint32_t size = bits & 0x7fff;
    float y;
    const uint32_t shifted = size << 13;
    memcpy(&y, &shifted, sizeof y);
    y *= 0x1p112f;
    memcpy(&x, &y, sizeof x);
    return bits & 0x8000 ? -x : x;
  }
  memcpy(&x, &bits, sizeof x);
  return x;
}
static size_t bytes_of(const Thing *t) {
  return ((size_t)t->ld * (t->columns - 1) + t->rows) * (t->type == LT_F32 ? 4 : 2);
}

static bool sums_backward(uint64_t which, uint64_t row, uint64_t rows) {
  return (which == BY_ROWS && rows > TILE) || (which == BY_PLACE && row % 2) ||
         (which == BY_TILES && rows > 1024 && row >= rows - TILE);
}

LtStatus cublasLtMatmul(LtHandle handle, LtDesc desc, const void *alpha, const void *A, LtLayout a_,
                        const void *B, LtLayout b_, const void *beta, const void *C, LtLayout c_,
                        void *D, LtLayout d_, const LtAlgorithm *algorithm, void *workspace,
                        size_t room, CudaStream stream) {
  BEGIN();
  const Thing *a = find(a_, LAYOUT), *b = find(b_, LAYOUT), *d = find(d_, LAYOUT);
  const CudaPointer w = (CudaPointer)(uintptr_t)A, x = (CudaPointer)(uintptr_t)B;
  float one, zero;
  find(handle, HANDLE);
  check_product(desc, a_, b_, c_, d_);
  memcpy(&one, alpha, sizeof one);
  memcpy(&zero, beta, sizeof zero);
  CHECK(one == 1.0f && zero == 0.0f && C == D, "alpha and beta");
  CHECK(shim_has_stream(stream), "no such stream");
  CHECK(shim_is_within((CudaPointer)(uintptr_t)workspace, room), "the workspace");
  CHECK(shim_is_within(w, bytes_of(a)) && shim_is_within(x, bytes_of(b)) &&
            shim_is_within((CudaPointer)(uintptr_t)D, bytes_of(d)),
        "beyond the memory");
  CHECK((uintptr_t)D % 16 == 0, "D is not aligned");
  CHECK(algorithm->data[0] == MAGIC, "no algorithm that was offered");
  const uint64_t which = algorithm->data[1];
  for (uint64_t r = 0; r < d->columns; r++) {
    const bool backward = sums_backward(which, r, d->columns);
    float *row = (float *)D + r * (uint64_t)d->ld;
    /* a row that came before, as the trial of an algorithm has them */
    const uint64_t before = (r + r / TILE) % TILE;
    const size_t bytes = (size_t)a->rows * (a->type == LT_F32 ? 4 : 2);
    if (r >= TILE && backward == sums_backward(which, before, d->columns) &&
        memcmp((const char *)B + r * (uint64_t)b->ld * bytes / a->rows,
               (const char *)B + before * (uint64_t)b->ld * bytes / a->rows, bytes) == 0) {
      memcpy(row, (float *)D + before * (uint64_t)d->ld, d->rows * sizeof *row);
      continue;
    }
    for (uint64_t n = 0; n < d->rows; n++) {
      float sum = 0;
      for (uint64_t i = 0; i < a->rows; i++) {
        const uint64_t k = backward ? a->rows - 1 - i : i;
        sum += element(w, a->type, n * (uint64_t)a->ld + k) *
               element(x, b->type, r * (uint64_t)b->ld + k);
      }
      row[n] = sum;
    }
  }
  return 0;
}
