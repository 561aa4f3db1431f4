/* SPDX-License-Identifier: Apache-2.0 */
#include "model/arch.h"

#include <stdio.h>
#include <string.h>

typedef enum Dim { DIM_NONE = 0, DIM_WIDTH, DIM_QUERY, DIM_KEY, DIM_FEED, DIM_VOCAB } Dim;

/* When a tensor is there. */
typedef enum Presence { ALWAYS = 0, IF_UNTIED, IF_QKV_BIAS, IF_OUT_BIAS, IF_MLP_BIAS } Presence;

typedef struct Row {
  const char *name; /* %d: the layer */
  Dim rows, cols;
  Presence presence;
} Row;

static const Row rows[ARCH_ROLE_COUNT] = {
    [ARCH_EMBED] = {"model.embed_tokens.weight", DIM_VOCAB, DIM_WIDTH, ALWAYS},
    [ARCH_FINAL_NORM] = {"model.norm.weight", DIM_WIDTH, DIM_NONE, ALWAYS},
    [ARCH_UNEMBED] = {"lm_head.weight", DIM_VOCAB, DIM_WIDTH, IF_UNTIED},
    [ARCH_NORM_ATTN] = {"model.layers.%d.input_layernorm.weight", DIM_WIDTH, DIM_NONE, ALWAYS},
    [ARCH_Q] = {"model.layers.%d.self_attn.q_proj.weight", DIM_QUERY, DIM_WIDTH, ALWAYS},
    [ARCH_K] = {"model.layers.%d.self_attn.k_proj.weight", DIM_KEY, DIM_WIDTH, ALWAYS},
    [ARCH_V] = {"model.layers.%d.self_attn.v_proj.weight", DIM_KEY, DIM_WIDTH, ALWAYS},
    [ARCH_OUT] = {"model.layers.%d.self_attn.o_proj.weight", DIM_WIDTH, DIM_QUERY, ALWAYS},
    [ARCH_NORM_MLP] = {"model.layers.%d.post_attention_layernorm.weight", DIM_WIDTH, DIM_NONE, ALWAYS},
    [ARCH_GATE] = {"model.layers.%d.mlp.gate_proj.weight", DIM_FEED, DIM_WIDTH, ALWAYS},
    [ARCH_UP] = {"model.layers.%d.mlp.up_proj.weight", DIM_FEED, DIM_WIDTH, ALWAYS},
    [ARCH_DOWN] = {"model.layers.%d.mlp.down_proj.weight", DIM_WIDTH, DIM_FEED, ALWAYS},
    [ARCH_Q_BIAS] = {"model.layers.%d.self_attn.q_proj.bias", DIM_QUERY, DIM_NONE, IF_QKV_BIAS},
    [ARCH_K_BIAS] = {"model.layers.%d.self_attn.k_proj.bias", DIM_KEY, DIM_NONE, IF_QKV_BIAS},
    [ARCH_V_BIAS] = {"model.layers.%d.self_attn.v_proj.bias", DIM_KEY, DIM_NONE, IF_QKV_BIAS},
    [ARCH_OUT_BIAS] = {"model.layers.%d.self_attn.o_proj.bias", DIM_WIDTH, DIM_NONE, IF_OUT_BIAS},
    [ARCH_GATE_BIAS] = {"model.layers.%d.mlp.gate_proj.bias", DIM_FEED, DIM_NONE, IF_MLP_BIAS},
    [ARCH_UP_BIAS] = {"model.layers.%d.mlp.up_proj.bias", DIM_FEED, DIM_NONE, IF_MLP_BIAS},
    [ARCH_DOWN_BIAS] = {"model.layers.%d.mlp.down_proj.bias", DIM_WIDTH, DIM_NONE, IF_MLP_BIAS},
};

/* Qwen2's q, k and v always carry a bias, its o never; Llama's all four do when attention_bias says so. */
static bool qkv_bias(const ModelConfig *c) {
  return c->attention_bias || strcmp(c->architecture, "Qwen2ForCausalLM") == 0;
}

bool arch_has(const ModelConfig *c, ArchRole role) {
  switch (rows[role].presence) {
    case ALWAYS: return true;
    case IF_UNTIED: return !c->tied_embeddings;
    case IF_QKV_BIAS: return qkv_bias(c);
    case IF_OUT_BIAS: return c->attention_bias;
    case IF_MLP_BIAS: return c->mlp_bias;
  }
  return false;
}

void arch_tensor_name(ArchRole role, int layer, char name[ARCH_NAME_SIZE]) {
  const char *pattern = rows[role].name, *mark = strstr(pattern, "%d");
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
    case DIM_FEED: return c->feed_forward;
    case DIM_VOCAB: return c->vocab;
  }
  return 0;
}

ArchShape arch_shape(const ModelConfig *c, ArchRole role) {
  const Row *row = &rows[role];
  return (ArchShape){.dims = row->cols == DIM_NONE ? 1 : 2, .rows = dim_size(c, row->rows), .cols = dim_size(c, row->cols)};
}

int arch_window(const ModelConfig *c, int layer) { return layer >= c->sliding_from_layer ? c->sliding_window : 0; }
