/* SPDX-License-Identifier: Apache-2.0 */
/* A model's tensors: found by role, checked, and handed to the backend as weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/quantised.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "model/arch.h"
#include "model/model_weights.h"

/* The name of what describes the architecture, for messages. */
static const char *said_by(const xt_model *m) {
  return m->config.names == NAMES_GGUF ? "the file's header" : "config.json";
}

static xt_status wrong_shape(const xt_model *m, const Tensor *t, const ArchShape *want, int stack,
                             xt_error *error) {
  char got[128] = "", asked[128] = "";
  size_t at = 0;
  for (int d = 0; d < t->dims && at < sizeof got - 24; d++)
    at += (size_t)snprintf(got + at, sizeof got - at, "%s%lld", d ? ", " : "",
                           (long long)t->shape[d]);
  at = stack ? (size_t)snprintf(asked, sizeof asked, "%d, ", stack) : 0;
  at += (size_t)snprintf(asked + at, sizeof asked - at, "%lld", (long long)want->rows);
  if (want->dims > 1) snprintf(asked + at, sizeof asked - at, ", %lld", (long long)want->cols);
  return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t),
                 "has shape [%s], %s asks for [%s]", got, said_by(m), asked);
}

/* The part of an expert in the tensor of all. */
static void take_expert(Tensor *t, int expert) {
  t->bytes /= (size_t)t->shape[0];
  t->data = (const uint8_t *)t->data + (size_t)expert * t->bytes;
  t->dims--;
  memmove(t->shape, t->shape + 1, (size_t)t->dims * sizeof *t->shape);
}

uint64_t model_stored_bytes(const Tensor *t) {
  if (!dtype_is_quantised(t->dtype)) return t->bytes;
  return t->bytes / dtype_size(t->dtype) * quantised_block_bytes(quantised_format(t->dtype), 1);
}

/* The tensor of a role, its shape and dtype checked: of quantised matrices of several tensors, the
 * type that the backend gets. */
xt_status model_find_tensor(const xt_model *m, ArchRole role, int layer, int expert, Tensor *out,
                            xt_error *error) {
  char name[ARCH_NAME_SIZE];
  const int stack = arch_experts_stacked(&m->config, role) ? m->config.experts : 0;
  arch_expert_name(&m->config, role, layer, expert, name);
  const Tensor *t = checkpoint_find(m->checkpoint, name);
  if (!t) t = checkpoint_find(m->checkpoint, arch_other_name(role, name));
  if (!t)
    return err_set(error, XT_STATUS_INPUT, m->path, name, -1,
                   "the weight files have no such tensor; %s needs it", m->config.architecture);
  const ArchShape want = arch_shape(&m->config, role);
  const int64_t *shape = t->shape + (stack > 0);
  const bool number = arch_role_is_number(role) && t->dims == 0;
  const bool fits =
      number || (t->dims == want.dims + (stack > 0) && shape[0] == want.rows &&
                 (want.dims == 1 || shape[1] == want.cols) && (!stack || t->shape[0] == stack));
  if (!fits) return wrong_shape(m, t, &want, stack, error);
  if (!dtype_is_weight(t->dtype))
    return err_set(error, XT_STATUS_UNSUPPORTED, t->map->path, name, tensor_offset(t),
                   "has dtype %s; weights may be F32, F16 or BF16, or quantised as %s says",
                   dtype_name(t->dtype),
                   m->config.names == NAMES_GGUF ? "the file"
                                                 : "config.json's quantization_config");
  *out = *t;
  if (stack) take_expert(out, expert);
  if (t->packed && t->packed->block_type != DTYPE_COUNT) {
    out->dtype = t->packed->block_type;
    out->bytes = dtype_bytes(out->dtype, (size_t)(want.rows * want.cols));
  }
  return XT_STATUS_OK;
}

