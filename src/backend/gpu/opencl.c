/* SPDX-License-Identifier: Apache-2.0 */
/* GpuDriver (gpu.h) by OpenCL 1.2. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/gpu.h"
#include "backend/gpu/gpu_cache.h"
#include "backend/gpu/opencl_api.h"
#include "base/mem.h"
#include "base/number.h"

typedef struct OpenClDevice {
  GpuDevice base; /* first */
  ClContext context;
  ClQueue queue;
  ClProgram program;
  ClKernel kernels[GPU_KERNEL_COUNT]; /* made when first used */
  uint64_t used;                      /* bytes of buffers */
} OpenClDevice;

static OpenCl cl;
static char cl_missing[200]; /* why it could not be opened */
static pthread_once_t cl_once = PTHREAD_ONCE_INIT;

static void open_library(void) {
  void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(cl_missing, sizeof cl_missing, "no OpenCL (libOpenCL.so.1 is not installed)");
    return;
  }
#define OPENCL_FIND(result, name, parameters)                                                \
  {                                                                                          \
    void *address = dlsym(library, #name);                                                   \
    if (!address)                                                                            \
      snprintf(cl_missing, sizeof cl_missing, "libOpenCL.so.1 is too old: it lacks " #name); \
    memcpy(&cl.name, &address, sizeof address);                                              \
  }
  OPENCL_CALLS(OPENCL_FIND)
  if (!cl_missing[0]) cl.library = library;
}

static bool is_there(void) {
  pthread_once(&cl_once, open_library);
  return cl.library != NULL;
}

/* Codes of the OpenCL specification. */
static const GpuCode codes[] = {
    {CL_OUT_OF_DEVICE_MEMORY, GPU_NO_MEMORY},
    {CL_OUT_OF_HOST_MEMORY_, GPU_NO_MEMORY},
    {CL_OUT_OF_RESOURCES_, GPU_NO_RESOURCES},
    {CL_EXEC_STATUS_ERROR_, GPU_FAILED_BEFORE},
    {CL_INVALID_VALUE_, GPU_MISUSED},
    {CL_INVALID_MEM_OBJECT_, GPU_MISUSED},
    {CL_INVALID_PROGRAM_EXECUTABLE_, GPU_MISUSED},
    {CL_INVALID_KERNEL_NAME_, GPU_MISUSED},
    {CL_INVALID_KERNEL_, GPU_MISUSED},
    {CL_INVALID_ARG_INDEX_, GPU_MISUSED},
    {CL_INVALID_ARG_VALUE_, GPU_MISUSED},
    {CL_INVALID_ARG_SIZE_, GPU_MISUSED},
    {CL_INVALID_KERNEL_ARGS_, GPU_MISUSED},
    {CL_INVALID_WORK_GROUP_SIZE_, GPU_MISUSED},
    {CL_INVALID_WORK_ITEM_SIZE_, GPU_MISUSED},
    {CL_INVALID_GLOBAL_WORK_SIZE_, GPU_MISUSED},
    {0, GPU_LOST},
};

static xt_status failed(const OpenClDevice *d, ClInt code, const char *doing, xt_error *error) {
  char name[32];
  snprintf(name, sizeof name, "OpenCL error %d", (int)code);
  return gpu_failed(&d->base.info, codes, code, name, doing, error);
}

/* ---- devices --------------------------------------------------------------------------------- */

static void device_text(ClDeviceId id, uint32_t what, char *out, size_t size) {
  out[0] = 0;
  if (cl.clGetDeviceInfo(id, what, size, out, NULL)) snprintf(out, size, "?");
  out[size - 1] = 0;
}
/* of any size: the host is little-endian */
static uint64_t device_number(ClDeviceId id, uint32_t what) {
  uint64_t value = 0;
  return cl.clGetDeviceInfo(id, what, sizeof value, &value, NULL) ? 0 : value;
}

static void describe(ClPlatformId platform, ClDeviceId id, GpuInfo *out) {
  char name[96] = "", driver[128], version[256];
  cl.clGetPlatformInfo(platform, CL_PLATFORM_NAME_, sizeof name, name, NULL);
  name[sizeof name - 1] = 0;
  device_text(id, CL_DEVICE_NAME_, out->name, sizeof out->name);
  device_text(id, CL_DRIVER_VERSION_, driver, sizeof driver);
  device_text(id, CL_DEVICE_VERSION_, version, sizeof version);
  snprintf(out->driver, sizeof out->driver, "%s %.40s, %.24s", name, driver, version);
  out->memory = device_number(id, CL_DEVICE_GLOBAL_MEM_SIZE_);
  out->largest = device_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE_);
  out->local = device_number(id, CL_DEVICE_LOCAL_MEM_SIZE_);
  out->units = (int)device_number(id, CL_DEVICE_MAX_COMPUTE_UNITS_);
  out->grid = INT32_MAX;
  out->items = (int)device_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE_);
  out->processor = device_number(id, CL_DEVICE_TYPE_) & CL_DEVICE_TYPE_CPU_BIT;
  static const struct {
    int bit;
    const char *what;
  } needs[] = {{CL_FP_DENORM_, "subnormal numbers"},
               {CL_FP_ROUND_TO_NEAREST_, "rounding to nearest"},
               {CL_FP_FMA_, "fused multiply-add"},
               {CL_FP_CORRECTLY_ROUNDED_, "correctly rounded division and square root"}};
  const uint64_t has = device_number(id, CL_DEVICE_SINGLE_FP_CONFIG_);
  for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
    if (!(has & (uint64_t)needs[i].bit)) {
      const size_t used = strlen(out->lacks);
      snprintf(out->lacks + used, sizeof out->lacks - used, "%s%s", used ? ", " : "",
               needs[i].what);
    }
}

