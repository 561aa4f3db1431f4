/* SPDX-License-Identifier: Apache-2.0 */
/* The few vector operations the kernels are written in, for the instruction set of the file that
 * includes this. vf holds VF floats. v16 is 16 floats on every machine: reductions run in 16 lanes
 * and are then folded in halves, so that their order does not depend on the vector's width. */
#ifndef CPU_SIMD_H
#define CPU_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* TILE_ROWS x (TILE_VECTORS * VF) is the tile of a matrix product that fills the registers; with
 * quantised weights, STREAM_SUMS vectors of sums leave room for what expands them. */
#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#define SIMD_NAME "avx512"
#define VF 16
#define TILE_ROWS 12
#define TILE_VECTORS 2
#define STREAM_SUMS 16
typedef __m512 vf;
INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf vf_below(vf x, vf bound, vf yes, vf no) { /* x < bound ? yes : no */
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, bound, _CMP_LT_OQ), no, yes);
}
INLINE vf vf_power_of_two(vf t) { /* t = 1.5*2^23 + n: 2^n */
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(t), 23),
                                              _mm512_set1_epi32(0x3f800000)));
}
/* 2*VF bfloat16: column j in the low, column j + VF in the high half of 32-bit lane j. */
INLINE void vf_load_bf16_pair(const uint16_t *p, vf *low, vf *high) {
  const __m512i raw = _mm512_loadu_si512(p);
  *low = _mm512_castsi512_ps(_mm512_slli_epi32(raw, 16));
  *high = _mm512_castsi512_ps(_mm512_and_si512(raw, _mm512_set1_epi32((int)0xffff0000u)));
}
INLINE vf vf_load_f16(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
INLINE vf vf_load_bf16(const uint16_t *p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
INLINE vf vf_round_bf16(vf x) { /* nearest, ties to even; x is finite */
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
  return _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32((int)0xffff0000u)));
}
INLINE vf vf_round_f16(vf x) { /* nearest, ties to even */
  return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
typedef uint32_t vn __attribute__((vector_size(64)));
INLINE vn vn_pick(vn x, uint32_t mask, vn with) { /* (x & mask) | with */
  return (vn)_mm512_ternarylogic_epi32((__m512i)x, _mm512_set1_epi32((int)mask), (__m512i)with,
                                       0xea);
}
#define SIMD_TABLE_BITS 4
INLINE vf vf_of_table(vf table, vn index) { /* the last four bits of each index count */
  return _mm512_permutexvar_ps((__m512i)index, table);
}
INLINE vf vf_load_i8(const char *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
INLINE float vf_sum(vf x) {
  const __m256 lower = _mm512_castps512_ps256(x),
               upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
  const __m256 e = _mm256_add_ps(lower, upper);
  const __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#define SIMD_NAME "avx2"
#define VF 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define STREAM_SUMS 8
typedef __m256 vf;
INLINE vf vf_set(float x) { return _mm256_set1_ps(x); }
INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf vf_below(vf x, vf bound, vf yes, vf no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(x, bound, _CMP_LT_OQ));
}
INLINE vf vf_power_of_two(vf t) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(t), 23),
                                              _mm256_set1_epi32(0x3f800000)));
}
INLINE void vf_load_bf16_pair(const uint16_t *p, vf *low, vf *high) {
  const __m256i raw = _mm256_loadu_si256((const __m256i *)p);
  *low = _mm256_castsi256_ps(_mm256_slli_epi32(raw, 16));
  *high = _mm256_castsi256_ps(_mm256_and_si256(raw, _mm256_set1_epi32((int)0xffff0000u)));
}
INLINE vf vf_load_f16(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
INLINE vf vf_load_bf16(const uint16_t *p) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE vf vf_round_bf16(vf x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
  return _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32((int)0xffff0000u)));
}
INLINE vf vf_round_f16(vf x) {
  return _mm256_cvtph_ps(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
INLINE vf vf_load_i8(const char *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE float vf_sum(vf x) {
  const __m128 q = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 d = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d)));
}

