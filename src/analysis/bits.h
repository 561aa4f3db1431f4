/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of instances as bits, 64 per word. */
#ifndef ANALYSIS_BITS_H
#define ANALYSIS_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITS_WORD 64

static inline size_t bits_words(size_t count) { return (count + BITS_WORD - 1) / BITS_WORD; }
static inline void bits_set(uint64_t *bits, size_t at) {
  bits[at / BITS_WORD] |= (uint64_t)1 << (at % BITS_WORD);
}
static inline bool bits_get(const uint64_t *bits, size_t at) {
  return bits[at / BITS_WORD] >> (at % BITS_WORD) & 1;
}
static inline size_t bits_count_word(uint64_t word) { return (size_t)__builtin_popcountll(word); }

/* The bits of word `word` that are in [first, first + count). */
static inline uint64_t bits_range(size_t word, size_t first, size_t count) {
  const size_t begin = word * BITS_WORD, end = begin + BITS_WORD, last = first + count;
  if (last <= begin || first >= end) return 0;
  uint64_t mask = ~(uint64_t)0;
  if (first > begin) mask <<= first - begin;
  if (last < end) mask &= ~(uint64_t)0 >> (end - last);
  return mask;
}

#endif
