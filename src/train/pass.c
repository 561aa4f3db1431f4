/* SPDX-License-Identifier: Apache-2.0 */
#include "train/pass_pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_product.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "model/arch.h"
#include "model/rope.h"
#include "train/causal.h"
#include "train/row_work.h"

/* The number of logits in memory at once. The gradient is summed over tokens in pieces of this
 * size. The size may not depend on the number of threads, because other pieces would give other
 * bits. */
#define LOGIT_FLOATS ((size_t)2 << 20)

typedef struct Places {
  size_t x, norm, act, wide, dx, d_norm, d_qkv, d_gate_up, factors, d_raw, shifted, saved,
      saved_step, logits, chosen, d_chosen, cos_sin, cos_sin_back, total;
} Places;

static int logit_rows(const ModelConfig *c, int tokens) {
  const size_t fit = LOGIT_FLOATS / (size_t)c->vocab;
  const int rows = fit < 64 ? 64 : fit > 1024 ? 1024 : (int)fit;
  return rows < tokens ? rows : tokens;
}

static Places places(const ModelConfig *c, const PassOptions *o) {
  const size_t t = (size_t)o->tokens, width = (size_t)c->width, feed = (size_t)c->feed_forward,
               layers = (size_t)c->layers;
  const size_t query = (size_t)c->heads * (size_t)c->head_dim,
               key = (size_t)c->kv_heads * (size_t)c->head_dim, qkv = query + 2 * key;
  const size_t rows = (size_t)logit_rows(c, o->tokens);
  Places p = {0};
  size_t at = 0;
#define PLACE(field, floats) (p.field = at, at += ((floats) + 15) / 16 * 16)
  PLACE(x, (layers + 1) * t * width);
  PLACE(norm, t * width);
  PLACE(act, t * feed);
  PLACE(wide, t * (feed > query ? feed : query));
  PLACE(dx, t * width);
  PLACE(d_norm, t * width);
  PLACE(d_qkv, t * qkv);
  PLACE(d_gate_up, t * 2 * feed);
  PLACE(factors, t * (c->qk_norm ? (size_t)c->heads : 1));
  PLACE(d_raw, c->qk_norm ? t * query : 0);
  PLACE(shifted, width > query ? width : query);
  PLACE(logits, rows * (size_t)c->vocab);
  PLACE(chosen, rows * width);
  PLACE(d_chosen, rows * width);
  PLACE(cos_sin, (size_t)arch_rotaries(c) * (size_t)o->length * (size_t)c->head_dim);
  PLACE(cos_sin_back, (size_t)arch_rotaries(c) * (size_t)o->length * (size_t)c->head_dim);
  p.saved_step = t * (qkv + query + width + 2 * feed + (c->qk_norm ? query + key : 0) +
                      (c->post_norm ? 2 * width : 0));
  PLACE(saved, p.saved_step * (o->recompute ? 1 : layers));
#undef PLACE
  p.total = at;
  return p;
}

size_t pass_bytes(const ModelConfig *config, const PassOptions *options) {
  return places(config, options).total * sizeof(float);
}

static void set_angles(Pass *p) {
  const ModelConfig *c = p->config;
  const int length = p->options.length, rotaries = arch_rotaries(c);
  const size_t wide = (size_t)c->head_dim, half = wide / 2;
  for (int r = 0; r < rotaries; r++)
    rope_table(&c->rotary[r], c->rope_width, 0, length, 0,
               p->cos_sin + (size_t)r * (size_t)length * wide);
  for (size_t row = 0; row < (size_t)rotaries * (size_t)length; row++)
    for (size_t i = 0; i < half; i++) {
      const size_t at = row * wide + i;
      p->cos_sin_back[at] = p->cos_sin[at];
      p->cos_sin_back[at + half] = -p->cos_sin[at + half];
    }
}