#else
/* Four lanes: Advanced SIMD where there is one, else the compiler's own vectors ("portable"). */
#define VF 4
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));
#if defined(__ARM_NEON) && defined(__aarch64__) && !defined(SIMD_PORTABLE)
#include <arm_neon.h>
#define SIMD_NAME "neon"
#define TILE_ROWS 6
#define TILE_VECTORS 4
#define STREAM_SUMS 16
INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
INLINE vf vf_load_f16(const uint16_t *p) {
  return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
INLINE vf vf_round_f16(vf x) { return (vf)vcvt_f32_f16(vcvt_f16_f32((float32x4_t)x)); }
#else
#define SIMD_NAME "portable"
#define TILE_ROWS 4
#define TILE_VECTORS 2
#define STREAM_SUMS 4 /* one row: more would unroll into a long series of calls of the C library */
/* One rounding, as in every other set, even where that is a call of the C library for each element,
 * because results must not depend on the processor. */
INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf){__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]),
              __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3])};
}
/* Finite halves only: exponent and mantissa moved into place, then the bias set right by an exact
 * product with 2^112 (which normalises subnormals too). */
INLINE vf vf_load_f16(const uint16_t *p) {
  const vu bits = {p[0], p[1], p[2], p[3]};
  const vf magnitude = (vf)((bits & 0x7fff) << 13) * (vf){0x1p112f, 0x1p112f, 0x1p112f, 0x1p112f};
  return (vf)((vu)magnitude | (bits & 0x8000) << 16);
}
INLINE vf vf_round_f16(vf x) {
  return (vf){dtype_from_f16(dtype_to_f16(x[0])), dtype_from_f16(dtype_to_f16(x[1])),
              dtype_from_f16(dtype_to_f16(x[2])), dtype_from_f16(dtype_to_f16(x[3]))};
}
#endif
INLINE vf vf_set(float x) { return (vf){x, x, x, x}; }
INLINE vf vf_load(const float *p) {
  vf x;
  memcpy(&x, p, sizeof x);
  return x;
}
INLINE void vf_store(float *p, vf x) { memcpy(p, &x, sizeof x); }
INLINE vf vf_add(vf a, vf b) { return a + b; }
INLINE vf vf_sub(vf a, vf b) { return a - b; }
INLINE vf vf_mul(vf a, vf b) { return a * b; }
INLINE vf vf_div(vf a, vf b) { return a / b; }
INLINE vf vf_choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
INLINE vf vf_max(vf a, vf b) { return vf_choose((vi)(a > b), a, b); }
INLINE vf vf_min(vf a, vf b) { return vf_choose((vi)(a < b), a, b); }
INLINE vf vf_below(vf x, vf bound, vf yes, vf no) { return vf_choose((vi)(x < bound), yes, no); }
INLINE vf vf_power_of_two(vf t) { return (vf)(((vu)t << 23) + 0x3f800000u); }
INLINE void vf_load_bf16_pair(const uint16_t *p, vf *low, vf *high) {
  vu raw;
  memcpy(&raw, p, sizeof raw);
  *low = (vf)(raw << 16);
  *high = (vf)(raw & 0xffff0000u);
}
INLINE vf vf_load_bf16(const uint16_t *p) { return (vf)((vu){p[0], p[1], p[2], p[3]} << 16); }
INLINE vf vf_round_bf16(vf x) {
  const vu bits = (vu)x;
  return (vf)((bits + ((bits >> 16) & 1u) + 0x7fffu) & 0xffff0000u);
}
INLINE vf vf_load_i8(const char *p) {
  int8_t x[4];
  memcpy(x, p, sizeof x);
  return (vf){x[0], x[1], x[2], x[3]};
}
INLINE float vf_sum(vf x) { return (x[0] + x[2]) + (x[1] + x[3]); }
#endif

#define TILE_COLUMNS (TILE_VECTORS * VF)

