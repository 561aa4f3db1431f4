/* SPDX-License-Identifier: Apache-2.0 */
/* The families, as transformers 5.23 has them: one entry per family, with what it differs in.
 * Defaults are those of its configuration classes, except that the sizes that the weights determine
 * (layers, widths, vocabulary) must be given, because a default could only be wrong. */
#include <stdio.h>
#include <string.h>

#include "files/config_parts.h"

#define LLAMA_LIKE(theta)                                                                  \
  .pre_norm = true, .activation_key = "hidden_act", .norm_eps = 1e-6, .rope_theta = theta, \
  .rotary_part = 1
#define GEMMA_LIKE                                                                              \
  .adds_one = true, .pre_norm = true, .post_norm = true, .activation_key = "hidden_activation", \
  .activation = ACTIVATION_GELU_TANH, .bias = BIAS_ALL_BY_KEY, .window = WINDOW_PATTERN,        \
  .layer_types = true, .tied = true, .odd_heads = true, .kv_heads = 4, .head_dim = 256,         \
  .sliding_window = 4096, .norm_eps = 1e-6, .rotary_part = 1, .bos = 2, .eos = {1},             \
  .embedding_by_width = true
#define GEMMA_SCALES(score_cap, logit_cap)                        \
  {                                                               \
    {"query_pre_attn_scalar", SCALE_QUERY, 256},                  \
        {"attn_logit_softcapping", SCALE_SCORE_CAP, score_cap}, { \
      "final_logit_softcapping", SCALE_LOGIT_CAP, logit_cap       \
    }                                                             \
  }
#define COHERE_LIKE                                                                                \
  .norm = NORM_LAYER, .pre_norm = true, .parallel = true, .shared_norm = true,                     \
  .activation_key = "hidden_act", .bias = BIAS_ALL_BY_KEY, .rope_style = ROPE_PAIRS, .tied = true, \
  .max_positions = 8192, .norm_eps = 1e-5, .rotary_part = 1, .bos = 5, .eos = {255001},            \
  .scales = {{"logit_scale", SCALE_LOGITS, 0.0625}}
#define OLMO_LIKE                                                                                \
  .post_norm = true, .qk_norm = QK_NORM_WHOLE, .activation_key = "hidden_act",                   \
  .bias = BIAS_ALL_BY_KEY, .max_positions = 2048, .norm_eps = 1e-5, .rotary_part = 1, .bos = -1, \
  .eos = {50279}
#define GPT_LIKE                                                                              \
  .norm = NORM_LAYER, .norm_bias = true, .pre_norm = true, .no_gate = true, .mlp_bias = true, \
  .max_positions = 2048, .norm_eps = 1e-5

