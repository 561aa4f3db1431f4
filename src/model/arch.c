/* SPDX-License-Identifier: Apache-2.0 */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

typedef enum Dim {
  DIM_NONE = 0,
  DIM_ONE,
  DIM_WIDTH,
  DIM_QUERY,
  DIM_KEY,
  DIM_QKV,
  DIM_FEED,
  DIM_TWO_FEED,
  DIM_EXPERTS,
  DIM_VOCAB
} Dim;

/* When a tensor is there. */
typedef enum Presence {
  ALWAYS = 0,
  IF_UNTIED,
  IF_EMBED_NORM,
  IF_EMBED_NORM_BIAS,
  IF_NORM_BIAS,
  IF_PRE_NORM,
  IF_PRE_NORM_BIAS,
  IF_OWN_PRE_NORM,
  IF_OWN_PRE_NORM_BIAS,
  IF_POST_NORM,
  IF_QK_NORM,
  IF_SPLIT_QKV,
  IF_FUSED_QKV,
  IF_GATE,
  IF_SPLIT_GATE_UP,
  IF_FUSED_GATE_UP,
  IF_EXPERTS,
  IF_XIELU,
  IF_SPLIT_QKV_BIAS,
  IF_FUSED_QKV_BIAS,
  IF_OUT_BIAS,
  IF_MLP_BIAS,
  IF_GATE_BIAS
} Presence;

typedef struct RoleEntry {
  const char *name, *gguf; /* %d: the layer; %e: the expert */
  Dim rows, cols;
  Presence presence;
} RoleEntry;

