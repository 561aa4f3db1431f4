/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "train/pass_pieces.h"
#include "train/row_work.h"

SavedActivations pass_saved_of(const Pass *p, int layer) {
  const size_t step = p->saved_step * (size_t)layer;
  return (SavedActivations){p->saved.qkv + step,     p->saved.heads + step, p->saved.mid + step,
                            p->saved.gate_up + step, p->saved.raw + step,   p->saved.attn + step,
                            p->saved.mlp + step};
}

float *pass_input_of(const Pass *p, int layer) {
  return p->x + (size_t)layer * (size_t)p->options.tokens * p->width;
}

float *pass_param(const Pass *p, const float *array, ArchRole role, int layer) {
  const size_t at = params_at(p->params, role, layer);
  return at == PARAM_ABSENT ? NULL : (float *)(uintptr_t)array + at;
}

const float *pass_norm_weight(Pass *p, const float *w, ArchRole role, int layer) {
  const float *weight = pass_param(p, w, role, layer);
  if (!p->config->norm_adds_one) return weight;
  const size_t count = (size_t)arch_shape(p->config, role).rows;
  for (size_t i = 0; i < count; i++) p->shifted[i] = 1.0f + weight[i];
  return p->shifted;
}

static void product(Pass *p, const ProductArgs *args) {
  p->flops += 2.0 * args->m * args->n * args->k;
  cpu_product(p->backend, &p->room, args);
}

void pass_linear(Pass *p, float *y, const float *x, const float *w, const float *bias, int m,
                 size_t n, size_t k, bool accumulate) {
  product(p, &(ProductArgs){.c = y,
                            .ldc = n,
                            .m = m,
                            .n = (int)n,
                            .k = (int)k,
                            .a = {x, k, false},
                            .b = {w, k, true},
                            .bias = bias,
                            .accumulate = accumulate});
}

void pass_linear_back(Pass *p, float *dx, float *dw, float *dbias, const float *dy, const float *x,
                      const float *w, int m, size_t n, size_t k) {
  if (dx)
    product(p, &(ProductArgs){.c = dx,
                              .ldc = k,
                              .m = m,
                              .n = (int)k,
                              .k = (int)n,
                              .a = {dy, n, false},
                              .b = {w, k, false}});
  product(p, &(ProductArgs){.c = dw,
                            .ldc = k,
                            .m = (int)n,
                            .n = (int)k,
                            .k = m,
                            .a = {dy, n, true},
                            .b = {x, k, false},
                            .accumulate = true});
  if (dbias) row_sums(p->backend, dbias, dy, n, m);
}

void pass_norm_of(Pass *p, const float *x, const float *weight, int rows) {
  const int width = p->config->width;
  p->backend->base.ops->norm(&p->backend->base, &(NormArgs){.y = cpu_dev(p->norm),
                                                            .x = cpu_dev(x),
                                                            .weight = cpu_dev(weight),
                                                            .rows = rows,
                                                            .groups = 1,
                                                            .width = width,
                                                            .ld_y = width,
                                                            .ld_x = width,
                                                            .eps = (float)p->config->norm_eps});
}

void pass_rotate(Pass *p, float *qkv, const TokenBatch *batch, int layer, const float *angles) {
  const ModelConfig *c = p->config;
  angles += (size_t)c->kinds[layer].rotary * (size_t)p->options.length * (size_t)c->head_dim;
  p->backend->base.ops->rope(&p->backend->base,
                             &(RopeArgs){.x = cpu_dev(qkv),
                                         .ld = (int)p->qkv,
                                         .rows = batch->tokens,
                                         .heads = c->heads + c->kv_heads,
                                         .head_dim = c->head_dim,
                                         .width = c->head_dim,
                                         .positions = {cpu_dev(batch->positions)},
                                         .cos_sin = cpu_dev(angles)});
}

void pass_norm_gradient(Pass *p, float *dx, float *dweight, const float *dy, const float *x,
                        const float *weight, int rows) {
  row_norm_back(p->backend, dx, dy, x, weight, p->factors, p->width, rows,
                (float)p->config->norm_eps);
  row_norm_weight(p->backend, dweight, dy, x, p->factors, p->width, rows);
}

/* The queries or keys of all tokens: `at` is their place in a row of q, k, v. */
typedef struct HeadPart {
  ArchRole role;
  int groups;       /* groups that are normalised separately: heads, or all heads as one */
  size_t at, width; /* floats of all */
  size_t raw;       /* where they begin in SavedActivations.raw */
} HeadPart;

static HeadPart head_part(const Pass *p, int tokens, bool keys) {
  const ModelConfig *c = p->config;
  const bool whole = c->qk_norm == QK_NORM_WHOLE;
  if (keys)
    return (HeadPart){ARCH_K_NORM, whole ? 1 : c->kv_heads, p->query, p->key,
                      (size_t)tokens * p->query};
  return (HeadPart){ARCH_Q_NORM, whole ? 1 : c->heads, 0, p->query, 0};
}

