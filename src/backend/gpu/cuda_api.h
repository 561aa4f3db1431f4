/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the CUDA driver and of NVRTC that are used (CUDA Driver API and NVRTC documentation,
 * NVIDIA), declared here so that no header of theirs is needed. Names are those of the
 * libraries. */
#ifndef GPU_CUDA_API_H
#define GPU_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

typedef int CudaResult; /* 0: success */
typedef struct CudaContext_ *CudaContext;
typedef struct CudaModule_ *CudaModule;
typedef struct CudaFunction_ *CudaFunction;
typedef struct CudaStream_ *CudaStream;
typedef struct CudaEvent_ *CudaEvent;
typedef unsigned long long CudaPointer;
typedef struct NvrtcProgram_ *NvrtcProgram;

enum {
  CUDA_INVALID_VALUE = 1,
  CUDA_OUT_OF_MEMORY = 2,
  CUDA_NO_DEVICE = 100,
  CUDA_INVALID_IMAGE = 200,
  CUDA_NO_BINARY_FOR_GPU = 209,
  CUDA_INVALID_HANDLE = 400,
  CUDA_NOT_FOUND = 500,
  CUDA_LAUNCH_OUT_OF_RESOURCES = 701,
  CUDA_EVENT_WITHOUT_TIME = 2,
  CUDA_MAX_THREADS_PER_BLOCK = 1,
  CUDA_SHARED_MEMORY_PER_BLOCK = 8,
  CUDA_MULTIPROCESSORS = 16,
  CUDA_CAPABILITY_MAJOR = 75,
  CUDA_CAPABILITY_MINOR = 76
};

#define CUDA_CALLS(X)                                                                    \
  X(CudaResult, cuInit, (unsigned))                                                      \
  X(CudaResult, cuDriverGetVersion, (int *))                                             \
  X(CudaResult, cuDeviceGetCount, (int *))                                               \
  X(CudaResult, cuDeviceGet, (int *, int))                                               \
  X(CudaResult, cuDeviceGetName, (char *, int, int))                                     \
  X(CudaResult, cuDeviceGetAttribute, (int *, int, int))                                 \
  X(CudaResult, cuDeviceTotalMem_v2, (size_t *, int))                                    \
  X(CudaResult, cuDevicePrimaryCtxRetain, (CudaContext *, int))                          \
  X(CudaResult, cuDevicePrimaryCtxRelease_v2, (int))                                     \
  X(CudaResult, cuCtxPushCurrent_v2, (CudaContext))                                      \
  X(CudaResult, cuCtxPopCurrent_v2, (CudaContext *))                                     \
  X(CudaResult, cuModuleLoadData, (CudaModule *, const void *))                          \
  X(CudaResult, cuModuleUnload, (CudaModule))                                            \
  X(CudaResult, cuModuleGetFunction, (CudaFunction *, CudaModule, const char *))         \
  X(CudaResult, cuLaunchKernel,                                                          \
    (CudaFunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
     CudaStream, void **, void **))                                                      \
  X(CudaResult, cuMemAlloc_v2, (CudaPointer *, size_t))                                  \
  X(CudaResult, cuMemFree_v2, (CudaPointer))                                             \
  X(CudaResult, cuMemGetInfo_v2, (size_t *, size_t *))                                   \
  X(CudaResult, cuMemHostAlloc, (void **, size_t, unsigned))                             \
  X(CudaResult, cuMemFreeHost, (void *))                                                 \
  X(CudaResult, cuMemsetD8Async, (CudaPointer, unsigned char, size_t, CudaStream))       \
  X(CudaResult, cuMemcpyHtoDAsync_v2, (CudaPointer, const void *, size_t, CudaStream))   \
  X(CudaResult, cuMemcpyDtoHAsync_v2, (void *, CudaPointer, size_t, CudaStream))         \
  X(CudaResult, cuEventCreate, (CudaEvent *, unsigned))                                  \
  X(CudaResult, cuEventRecord, (CudaEvent, CudaStream))                                  \
  X(CudaResult, cuEventSynchronize, (CudaEvent))                                         \
  X(CudaResult, cuEventDestroy_v2, (CudaEvent))                                          \
  X(CudaResult, cuStreamCreate, (CudaStream *, unsigned))                                \
  X(CudaResult, cuStreamSynchronize, (CudaStream))                                       \
  X(CudaResult, cuStreamDestroy_v2, (CudaStream))                                        \
  X(CudaResult, cuGetErrorName, (CudaResult, const char **))

#define NVRTC_CALLS(X)                                                                           \
  X(int, nvrtcVersion, (int *, int *))                                                           \
  X(int, nvrtcCreateProgram,                                                                     \
    (NvrtcProgram *, const char *, const char *, int, const char *const *, const char *const *)) \
  X(int, nvrtcCompileProgram, (NvrtcProgram, int, const char *const *))                          \
  X(int, nvrtcGetCUBINSize, (NvrtcProgram, size_t *))                                            \
  X(int, nvrtcGetCUBIN, (NvrtcProgram, char *))                                                  \
  X(int, nvrtcGetProgramLogSize, (NvrtcProgram, size_t *))                                       \
  X(int, nvrtcGetProgramLog, (NvrtcProgram, char *))                                             \
  X(int, nvrtcDestroyProgram, (NvrtcProgram *))

#endif