xt_status pass_create(const Params *params, CpuBackend *backend, const PassOptions *options,
                      Pass **out, xt_error *error) {
  const ModelConfig *c = params->config;
  const Places at = places(c, options);
  Pass *p;
  *out = NULL;
  TRY(MEM_ALLOC(&p, 1, error));
  *p = (Pass){.params = params,
              .config = c,
              .backend = backend,
              .options = *options,
              .width = (size_t)c->width,
              .query = (size_t)c->heads * (size_t)c->head_dim,
              .key = (size_t)c->kv_heads * (size_t)c->head_dim,
              .feed = (size_t)c->feed_forward,
              .vocab = (size_t)c->vocab,
              .logit_rows = logit_rows(c, options->tokens)};
  p->qkv = p->query + 2 * p->key;
  int depth = options->tokens;
  if (c->vocab > depth) depth = c->vocab;
  if (2 * c->feed_forward > depth) depth = 2 * c->feed_forward;
  if ((int)p->qkv > depth) depth = (int)p->qkv;
  xt_status status;
  TRY_DONE(cpu_block_create(at.total * sizeof(float), &p->block, error));
  TRY_DONE(MEM_ALLOC(&p->rows, (size_t)options->tokens, error));
  TRY_DONE(MEM_ALLOC(&p->losses, (size_t)p->logit_rows, error));
  TRY_DONE(cpu_product_room(backend, depth, &p->room, error));
  TRY_DONE(cpu_scratch_reserve(backend, causal_scratch(options->length, c->head_dim), error));
  p->x = p->block + at.x;
  p->norm = p->block + at.norm;
  p->act = p->block + at.act;
  p->wide = p->block + at.wide;
  p->dx = p->block + at.dx;
  p->d_norm = p->block + at.d_norm;
  p->d_qkv = p->block + at.d_qkv;
  p->d_gate_up = p->block + at.d_gate_up;
  p->factors = p->block + at.factors;
  p->d_raw = p->block + at.d_raw;
  p->shifted = p->block + at.shifted;
  p->logits = p->block + at.logits;
  p->chosen = p->block + at.chosen;
  p->d_chosen = p->block + at.d_chosen;
  p->cos_sin = p->block + at.cos_sin;
  p->cos_sin_back = p->block + at.cos_sin_back;
  const size_t t = (size_t)options->tokens;
  p->saved.qkv = p->block + at.saved;
  p->saved.heads = p->saved.qkv + t * p->qkv;
  p->saved.mid = p->saved.heads + t * p->query;
  p->saved.gate_up = p->saved.mid + t * p->width;
  p->saved.raw = p->saved.gate_up + t * 2 * p->feed;
  p->saved.attn = p->saved.raw + (c->qk_norm ? t * (p->query + p->key) : 0);
  p->saved.mlp = p->saved.attn + t * p->width;
  p->saved_step = options->recompute ? 0 : at.saved_step;
  set_angles(p);
  *out = p;
  return XT_STATUS_OK;
done:
  pass_free(p);
  return status;
}

void pass_free(Pass *p) {
  if (!p) return;
  cpu_product_room_free(&p->room);
  cpu_block_free(p->block);
  free(p->rows);
  free(p->losses);
  free(p);
}

double pass_flops(const Pass *p) { return p->flops; }

/* ---- forward --------------------------------------------------------------------------------- */

/* Computes a layer up to its gate and up products; with `output`, also the next layer's input. */
static void layer_forward(Pass *p, const float *w, const TokenBatch *batch, int layer,
                          bool output) {
  Backend *b = &p->backend->base;
  const ModelConfig *c = p->config;
  const SavedActivations saved = pass_saved_of(p, layer);
  const int t = batch->tokens;
  const float *x = pass_input_of(p, layer),
              *input = pass_read_input(p, w, x, ARCH_NORM_ATTN, layer, t);
  pass_linear(p, saved.qkv, input, pass_param(p, w, ARCH_Q, layer),
              pass_param(p, w, ARCH_Q_BIAS, layer), t, p->qkv, p->width, false);
  if (c->qk_norm) pass_norm_heads(p, w, &saved, layer, t);
  pass_rotate(p, saved.qkv, batch, layer, p->cos_sin);
  const CausalArgs attention = pass_attention_args(p, batch, layer, &saved);
  causal_forward(&attention);
  pass_add_branch(p, w, saved.mid, x, saved.attn, saved.heads, ARCH_OUT, ARCH_OUT_BIAS,
                  ARCH_POST_ATTN, layer, t, p->query);
  input = pass_read_input(p, w, saved.mid, ARCH_NORM_MLP, layer, t);
  pass_linear(p, saved.gate_up, input, pass_param(p, w, ARCH_GATE, layer),
              pass_param(p, w, ARCH_GATE_BIAS, layer), t, 2 * p->feed, p->width, false);
  if (!output) return;
  b->ops->activate(b, &(ActivateArgs){.kind = c->activation,
                                      .gated = true,
                                      .y = cpu_dev(p->act),
                                      .x = cpu_dev(saved.gate_up),
                                      .rows = t,
                                      .width = c->feed_forward});
  pass_add_branch(p, w, pass_input_of(p, layer + 1), saved.mid, saved.mlp, p->act, ARCH_DOWN,
                  ARCH_DOWN_BIAS, ARCH_POST_MLP, layer, t, p->feed);
}

