/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and generation_config.json, or what a GGUF file says in their place, as validated
 * numbers: all that tells one architecture from another. Loading, the forward pass, the sweep and
 * training read this description; none of them asks for a family's name.
 * Unknown keys are ignored, contradictory ones refused by name. */
#ifndef FILES_MODEL_CONFIG_H
#define FILES_MODEL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "files/packed.h"
#include "xtransplant/model.h"

#define MODEL_LAYERS_MAX 1024 /* no model has a third of that */
#define MODEL_POSITIONS_MAX (1 << 30)
#define MODEL_EXPERTS_MAX 1024
#define MODEL_ROTARIES 2     /* rotary bases that one model's layers can differ in */
#define ROPE_FACTORS_MAX 256 /* one for each pair of a head */

typedef enum ModelFamily {
  FAMILY_LLAMA = 0,
  FAMILY_MISTRAL,
  FAMILY_QWEN2,
  FAMILY_QWEN3,
  FAMILY_MIXTRAL,
  FAMILY_QWEN3_MOE,
  FAMILY_GEMMA2,
  FAMILY_GEMMA3,
  FAMILY_COHERE,
  FAMILY_COHERE2,
  FAMILY_OLMO2,
  FAMILY_OLMO3,
  FAMILY_MINISTRAL,
  FAMILY_SMOLLM3,
  FAMILY_GRANITE,
  FAMILY_GLM4,
  FAMILY_EXAONE4,
  FAMILY_PHI3,
  FAMILY_APERTUS,
  FAMILY_HUNYUAN,
  FAMILY_MINISTRAL3,
  FAMILY_NEOX,
  FAMILY_BLOOM,
  FAMILY_XGLM,
  FAMILY_COUNT
} ModelFamily;

typedef enum NormKind { NORM_RMS = 0, NORM_LAYER } NormKind;

/* What queries and keys are normalised by: nothing; each head with one weight for all, [head_dim];
 * each head with its own, [heads, head_dim]; or all heads together, [heads head_dim]. */
typedef enum QkNorm { QK_NORM_NONE = 0, QK_NORM_HEAD, QK_NORM_OWN_HEAD, QK_NORM_WHOLE } QkNorm;

/* silu(x) = x / (1 + e^-x); gelu(x) = x Phi(x), in its form with tanh and as it is (Hendrycks &
 * Gimpel 2016); xIELU, whose four numbers are learned (Huang & Schlag 2024) */
typedef enum Activation {
  ACTIVATION_SILU = 0,
  ACTIVATION_GELU_TANH,
  ACTIVATION_GELU,
  ACTIVATION_XIELU,
  ACTIVATION_COUNT
} Activation;

/* xIELU with alpha_p, alpha_n, beta, eps: x > 0: alpha_p x^2 + beta x; else alpha_n (expm1(min(x,
 * eps)) - x) + beta x. */
typedef struct XieluNumbers {
  float positive, negative, beta, eps;
} XieluNumbers;

/* which numbers are rotated together: k and k + width/2, or 2k and 2k + 1 */
typedef enum RopeStyle { ROPE_HALVES = 0, ROPE_PAIRS } RopeStyle;

typedef enum RopeScaling {
  ROPE_SCALING_NONE = 0,
  ROPE_SCALING_LINEAR,
  ROPE_SCALING_LLAMA3,
  ROPE_SCALING_DYNAMIC,
  ROPE_SCALING_YARN,
  ROPE_SCALING_LONGROPE,
  ROPE_SCALING_TABLE /* each frequency divided by a factor of its own: GGUF's rope_freqs.weight,
                        which has no name in config.json */
} RopeScaling;

/* What a file calls its tensors. */
typedef enum TensorNames { NAMES_HUGGING_FACE = 0, NAMES_GGUF } TensorNames;

/* One set of rotary angles. */
typedef struct Rotary {
  double theta;
  RopeScaling scaling;
  double factor;               /* linear, llama3, dynamic, yarn */
  double low_freq, high_freq;  /* llama3 */
  double attention_factor;     /* yarn, longrope: 0: derived from factor */
  double beta_fast, beta_slow; /* yarn */
  /* llama3, yarn; dynamic, longrope: the length beyond which the angles differ */
  int original_positions;
  /* [width/2]: longrope up to that length, and beyond; table: the former alone */
  float short_factor[ROPE_FACTORS_MAX], long_factor[ROPE_FACTORS_MAX];
  /* 0: none; else cosines and sines are multiplied by 1 + query_beta ln(1 + floor(position /
   * original_positions)) */
  double query_beta;
} Rotary;

/* What layers of one model differ in. */
typedef struct LayerKind {
  bool sliding;  /* sees ModelConfig.sliding_window positions only */
  int8_t rotary; /* index into ModelConfig.rotary; -1: queries and keys are not rotated */
} LayerKind;