static const RoleEntry entries[ARCH_ROLE_COUNT] = {
    [ARCH_EMBED] = {"model.embed_tokens.weight", "token_embd.weight", DIM_VOCAB, DIM_WIDTH, ALWAYS},
    [ARCH_EMBED_NORM] = {"transformer.word_embeddings_layernorm.weight", "token_embd_norm.weight",
                         DIM_WIDTH, DIM_NONE, IF_EMBED_NORM},
    [ARCH_EMBED_NORM_BIAS] = {"transformer.word_embeddings_layernorm.bias", "token_embd_norm.bias",
                              DIM_WIDTH, DIM_NONE, IF_EMBED_NORM_BIAS},
    [ARCH_FINAL_NORM] = {"model.norm.weight", "output_norm.weight", DIM_WIDTH, DIM_NONE, ALWAYS},
    [ARCH_FINAL_NORM_BIAS] = {"model.norm.bias", "output_norm.bias", DIM_WIDTH, DIM_NONE,
                              IF_NORM_BIAS},
    [ARCH_UNEMBED] = {"lm_head.weight", "output.weight", DIM_VOCAB, DIM_WIDTH, IF_UNTIED},
    [ARCH_NORM_ATTN] = {"model.layers.%d.input_layernorm.weight", "blk.%d.attn_norm.weight",
                        DIM_WIDTH, DIM_NONE, IF_PRE_NORM},
    [ARCH_Q] = {"model.layers.%d.self_attn.q_proj.weight", "blk.%d.attn_q.weight", DIM_QUERY,
                DIM_WIDTH, IF_SPLIT_QKV},
    [ARCH_K] = {"model.layers.%d.self_attn.k_proj.weight", "blk.%d.attn_k.weight", DIM_KEY,
                DIM_WIDTH, IF_SPLIT_QKV},
    [ARCH_V] = {"model.layers.%d.self_attn.v_proj.weight", "blk.%d.attn_v.weight", DIM_KEY,
                DIM_WIDTH, IF_SPLIT_QKV},
    [ARCH_OUT] = {"model.layers.%d.self_attn.o_proj.weight", "blk.%d.attn_output.weight", DIM_WIDTH,
                  DIM_QUERY, ALWAYS},
    [ARCH_NORM_MLP] = {"model.layers.%d.post_attention_layernorm.weight", "blk.%d.ffn_norm.weight",
                       DIM_WIDTH, DIM_NONE, IF_OWN_PRE_NORM},
    [ARCH_GATE] = {"model.layers.%d.mlp.gate_proj.weight", "blk.%d.ffn_gate.weight", DIM_FEED,
                   DIM_WIDTH, IF_GATE},
    [ARCH_UP] = {"model.layers.%d.mlp.up_proj.weight", "blk.%d.ffn_up.weight", DIM_FEED, DIM_WIDTH,
                 IF_SPLIT_GATE_UP},
    [ARCH_DOWN] = {"model.layers.%d.mlp.down_proj.weight", "blk.%d.ffn_down.weight", DIM_WIDTH,
                   DIM_FEED, ALWAYS},
    [ARCH_QKV] = {"model.layers.%d.self_attn.qkv_proj.weight", "blk.%d.attn_qkv.weight", DIM_QKV,
                  DIM_WIDTH, IF_FUSED_QKV},
    [ARCH_GATE_UP] = {"model.layers.%d.mlp.gate_up_proj.weight", "blk.%d.ffn_up.weight",
                      DIM_TWO_FEED, DIM_WIDTH, IF_FUSED_GATE_UP},
    [ARCH_ROUTER] = {"model.layers.%d.mlp.gate.weight", "blk.%d.ffn_gate_inp.weight", DIM_EXPERTS,
                     DIM_WIDTH, IF_EXPERTS},
    [ARCH_POST_ATTN] = {"model.layers.%d.post_attention_layernorm.weight",
                        "blk.%d.post_attention_norm.weight", DIM_WIDTH, DIM_NONE, IF_POST_NORM},
    [ARCH_POST_MLP] = {"model.layers.%d.post_feedforward_layernorm.weight",
                       "blk.%d.post_ffw_norm.weight", DIM_WIDTH, DIM_NONE, IF_POST_NORM},
    [ARCH_Q_NORM] = {"model.layers.%d.self_attn.q_norm.weight", "blk.%d.attn_q_norm.weight",
                     DIM_QUERY, DIM_NONE, IF_QK_NORM},
    [ARCH_K_NORM] = {"model.layers.%d.self_attn.k_norm.weight", "blk.%d.attn_k_norm.weight",
                     DIM_KEY, DIM_NONE, IF_QK_NORM},
    [ARCH_XIELU_POSITIVE] = {"model.layers.%d.mlp.act_fn.alpha_p", "", DIM_ONE, DIM_NONE, IF_XIELU},
    [ARCH_XIELU_NEGATIVE] = {"model.layers.%d.mlp.act_fn.alpha_n", "", DIM_ONE, DIM_NONE, IF_XIELU},
    [ARCH_XIELU_BETA] = {"model.layers.%d.mlp.act_fn.beta", "", DIM_ONE, DIM_NONE, IF_XIELU},
    [ARCH_XIELU_EPS] = {"model.layers.%d.mlp.act_fn.eps", "", DIM_ONE, DIM_NONE, IF_XIELU},
    [ARCH_Q_BIAS] = {"model.layers.%d.self_attn.q_proj.bias", "blk.%d.attn_q.bias", DIM_QUERY,
                     DIM_NONE, IF_SPLIT_QKV_BIAS},
    [ARCH_K_BIAS] = {"model.layers.%d.self_attn.k_proj.bias", "blk.%d.attn_k.bias", DIM_KEY,
                     DIM_NONE, IF_SPLIT_QKV_BIAS},
    [ARCH_V_BIAS] = {"model.layers.%d.self_attn.v_proj.bias", "blk.%d.attn_v.bias", DIM_KEY,
                     DIM_NONE, IF_SPLIT_QKV_BIAS},
    [ARCH_QKV_BIAS] = {"model.layers.%d.self_attn.qkv_proj.bias", "blk.%d.attn_qkv.bias", DIM_QKV,
                       DIM_NONE, IF_FUSED_QKV_BIAS},
    [ARCH_NORM_ATTN_BIAS] = {"model.layers.%d.input_layernorm.bias", "blk.%d.attn_norm.bias",
                             DIM_WIDTH, DIM_NONE, IF_PRE_NORM_BIAS},
    [ARCH_NORM_MLP_BIAS] = {"model.layers.%d.post_attention_layernorm.bias", "blk.%d.ffn_norm.bias",
                            DIM_WIDTH, DIM_NONE, IF_OWN_PRE_NORM_BIAS},
    [ARCH_OUT_BIAS] = {"model.layers.%d.self_attn.o_proj.bias", "blk.%d.attn_output.bias",
                       DIM_WIDTH, DIM_NONE, IF_OUT_BIAS},
    [ARCH_GATE_BIAS] = {"model.layers.%d.mlp.gate_proj.bias", "blk.%d.ffn_gate.bias", DIM_FEED,
                        DIM_NONE, IF_GATE_BIAS},
    [ARCH_UP_BIAS] = {"model.layers.%d.mlp.up_proj.bias", "blk.%d.ffn_up.bias", DIM_FEED, DIM_NONE,
                      IF_MLP_BIAS},
    [ARCH_DOWN_BIAS] = {"model.layers.%d.mlp.down_proj.bias", "blk.%d.ffn_down.bias", DIM_WIDTH,
                        DIM_NONE, IF_MLP_BIAS},
};

