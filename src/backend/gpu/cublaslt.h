/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA's library of products on tensor cores, opened when it is needed. The calling thread's
 * CUDA context is the device's in every call. */
#ifndef GPU_CUBLASLT_H
#define GPU_CUBLASLT_H

#include "backend/gpu/cublaslt_api.h"
#include "backend/gpu/gpu.h"

#define CUBLASLT_WORKSPACE ((size_t)32 << 20) /* the same for every product */

typedef struct Cublaslt Cublaslt;

/* `cache`: the folder in which pinned algorithms are kept, or NULL; copied. `info` outlives it. */
xt_status cublaslt_open(const GpuInfo *info, const char *cache, Cublaslt **out, xt_error *error);
/* Why it cannot be opened: "libcublasLt is not installed"; NULL: it can. */
const char *cublaslt_missing(void);
void cublaslt_close(Cublaslt *lt); /* accepts NULL */
/* "cuBLASLt 13.1.0" */
void cublaslt_name(const Cublaslt *lt, char name[48]);
/* As gpu_tensor_* have them; the pointers are the product's, and the workspace's. */
xt_status cublaslt_find(Cublaslt *lt, GpuTensorShape shape, int *count, xt_error *error);
xt_status cublaslt_pin(Cublaslt *lt, GpuTensorShape shape, int which, bool keep, xt_error *error);
bool cublaslt_is_pinned(const Cublaslt *lt, GpuTensorShape shape);
xt_status cublaslt_multiply(Cublaslt *lt, const GpuTensorProduct *p, CudaPointer x, CudaPointer w,
                            CudaPointer y, CudaPointer workspace, CudaStream stream,
                            xt_error *error);

#endif
