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
#define LOAD_W_QUANTISED_VECTOR(to, from, at, k, end) load_quantised(to, from, at, k, end, a.format)
#define LOAD_W_QUANTISED_SINGLE(to, from, at, k, end) load_quantised(to, from, at, k, end, a.format)
#define AS_GIVEN(args, batch) args
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

FUNCTION uint half_at(GLOBAL const uchar *p) { return *(GLOBAL const ushort *)p; }
FUNCTION float signed_byte(uint b) { return (float)((int)(b ^ 128u) - 128); }
/* A row's bytes of quantised values (GPU_FORMAT): rows are whole blocks, and so whole quadruples.
 * Every product and sum is rounded, as the CPU's are. */
FUNCTION int quantised_header(int format) {
  const int groups = (format & 128 ? 256 : 32) / (format & 64 ? 32 : 16);
  return (format & 0x600 ? 4 : 2) + groups * ((format >> 8 & 1) + (format >> 10 & 1));
}
FUNCTION int quantised_block(int format) {
  return quantised_header(format) + (format & 128 ? 32 : 4) * ((format & 15) + (format >> 4 & 3));
}
FUNCTION void load_quantised(float *to, GLOBAL const uchar *RESTRICT from, gpu_size at, int k,
                             int end, int format) {
  to[0] = to[1] = to[2] = to[3] = -0.0f;
  if (k >= end) return;
  const int low = format & 15, high = format >> 4 & 3, block = format & 128 ? 256 : 32;
  const int inside = k % block, j = inside % 32;
  GLOBAL const uchar *first = from + at + (gpu_size)(k / block) * quantised_block(format);
  GLOBAL const uchar *group =
      first + (format & 0x600 ? 4 : 2) +
      inside / (format & 64 ? 32 : 16) * ((format >> 8 & 1) + (format >> 10 & 1));
  GLOBAL const uchar *codes = first + quantised_header(format) + inside / 32 * 4 * (low + high);
  const uint d = half_at(first), m = format & 0x600 ? half_at(first + 2) : 0u;
  const int values = format >> 19;
  const float number = from_f16(m);
  float by =
      values == GPU_VALUES_F8 ? as_float(d | m << 16) : from_half(d, values >= GPU_VALUES_BF16);
  if (format & 0x100) by = by * signed_byte(group[0]);
  /* what is taken from a code, and from the product, which +0 leaves as it is */
  const float middle = values ? number : (float)(format >> 11 & 255);
  const float less = format & 0x400              ? number * signed_byte(group[1])
                     : format & 0x200 && !values ? -number
                                                 : 0.0f;
  /* the half of a word that holds the four, or the word */
  uint q = half_at(codes + j * low / 16 * 2) >> (j * low % 16), h = 0u;
  if (low == 8) q |= half_at(codes + j + 2) << 16;
  if (high > 0) {
    const int word = j * low / 32, words = low / high;
    GLOBAL const uchar *bits = codes + 4 * (low + word / words);
    h = (half_at(bits) | half_at(bits + 2) << 16) >> (j * low % 32 + word % words * high);
  }
  UNROLL
  for (int i = 0; i < 4; i++) {
    const uint code = (q >> (i * low) & ((1u << low) - 1u)) | (h >> (i * low) & ((1u << high) - 1u))
                                                                  << low;
    to[i] = by * (values >= GPU_VALUES_F8 ? from_fp8(code) : (float)code - middle) - less;
  }
  if (values == GPU_VALUES_F16) {
    UNROLL
    for (int i = 0; i < 4; i++) to[i] = from_f16(to_f16(to[i]));
  } else if (values == GPU_VALUES_BF16 || values == GPU_VALUES_F8_BF16) {
    UNROLL
    for (int i = 0; i < 4; i++) to[i] = from_bf16(to_bf16(to[i]));
  }
}

/* Bytes of a row of quantised values. */
FUNCTION gpu_size quantised_row(int columns, int format) {
  return (gpu_size)(columns / (format & 128 ? 256 : 32)) * quantised_block(format);
}
/* One number of a stored row that begins at `at` (elements; of quantised ones, bytes). type: 0
 * float32, 1 float16, 2 bfloat16, 3 quantised. */
FUNCTION float stored_number(GLOBAL const ushort *table, gpu_size at, int column, int columns,
                             int type, int format) {
  if (type == 3) {
    float four[4];
    load_quantised(four, (GLOBAL const uchar *)table, at, column / 4 * 4, columns, format);
    return column % 4 == 0   ? four[0]
           : column % 4 == 1 ? four[1]
           : column % 4 == 2 ? four[2]
                             : four[3];
  }
  return type == 0 ? ((GLOBAL const float *)table)[at + column]
                   : from_half(table[at + column], type == 2);
}
