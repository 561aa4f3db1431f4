/* SPDX-License-Identifier: Apache-2.0 */
/* The library thinks in columns: y^T [n, rows] = w [n, k] x^T, where what lies row after row in
 * memory is a transposed matrix to it. So A is w^T (k by n, ld k), used transposed; B is x^T (k by
 * rows, ld k); D is y^T (n by rows, ld ldy). */
#include "backend/gpu/cublaslt.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/gpu_cache.h"
#include "base/mem.h"

#define LT_FIELD(result, name, parameters) result(*name) parameters;
static struct {
  bool there;
  CUBLASLT_CALLS(LT_FIELD)
} lib;
static char missing[120] = "libcublasLt is not installed";
static pthread_once_t once = PTHREAD_ONCE_INIT;

enum { CANDIDATES = 16 };
/* The algorithms of a shape, and which of them is pinned. */
typedef struct LtShape {
  GpuTensorShape shape;
  int count, which;
  bool kept;
  LtAlgorithm algorithms[CANDIDATES];
} LtShape;

struct Cublaslt {
  LtHandle handle;
  const GpuInfo *info;
  char *cache;
  char name[48];
  LtShape *shapes;
  size_t count, capacity;
};

/* One product as the library has it described. */
typedef struct LtCall {
  LtDesc desc;
  LtLayout a, b, d;
} LtCall;

static void open_library(void) {
  static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11",
                                      "libcublasLt.so", "/usr/local/cuda/lib64/libcublasLt.so"};
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
    library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  lib.there = true;
#define LT_FIND(result, name, parameters)                                           \
  {                                                                                 \
    void *address = dlsym(library, #name);                                          \
    if (!address) snprintf(missing, sizeof missing, "libcublasLt lacks %s", #name); \
    memcpy(&lib.name, &address, sizeof address);                                    \
    lib.there = lib.there && address;                                               \
  }
  CUBLASLT_CALLS(LT_FIND)
}

static const GpuCode codes[] = {{LT_ALLOC_FAILED, GPU_NO_MEMORY},
                                {LT_INVALID_VALUE, GPU_MISUSED},
                                {LT_NOT_SUPPORTED, GPU_MISUSED},
                                {0, GPU_LOST}};

static xt_status failed(const Cublaslt *lt, LtStatus code, const char *doing, xt_error *error) {
  char name[32];
  snprintf(name, sizeof name, "cuBLAS status %d", code);
  return gpu_failed(lt->info, codes, code, name, doing, error);
}

const char *cublaslt_missing(void) {
  pthread_once(&once, open_library);
  return lib.there ? NULL : missing;
}

xt_status cublaslt_open(const GpuInfo *info, const char *cache, Cublaslt **out, xt_error *error) {
  Cublaslt *lt;
  *out = NULL;
  if (cublaslt_missing())
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "products in other types than f32 need NVIDIA's cuBLASLt on %s, and %s",
                   info->id, missing);
  TRY(MEM_ALLOC(&lt, 1, error));
  lt->info = info;
  const size_t version = lib.cublasLtGetVersion(); /* 130100; 11 and older: 110203 */
  snprintf(lt->name, sizeof lt->name, "cuBLASLt %zu.%zu.%zu", version / 10000, version / 100 % 100,
           version % 100);
  xt_status status = XT_STATUS_OK;
  if (cache) status = mem_copy_text(&lt->cache, cache, strlen(cache), error);
  const LtStatus code = status ? 0 : lib.cublasLtCreate(&lt->handle);
  if (code) {
    lt->handle = NULL;
    status = failed(lt, code, "opening cuBLASLt", error);
  }
  if (status)
    cublaslt_close(lt);
  else
    *out = lt;
  return status;
}

void cublaslt_close(Cublaslt *lt) {
  if (!lt) return;
  if (lt->handle) lib.cublasLtDestroy(lt->handle);
  free(lt->cache);
  free(lt->shapes);
  free(lt);
}

void cublaslt_name(const Cublaslt *lt, char name[48]) { memcpy(name, lt->name, sizeof lt->name); }

/* ---- descriptions ---------------------------------------------------------------------------- */