/* Checks that every tensor of the architecture exists and has the right shape. */
xt_status model_check_tensors(const xt_model *m, xt_error *error) {
  const ModelConfig *c = &m->config;
  Tensor found;
  for (int role = 0; role < ARCH_ROLE_COUNT; role++) {
    const int experts = arch_of_expert(c, (ArchRole)role) ? c->experts : 1;
    for (int i = 0; i < arch_count(c, (ArchRole)role); i++)
      TRY(model_find_tensor(m, (ArchRole)role, i / experts, i % experts, &found, error));
  }
  char name[ARCH_NAME_SIZE];
  arch_tensor_name(c, c->fused_qkv ? ARCH_QKV : ARCH_Q, c->layers, name);
  const Tensor *t = checkpoint_find(m->checkpoint, name);
  if (t)
    return err_set(error, XT_STATUS_INPUT, t->map->path, name, tensor_offset(t),
                   "the weights have more layers than %s, %d",
                   c->names == NAMES_GGUF ? "the file's block_count"
                                          : "config.json's num_hidden_layers",
                   c->layers);
  return XT_STATUS_OK;
}

/* The rows of a head of q and k, if the file stores them in pairs; 0: this role's rows are not. */
static int paired_rows(const ModelConfig *c, ArchRole role) {
  const bool turned =
      role == ARCH_Q || role == ARCH_K || role == ARCH_Q_BIAS || role == ARCH_K_BIAS;
  return c->rows_in_pairs && turned ? c->head_dim : 0;
}

static MatrixSource matrix_source(const ModelConfig *c, ArchRole role, const Tensor *t) {
  const bool matrix = t->dims == 2;
  return (MatrixSource){.dtype = t->dtype,
                        .rows = t->dims ? (int)t->shape[0] : 1,
                        .cols = matrix ? (int)t->shape[1] : 1,
                        .data = t->data,
                        .paired = paired_rows(c, role)};
}

static void element_values(const ModelConfig *c, ArchRole role, const Tensor *t, float *out) {
  const MatrixSource s = matrix_source(c, role, t);
  if (!s.paired) dtype_widen(t->dtype, t->data, (size_t)s.rows * (size_t)s.cols, out);
  for (int r = 0; s.paired && r < s.rows; r++)
    dtype_widen(t->dtype,
                (const char *)t->data + (size_t)matrix_source_place(&s, r) * dtype_size(t->dtype),
                1, &out[r]);
}

static size_t shape_count(ArchShape shape) { return (size_t)(shape.rows * shape.cols); }

/* One tensor's values, which must be finite, as float32. */
static xt_status read_values(const xt_model *m, ArchRole role, int layer, float *out,
                             xt_error *error) {
  Tensor t;
  TRY(model_find_tensor(m, role, layer, 0, &t, error));
  element_values(&m->config, role, &t, out);
  const size_t count = shape_count(arch_shape(&m->config, role));
  for (size_t k = 0; k < count; k++) {
    if (!isfinite(out[k]))
      return err_set(error, XT_STATUS_INPUT, t.map->path, t.name,
                     tensor_offset(&t) +
                         (long long)(k / dtype_block(t.dtype) * dtype_size(t.dtype)),
                     "value %zu is not finite", k);
    if (m->config.norm_adds_one && arch_role_is_norm(role)) out[k] += 1.0f;
  }
  return XT_STATUS_OK;
}

/* Reorders biases that are stored as q, k, v of each head in turn to all q, all k, all v. `spare`
 * has room for as many. */
static void gather_heads(const ModelConfig *c, float *values, float *spare) {
  const size_t heads = (size_t)c->heads, d = (size_t)c->head_dim;
  memcpy(spare, values, 3 * heads * d * sizeof *values);
  for (size_t kind = 0; kind < 3; kind++)
    for (size_t h = 0; h < heads; h++)
      memcpy(values + (kind * heads + h) * d, spare + (3 * h + kind) * d, d * sizeof *values);
}

