/* SPDX-License-Identifier: Apache-2.0 */
/* GpuDriver (gpu.h) by the CUDA driver. Kernels are compiled by NVRTC when they are first used on a
 * kind of card, and kept. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/cublaslt.h"
#include "backend/gpu/cuda_api.h"
#include "backend/gpu/gpu.h"
#include "backend/gpu/gpu_cache.h"
#include "backend/gpu/nvrtc.h"
#include "base/mem.h"
#include "base/number.h"

typedef struct CudaDevice {
  GpuDevice base;         /* first */
  int number, capability; /* 90: sm_90 */
  CudaContext context;
  bool entered; /* it is the thread's context for the time of a call */
  CudaStream stream;
  CudaModule module;
  CudaFunction kernels[GPU_KERNEL_COUNT];
  void *halves[2]; /* of the stage, in memory that is pinned */
  CudaEvent written[2];
  bool stage_tried;
  Cublaslt *tensor; /* NULL until it is opened, as is its workspace */
  CudaPointer workspace;
} CudaDevice;

#define CUDA_FIELD(result, name, parameters) result(*name) parameters;
static struct {
  bool there;
  CUDA_CALLS(CUDA_FIELD)
} cuda;
static char cuda_missing[200];
static pthread_once_t cuda_once = PTHREAD_ONCE_INIT;

static void open_library(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(cuda_missing, sizeof cuda_missing,
             "no CUDA (libcuda.so.1, which NVIDIA's driver brings, is not installed)");
    return;
  }
