/* SPDX-License-Identifier: Apache-2.0 */
/* Causal attention within sequences that lie side by side, and its gradient. */
#ifndef TRAIN_CAUSAL_H
#define TRAIN_CAUSAL_H

#include "backend/cpu/cpu.h"

typedef struct CausalArgs {
  const CpuBackend *backend;
  int heads, kv_heads, head_dim;
  int window; /* last positions a token sees, its own included; 0: all */
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
/* Fills d_qkv; reads out. The scores are computed again. */
void causal_backward(const CausalArgs *args);

#endif
