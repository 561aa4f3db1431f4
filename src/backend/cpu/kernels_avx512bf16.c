/* SPDX-License-Identifier: Apache-2.0 */
/* Products of bfloat16 pairs by AVX512_BF16's instruction, in the tiles of the other products.
 * Denormal operands and sums count as zero: the instruction treats them so. CMakeLists.txt sets the
 * compiler's flags for this file. */
#if defined(__x86_64__)
#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

INLINE vf vf_dot_pairs(vf x, vf w, vf sum) { /* sum + x.high * w.high + x.low * w.low */
  return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
}
#define TILE_STEP vf_dot_pairs
#define TILE_VALUES 2
#include "backend/cpu/kernels_gemm.inc"
#include "backend/cpu/kernels_operands.inc"

const PairKernels kernels_avx512bf16 = {.block_words = BACKEND_K_BLOCK,
                                        .packed_ld = CPU_PACKED_LD,
                                        .gemm = CHECKED(gemm),
                                        .spin = CHECKED(spin)};
#else
typedef int kernels_avx512bf16_absent; /* a file may not be empty */
#endif