/* Loads norms and biases: `n` tensors one after the other, as float32 in the backend's memory. */
static xt_status load_vector(xt_model *m, const ArchRole *roles, int n, int layer, Dev *out,
                             xt_error *error) {
  const BackendOps *ops = m->backend->ops;
  float *values = NULL;
  xt_status status = XT_STATUS_OK;
  size_t total = 0, at = 0;
  if (!arch_has(&m->config, roles[0])) return XT_STATUS_OK;
  for (int i = 0; i < n; i++) total += shape_count(arch_shape(&m->config, roles[i]));
  TRY_DONE(MEM_ALLOC(&values, 2 * total, error));
  for (int i = 0; i < n; i++) {
    TRY_DONE(read_values(m, roles[i], layer, values + at, error));
    at += shape_count(arch_shape(&m->config, roles[i]));
  }
  if (roles[0] == ARCH_QKV_BIAS && m->config.qkv_by_head)
    gather_heads(&m->config, values, values + total);
  TRY_DONE(ops->alloc(m->backend, total * sizeof *values, out, error));
  ops->upload(m->backend, *out, values, total * sizeof *values);
  m->weight_bytes += total * sizeof *values;
done:
  free(values);
  return status;
}

/* Divides a tensor with q, k, v of each head in turn into parts of one head: all q, then all k,
 * then all v. The caller frees *out. */
static xt_status split_heads(const xt_model *m, const Tensor *t, const void *data,
                             MatrixSource **out, xt_error *error) {
  const int heads = m->config.heads, rows = m->config.head_dim;
  const size_t bytes = dtype_bytes(t->dtype, (size_t)rows * (size_t)m->config.width);
  TRY(MEM_ALLOC(out, 3 * (size_t)heads, error));
  for (int kind = 0; kind < 3; kind++)
    for (int h = 0; h < heads; h++)
      (*out)[kind * heads + h] =
          (MatrixSource){.dtype = t->dtype,
                         .rows = rows,
                         .cols = m->config.width,
                         .data = (const uint8_t *)data + (size_t)(3 * h + kind) * bytes};
  return XT_STATUS_OK;
}

typedef struct Expansion {
  const PackedMatrix *matrix;
  Dtype dtype;
  char *to;
} Expansion;

#define EXPANDED_ROWS 64

static void expand_some(void *context, size_t item, int thread) {
  const Expansion *e = context;
  const int first = (int)item * EXPANDED_ROWS, left = e->matrix->rows - first;
  (void)thread;
  (dtype_is_quantised(e->dtype) ? packed_blocks : packed_expand)(
      e->matrix, e->dtype, first, left < EXPANDED_ROWS ? left : EXPANDED_ROWS,
      e->to + dtype_bytes(e->dtype, (size_t)first * (size_t)e->matrix->cols));
}

/* A tensor's values as they are in the file or, in memory that the caller frees, made from its
 * codes: blocks or floats, as its dtype says. */
static xt_status open_values(const xt_model *m, const Tensor *t, const void **data, void **owned,
                             xt_error *error) {
  *data = t->data;
  *owned = NULL;
  if (!t->packed) return XT_STATUS_OK;
  TRY(MEM_ALLOC(owned, t->bytes, error));
  Expansion e = {t->packed, t->dtype, *owned};
  parallel_for_once(m->backend->threads,
                    (size_t)(t->packed->rows + EXPANDED_ROWS - 1) / EXPANDED_ROWS, expand_some, &e);
  *data = *owned;
  return XT_STATUS_OK;
}

static void forget_file(const Tensor *t) {
  if (!t->packed) file_map_forget(t->map, t->data, t->bytes);
  for (int i = 0; t->packed && i < 4; i++) {
    const Tensor *stored = t->packed->stored[i];
    if (stored) file_map_forget(stored->map, stored->data, stored->bytes);
  }
}