#define PLATFORMS_MAX 8
/* All devices that can be used, those of the platforms one after the other. */
static int find_devices(ClDeviceId ids[GPU_DEVICES_MAX], ClPlatformId of[GPU_DEVICES_MAX]) {
  ClPlatformId platforms[PLATFORMS_MAX];
  uint32_t count = 0;
  int found = 0;
  if (cl.clGetPlatformIDs(PLATFORMS_MAX, platforms, &count)) return 0;
  for (uint32_t p = 0; p < count && p < PLATFORMS_MAX; p++) {
    ClDeviceId here[GPU_DEVICES_MAX];
    uint32_t n = 0;
    if (cl.clGetDeviceIDs(platforms[p], 0xFFFFFFFF, GPU_DEVICES_MAX, here, &n)) continue;
    for (uint32_t i = 0; i < n && i < GPU_DEVICES_MAX && found < GPU_DEVICES_MAX; i++)
      if (device_number(here[i], CL_DEVICE_AVAILABLE_) &&
          device_number(here[i], CL_DEVICE_COMPILER_AVAILABLE_) &&
          device_number(here[i], CL_DEVICE_ENDIAN_LITTLE_)) {
        of[found] = platforms[p];
        ids[found++] = here[i];
      }
  }
  return found;
}

static int list(GpuInfo *out, int most, char why[256]) {
  ClDeviceId ids[GPU_DEVICES_MAX];
  ClPlatformId platforms[GPU_DEVICES_MAX];
  if (!is_there()) {
    snprintf(why, 256, "%s", cl_missing);
    return 0;
  }
  int count = find_devices(ids, platforms);
  if (count == 0)
    snprintf(why, 256, "OpenCL has no device (no driver is installed beside libOpenCL.so.1)");
  if (count > most) count = most;
  for (int i = 0; i < count; i++) {
    out[i] = (GpuInfo){0};
    snprintf(out[i].id, sizeof out[i].id, "opencl:%d", i);
    describe(platforms[i], ids[i], &out[i]);
  }
  return count;
}

/* ---- the program ----------------------------------------------------------------------------- */

static xt_status build_source(OpenClDevice *d, ClDeviceId id, const char *source, const char *flags,
                              xt_error *error) {
  ClInt code;
  d->program = cl.clCreateProgramWithSource(d->context, 1, &source, NULL, &code);
  if (!d->program) return failed(d, code, "making the kernels' program", error);
  code = cl.clBuildProgram(d->program, 1, &id, flags, NULL, NULL);
  if (!code) return XT_STATUS_OK;
  char log[4096] = "";
  cl.clGetProgramBuildInfo(d->program, id, CL_PROGRAM_BUILD_LOG_, sizeof log, log, NULL);
  log[sizeof log - 1] = 0;
  const char *where = strstr(log, "error");
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                 "%s (%s): its compiler does not build the kernels (OpenCL error %d): %.300s",
                 d->base.info.id, d->base.info.name, (int)code, where ? where : log);
}