/* Of the forward pass, or of its gradient. */
static void scale_embeddings(Pass *p, float *x, int tokens) {
  if (p->config->embedding_scale != 1)
    p->backend->kernels->scale_by(x, (size_t)tokens * p->width, p->config->embedding_scale);
}

static void embed(Pass *p, const float *w, const TokenBatch *batch) {
  const float *table = pass_param(p, w, ARCH_EMBED, -1);
  float *x = pass_input_of(p, 0);
  for (int t = 0; t < batch->tokens; t++)
    memcpy(x + (size_t)t * p->width, table + (size_t)batch->ids[t] * p->width,
           p->width * sizeof *x);
  if (p->backend->base.compute == XT_COMPUTE_BF16)
    p->backend->kernels->round_bf16(x, x, (size_t)batch->tokens * p->width);
  scale_embeddings(p, x, batch->tokens);
}

/* ---- loss ------------------------------------------------------------------------------------ */

/* Computes the loss of up to logit_rows rows, and with gradients also those of dx and the
 * weights. */
static double loss_piece(Pass *p, const float *w, float *g, const TokenBatch *batch,
                         const int32_t *rows, int m) {
  const ArchRole role = p->config->tied_embeddings ? ARCH_EMBED : ARCH_UNEMBED;
  const float *unembed = pass_param(p, w, role, -1),
              *weight = pass_norm_weight(p, w, ARCH_FINAL_NORM, -1),
              *x = pass_input_of(p, p->config->layers);
  double sum = 0;
  for (int i = 0; i < m; i++)
    memcpy(p->chosen + (size_t)i * p->width, x + (size_t)rows[i] * p->width, p->width * sizeof *x);
  pass_norm_of(p, p->chosen, weight, m);
  pass_linear(p, p->logits, p->norm, unembed, NULL, m, p->vocab, p->width, false);
  row_cross_entropy(p->backend, p->logits, p->vocab, batch->targets, rows, p->losses, m);
  for (int i = 0; i < m; i++) sum += p->losses[i];
  if (!g) return sum;
  pass_linear_back(p, p->d_norm, pass_param(p, g, role, -1), NULL, p->logits, p->norm, unembed, m,
                   p->vocab, p->width);
  memset(p->d_chosen, 0, (size_t)m * p->width * sizeof *p->d_chosen);
  pass_norm_gradient(p, p->d_chosen, pass_param(p, g, ARCH_FINAL_NORM, -1), p->d_norm, p->chosen,
                     weight, m);
  for (int i = 0; i < m; i++)
    memcpy(p->dx + (size_t)rows[i] * p->width, p->d_chosen + (size_t)i * p->width,
           p->width * sizeof *x);
  return sum;
}

