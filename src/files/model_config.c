/* SPDX-License-Identifier: Apache-2.0 */
#include "files/model_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "files/config_parts.h"
#include "files/gguf.h"

/* ---- which architecture ---------------------------------------------------------------------- */

static xt_status find_family(const ConfigSource *s, ModelConfig *out, const Family **family) {
  const char *type = NULL, *name = NULL;
  const json_t *list = json_object_get(s->root, "architectures");
  TRY(json_get_text(s->root, "model_type", &type, s->path, s->error));
  if (config_given(s->root, "architectures")) {
    name = json_string_value(json_array_get(list, 0));
    if (!name)
      return CONFIG_REFUSE(s, XT_STATUS_INPUT, "architectures",
                           "expected a list of names such as %s", config_family_names());
  }
  if (!name && !type)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "architectures",
                         "is missing, and so is \"model_type\"; known: %s", config_family_names());
  for (int i = 0; i < FAMILY_COUNT && !*family; i++) {
    const Family *f = &config_families[i];
    if (strcmp(name ? name : type, name ? f->architecture : f->model_type) == 0) *family = f;
  }
  if (!*family)
    return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, name ? "architectures" : "model_type",
                         "\"%.64s\" is not handled; known: %s", name ? name : type,
                         config_family_names());
  if (type && strcmp(type, (*family)->model_type) != 0)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "model_type",
                         "is \"%.64s\", but \"architectures\" names %s, whose type is \"%s\"", type,
                         (*family)->architecture, (*family)->model_type);
  strcpy(out->architecture, (*family)->architecture);
  out->family = (ModelFamily)(*family - config_families);
  return XT_STATUS_OK;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* The class's own name of a key where the file has it, else the usual one: transformers takes
 * either. */
static const char *key_of(const ConfigSource *s, const char *own, const char *usual) {
  return own && (config_given(s->root, own) || !config_given(s->root, usual)) ? own : usual;
}

static xt_status read_heads(const ConfigSource *s, const Family *family, ModelConfig *out) {
  TRY(config_need_int(s, key_of(s, family->heads_key, "num_attention_heads"), 1, CONFIG_WIDTH_MAX,
                      &out->heads));
  /* An explicit null means "as many as heads" in every class; an absent key means the class's
   * default. */
  const bool absent = json_object_get(s->root, "num_key_value_heads") == NULL;
  out->kv_heads = absent && family->kv_heads ? family->kv_heads : out->heads;
  TRY(config_int(s, "num_key_value_heads", 1, CONFIG_WIDTH_MAX, &out->kv_heads));
  if (out->heads % out->kv_heads != 0)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "num_key_value_heads",
                         "%d%s does not divide the %d of \"num_attention_heads\"", out->kv_heads,
                         absent ? " (the default)" : "", out->heads);
  const bool own = config_given(s->root, "head_dim") ||
                   (family->head_dim && !json_object_get(s->root, "head_dim"));
  if (out->width % out->heads != 0 && (!own || !family->odd_heads))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "hidden_size",
                         "%d is not a multiple of \"num_attention_heads\", %d", out->width,
                         out->heads);
  out->head_dim = own && family->head_dim ? family->head_dim : out->width / out->heads;
  TRY(config_int(s, "head_dim", 1, CONFIG_WIDTH_MAX, &out->head_dim));
  if (out->head_dim % 2)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "head_dim", "%d is odd; rotary positions need pairs",
                         out->head_dim);
  return XT_STATUS_OK;
}

static xt_status read_sizes(const ConfigSource *s, const Family *family, ModelConfig *out) {
  TRY(config_need_int(s, key_of(s, family->layers_key, "num_hidden_layers"), 1, MODEL_LAYERS_MAX,
                      &out->layers));
  TRY(config_need_int(s, key_of(s, family->width_key, "hidden_size"), 1, CONFIG_WIDTH_MAX,
                      &out->width));
  if (family->feed_times)
    out->feed_forward = family->feed_times * out->width;
  else
    TRY(config_need_int(s, key_of(s, family->feed_key, "intermediate_size"), 1, CONFIG_WIDTH_MAX,
                        &out->feed_forward));
  TRY(config_need_int(s, "vocab_size", 1, CONFIG_VOCAB_MAX, &out->vocab));
  TRY(read_heads(s, family, out));
  out->max_positions = family->max_positions;
  TRY(config_int(s, key_of(s, family->positions_key, "max_position_embeddings"), 1,
                 MODEL_POSITIONS_MAX, &out->max_positions));
  out->norm_eps = family->norm_eps;
  TRY(config_real(
      s, key_of(s, family->eps_key, family->norm == NORM_LAYER ? "layer_norm_eps" : "rms_norm_eps"),
      0, 1, &out->norm_eps));
  out->tied_embeddings = family->tied;
  return config_bool(s, "tie_word_embeddings", &out->tied_embeddings);
}

