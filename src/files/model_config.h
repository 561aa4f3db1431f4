/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and generation_config.json as validated numbers. Unknown keys are ignored,
 * contradictory ones refused by name. */
#ifndef FILES_MODEL_CONFIG_H
#define FILES_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "xtransplant/model.h"

typedef enum RopeScaling {
  ROPE_SCALING_NONE = 0, ROPE_SCALING_LINEAR, ROPE_SCALING_LLAMA3, ROPE_SCALING_DYNAMIC, ROPE_SCALING_YARN
} RopeScaling;

typedef enum NormKind { NORM_RMS = 0, NORM_LAYER } NormKind;
typedef enum RopeStyle { ROPE_HALVES = 0, ROPE_PAIRS } RopeStyle;
/* silu(x) = x / (1 + e^-x); gelu(x) = x Phi(x), and its form with tanh (Hendrycks & Gimpel 2016) */
typedef enum Activation { ACTIVATION_SILU = 0, ACTIVATION_GELU_TANH, ACTIVATION_COUNT } Activation;

typedef struct ModelConfig {
  char architecture[64];          /* first of "architectures" */
  int layers, width, heads, kv_heads, head_dim, feed_forward, vocab, max_positions;
  double rope_theta, norm_eps;
  RopeScaling rope_scaling;
  double rope_factor;             /* linear, llama3, dynamic, yarn */
  double rope_low_freq, rope_high_freq; /* llama3 */
  double rope_attention_factor;   /* yarn: attention_factor, 0: derived from factor */
  double rope_beta_fast, rope_beta_slow; /* yarn */
  int rope_original_positions;    /* llama3, yarn */
  bool tied_embeddings;
  bool attention_bias;            /* Llama: q,k,v AND o carry a bias */
  bool mlp_bias;
  int sliding_window;             /* 0: none; a key is seen while query - key < window */
  int sliding_from_layer;         /* layers below it see everything (Qwen2: max_window_layers) */
  char activation[32];            /* "silu" */
  char dtype[16];                 /* torch_dtype / dtype, "" when absent */
  int bos;                        /* -1: none */
  int eos_count;
  int32_t eos[XT_EOS_MAX];        /* generation_config.json's when it gives any, else config.json's */
  double repetition_penalty;      /* 1: none */
} ModelConfig;

xt_status model_config_load(const char *directory, ModelConfig *out, xt_error *error);

#endif
