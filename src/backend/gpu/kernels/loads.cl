/* SPDX-License-Identifier: Apache-2.0 */
/* Four numbers of a row, from depth k on, as float32: at aligned places in one read, else one by
 * one. Beyond the row's end x is +0 and w -0. */
#define LOAD_X_VECTOR(to, from, at, k, end) load_vector(to, from, at, k, end, 0.0f)
#define LOAD_X_SINGLE(to, from, at, k, end) load_single(to, from, at, k, end, 0.0f)
#define LOAD_W_F32_VECTOR(to, from, at, k, end) load_vector(to, from, at, k, end, -0.0f)
#define LOAD_W_F32_SINGLE(to, from, at, k, end) load_single(to, from, at, k, end, -0.0f)
#define LOAD_W_F16_VECTOR(to, from, at, k, end) load_halves(to, from, at, k, end, false)
#define LOAD_W_F16_SINGLE(to, from, at, k, end) load_half_single(to, from, at, k, end, false)
#define LOAD_W_BF16_VECTOR(to, from, at, k, end) load_halves(to, from, at, k, end, true)
#define LOAD_W_BF16_SINGLE(to, from, at, k, end) load_half_single(to, from, at, k, end, true)
#define MULTIPLY4(sums, j, factor, four)                      \
  do {                                                        \
    (sums)[(j)] = fma(factor, (four).x, (sums)[(j)]);         \
    (sums)[(j) + 1] = fma(factor, (four).y, (sums)[(j) + 1]); \
    (sums)[(j) + 2] = fma(factor, (four).z, (sums)[(j) + 2]); \
    (sums)[(j) + 3] = fma(factor, (four).w, (sums)[(j) + 3]); \
  } while (0)

FUNCTION void load_single(float *to, GLOBAL const float *RESTRICT from, gpu_size at, int k, int end,
                          float beyond) {
  UNROLL
  for (int j = 0; j < 4; j++) to[j] = k + j < end ? from[at + k + j] : beyond;
}
FUNCTION void load_vector(float *to, GLOBAL const float *RESTRICT from, gpu_size at, int k, int end,
                          float beyond) {
  to[0] = to[1] = to[2] = to[3] = beyond;
  if (k < end) {
    const float4 v = *(GLOBAL const float4 *)(from + at + k);
    to[0] = v.x;
    to[1] = v.y;
    to[2] = v.z;
    to[3] = v.w;
  }
}
FUNCTION float from_half(uint h, bool brain) { return brain ? from_bf16(h) : from_f16(h); }
FUNCTION void load_half_single(float *to, GLOBAL const ushort *RESTRICT from, gpu_size at, int k,
                               int end, bool brain) {
  UNROLL
  for (int j = 0; j < 4; j++) to[j] = k + j < end ? from_half(from[at + k + j], brain) : -0.0f;
}
FUNCTION void load_halves(float *to, GLOBAL const ushort *RESTRICT from, gpu_size at, int k,
                          int end, bool brain) {
  to[0] = to[1] = to[2] = to[3] = -0.0f;
  if (k < end) {
    const uint2 v = *(GLOBAL const uint2 *)(from + at + k);
    to[0] = from_half(v.x & 0xffffu, brain);
    to[1] = from_half(v.x >> 16, brain);
    to[2] = from_half(v.y & 0xffffu, brain);
    to[3] = from_half(v.y >> 16, brain);
  }
}