/* ---- what a layer does ----------------------------------------------------------------------- */

static xt_status read_activation(const ConfigSource *s, const Family *family, ModelConfig *out) {
  static const struct {
    const char *name;
    Activation activation;
    /* transformers has both names for one function */
  } known[] = {{"silu", ACTIVATION_SILU},
               {"swish", ACTIVATION_SILU},
               {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
               {"gelu_new", ACTIVATION_GELU_TANH},
               {"gelu", ACTIVATION_GELU},
               {"xielu", ACTIVATION_XIELU}};
  const char *name = NULL;
  out->activation = family->activation;
  if (!family->activation_key) return XT_STATUS_OK;
  TRY(json_get_text(s->root, family->activation_key, &name, s->path, s->error));
  if (!name) return XT_STATUS_OK;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(name, known[i].name) == 0) {
      /* its numbers are Apertus's tensors */
      if ((known[i].activation == ACTIVATION_XIELU) != (family->activation == ACTIVATION_XIELU))
        break;
      out->activation = known[i].activation;
      return XT_STATUS_OK;
    }
  return CONFIG_REFUSE(
      s, XT_STATUS_UNSUPPORTED, family->activation_key,
      "\"%.64s\" is not handled for %s; \"silu\", \"gelu\" and \"gelu_pytorch_tanh\" are", name,
      family->architecture);
}

static xt_status read_biases(const ConfigSource *s, const Family *family, ModelConfig *out) {
  bool by_key = family->bias_default;
  if (family->bias == BIAS_ALL_BY_KEY || family->bias == BIAS_QKV_BY_KEY)
    TRY(config_bool(s, "attention_bias", &by_key));
  out->qkv_bias = family->bias == BIAS_QKV || family->bias == BIAS_ALL || by_key;
  out->out_bias = family->bias == BIAS_ALL || (family->bias == BIAS_ALL_BY_KEY && by_key);
  out->mlp_bias = family->mlp_bias;
  /* the other classes have no such key */
  return family->has_mlp_bias ? config_bool(s, "mlp_bias", &out->mlp_bias) : XT_STATUS_OK;
}

/* The factors and caps that the class has keys for. */
static xt_status read_scales(const ConfigSource *s, const Family *family, ModelConfig *out) {
  float query = 0, divisor = 1;
  float *const to[SCALE_KIND_COUNT] = {[SCALE_QUERY] = &query,
                                       [SCALE_SCORES] = &out->score_scale,
                                       [SCALE_SCORE_CAP] = &out->score_cap,
                                       [SCALE_LOGITS] = &out->logit_scale,
                                       [SCALE_LOGIT_DIVISOR] = &divisor,
                                       [SCALE_LOGIT_CAP] = &out->logit_cap,
                                       [SCALE_EMBEDDING] = &out->embedding_scale,
                                       [SCALE_RESIDUAL] = &out->residual_scale};
  out->residual_scale = out->logit_scale = 1;
  out->score_scale = 1.0f / sqrtf((float)out->head_dim);
  for (size_t i = 0; i < sizeof family->scales / sizeof *family->scales && family->scales[i].key;
       i++) {
    const ScaleKey *scale = &family->scales[i];
    const json_t *given = json_object_get(s->root, scale->key);
    double value = given && json_is_null(given) ? 0 : scale->value;
    TRY(config_real(s, scale->key, 1e-6, 1e6, &value));
    *to[scale->kind] = (float)value;
  }
  if (query > 0) out->score_scale = (float)pow((double)query, -0.5);
  if (divisor > 0) out->logit_scale /= divisor;
  if (family->embedding_by_width) out->embedding_scale = (float)sqrt((double)out->width);
  return XT_STATUS_OK;
}

