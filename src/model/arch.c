/* SPDX-License-Identifier: Apache-2.0 */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

typedef enum Dim { DIM_NONE = 0, DIM_WIDTH, DIM_QUERY, DIM_KEY, DIM_QKV, DIM_FEED, DIM_TWO_FEED, DIM_VOCAB } Dim;

/* When a tensor is there. */
typedef enum Presence {
  ALWAYS = 0, IF_UNTIED, IF_PRE_NORM, IF_OWN_PRE_NORM, IF_POST_NORM, IF_QK_NORM, IF_SPLIT_QKV, IF_FUSED_QKV, IF_SPLIT_GATE_UP, IF_FUSED_GATE_UP,
  IF_QKV_BIAS, IF_OUT_BIAS, IF_MLP_BIAS
} Presence;

typedef struct Row {
  const char *name, *gguf; /* %d: the layer */
  Dim rows, cols;
  Presence presence;
} Row;

static const Row rows[ARCH_ROLE_COUNT] = {
    [ARCH_EMBED] = {"model.embed_tokens.weight", "token_embd.weight", DIM_VOCAB, DIM_WIDTH, ALWAYS},
    [ARCH_FINAL_NORM] = {"model.norm.weight", "output_norm.weight", DIM_WIDTH, DIM_NONE, ALWAYS},
    [ARCH_UNEMBED] = {"lm_head.weight", "output.weight", DIM_VOCAB, DIM_WIDTH, IF_UNTIED},
    [ARCH_NORM_ATTN] = {"model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight", DIM_WIDTH, DIM_NONE, IF_PRE_NORM},
    [ARCH_Q] = {"model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", DIM_QUERY, DIM_WIDTH, IF_SPLIT_QKV},
    [ARCH_K] = {"model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", DIM_KEY, DIM_WIDTH, IF_SPLIT_QKV},
    [ARCH_V] = {"model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", DIM_KEY, DIM_WIDTH, IF_SPLIT_QKV},
    [ARCH_OUT] = {"model.layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", DIM_WIDTH, DIM_QUERY, ALWAYS},
    [ARCH_NORM_MLP] = {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight", DIM_WIDTH, DIM_NONE, IF_OWN_PRE_NORM},
    [ARCH_GATE] = {"model.layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", DIM_FEED, DIM_WIDTH, IF_SPLIT_GATE_UP},
    [ARCH_UP] = {"model.layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight", DIM_FEED, DIM_WIDTH, IF_SPLIT_GATE_UP},
    [ARCH_DOWN] = {"model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", DIM_WIDTH, DIM_FEED, ALWAYS},
    [ARCH_QKV] = {"model.layers.%d.self_attn.qkv_proj.weight", "blk.%d.attn_qkv.weight", DIM_QKV, DIM_WIDTH, IF_FUSED_QKV},
    [ARCH_GATE_UP] = {"model.layers.%d.mlp.gate_up_proj.weight", "blk.%d.ffn_up.weight", DIM_TWO_FEED, DIM_WIDTH, IF_FUSED_GATE_UP},
    [ARCH_POST_ATTN] = {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.post_attention_norm.weight", DIM_WIDTH, DIM_NONE, IF_POST_NORM},
    [ARCH_POST_MLP] = {"model.layers.%d.post_feedforward_layernorm.weight", "blk.%d.post_ffw_norm.weight", DIM_WIDTH, DIM_NONE, IF_POST_NORM},
    [ARCH_Q_NORM] = {"model.layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight", DIM_QUERY, DIM_NONE, IF_QK_NORM},
    [ARCH_K_NORM] = {"model.layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight", DIM_KEY, DIM_NONE, IF_QK_NORM},
    [ARCH_Q_BIAS] = {"model.layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", DIM_QUERY, DIM_NONE, IF_QKV_BIAS},
    [ARCH_K_BIAS] = {"model.layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", DIM_KEY, DIM_NONE, IF_QKV_BIAS},
    [ARCH_V_BIAS] = {"model.layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", DIM_KEY, DIM_NONE, IF_QKV_BIAS},
    [ARCH_OUT_BIAS] = {"model.layers.%d.self_attn.o_proj.bias", "blk.%d.attn_output.bias", DIM_WIDTH, DIM_NONE, IF_OUT_BIAS},
    [ARCH_GATE_BIAS] = {"model.layers.%d.mlp.gate_proj.bias", "blk.%d.ffn_gate.bias", DIM_FEED, DIM_NONE, IF_MLP_BIAS},
    [ARCH_UP_BIAS] = {"model.layers.%d.mlp.up_proj.bias", "blk.%d.ffn_up.bias", DIM_FEED, DIM_NONE, IF_MLP_BIAS},
    [ARCH_DOWN_BIAS] = {"model.layers.%d.mlp.down_proj.bias", "blk.%d.ffn_down.bias", DIM_WIDTH, DIM_NONE, IF_MLP_BIAS},
};

/* Where a family calls a tensor otherwise. */
static const struct {
  ModelFamily family;
  ArchRole role;
  const char *name;
} other_names[] = {
    {FAMILY_GEMMA2, ARCH_NORM_MLP, "model.layers.%d.pre_feedforward_layernorm.weight"},
    {FAMILY_GEMMA3, ARCH_NORM_MLP, "model.layers.%d.pre_feedforward_layernorm.weight"},
    {FAMILY_GLM4, ARCH_POST_ATTN, "model.layers.%d.post_self_attn_layernorm.weight"},
    {FAMILY_GLM4, ARCH_POST_MLP, "model.layers.%d.post_mlp_layernorm.weight"},
};

bool arch_has(const ModelConfig *c, ArchRole role) {
  switch (rows[role].presence) {
    case ALWAYS: return true;
    case IF_UNTIED: return !c->tied_embeddings;
    case IF_PRE_NORM: return c->pre_norm;
    case IF_OWN_PRE_NORM: return c->pre_norm && !c->parallel; /* parallel modules read one norm's output */
    case IF_POST_NORM: return c->post_norm;
    case IF_QK_NORM: return c->qk_norm != QK_NORM_NONE;
    case IF_SPLIT_QKV: return !c->fused_qkv;
    case IF_FUSED_QKV: return c->fused_qkv;
    case IF_SPLIT_GATE_UP: return !c->fused_gate_up;
    case IF_FUSED_GATE_UP: return c->fused_gate_up;
    case IF_QKV_BIAS: return c->qkv_bias;
    case IF_OUT_BIAS: return c->out_bias;
    case IF_MLP_BIAS: return c->mlp_bias;
  }
  return false;
}

void arch_tensor_name(const ModelConfig *c, ArchRole role, int layer, char name[ARCH_NAME_SIZE]) {
  const bool gguf = c->names == NAMES_GGUF;
  const char *pattern = gguf ? rows[role].gguf : rows[role].name;
  for (size_t i = 0; !gguf && i < sizeof other_names / sizeof *other_names; i++)
    if (other_names[i].family == c->family && other_names[i].role == role) pattern = other_names[i].name;
  const char *mark = strstr(pattern, "%d");
  if (!mark) {
    snprintf(name, ARCH_NAME_SIZE, "%s", pattern);
    return;
  }
  snprintf(name, ARCH_NAME_SIZE, "%.*s%d%s", (int)(mark - pattern), pattern, layer, mark + 2);
}

static int64_t dim_size(const ModelConfig *c, Dim dim) {
  switch (dim) {
    case DIM_NONE: return 1;
    case DIM_WIDTH: return c->width;
    case DIM_QUERY: return (int64_t)c->heads * c->head_dim;
    case DIM_KEY: return (int64_t)c->kv_heads * c->head_dim;
    case DIM_QKV: return (int64_t)(c->heads + 2 * c->kv_heads) * c->head_dim;
    case DIM_FEED: return c->feed_forward;
    case DIM_TWO_FEED: return 2 * (int64_t)c->feed_forward;
    case DIM_VOCAB: return c->vocab;
  }
  return 0;
}

ArchShape arch_shape(const ModelConfig *c, ArchRole role) {
  const Row *row = &rows[role];
  if (rows[role].presence == IF_QK_NORM && c->qk_norm != QK_NORM_WHOLE) { /* of a head: one weight for all, or one each */
    const bool own = c->qk_norm == QK_NORM_OWN_HEAD;
    const int64_t heads = role == ARCH_Q_NORM ? c->heads : c->kv_heads;
    return (ArchShape){.dims = own ? 2 : 1, .rows = own ? heads : c->head_dim, .cols = own ? c->head_dim : 1};
  }
  return (ArchShape){.dims = row->cols == DIM_NONE ? 1 : 2, .rows = dim_size(c, row->rows), .cols = dim_size(c, row->cols)};
}

int arch_window(const ModelConfig *c, int layer) { return c->kinds[layer].sliding ? c->sliding_window : 0; }

int arch_rotaries(const ModelConfig *c) {
  int count = 1;
  for (int l = 0; l < c->layers; l++)
    if (c->kinds[l].rotary >= count) count = c->kinds[l].rotary + 1;
  return count;
}
