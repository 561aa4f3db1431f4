/* SPDX-License-Identifier: Apache-2.0 */
#include "train/pass.h"

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

/* Logits that are held at once. The sum of a gradient over tokens is taken piece by piece of this size, so the size may not depend on
 * the number of threads: other pieces would round to other bits. */
#define LOGIT_FLOATS ((size_t)2 << 20)

/* What the way back needs of a layer, beside its input. */
typedef struct Kept {
  float *qkv;     /* [T, (heads + 2 kv_heads) head_dim], rotated */
  float *heads;   /* [T, heads head_dim] */
  float *mid;     /* [T, C] */
  float *gate_up; /* [T, 2F] */
  float *raw;     /* queries [T, heads, head_dim], then keys [T, kv_heads, head_dim], before their norms; only where they have any */
  float *attn, *mlp; /* [T, C] what the modules give, before their norms; only where norms follow them */
} Kept;

struct Pass {
  const Params *params;
  const ModelConfig *config;
  CpuBackend *backend;
  PassOptions options;
  size_t width, query, key, feed, qkv, vocab; /* floats of a row */
  int logit_rows;
  double flops;
  ProductRoom room;
  float *block;     /* everything below */
  float *x;         /* [layers + 1][T, C] inputs of the layers; the last is the model's output */
  Kept kept;        /* of layer 0, or the only one */
  size_t kept_step; /* floats between layers; 0: there is only one */
  float *norm, *act;                         /* [T, C], [T, F] */
  float *dx, *d_norm, *d_qkv, *d_gate_up;    /* [T, ..] gradients; d_act and d_heads use `wide` */
  float *wide;                               /* [T, max(F, query)] */
  float *logits, *chosen, *d_chosen;         /* [logit_rows, V], [logit_rows, C] twice */
  float *factors;                            /* [T], [T, heads] 1/rms of the norm at hand */
  float *d_raw;                              /* [T, query]; only with norms of queries and keys */
  float *turn, *turn_back;                   /* rotary angles [length, head_dim]; with negated sines */
  int32_t *rows;                             /* [T] rows of the loss */
  double *losses;                            /* [logit_rows] */
};

typedef struct Places {
  size_t x, norm, act, wide, dx, d_norm, d_qkv, d_gate_up, factors, d_raw, kept, kept_step, logits, chosen, d_chosen, turn, turn_back, total;
} Places;

static int logit_rows(const ModelConfig *c, int tokens) {
  const size_t fit = LOGIT_FLOATS / (size_t)c->vocab;
  const int rows = fit < 64 ? 64 : fit > 1024 ? 1024 : (int)fit;
  return rows < tokens ? rows : tokens;
}

static Places places(const ModelConfig *c, const PassOptions *o) {
  const size_t t = (size_t)o->tokens, width = (size_t)c->width, feed = (size_t)c->feed_forward, layers = (size_t)c->layers;
  const size_t query = (size_t)c->heads * (size_t)c->head_dim, key = (size_t)c->kv_heads * (size_t)c->head_dim, qkv = query + 2 * key;
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
  PLACE(logits, rows * (size_t)c->vocab);
  PLACE(chosen, rows * width);
  PLACE(d_chosen, rows * width);
  PLACE(turn, (size_t)o->length * (size_t)c->head_dim);
  PLACE(turn_back, (size_t)o->length * (size_t)c->head_dim);
  p.kept_step = t * (qkv + query + width + 2 * feed + (c->qk_norm ? query + key : 0) + (c->post_norm ? 2 * width : 0));
  PLACE(kept, p.kept_step * (o->recompute ? 1 : layers));
#undef PLACE
  p.total = at;
  return p;
}

size_t pass_bytes(const ModelConfig *config, const PassOptions *options) { return places(config, options).total * sizeof(float); }