static LtStatus describe(LtCall *call, GpuTensorShape shape, int rows, int ldy) {
  const int type = shape.type == GPU_TO_TF32  ? LT_F32
                   : shape.type == GPU_TO_F16 ? LT_F16
                                              : LT_BF16,
            compute = shape.type == GPU_TO_TF32 ? LT_COMPUTE_32F_FAST_TF32 : LT_COMPUTE_32F;
  const int32_t transposed = LT_OP_T, plain = LT_OP_N;
  const uint64_t n = (uint64_t)shape.n, k = (uint64_t)shape.k, m = (uint64_t)rows;
  *call = (LtCall){0};
  LtStatus code = lib.cublasLtMatmulDescCreate(&call->desc, compute, LT_F32);
  if (!code)
    code = lib.cublasLtMatmulDescSetAttribute(call->desc, LT_DESC_TRANSA, &transposed,
                                              sizeof transposed);
  if (!code)
    code = lib.cublasLtMatmulDescSetAttribute(call->desc, LT_DESC_TRANSB, &plain, sizeof plain);
  if (!code) code = lib.cublasLtMatrixLayoutCreate(&call->a, type, k, n, shape.k);
  if (!code) code = lib.cublasLtMatrixLayoutCreate(&call->b, type, k, m, shape.k);
  if (!code) code = lib.cublasLtMatrixLayoutCreate(&call->d, LT_F32, n, m, ldy);
  return code;
}

static void forget(LtCall *call) {
  LtLayout const layouts[] = {call->a, call->b, call->d};
  for (int i = 0; i < 3; i++)
    if (layouts[i]) lib.cublasLtMatrixLayoutDestroy(layouts[i]);
  if (call->desc) lib.cublasLtMatmulDescDestroy(call->desc);
}

static int aligned_ld(GpuTensorShape shape) { return (shape.n + 3) / 4 * 4; }

/* Whether the algorithm does products of this shape with each number of rows, in one sequence over k
 * and within the workspace. */
static bool fits(const Cublaslt *lt, GpuTensorShape shape, const LtAlgorithm *algorithm) {
  int32_t split = 0, reduction = 0;
  size_t written;
  if (lib.cublasLtMatmulAlgoConfigGetAttribute(algorithm, LT_CONFIG_SPLITK_NUM, &split,
                                               sizeof split, &written) ||
      lib.cublasLtMatmulAlgoConfigGetAttribute(algorithm, LT_CONFIG_REDUCTION_SCHEME, &reduction,
                                               sizeof reduction, &written) ||
      split > 1 || reduction != LT_REDUCTION_SCHEME_NONE)
    return false;
  bool fine = true;
  for (int rows = GPU_TENSOR_ROWS; rows <= GPU_TENSOR_MOST && fine; rows += GPU_TENSOR_ROWS) {
    LtCall call;
    LtHeuristic checked = {0};
    fine = !describe(&call, shape, rows, aligned_ld(shape)) &&
           !lib.cublasLtMatmulAlgoCheck(lt->handle, call.desc, call.a, call.b, call.d, call.d,
                                        algorithm, &checked) &&
           checked.workspace <= CUBLASLT_WORKSPACE;
    forget(&call);
  }
  return fine;
}

static LtStatus make_preference(LtPreference *out) {
  static const struct {
    int what;
    uint32_t value;
  } wishes[] = {{LT_PREF_REDUCTION_SCHEME_MASK, LT_REDUCTION_SCHEME_NONE},
                {LT_PREF_MIN_ALIGNMENT_A_BYTES, 256},
                {LT_PREF_MIN_ALIGNMENT_B_BYTES, 256},
                {LT_PREF_MIN_ALIGNMENT_C_BYTES, 16},
                {LT_PREF_MIN_ALIGNMENT_D_BYTES, 16}};
  const uint64_t workspace = CUBLASLT_WORKSPACE;
  *out = NULL;
  LtStatus code = lib.cublasLtMatmulPreferenceCreate(out);
  if (!code)
    code = lib.cublasLtMatmulPreferenceSetAttribute(*out, LT_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                    sizeof workspace);
  for (size_t i = 0; i < sizeof wishes / sizeof *wishes && !code; i++)
    code = lib.cublasLtMatmulPreferenceSetAttribute(*out, wishes[i].what, &wishes[i].value,
                                                    sizeof wishes[i].value);
  return code;
}

/* ---- algorithms ------------------------------------------------------------------------------ */

static LtShape *find_shape(const Cublaslt *lt, GpuTensorShape shape) {
  for (size_t i = 0; i < lt->count; i++) {
    const GpuTensorShape *s = &lt->shapes[i].shape;
    if (s->type == shape.type && s->n == shape.n && s->k == shape.k) return &lt->shapes[i];
  }
  return NULL;
}

