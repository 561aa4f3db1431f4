/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the forward and the backward pass. */
#ifndef TRAIN_PASS_PIECES_H
#define TRAIN_PASS_PIECES_H

#include "backend/cpu/cpu_product.h"
#include "model/arch.h"
#include "train/causal.h"
#include "train/pass.h"

/* What the backward pass needs of a layer, besides its input. */
typedef struct SavedActivations {
  float *qkv;        /* [T, (heads + 2 kv_heads) head_dim], rotated */
  float *heads;      /* [T, heads head_dim] */
  float *mid;        /* [T, C] */
  float *gate_up;    /* [T, 2F] */
  float *raw;        /* queries [T, heads, head_dim], then keys [T, kv_heads, head_dim], before
                        their norms; only if they have norms */
  float *attn, *mlp; /* [T, C] the modules' outputs before their norms; only if norms follow them */
} SavedActivations;

struct Pass {
  const Params *params;
  const ModelConfig *config;
  CpuBackend *backend;
  PassOptions options;
  size_t width, query, key, feed, qkv, vocab; /* floats of a row */
  int logit_rows;
  double flops;
  ProductRoom room;
  float *block; /* everything below */
  float *x;     /* [layers + 1][T, C] inputs of the layers; the last is the model's output */
  SavedActivations saved;                 /* of layer 0, or the only one */
  size_t saved_step;                      /* floats between layers; 0: there is only one */
  float *norm, *act;                      /* [T, C], [T, F] */
  float *dx, *d_norm, *d_qkv, *d_gate_up; /* [T, ..] gradients; d_act and d_heads use `wide` */
  float *wide;                            /* [T, max(F, query)] */
  float *logits, *chosen, *d_chosen;      /* [logit_rows, V], [logit_rows, C] twice */
  float *factors;                         /* [T], [T, heads] 1/rms of the current norm */
  float *d_raw;                           /* [T, query]; only with norms of queries and keys */
  float *shifted;                         /* [max(C, query)] 1 + w of the current norm */
  float *cos_sin, *cos_sin_back;          /* rotary angles [rotaries, length, head_dim]; with
                                             negated sines */
  int32_t *rows;                          /* [T] rows of the loss */
  double *losses;                         /* [logit_rows] */
};

SavedActivations pass_saved_of(const Pass *p, int layer);
float *pass_input_of(const Pass *p, int layer);
/* A parameter in an array with the layout; NULL: the model does not have it. */
float *pass_param(const Pass *p, const float *array, ArchRole role, int layer);
/* What a norm multiplies by, which is 1 + w in some models; valid until the next call. */
const float *pass_norm_weight(Pass *p, const float *w, ArchRole role, int layer);
/* y[m, n] (+)= x[m, k] W^T + bias, with W [n, k]. */
void pass_linear(Pass *p, float *y, const float *x, const float *w, const float *bias, int m,
                 size_t n, size_t k, bool accumulate);
/* Gradients of linear: dx = dy W unless dx is NULL; dW += dy^T x, dbias += columns' sums of dy. */
void pass_linear_back(Pass *p, float *dx, float *dw, float *dbias, const float *dy, const float *x,
                      const float *w, int m, size_t n, size_t k);
void pass_norm_of(Pass *p, const float *x, const float *weight, int rows);
/* Rotates queries and keys in place, by the layer's part of `angles` (cos_sin or cos_sin_back). */
void pass_rotate(Pass *p, float *qkv, const TokenBatch *batch, int layer, const float *angles);
/* dx += gradient of the norm's input, dweight += gradient of its weight, from d_norm. */
void pass_norm_gradient(Pass *p, float *dx, float *dweight, const float *dy, const float *x,
                        const float *weight, int rows);
/* Normalises each head of queries and keys in place, and saves the values before that. */
void pass_norm_heads(Pass *p, const float *w, const SavedActivations *saved, int layer, int tokens);
/* Changes d_qkv from the gradient of normalised queries and keys to that of the values before the
 * norm. */
void pass_norm_heads_back(Pass *p, const float *w, float *g, const SavedActivations *saved,
                          int layer, int tokens);
/* The input of a module, which is x itself if no norm comes before the module. */
const float *pass_read_input(Pass *p, const float *w, const float *x, ArchRole role, int layer,
                             int rows);
/* dx += the gradient of a module's input, p->d_norm. */
void pass_input_gradient(Pass *p, const float *w, float *g, const float *x, ArchRole role,
                         int layer, int rows);
/* to = x + the output of the module y = a W^T + bias. If a norm follows, it is applied to y, and
 * `saved` gets y. */
void pass_add_branch(Pass *p, const float *w, float *to, const float *x, float *saved,
                     const float *a, ArchRole matrix, ArchRole bias, ArchRole norm, int layer,
                     int rows, size_t depth);
/* The gradient of a module's output; dx is the gradient of what was added to the residual
 * stream. */
const float *pass_branch_gradient(Pass *p, const float *w, float *g, const float *saved,
                                  ArchRole norm, int layer, int rows);
CausalArgs pass_attention_args(const Pass *p, const TokenBatch *batch, int layer,
                               const SavedActivations *saved);

#endif
