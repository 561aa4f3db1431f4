/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels without instructions of any one processor. */
#define SIMD_PORTABLE
#define KERNELS kernels_portable
#include "backend/cpu/kernels_table.inc"
