/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens drawn at random. A draw depends only on the seed, the request's key and the step, not on
 * the batch, the threads and the order of the requests. */
#ifndef ENGINE_SAMPLING_H
#define ENGINE_SAMPLING_H

#include <stdint.h>

#include "base/err.h"

typedef struct Sampling {
  double temperature; /* above 0 */
  double top_p;       /* up to 1: the smallest set of most likely tokens whose probabilities add
                         up to this */
  uint64_t seed;
  int vocab;
  float *logits;  /* [vocab] room for a row's */
  double *weight; /* [vocab] */
  int32_t *order; /* [vocab] */
} Sampling;

xt_status sampling_init(Sampling *s, double temperature, double top_p, uint64_t seed, int vocab,
                        xt_error *error);
void sampling_deinit(Sampling *s); /* accepts a zeroed one */

/* The key of a request: its prompt and the number of the sample. */
uint64_t sampling_key(const int32_t *ids, size_t count, uint64_t sample);

/* Draws from s->logits; *logprob is the natural log of the token's probability at temperature 1. */
int32_t sampling_draw(Sampling *s, uint64_t key, uint64_t step, float *logprob);

#endif
