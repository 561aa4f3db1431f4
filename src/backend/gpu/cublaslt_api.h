/* SPDX-License-Identifier: Apache-2.0 */
/* The calls, numbers and structures of cuBLASLt that are used (cuBLAS documentation, NVIDIA),
 * declared here so that no header of theirs is needed; tests/unit/test_gpu_cublaslt.c compares them
 * with the headers where those are installed. Names of calls are those of the library. */
#ifndef GPU_CUBLASLT_API_H
#define GPU_CUBLASLT_API_H

#include <stddef.h>
#include <stdint.h>

#include "backend/gpu/cuda_api.h"

typedef int LtStatus; /* 0: success */
typedef struct LtContext_ *LtHandle;
typedef struct LtDesc_ *LtDesc;
typedef struct LtLayout_ *LtLayout;
typedef struct LtPreference_ *LtPreference;

/* An algorithm's full description; may be stored and used again by the same version. */
typedef struct LtAlgorithm {
  uint64_t data[8];
} LtAlgorithm;

typedef struct LtHeuristic {
  LtAlgorithm algorithm;
  size_t workspace;
  LtStatus state;
  float waves;
  int reserved[4];
} LtHeuristic;

enum {
  LT_ALLOC_FAILED = 3, /* cublasStatus_t */
  LT_INVALID_VALUE = 7,
  LT_NOT_SUPPORTED = 15,
  LT_F32 = 0, /* cudaDataType */
  LT_F16 = 2,
  LT_BF16 = 14,
  LT_COMPUTE_32F = 68, /* cublasComputeType_t */
  LT_COMPUTE_32F_FAST_TF32 = 77,
  LT_OP_N = 0,
  LT_OP_T = 1,
  LT_DESC_TRANSA = 3,
  LT_DESC_TRANSB = 4,
  LT_PREF_MAX_WORKSPACE_BYTES = 1, /* uint64_t */
  LT_PREF_REDUCTION_SCHEME_MASK = 3,
  LT_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  LT_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  LT_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  LT_PREF_MIN_ALIGNMENT_D_BYTES = 8,
  LT_REDUCTION_SCHEME_NONE = 0,
  LT_CONFIG_SPLITK_NUM = 2, /* int32_t, as are the next */
  LT_CONFIG_REDUCTION_SCHEME = 3
};

#define CUBLASLT_CALLS(X)                                                                          \
  X(size_t, cublasLtGetVersion, (void))                                                            \
  X(LtStatus, cublasLtCreate, (LtHandle *))                                                        \
  X(LtStatus, cublasLtDestroy, (LtHandle))                                                         \
  X(LtStatus, cublasLtMatmulDescCreate, (LtDesc *, int, int))                                      \
  X(LtStatus, cublasLtMatmulDescDestroy, (LtDesc))                                                 \
  X(LtStatus, cublasLtMatmulDescSetAttribute, (LtDesc, int, const void *, size_t))                 \
  X(LtStatus, cublasLtMatrixLayoutCreate, (LtLayout *, int, uint64_t, uint64_t, int64_t))          \
  X(LtStatus, cublasLtMatrixLayoutDestroy, (LtLayout))                                             \
  X(LtStatus, cublasLtMatmulPreferenceCreate, (LtPreference *))                                    \
  X(LtStatus, cublasLtMatmulPreferenceDestroy, (LtPreference))                                     \
  X(LtStatus, cublasLtMatmulPreferenceSetAttribute, (LtPreference, int, const void *, size_t))     \
  X(LtStatus, cublasLtMatmulAlgoGetHeuristic,                                                      \
    (LtHandle, LtDesc, LtLayout, LtLayout, LtLayout, LtLayout, LtPreference, int, LtHeuristic *,   \
     int *))                                                                                       \
  X(LtStatus, cublasLtMatmulAlgoCheck,                                                             \
    (LtHandle, LtDesc, LtLayout, LtLayout, LtLayout, LtLayout, const LtAlgorithm *,                \
     LtHeuristic *))                                                                               \
  X(LtStatus, cublasLtMatmulAlgoConfigGetAttribute,                                                \
    (const LtAlgorithm *, int, void *, size_t, size_t *))                                          \
  X(LtStatus, cublasLtMatmul,                                                                      \
    (LtHandle, LtDesc, const void *, const void *, LtLayout, const void *, LtLayout, const void *, \
     const void *, LtLayout, void *, LtLayout, const LtAlgorithm *, void *, size_t, CudaStream))

#endif