static bool build_binary(OpenClDevice *d, ClDeviceId id, const GpuCache *cache, const char *flags) {
  ClInt code, of_device = 0;
  const unsigned char *data = cache->data;
  if (!data) return false;
  d->program =
      cl.clCreateProgramWithBinary(d->context, 1, &id, &cache->size, &data, &of_device, &code);
  if (d->program && !code && !of_device &&
      !cl.clBuildProgram(d->program, 1, &id, flags, NULL, NULL))
    return true;
  if (d->program) cl.clReleaseProgram(d->program);
  d->program = NULL;
  return false;
}

static void keep_binary(OpenClDevice *d, GpuCache *cache) {
  size_t size = 0;
  unsigned char *data;
  if (!cache->path ||
      cl.clGetProgramInfo(d->program, CL_PROGRAM_BINARY_SIZES_, sizeof size, &size, NULL) ||
      size == 0)
    return;
  if (mem_alloc(&data, size, 1, NULL)) return;
  if (!cl.clGetProgramInfo(d->program, CL_PROGRAM_BINARIES_, sizeof data, &data, NULL))
    gpu_cache_keep(cache, data, size);
  free(data);
}

static xt_status make_program(OpenClDevice *d, ClDeviceId id, const GpuOptions *options,
                              xt_error *error) {
  char flags[96] = "-cl-std=CL1.2";
  char *source;
  TRY(gpu_source(&source, error));
  if (device_number(id, CL_DEVICE_SINGLE_FP_CONFIG_) & CL_FP_CORRECTLY_ROUNDED_)
    strcat(flags, " -cl-fp32-correctly-rounded-divide-sqrt");
  const char *const key[] = {source, flags, d->base.info.name, d->base.info.driver, NULL};
  GpuCache cache;
  /* A driver for the processor (PoCL) keeps what it compiled by itself, and compiles every kernel
   * only to give them away. */
  gpu_cache_open(&cache, d->base.info.processor ? NULL : options->cache, key);
  xt_status status = XT_STATUS_OK;
  if (!build_binary(d, id, &cache, flags)) {
    status = build_source(d, id, source, flags, error);
    if (!status) keep_binary(d, &cache);
  }
  gpu_cache_close(&cache);
  free(source);
  return status;
}

static void close_device(GpuDevice *base) {
  OpenClDevice *d = (OpenClDevice *)base;
  if (d->queue) cl.clFinish(d->queue);
  for (int k = 0; k < GPU_KERNEL_COUNT; k++)
    if (d->kernels[k]) cl.clReleaseKernel(d->kernels[k]);
  if (d->program) cl.clReleaseProgram(d->program);
  if (d->queue) cl.clReleaseCommandQueue(d->queue);
  if (d->context) cl.clReleaseContext(d->context);
  free(d);
}

static xt_status open_device(int index, const GpuOptions *options, GpuDevice **out,
                             xt_error *error) {
  ClDeviceId ids[GPU_DEVICES_MAX];
  ClPlatformId platforms[GPU_DEVICES_MAX];
  OpenClDevice *d;
  ClInt code;
  if (index >= find_devices(ids, platforms))
    return err_set(error, XT_STATUS_IO, NULL, NULL, -1, "opencl:%d is gone", index);
  TRY(MEM_ALLOC(&d, 1, error));
  snprintf(d->base.info.id, sizeof d->base.info.id, "opencl:%d", index);
  describe(platforms[index], ids[index], &d->base.info);
  xt_status status = XT_STATUS_OK;
  d->context = cl.clCreateContext(NULL, 1, &ids[index], NULL, NULL, &code);
  if (!d->context) TRY_DONE(failed(d, code, "opening the device", error));
  d->queue = cl.clCreateCommandQueue(d->context, ids[index], 0, &code);
  if (!d->queue) TRY_DONE(failed(d, code, "making a queue", error));
  TRY_DONE(make_program(d, ids[index], options, error));
  *out = &d->base;
  return XT_STATUS_OK;
done:
  close_device(&d->base);
  return status;
}

/* ---- buffers and commands -------------------------------------------------------------------- */