/* Layers without experts between those with them are not handled. */
static xt_status read_experts(const ConfigSource *s, const Family *family, ModelConfig *out) {
  int step = 1;
  if (!family->experts) return XT_STATUS_OK;
  out->experts = family->experts;
  out->experts_used = family->experts_used;
  TRY(config_int(s, "num_local_experts", 1, MODEL_EXPERTS_MAX, &out->experts));
  TRY(config_int(s, "num_experts", 1, MODEL_EXPERTS_MAX, &out->experts));
  TRY(config_int(s, "num_experts_per_tok", 1, MODEL_EXPERTS_MAX, &out->experts_used));
  if (out->experts_used > out->experts)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "num_experts_per_tok",
                         "%d of %d experts cannot be chosen", out->experts_used, out->experts);
  out->expert_shares = !family->shares_by_key;
  if (family->shares_by_key) TRY(config_bool(s, "norm_topk_prob", &out->expert_shares));
  if (!family->expert_feed_key) return XT_STATUS_OK;
  TRY(config_need_int(s, family->expert_feed_key, 1, CONFIG_WIDTH_MAX, &out->feed_forward));
  TRY(config_int(s, "decoder_sparse_step", 1, MODEL_LAYERS_MAX, &step));
  const bool some = json_array_size(json_object_get(s->root, "mlp_only_layers")) > 0;
  if (step == 1 && !some) return XT_STATUS_OK;
  return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, some ? "mlp_only_layers" : "decoder_sparse_step",
                       "layers without experts beside others are not handled");
}

/* Switches of single classes. What a class could do, and no model of it does, is refused. */
static xt_status read_switches(const ConfigSource *s, ModelConfig *out) {
  static const struct {
    ModelFamily family;
    const char *key;
  } refused[] = {{FAMILY_BLOOM, "apply_residual_connection_post_layernorm"},
                 {FAMILY_XGLM, "add_cross_attention"}};
  bool scale = true;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    bool on = false;
    if (refused[i].family != out->family) continue;
    TRY(config_bool(s, refused[i].key, &on));
    if (on) return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, refused[i].key, "true is not handled");
  }
  if (out->family == FAMILY_NEOX) TRY(config_bool(s, "use_parallel_residual", &out->parallel));
  if (out->family == FAMILY_XGLM) TRY(config_bool(s, "scale_embedding", &scale));
  out->embedding_scale = out->family == FAMILY_XGLM && scale ? (float)sqrt((double)out->width) : 1;
  return XT_STATUS_OK;
}

static xt_status read_layer(const ConfigSource *s, const Family *family, ModelConfig *out) {
  bool own_norms = false;
  out->norm = family->norm;
  out->norm_bias = family->norm_bias;
  out->norm_adds_one = family->adds_one;
  out->pre_norm = family->pre_norm;
  out->post_norm = family->post_norm;
  out->parallel = family->parallel;
  out->shared_norm = family->shared_norm;
  out->qk_norm = family->qk_norm;
  out->qk_norm_late = family->qk_norm_late;
  out->no_gate = family->no_gate;
  out->fused_qkv = family->fused_qkv;
  out->fused_gate_up = family->fused_gate_up;
  out->qkv_by_head = family->qkv_by_head;
  out->embed_norm = family->embed_norm;
  out->sinusoids = family->sinusoids;
  out->alibi = family->alibi;
  TRY(read_switches(s, out));
  if (family->qk_norm_key) TRY(config_bool(s, family->qk_norm_key, &own_norms));
  if (own_norms) out->qk_norm = QK_NORM_OWN_HEAD;
  TRY(read_experts(s, family, out));
  TRY(read_activation(s, family, out));
  TRY(read_biases(s, family, out));
  return read_scales(s, family, out);
}

static xt_status read_dtype(const ConfigSource *s, ModelConfig *out) {
  const char *dtype = NULL;
  TRY(json_get_text(s->root, "torch_dtype", &dtype, s->path, s->error));
  TRY(json_get_text(s->root, "dtype", &dtype, s->path, s->error)); /* the newer name wins */
  if (!dtype) return XT_STATUS_OK;
  if (strlen(dtype) >= sizeof out->dtype)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT,
                         config_given(s->root, "dtype") ? "dtype" : "torch_dtype",
                         "\"%.64s\" is not a dtype's name", dtype);
  strcpy(out->dtype, dtype);
  return XT_STATUS_OK;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static xt_status check_id(const ConfigSource *s, const char *key, const json_t *value, int vocab,
                          int32_t *out) {
  if (!json_is_integer(value))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "holds %s, expected a token id",
                         json_type_name(value));
  const json_int_t id = json_integer_value(value);
  if (id < 0 || id >= vocab)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "token id %lld is outside the vocabulary of %d",
                         (long long)id, vocab);
  *out = (int32_t)id;
  return XT_STATUS_OK;
}

/* Fills out->eos when the file gives any; an id or a list of ids. */
static xt_status read_eos(const ConfigSource *s, ModelConfig *out) {
  static const char key[] = "eos_token_id";
  const json_t *value = json_object_get(s->root, key);
  if (!config_given(s->root, key)) return XT_STATUS_OK;
  const size_t count = json_is_array(value) ? json_array_size(value) : 1;
  if (count == 0) return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "is an empty list");
  if (count > XT_EOS_MAX)
    return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, key, "lists %zu ids, at most %d are handled",
                         count, XT_EOS_MAX);
  for (size_t i = 0; i < count; i++)
    TRY(check_id(s, key, json_is_array(value) ? json_array_get(value, i) : value, out->vocab,
                 &out->eos[i]));
  out->eos_count = (int)count;
  return XT_STATUS_OK;
}

