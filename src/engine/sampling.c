/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sampling.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

xt_status sampling_init(Sampling *s, double temperature, double top_p, uint64_t seed, int vocab,
                        xt_error *error) {
  *s = (Sampling){
      .temperature = temperature, .top_p = top_p > 0 ? top_p : 1, .seed = seed, .vocab = vocab};
  xt_status status = MEM_ALLOC(&s->logits, (size_t)vocab, error);
  if (!status) status = MEM_ALLOC(&s->weight, (size_t)vocab, error);
  if (!status) status = MEM_ALLOC(&s->order, (size_t)vocab, error);
  if (status) sampling_deinit(s);
  return status;
}

void sampling_deinit(Sampling *s) {
  free(s->logits);
  free(s->weight);
  free(s->order);
  *s = (Sampling){0};
}

uint64_t sampling_key(const int32_t *ids, size_t count, uint64_t sample) {
  Rng rng = {count};
  for (size_t i = 0; i < count; i++) rng.state = rng_next(&rng) ^ (uint32_t)ids[i];
  rng.state = rng_next(&rng) ^ sample;
  return rng_next(&rng);
}

/* Uniform in [0, 1). */
static double uniform(uint64_t seed, uint64_t key, uint64_t step) {
  Rng rng = {seed};
  rng.state = rng_next(&rng) ^ key;
  rng.state = rng_next(&rng) ^ step;
  return (double)(rng_next(&rng) >> 11) * 0x1p-53;
}

/* More likely tokens first, and among equals the lower id. It is a heap sort, because qsort has no
 * context argument. */
static bool before(const Sampling *s, int32_t a, int32_t b) {
  return s->weight[a] > s->weight[b] || (s->weight[a] == s->weight[b] && a < b);
}

static void sift(const Sampling *s, int32_t *heap, size_t at, size_t count) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && before(s, heap[child], heap[child + 1])) child++;
    if (!before(s, heap[at], heap[child])) return;
    const int32_t held = heap[at];
    heap[at] = heap[child];
    heap[child] = held;
  }
}

static void sort_order(const Sampling *s, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift(s, s->order, i, count);
  for (size_t left = count; left-- > 1;) {
    const int32_t held = s->order[0];
    s->order[0] = s->order[left];
    s->order[left] = held;
    sift(s, s->order, 0, left);
  }
}

/* Puts the tokens that may be drawn into s->order; returns their number, and their total weight in
 * *mass. */
static size_t candidates(Sampling *s, double total, double *mass) {
  /* The tokens below the bound have together less than 1 - top_p, so that none of them is
   * needed. */
  const double bound = s->top_p < 1 ? total * (1 - s->top_p) / s->vocab : 0;
  size_t count = 0, kept = 0;
  for (int32_t v = 0; v < s->vocab; v++)
    if (s->weight[v] > 0 && s->weight[v] >= bound) s->order[count++] = v;
  *mass = total;
  if (s->top_p >= 1) return count;
  sort_order(s, count);
  for (*mass = 0; kept < count && *mass < total * s->top_p;) *mass += s->weight[s->order[kept++]];
  return kept;
}

int32_t sampling_draw(Sampling *s, uint64_t key, uint64_t step, float *logprob) {
  double largest = -INFINITY, total = 0, mass, plain = 0;
  int32_t best = 0;
  for (int32_t v = 0; v < s->vocab; v++)
    if (s->logits[v] > largest) largest = s->logits[best = v];
  for (int32_t v = 0; v < s->vocab; v++) {
    const double above = (double)s->logits[v] - largest;
    s->weight[v] = above <= 0 ? exp(above / s->temperature) : 0; /* a NaN is never drawn */
    total += s->weight[v];
    plain += s->temperature == 1 ? s->weight[v] : above <= 0 ? exp(above) : 0;
  }
  const size_t count = candidates(s, total, &mass);
  double left = uniform(s->seed, key, step) * mass;
  int32_t drawn = count ? s->order[0] : best;
  for (size_t i = 0; i < count; i++) {
    drawn = s->order[i];
    left -= s->weight[drawn];
    if (left < 0) break;
  }
  *logprob = (float)((double)s->logits[drawn] - largest - log(plain));
  return drawn;
}