/* Makes one product's matrix from a tensor with q, k, v of each head in turn. */
static xt_status load_by_head(xt_model *m, int layer, Weight **out, xt_error *error) {
  Tensor found;
  const Tensor *t = &found;
  MatrixSource *parts = NULL;
  const void *data;
  void *owned;
  TRY(model_find_tensor(m, ARCH_QKV, layer, 0, &found, error));
  TRY(open_values(m, t, &data, &owned, error));
  xt_error inner = {0};
  const int count = 3 * m->config.heads;
  xt_status status = split_heads(m, t, data, &parts, &inner);
  if (!status) status = m->backend->ops->weight_create(m->backend, parts, count, out, &inner);
  if (status == XT_STATUS_INPUT) { /* a value that is not finite: name the place in the file */
    const int part = atoi(inner.field);
    const uint8_t *from = parts[part >= 0 && part < count ? part : 0].data;
    const long long at = t->packed ? 0 : from - (const uint8_t *)t->data + inner.offset;
    status =
        err_set(error, status, t->map->path, t->name, tensor_offset(t) + at, "%s", inner.message);
  } else if (status) {
    if (error) *error = inner;
  } else {
    m->weight_bytes += m->backend->ops->weight_bytes(*out);
    forget_file(t);
  }
  free(parts);
  free(owned);
  return status;
}

/* Makes one product's matrix from `n` tensors stacked along rows; drops their file pages
 * afterwards. */
static xt_status load_expert(xt_model *m, const ArchRole *roles, int n, int layer, int expert,
                             Weight **out, xt_error *error) {
  MatrixSource parts[3];
  Tensor tensors[3];
  void *owned[3] = {0};
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i < n && !status; i++) {
    status = model_find_tensor(m, roles[i], layer, expert, &tensors[i], error);
    if (status) break;
    parts[i] = matrix_source(&m->config, roles[i], &tensors[i]);
    status = open_values(m, &tensors[i], &parts[i].data, &owned[i], error);
  }
  xt_error inner = {0};
  if (!status) {
    status = m->backend->ops->weight_create(m->backend, parts, n, out, &inner);
    if (status == XT_STATUS_INPUT) { /* a value that is not finite: name the tensor and the place
                                        in its file */
      const int part = atoi(inner.field);
      const Tensor *t = &tensors[part >= 0 && part < n ? part : 0];
      status = err_set(error, status, t->map->path, t->name,
                       tensor_offset(t) + (t->packed ? 0 : inner.offset), "%s", inner.message);
    } else if (status && error) {
      *error = inner;
    }
  }
  for (int i = 0; i < n; i++) free(owned[i]);
  if (status) return status;
  m->weight_bytes += m->backend->ops->weight_bytes(*out);
  for (int i = 0; i < n; i++) forget_file(&tensors[i]);
  return XT_STATUS_OK;
}

static xt_status load_matrix(xt_model *m, const ArchRole *roles, int n, int layer, Weight **out,
                             xt_error *error) {
  return load_expert(m, roles, n, layer, 0, out, error);
}

/* alpha_p and alpha_n are stored before softplus, and beta is added to the latter. */
static xt_status load_xielu(const xt_model *m, int layer, XieluNumbers *out, xt_error *error) {
  float positive, negative;
  TRY(read_values(m, ARCH_XIELU_POSITIVE, layer, &positive, error));
  TRY(read_values(m, ARCH_XIELU_NEGATIVE, layer, &negative, error));
  TRY(read_values(m, ARCH_XIELU_BETA, layer, &out->beta, error));
  TRY(read_values(m, ARCH_XIELU_EPS, layer, &out->eps, error));
  out->positive = (float)log1p(exp((double)positive));
  out->negative = out->beta + (float)log1p(exp((double)negative));
  return XT_STATUS_OK;
}

#define ROLES(...) \
  (const ArchRole[]){__VA_ARGS__}, (int)(sizeof((const ArchRole[]){__VA_ARGS__}) / sizeof(ArchRole))

static xt_status load_gate_up(xt_model *m, int l, LayerWeights *w, xt_error *error) {
  if (m->config.no_gate) {
    TRY(load_matrix(m, ROLES(ARCH_UP), l, &w->gate_up, error));
    TRY(load_vector(m, ROLES(ARCH_UP_BIAS), l, &w->gate_up_bias, error));
  } else {
    if (m->config.fused_gate_up)
      TRY(load_matrix(m, ROLES(ARCH_GATE_UP), l, &w->gate_up, error));
    else
      TRY(load_matrix(m, ROLES(ARCH_GATE, ARCH_UP), l, &w->gate_up, error));
    TRY(load_vector(m, ROLES(ARCH_GATE_BIAS, ARCH_UP_BIAS), l, &w->gate_up_bias, error));
  }
  return m->config.activation == ACTIVATION_XIELU ? load_xielu(m, l, &w->xielu, error)
                                                  : XT_STATUS_OK;
}