#if VF < 16
typedef uint32_t vn __attribute__((vector_size(VF * 4)));
INLINE vn vn_pick(vn x, uint32_t mask, vn with) { return (x & mask) | with; }
#endif
INLINE vn vn_load(const char *p) {
  vn x;
  memcpy(&x, p, sizeof x);
  return x;
}
/* a b + c where a b is exact: fused or not, the bits are the same. */
INLINE vf vf_add_exact(vf a, vf b, vf c) {
#ifdef SIMD_PORTABLE
  return vf_add(vf_mul(a, b), c);
#else
  return vf_fma(a, b, c);
#endif
}

/* ---- sixteen lanes --------------------------------------------------------------------------- */
#define V16_PARTS (16 / VF)
typedef struct v16 {
  vf part[V16_PARTS];
} v16;

#define V16_EACH UNROLL for (int i_ = 0; i_ < V16_PARTS; i_++)
INLINE v16 v16_set(float x) {
  v16 r;
  V16_EACH r.part[i_] = vf_set(x);
  return r;
}
INLINE v16 v16_load(const float *p) {
  v16 r;
  V16_EACH r.part[i_] = vf_load(p + i_ * VF);
  return r;
}
INLINE void v16_store(float *p, v16 x) { V16_EACH vf_store(p + i_ * VF, x.part[i_]); }
INLINE v16 v16_add(v16 a, v16 b) {
  V16_EACH a.part[i_] = vf_add(a.part[i_], b.part[i_]);
  return a;
}
INLINE v16 v16_sub(v16 a, v16 b) {
  V16_EACH a.part[i_] = vf_sub(a.part[i_], b.part[i_]);
  return a;
}
INLINE v16 v16_mul(v16 a, v16 b) {
  V16_EACH a.part[i_] = vf_mul(a.part[i_], b.part[i_]);
  return a;
}
INLINE v16 v16_div(v16 a, v16 b) {
  V16_EACH a.part[i_] = vf_div(a.part[i_], b.part[i_]);
  return a;
}
INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
  V16_EACH c.part[i_] = vf_fma(a.part[i_], b.part[i_], c.part[i_]);
  return c;
}
INLINE v16 v16_max(v16 a, v16 b) {
  V16_EACH a.part[i_] = vf_max(a.part[i_], b.part[i_]);
  return a;
}
INLINE v16 v16_min(v16 a, v16 b) {
  V16_EACH a.part[i_] = vf_min(a.part[i_], b.part[i_]);
  return a;
}
/* The first n (<= 16) of p, the other lanes `fill`. */
INLINE v16 v16_load_first(const float *p, size_t n, float fill) {
  float lanes[16];
  v16_store(lanes, v16_set(fill));
  memcpy(lanes, p, n * sizeof *p);
  return v16_load(lanes);
}
INLINE void v16_store_first(float *p, size_t n, v16 x) {
  float lanes[16];
  v16_store(lanes, x);
  memcpy(p, lanes, n * sizeof *p);
}
/* Lanes i and i+8, then i and i+4, i+2, i+1. */
INLINE float v16_sum(v16 x) {
  for (int half = V16_PARTS / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) x.part[i] = vf_add(x.part[i], x.part[i + half]);
  return vf_sum(x.part[0]);
}
INLINE float v16_largest(v16 x) {
  float lanes[16];
  v16_store(lanes, x);
  float m = lanes[0];
  for (int i = 1; i < 16; i++) m = lanes[i] > m ? lanes[i] : m;
  return m;
}

/* e^x, within 1.5 ulp for x in [-87.33, 88.37]; 0 below, e^88.37 above. Range reduction and
 * polynomial of Cephes' expf (S. L. Moshier): x = n ln 2 + r, |r| <= ln(2)/2, n found by adding
 * 1.5*2^23. */