/* Tensors that have another name in a family. */
static const struct {
  ModelFamily family;
  ArchRole role;
  const char *name;
} other_names[] = {
    {FAMILY_MIXTRAL, ARCH_ROUTER, "model.layers.%d.block_sparse_moe.gate.weight"},
    {FAMILY_MIXTRAL, ARCH_GATE, "model.layers.%d.block_sparse_moe.experts.%e.w1.weight"},
    {FAMILY_MIXTRAL, ARCH_UP, "model.layers.%d.block_sparse_moe.experts.%e.w3.weight"},
    {FAMILY_MIXTRAL, ARCH_DOWN, "model.layers.%d.block_sparse_moe.experts.%e.w2.weight"},
    {FAMILY_QWEN3_MOE, ARCH_GATE, "model.layers.%d.mlp.experts.%e.gate_proj.weight"},
    {FAMILY_QWEN3_MOE, ARCH_UP, "model.layers.%d.mlp.experts.%e.up_proj.weight"},
    {FAMILY_QWEN3_MOE, ARCH_DOWN, "model.layers.%d.mlp.experts.%e.down_proj.weight"},
    {FAMILY_GEMMA2, ARCH_NORM_MLP, "model.layers.%d.pre_feedforward_layernorm.weight"},
    {FAMILY_GEMMA3, ARCH_NORM_MLP, "model.layers.%d.pre_feedforward_layernorm.weight"},
    {FAMILY_GLM4, ARCH_POST_ATTN, "model.layers.%d.post_self_attn_layernorm.weight"},
    {FAMILY_GLM4, ARCH_POST_MLP, "model.layers.%d.post_mlp_layernorm.weight"},
    {FAMILY_APERTUS, ARCH_NORM_ATTN, "model.layers.%d.attention_layernorm.weight"},
    {FAMILY_APERTUS, ARCH_NORM_MLP, "model.layers.%d.feedforward_layernorm.weight"},
    {FAMILY_HUNYUAN, ARCH_Q_NORM, "model.layers.%d.self_attn.query_layernorm.weight"},
    {FAMILY_HUNYUAN, ARCH_K_NORM, "model.layers.%d.self_attn.key_layernorm.weight"},
    {FAMILY_NEOX, ARCH_EMBED, "gpt_neox.embed_in.weight"},
    {FAMILY_NEOX, ARCH_FINAL_NORM, "gpt_neox.final_layer_norm.weight"},
    {FAMILY_NEOX, ARCH_FINAL_NORM_BIAS, "gpt_neox.final_layer_norm.bias"},
    {FAMILY_NEOX, ARCH_UNEMBED, "embed_out.weight"},
    {FAMILY_NEOX, ARCH_NORM_ATTN, "gpt_neox.layers.%d.input_layernorm.weight"},
    {FAMILY_NEOX, ARCH_NORM_ATTN_BIAS, "gpt_neox.layers.%d.input_layernorm.bias"},
    {FAMILY_NEOX, ARCH_QKV, "gpt_neox.layers.%d.attention.query_key_value.weight"},
    {FAMILY_NEOX, ARCH_QKV_BIAS, "gpt_neox.layers.%d.attention.query_key_value.bias"},
    {FAMILY_NEOX, ARCH_OUT, "gpt_neox.layers.%d.attention.dense.weight"},
    {FAMILY_NEOX, ARCH_OUT_BIAS, "gpt_neox.layers.%d.attention.dense.bias"},
    {FAMILY_NEOX, ARCH_NORM_MLP, "gpt_neox.layers.%d.post_attention_layernorm.weight"},
    {FAMILY_NEOX, ARCH_NORM_MLP_BIAS, "gpt_neox.layers.%d.post_attention_layernorm.bias"},
    {FAMILY_NEOX, ARCH_UP, "gpt_neox.layers.%d.mlp.dense_h_to_4h.weight"},
    {FAMILY_NEOX, ARCH_UP_BIAS, "gpt_neox.layers.%d.mlp.dense_h_to_4h.bias"},
    {FAMILY_NEOX, ARCH_DOWN, "gpt_neox.layers.%d.mlp.dense_4h_to_h.weight"},
    {FAMILY_NEOX, ARCH_DOWN_BIAS, "gpt_neox.layers.%d.mlp.dense_4h_to_h.bias"},
    {FAMILY_BLOOM, ARCH_EMBED, "transformer.word_embeddings.weight"},
    {FAMILY_BLOOM, ARCH_FINAL_NORM, "transformer.ln_f.weight"},
    {FAMILY_BLOOM, ARCH_FINAL_NORM_BIAS, "transformer.ln_f.bias"},
    {FAMILY_BLOOM, ARCH_NORM_ATTN, "transformer.h.%d.input_layernorm.weight"},
    {FAMILY_BLOOM, ARCH_NORM_ATTN_BIAS, "transformer.h.%d.input_layernorm.bias"},
    {FAMILY_BLOOM, ARCH_QKV, "transformer.h.%d.self_attention.query_key_value.weight"},
    {FAMILY_BLOOM, ARCH_QKV_BIAS, "transformer.h.%d.self_attention.query_key_value.bias"},
    {FAMILY_BLOOM, ARCH_OUT, "transformer.h.%d.self_attention.dense.weight"},
    {FAMILY_BLOOM, ARCH_OUT_BIAS, "transformer.h.%d.self_attention.dense.bias"},
    {FAMILY_BLOOM, ARCH_NORM_MLP, "transformer.h.%d.post_attention_layernorm.weight"},
    {FAMILY_BLOOM, ARCH_NORM_MLP_BIAS, "transformer.h.%d.post_attention_layernorm.bias"},
    {FAMILY_BLOOM, ARCH_UP, "transformer.h.%d.mlp.dense_h_to_4h.weight"},
    {FAMILY_BLOOM, ARCH_UP_BIAS, "transformer.h.%d.mlp.dense_h_to_4h.bias"},
    {FAMILY_BLOOM, ARCH_DOWN, "transformer.h.%d.mlp.dense_4h_to_h.weight"},
    {FAMILY_BLOOM, ARCH_DOWN_BIAS, "transformer.h.%d.mlp.dense_4h_to_h.bias"},
    {FAMILY_XGLM, ARCH_FINAL_NORM, "model.layer_norm.weight"},
    {FAMILY_XGLM, ARCH_FINAL_NORM_BIAS, "model.layer_norm.bias"},
    {FAMILY_XGLM, ARCH_NORM_ATTN, "model.layers.%d.self_attn_layer_norm.weight"},
    {FAMILY_XGLM, ARCH_NORM_ATTN_BIAS, "model.layers.%d.self_attn_layer_norm.bias"},
    {FAMILY_XGLM, ARCH_OUT, "model.layers.%d.self_attn.out_proj.weight"},
    {FAMILY_XGLM, ARCH_OUT_BIAS, "model.layers.%d.self_attn.out_proj.bias"},
    {FAMILY_XGLM, ARCH_NORM_MLP, "model.layers.%d.final_layer_norm.weight"},
    {FAMILY_XGLM, ARCH_NORM_MLP_BIAS, "model.layers.%d.final_layer_norm.bias"},
    {FAMILY_XGLM, ARCH_UP, "model.layers.%d.fc1.weight"},
    {FAMILY_XGLM, ARCH_UP_BIAS, "model.layers.%d.fc1.bias"},
    {FAMILY_XGLM, ARCH_DOWN, "model.layers.%d.fc2.weight"},
    {FAMILY_XGLM, ARCH_DOWN_BIAS, "model.layers.%d.fc2.bias"},
};