static xt_status read_bos(const ConfigSource *s, ModelConfig *out) {
  int32_t id = -1;
  /* Some files write -1 for "none". */
  const json_t *value = json_object_get(s->root, "bos_token_id");
  if (!config_given(s->root, "bos_token_id") ||
      (json_is_integer(value) && json_integer_value(value) == -1))
    return XT_STATUS_OK;
  TRY(check_id(s, "bos_token_id", value, out->vocab, &id));
  out->bos = id;
  return XT_STATUS_OK;
}

static xt_status read_tokens(const ConfigSource *s, const Family *family, ModelConfig *out) {
  out->bos = -1;
  if (!json_object_get(s->root, "bos_token_id") && family->bos < out->vocab) out->bos = family->bos;
  TRY(read_bos(s, out));
  if (!json_object_get(s->root, "eos_token_id"))
    for (int i = 0; i < 3 && family->eos[i] > 0; i++)
      if (family->eos[i] < out->vocab) out->eos[out->eos_count++] = family->eos[i];
  return read_eos(s, out);
}

/* ---- the two files --------------------------------------------------------------------------- */

static xt_status read_config(const ConfigSource *s, ModelConfig *out) {
  const Family *family = NULL;
  if (!json_is_object(s->root))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, NULL, "is %s, expected an object",
                         json_type_name(s->root));
  TRY(find_family(s, out, &family));
  TRY(config_read_packing(s, out));
  TRY(read_sizes(s, family, out));
  TRY(read_layer(s, family, out));
  TRY(read_dtype(s, out));
  TRY(config_read_rope(s, family, out));
  TRY(config_read_layers(s, family, out));
  return read_tokens(s, family, out);
}

static xt_status read_generation(const ConfigSource *s, ModelConfig *out) {
  if (!json_is_object(s->root))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, NULL, "is %s, expected an object",
                         json_type_name(s->root));
  TRY(read_eos(s, out));
  return config_read_generation(s, out);
}

/* Whether the file is there and says anything: transformers falls back from an empty
 * generation_config.json. */
static xt_status is_written(const char *path, bool *out, xt_error *error) {
  FileMap map;
  *out = false;
  if (!file_exists(path)) return XT_STATUS_OK;
  TRY(file_read(path, FILE_SMALL, &map, error));
  for (size_t i = 0; i < map.size && !*out; i++) *out = !memchr(" \t\r\n", map.data[i], 4);
  file_map_close(&map);
  return XT_STATUS_OK;
}

static xt_status load_files(const char *path, const char *generation, ModelConfig *out,
                            xt_error *error) {
  json_t *root = NULL, *settings = NULL;
  bool written;
  xt_status status;
  TRY_DONE(json_parse_python(path, &root, error));
  const ConfigSource source = {path, root, error};
  TRY_DONE(read_config(&source, out));
  TRY_DONE(is_written(generation, &written, error));
  if (written) {
    TRY_DONE(json_parse_python(generation, &settings, error));
    TRY_DONE(read_generation(&(ConfigSource){generation, settings, error}, out));
  } else {
    TRY_DONE(config_read_generation(&source, out)); /* files of before 2023 have the settings in
                                                       config.json */
  }
done:
  json_decref(root);
  json_decref(settings);
  return status;
}

static xt_status read_gguf(const char *path, ModelConfig *out, xt_error *error) {
  json_t *root = NULL;
  xt_status status;
  TRY_DONE(gguf_config(path, &root, out, error));
  const ConfigSource source = {path, root, error};
  TRY_DONE(read_config(&source, out));
  status = gguf_config_finish(path, out, error);
done:
  json_decref(root);
  return status;
}

xt_status model_config_load(const char *path, ModelConfig *out, xt_error *error) {
  ModelConfig config = {.repetition_penalty = 1, .rules = {.forced_bos = -1}};
  xt_status status;
  if (gguf_is_file(path)) {
    status = read_gguf(path, &config, error);
  } else {
    char *own = NULL, *generation = NULL;
    status = file_join(path, "config.json", &own, error);
    if (!status) status = file_join(path, "generation_config.json", &generation, error);
    if (!status) status = load_files(own, generation, &config, error);
    free(own);
    free(generation);
  }
  if (!status) *out = config;
  return status;
}
