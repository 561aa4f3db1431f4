/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/cpu/quantised.h"

#define FORMAT(type, block, low, high, group, offset, scales, plus, minus, values) \
  [DTYPE_##type - DTYPE_Q4_0] = {block, low, high, group, offset, scales, plus, minus, values},
static const QuantisedFormat formats[DTYPE_COUNT - DTYPE_Q4_0] = {QUANTISED_FORMATS(FORMAT)};

const QuantisedFormat *quantised_format(Dtype type) { return &formats[type - DTYPE_Q4_0]; }

/* What a block holds, one number for each thing. */
typedef struct Codes {
  uint16_t d, m; /* f16 */
  int8_t scale[16], least[16];
  uint8_t q[DTYPE_BLOCK_MAX];
} Codes;

static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

static uint16_t load_u16(const uint8_t *b) { return (uint16_t)(b[0] | b[1] << 8); }

/* Sixteen bytes of two values each: i in the low half of byte i, 16 + i in its high half. */
static void read_nibbles(const uint8_t *b, uint8_t *q) {
  for (int i = 0; i < 16; i++) {
    q[i] = b[i] & 15;
    q[16 + i] = b[i] >> 4;
  }
}

/* Bit i of `fifth` becomes bit 4 of code i, eight at a time: a byte that has its own bit or none, and
 * 0x7f more, has its highest bit or not. */
static void add_fifth_bits(uint32_t fifth, uint8_t *q) {
  for (int i = 0; i < 32; i += 8) {
    uint64_t codes, own = (fifth >> i & 0xff) * 0x0101010101010101u & 0x8040201008040201u;
    memcpy(&codes, q + i, sizeof codes);
    codes |= (own + 0x7f7f7f7f7f7f7f7fu) >> 3 & 0x1010101010101010u;
    memcpy(q + i, &codes, sizeof codes);
  }
}

static void read_small(Dtype type, const uint8_t *b, Codes *c) {
  const bool least = type == DTYPE_Q4_1 || type == DTYPE_Q5_1,
             five = type == DTYPE_Q5_0 || type == DTYPE_Q5_1;
  const uint8_t *at = b + 2 + 2 * least;
  c->d = load_u16(b);
  if (least) c->m = load_u16(b + 2);
  if (type == DTYPE_Q8_0) {
    for (int i = 0; i < 32; i++) c->q[i] = at[i] ^ 0x80;
    return;
  }
  read_nibbles(at + 4 * five, c->q);
  if (five) {
    const uint32_t fifth = load_u16(at) | (uint32_t)load_u16(at + 2) << 16;
    add_fifth_bits(fifth, c->q);
  }
  for (int i = 0; i < 32 && type == DTYPE_IQ4_NL; i++)
    c->q[i] = (uint8_t)(iq4_levels[c->q[i]] + 127);
}

static void read_q2_k(const uint8_t *b, Codes *c) {
  c->d = load_u16(b + 80);
  c->m = load_u16(b + 82);
  for (int g = 0; g < 16; g++) {
    c->scale[g] = (int8_t)(b[g] & 15);
    c->least[g] = (int8_t)(b[g] >> 4);
    for (int i = 0; i < 16; i++)
      c->q[16 * g + i] = b[16 + g / 8 * 32 + g % 2 * 16 + i] >> (g / 2 % 4 * 2) & 3;
  }
}

static void read_q3_k(const uint8_t *b, Codes *c) {
  const uint8_t *packed = b + 96;
  c->d = load_u16(b + 108);
  for (int g = 0; g < 16; g++) {
    c->scale[g] = (int8_t)(((packed[g % 8] >> (g / 8 * 4) & 15) |
                            (packed[8 + g % 4] >> (g / 4 * 2) & 3) << 4) -
                           32);
    for (int i = 0; i < 16; i++) {
      const int low = b[32 + g / 8 * 32 + g % 2 * 16 + i] >> (g / 2 % 4 * 2) & 3,
                third = b[g % 2 * 16 + i] >> (g / 2) & 1;
      c->q[16 * g + i] = (uint8_t)(low | third << 2);
    }
  }
}

/* Q4_K and Q5_K. */
static void read_q45_k(const uint8_t *b, bool five, Codes *c) {
  const uint8_t *s = b + 4, *fifth = b + 16, *low = b + 16 + 32 * five;
  c->d = load_u16(b);
  c->m = load_u16(b + 2);
  for (int g = 0; g < 8; g++) {
    c->scale[g] = (int8_t)(g < 4 ? s[g] & 63 : (s[4 + g] & 15) | (s[g - 4] >> 6) << 4);
    c->least[g] = (int8_t)(g < 4 ? s[4 + g] & 63 : s[4 + g] >> 4 | (s[g] >> 6) << 4);
    for (int i = 0; i < 32; i++) {
      const int q = low[g / 2 * 32 + i] >> (g % 2 * 4) & 15;
      c->q[32 * g + i] = (uint8_t)(five ? q | (fifth[i] >> g & 1) << 4 : q);
    }
  }
}

static void read_q6_k(const uint8_t *b, Codes *c) {
  c->d = load_u16(b + 208);
  for (int g = 0; g < 16; g++) {
    const int half = g / 8, part = g / 2 % 4, at = g % 2 * 16;
    const uint8_t *low = b + half * 64 + part % 2 * 32 + at, *high = b + 128 + half * 32 + at;
    c->scale[g] = (int8_t)b[192 + g];
    for (int i = 0; i < 16; i++)
      c->q[16 * g + i] =
          (uint8_t)((low[i] >> (part / 2 * 4) & 15) | (high[i] >> (part * 2) & 3) << 4);
  }
}

static void read_iq4_xs(const uint8_t *b, Codes *c) {
  const int high = load_u16(b + 2);
  c->d = load_u16(b);
  for (int g = 0; g < 8; g++) {
    c->scale[g] = (int8_t)(((b[4 + g / 2] >> (g % 2 * 4) & 15) | (high >> (2 * g) & 3) << 4) - 32);
    read_nibbles(b + 8 + 16 * g, c->q + 32 * g);
    for (int i = 0; i < 32; i++) c->q[32 * g + i] = (uint8_t)(iq4_levels[c->q[32 * g + i]] + 127);
  }
}

/* Blocks of packed.h. */
static void read_packed(const QuantisedFormat *f, const uint8_t *b, Codes *c) {
  c->d = load_u16(b);
  if (f->plus) c->m = load_u16(b + 2);
  b += 2 + 2 * f->plus;
  if (f->low == 4)
    read_nibbles(b, c->q);
  else
    memcpy(c->q, b, 32);
}

static void read_codes(Dtype type, const uint8_t *b, Codes *c) {
  const QuantisedFormat *f = quantised_format(type);
  if (f->values) {
    read_packed(f, b, c);
    return;
  }
  switch (type) {
    case DTYPE_Q2_K: read_q2_k(b, c); return;
    case DTYPE_Q3_K: read_q3_k(b, c); return;
    case DTYPE_Q4_K:
    case DTYPE_Q5_K: read_q45_k(b, type == DTYPE_Q5_K, c); return;
    case DTYPE_Q6_K: read_q6_k(b, c); return;
    case DTYPE_IQ4_XS: read_iq4_xs(b, c); return;
    default: read_small(type, b, c); return;
  }
}

/* Of each of eight bytes the lowest `bits` bits, 2, 4 or 8, side by side; the others are 0. */
static inline uint64_t squeeze(uint64_t bytes, const int bits) {
  const uint64_t pairs = 0x0001000100010001u * ((1u << 2 * bits) - 1),
                 fours = 0x0000000100000001u * ((UINT64_C(1) << 4 * bits) - 1);
  bytes = (bytes | bytes >> (8 - bits)) & pairs;
  bytes = (bytes | bytes >> 2 * (8 - bits)) & fours;
  return bytes | bytes >> 4 * (8 - bits);
}

/* The low and then the high bits of 32 codes as words of a column, `columns` words apart. `low`
 * is a constant. */
static inline void put_codes(char *at, const uint8_t *q, const int low, int high, int columns) {
  const int in_word = 32 / low, together = high ? low / high : low;
  const uint64_t mask = 0x0101010101010101u * ((1u << low) - 1);
  char *high_at = at + (size_t)(4 * low * columns);
  uint32_t upper = 0;
  for (int i = 0; i < low; i++, at += 4 * columns, q += in_word) {
    uint32_t lower = 0, above = 0;
    for (int j = 0; j < in_word; j += 8) {
      uint64_t codes = 0;
      memcpy(&codes, q + j, in_word < 8 ? 4 : 8);
      lower |= (uint32_t)squeeze(codes & mask, low) << (j * low % 32);
      if (high) above |= (uint32_t)squeeze(codes >> low & mask, low) << (j * low % 32);
    }
    memcpy(at, &lower, sizeof lower);
    if (!high) continue;
    upper |= above << (i % together * high);
    if (i % together < together - 1) continue;
    memcpy(high_at, &upper, sizeof upper);
    high_at += 4 * columns;
    upper = 0;
  }
}

static void put_run(char *at, const uint8_t *q, const QuantisedFormat *f, int columns) {
  switch (f->low) {
    case 2: put_codes(at, q, 2, f->high, columns); return;
    case 4: put_codes(at, q, 4, f->high, columns); return;
    default: put_codes(at, q, 8, 0, columns); return;
  }
}

bool quantised_pack(Dtype type, const void *row, int values, char *panel, int columns, int column) {
  const QuantisedFormat *f = quantised_format(type);
  const uint8_t *from = row;
  bool finite = true;
  for (int k = 0; k < values;
       k += f->block, from += dtype_size(type), panel += quantised_block_bytes(f, columns)) {
    Codes c; /* what a type lacks is not looked at, but for m */
    c.m = 0;
    char *at = panel;
    read_codes(type, from, &c);
    finite &= f->values == VALUES_SUM ? (c.d & 0x7c00) != 0x7c00 && (c.m & 0x7c00) != 0x7c00
                                      : dtype_block_is_finite(type, from);
    memcpy(at + 2 * column, &c.d, 2);
    at += 2 * columns;
    if (f->plus || f->minus) {
      memcpy(at + 2 * column, &c.m, 2);
      at += 2 * columns;
    }
    for (int g = 0; g < f->block / f->group; g++) {
      if (f->scales) at[column] = (char)c.scale[g], at += columns;
      if (f->minus) at[column] = (char)c.least[g], at += columns;
    }
    for (int i = 0; i < f->block; i += 32, at += 4 * (f->low + f->high) * columns)
      put_run(at + 4 * column, c.q + i, f, columns);
  }
  return finite;
}
