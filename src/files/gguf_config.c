/* SPDX-License-Identifier: Apache-2.0 */
/* A GGUF file's values in config.json's words, so that one reader checks both and one table has the
 * families' defaults. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "files/config_parts.h"
#include "files/gguf.h"

/* llama.cpp's names of architectures. */
static const struct {
  const char *name;
  ModelFamily family;
  bool rows_in_pairs; /* its converter has permuted q and k */
} architectures[] = {
    {"llama", FAMILY_LLAMA, true},       {"qwen2", FAMILY_QWEN2, false},
    {"qwen3", FAMILY_QWEN3, false},      {"qwen3moe", FAMILY_QWEN3_MOE, false},
    {"gemma2", FAMILY_GEMMA2, false},    {"gemma3", FAMILY_GEMMA3, false},
    {"command-r", FAMILY_COHERE, false}, {"cohere2", FAMILY_COHERE2, false},
    {"olmo2", FAMILY_OLMO2, false},      {"phi3", FAMILY_PHI3, false},
    {"granite", FAMILY_GRANITE, true},   {"smollm3", FAMILY_SMOLLM3, true},
    {"glm4", FAMILY_GLM4, false},        {"exaone4", FAMILY_EXAONE4, false},
};

/* Keys after "ARCHITECTURE.", and config.json's. */
typedef struct Key {
  const char *gguf, *config;
  bool real;
} Key;

static const Key keys[] = {
    {"block_count", "num_hidden_layers", false},
    {"context_length", "max_position_embeddings", false},
    {"embedding_length", "hidden_size", false},
    {"feed_forward_length", "intermediate_size", false},
    {"attention.head_count", "num_attention_heads", false},
    {"attention.head_count_kv", "num_key_value_heads", false},
    {"attention.key_length", "head_dim", false},
    {"attention.sliding_window", "sliding_window", false},
    {"attention.sliding_window_pattern", "sliding_window_pattern", false},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", true},
    {"attention.layer_norm_epsilon", "layer_norm_eps", true},
    {"rope.freq_base", "rope_theta", true},
    {"rope.freq_base_swa", "rope_local_base_freq", true},
    {"attn_logit_softcapping", "attn_logit_softcapping", true},
    {"final_logit_softcapping", "final_logit_softcapping", true},
    {"expert_count", "num_local_experts", false},
    {"expert_used_count", "num_experts_per_tok", false},
    {"expert_feed_forward_length", "moe_intermediate_size", false},
    {"embedding_scale", "embedding_multiplier", true},
    {"residual_scale", "residual_multiplier", true},
    {"attention.scale", "attention_multiplier", true},
};
#define NEEDED 5 /* the first five, which every model needs */

typedef struct Source {
  const char *path;
  Gguf gguf;
  Checkpoint *checkpoint;
  char *name; /* llama.cpp's, of the architecture */
  ModelFamily family;
  json_t *root; /* under construction */
  xt_error *error;
} Source;

/* "llama.block_count" */
static const char *full_key(const Source *s, const char *key, char out[128]) {
  snprintf(out, 128, "%.60s.%s", s->name, key);
  return out;
}

static xt_status put(json_t *object, const char *key, json_t *value, xt_error *error) {
  return json_object_set_new(object, key, value) == 0 ? XT_STATUS_OK
                                                      : err_memory(error, sizeof(json_t));
}

/* A value per layer is refused unless all layers have the same. */
static xt_status by_layer(const Source *s, const char *name, const GgufValue *v, int64_t *out) {
  if (v->type != GGUF_I32 && v->type != GGUF_U32)
    return err_set(s->error, XT_STATUS_UNSUPPORTED, s->path, name, (long long)v->at,
                   "is an array by layer that is not handled");
  for (uint64_t i = 0; i < v->count; i++) {
    const int32_t item = gguf_item_i32(&s->gguf, v, i);
    if (item != gguf_item_i32(&s->gguf, v, 0))
      return err_set(s->error, XT_STATUS_UNSUPPORTED, s->path, name, (long long)v->at,
                     "differs between layers, which is not handled");
    *out = item;
  }
  return XT_STATUS_OK;
}

