/* SPDX-License-Identifier: Apache-2.0 */
/* Causal attention within the sequences of a batch, and its gradient. */
#ifndef TRAIN_CAUSAL_H
#define TRAIN_CAUSAL_H

#include "backend/cpu/cpu.h"

typedef struct CausalArgs {
  const CpuBackend *backend;
  int heads, kv_heads, head_dim;
  int window; /* number of last positions that a token sees, including its own; 0: all */
  float scale;
  int sequences;
  const int32_t *starts; /* [sequences + 1] */
  const float *qkv;      /* [T, (heads + 2 kv_heads) head_dim], rotated */
  float *out;            /* [T, heads head_dim] */
  const float *d_out;    /* backward: gradient of out */
  float *d_qkv;          /* backward: set to the gradient of qkv */
} CausalArgs;

/* Floats of scratch a thread needs for sequences of up to `length` tokens. */
size_t causal_scratch(int length, int head_dim);

/* Fills out. */
void causal_forward(const CausalArgs *args);
/* Computes d_qkv from `out`. The scores are computed again. */
void causal_backward(const CausalArgs *args);

#endif
