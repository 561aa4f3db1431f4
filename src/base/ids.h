/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of token ids, compared. */
#ifndef BASE_IDS_H
#define BASE_IDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* At how many positions from the first on both are the same. */
static inline size_t ids_common(const int32_t *a, size_t a_count, const int32_t *b,
                                size_t b_count) {
  const size_t least = a_count < b_count ? a_count : b_count;
  size_t n = 0;
  while (n < least && a[n] == b[n]) n++;
  return n;
}

/* An order in which equal lists are neighbours. 0: they are equal. */
static inline int ids_compare(const int32_t *a, size_t a_count, const int32_t *b, size_t b_count) {
  if (a_count != b_count) return a_count < b_count ? -1 : 1;
  return memcmp(a, b, a_count * sizeof *a);
}

#endif
