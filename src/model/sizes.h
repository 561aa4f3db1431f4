/* How much memory a forward pass and its caches take: one place for the plan and for the allocation. */
#ifndef MODEL_SIZES_H
#define MODEL_SIZES_H

#include <stddef.h>
#include <stdint.h>

#include "files/model_config.h"

/* Rows of logits held at once: an unembedding of many rows goes in pieces of this many. */
#define SIZES_LOGIT_ROWS 256

/* Prompt positions computed together. */
#define SIZES_PREFILL_ROWS 512

/* Offsets of the activation buffers in one block, in floats, for `rows` rows. */
typedef struct ActivationSizes {
  size_t x, norm, qkv, heads, branch, gate_up, act, logits, total;
  int qkv_width;
} ActivationSizes;

static inline ActivationSizes sizes_activations(const ModelConfig *c, int rows) {
  const size_t r = (size_t)rows, width = (size_t)c->width, feed = (size_t)c->feed_forward;
  const size_t query = (size_t)c->heads * (size_t)c->head_dim, key = (size_t)c->kv_heads * (size_t)c->head_dim;
  ActivationSizes s = {.qkv_width = (int)(query + 2 * key)};
  size_t at = 0;
  /* every buffer starts on a 64-byte line */
#define PLACE(field, floats) (s.field = at, at += ((floats) + 15) / 16 * 16)
  PLACE(x, r * width);
  PLACE(norm, r * width);
  PLACE(qkv, r * (query + 2 * key));
  PLACE(heads, r * query);
  PLACE(branch, r * width);
  PLACE(gate_up, r * 2 * feed);
  PLACE(act, r * feed);
  PLACE(logits, (size_t)(rows < SIZES_LOGIT_ROWS ? rows : SIZES_LOGIT_ROWS) * (size_t)c->vocab);
#undef PLACE
  s.total = at;
  return s;
}

/* Bytes of keys and values of one position, all layers. */
static inline uint64_t sizes_position_bytes(const ModelConfig *c) {
  return (uint64_t)c->layers * 2 * (uint64_t)c->kv_heads * (uint64_t)c->head_dim * sizeof(float);
}

#endif