bool arch_has(const ModelConfig *c, ArchRole role) {
  switch (entries[role].presence) {
    case ALWAYS: return true;
    case IF_UNTIED: return !c->tied_embeddings;
    case IF_EMBED_NORM: return c->embed_norm;
    case IF_EMBED_NORM_BIAS: return c->embed_norm && c->norm_bias;
    case IF_NORM_BIAS: return c->norm_bias;
    case IF_PRE_NORM: return c->pre_norm;
    case IF_PRE_NORM_BIAS: return c->pre_norm && c->norm_bias;
    case IF_OWN_PRE_NORM: return c->pre_norm && !c->shared_norm;
    case IF_OWN_PRE_NORM_BIAS: return c->pre_norm && !c->shared_norm && c->norm_bias;
    case IF_POST_NORM: return c->post_norm;
    case IF_QK_NORM: return c->qk_norm != QK_NORM_NONE;
    case IF_SPLIT_QKV: return !c->fused_qkv;
    case IF_FUSED_QKV: return c->fused_qkv;
    case IF_GATE: return !c->no_gate && !c->fused_gate_up;
    case IF_SPLIT_GATE_UP: return !c->fused_gate_up;
    case IF_FUSED_GATE_UP: return c->fused_gate_up;
    case IF_EXPERTS: return c->experts > 0;
    case IF_XIELU: return c->activation == ACTIVATION_XIELU;
    case IF_SPLIT_QKV_BIAS: return c->qkv_bias && !c->fused_qkv;
    case IF_FUSED_QKV_BIAS: return c->qkv_bias && c->fused_qkv;
    case IF_OUT_BIAS: return c->out_bias;
    case IF_MLP_BIAS: return c->mlp_bias;
    case IF_GATE_BIAS: return c->mlp_bias && !c->no_gate;
  }
  return false;
}