#define CUDA_FIND(result, name, parameters)                                                    \
  {                                                                                            \
    void *address = dlsym(library, #name);                                                     \
    if (!address)                                                                              \
      snprintf(cuda_missing, sizeof cuda_missing, "libcuda.so.1 is too old: it lacks " #name); \
    memcpy(&cuda.name, &address, sizeof address);                                              \
  }
  CUDA_CALLS(CUDA_FIND)
  if (cuda_missing[0]) return;
  const CudaResult code = cuda.cuInit(0);
  if (code == CUDA_NO_DEVICE)
    snprintf(cuda_missing, sizeof cuda_missing, "CUDA has no device");
  else if (code)
    snprintf(cuda_missing, sizeof cuda_missing, "CUDA's driver does not start (error %d)", code);
  cuda.there = code == 0;
}

static const GpuCode codes[] = {
    {CUDA_OUT_OF_MEMORY, GPU_NO_MEMORY},   {CUDA_LAUNCH_OUT_OF_RESOURCES, GPU_NO_RESOURCES},
    {CUDA_INVALID_VALUE, GPU_MISUSED},     {CUDA_INVALID_IMAGE, GPU_MISUSED},
    {CUDA_NO_BINARY_FOR_GPU, GPU_MISUSED}, {CUDA_INVALID_HANDLE, GPU_MISUSED},
    {CUDA_NOT_FOUND, GPU_MISUSED},         {0, GPU_LOST},
};

static xt_status failed(const CudaDevice *d, CudaResult code, const char *doing, xt_error *error) {
  const char *name = NULL;
  cuda.cuGetErrorName(code, &name);
  return gpu_failed(&d->base.info, codes, code, name ? name : "unknown", doing, error);
}

static int attribute(int device, int which) {
  int value = 0;
  return cuda.cuDeviceGetAttribute(&value, which, device) ? 0 : value;
}

static void describe(int device, GpuInfo *out) {
  size_t bytes = 0;
  int version = 0;
  cuda.cuDeviceGetName(out->name, sizeof out->name - 1, device);
  cuda.cuDeviceTotalMem_v2(&bytes, device);
  cuda.cuDriverGetVersion(&version);
  snprintf(out->driver, sizeof out->driver, "CUDA %d.%d, sm_%d%d", version / 1000,
           version % 1000 / 10, attribute(device, CUDA_CAPABILITY_MAJOR),
           attribute(device, CUDA_CAPABILITY_MINOR));
  out->memory = out->largest = bytes;
  out->local = (uint64_t)attribute(device, CUDA_SHARED_MEMORY_PER_BLOCK);
  out->units = attribute(device, CUDA_MULTIPROCESSORS);
  out->grid = 65535; /* of every card (CUDA programming guide, compute capabilities) */
  out->items = attribute(device, CUDA_MAX_THREADS_PER_BLOCK);
}

static int list(GpuInfo *out, int most, char why[256]) {
  int count = 0;
  pthread_once(&cuda_once, open_library);
  if (!cuda.there) {
    snprintf(why, 256, "%s", cuda_missing);
    return 0;
  }
  if (cuda.cuDeviceGetCount(&count)) count = 0;
  if (count == 0) snprintf(why, 256, "CUDA has no device");
  if (count > most) count = most;
  for (int i = 0; i < count; i++) {
    int device = 0;
    out[i] = (GpuInfo){0};
    snprintf(out[i].id, sizeof out[i].id, "cuda:%d", i);
    if (!cuda.cuDeviceGet(&device, i)) describe(device, &out[i]);
  }
  return count;
}

static void missing(char why[256]) {
  int version;
  const char *library = cublaslt_missing();
  if (!nvrtc_version(&version))
    snprintf(why, 256, "cuda devices need libnvrtc, which is not installed");
  const size_t used = strlen(why);
  if (library)
    snprintf(why + used, 256 - used, "%scuda devices compute in float32 alone: %s",
             used ? "; " : "", library);
}

/* The device's context is the thread's for the time of a call alone: each may come from another
 * thread, and the thread may have one of its own (PyTorch's), which is its own again after it. */
static CudaDevice *enter(GpuDevice *base, CudaResult *code) {
  CudaDevice *d = (CudaDevice *)base;
  *code = cuda.cuCtxPushCurrent_v2(d->context);
  d->entered = *code == 0;
  return d;
}
/* The first that went wrong. */
static CudaResult leave(CudaDevice *d, CudaResult code) {
  CudaContext own;
  const CudaResult left = d->entered ? cuda.cuCtxPopCurrent_v2(&own) : 0;
  d->entered = false;
  return code ? code : left;
}

static void free_stage(CudaDevice *d) {
  for (int i = 0; i < 2; i++) {
    if (d->halves[i]) cuda.cuMemFreeHost(d->halves[i]);
    if (d->written[i]) cuda.cuEventDestroy_v2(d->written[i]);
    d->halves[i] = NULL;
    d->written[i] = NULL;
  }
}

static void close_device(GpuDevice *base) {
  CudaDevice *d = (CudaDevice *)base;
  CudaResult code;
  if (d->context) {
    enter(base, &code);
    if (!code) {
      if (d->stream) cuda.cuStreamSynchronize(d->stream);
      free_stage(d);
      cublaslt_close(d->tensor);
      if (d->workspace) cuda.cuMemFree_v2(d->workspace);
      if (d->module) cuda.cuModuleUnload(d->module);
      if (d->stream) cuda.cuStreamDestroy_v2(d->stream);
    }
    leave(d, code);
    cuda.cuDevicePrimaryCtxRelease_v2(d->number);
  }
  free(d);
}

/* The compiled kernels for this kind of card, as this driver and this compiler make them: from the
 * cache, or compiled now. */
static xt_status load_module(CudaDevice *d, const GpuOptions *options, xt_error *error) {
  char *source, *image = NULL, target[32 + sizeof d->base.info.driver];
  size_t size = 0;
  int version = 0;
  TRY(gpu_source(&source, error));
  nvrtc_version(&version);
  snprintf(target, sizeof target, "%s, NVRTC %d", d->base.info.driver, version);
  const char *key[16] = {"cuda", source, target};
  for (int i = 0; nvrtc_flags[i] && i < 12; i++) key[i + 3] = nvrtc_flags[i];
  GpuCache cache;
  gpu_cache_open(&cache, options->cache, key);
  xt_status status = XT_STATUS_OK;
  if (!cache.data || cuda.cuModuleLoadData(&d->module, cache.data)) {
    d->module = NULL;
    status = nvrtc_compile(source, d->capability, false, &image, &size, NULL, error);
    if (!status) {
      const CudaResult code = cuda.cuModuleLoadData(&d->module, image);
      if (code)
        status = failed(d, code, "loading the kernels", error);
      else
        gpu_cache_keep(&cache, image, size);
    }
  }
  gpu_cache_close(&cache);
  free(image);
  free(source);
  return status;
}

static xt_status open_device(int index, const GpuOptions *options, GpuDevice **out,
                             xt_error *error) {
  CudaDevice *d;
  TRY(MEM_ALLOC(&d, 1, error));
  snprintf(d->base.info.id, sizeof d->base.info.id, "cuda:%d", index);
  xt_status status = XT_STATUS_OK;
  CudaResult code = cuda.cuDeviceGet(&d->number, index);
  if (code) TRY_DONE(failed(d, code, "opening the device", error));
  describe(d->number, &d->base.info);
  d->capability = 10 * attribute(d->number, CUDA_CAPABILITY_MAJOR) +
                  attribute(d->number, CUDA_CAPABILITY_MINOR);
  code = cuda.cuDevicePrimaryCtxRetain(&d->context, d->number);
  if (code) {
    d->context = NULL;
    TRY_DONE(failed(d, code, "opening the device", error));
  }
  enter(&d->base, &code);
  if (!code) code = cuda.cuStreamCreate(&d->stream, 1); /* waits for no other stream */
  if (code) TRY_DONE(failed(d, code, "making a stream", error));
  TRY_DONE(load_module(d, options, error));
  code = leave(d, 0);
  if (code) TRY_DONE(failed(d, code, "opening the device", error));
  *out = &d->base;
  return XT_STATUS_OK;
done:
  leave(d, 0);
  close_device(&d->base);
  return status;
}

static uint64_t free_memory(GpuDevice *base) {
  CudaResult code;
  size_t left = 0, all = 0;
  CudaDevice *d = enter(base, &code);
  if (!code) code = cuda.cuMemGetInfo_v2(&left, &all);
  return leave(d, code) ? 0 : left;
}

static CudaPointer pointer_of(const GpuBuffer *buffer) {
  return buffer ? (CudaPointer)(uintptr_t)buffer->memory : 0;
}

static xt_status make_buffer(GpuDevice *base, GpuBuffer *buffer, xt_error *error) {
  CudaResult code;
  CudaPointer pointer = 0;
  CudaDevice *d = enter(base, &code);
  char doing[64];
  number_print(doing, sizeof doing, "asked for %.2f MiB more", (double)buffer->bytes / 0x1p20);
  if (!code) code = cuda.cuMemAlloc_v2(&pointer, buffer->bytes);
  if (!code) {
    buffer->memory = (void *)(uintptr_t)pointer;
    code = cuda.cuMemsetD8Async(pointer, 0, buffer->bytes, d->stream);
    if (code) cuda.cuMemFree_v2(pointer);
  }
  code = leave(d, code);
  return code ? failed(d, code, doing, error) : XT_STATUS_OK;
}

static void free_buffer(GpuDevice *base, GpuBuffer *buffer) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  if (!code) cuda.cuMemFree_v2(pointer_of(buffer)); /* waits for the commands that use it */
  leave(d, code);
}