static uint64_t free_memory(GpuDevice *base) { /* OpenCL does not tell what others have taken */
  const OpenClDevice *d = (const OpenClDevice *)base;
  return d->used < base->info.memory ? base->info.memory - d->used : 0;
}

static xt_status make_buffer(GpuDevice *base, GpuBuffer *buffer, xt_error *error) {
  OpenClDevice *d = (OpenClDevice *)base;
  const uint32_t zero = 0;
  ClInt code;
  const size_t bytes = (buffer->bytes + 3) / 4 * 4;
  ClMem memory = cl.clCreateBuffer(d->context, CL_MEM_READ_WRITE_BIT, bytes, NULL, &code);
  if (memory && !code)
    code = cl.clEnqueueFillBuffer(d->queue, memory, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
  if (!code) {
    buffer->memory = memory;
    d->used += buffer->bytes;
    return XT_STATUS_OK;
  }
  if (memory) cl.clReleaseMemObject(memory);
  if (code == CL_INVALID_BUFFER_SIZE_ || code == CL_OUT_OF_RESOURCES_)
    code = CL_OUT_OF_DEVICE_MEMORY;
  char doing[64];
  number_print(doing, sizeof doing, "asked for %.2f MiB more", (double)buffer->bytes / 0x1p20);
  return failed(d, code, doing, error);
}

static void free_buffer(GpuDevice *base, GpuBuffer *buffer) {
  ((OpenClDevice *)base)->used -= buffer->bytes;
  cl.clReleaseMemObject(buffer->memory);
}

static xt_status write_buffer(GpuDevice *base, GpuBuffer *to, size_t offset, const void *from,
                              size_t bytes, xt_error *error) {
  OpenClDevice *d = (OpenClDevice *)base;
  const ClInt code =
      cl.clEnqueueWriteBuffer(d->queue, to->memory, 1, offset, bytes, from, 0, NULL, NULL);
  return code ? failed(d, code, "writing", error) : XT_STATUS_OK;
}

static xt_status read_buffer(GpuDevice *base, void *to, const GpuBuffer *from, size_t offset,
                             size_t bytes, xt_error *error) {
  OpenClDevice *d = (OpenClDevice *)base;
  const ClInt code =
      cl.clEnqueueReadBuffer(d->queue, from->memory, 1, offset, bytes, to, 0, NULL, NULL);
  return code ? failed(d, code, "reading", error) : XT_STATUS_OK;
}

static xt_status start(GpuDevice *base, const GpuLaunch *launch, xt_error *error) {
  OpenClDevice *d = (OpenClDevice *)base;
  const char *name = gpu_kernel_names[launch->kernel];
  ClInt code = 0;
  ClKernel *kernel = &d->kernels[launch->kernel];
  if (!*kernel) *kernel = cl.clCreateKernel(d->program, name, &code);
  if (!*kernel) return failed(d, code, name, error);
  for (int i = 0; i < launch->buffer_count && !code; i++) {
    ClMem memory = launch->buffers[i] ? launch->buffers[i]->memory : NULL;
    code = cl.clSetKernelArg(*kernel, (uint32_t)i, sizeof memory, &memory);
  }
  if (!code)
    code =
        cl.clSetKernelArg(*kernel, (uint32_t)launch->buffer_count, launch->args_size, launch->args);
  const size_t local[3] = {launch->items, 1, 1};
  const size_t global[3] = {(size_t)launch->groups[0] * launch->items, launch->groups[1],
                            launch->groups[2]};
  if (!code)
    code = cl.clEnqueueNDRangeKernel(d->queue, *kernel, 3, NULL, global, local, 0, NULL, NULL);
  return code ? failed(d, code, name, error) : XT_STATUS_OK;
}

static xt_status finish(GpuDevice *base, xt_error *error) {
  OpenClDevice *d = (OpenClDevice *)base;
  const ClInt code = cl.clFinish(d->queue);
  return code ? failed(d, code, "waiting", error) : XT_STATUS_OK;
}

const GpuDriver gpu_opencl = {
    .name = "opencl",
    .list = list,
    .open = open_device,
    .close = close_device,
    .free_memory = free_memory,
    .buffer = make_buffer,
    .buffer_free = free_buffer,
    .write = write_buffer,
    .read = read_buffer,
    .launch = start,
    .finish = finish,
};
