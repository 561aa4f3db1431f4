/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens drawn at random. What is drawn depends on the seed, the request's key and the step alone,
 * so that it is the same whatever the batch, the threads and the order of the requests. */
#ifndef ENGINE_SAMPLING_H
#define ENGINE_SAMPLING_H

#include <stdint.h>

#include "base/err.h"

typedef struct Sampling {
  double temperature; /* above 0 */
  double top_p;       /* up to 1: the fewest likeliest tokens that make up this share */
  uint64_t seed;
  int vocab;
  float *logits;  /* [vocab] room for a row's */
  double *weight; /* [vocab] */
  int32_t *order; /* [vocab] */
} Sampling;

xt_status sampling_init(Sampling *s, double temperature, double top_p, uint64_t seed, int vocab,
                        xt_error *error);
void sampling_deinit(Sampling *s); /* accepts a zeroed one */

/* Of a request: its prompt and which of several samples it is. */
uint64_t sampling_key(const int32_t *ids, size_t count, uint64_t sample);

/* Draws from s->logits; *logprob is the natural log of the token's probability at temperature 1. */
int32_t sampling_draw(Sampling *s, uint64_t key, uint64_t step, float *logprob);

#endif