/* A flag per layer says which layers have a sliding window. */
static xt_status put_layer_types(Source *s, const GgufValue *v) {
  json_t *list = json_array();
  bool ok = list != NULL;
  for (uint64_t i = 0; ok && i < v->count && i <= MODEL_LAYERS_MAX; i++)
    ok = json_array_append_new(list,
                               json_string(s->gguf.map->data[v->at + i] ? "sliding_attention"
                                                                        : "full_attention")) == 0;
  if (ok) return put(s->root, "layer_types", list, s->error);
  json_decref(list);
  return err_memory(s->error, sizeof(json_t));
}

static xt_status copy_key(Source *s, const Key *key) {
  char name[128];
  const GgufValue *v = gguf_find(&s->gguf, full_key(s, key->gguf, name));
  if (!v) return XT_STATUS_OK;
  if (v->array && v->type == GGUF_BOOL && strcmp(key->config, "sliding_window_pattern") == 0)
    return put_layer_types(s, v);
  if (key->real) {
    double value = 0;
    TRY(gguf_real(&s->gguf, name, &value, s->error));
    return put(s->root, key->config, json_real(value), s->error);
  }
  int64_t value = 0;
  if (v->array && v->count)
    TRY(by_layer(s, name, v, &value));
  else
    TRY(gguf_int(&s->gguf, name, 0, INT32_MAX, &value, s->error));
  /* No window is written as none or as 0. */
  return strstr(key->config, "sliding") && value == 0
             ? XT_STATUS_OK
             : put(s->root, key->config, json_integer(value), s->error);
}

static xt_status find_architecture(Source *s, ModelConfig *config) {
  const char *key = "general.architecture";
  TRY(gguf_text(&s->gguf, key, &s->name, s->error));
  if (!s->name)
    return err_set(s->error, XT_STATUS_INPUT, s->path, key, -1,
                   "is missing; a file of a vocabulary alone has no model");
  for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
    if (strcmp(s->name, architectures[i].name) != 0) continue;
    s->family = architectures[i].family;
    config->rows_in_pairs = architectures[i].rows_in_pairs;
    char window[128];
    if (s->family == FAMILY_OLMO2 &&
        gguf_find(&s->gguf, full_key(s, "attention.sliding_window", window)))
      s->family = FAMILY_OLMO3;
    if (s->family == FAMILY_LLAMA && gguf_find(&s->gguf, full_key(s, "expert_count", window)))
      s->family = FAMILY_MIXTRAL;
    return XT_STATUS_OK;
  }
  return err_set(s->error, XT_STATUS_UNSUPPORTED, s->path, key, -1,
                 "\"%.60s\" is not handled; known: llama (Mistral and Mixtral too), qwen2, qwen3, "
                 "qwen3moe, gemma2, "
                 "gemma3, command-r, cohere2, olmo2, phi3, granite, smollm3, glm4, exaone4",
                 s->name);
}

static bool has_tensor(const Source *s, const char *name) {
  return checkpoint_find(s->checkpoint, name) != NULL;
}

/* The tensors that are present say what config.json says in words. */
static xt_status put_tensors(Source *s) {
  const Tensor *embed = checkpoint_find(s->checkpoint, "token_embd.weight");
  if (!embed || embed->dims != 2)
    return err_set(s->error, XT_STATUS_INPUT, s->path, "token_embd.weight", -1,
                   "is missing, or no matrix");
  TRY(put(s->root, "vocab_size", json_integer(embed->shape[0]), s->error));
  TRY(put(s->root, "tie_word_embeddings", json_boolean(!has_tensor(s, "output.weight")), s->error));
  TRY(put(s->root, "attention_bias", json_boolean(has_tensor(s, "blk.0.attn_q.bias")), s->error));
  TRY(put(s->root, "mlp_bias", json_boolean(has_tensor(s, "blk.0.ffn_up.bias")), s->error));
  return put(s->root, "use_qk_norm", json_boolean(has_tensor(s, "blk.0.attn_q_norm.weight")),
             s->error);
}

