/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/gpu/nvrtc.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/cuda_api.h"
#include "base/mem.h"

const char *const nvrtc_flags[] = {"--fmad=false",     "--ftz=false", "--prec-div=true",
                                   "--prec-sqrt=true", "--std=c++17", NULL};
#define NVRTC_FLAGS (sizeof nvrtc_flags / sizeof *nvrtc_flags - 1)

#define NVRTC_FIELD(result, name, parameters) result(*name) parameters;
static struct {
  bool there;
  NVRTC_CALLS(NVRTC_FIELD)
} rtc;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void) {
  static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2",
                                      "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"};
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
    library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  rtc.there = true;
#define NVRTC_FIND(result, name, parameters)     \
  {                                              \
    void *address = dlsym(library, #name);       \
    memcpy(&rtc.name, &address, sizeof address); \
    rtc.there = rtc.there && address;            \
  }
  NVRTC_CALLS(NVRTC_FIND)
}

bool nvrtc_version(int *version) {
  int major = 0, minor = 0;
  pthread_once(&once, open_library);
  if (!rtc.there || rtc.nvrtcVersion(&major, &minor)) return false;
  *version = 100 * major + minor;
  return true;
}

/* The compiler's messages, NULL if there are none. */
static char *program_log(NvrtcProgram program) {
  size_t size = 0;
  char *log = NULL;
  if (rtc.nvrtcGetProgramLogSize(program, &size) || size < 2 || MEM_ALLOC(&log, size + 1, NULL))
    return NULL;
  if (rtc.nvrtcGetProgramLog(program, log)) log[0] = 0;
  return log;
}

xt_status nvrtc_compile(const char *source, int architecture, bool verbose, char **image,
                        size_t *size, char **log, xt_error *error) {
  int version;
  char target[40];
  const char *flags[NVRTC_FLAGS + 2];
  NvrtcProgram program;
  *image = NULL;
  if (log) *log = NULL;
  if (!nvrtc_version(&version))
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "CUDA devices need NVIDIA's run-time compiler, and libnvrtc is not installed");
  snprintf(target, sizeof target, "--gpu-architecture=sm_%d", architecture);
  memcpy(flags, nvrtc_flags, NVRTC_FLAGS * sizeof *flags);
  flags[NVRTC_FLAGS] = target;
  flags[NVRTC_FLAGS + 1] = "--ptxas-options=-v";
  if (rtc.nvrtcCreateProgram(&program, source, "xtransplant.cu", 0, NULL, NULL))
    return err_memory(error, strlen(source));
  const int code = rtc.nvrtcCompileProgram(program, (int)NVRTC_FLAGS + (verbose ? 2 : 1), flags);
  char *words = program_log(program);
  const char *where = words ? strstr(words, "error") : NULL;
  xt_status status = XT_STATUS_OK;
  if (code)
    status = err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                     "NVRTC %d.%d does not build the kernels for sm_%d (error %d): %.300s",
                     version / 100, version % 100, architecture, code,
                     where   ? where
                     : words ? words
                             : "");
  else if (rtc.nvrtcGetCUBINSize(program, size))
    status = err_memory(error, 0);
  if (!status) status = mem_alloc(image, *size, 1, error);
  if (!status && rtc.nvrtcGetCUBIN(program, *image)) status = err_memory(error, *size);
  rtc.nvrtcDestroyProgram(&program);
  if (log)
    *log = words;
  else
    free(words);
  return status;
}
