/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels for AVX-512 (F, BW, VL, DQ). CMakeLists.txt sets the compiler's flags for this
 * file. */
#if defined(__x86_64__)
#define KERNELS kernels_avx512
#include "backend/cpu/kernels_table.inc"
#else
typedef int kernels_avx512_absent; /* a file may not be empty */
#endif