/* Queries' and keys' sizes; and, of a head, the part that is rotated. */
static xt_status put_heads(Source *s) {
  char name[128];
  const json_int_t width = json_integer_value(json_object_get(s->root, "hidden_size"));
  const json_int_t heads = json_integer_value(json_object_get(s->root, "num_attention_heads"));
  int64_t rotated = 0, key_length = json_integer_value(json_object_get(s->root, "head_dim")),
          value_length;
  if (heads <= 0)
    return err_set(s->error, XT_STATUS_INPUT, s->path, full_key(s, "attention.head_count", name),
                   -1, "is not above 0");
  if (!json_object_get(s->root, "num_key_value_heads"))
    TRY(put(s->root, "num_key_value_heads", json_integer(heads), s->error));
  if (key_length <= 0) key_length = width / heads;
  TRY(put(s->root, "head_dim", json_integer(key_length), s->error));
  value_length = key_length;
  TRY(gguf_int(&s->gguf, full_key(s, "attention.value_length", name), 1, INT32_MAX, &value_length,
               s->error));
  if (value_length != key_length)
    return err_set(s->error, XT_STATUS_UNSUPPORTED, s->path, name, -1,
                   "is %lld, but heads of keys have %lld", (long long)value_length,
                   (long long)key_length);
  TRY(gguf_int(&s->gguf, full_key(s, "rope.dimension_count", name), 0, INT32_MAX, &rotated,
               s->error));
  if (rotated <= 0 || rotated == key_length)
    return config_families[s->family].rotary_part_key
               ? put(s->root, "partial_rotary_factor", json_real(1), s->error)
               : XT_STATUS_OK;
  return put(s->root, "partial_rotary_factor", json_real((double)rotated / (double)key_length),
             s->error);
}

static xt_status put_scaling(Source *s) {
  static const Key scaling_keys[] = {{"rope.scaling.factor", "factor", true},
                                     {"rope.scaling.attn_factor", "attention_factor", true},
                                     {"rope.scaling.yarn_beta_fast", "beta_fast", true},
                                     {"rope.scaling.yarn_beta_slow", "beta_slow", true}};
  char name[128], *type = NULL;
  int64_t original = 0;
  TRY(gguf_text(&s->gguf, full_key(s, "rope.scaling.type", name), &type, s->error));
  const bool none = !type || strcmp(type, "none") == 0;
  json_t *scaling = none ? NULL : json_pack("{ss}", "rope_type", type);
  free(type);
  if (none) return XT_STATUS_OK;
  TRY(put(s->root, "rope_scaling", scaling, s->error));
  for (size_t i = 0; i < sizeof scaling_keys / sizeof *scaling_keys; i++) {
    double value = 0;
    if (!gguf_find(&s->gguf, full_key(s, scaling_keys[i].gguf, name))) continue;
    TRY(gguf_real(&s->gguf, name, &value, s->error));
    TRY(put(scaling, scaling_keys[i].config, json_real(value), s->error));
  }
  TRY(gguf_int(&s->gguf, full_key(s, "rope.scaling.original_context_length", name), 1, INT32_MAX,
               &original, s->error));
  return original
             ? put(scaling, "original_max_position_embeddings", json_integer(original), s->error)
             : XT_STATUS_OK;
}

