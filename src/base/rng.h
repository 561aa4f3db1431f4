/* SPDX-License-Identifier: Apache-2.0 */
/* SplitMix64 (Steele, Lea, Flood 2014): a seed gives the same stream everywhere. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

typedef struct Rng {
  uint64_t state;
} Rng;

#define RNG_STEP UINT64_C(0x9E3779B97F4A7C15) /* of the state, for each number */

static inline uint64_t rng_next(Rng *rng) {
  uint64_t z = (rng->state += RNG_STEP);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}
/* Uniform in [-1, 1). */
static inline float rng_symmetric(Rng *rng) {
  return (float)((int64_t)rng_next(rng) >> 40) * 0x1p-23f;
}

/* A number that nobody can predict: for names and hash tables, never for results. */
uint64_t rng_unpredictable(void);

#endif