static xt_status load_mixture(xt_model *m, int l, LayerWeights *w, xt_error *error) {
  TRY(load_matrix(m, ROLES(ARCH_ROUTER), l, &w->router, error));
  TRY(MEM_ALLOC(&w->experts, (size_t)m->config.experts, error));
  for (int e = 0; e < m->config.experts; e++) {
    TRY(load_expert(m, ROLES(ARCH_GATE, ARCH_UP), l, e, &w->experts[e].gate_up, error));
    TRY(load_expert(m, ROLES(ARCH_DOWN), l, e, &w->experts[e].down, error));
  }
  return XT_STATUS_OK;
}

static xt_status load_layer(xt_model *m, int l, xt_error *error) {
  LayerWeights *w = &m->layers[l];
  TRY(load_vector(m, ROLES(ARCH_NORM_ATTN), l, &w->norm_attn.weight, error));
  TRY(load_vector(m, ROLES(ARCH_NORM_ATTN_BIAS), l, &w->norm_attn.bias, error));
  if (m->config.qkv_by_head)
    TRY(load_by_head(m, l, &w->qkv, error));
  else if (m->config.fused_qkv)
    TRY(load_matrix(m, ROLES(ARCH_QKV), l, &w->qkv, error));
  else
    TRY(load_matrix(m, ROLES(ARCH_Q, ARCH_K, ARCH_V), l, &w->qkv, error));
  if (m->config.fused_qkv)
    TRY(load_vector(m, ROLES(ARCH_QKV_BIAS), l, &w->qkv_bias, error));
  else
    TRY(load_vector(m, ROLES(ARCH_Q_BIAS, ARCH_K_BIAS, ARCH_V_BIAS), l, &w->qkv_bias, error));
  TRY(load_matrix(m, ROLES(ARCH_OUT), l, &w->out, error));
  TRY(load_vector(m, ROLES(ARCH_OUT_BIAS), l, &w->out_bias, error));
  TRY(load_vector(m, ROLES(ARCH_NORM_MLP), l, &w->norm_mlp.weight, error));
  TRY(load_vector(m, ROLES(ARCH_NORM_MLP_BIAS), l, &w->norm_mlp.bias, error));
  TRY(load_vector(m, ROLES(ARCH_POST_ATTN), l, &w->post_attn.weight, error));
  TRY(load_vector(m, ROLES(ARCH_POST_MLP), l, &w->post_mlp.weight, error));
  TRY(load_vector(m, ROLES(ARCH_Q_NORM), l, &w->q_norm, error));
  TRY(load_vector(m, ROLES(ARCH_K_NORM), l, &w->k_norm, error));
  if (m->config.experts) return load_mixture(m, l, w, error);
  TRY(load_gate_up(m, l, w, error));
  TRY(load_matrix(m, ROLES(ARCH_DOWN), l, &w->down, error));
  return load_vector(m, ROLES(ARCH_DOWN_BIAS), l, &w->down_bias, error);
}

/* Finds a value in one row of an embedding that is not finite: its exponent bits are all ones. */
static bool row_is_finite(const Tensor *t, const uint8_t *row) {
  const size_t count = (size_t)t->shape[1];
  uint32_t bad = 0;
  if (dtype_is_quantised(t->dtype)) {
    for (size_t i = 0; i < count; i += dtype_block(t->dtype), row += dtype_size(t->dtype))
      bad |= dtype_block_is_finite(t->dtype, row) ? 0u : 1u;
  } else if (t->dtype == DTYPE_F32) {
    for (size_t i = 0; i < count; i++) {
      uint32_t bits;
      memcpy(&bits, row + 4 * i, sizeof bits);
      bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
  } else {
    const uint16_t exponent = t->dtype == DTYPE_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < count; i++) {
      uint16_t bits;
      memcpy(&bits, row + 2 * i, sizeof bits);
      bad |= (bits & exponent) == exponent;
    }
  }
  return !bad;
}

