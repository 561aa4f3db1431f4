/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that read config.json share: the table of families, and members of the file with
 * their errors. */
#ifndef FILES_CONFIG_PARTS_H
#define FILES_CONFIG_PARTS_H

#include <jansson.h>

#include "base/json.h"
#include "files/model_config.h"

/* Far above any model, and small enough that products of two stay inside int64_t. */
enum { CONFIG_WIDTH_MAX = 1 << 20, CONFIG_VOCAB_MAX = 1 << 24 };

/* Where biases of q, k, v and o are. */
typedef enum AttentionBias {
  BIAS_NONE = 0,
  BIAS_QKV,
  BIAS_ALL,
  BIAS_ALL_BY_KEY,
  BIAS_QKV_BY_KEY
} AttentionBias;

/* Which layers have a sliding window; where the class knows "layer_types", these take precedence.
 */
typedef enum WindowRule {
  WINDOW_NONE = 0, /* the class knows no window */
  WINDOW_ALL,
  WINDOW_FROM,     /* those from max_window_layers on, with use_sliding_window */
  WINDOW_PATTERN,  /* all but every sliding_window_pattern-th, where the file does not list
                       layer_types */
  WINDOW_SWITCHED, /* all, with use_sliding_window */
  WINDOW_ROTARY    /* use_sliding_window: the layers that are not rotated */
} WindowRule;

/* Which layers are rotated. */
typedef enum RotaryRule {
  ROTARY_ALL = 0,
  ROTARY_NONE,
  ROTARY_SLIDING,        /* those with a sliding window */
  ROTARY_SLIDING_OR_ALL, /* those with a sliding window; all where there is no window */
  ROTARY_LISTED,         /* no_rope_layers, no_rope_layer_interval */
  ROTARY_BY_TYPE         /* all; sliding layers by the second set of angles */
} RotaryRule;

/* A factor or cap of the layer program that a class has a key for. */
typedef enum ScaleKind {
  SCALE_QUERY = 0, /* scores are divided by its square root */
  SCALE_SCORES,
  SCALE_SCORE_CAP,
  SCALE_LOGITS,
  SCALE_LOGIT_DIVISOR,
  SCALE_LOGIT_CAP,
  SCALE_EMBEDDING,
  SCALE_RESIDUAL,
  SCALE_KIND_COUNT
} ScaleKind;

typedef struct ScaleKey {
  const char *key;
  ScaleKind kind;
  double value; /* where the file does not say; a null stands for 0, none */
} ScaleKey;

/* An entry says what a class of transformers does, and which value it takes where config.json lacks
 * a key. */
typedef struct Family {
  const char *architecture, *model_type;
  NormKind norm;
  bool adds_one, pre_norm, post_norm, parallel, shared_norm, norm_bias, fused_qkv, fused_gate_up;
  /* as ModelConfig's */
  bool qk_norm_late, no_gate, qkv_by_head, embed_norm, sinusoids, alibi, queries_apart, unbounded;
  QkNorm qk_norm;
  const char *qk_norm_key; /* true in the file: QK_NORM_OWN_HEAD; NULL: the class has no such key */
  ScaleKey scales[4];      /* end at a NULL key or the fourth */
  bool embedding_by_width; /* embeddings are scaled by the square root of the width */
  const char *activation_key; /* NULL: the class has none */
  Activation activation;
  AttentionBias bias;
  bool bias_default, has_mlp_bias; /* has_mlp_bias: the class knows the key */
  bool mlp_bias;                   /* always */
  RopeStyle rope_style;
  WindowRule window;
  RotaryRule rotary;
  bool layer_types;     /* the class knows the key */
  bool rotary_part_key; /* the class knows partial_rotary_factor */
  bool tied, odd_heads; /* odd_heads: the width need not be a multiple of the heads where
                            head_dim is given */
  /* NULL: the usual */
  const char *layers_key, *heads_key, *width_key, *feed_key, *eps_key, *positions_key, *theta_key,
      *part_key;
  int feed_times; /* the feed-forward width, in widths, where the class has no key; else 0 */
  int experts, experts_used;   /* 0: the class has no mixture */
  const char *expert_feed_key; /* NULL: intermediate_size is the experts' too */
  bool shares_by_key;          /* norm_topk_prob; else always */
  int kv_heads;                /* 0: as many as heads */
  int head_dim;                /* 0: width / heads */
  int max_positions, sliding_window, sliding_pattern;
  double norm_eps, rope_theta, sliding_theta, rotary_part;
  int bos;    /* -1: none */
  int eos[3]; /* ends at 0 or the third; -1 first: none */
} Family;

extern const Family config_families[FAMILY_COUNT];
/* Every class name, with commas, for messages. */
const char *config_family_names(void);

/* An object of the file, and what its errors need. */
typedef struct ConfigSource {
  const char *path;
  const json_t *root;
  xt_error *error;
} ConfigSource;

#define CONFIG_REFUSE(s, status, key, ...) \
  err_set((s)->error, status, (s)->path, key, -1, __VA_ARGS__)

bool config_given(const json_t *object, const char *key); /* there, and not null */
xt_status config_int(const ConfigSource *s, const char *key, int low, int high, int *out);
xt_status config_need_int(const ConfigSource *s, const char *key, int low, int high, int *out);
xt_status config_real(const ConfigSource *s, const char *key, double low, double high, double *out);
xt_status config_bool(const ConfigSource *s, const char *key, bool *out);

/* gguf_config.c: what a GGUF file says, in config.json's words (*out: the caller's, json_decref);
 * and what config.json has no word for, after that was read. */
xt_status gguf_config(const char *path, json_t **out, ModelConfig *config, xt_error *error);
xt_status gguf_config_finish(const char *path, ModelConfig *config, xt_error *error);

/* config_rope.c: rotary angles and the width that is rotated. */
xt_status config_read_rope(const ConfigSource *s, const Family *family, ModelConfig *out);
/* config_generation.c: settings of generate, of either file. */
xt_status config_read_generation(const ConfigSource *s, ModelConfig *out);
/* config_packing.c: quantization_config, or compression_config. */
xt_status config_read_packing(const ConfigSource *s, ModelConfig *out);
/* config_layers.c: windows, and which layer is rotated by what. After config_read_rope. */
xt_status config_read_layers(const ConfigSource *s, const Family *family, ModelConfig *out);

#endif