static double loss_of(Pass *p, const float *w, float *g, const TokenBatch *batch, size_t *counted) {
  int n = 0;
  double sum = 0;
  for (int t = 0; t < batch->tokens; t++)
    if (batch->targets[t] >= 0) p->rows[n++] = t;
  if (g) memset(p->dx, 0, (size_t)batch->tokens * p->width * sizeof *p->dx);
  for (int at = 0; at < n; at += p->logit_rows)
    sum +=
        loss_piece(p, w, g, batch, p->rows + at, n - at < p->logit_rows ? n - at : p->logit_rows);
  *counted = (size_t)n;
  return sum;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Changes dx from the gradient of the layer's output to that of its input. */
static void layer_backward(Pass *p, const float *w, float *g, const TokenBatch *batch, int layer) {
  Backend *b = &p->backend->base;
  const ModelConfig *c = p->config;
  if (p->options.recompute) layer_forward(p, w, batch, layer, false);
  const SavedActivations saved = pass_saved_of(p, layer);
  const int t = batch->tokens;
  const float *x = pass_input_of(p, layer);

  b->ops->activate(b, &(ActivateArgs){.kind = c->activation,
                                      .gated = true,
                                      .y = cpu_dev(p->act),
                                      .x = cpu_dev(saved.gate_up),
                                      .rows = t,
                                      .width = c->feed_forward});
  if (p->options.recompute && c->post_norm)
    pass_linear(p, saved.mlp, p->act, pass_param(p, w, ARCH_DOWN, layer),
                pass_param(p, w, ARCH_DOWN_BIAS, layer), t, p->width, p->feed, false);
  const float *d = pass_branch_gradient(p, w, g, saved.mlp, ARCH_POST_MLP, layer, t);
  pass_linear_back(p, p->wide, pass_param(p, g, ARCH_DOWN, layer),
                   pass_param(p, g, ARCH_DOWN_BIAS, layer), d, p->act,
                   pass_param(p, w, ARCH_DOWN, layer), t, p->width, p->feed);
  row_activate_back(p->backend, c->activation, p->d_gate_up, p->wide, saved.gate_up, p->feed, t);
  const float *input = pass_read_input(p, w, saved.mid, ARCH_NORM_MLP, layer, t);
  pass_linear_back(p, p->d_norm, pass_param(p, g, ARCH_GATE, layer),
                   pass_param(p, g, ARCH_GATE_BIAS, layer), p->d_gate_up, input,
                   pass_param(p, w, ARCH_GATE, layer), t, 2 * p->feed, p->width);
  pass_input_gradient(p, w, g, saved.mid, ARCH_NORM_MLP, layer, t);

  d = pass_branch_gradient(p, w, g, saved.attn, ARCH_POST_ATTN, layer, t);
  pass_linear_back(p, p->wide, pass_param(p, g, ARCH_OUT, layer),
                   pass_param(p, g, ARCH_OUT_BIAS, layer), d, saved.heads,
                   pass_param(p, w, ARCH_OUT, layer), t, p->width, p->query);
  CausalArgs attention = pass_attention_args(p, batch, layer, &saved);
  attention.d_out = p->wide;
  attention.d_qkv = p->d_qkv;
  causal_backward(&attention);
  pass_rotate(p, p->d_qkv, batch, layer, p->cos_sin_back);
  if (c->qk_norm) pass_norm_heads_back(p, w, g, &saved, layer, t);
  input = pass_read_input(p, w, x, ARCH_NORM_ATTN, layer, t);
  pass_linear_back(p, p->d_norm, pass_param(p, g, ARCH_Q, layer),
                   pass_param(p, g, ARCH_Q_BIAS, layer), p->d_qkv, input,
                   pass_param(p, w, ARCH_Q, layer), t, p->qkv, p->width);
  pass_input_gradient(p, w, g, x, ARCH_NORM_ATTN, layer, t);
}

double pass_run(Pass *p, const float *weights, float *gradients, const TokenBatch *batch,
                size_t *counted) {
  const int layers = p->config->layers;
  embed(p, weights, batch);
  for (int l = 0; l < layers; l++) layer_forward(p, weights, batch, l, true);
  const double loss = loss_of(p, weights, gradients, batch, counted);
  if (!gradients) return loss;
  for (int l = layers - 1; l >= 0; l--) layer_backward(p, weights, gradients, batch, l);
  scale_embeddings(p, p->dx, batch->tokens);
  row_scatter(p->backend, pass_param(p, gradients, ARCH_EMBED, -1), p->dx, batch->ids, p->width,
              batch->tokens);
  return loss;
}