#define GENERATION_IDS_MAX 4096 /* in all lists of a generation_config.json together */

/* Entries of GenerationRules.ids. */
typedef struct IdRange {
  int start, count;
} IdRange;

/* Settings of generate that make some tokens impossible at some step, or all but some. "The text"
 * is the prompt and what has been generated of the response. */
typedef struct GenerationRules {
  bool any; /* whether any of those below is present */
  /* no sequence of this many tokens occurs twice in the text; 0: no such rule */
  int no_repeat_ngram;
  int min_length; /* no EOS before the text has this many tokens */
  /* no EOS before this many new tokens; if it is given, min_length does not count */
  int min_new_tokens;
  int32_t forced_bos; /* the one token that may follow a text of one token; -1: none */
  IdRange forced_eos; /* one of these is a response's last possible token */
  IdRange suppressed, begin_suppressed; /* never chosen; not as the first token. Both ascending */
  /* for each its length and its ids; the last id does not follow those before it */
  IdRange bad_words;
  int id_count;
  int32_t ids[GENERATION_IDS_MAX];
  char names[200]; /* of the settings that are present, with commas between */
} GenerationRules;

typedef struct ModelConfig {
  ModelFamily family; /* decides the names of tensors and nothing else */
  TensorNames names;
  bool rows_in_pairs;    /* the file has row k of a head's queries and keys beside row k
                                     + head_dim/2 (llama.cpp's "permuted" weights); reading puts
                                     them in order */
  char architecture[64]; /* first of "architectures" */
  int layers, width, heads, kv_heads, head_dim, feed_forward, vocab, max_positions;
  bool unbounded; /* longer prompts than max_positions can be run */

  /* A layer: with n1, n2 its norms before the modules (pre_norm) and p1, p2 those after
   * (post_norm),
   *   serial    m = h + r p1(attention(n1(h))),  o = m + r p2(mlp(n2(m)))
   *   parallel  o = h + attention(n1(h)) + mlp(n2(h)), or with shared_norm mlp(n1(h))
   * r is residual_scale; absent norms change nothing. */
  NormKind norm;
  bool norm_bias;
  bool norm_adds_one; /* the stored norm weight w stands for 1 + w */
  bool pre_norm, post_norm, parallel, shared_norm;
  double norm_eps;
  QkNorm qk_norm;
  bool qk_norm_late; /* after the rotation */
  Activation activation;
  bool no_gate; /* mlp(x) = down(act(up(x))), else down(act(gate(x)) * up(x)) */
  /* 0: no mixture. Else there are `experts` modules mlp_e, and mlp(x) is the sum of p_e mlp_e(x)
   * over the experts_used largest p = softmax(router x), which are divided by their sum if
   * expert_shares (Shazeer et al. 2017; Jiang et al. 2024). */
  int experts, experts_used;
  bool expert_shares;
  bool qkv_bias, out_bias, mlp_bias;
  bool fused_qkv, fused_gate_up; /* q, k, v are one tensor in the file; gate, up are one */
  bool qkv_by_head;              /* the one tensor has q, k, v of the first head, then of the
                                     next; as many key heads as heads */
  bool embed_norm;               /* embeddings are normalised */
  bool sinusoids;                /* positions are added to embeddings as sinusoids (rope.h) */
  bool alibi;                    /* scores are biased by distance (AttendArgs.slopes) */
  float score_scale;             /* of attention scores */
  float embedding_scale, residual_scale, logit_scale; /* 1: none */
  float score_cap, logit_cap;                         /* x becomes cap * tanh(x / cap); 0: none */
  bool tied_embeddings;

  RopeStyle rope_style;
  int rope_width; /* floats of a head that are rotated */
  /* a text that grows beyond longrope's original positions would be run again from its beginning
   * (Phi-3) */
  bool begins_anew;
  bool queries_apart; /* queries are rotated by the set after their layer's */
  Rotary rotary[MODEL_ROTARIES];
  int sliding_window;                /* 0: none; a key is seen while query - key < window */
  LayerKind kinds[MODEL_LAYERS_MAX]; /* [layers] */

  PackedFormat packing; /* quantised matrices in the files */
  char dtype[16];       /* torch_dtype / dtype, "" when absent */
  int bos;              /* -1: none */
  int eos_count;
  int32_t eos[XT_EOS_MAX];   /* generation_config.json's when it gives any, else
                                     config.json's */
  double repetition_penalty; /* 1: none */
  GenerationRules rules;
} ModelConfig;

/* The order of token ids, int32_t, for qsort and bsearch. */
int token_id_compare(const void *a, const void *b);

/* Of a Hugging Face directory, or of a GGUF file. */
xt_status model_config_load(const char *path, ModelConfig *out, xt_error *error);

#endif