/* What llama.cpp has in its code, by the family. */
static xt_status put_family(Source *s) {
  char name[128];
  const json_int_t layers = json_integer_value(json_object_get(s->root, "num_hidden_layers"));
  const json_int_t width = json_integer_value(json_object_get(s->root, "hidden_size")),
                   heads = json_integer_value(json_object_get(s->root, "num_attention_heads"));
  double scale = 0;
  /* the models of 27 billion parameters scale by the width, the others by the head's width */
  if (s->family == FAMILY_GEMMA2 || s->family == FAMILY_GEMMA3) {
    const bool largest = layers == (s->family == FAMILY_GEMMA2 ? 46 : 62);
    const json_int_t scalar =
        largest ? width / heads : json_integer_value(json_object_get(s->root, "head_dim"));
    TRY(put(s->root, "query_pre_attn_scalar", json_integer(scalar), s->error));
  }
  TRY(gguf_real(&s->gguf, full_key(s, "logit_scale", name), &scale, s->error));
  if (scale != 0)
    TRY(put(s->root, s->family == FAMILY_GRANITE ? "logits_scaling" : "logit_scale",
            json_real(scale), s->error));
  if (s->family == FAMILY_QWEN3_MOE) TRY(put(s->root, "norm_topk_prob", json_true(), s->error));
  if (!json_object_get(s->root, "rope_theta"))
    TRY(put(s->root, "rope_theta", json_real(10000), s->error));
  if (s->family == FAMILY_EXAONE4 && !json_object_get(s->root, "sliding_window"))
    TRY(put(s->root, "sliding_window", json_null(), s->error));
  if (s->family == FAMILY_PHI3 && !json_object_get(s->root, "sliding_window"))
    TRY(put(s->root, "sliding_window", json_null(), s->error));
  return put(s->root, "architectures", json_pack("[s]", config_families[s->family].architecture),
             s->error);
}

/* The ids that end a text: the end of the text, of a turn, of a message. */
static xt_status put_tokens(Source *s) {
  static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                     "tokenizer.ggml.eom_token_id"};
  int64_t bos = -1, last = -1;
  json_t *eos = json_array();
  xt_status status = eos ? XT_STATUS_OK : err_memory(s->error, sizeof(json_t));
  for (int i = 0; i < 3 && !status; i++) {
    int64_t id = -1;
    status = gguf_int(&s->gguf, ends[i], -1, UINT32_MAX, &id, s->error);
    if (!status && id >= 0 && id < UINT32_MAX && id != last &&
        json_array_append_new(eos, json_integer(id)) != 0)
      status = err_memory(s->error, sizeof(json_t));
    last = id;
  }
  if (!status)
    status = put(s->root, "eos_token_id", json_array_size(eos) ? json_incref(eos) : json_null(),
                 s->error);
  json_decref(eos);
  TRY(status);
  TRY(gguf_int(&s->gguf, "tokenizer.ggml.bos_token_id", -1, UINT32_MAX, &bos, s->error));
  return put(s->root, "bos_token_id",
             bos >= 0 && bos < UINT32_MAX ? json_integer(bos) : json_null(), s->error);
}

static xt_status fill(Source *s, ModelConfig *config) {
  char name[128];
  TRY(find_architecture(s, config));
  s->root = json_object();
  if (!s->root) return err_memory(s->error, sizeof(json_t));
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (i < NEEDED && i != 1 && !gguf_find(&s->gguf, full_key(s, keys[i].gguf, name)))
      return err_set(s->error, XT_STATUS_INPUT, s->path, name, -1,
                     "is missing; the model cannot be described without it");
    TRY(copy_key(s, &keys[i]));
  }
  TRY(put_tensors(s));
  TRY(put_heads(s));
  TRY(put_scaling(s));
  TRY(put_family(s));
  return put_tokens(s);
}

xt_status gguf_config(const char *path, json_t **out, ModelConfig *config, xt_error *error) {
  Source s = {.path = path, .error = error};
  xt_status status;
  *out = NULL;
  TRY_DONE(checkpoint_open(path, &s.checkpoint, error));
  TRY_DONE(gguf_read(checkpoint_first_file(s.checkpoint), &s.gguf, error));
  TRY_DONE(fill(&s, config));
  *out = s.root;
  s.root = NULL;
done:
  json_decref(s.root);
  gguf_free(&s.gguf);
  checkpoint_close(s.checkpoint);
  free(s.name);
  return status;
}