INLINE vf vf_exp(vf x) {
  const vf magic = vf_set(0x1.8p23f);
  const vf bounded = vf_min(vf_set(88.37f), x);
  const vf t = vf_fma(bounded, vf_set(1.44269504088896341f), magic);
  const vf n = vf_sub(t, magic);
  vf r = vf_fma(n, vf_set(-0.693359375f), bounded);
  r = vf_fma(n, vf_set(2.12194440e-4f), r);
  vf p = vf_set(1.9875691500e-4f);
  p = vf_fma(p, r, vf_set(1.3981999507e-3f));
  p = vf_fma(p, r, vf_set(8.3334519073e-3f));
  p = vf_fma(p, r, vf_set(4.1665795894e-2f));
  p = vf_fma(p, r, vf_set(1.6666665459e-1f));
  p = vf_fma(p, r, vf_set(5.0000001201e-1f));
  const vf e = vf_add(vf_fma(vf_mul(r, r), p, r), vf_set(1.0f));
  return vf_below(x, vf_set(-87.33f), vf_set(0.0f), vf_mul(e, vf_power_of_two(t)));
}
INLINE v16 v16_exp(v16 x) {
  V16_EACH x.part[i_] = vf_exp(x.part[i_]);
  return x;
}

/* tanh x: a polynomial of Cephes' tanhf (S. L. Moshier) for |x| < 0.625, else 1 - 2 / (e^2|x| + 1)
 * with x's sign. Odd to the bit. */
INLINE vf vf_tanh(vf x) {
  const vf zero = vf_set(0), a = vf_max(x, vf_sub(zero, x)), z = vf_mul(x, x);
  vf p = vf_set(-5.70498872745e-3f);
  p = vf_fma(p, z, vf_set(2.06390887954e-2f));
  p = vf_fma(p, z, vf_set(-5.37397155531e-2f));
  p = vf_fma(p, z, vf_set(1.33314422036e-1f));
  p = vf_fma(p, z, vf_set(-3.33332819422e-1f));
  const vf small = vf_fma(vf_mul(p, z), x, x);
  const vf e = vf_exp(vf_mul(vf_min(a, vf_set(40)), vf_set(2)));
  const vf large = vf_sub(vf_set(1), vf_div(vf_set(2), vf_add(e, vf_set(1))));
  return vf_below(a, vf_set(0.625f), small, vf_below(x, zero, vf_sub(zero, large), large));
}
INLINE v16 v16_tanh(v16 x) {
  V16_EACH x.part[i_] = vf_tanh(x.part[i_]);
  return x;
}

/* erf x: x + x P(x^2) for |x| < 1, else 1 - e^-Q(|x|) with x's sign; from 4 on it is 1 in float. P
 * and Q are least-squares fits at Chebyshev nodes, weighted towards the largest error; within 2
 * ulp. Odd to the bit. */
INLINE vf vf_erf(vf x) {
  const vf zero = vf_set(0), a = vf_min(vf_max(x, vf_sub(zero, x)), vf_set(4)), z = vf_mul(a, a);
  vf p = vf_set(-5.647976e-4f), q = vf_set(-1.7888032e-4f);
  p = vf_fma(p, z, vf_set(4.9209073e-3f));
  p = vf_fma(p, z, vf_set(-2.6713438e-2f));
  p = vf_fma(p, z, vf_set(1.1280221e-1f));
  p = vf_fma(p, z, vf_set(-3.7612325e-1f));
  p = vf_fma(p, z, vf_set(1.2837912e-1f));
  q = vf_fma(q, a, vf_set(2.8753178e-3f));
  q = vf_fma(q, a, vf_set(-2.1553671e-2f));
  q = vf_fma(q, a, vf_set(1.02522925e-1f));
  q = vf_fma(q, a, vf_set(6.388057e-1f));
  q = vf_fma(q, a, vf_set(1.1266977f));
  q = vf_fma(q, a, vf_set(4.3649756e-4f));
  const vf large = vf_sub(vf_set(1), vf_exp(vf_sub(zero, q)));
  return vf_below(a, vf_set(1), vf_fma(p, x, x), vf_below(x, zero, vf_sub(zero, large), large));
}
INLINE v16 v16_erf(v16 x) {
  V16_EACH x.part[i_] = vf_erf(x.part[i_]);
  return x;
}
INLINE v16 v16_below(v16 x, v16 bound, v16 yes, v16 no) { /* x < bound ? yes : no */
  V16_EACH x.part[i_] = vf_below(x.part[i_], bound.part[i_], yes.part[i_], no.part[i_]);
  return x;
}

#endif