void pass_norm_heads(Pass *p, const float *w, const SavedActivations *saved, int layer,
                     int tokens) {
  Backend *b = &p->backend->base;
  for (int keys = 0; keys < 2; keys++) {
    const HeadPart part = head_part(p, tokens, keys);
    float *x = saved->qkv + part.at;
    for (size_t t = 0; t < (size_t)tokens; t++)
      memcpy(saved->raw + part.raw + t * part.width, x + t * p->qkv, part.width * sizeof *x);
    b->ops->norm(b, &(NormArgs){.y = cpu_dev(x),
                                .x = cpu_dev(x),
                                .weight = cpu_dev(pass_norm_weight(p, w, part.role, layer)),
                                .rows = tokens,
                                .groups = part.groups,
                                .width = (int)part.width / part.groups,
                                .ld_y = (int)p->qkv,
                                .ld_x = (int)p->qkv,
                                .eps = (float)p->config->norm_eps});
  }
}

void pass_norm_heads_back(Pass *p, const float *w, float *g, const SavedActivations *saved,
                          int layer, int tokens) {
  for (int keys = 0; keys < 2; keys++) {
    const HeadPart part = head_part(p, tokens, keys);
    const float *raw = saved->raw + part.raw, *weight = pass_norm_weight(p, w, part.role, layer);
    float *d = p->d_qkv + part.at;
    const int rows = tokens * part.groups;
    const size_t head = part.width / (size_t)part.groups;
    for (size_t t = 0; t < (size_t)tokens; t++)
      memcpy(p->wide + t * part.width, d + t * p->qkv, part.width * sizeof *d);
    memset(p->d_raw, 0, (size_t)tokens * part.width * sizeof *d);
    row_norm_back(p->backend, p->d_raw, p->wide, raw, weight, p->factors, head, rows,
                  (float)p->config->norm_eps);
    row_norm_weight(p->backend, pass_param(p, g, part.role, layer), p->wide, raw, p->factors, head,
                    rows);
    for (size_t t = 0; t < (size_t)tokens; t++)
      memcpy(d + t * p->qkv, p->d_raw + t * part.width, part.width * sizeof *d);
  }
}

const float *pass_read_input(Pass *p, const float *w, const float *x, ArchRole role, int layer,
                             int rows) {
  if (!p->config->pre_norm) return x;
  pass_norm_of(p, x, pass_norm_weight(p, w, role, layer), rows);
  return p->norm;
}

void pass_input_gradient(Pass *p, const float *w, float *g, const float *x, ArchRole role,
                         int layer, int rows) {
  if (p->config->pre_norm)
    pass_norm_gradient(p, p->dx, pass_param(p, g, role, layer), p->d_norm, x,
                       pass_norm_weight(p, w, role, layer), rows);
  else
    p->backend->kernels->add(p->dx, p->d_norm, (size_t)rows * p->width);
}

void pass_add_branch(Pass *p, const float *w, float *to, const float *x, float *saved,
                     const float *a, ArchRole matrix, ArchRole bias, ArchRole norm, int layer,
                     int rows, size_t depth) {
  const float *weight = pass_param(p, w, matrix, layer), *shift = pass_param(p, w, bias, layer);
  memcpy(to, x, (size_t)rows * p->width * sizeof *to);
  pass_linear(p, p->config->post_norm ? saved : to, a, weight, shift, rows, p->width, depth,
              !p->config->post_norm);
  if (!p->config->post_norm) return;
  pass_norm_of(p, saved, pass_norm_weight(p, w, norm, layer), rows);
  p->backend->kernels->add(to, p->norm, (size_t)rows * p->width);
}

const float *pass_branch_gradient(Pass *p, const float *w, float *g, const float *saved,
                                  ArchRole norm, int layer, int rows) {
  if (!p->config->post_norm) return p->dx;
  memset(p->d_norm, 0, (size_t)rows * p->width * sizeof *p->d_norm);
  pass_norm_gradient(p, p->d_norm, pass_param(p, g, norm, layer), p->dx, saved,
                     pass_norm_weight(p, w, norm, layer), rows);
  return p->d_norm;
}

CausalArgs pass_attention_args(const Pass *p, const TokenBatch *batch, int layer,
                               const SavedActivations *saved) {
  const ModelConfig *c = p->config;
  return (CausalArgs){.backend = p->backend,
                      .heads = c->heads,
                      .kv_heads = c->kv_heads,
                      .head_dim = c->head_dim,
                      .window = arch_window(c, layer),
                      .scale = c->score_scale,
                      .sequences = batch->sequences,
                      .starts = batch->starts,
                      .qkv = saved->qkv,
                      .out = saved->heads};
}