static bool make_stage(GpuDevice *base, void *halves[2]) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  const bool tried = d->stage_tried;
  d->stage_tried = true;
  for (int i = 0; i < 2 && !code && !tried; i++) {
    code = cuda.cuMemHostAlloc(&d->halves[i], GPU_STAGE_BYTES, 0);
    if (code) d->halves[i] = NULL;
    if (!code) code = cuda.cuEventCreate(&d->written[i], CUDA_EVENT_WITHOUT_TIME);
  }
  if (code) free_stage(d); /* the driver copies from other memory, too */
  leave(d, code);
  memcpy(halves, d->halves, sizeof d->halves);
  return d->halves[1];
}

/* An event that was not recorded yet is one that has come. */
static xt_status wait_for_stage(GpuDevice *base, int half, xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  if (!code) code = cuda.cuEventSynchronize(d->written[half]);
  code = leave(d, code);
  return code ? failed(d, code, "writing", error) : XT_STATUS_OK;
}

static xt_status write_buffer(GpuDevice *base, GpuBuffer *to, size_t offset, const void *from,
                              size_t bytes, xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  /* Host memory that is not pinned is copied aside before the call returns. */
  if (!code) code = cuda.cuMemcpyHtoDAsync_v2(pointer_of(to) + offset, from, bytes, d->stream);
  for (int i = 0; i < 2 && !code; i++)
    if (from == d->halves[i]) code = cuda.cuEventRecord(d->written[i], d->stream);
  code = leave(d, code);
  return code ? failed(d, code, "writing", error) : XT_STATUS_OK;
}

