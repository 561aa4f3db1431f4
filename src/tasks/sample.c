/* SPDX-License-Identifier: Apache-2.0 */
/* CPython's random module: the Mersenne Twister (Matsumoto, Nishimura 1998) seeded by init_by_array
 * with the seed's 32-bit words, numbers below n by drawing as many bits as n has until one fits,
 * and sample's two ways: a pool that shrinks for populations that are small beside the sample, a
 * set of what was drawn for large ones. */
#include "tasks/sample.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

#define WORDS 624
#define MIDDLE 397

typedef struct Twister {
  uint32_t state[WORDS];
  int at;
} Twister;

static void init_number(Twister *t, uint32_t seed) {
  t->state[0] = seed;
  for (uint32_t i = 1; i < WORDS; i++)
    t->state[i] = 1812433253u * (t->state[i - 1] ^ (t->state[i - 1] >> 30)) + i;
  t->at = WORDS;
}

static void init_array(Twister *t, const uint32_t *key, uint32_t length) {
  uint32_t i = 1, j = 0;
  uint32_t *s = t->state;
  init_number(t, 19650218u);
  for (uint32_t k = WORDS > length ? WORDS : length; k; k--) {
    s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1664525u)) + key[j] + j;
    if (++i == WORDS) {
      s[0] = s[WORDS - 1];
      i = 1;
    }
    if (++j == length) j = 0;
  }
  for (uint32_t k = WORDS - 1; k; k--) {
    s[i] = (s[i] ^ ((s[i - 1] ^ (s[i - 1] >> 30)) * 1566083941u)) - i;
    if (++i == WORDS) {
      s[0] = s[WORDS - 1];
      i = 1;
    }
  }
  s[0] = 0x80000000u;
}

static uint32_t next_word(Twister *t) {
  uint32_t *s = t->state;
  if (t->at == WORDS) {
    for (int i = 0; i < WORDS; i++) {
      const uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % WORDS] & 0x7FFFFFFFu);
      s[i] = s[(i + MIDDLE) % WORDS] ^ (y >> 1) ^ (y & 1 ? 0x9908B0DFu : 0);
    }
    t->at = 0;
  }
  uint32_t y = s[t->at++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680u;
  y ^= (y << 15) & 0xEFC60000u;
  return y ^ (y >> 18);
}

/* random._randbelow: uniform in [0, n), n > 0. */
static size_t below(Twister *t, size_t n) {
  int bits = 0;
  while (bits < 32 && n >> bits) bits++;
  size_t r;
  do r = next_word(t) >> (32 - bits);
  while (r >= n);
  return r;
}

/* The size up to which sample() keeps a pool: 21, and room for a set beyond five. */
static size_t pool_most(size_t count) {
  size_t set = 1;
  if (count <= 5) return 21;
  while (set < 3 * count) set *= 4; /* 4 ** ceil(log(3 count, 4)); 3 count is no power of 4 */
  return 21 + set;
}

xt_status sample_draw(uint64_t seed, size_t population, size_t count, size_t *out,
                      xt_error *error) {
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  Twister t;
  if (population > UINT32_MAX || count > population)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "count", -1, "%zu of %zu cannot be drawn",
                   count, population);
  init_array(&t, key, key[1] ? 2 : 1);
  if (population <= pool_most(count)) {
    size_t *pool;
    TRY(MEM_ALLOC(&pool, population, error));
    for (size_t i = 0; i < population; i++) pool[i] = i;
    for (size_t i = 0; i < count; i++) {
      const size_t j = below(&t, population - i);
      out[i] = pool[j];
      pool[j] = pool[population - i - 1];
    }
    free(pool);
    return XT_STATUS_OK;
  }
  bool *drawn;
  TRY(MEM_ALLOC(&drawn, population, error));
  for (size_t i = 0; i < count; i++) {
    do out[i] = below(&t, population);
    while (drawn[out[i]]);
    drawn[out[i]] = true;
  }
  free(drawn);
  return XT_STATUS_OK;
}
