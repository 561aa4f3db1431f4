/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU's functions (simd.h), one number at a time. */

/* Finite halves: exponent and mantissa moved into place, then the bias set right by an exact
 * product. */
FUNCTION float from_f16(uint h) {
  return as_float(as_uint(as_float((h & 0x7fffu) << 13) * 0x1p112f) | (h & 0x8000u) << 16);
}
FUNCTION float from_bf16(uint h) { return as_float(h << 16); }
/* E4M3, in the same way. */
FUNCTION float from_fp8(uint b) {
  return as_float(as_uint(as_float((b & 0x7fu) << 20) * 0x1p120f) | (b & 0x80u) << 24);
}

/* Nearest, ties to even. */
FUNCTION uint to_f16(float x) {
  const uint bits = as_uint(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return sign | 0x7e00u;
  if (size >= 0x477ff000u) return sign | 0x7c00u; /* 65520 and more */
  if (size < 0x38800000u) /* subnormal: 1/2 is 2^24 times as large as their steps */
    return sign | (as_uint(as_float(size) + 0.5f) - 0x3f000000u);
  return sign | (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13;
}
FUNCTION uint to_bf16(float x) {
  const uint bits = as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

FUNCTION float exponential(float x) {
  const float bounded = 88.37f < x ? 88.37f : x;
  const float t = fma(bounded, 1.44269504088896341f, 0x1.8p23f);
  const float n = t - 0x1.8p23f;
  float r = fma(n, -0.693359375f, bounded);
  r = fma(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = fma(p, r, 1.3981999507e-3f);
  p = fma(p, r, 8.3334519073e-3f);
  p = fma(p, r, 4.1665795894e-2f);
  p = fma(p, r, 1.6666665459e-1f);
  p = fma(p, r, 5.0000001201e-1f);
  const float e = fma(r * r, p, r) + 1.0f;
  return x < -87.33f ? 0.0f : e * as_float((as_uint(t) << 23) + 0x3f800000u);
}

FUNCTION float hyperbolic_tangent(float x) {
  const float minus = 0.0f - x, a = x > minus ? x : minus, z = x * x;
  float p = -5.70498872745e-3f;
  p = fma(p, z, 2.06390887954e-2f);
  p = fma(p, z, -5.37397155531e-2f);
  p = fma(p, z, 1.33314422036e-1f);
  p = fma(p, z, -3.33332819422e-1f);
  if (a < 0.625f) return fma(p * z, x, x);
  const float e = exponential((a < 40.0f ? a : 40.0f) * 2.0f);
  const float large = 1.0f - 2.0f / (e + 1.0f);
  return x < 0.0f ? 0.0f - large : large;
}

FUNCTION float error_function(float x) {
  const float minus = 0.0f - x, size = x > minus ? x : minus, a = size < 4.0f ? size : 4.0f,
              z = a * a;
  float p = -5.647976e-4f, q = -1.7888032e-4f;
  p = fma(p, z, 4.9209073e-3f);
  p = fma(p, z, -2.6713438e-2f);
  p = fma(p, z, 1.1280221e-1f);
  p = fma(p, z, -3.7612325e-1f);
  p = fma(p, z, 1.2837912e-1f);
  q = fma(q, a, 2.8753178e-3f);
  q = fma(q, a, -2.1553671e-2f);
  q = fma(q, a, 1.02522925e-1f);
  q = fma(q, a, 6.388057e-1f);
  q = fma(q, a, 1.1266977f);
  q = fma(q, a, 4.3649756e-4f);
  if (a < 1.0f) return fma(p, x, x);
  const float large = 1.0f - exponential(0.0f - q);
  return x < 0.0f ? 0.0f - large : large;
}

FUNCTION float capped(float x, float cap) { return hyperbolic_tangent(x / cap) * cap; }

/* The sum of 16 lanes, folded 8, 4, 2, 1. */
FUNCTION float fold(LOCAL_POINTER(const float) lanes) {
  float s[GPU_LANES / 2];
  UNROLL
  for (int i = 0; i < 8; i++) s[i] = lanes[i] + lanes[i + 8];
  UNROLL
  for (int i = 0; i < 4; i++) s[i] = s[i] + s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}