bool arch_of_expert(const ModelConfig *c, ArchRole role) {
  return c->experts > 0 && (role == ARCH_GATE || role == ARCH_UP || role == ARCH_DOWN);
}

bool arch_experts_stacked(const ModelConfig *c, ArchRole role) {
  return c->names == NAMES_GGUF && arch_of_expert(c, role);
}

int arch_count(const ModelConfig *c, ArchRole role) {
  if (!arch_has(c, role)) return 0;
  return (arch_role_in_layer(role) ? c->layers : 1) * (arch_of_expert(c, role) ? c->experts : 1);
}

static const char *name_pattern(const ModelConfig *c, ArchRole role) {
  if (arch_experts_stacked(c, role))
    return role == ARCH_GATE ? "blk.%d.ffn_gate_exps.weight"
           : role == ARCH_UP ? "blk.%d.ffn_up_exps.weight"
                             : "blk.%d.ffn_down_exps.weight";
  if (c->names == NAMES_GGUF) return entries[role].gguf;
  for (size_t i = 0; i < sizeof other_names / sizeof *other_names; i++)
    if (other_names[i].family == c->family && other_names[i].role == role)
      return other_names[i].name;
  return entries[role].name;
}

void arch_expert_name(const ModelConfig *c, ArchRole role, int layer, int expert,
                      char name[ARCH_NAME_SIZE]) {
  size_t at = 0;
  for (const char *p = name_pattern(c, role); *p && at + 12 < ARCH_NAME_SIZE; p++)
    if (*p == '%')
      at += (size_t)snprintf(name + at, ARCH_NAME_SIZE - at, "%d", *++p == 'e' ? expert : layer);
    else
      name[at++] = *p;
  name[at] = '\0';
}