/* An embedding that is only looked up stays in the file, so that its values were not checked when a
 * product was prepared. */
static xt_status check_embedding(const Tensor *t, xt_error *error) {
  const size_t size = dtype_size(t->dtype), block = dtype_block(t->dtype),
               width = dtype_bytes(t->dtype, (size_t)t->shape[1]);
  const uint8_t *row = t->data;
  for (int64_t r = 0; r < t->shape[0]; r++, row += width) {
    if (row_is_finite(t, row)) continue;
    size_t at = 0; /* the block */
    const Tensor one = {.dtype = t->dtype, .dims = 2, .shape = {1, (int64_t)block}};
    while (row_is_finite(&one, row + at * size)) at++;
    return err_set(error, XT_STATUS_INPUT, t->map->path, t->name,
                   tensor_offset(t) + (long long)(row + at * size - (const uint8_t *)t->data),
                   "row %lld, column %zu is NaN or infinite: weights must be finite", (long long)r,
                   at * block);
  }
  return XT_STATUS_OK;
}

/* ALiBi's slopes (Press et al. 2022): 2^(-8k/n) for n heads, a power of two; of others, those of
 * the next lower power and then every second of the next higher one's, as BLOOM has them. In float,
 * as transformers takes powers. */
static xt_status make_slopes(xt_model *m, xt_error *error) {
  const int heads = m->config.heads;
  int power = 1;
  TRY(MEM_ALLOC(&m->slopes, (size_t)heads, error));
  while (2 * power <= heads) power *= 2;
  const float base = (float)exp2(-8.0 / power), between = (float)exp2(-4.0 / power);
  for (int h = 0; h < heads; h++)
    m->slopes[h] =
        h < power ? powf(base, (float)(h + 1)) : powf(between, (float)(2 * (h - power) + 1));
  return XT_STATUS_OK;
}

xt_status model_load_weights(xt_model *m, xt_error *error) {
  TRY(MEM_ALLOC(&m->layers, (size_t)m->config.layers, error));
  Tensor found;
  const Tensor *embed = &found;
  TRY(model_find_tensor(m, ARCH_EMBED, 0, 0, &found, error));
  if (embed->packed)
    return err_set(error, XT_STATUS_UNSUPPORTED, embed->map->path, embed->packed->stored[0]->name,
                   tensor_offset(embed),
                   "quantised embeddings are not handled; those of a GGUF file are");
  if (!m->config.tied_embeddings) TRY(check_embedding(embed, error));
  const MatrixSource source = matrix_source(&m->config, ARCH_EMBED, embed);
  TRY(m->backend->ops->table_create(m->backend, &source, &m->embedding, error));
  if (m->limits.memory)
    m->weight_bytes += model_stored_bytes(embed); /* else it stays in the file */
  /* The largest matrix first: while a matrix is prepared it is in memory twice, as file pages
   * too. */
  if (m->config.tied_embeddings)
    TRY(load_matrix(m, ROLES(ARCH_EMBED), 0, &m->unembed, error));
  else
    TRY(load_matrix(m, ROLES(ARCH_UNEMBED), 0, &m->unembed, error));
  for (int l = 0; l < m->config.layers; l++) TRY(load_layer(m, l, error));
  TRY(load_vector(m, ROLES(ARCH_EMBED_NORM), 0, &m->embed_norm.weight, error));
  TRY(load_vector(m, ROLES(ARCH_EMBED_NORM_BIAS), 0, &m->embed_norm.bias, error));
  TRY(load_vector(m, ROLES(ARCH_FINAL_NORM), 0, &m->final_norm.weight, error));
  TRY(load_vector(m, ROLES(ARCH_FINAL_NORM_BIAS), 0, &m->final_norm.bias, error));
  return m->config.alibi ? make_slopes(m, error) : XT_STATUS_OK;
}
