/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory a forward pass and its caches take: one place for the plan and for the
 * allocation. */
#ifndef MODEL_SIZES_H
#define MODEL_SIZES_H

#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "files/model_config.h"

/* Offsets of the work buffers in one block, in floats; and of the residual stream, which alone
 * holds all `rows` rows. */
typedef struct ActivationSizes {
  /* input: of parallel layers alone, [rows, C] */
  size_t x, input, norm, qkv, heads, branch, gate_up, act, logits, total;
  /* of mixtures alone: the router's logits; the rows of one expert, and what it makes of them; for
   * each chosen expert of a row, its place and what it is added by, 5 words; zeros */
  size_t router, gathered, answered, routes, zeros;
  int qkv_width;
} ActivationSizes;

static inline ActivationSizes sizes_activations(const ModelConfig *c, const BackendLimits *limits,
                                                int rows) {
  const size_t r = (size_t)(rows < limits->work_rows ? rows : limits->work_rows),
               logit_rows = (size_t)limits->logit_rows, width = (size_t)c->width,
               feed = (size_t)c->feed_forward;
  const size_t query = (size_t)c->heads * (size_t)c->head_dim,
               key = (size_t)c->kv_heads * (size_t)c->head_dim;
  ActivationSizes s = {.qkv_width = (int)(query + 2 * key)};
  size_t at = 0;
  /* every buffer starts on a 64-byte line */
#define PLACE(field, floats) (s.field = at, at += ((floats) + 15) / 16 * 16)
  PLACE(x, (size_t)rows * width);
  PLACE(input, c->parallel ? (size_t)rows * width : 0);
  PLACE(norm, r * width);
  PLACE(qkv, r * (query + 2 * key));
  PLACE(heads, r * query);
  PLACE(branch, r * width);
  PLACE(gate_up, r * (c->no_gate ? 1 : 2) * feed);
  PLACE(act, r * feed);
  if (c->experts) {
    PLACE(router, r * (size_t)c->experts);
    PLACE(gathered, r * width);
    PLACE(answered, r * width);
    PLACE(routes, 5 * r * (size_t)c->experts_used);
    PLACE(zeros, width > r ? width : r);
  }
  PLACE(logits, (r < logit_rows ? r : logit_rows) * (size_t)c->vocab);
#undef PLACE
  s.total = at;
  return s;
}

/* Makes the backend's pieces small enough for the work buffers of one to be one allocation. */
static inline void sizes_fit(const ModelConfig *c, BackendLimits *limits) {
  while (limits->largest && limits->work_rows > 1 &&
         sizes_activations(c, limits, limits->work_rows).total > limits->largest / sizeof(float)) {
    limits->work_rows /= 2;
    if (limits->logit_rows > limits->work_rows) limits->logit_rows = limits->work_rows;
  }
}

/* Bytes of keys and values of one position, all layers. */
static inline uint64_t sizes_position_bytes(const ModelConfig *c) {
  return (uint64_t)c->layers * 2 * (uint64_t)c->kv_heads * (uint64_t)c->head_dim * sizeof(float);
}

#endif