static void set_angles(Pass *p) {
  const int half = p->config->head_dim / 2;
  rope_table(&p->config->rotary[0], p->config->rope_width, 0, p->options.length, 0, p->turn);
  for (int t = 0; t < p->options.length; t++)
    for (int i = 0; i < half; i++) {
      const size_t at = (size_t)t * (size_t)p->config->head_dim + (size_t)i;
      p->turn_back[at] = p->turn[at];
      p->turn_back[at + (size_t)half] = -p->turn[at + (size_t)half];
    }
}

xt_status pass_create(const Params *params, CpuBackend *backend, const PassOptions *options, Pass **out, xt_error *error) {
  const ModelConfig *c = params->config;
  const Places at = places(c, options);
  Pass *p;
  *out = NULL;
  TRY(mem_alloc(&p, 1, sizeof *p, error));
  *p = (Pass){.params = params, .config = c, .backend = backend, .options = *options, .width = (size_t)c->width,
              .query = (size_t)c->heads * (size_t)c->head_dim, .key = (size_t)c->kv_heads * (size_t)c->head_dim,
              .feed = (size_t)c->feed_forward, .vocab = (size_t)c->vocab, .logit_rows = logit_rows(c, options->tokens)};
  p->qkv = p->query + 2 * p->key;
  int depth = options->tokens;
  if (c->vocab > depth) depth = c->vocab;
  if (2 * c->feed_forward > depth) depth = 2 * c->feed_forward;
  if ((int)p->qkv > depth) depth = (int)p->qkv;
  xt_status status;
  TRY_DONE(cpu_block_create(at.total * sizeof(float), &p->block, error));
  TRY_DONE(mem_alloc(&p->rows, (size_t)options->tokens, sizeof *p->rows, error));
  TRY_DONE(mem_alloc(&p->losses, (size_t)p->logit_rows, sizeof *p->losses, error));
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
  p->logits = p->block + at.logits;
  p->chosen = p->block + at.chosen;
  p->d_chosen = p->block + at.d_chosen;
  p->turn = p->block + at.turn;
  p->turn_back = p->block + at.turn_back;
  const size_t t = (size_t)options->tokens;
  p->kept.qkv = p->block + at.kept;
  p->kept.heads = p->kept.qkv + t * p->qkv;
  p->kept.mid = p->kept.heads + t * p->query;
  p->kept.gate_up = p->kept.mid + t * p->width;
  p->kept.raw = p->kept.gate_up + t * 2 * p->feed;
  p->kept.attn = p->kept.raw + (c->qk_norm ? t * (p->query + p->key) : 0);
  p->kept.mlp = p->kept.attn + t * p->width;
  p->kept_step = options->recompute ? 0 : at.kept_step;
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

/* ---- pieces ----------------------------------------------------------------------------------- */

static Kept kept_of(const Pass *p, int layer) {
  const size_t step = p->kept_step * (size_t)layer;
  return (Kept){p->kept.qkv + step, p->kept.heads + step, p->kept.mid + step, p->kept.gate_up + step, p->kept.raw + step,
                p->kept.attn + step, p->kept.mlp + step};
}

static float *input_of(const Pass *p, int layer) { return p->x + (size_t)layer * (size_t)p->options.tokens * p->width; }

/* A parameter in an array of the layout; NULL: the model has none. */
static float *param(const Pass *p, const float *array, ArchRole role, int layer) {
  const size_t at = params_at(p->params, role, layer);
  return at == PARAM_ABSENT ? NULL : (float *)(uintptr_t)array + at;
}

static void product(Pass *p, const ProductArgs *args) {
  p->flops += 2.0 * args->m * args->n * args->k;
  cpu_product(p->backend, &p->room, args);
}

/* y[m, n] (+)= x[m, k] W^T + bias, with W [n, k]. */
static void linear(Pass *p, float *y, const float *x, const float *w, const float *bias, int m, size_t n, size_t k, bool accumulate) {
  product(p, &(ProductArgs){.c = y, .ldc = n, .m = m, .n = (int)n, .k = (int)k, .a = {x, k, false}, .b = {w, k, true}, .bias = bias,
                            .accumulate = accumulate});
}

/* Gradients of linear: dx = dy W unless dx is NULL; dW += dy^T x, dbias += columns' sums of dy. */
static void linear_back(Pass *p, float *dx, float *dw, float *dbias, const float *dy, const float *x, const float *w, int m, size_t n,
                        size_t k) {
  if (dx) product(p, &(ProductArgs){.c = dx, .ldc = k, .m = m, .n = (int)k, .k = (int)n, .a = {dy, n, false}, .b = {w, k, false}});
  product(p, &(ProductArgs){.c = dw, .ldc = k, .m = (int)n, .n = (int)k, .k = m, .a = {dy, n, true}, .b = {x, k, false}, .accumulate = true});
  if (dbias) row_sums(p->backend, dbias, dy, n, m);
}

static void norm_of(Pass *p, const float *x, const float *weight, int rows) {
  const int width = p->config->width;
  p->backend->base.ops->norm(&p->backend->base, &(NormArgs){.y = cpu_dev(p->norm), .x = cpu_dev(x), .weight = cpu_dev(weight), .rows = rows, .groups = 1,
                                                            .width = width, .ld_y = width, .ld_x = width, .eps = (float)p->config->norm_eps});
}

/* Turns queries and keys in place. */
static void rotate(Pass *p, float *qkv, const TokenBatch *batch, const float *angles) {
  const ModelConfig *c = p->config;
  p->backend->base.ops->rope(&p->backend->base, &(RopeArgs){.x = cpu_dev(qkv), .ld = (int)p->qkv, .rows = batch->tokens, .heads = c->heads + c->kv_heads,
                                                            .head_dim = c->head_dim, .width = c->head_dim, .positions = {cpu_dev(batch->positions)},
                                                            .cos_sin = cpu_dev(angles)});
}

/* dx += gradient of the norm's input, dweight += its weight's, from d_norm. */
static void norm_gradient(Pass *p, float *dx, float *dweight, const float *dy, const float *x, const float *weight, int rows) {
  row_norm_back(p->backend, dx, dy, x, weight, p->factors, p->width, rows, (float)p->config->norm_eps);
  row_norm_weight(p->backend, dweight, dy, x, p->factors, p->width, rows);
}

/* Queries or keys of all tokens: `at` is where a token's begin in a row of q, k, v. */
typedef struct HeadPart {
  ArchRole role;
  int groups;       /* that are normalised each by itself: heads, or all of them as one */
  size_t at, width; /* floats of all */
  size_t raw;       /* where they begin in Kept.raw */
} HeadPart;

static HeadPart head_part(const Pass *p, int tokens, bool keys) {
  const ModelConfig *c = p->config;
  const bool whole = c->qk_norm == QK_NORM_WHOLE;
  if (keys) return (HeadPart){ARCH_K_NORM, whole ? 1 : c->kv_heads, p->query, p->key, (size_t)tokens * p->query};
  return (HeadPart){ARCH_Q_NORM, whole ? 1 : c->heads, 0, p->query, 0};
}

/* Normalises each head of queries and keys in place, and keeps what they were. */
static void norm_heads(Pass *p, const float *w, const Kept *kept, int layer, int tokens) {
  Backend *b = &p->backend->base;
  for (int keys = 0; keys < 2; keys++) {
    const HeadPart part = head_part(p, tokens, keys);
    float *x = kept->qkv + part.at;
    for (size_t t = 0; t < (size_t)tokens; t++) memcpy(kept->raw + part.raw + t * part.width, x + t * p->qkv, part.width * sizeof *x);
    b->ops->norm(b, &(NormArgs){.y = cpu_dev(x), .x = cpu_dev(x), .weight = cpu_dev(param(p, w, part.role, layer)), .rows = tokens, .groups = part.groups,
                                .width = (int)part.width / part.groups, .ld_y = (int)p->qkv, .ld_x = (int)p->qkv, .eps = (float)p->config->norm_eps});
  }
}

/* d_qkv: from the gradient of normalised queries and keys to that of what they were. */
static void norm_heads_back(Pass *p, const float *w, float *g, const Kept *kept, int layer, int tokens) {
  for (int keys = 0; keys < 2; keys++) {
    const HeadPart part = head_part(p, tokens, keys);
    const float *raw = kept->raw + part.raw, *weight = param(p, w, part.role, layer);
    float *d = p->d_qkv + part.at;
    const int rows = tokens * part.groups;
    const size_t head = part.width / (size_t)part.groups;
    for (size_t t = 0; t < (size_t)tokens; t++) memcpy(p->wide + t * part.width, d + t * p->qkv, part.width * sizeof *d);
    memset(p->d_raw, 0, (size_t)tokens * part.width * sizeof *d);
    row_norm_back(p->backend, p->d_raw, p->wide, raw, weight, p->factors, head, rows, (float)p->config->norm_eps);
    row_norm_weight(p->backend, param(p, g, part.role, layer), p->wide, raw, p->factors, head, rows);
    for (size_t t = 0; t < (size_t)tokens; t++) memcpy(d + t * p->qkv, p->d_raw + t * part.width, part.width * sizeof *d);
  }
}

/* What a module reads, which is x itself where no norm stands before it. */
static const float *read_input(Pass *p, const float *w, const float *x, ArchRole role, int layer, int rows) {
  if (!p->config->pre_norm) return x;
  norm_of(p, x, param(p, w, role, layer), rows);
  return p->norm;
}

/* dx += the gradient of what a module read, p->d_norm. */
static void input_gradient(Pass *p, const float *w, float *g, const float *x, ArchRole role, int layer, int rows) {
  if (p->config->pre_norm) norm_gradient(p, p->dx, param(p, g, role, layer), p->d_norm, x, param(p, w, role, layer), rows);
  else p->backend->kernels->add(p->dx, p->d_norm, (size_t)rows * p->width);
}

/* to = x + what the module y = a W^T + bias adds, with its norm where one follows; `kept` gets y then. */
static void add_branch(Pass *p, const float *w, float *to, const float *x, float *kept, const float *a, ArchRole matrix, ArchRole bias, ArchRole norm, int layer,
                       int rows, size_t depth) {
  const float *weight = param(p, w, matrix, layer), *shift = param(p, w, bias, layer);
  memcpy(to, x, (size_t)rows * p->width * sizeof *to);
  linear(p, p->config->post_norm ? kept : to, a, weight, shift, rows, p->width, depth, !p->config->post_norm);
  if (!p->config->post_norm) return;
  norm_of(p, kept, param(p, w, norm, layer), rows);
  p->backend->kernels->add(to, p->norm, (size_t)rows * p->width);
}

/* The gradient of what the module gave, of which dx is that of what was added. */
static const float *branch_gradient(Pass *p, const float *w, float *g, const float *kept, ArchRole norm, int layer, int rows) {
  if (!p->config->post_norm) return p->dx;
  memset(p->d_norm, 0, (size_t)rows * p->width * sizeof *p->d_norm);
  norm_gradient(p, p->d_norm, param(p, g, norm, layer), p->dx, kept, param(p, w, norm, layer), rows);
  return p->d_norm;
}

static CausalArgs attention_args(const Pass *p, const TokenBatch *batch, int layer, const Kept *kept) {
  const ModelConfig *c = p->config;
  return (CausalArgs){.backend = p->backend, .heads = c->heads, .kv_heads = c->kv_heads, .head_dim = c->head_dim,
                      .window = arch_window(c, layer), .scale = c->score_scale, .sequences = batch->sequences,
                      .starts = batch->starts, .qkv = kept->qkv, .out = kept->heads};
}

/* ---- forward ---------------------------------------------------------------------------------- */

/* The layer's input up to its gate and up products; with `output`, the next layer's input too. */
static void layer_forward(Pass *p, const float *w, const TokenBatch *batch, int layer, bool output) {
  Backend *b = &p->backend->base;
  const ModelConfig *c = p->config;
  const Kept kept = kept_of(p, layer);
  const int t = batch->tokens;
  const float *x = input_of(p, layer), *input = read_input(p, w, x, ARCH_NORM_ATTN, layer, t);
  linear(p, kept.qkv, input, param(p, w, ARCH_Q, layer), param(p, w, ARCH_Q_BIAS, layer), t, p->qkv, p->width, false);
  if (c->qk_norm) norm_heads(p, w, &kept, layer, t);
  rotate(p, kept.qkv, batch, p->turn);
  const CausalArgs attention = attention_args(p, batch, layer, &kept);
  causal_forward(&attention);
  add_branch(p, w, kept.mid, x, kept.attn, kept.heads, ARCH_OUT, ARCH_OUT_BIAS, ARCH_POST_ATTN, layer, t, p->query);
  input = read_input(p, w, kept.mid, ARCH_NORM_MLP, layer, t);
  linear(p, kept.gate_up, input, param(p, w, ARCH_GATE, layer), param(p, w, ARCH_GATE_BIAS, layer), t, 2 * p->feed, p->width, false);
  if (!output) return;
  b->ops->activate(b, &(ActivateArgs){.kind = ACTIVATION_SILU, .gated = true, .y = cpu_dev(p->act), .x = cpu_dev(kept.gate_up), .rows = t,
                                      .width = c->feed_forward});
  add_branch(p, w, input_of(p, layer + 1), kept.mid, kept.mlp, p->act, ARCH_DOWN, ARCH_DOWN_BIAS, ARCH_POST_MLP, layer, t, p->feed);
}

static void embed(Pass *p, const float *w, const TokenBatch *batch) {
  const float *table = param(p, w, ARCH_EMBED, -1);
  float *x = input_of(p, 0);
  for (int t = 0; t < batch->tokens; t++) memcpy(x + (size_t)t * p->width, table + (size_t)batch->ids[t] * p->width, p->width * sizeof *x);
  if (p->backend->base.compute == XT_COMPUTE_BF16) p->backend->kernels->round_bf16(x, x, (size_t)batch->tokens * p->width);
}

/* ---- loss ------------------------------------------------------------------------------------- */

/* Up to logit_rows rows of the loss: their loss, and with gradients what goes back to dx and the weights. */
static double loss_piece(Pass *p, const float *w, float *g, const TokenBatch *batch, const int32_t *rows, int m) {
  const ArchRole role = p->config->tied_embeddings ? ARCH_EMBED : ARCH_UNEMBED;
  const float *unembed = param(p, w, role, -1), *weight = param(p, w, ARCH_FINAL_NORM, -1), *x = input_of(p, p->config->layers);
  double sum = 0;
  for (int i = 0; i < m; i++) memcpy(p->chosen + (size_t)i * p->width, x + (size_t)rows[i] * p->width, p->width * sizeof *x);
  norm_of(p, p->chosen, weight, m);
  linear(p, p->logits, p->norm, unembed, NULL, m, p->vocab, p->width, false);
  row_cross_entropy(p->backend, p->logits, p->vocab, batch->targets, rows, p->losses, m);
  for (int i = 0; i < m; i++) sum += p->losses[i];
  if (!g) return sum;
  linear_back(p, p->d_norm, param(p, g, role, -1), NULL, p->logits, p->norm, unembed, m, p->vocab, p->width);
  memset(p->d_chosen, 0, (size_t)m * p->width * sizeof *p->d_chosen);
  norm_gradient(p, p->d_chosen, param(p, g, ARCH_FINAL_NORM, -1), p->d_norm, p->chosen, weight, m);
  for (int i = 0; i < m; i++) memcpy(p->dx + (size_t)rows[i] * p->width, p->d_chosen + (size_t)i * p->width, p->width * sizeof *x);
  return sum;
}

static double loss_of(Pass *p, const float *w, float *g, const TokenBatch *batch, size_t *counted) {
  int n = 0;
  double sum = 0;
  for (int t = 0; t < batch->tokens; t++)
    if (batch->targets[t] >= 0) p->rows[n++] = t;
  if (g) memset(p->dx, 0, (size_t)batch->tokens * p->width * sizeof *p->dx);
  for (int at = 0; at < n; at += p->logit_rows) sum += loss_piece(p, w, g, batch, p->rows + at, n - at < p->logit_rows ? n - at : p->logit_rows);
  *counted = (size_t)n;
  return sum;
}

/* ---- backward --------------------------------------------------------------------------------- */

/* dx: from the gradient of the layer's output to that of its input. */
static void layer_backward(Pass *p, const float *w, float *g, const TokenBatch *batch, int layer) {
  Backend *b = &p->backend->base;
  const ModelConfig *c = p->config;
  if (p->options.recompute) layer_forward(p, w, batch, layer, false);
  const Kept kept = kept_of(p, layer);
  const int t = batch->tokens;
  const float *x = input_of(p, layer);

  b->ops->activate(b, &(ActivateArgs){.kind = ACTIVATION_SILU, .gated = true, .y = cpu_dev(p->act), .x = cpu_dev(kept.gate_up), .rows = t,
                                      .width = c->feed_forward});
  if (p->options.recompute && c->post_norm)
    linear(p, kept.mlp, p->act, param(p, w, ARCH_DOWN, layer), param(p, w, ARCH_DOWN_BIAS, layer), t, p->width, p->feed, false);
  const float *d = branch_gradient(p, w, g, kept.mlp, ARCH_POST_MLP, layer, t);
  linear_back(p, p->wide, param(p, g, ARCH_DOWN, layer), param(p, g, ARCH_DOWN_BIAS, layer), d, p->act, param(p, w, ARCH_DOWN, layer), t,
              p->width, p->feed);
  row_silu_back(p->backend, p->d_gate_up, p->wide, kept.gate_up, p->feed, t);
  const float *input = read_input(p, w, kept.mid, ARCH_NORM_MLP, layer, t);
  linear_back(p, p->d_norm, param(p, g, ARCH_GATE, layer), param(p, g, ARCH_GATE_BIAS, layer), p->d_gate_up, input, param(p, w, ARCH_GATE, layer), t,
              2 * p->feed, p->width);
  input_gradient(p, w, g, kept.mid, ARCH_NORM_MLP, layer, t);

  d = branch_gradient(p, w, g, kept.attn, ARCH_POST_ATTN, layer, t);
  linear_back(p, p->wide, param(p, g, ARCH_OUT, layer), param(p, g, ARCH_OUT_BIAS, layer), d, kept.heads, param(p, w, ARCH_OUT, layer), t,
              p->width, p->query);
  CausalArgs attention = attention_args(p, batch, layer, &kept);
  attention.d_out = p->wide;
  attention.d_qkv = p->d_qkv;
  causal_backward(&attention);
  rotate(p, p->d_qkv, batch, p->turn_back);
  if (c->qk_norm) norm_heads_back(p, w, g, &kept, layer, t);
  input = read_input(p, w, x, ARCH_NORM_ATTN, layer, t);
  linear_back(p, p->d_norm, param(p, g, ARCH_Q, layer), param(p, g, ARCH_Q_BIAS, layer), p->d_qkv, input, param(p, w, ARCH_Q, layer), t,
              p->qkv, p->width);
  input_gradient(p, w, g, x, ARCH_NORM_ATTN, layer, t);
}

double pass_run(Pass *p, const float *weights, float *gradients, const TokenBatch *batch, size_t *counted) {
  const int layers = p->config->layers;
  embed(p, weights, batch);
  for (int l = 0; l < layers; l++) layer_forward(p, weights, batch, l, true);
  const double loss = loss_of(p, weights, gradients, batch, counted);
  if (!gradients) return loss;
  for (int l = layers - 1; l >= 0; l--) layer_backward(p, weights, gradients, batch, l);
  row_scatter(p->backend, param(p, gradients, ARCH_EMBED, -1), p->dx, batch->ids, p->width, batch->tokens);
  return loss;
}
