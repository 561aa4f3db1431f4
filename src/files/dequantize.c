/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of quantised values as float32. Products and sums are rounded one by one in the
 * order of the Python package gguf (gguf/quants.py), so that the values are its values to the bit.
 * f16 numbers are little-endian. */
#include <math.h>

#include "files/dtype.h"

/* Levels of the IQ4 types. */
static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

static uint32_t load_u32(const uint8_t *b) {
  return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static uint16_t load_u16(const uint8_t *b) { return (uint16_t)(b[0] | b[1] << 8); }
static float load_f16(const uint8_t *b) { return dtype_from_f16(load_u16(b)); }
static float load_bf16(const uint8_t *b) { return dtype_from_bf16(load_u16(b)); }

/* ---- blocks of 32: a scale, perhaps a minimum; value i is in the low half of byte i, value 16 + i
 * in its high half */

static void widen_q4_0(const uint8_t *b, float *y) {
  const float d = load_f16(b);
  for (int i = 0; i < 16; i++) {
    y[i] = d * (float)((b[2 + i] & 15) - 8);
    y[16 + i] = d * (float)((b[2 + i] >> 4) - 8);
  }
}

static void widen_q4_1(const uint8_t *b, float *y) {
  const float d = load_f16(b), m = load_f16(b + 2);
  for (int i = 0; i < 16; i++) {
    y[i] = d * (float)(b[4 + i] & 15) + m;
    y[16 + i] = d * (float)(b[4 + i] >> 4) + m;
  }
}

/* The fifth bit of value i is bit i of `high`. */
static int five_bits(const uint8_t *low, uint32_t high, int i) {
  const int nibble = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
  return nibble | (int)(high >> i & 1) << 4;
}

static void widen_q5_0(const uint8_t *b, float *y) {
  const float d = load_f16(b);
  const uint32_t high = load_u32(b + 2);
  for (int i = 0; i < 32; i++) y[i] = d * (float)(five_bits(b + 6, high, i) - 16);
}

static void widen_q5_1(const uint8_t *b, float *y) {
  const float d = load_f16(b), m = load_f16(b + 2);
  const uint32_t high = load_u32(b + 4);
  for (int i = 0; i < 32; i++) y[i] = d * (float)five_bits(b + 8, high, i) + m;
}

static void widen_q8_0(const uint8_t *b, float *y) {
  const float d = load_f16(b);
  for (int i = 0; i < 32; i++) y[i] = (float)(int8_t)b[2 + i] * d;
}

static void widen_iq4_nl(const uint8_t *b, float *y) {
  const float d = load_f16(b);
  for (int i = 0; i < 16; i++) {
    y[i] = d * (float)iq4_levels[b[2 + i] & 15];
    y[16 + i] = d * (float)iq4_levels[b[2 + i] >> 4];
  }
}

/* ---- blocks of 256: groups of 16 or 32 with scales of their own, themselves quantised -------- */

/* 16 scales and minima of 4 bits each, 64 bytes of 2-bit values, the f16 scales of both. */
static void widen_q2_k(const uint8_t *b, float *y) {
  const float d = load_f16(b + 80), m = load_f16(b + 82);
  for (int g = 0; g < 16; g++) {
    const float scale = d * (float)(b[g] & 15), least = m * (float)(b[g] >> 4);
    const uint8_t *q = b + 16 + g / 8 * 32 + g % 2 * 16;
    const int shift = g / 2 % 4 * 2;
    for (int i = 0; i < 16; i++) y[16 * g + i] = scale * (float)(q[i] >> shift & 3) - least;
  }
}

/* 32 bytes of third bits, which stand for -4 where they are 0; 64 of 2-bit values; 16 scales of 6
 * bits; the f16 scale. */
static void widen_q3_k(const uint8_t *b, float *y) {
  const uint8_t *packed = b + 96;
  const float d = load_f16(b + 108);
  for (int g = 0; g < 16; g++) {
    const int low = packed[g % 8] >> (g / 8 * 4) & 15, high = packed[8 + g % 4] >> (g / 4 * 2) & 3;
    const float scale = d * (float)((low | high << 4) - 32);
    const uint8_t *q = b + 32 + g / 8 * 32 + g % 2 * 16, *third = b + g % 2 * 16;
    const int shift = g / 2 % 4 * 2;
    for (int i = 0; i < 16; i++)
      y[16 * g + i] = scale * (float)((q[i] >> shift & 3) - (third[i] >> (g / 2) & 1 ? 0 : 4));
  }
}

/* Eight scales and eight minima of 6 bits each in 12 bytes (Q4_K, Q5_K). */
static void six_bit_scales(const uint8_t *b, int g, int *scale, int *least) {
  if (g < 4) {
    *scale = b[g] & 63;
    *least = b[4 + g] & 63;
  } else {
    *scale = (b[4 + g] & 15) | (b[g - 4] >> 6) << 4;
    *least = b[4 + g] >> 4 | (b[g] >> 6) << 4;
  }
}

static void widen_q4_k(const uint8_t *b, float *y) {
  const float d = load_f16(b), m = load_f16(b + 2);
  for (int g = 0; g < 8; g++) {
    int scale, least;
    six_bit_scales(b + 4, g, &scale, &least);
    const float by = d * (float)scale, minus = m * (float)least;
    const uint8_t *q = b + 16 + g / 2 * 32;
    for (int i = 0; i < 32; i++) y[32 * g + i] = by * (float)(q[i] >> (g % 2 * 4) & 15) - minus;
  }
}

static void widen_q5_k(const uint8_t *b, float *y) {
  const float d = load_f16(b), m = load_f16(b + 2);
  for (int g = 0; g < 8; g++) {
    int scale, least;
    six_bit_scales(b + 4, g, &scale, &least);
    const float by = d * (float)scale, minus = m * (float)least;
    const uint8_t *q = b + 48 + g / 2 * 32, *fifth = b + 16;
    for (int i = 0; i < 32; i++)
      y[32 * g + i] = by * (float)((q[i] >> (g % 2 * 4) & 15) | (fifth[i] >> g & 1) << 4) - minus;
  }
}

/* 128 bytes of low halves, 64 of two high bits, 16 scales of 8 bits, the f16 scale. */
static void widen_q6_k(const uint8_t *b, float *y) {
  const float d = load_f16(b + 208);
  for (int g = 0; g < 16; g++) {
    const float scale = d * (float)(int8_t)b[192 + g];
    const int half = g / 8, part = g / 2 % 4, at = g % 2 * 16; /* part: 32 values of a half's 128 */
    const uint8_t *low = b + half * 64 + part % 2 * 32 + at, *high = b + 128 + half * 32 + at;
    for (int i = 0; i < 16; i++) {
      const int q = (low[i] >> (part / 2 * 4) & 15) | (high[i] >> (part * 2) & 3) << 4;
      y[16 * g + i] = scale * (float)(q - 32);
    }
  }
}

static void widen_iq4_xs(const uint8_t *b, float *y) {
  const float d = load_f16(b);
  const int high = b[2] | b[3] << 8;
  for (int g = 0; g < 8; g++) {
    const int scale = (b[4 + g / 2] >> (g % 2 * 4) & 15) | (high >> (2 * g) & 3) << 4;
    const float by = d * (float)(scale - 32);
    const uint8_t *q = b + 8 + g * 16;
    for (int i = 0; i < 16; i++) {
      y[32 * g + i] = by * (float)iq4_levels[q[i] & 15];
      y[32 * g + 16 + i] = by * (float)iq4_levels[q[i] >> 4];
    }
  }
}

/* ---- of safetensors' quantised matrices (packed.h) ------------------------------------------- */

float dtype_from_fp8(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const float size = exponent == 15 && mantissa == 7 ? NAN
                     : exponent                      ? ldexpf((float)(8 + mantissa), exponent - 10)
                                                     : ldexpf((float)mantissa, -9);
  return bits & 0x80 ? -size : size;
}

static float as_f16(float x) { return dtype_from_f16(dtype_to_f16(x)); }
static float as_bf16(float x) { return dtype_from_bf16(dtype_to_bf16(x)); }

static void widen_g4_f16(const uint8_t *b, float *y) {
  const float d = load_f16(b), zero = load_f16(b + 2);
  for (int i = 0; i < 32; i++)
    y[i] = as_f16(d * ((float)(b[4 + i % 16] >> (i / 16 * 4) & 15) - zero));
}

static void widen_g4_bf16(const uint8_t *b, float *y) {
  const float d = load_bf16(b), zero = load_f16(b + 2);
  for (int i = 0; i < 32; i++)
    y[i] = as_bf16(d * ((float)(b[4 + i % 16] >> (i / 16 * 4) & 15) - zero));
}

static void widen_g8_f16(const uint8_t *b, float *y) {
  const float d = load_f16(b), zero = load_f16(b + 2);
  for (int i = 0; i < 32; i++) y[i] = as_f16(d * ((float)b[4 + i] - zero));
}

static void widen_g8_bf16(const uint8_t *b, float *y) {
  const float d = load_bf16(b), zero = load_f16(b + 2);
  for (int i = 0; i < 32; i++) y[i] = as_bf16(d * ((float)b[4 + i] - zero));
}

static void widen_f8_f32(const uint8_t *b, float *y) {
  const float d = float_of_bits(load_u32(b));
  for (int i = 0; i < 32; i++) y[i] = d * dtype_from_fp8(b[4 + i]);
}

static void widen_f8_bf16(const uint8_t *b, float *y) {
  const float d = load_bf16(b);
  for (int i = 0; i < 32; i++) y[i] = as_bf16(d * dtype_from_fp8(b[2 + i]));
}

typedef void (*WidenBlock)(const uint8_t *block, float *to);

static const WidenBlock block_widens[DTYPE_COUNT - DTYPE_Q4_0] = {
    [DTYPE_Q4_0 - DTYPE_Q4_0] = widen_q4_0,     [DTYPE_Q4_1 - DTYPE_Q4_0] = widen_q4_1,
    [DTYPE_Q5_0 - DTYPE_Q4_0] = widen_q5_0,     [DTYPE_Q5_1 - DTYPE_Q4_0] = widen_q5_1,
    [DTYPE_Q8_0 - DTYPE_Q4_0] = widen_q8_0,     [DTYPE_Q2_K - DTYPE_Q4_0] = widen_q2_k,
    [DTYPE_Q3_K - DTYPE_Q4_0] = widen_q3_k,     [DTYPE_Q4_K - DTYPE_Q4_0] = widen_q4_k,
    [DTYPE_Q5_K - DTYPE_Q4_0] = widen_q5_k,     [DTYPE_Q6_K - DTYPE_Q4_0] = widen_q6_k,
    [DTYPE_IQ4_NL - DTYPE_Q4_0] = widen_iq4_nl, [DTYPE_IQ4_XS - DTYPE_Q4_0] = widen_iq4_xs,
    [DTYPE_G4_F16 - DTYPE_Q4_0] = widen_g4_f16, [DTYPE_G4_BF16 - DTYPE_Q4_0] = widen_g4_bf16,
    [DTYPE_G8_F16 - DTYPE_Q4_0] = widen_g8_f16, [DTYPE_G8_BF16 - DTYPE_Q4_0] = widen_g8_bf16,
    [DTYPE_F8_F32 - DTYPE_Q4_0] = widen_f8_f32, [DTYPE_F8_BF16 - DTYPE_Q4_0] = widen_f8_bf16,
};

void dtype_widen(Dtype dtype, const void *from, size_t values, float *to) {
  const uint8_t *at = from;
  if (dtype == DTYPE_F32) {
    memcpy(to, at, values * sizeof *to);
  } else if (dtype == DTYPE_F16 || dtype == DTYPE_BF16) {
    for (size_t i = 0; i < values; i++) {
      uint16_t bits;
      memcpy(&bits, at + 2 * i, sizeof bits);
      to[i] = dtype == DTYPE_F16 ? dtype_from_f16(bits) : dtype_from_bf16(bits);
    }
  } else if (dtype_is_quantised(dtype)) {
    const size_t block = dtype_block(dtype), size = dtype_size(dtype);
    for (size_t i = 0; i < values / block; i++)
      block_widens[dtype - DTYPE_Q4_0](at + i * size, to + i * block);
  }
}

/* A ggml block's values are finite if its f16 numbers are, which are at these bytes; -1: there is
 * none. */
static const int16_t half_places[DTYPE_G4_F16 - DTYPE_Q4_0][2] = {
    [DTYPE_Q4_0 - DTYPE_Q4_0] = {0, -1},   [DTYPE_Q4_1 - DTYPE_Q4_0] = {0, 2},
    [DTYPE_Q5_0 - DTYPE_Q4_0] = {0, -1},   [DTYPE_Q5_1 - DTYPE_Q4_0] = {0, 2},
    [DTYPE_Q8_0 - DTYPE_Q4_0] = {0, -1},   [DTYPE_Q2_K - DTYPE_Q4_0] = {80, 82},
    [DTYPE_Q3_K - DTYPE_Q4_0] = {108, -1}, [DTYPE_Q4_K - DTYPE_Q4_0] = {0, 2},
    [DTYPE_Q5_K - DTYPE_Q4_0] = {0, 2},    [DTYPE_Q6_K - DTYPE_Q4_0] = {208, -1},
    [DTYPE_IQ4_NL - DTYPE_Q4_0] = {0, -1}, [DTYPE_IQ4_XS - DTYPE_Q4_0] = {0, -1}};

bool dtype_block_is_finite(Dtype dtype, const void *block) {
  const uint8_t *b = block;
  float values[DTYPE_BLOCK_MAX];
  bool finite = true;
  for (int i = 0; dtype < DTYPE_G4_F16 && i < 2; i++) {
    const int at = half_places[dtype - DTYPE_Q4_0][i];
    finite &= at < 0 || (load_u16(b + at) & 0x7c00) != 0x7c00;
  }
  if (dtype < DTYPE_G4_F16) return finite;
  dtype_widen(dtype, b, dtype_block(dtype), values);
  for (size_t i = 0; i < dtype_block(dtype); i++)
    finite &= (float_bits(values[i]) & 0x7f800000u) != 0x7f800000u;
  return finite;
}