/* One factor for each pair of a head; *found is false where there is no such tensor. */
static xt_status read_factors(const Checkpoint *checkpoint, const char *name,
                              const ModelConfig *config, float *out, bool *found, xt_error *error) {
  const Tensor *t = checkpoint_find(checkpoint, name);
  const int pairs = config->rope_width / 2;
  *found = t != NULL;
  if (!t) return XT_STATUS_OK;
  if (t->dtype != DTYPE_F32 || t->dims != 1 || t->shape[0] != pairs || pairs > ROPE_FACTORS_MAX)
    return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t),
                   "expected %d values of F32", pairs);
  if (config->rotary[0].scaling != ROPE_SCALING_NONE)
    return err_set(error, XT_STATUS_UNSUPPORTED, t->map->path, t->name, tensor_offset(t),
                   "stands beside rope.scaling.type, which is not handled");
  memcpy(out, t->data, t->bytes);
  for (int i = 0; i < pairs; i++)
    if (!(out[i] >= 1e-6f && out[i] <= 1e6f))
      return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t) + 4 * i,
                     "value %d is no factor of a frequency", i);
  return XT_STATUS_OK;
}

/* Longrope, as Phi-3's converter writes it: two tensors, the length from which the second counts,
 * and the factor of cosines and sines. */
static xt_status read_longrope(const char *path, const Checkpoint *checkpoint, ModelConfig *config,
                               xt_error *error) {
  static const char original_key[] = "phi3.rope.scaling.original_context_length",
                    factor_key[] = "phi3.rope.scaling.attn_factor";
  Rotary *rotary = &config->rotary[0];
  bool small, large;
  Gguf gguf;
  int64_t original = 0;
  TRY(read_factors(checkpoint, "rope_factors_short.weight", config, rotary->short_factor, &small,
                   error));
  TRY(read_factors(checkpoint, "rope_factors_long.weight", config, rotary->long_factor, &large,
                   error));
  if (!small && !large) return XT_STATUS_OK;
  if (!small || !large || config->family != FAMILY_PHI3)
    return err_set(error, XT_STATUS_UNSUPPORTED, path,
                   small ? "rope_factors_short.weight" : "rope_factors_long.weight", -1,
                   "is handled in Phi-3's files alone, which have both");
  TRY(gguf_read(checkpoint_first_file(checkpoint), &gguf, error));
  xt_status status = gguf_int(&gguf, original_key, 1, INT32_MAX, &original, error);
  rotary->attention_factor = 1;
  if (!status) status = gguf_real(&gguf, factor_key, &rotary->attention_factor, error);
  gguf_free(&gguf);
  TRY(status);
  if (!original || !(rotary->attention_factor > 0 && rotary->attention_factor < 1e6))
    return err_set(error, XT_STATUS_INPUT, path, original ? factor_key : original_key, -1,
                   original ? "is not above 0" : "is missing; rope_factors_long.weight needs it");
  rotary->scaling = ROPE_SCALING_LONGROPE;
  rotary->original_positions = (int)original;
  config->begins_anew = true;
  return XT_STATUS_OK;
}

/* Tables of factors: those that Llama 3's converter works out, and Phi-3's. */
static xt_status read_tables(const char *path, const Checkpoint *checkpoint, ModelConfig *config,
                             xt_error *error) {
  bool found;
  TRY(read_factors(checkpoint, "rope_freqs.weight", config, config->rotary[0].short_factor, &found,
                   error));
  if (found) config->rotary[0].scaling = ROPE_SCALING_TABLE;
  return read_longrope(path, checkpoint, config, error);
}

xt_status gguf_config_finish(const char *path, ModelConfig *config, xt_error *error) {
  Checkpoint *checkpoint;
  config->names = NAMES_GGUF;
  config->norm_adds_one = false; /* the converter has added it */
  TRY(checkpoint_open(path, &checkpoint, error));
  const xt_status status = read_tables(path, checkpoint, config, error);
  checkpoint_close(checkpoint);
  return status;
}
