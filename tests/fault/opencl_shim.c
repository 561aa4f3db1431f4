/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the program, is the libOpenCL.so.1 that it opens: the real one (XT_REAL_OPENCL)
 * stands behind, and fails when it is told to. In the environment:
 *   XT_CL_FAULT=CALL:N:CODE[:lost]  the N-th call of that name fails with CODE; lost: so does every
 *   later call that touches the device
 *   XT_CL_LACKS=WORD,..             what the driver does not have: denormals, rounding, fma, division (bits of its float32), double, half
 *                                   (a kernel that names the type does not build), binaries
 *                                   (compiled kernels are not taken); library (there is no libOpenCL), functions (it has another library's)
 *   XT_CL_TYPE=gpu                  it is said to be no processor, and what it compiled to be the source
 *   XT_CL_ITEMS=N                   work-items of its largest work-groups
 *   XT_CL_MEMORY=BYTES              all that the device has; buffers beyond it are refused
 *   XT_CL_LARGEST=BYTES             of one buffer; larger ones are refused
 *   XT_CL_COUNT=FILE                at exit: each call and how often it came, and what was made and not released ("live buffer
 * 0"), and the flags that kernels were built with last */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/opencl_api.h"

#define INDEX(result, name, parameters) CALL_##name,
enum { OPENCL_CALLS(INDEX) CALLS };
#define TEXT(result, name, parameters) #name,
static const char *const names[CALLS] = {OPENCL_CALLS(TEXT)};
static OpenCl real;
static atomic_long counts[CALLS];
static atomic_bool lost;

enum { CONTEXT, QUEUE, PROGRAM, KERNEL, BUFFER, KINDS };
static const char *const kinds[KINDS] = {"context", "queue", "program", "kernel", "buffer"};
static atomic_long live[KINDS];

/* Sizes of buffers, so that XT_CL_MEMORY can be kept to. */
enum { BUFFERS = 4096 };
static struct {
  ClMem memory;
  size_t bytes;
} buffers[BUFFERS];
static size_t used;

static const char *setting(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

static char built_with[200]; /* flags of the last program */

static bool lacks(const char *word) {
  const size_t length = strlen(word);
  for (const char *at = setting("XT_CL_LACKS"); *at; at += strcspn(at, ","), at += *at == ',')
    if (strncmp(at, word, length) == 0 && (at[length] == 0 || at[length] == ',')) return true;
  return false;
}

static void *real_dlopen(const char *name, int flags) {
  return ((__typeof__(&dlopen))dlsym(RTLD_NEXT, "dlopen"))(name, flags);
}

void *dlopen(const char *name, int flags) {
  Dl_info own;
  if (name && strcmp(name, "libOpenCL.so.1") == 0) {
    if (lacks("library")) return NULL;
    if (lacks("functions"))
      name = "libm.so.6";
    else if (dladdr(&real, &own))
      name = own.dli_fname;
  }
  return real_dlopen(name, flags);
}

__attribute__((constructor)) static void begin(void) {
  void *library = real_dlopen(XT_REAL_OPENCL, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    abort();
  }
#define FIND(result, name, parameters)            \
  {                                               \
    void *address = dlsym(library, #name);        \
    memcpy(&real.name, &address, sizeof address); \
  }
  OPENCL_CALLS(FIND)
}

__attribute__((destructor)) static void end(void) {
  FILE *out = *setting("XT_CL_COUNT") ? fopen(setting("XT_CL_COUNT"), "w") : NULL;
  if (!out) return;
  for (int i = 0; i < CALLS; i++) fprintf(out, "%s %ld\n", names[i], atomic_load(&counts[i]));
  for (int i = 0; i < KINDS; i++) fprintf(out, "live %s %ld\n", kinds[i], atomic_load(&live[i]));
  fprintf(out, "flags %s\n", built_with);
  fclose(out);
}

/* The code that a call is to fail with; 0: it is made. */
static ClInt fault(int call, bool of_device) {
  const long number = atomic_fetch_add(&counts[call], 1) + 1;
  const char *wanted = setting("XT_CL_FAULT");
  const size_t length = strlen(names[call]);
  char *rest;
  if (lost && of_device) return -36; /* CL_INVALID_COMMAND_QUEUE */
  if (strncmp(wanted, names[call], length) != 0 || wanted[length] != ':') return 0;
  if (strtol(wanted + length + 1, &rest, 10) != number) return 0;
  const ClInt code = (ClInt)strtol(rest + 1, &rest, 10);
  lost = *rest == ':';
  return code;
}

static void *made(int kind, void *object) {
  if (object) atomic_fetch_add(&live[kind], 1);
  return object;
}
static void freed(int kind) { atomic_fetch_sub(&live[kind], 1); }

/* ---- calls that give a code ------------------------------------------------------------------ */

#define CODE(name, of_device, parameters, arguments)  \
  ClInt name parameters {                             \
    const ClInt code = fault(CALL_##name, of_device); \
    return code ? code : real.name arguments;         \
  }
CODE(clGetPlatformIDs, false, (uint32_t n, ClPlatformId *out, uint32_t *count), (n, out, count))
CODE(clGetPlatformInfo, false, (ClPlatformId p, uint32_t what, size_t size, void *out, size_t *got),
     (p, what, size, out, got))
CODE(clGetDeviceIDs, false,
     (ClPlatformId p, uint64_t type, uint32_t n, ClDeviceId *out, uint32_t *count),
     (p, type, n, out, count))
CODE(clGetProgramBuildInfo, false,
     (ClProgram p, ClDeviceId d, uint32_t what, size_t size, void *out, size_t *got),
     (p, d, what, size, out, got))
ClInt clBuildProgram(ClProgram p, uint32_t n, const ClDeviceId *d, const char *flags,
                     void (*f)(ClProgram, void *), void *user) {
  const ClInt code = fault(CALL_clBuildProgram, false);
  snprintf(built_with, sizeof built_with, "%s", flags);
  return code ? code : real.clBuildProgram(p, n, d, flags, f, user);
}
CODE(clSetKernelArg, false, (ClKernel k, uint32_t i, size_t size, const void *from),
     (k, i, size, from))
CODE(clEnqueueNDRangeKernel, true,
     (ClQueue q, ClKernel k, uint32_t n, const size_t *offset, const size_t *global,
      const size_t *local, uint32_t waits, const void *wait, void *event),
     (q, k, n, offset, global, local, waits, wait, event))
CODE(clEnqueueWriteBuffer, true,
     (ClQueue q, ClMem m, uint32_t block, size_t at, size_t size, const void *from, uint32_t n,
      const void *wait, void *event),
     (q, m, block, at, size, from, n, wait, event))
CODE(clEnqueueReadBuffer, true,
     (ClQueue q, ClMem m, uint32_t block, size_t at, size_t size, void *to, uint32_t n,
      const void *wait, void *event),
     (q, m, block, at, size, to, n, wait, event))
CODE(clEnqueueFillBuffer, true,
     (ClQueue q, ClMem m, const void *what, size_t unit, size_t at, size_t size, uint32_t n,
      const void *wait, void *event),
     (q, m, what, unit, at, size, n, wait, event))
CODE(clFinish, true, (ClQueue q), (q))
CODE(clFlush, true, (ClQueue q), (q))

static bool pretends_gpu(void) { return strcmp(setting("XT_CL_TYPE"), "gpu") == 0; }

ClInt clGetDeviceInfo(ClDeviceId d, uint32_t what, size_t size, void *out, size_t *got) {
  static const struct {
    const char *word;
    uint64_t bit;
  } bits[] = {{"denormals", CL_FP_DENORM_},
              {"rounding", CL_FP_ROUND_TO_NEAREST_},
              {"fma", CL_FP_FMA_},
              {"division", CL_FP_CORRECTLY_ROUNDED_}};
  ClInt code = fault(CALL_clGetDeviceInfo, false);
  if (!code) code = real.clGetDeviceInfo(d, what, size, out, got);
  if (code || !out || size < sizeof(uint64_t)) return code;
  uint64_t value;
  memcpy(&value, out, sizeof value);
  for (size_t i = 0; what == CL_DEVICE_SINGLE_FP_CONFIG_ && i < sizeof bits / sizeof *bits; i++)
    if (lacks(bits[i].word)) value &= ~bits[i].bit;
  if (what == CL_DEVICE_TYPE_ && pretends_gpu()) value = 4; /* CL_DEVICE_TYPE_GPU */
  if (what == CL_DEVICE_MAX_WORK_GROUP_SIZE_ && *setting("XT_CL_ITEMS"))
    value = strtoull(setting("XT_CL_ITEMS"), NULL, 10);
  if ((what == CL_DEVICE_GLOBAL_MEM_SIZE_ || what == CL_DEVICE_MAX_MEM_ALLOC_SIZE_) &&
      *setting("XT_CL_MEMORY"))
    value = strtoull(setting("XT_CL_MEMORY"), NULL, 10);
  if (what == CL_DEVICE_MAX_MEM_ALLOC_SIZE_ && *setting("XT_CL_LARGEST"))
    value = strtoull(setting("XT_CL_LARGEST"), NULL, 10);
  memcpy(out, &value, sizeof value);
  return 0;
}

/* ---- what is made and released --------------------------------------------------------------- */

#define MADE(kind, type, name, of_device, parameters, arguments) \
  type name parameters {                                         \
    *code = fault(CALL_##name, of_device);                       \
    return *code ? NULL : made(kind, real.name arguments);       \
  }
MADE(CONTEXT, ClContext, clCreateContext, true,
     (const intptr_t *p, uint32_t n, const ClDeviceId *d,
      void (*f)(const char *, const void *, size_t, void *), void *user, ClInt *code),
     (p, n, d, f, user, code))
MADE(QUEUE, ClQueue, clCreateCommandQueue, true,
     (ClContext c, ClDeviceId d, uint64_t flags, ClInt *code), (c, d, flags, code))
MADE(KERNEL, ClKernel, clCreateKernel, true, (ClProgram p, const char *name, ClInt *code),
     (p, name, code))

ClProgram clCreateProgramWithSource(ClContext c, uint32_t n, const char **text, const size_t *sizes,
                                    ClInt *code) {
  *code = fault(CALL_clCreateProgramWithSource, true);
  if (*code || n != 1 || sizes) return NULL;
  const char *parts[] = {lacks("double") ? "#define double no_double_here\n" : "",
                         lacks("half") ? "#define half no_half_here\n" : "", *text};
  return made(PROGRAM, real.clCreateProgramWithSource(c, 3, parts, NULL, code));
}
ClProgram clCreateProgramWithBinary(ClContext c, uint32_t n, const ClDeviceId *d,
                                    const size_t *sizes, const unsigned char **data, ClInt *each,
                                    ClInt *code) {
  *code = fault(CALL_clCreateProgramWithBinary, true);
  if (lacks("binaries")) *code = -42; /* CL_INVALID_BINARY */
  if (*code) return NULL;
  if (pretends_gpu()) {
    *each = 0;
    return made(PROGRAM, real.clCreateProgramWithSource(c, 1, (const char **)data, sizes, code));
  }
  return made(PROGRAM, real.clCreateProgramWithBinary(c, n, d, sizes, data, each, code));
}
ClInt clGetProgramInfo(ClProgram p, uint32_t what, size_t size, void *out, size_t *got) {
  const ClInt code = fault(CALL_clGetProgramInfo, false);
  if (code || !pretends_gpu()) return code ? code : real.clGetProgramInfo(p, what, size, out, got);
  enum { SOURCE = 0x1164 };
  size_t bytes = 0;
  if (what == CL_PROGRAM_BINARY_SIZES_) return real.clGetProgramInfo(p, SOURCE, 0, NULL, out);
  if (what != CL_PROGRAM_BINARIES_) return -30;
  real.clGetProgramInfo(p, SOURCE, 0, NULL, &bytes);
  return real.clGetProgramInfo(p, SOURCE, bytes, *(void **)out, NULL);
}

ClMem clCreateBuffer(ClContext c, uint64_t flags, size_t bytes, void *host, ClInt *code) {
  const char *limit = setting("XT_CL_MEMORY");
  *code = fault(CALL_clCreateBuffer, true);
  /* CL_MEM_OBJECT_ALLOCATION_FAILURE */
  if (!*code && *limit && used + bytes > strtoull(limit, NULL, 10)) *code = -4;
  const char *largest = setting("XT_CL_LARGEST");
  if (!*code && *largest && bytes > strtoull(largest, NULL, 10)) *code = CL_INVALID_BUFFER_SIZE_;
  if (*code) return NULL;
  const ClMem memory = made(BUFFER, real.clCreateBuffer(c, flags, bytes, host, code));
  for (int i = 0; memory && i < BUFFERS; i++)
    if (!buffers[i].memory) {
      buffers[i].memory = memory;
      used += buffers[i].bytes = bytes;
      break;
    }
  return memory;
}
ClInt clReleaseMemObject(ClMem m) {
  const ClInt code = fault(CALL_clReleaseMemObject, false);
  freed(BUFFER);
  for (int i = 0; i < BUFFERS; i++)
    if (buffers[i].memory == m) {
      used -= buffers[i].bytes;
      buffers[i].memory = NULL;
    }
  (void)real.clReleaseMemObject(m);
  return code;
}

#define RELEASED(kind, type, name)                \
  ClInt name(type object) {                       \
    const ClInt code = fault(CALL_##name, false); \
    freed(kind);                                  \
    (void)real.name(object);                      \
    return code;                                  \
  }
RELEASED(KERNEL, ClKernel, clReleaseKernel)
RELEASED(PROGRAM, ClProgram, clReleaseProgram)
RELEASED(QUEUE, ClQueue, clReleaseCommandQueue)
RELEASED(CONTEXT, ClContext, clReleaseContext)
