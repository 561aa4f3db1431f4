/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels for Advanced SIMD, which every AArch64 processor has. */
#if defined(__aarch64__)
#define KERNELS kernels_neon
#include "backend/cpu/kernels_table.inc"
#else
typedef int kernels_neon_absent; /* a file may not be empty */
#endif
