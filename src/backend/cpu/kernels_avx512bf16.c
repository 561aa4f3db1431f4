/* SPDX-License-Identifier: Apache-2.0 */
/* Products of bfloat16 pairs by AVX512_BF16's instruction, in the tiles of the other products.
 * Denormal operands and sums count as zero: the instruction treats them so. CMakeLists.txt sets the
 * compiler's flags for this file. */
#if defined(__x86_64__)
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

INLINE vf vf_dot_pairs(vf x, vf w, vf sum) { /* sum + x.high * w.high + x.low * w.low */
  return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
}
#define TILE_STEP vf_dot_pairs
#define TILE_VALUES 2
#include "backend/cpu/kernels_gemm.inc"
#include "backend/cpu/kernels_operands.inc"

static void pair(void *to, const float *from, int pairs, int columns) {
  char *out = to;
  for (int p = 0; p < pairs; p++, from += 2 * columns)
    for (int j = 0; j < columns; j += VF, out += sizeof(vf)) {
      const __m512i low = _mm512_castps_si512(vf_round_bf16(vf_load(from + j))),
                    high = _mm512_castps_si512(vf_round_bf16(vf_load(from + columns + j)));
      _mm512_storeu_si512(out, _mm512_or_si512(_mm512_srli_epi32(low, 16), high));
    }
}

#ifdef OPERAND_READ
static void checked_pair(void *to, const float *from, int pairs, int columns) {
  const size_t values = (size_t)pairs * (size_t)columns;
  reads_floats(from, 2 * values);
  writes_floats(to, values);
  pair(to, from, pairs, columns);
}
#endif

const PairKernels kernels_avx512bf16 = {
    .gemm = CHECKED(gemm), .pair = CHECKED(pair), .spin = CHECKED(spin)};
#else
typedef int kernels_avx512bf16_absent; /* a file may not be empty */
#endif