const Family config_families[FAMILY_COUNT] = {
    [FAMILY_LLAMA] = {"LlamaForCausalLM", "llama", LLAMA_LIKE(10000), .bias = BIAS_ALL_BY_KEY,
                      .has_mlp_bias = true, .max_positions = 2048, .bos = 1, .eos = {2}},
    [FAMILY_MISTRAL] = {"MistralForCausalLM", "mistral", LLAMA_LIKE(10000), .window = WINDOW_ALL,
                        .odd_heads = true, .kv_heads = 8, .max_positions = 131072,
                        .sliding_window = 4096, .bos = 1, .eos = {2}},
    [FAMILY_QWEN2] = {"Qwen2ForCausalLM", "qwen2", LLAMA_LIKE(10000), .bias = BIAS_QKV,
                      .window = WINDOW_FROM, .layer_types = true, .odd_heads = true, .kv_heads = 32,
                      .max_positions = 32768, .sliding_window = 4096, .bos = -1, .eos = {-1}},
    [FAMILY_QWEN3] = {"Qwen3ForCausalLM", "qwen3", LLAMA_LIKE(10000), .qk_norm = QK_NORM_HEAD,
                      .bias = BIAS_ALL_BY_KEY, .window = WINDOW_FROM, .layer_types = true,
                      .odd_heads = true, .kv_heads = 32, .head_dim = 128, .max_positions = 32768,
                      .sliding_window = 4096, .bos = -1, .eos = {-1}},
    [FAMILY_MIXTRAL] = {"MixtralForCausalLM", "mixtral", LLAMA_LIKE(1000000), .window = WINDOW_ALL,
                        .odd_heads = true, .experts = 8, .experts_used = 2, .kv_heads = 8,
                        .max_positions = 131072, .bos = 1, .eos = {2}},
    [FAMILY_QWEN3_MOE] = {"Qwen3MoeForCausalLM", "qwen3_moe", LLAMA_LIKE(10000),
                          .qk_norm = QK_NORM_HEAD, .bias = BIAS_ALL_BY_KEY,
                          .window = WINDOW_SWITCHED, .odd_heads = true, .experts = 128,
                          .experts_used = 8, .expert_feed_key = "moe_intermediate_size",
                          .shares_by_key = true, .kv_heads = 4, .max_positions = 32768,
                          .sliding_window = 4096, .bos = -1, .eos = {-1}},
    [FAMILY_GEMMA2] = {"Gemma2ForCausalLM", "gemma2", GEMMA_LIKE, .scales = GEMMA_SCALES(50, 30),
                       .max_positions = 8192, .sliding_pattern = 2, .rope_theta = 10000},
    [FAMILY_GEMMA3] = {"Gemma3ForCausalLM", "gemma3_text", GEMMA_LIKE, .scales = GEMMA_SCALES(0, 0),
                       .qk_norm = QK_NORM_HEAD, .rotary = ROTARY_BY_TYPE, .max_positions = 131072,
                       .sliding_pattern = 6, .rope_theta = 1000000, .sliding_theta = 10000},
    [FAMILY_COHERE] = {"CohereForCausalLM", "cohere", COHERE_LIKE, .qk_norm_key = "use_qk_norm",
                       .rope_theta = 500000},
    [FAMILY_COHERE2] = {"Cohere2ForCausalLM", "cohere2", COHERE_LIKE, .window = WINDOW_PATTERN,
                        .layer_types = true, .rotary = ROTARY_SLIDING, .sliding_window = 4096,
                        .sliding_pattern = 4, .rope_theta = 10000},
    [FAMILY_OLMO2] = {"Olmo2ForCausalLM", "olmo2", OLMO_LIKE, .rope_theta = 10000},
    [FAMILY_OLMO3] = {"Olmo3ForCausalLM", "olmo3", OLMO_LIKE, .window = WINDOW_PATTERN,
                      .layer_types = true, .rotary = ROTARY_BY_TYPE, .sliding_window = 4096,
                      .sliding_pattern = 4, .rope_theta = 500000,
                      .sliding_theta = 500000 /* whatever "rope_theta" says */},
    [FAMILY_MINISTRAL] = {"MinistralForCausalLM", "ministral", LLAMA_LIKE(10000),
                          .window = WINDOW_ALL, .layer_types = true, .odd_heads = true,
                          .kv_heads = 8, .max_positions = 131072, .sliding_window = 4096, .bos = 1,
                          .eos = {2}},
    [FAMILY_SMOLLM3] = {"SmolLM3ForCausalLM", "smollm3", LLAMA_LIKE(2000000),
                        .bias = BIAS_ALL_BY_KEY, .has_mlp_bias = true, .window = WINDOW_ROTARY,
                        .layer_types = true, .rotary = ROTARY_LISTED, .tied = true, .kv_heads = 4,
                        .max_positions = 32768, .bos = 128000, .eos = {128001}},
    [FAMILY_GRANITE] = {"GraniteForCausalLM", "granite", LLAMA_LIKE(10000), .bias = BIAS_ALL_BY_KEY,
                        .has_mlp_bias = true, .max_positions = 2048, .bos = 1, .eos = {2},
                        .scales = {{"embedding_multiplier", SCALE_EMBEDDING, 1},
                                   {"residual_multiplier", SCALE_RESIDUAL, 1},
                                   {"attention_multiplier", SCALE_SCORES, 1},
                                   {"logits_scaling", SCALE_LOGIT_DIVISOR, 1}}},
    [FAMILY_GLM4] = {"Glm4ForCausalLM", "glm4", .pre_norm = true, .post_norm = true,
                     .fused_gate_up = true, .activation_key = "hidden_act", .bias = BIAS_QKV_BY_KEY,
                     .bias_default = true, .rope_style = ROPE_PAIRS, .odd_heads = true,
                     .kv_heads = 2, .head_dim = 128, .max_positions = 131072, .norm_eps = 1.5625e-7,
                     .rope_theta = 10000, .rotary_part = 0.5, .rotary_part_key = true, .bos = -1,
                     .eos = {151329, 151336, 151338}},
    [FAMILY_EXAONE4] = {"Exaone4ForCausalLM", "exaone4", .post_norm = true, .qk_norm = QK_NORM_HEAD,
                        .activation_key = "hidden_act", .window = WINDOW_PATTERN,
                        .layer_types = true, .rotary = ROTARY_SLIDING_OR_ALL, .odd_heads = true,
                        .kv_heads = 32, .max_positions = 2048, .sliding_window = 4096,
                        .sliding_pattern = 4, .norm_eps = 1e-5, .rope_theta = 10000,
                        .rotary_part = 1, .bos = 0, .eos = {2}},
    [FAMILY_PHI3] = {"Phi3ForCausalLM", "phi3", .pre_norm = true, .fused_qkv = true,
                     .fused_gate_up = true, .activation_key = "hidden_act", .window = WINDOW_ALL,
                     .odd_heads = true, .max_positions = 4096, .norm_eps = 1e-5,
                     .rope_theta = 10000, .rotary_part = 1, .rotary_part_key = true, .bos = 1,
                     .eos = {32000}},
    [FAMILY_APERTUS] = {"ApertusForCausalLM", "apertus", .pre_norm = true, .qk_norm = QK_NORM_HEAD,
                        .no_gate = true, .activation_key = "hidden_act",
                        .activation = ACTIVATION_XIELU, .bias = BIAS_ALL_BY_KEY,
                        .max_positions = 65536, .norm_eps = 1e-5, .rope_theta = 12000000,
                        .rotary_part = 1, .bos = 1, .eos = {2}},
    [FAMILY_HUNYUAN] = {"HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", .pre_norm = true,
                        .qk_norm = QK_NORM_HEAD, .qk_norm_late = true,
                        .activation_key = "hidden_act", .bias = BIAS_ALL_BY_KEY, .odd_heads = true,
                        .max_positions = 2048, .norm_eps = 1e-5, .rope_theta = 10000,
                        .rotary_part = 1, .bos = 1, .eos = {2}},
    [FAMILY_MINISTRAL3] = {"Ministral3ForCausalLM", "ministral3", LLAMA_LIKE(1000000),
                           .window = WINDOW_ALL, .odd_heads = true, .queries_apart = true,
                           .kv_heads = 8, .head_dim = 128, .max_positions = 262144, .bos = 1,
                           .eos = {2}},
    [FAMILY_NEOX] = {"GPTNeoXForCausalLM", "gpt_neox", GPT_LIKE, .parallel = true,
                     .fused_qkv = true, .qkv_by_head = true, .activation_key = "hidden_act",
                     .activation = ACTIVATION_GELU, .bias = BIAS_ALL_BY_KEY, .bias_default = true,
                     .theta_key = "rotary_emb_base", .part_key = "rotary_pct", .rope_theta = 10000,
                     .rotary_part = 0.25, .rotary_part_key = true, .bos = 0, .eos = {2}},
    [FAMILY_BLOOM] = {"BloomForCausalLM",
                      "bloom",
                      GPT_LIKE,
                      .fused_qkv = true,
                      .qkv_by_head = true,
                      .embed_norm = true,
                      .alibi = true,
                      .unbounded = true,
                      .activation = ACTIVATION_GELU_TANH,
                      .bias = BIAS_ALL,
                      .rotary = ROTARY_NONE,
                      .layers_key = "n_layer",
                      .heads_key = "n_head",
                      .width_key = "n_embed",
                      .eps_key = "layer_norm_epsilon",
                      .positions_key = "seq_length",
                      .feed_times = 4,
                      .tied = true,
                      .rope_theta = 10000,
                      .rotary_part = 1,
                      .bos = 1,
                      .eos = {2}},
    [FAMILY_XGLM] = {"XGLMForCausalLM", "xglm", GPT_LIKE, .sinusoids = true, .unbounded = true,
                     .activation_key = "activation_function", .activation = ACTIVATION_GELU,
                     .bias = BIAS_ALL, .rotary = ROTARY_NONE, .layers_key = "num_layers",
                     .heads_key = "attention_heads", .width_key = "d_model", .feed_key = "ffn_dim",
                     .tied = true, .rope_theta = 10000, .rotary_part = 1, .bos = 0, .eos = {2}},
};

const char *config_family_names(void) {
  return "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, "
         "MixtralForCausalLM, Qwen3MoeForCausalLM, "
         "Gemma2ForCausalLM, Gemma3ForCausalLM, CohereForCausalLM, "
         "Cohere2ForCausalLM, Olmo2ForCausalLM, Olmo3ForCausalLM, MinistralForCausalLM, "
         "SmolLM3ForCausalLM, GraniteForCausalLM, Glm4ForCausalLM, "
         "Exaone4ForCausalLM, Phi3ForCausalLM, ApertusForCausalLM, HunYuanDenseV1ForCausalLM, "
         "Ministral3ForCausalLM, GPTNeoXForCausalLM, "
         "BloomForCausalLM, XGLMForCausalLM";
}
_Static_assert(FAMILY_COUNT == 24, "config_family_names names every family");
