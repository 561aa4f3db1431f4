/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/references.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/parallel.h"

enum { HOST_ROWS = 4, LANES = 16 };

static size_t vocab_of(const References *r) { return (size_t)r->session->model->config.vocab; }

uint64_t references_bytes(const xt_model *m, uint64_t count) {
  const uint64_t vocab = (uint64_t)m->config.vocab;
  return (2 * count + HOST_ROWS) * vocab * sizeof(float) +
         (vocab + (uint64_t)compare_blocks(m->config.vocab)) * sizeof(double);
}

xt_status tracked_check(const xt_model *m, const int32_t *ids, size_t count, size_t index,
                        xt_error *error) {
  if (count > XT_TRACKED_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "tracked", -1,
                   "has %zu tokens for prompt %zu; at most %d are allowed", count, index,
                   XT_TRACKED_MOST);
  for (size_t i = 0; i < count; i++)
    if (ids[i] < 0 || ids[i] >= m->config.vocab)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "tracked", -1,
                     "has token %d for prompt %zu; the model has ids 0 to %d", (int)ids[i], index,
                     m->config.vocab - 1);
  return XT_STATUS_OK;
}

xt_status effects_check(const xt_model *m, const xt_request *r, size_t index, size_t n,
                        xt_error *error) {
  if (!request_has_effects(r)) return XT_STATUS_OK;
  if ((size_t)r->untouched > n || (size_t)r->source > n)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                   "prompt %zu is compared with prompts %d and %d of %zu", index, r->untouched - 1,
                   r->source - 1, n);
  return tracked_check(m, r->tracked, r->tracked_count, index, error);
}

xt_status references_create(References *r, xt_session *s, int count, xt_error *error) {
  Backend *be = s->backend;
  *r = (References){.session = s, .count = count};
  TRY(MEM_ALLOC(&r->logprob, (size_t)count, error));
  TRY(MEM_ALLOC(&r->host, HOST_ROWS * vocab_of(r), error));
  TRY(MEM_ALLOC(&r->weights, vocab_of(r) + (size_t)compare_blocks(s->model->config.vocab), error));
  return be->ops->alloc(be, 2 * (size_t)count * vocab_of(r) * sizeof(float), &r->distributions,
                        error);
}

void references_release(References *r) {
  if (!r->session) return;
  r->session->backend->ops->release(r->session->backend, r->distributions);
  free(r->logprob);
  free(r->host);
  free(r->weights);
  *r = (References){0};
}

/* A row of logits and what becomes of it, a block of BACKEND_COMPARE_BLOCK ids at a time: sums of
 * blocks are added up in order, so that the bits do not depend on the number of threads. */
typedef struct Row {
  float *q, *s;    /* [vocab] as CompareArgs has them */
  double *weights; /* [vocab]: e^s */
  double *sums;    /* [blocks]: the largest logit, then the sum of weights */
  size_t vocab;
  double largest, mass;
} Row;

static size_t block_end(const Row *r, size_t block) {
  const size_t end = (block + 1) * BACKEND_COMPARE_BLOCK;
  return end < r->vocab ? end : r->vocab;
}

static void block_largest(void *context, size_t block, int thread) {
  Row *r = context;
  size_t v = block * BACKEND_COMPARE_BLOCK;
  float largest = r->s[v];
  (void)thread;
  for (; v < block_end(r, block); v++) largest = r->s[v] > largest ? r->s[v] : largest;
  r->sums[block] = (double)largest;
}

static void block_weights(void *context, size_t block, int thread) {
  Row *r = context;
  double mass = 0;
  (void)thread;
  for (size_t v = block * BACKEND_COMPARE_BLOCK; v < block_end(r, block); v++)
    mass += r->weights[v] = exp((double)(r->s[v] -= (float)r->largest));
  r->sums[block] = mass;
}

static void block_shares(void *context, size_t block, int thread) {
  Row *r = context;
  (void)thread;
  for (size_t v = block * BACKEND_COMPARE_BLOCK; v < block_end(r, block); v++)
    r->q[v] = (float)(r->weights[v] / r->mass);
}

void references_set(References *r, int index, Dev logits) {
  Backend *be = r->session->backend;
  const size_t vocab = vocab_of(r), blocks = (size_t)compare_blocks((int)vocab);
  Row row = {.q = r->host,
             .s = r->host + vocab,
             .weights = r->weights,
             .sums = r->weights + vocab,
             .vocab = vocab};
  be->ops->download(be, row.s, logits, vocab * sizeof *row.s);
  parallel_for(be->pool, blocks, block_largest, &row);
  row.largest = row.sums[0];
  for (size_t b = 1; b < blocks; b++) row.largest = fmax(row.largest, row.sums[b]);
  parallel_for(be->pool, blocks, block_weights, &row);
  for (size_t b = 0; b < blocks; b++) row.mass += row.sums[b];
  parallel_for(be->pool, blocks, block_shares, &row);
  be->ops->upload(be, dev_at(r->distributions, 2 * (size_t)index * vocab), row.q,
                  2 * vocab * sizeof *row.q);
}

float references_divergence(const float *sums, int blocks, float reference, float own) {
  double sum = 0;
  for (int b = 0; b < blocks; b++) sum += (double)sums[b];
  sum += (double)reference - (double)own;
  return sum > 0 ? (float)sum : 0; /* a divergence of 0 may round to less */
}

/* As the backend's `compare`: 16 lanes, which are folded 8, 4, 2, 1. */
static float block_sum(const float *q, const float *s, const float *x, size_t n) {
  float lane[LANES] = {0};
  for (size_t i = 0; i < n; i++) lane[i % LANES] = fmaf(q[i], s[i] - x[i], lane[i % LANES]);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lane[i] = lane[i] + lane[i + half];
  return lane[0];
}

static float divergence(const References *r, int other, const float *x, float own) {
  Backend *be = r->session->backend;
  const size_t vocab = vocab_of(r);
  float *q = r->host, *s = q + vocab, *sums = s + vocab;
  const int blocks = compare_blocks((int)vocab);
  if (other < 0) return NAN;
  be->ops->download(be, q, dev_at(r->distributions, 2 * (size_t)other * vocab),
                    2 * vocab * sizeof *q);
  for (int b = 0; b < blocks; b++) {
    const size_t at = (size_t)b * BACKEND_COMPARE_BLOCK, left = vocab - at;
    sums[b] = block_sum(q + at, s + at, x + at,
                        left < BACKEND_COMPARE_BLOCK ? left : BACKEND_COMPARE_BLOCK);
  }
  return references_divergence(sums, blocks, r->logprob[other], own);
}

void references_numbers(const References *r, int self, const RowQuestion *q, float *out) {
  Backend *be = r->session->backend;
  const size_t vocab = vocab_of(r);
  float *x = r->host + 3 * vocab;
  be->ops->download(be, x, dev_at(r->distributions, (2 * (size_t)self + 1) * vocab),
                    vocab * sizeof *x);
  for (int k = 0; k < BACKEND_COMPARED; k++)
    *out++ = divergence(r, q->against[k], x, r->logprob[self]);
  for (int k = 0; k < q->count; k++) *out++ = x[q->ids[k]] + r->logprob[self];
}