/* What an algorithm that is kept depends on. */
static void open_cache(const Cublaslt *lt, GpuTensorShape shape, GpuCache *cache) {
  char text[64];
  snprintf(text, sizeof text, "product %d %d %d", (int)shape.type, shape.n, shape.k);
  const char *const key[] = {text, lt->name, lt->info->name, lt->info->driver, NULL};
  gpu_cache_open(cache, lt->cache, key);
}

static xt_status ask(const Cublaslt *lt, LtShape *s, xt_error *error) {
  LtHeuristic found[CANDIDATES] = {0};
  LtPreference preference = NULL;
  LtCall call;
  int count = 0;
  LtStatus code = describe(&call, s->shape, 8 * GPU_TENSOR_ROWS, aligned_ld(s->shape));
  if (!code) code = make_preference(&preference);
  if (!code)
    code = lib.cublasLtMatmulAlgoGetHeuristic(lt->handle, call.desc, call.a, call.b, call.d, call.d,
                                              preference, CANDIDATES, found, &count);
  if (preference) lib.cublasLtMatmulPreferenceDestroy(preference);
  forget(&call);
  if (code) return failed(lt, code, "asking for algorithms", error);
  for (int i = 0; i < count && i < CANDIDATES; i++)
    if (!found[i].state && fits(lt, s->shape, &found[i].algorithm))
      s->algorithms[s->count++] = found[i].algorithm;
  return XT_STATUS_OK;
}

xt_status cublaslt_find(Cublaslt *lt, GpuTensorShape shape, int *count, xt_error *error) {
  LtShape *s = find_shape(lt, shape);
  GpuCache cache;
  *count = 0;
  if (!s) {
    TRY(MEM_GROW(&lt->shapes, &lt->capacity, lt->count + 1, error));
    s = &lt->shapes[lt->count++];
  }
  *s = (LtShape){.shape = shape};
  open_cache(lt, shape, &cache);
  if (cache.data && cache.size == sizeof *s->algorithms) {
    memcpy(s->algorithms, cache.data, cache.size);
    s->count = fits(lt, shape, s->algorithms);
  }
  gpu_cache_close(&cache);
  if (!s->count) TRY(ask(lt, s, error));
  *count = s->count;
  return XT_STATUS_OK;
}

xt_status cublaslt_pin(Cublaslt *lt, GpuTensorShape shape, int which, bool keep, xt_error *error) {
  LtShape *s = find_shape(lt, shape);
  if (!s || which < 0 || which >= s->count)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "there is no algorithm %d", which);
  s->which = which;
  s->kept = keep;
  if (!keep) return XT_STATUS_OK;
  GpuCache cache;
  open_cache(lt, shape, &cache);
  if (!cache.data || cache.size != sizeof *s->algorithms ||
      memcmp(cache.data, &s->algorithms[which], cache.size) != 0)
    gpu_cache_keep(&cache, &s->algorithms[which], sizeof *s->algorithms);
  gpu_cache_close(&cache);
  return XT_STATUS_OK;
}

bool cublaslt_is_pinned(const Cublaslt *lt, GpuTensorShape shape) {
  const LtShape *s = find_shape(lt, shape);
  return s && s->kept;
}

xt_status cublaslt_multiply(Cublaslt *lt, const GpuTensorProduct *p, CudaPointer x, CudaPointer w,
                            CudaPointer y, CudaPointer workspace, CudaStream stream,
                            xt_error *error) {
  static const float one = 1.0f, zero = 0.0f;
  const LtShape *s = find_shape(lt, p->shape);
  LtCall call = {0};
  LtStatus code = s ? describe(&call, p->shape, p->rows, p->ldy) : -1;
  if (!code)
    code = lib.cublasLtMatmul(lt->handle, call.desc, &one, (const void *)(uintptr_t)w, call.a,
                              (const void *)(uintptr_t)(x + p->x_at), call.b, &zero,
                              (const void *)(uintptr_t)(y + p->y_at), call.d,
                              (void *)(uintptr_t)(y + p->y_at), call.d, &s->algorithms[s->which],
                              (void *)(uintptr_t)workspace, CUBLASLT_WORKSPACE, stream);
  forget(&call);
  if (!code) return XT_STATUS_OK;
  char doing[64];
  snprintf(doing, sizeof doing, "a product of %d by %d by %d", p->rows, p->shape.n, p->shape.k);
  return failed(lt, code, doing, error);
}