void arch_tensor_name(const ModelConfig *c, ArchRole role, int layer, char name[ARCH_NAME_SIZE]) {
  arch_expert_name(c, role, layer, 0, name);
}

const char *arch_other_name(ArchRole role, const char *name) {
  return role == ARCH_UNEMBED ? entries[ARCH_UNEMBED].name : strchr(name, '.') + 1;
}

bool arch_head_differs(const ModelConfig *c, const Checkpoint *checkpoint) {
  char embed[ARCH_NAME_SIZE], unembed[ARCH_NAME_SIZE];
  if (!c->tied_embeddings) return false;
  arch_tensor_name(c, ARCH_EMBED, 0, embed);
  arch_tensor_name(c, ARCH_UNEMBED, 0, unembed);
  const Tensor *e = checkpoint_find(checkpoint, embed), *u = checkpoint_find(checkpoint, unembed);
  if (!e) e = checkpoint_find(checkpoint, arch_other_name(ARCH_EMBED, embed));
  if (!u) u = checkpoint_find(checkpoint, arch_other_name(ARCH_UNEMBED, unembed));
  if (!e || !u) return false;
  return u->packed || e->dtype != u->dtype || e->bytes != u->bytes ||
         (e->data != u->data && memcmp(e->data, u->data, e->bytes) != 0);
}

static int64_t dim_size(const ModelConfig *c, Dim dim) {
  switch (dim) {
    case DIM_NONE:
    case DIM_ONE: return 1;
    case DIM_WIDTH: return c->width;
    case DIM_QUERY: return (int64_t)c->heads * c->head_dim;
    case DIM_KEY: return (int64_t)c->kv_heads * c->head_dim;
    case DIM_QKV: return (int64_t)(c->heads + 2 * c->kv_heads) * c->head_dim;
    case DIM_FEED: return c->feed_forward;
    case DIM_TWO_FEED: return 2 * (int64_t)c->feed_forward;
    case DIM_EXPERTS: return c->experts;
    case DIM_VOCAB: return c->vocab;
  }
  return 0;
}

ArchShape arch_shape(const ModelConfig *c, ArchRole role) {
  const RoleEntry *entry = &entries[role];
  /* norms of heads: one weight for all heads, or one for each */
  if (entries[role].presence == IF_QK_NORM && c->qk_norm != QK_NORM_WHOLE) {
    const bool own = c->qk_norm == QK_NORM_OWN_HEAD;
    const int64_t heads = role == ARCH_Q_NORM ? c->heads : c->kv_heads;
    return (ArchShape){
        .dims = own ? 2 : 1, .rows = own ? heads : c->head_dim, .cols = own ? c->head_dim : 1};
  }
  return (ArchShape){.dims = entry->cols == DIM_NONE ? 1 : 2,
                     .rows = dim_size(c, entry->rows),
                     .cols = dim_size(c, entry->cols)};
}

int arch_window(const ModelConfig *c, int layer) {
  return c->kinds[layer].sliding ? c->sliding_window : 0;
}

int arch_rotaries(const ModelConfig *c) {
  int count = 0;
  for (int l = 0; l < c->layers; l++)
    if (c->kinds[l].rotary >= count) count = c->kinds[l].rotary + 1;
  if (c->queries_apart) count++;
  return count;
}