static xt_status read_buffer(GpuDevice *base, void *to, const GpuBuffer *from, size_t offset,
                             size_t bytes, xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  if (!code) code = cuda.cuMemcpyDtoHAsync_v2(to, pointer_of(from) + offset, bytes, d->stream);
  if (!code) code = cuda.cuStreamSynchronize(d->stream);
  code = leave(d, code);
  return code ? failed(d, code, "reading", error) : XT_STATUS_OK;
}

static xt_status start(GpuDevice *base, const GpuLaunch *launch, xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  const char *name = gpu_kernel_names[launch->kernel];
  CudaFunction *function = &d->kernels[launch->kernel];
  CudaPointer pointers[GPU_BUFFERS_MAX];
  void *parameters[GPU_BUFFERS_MAX + 1];
  if (!code && !*function) code = cuda.cuModuleGetFunction(function, d->module, name);
  for (int i = 0; i < launch->buffer_count; i++) {
    pointers[i] = pointer_of(launch->buffers[i]);
    parameters[i] = &pointers[i];
  }
  /* the driver only reads it */
  memcpy(&parameters[launch->buffer_count], &launch->args, sizeof launch->args);
  if (!code)
    code = cuda.cuLaunchKernel(*function, launch->groups[0], launch->groups[1], launch->groups[2],
                               launch->items, 1, 1, 0, d->stream, parameters, NULL);
  code = leave(d, code);
  return code ? failed(d, code, name, error) : XT_STATUS_OK;
}

static xt_status finish(GpuDevice *base, xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  if (!code) code = cuda.cuStreamSynchronize(d->stream);
  code = leave(d, code);
  return code ? failed(d, code, "waiting", error) : XT_STATUS_OK;
}

/* ---- products on tensor cores ---------------------------------------------------------------- */

static xt_status tensor_open(GpuDevice *base, const GpuOptions *options, char name[48],
                             xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  if (!code && !d->workspace) code = cuda.cuMemAlloc_v2(&d->workspace, CUBLASLT_WORKSPACE);
  xt_status status = XT_STATUS_OK;
  if (code)
    status = failed(d, code, "making room for products", error);
  else if (!d->tensor)
    status = cublaslt_open(&base->info, options->cache, &d->tensor, error);
  leave(d, code);
  if (!status) cublaslt_name(d->tensor, name);
  return status;
}

static xt_status tensor_find(GpuDevice *base, GpuTensorShape shape, int *count, xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  const xt_status status = code ? failed(d, code, "asking for algorithms", error)
                                : cublaslt_find(d->tensor, shape, count, error);
  leave(d, code);
  return status;
}

static xt_status tensor_pin(GpuDevice *base, GpuTensorShape shape, int which, bool keep,
                            xt_error *error) {
  return cublaslt_pin(((CudaDevice *)base)->tensor, shape, which, keep, error);
}

static bool tensor_is_pinned(GpuDevice *base, GpuTensorShape shape) {
  return cublaslt_is_pinned(((CudaDevice *)base)->tensor, shape);
}

static xt_status tensor_multiply(GpuDevice *base, const GpuTensorProduct *p, xt_error *error) {
  CudaResult code;
  CudaDevice *d = enter(base, &code);
  const xt_status status =
      code ? failed(d, code, "multiplying", error)
           : cublaslt_multiply(d->tensor, p, pointer_of(p->x), pointer_of(p->w), pointer_of(p->y),
                               d->workspace, d->stream, error);
  leave(d, code);
  return status;
}

const GpuDriver gpu_cuda = {
    .name = "cuda",
    .list = list,
    .missing = missing,
    .open = open_device,
    .close = close_device,
    .free_memory = free_memory,
    .buffer = make_buffer,
    .buffer_free = free_buffer,
    .write = write_buffer,
    .stage = make_stage,
    .stage_wait = wait_for_stage,
    .read = read_buffer,
    .launch = start,
    .finish = finish,
    .tensor_open = tensor_open,
    .tensor_find = tensor_find,
    .tensor_pin = tensor_pin,
    .tensor_is_pinned = tensor_is_pinned,
    .tensor_multiply = tensor_multiply,
};
