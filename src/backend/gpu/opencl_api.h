/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of OpenCL 1.2 that are used (The OpenCL Specification, version 1.2, Khronos Group
 * 2012), declared here so that no header of it is needed. */
#ifndef GPU_OPENCL_API_H
#define GPU_OPENCL_API_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t ClInt;
typedef struct ClPlatform *ClPlatformId;
typedef struct ClDevice *ClDeviceId;
typedef struct ClContext_ *ClContext;
typedef struct ClQueue_ *ClQueue;
typedef struct ClProgram_ *ClProgram;
typedef struct ClKernel_ *ClKernel;
typedef struct ClMem_ *ClMem;

enum {
  CL_DEVICE_TYPE_CPU_BIT = 2,
  CL_DEVICE_TYPE_ALL_BITS = -1,
  CL_DEVICE_TYPE_ = 0x1000,
  CL_DEVICE_MAX_COMPUTE_UNITS_ = 0x1002,
  CL_DEVICE_MAX_WORK_GROUP_SIZE_ = 0x1004,
  CL_DEVICE_MAX_MEM_ALLOC_SIZE_ = 0x1010,
  CL_DEVICE_SINGLE_FP_CONFIG_ = 0x101B,
  CL_DEVICE_GLOBAL_MEM_SIZE_ = 0x101F,
  CL_DEVICE_LOCAL_MEM_SIZE_ = 0x1023,
  CL_DEVICE_ENDIAN_LITTLE_ = 0x1026,
  CL_DEVICE_AVAILABLE_ = 0x1027,
  CL_DEVICE_COMPILER_AVAILABLE_ = 0x1028,
  CL_DEVICE_NAME_ = 0x102B,
  CL_DRIVER_VERSION_ = 0x102D,
  CL_DEVICE_VERSION_ = 0x102F,
  CL_PLATFORM_NAME_ = 0x0902,
  CL_PROGRAM_BINARY_SIZES_ = 0x1165,
  CL_PROGRAM_BINARIES_ = 0x1166,
  CL_PROGRAM_BUILD_LOG_ = 0x1183,
  CL_MEM_READ_WRITE_BIT = 1,
  /* of CL_DEVICE_SINGLE_FP_CONFIG */
  CL_FP_DENORM_ = 1,
  CL_FP_ROUND_TO_NEAREST_ = 4,
  CL_FP_FMA_ = 32,
  CL_FP_CORRECTLY_ROUNDED_ = 128,
  CL_OUT_OF_DEVICE_MEMORY = -4,
  CL_OUT_OF_RESOURCES_ = -5,
  CL_OUT_OF_HOST_MEMORY_ = -6,
  CL_EXEC_STATUS_ERROR_ = -14, /* .._FOR_EVENTS_IN_WAIT_LIST */
  CL_INVALID_VALUE_ = -30,
  CL_INVALID_MEM_OBJECT_ = -38,
  CL_INVALID_PROGRAM_EXECUTABLE_ = -45,
  CL_INVALID_KERNEL_NAME_ = -46,
  CL_INVALID_KERNEL_ = -48,
  CL_INVALID_ARG_INDEX_ = -49,
  CL_INVALID_ARG_VALUE_ = -50,
  CL_INVALID_ARG_SIZE_ = -51,
  CL_INVALID_KERNEL_ARGS_ = -52,
  CL_INVALID_WORK_GROUP_SIZE_ = -54,
  CL_INVALID_WORK_ITEM_SIZE_ = -55,
  CL_INVALID_GLOBAL_WORK_SIZE_ = -63,
  CL_INVALID_BUFFER_SIZE_ = -61
};

/* Each a field of OpenCl, found by its name. */
#define OPENCL_CALLS(X)                                                                           \
  X(ClInt, clGetPlatformIDs, (uint32_t, ClPlatformId *, uint32_t *))                              \
  X(ClInt, clGetPlatformInfo, (ClPlatformId, uint32_t, size_t, void *, size_t *))                 \
  X(ClInt, clGetDeviceIDs, (ClPlatformId, uint64_t, uint32_t, ClDeviceId *, uint32_t *))          \
  X(ClInt, clGetDeviceInfo, (ClDeviceId, uint32_t, size_t, void *, size_t *))                     \
  X(ClContext, clCreateContext,                                                                   \
    (const intptr_t *, uint32_t, const ClDeviceId *,                                              \
     void (*)(const char *, const void *, size_t, void *), void *, ClInt *))                      \
  X(ClQueue, clCreateCommandQueue, (ClContext, ClDeviceId, uint64_t, ClInt *))                    \
  X(ClProgram, clCreateProgramWithSource,                                                         \
    (ClContext, uint32_t, const char **, const size_t *, ClInt *))                                \
  X(ClProgram, clCreateProgramWithBinary,                                                         \
    (ClContext, uint32_t, const ClDeviceId *, const size_t *, const unsigned char **, ClInt *,    \
     ClInt *))                                                                                    \
  X(ClInt, clBuildProgram,                                                                        \
    (ClProgram, uint32_t, const ClDeviceId *, const char *, void (*)(ClProgram, void *), void *)) \
  X(ClInt, clGetProgramBuildInfo, (ClProgram, ClDeviceId, uint32_t, size_t, void *, size_t *))    \
  X(ClInt, clGetProgramInfo, (ClProgram, uint32_t, size_t, void *, size_t *))                     \
  X(ClKernel, clCreateKernel, (ClProgram, const char *, ClInt *))                                 \
  X(ClInt, clSetKernelArg, (ClKernel, uint32_t, size_t, const void *))                            \
  X(ClInt, clEnqueueNDRangeKernel,                                                                \
    (ClQueue, ClKernel, uint32_t, const size_t *, const size_t *, const size_t *, uint32_t,       \
     const void *, void *))                                                                       \
  X(ClMem, clCreateBuffer, (ClContext, uint64_t, size_t, void *, ClInt *))                        \
  X(ClInt, clEnqueueWriteBuffer,                                                                  \
    (ClQueue, ClMem, uint32_t, size_t, size_t, const void *, uint32_t, const void *, void *))     \
  X(ClInt, clEnqueueReadBuffer,                                                                   \
    (ClQueue, ClMem, uint32_t, size_t, size_t, void *, uint32_t, const void *, void *))           \
  X(ClInt, clEnqueueFillBuffer,                                                                   \
    (ClQueue, ClMem, const void *, size_t, size_t, size_t, uint32_t, const void *, void *))       \
  X(ClInt, clFinish, (ClQueue))                                                                   \
  X(ClInt, clFlush, (ClQueue))                                                                    \
  X(ClInt, clReleaseMemObject, (ClMem))                                                           \
  X(ClInt, clReleaseKernel, (ClKernel))                                                           \
  X(ClInt, clReleaseProgram, (ClProgram))                                                         \
  X(ClInt, clReleaseCommandQueue, (ClQueue))                                                      \
  X(ClInt, clReleaseContext, (ClContext))

#define OPENCL_FIELD(result, name, parameters) result(*name) parameters;
typedef struct OpenCl {
  void *library; /* never closed, because some drivers fail when they are unloaded */
  OPENCL_CALLS(OPENCL_FIELD)
} OpenCl;
#undef OPENCL_FIELD

#endif
