/* SPDX-License-Identifier: Apache-2.0 */
/* The three architectures share almost all keys; what differs is a row of `families`. Defaults are
 * those of transformers' configuration classes, except that the sizes a checkpoint is bound by
 * (layers, widths, vocabulary) must be given: a default there could only be wrong. */
#include "files/model_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/json.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Far above any model, and small enough that products of two stay inside int64_t. */
enum { LAYERS_MAX = 100000, WIDTH_MAX = 1 << 20, VOCAB_MAX = 1 << 24, POSITIONS_MAX = 1 << 30 };

typedef struct Family {
  const char *architecture, *model_type;
  int kv_heads;       /* when the key is absent; 0: as many as heads */
  int max_positions;
  int sliding_window; /* when the key is absent */
  int bos, eos;       /* when the key is absent; -1: none */
} Family;

static const Family families[] = {
    {"LlamaForCausalLM", "llama", 0, 2048, 0, 1, 2},
    {"MistralForCausalLM", "mistral", 8, 4096 * 32, 4096, 1, 2},
    {"Qwen2ForCausalLM", "qwen2", 32, 32768, 4096, -1, -1},
};
#define KNOWN_ARCHITECTURES "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM"
_Static_assert(COUNT(families) == 3, "KNOWN_ARCHITECTURES names every family");

enum { FAMILY_LLAMA, FAMILY_MISTRAL, FAMILY_QWEN2 };

/* What every reading function below needs. */
typedef struct Source {
  const char *path;
  const json_t *root;
  xt_error *error;
} Source;

static bool is_given(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return value && !json_is_null(value);
}

static xt_status read_int(const Source *s, const char *key, int low, int high, int *out) {
  int64_t value = *out;
  TRY(json_get_int(s->root, key, low, high, &value, s->path, s->error));
  *out = (int)value;
  return XT_STATUS_OK;
}

static xt_status need_int(const Source *s, const char *key, int low, int high, int *out) {
  if (!is_given(s->root, key))
    return err_set(s->error, XT_STATUS_INPUT, s->path, key, -1, "is missing; expected a whole number");
  return read_int(s, key, low, high, out);
}

#define REFUSE(s, status, key, ...) err_set((s)->error, status, (s)->path, key, -1, __VA_ARGS__)

/* ---- which architecture ------------------------------------------------------------------ */

static xt_status find_family(const Source *s, ModelConfig *out, const Family **family) {
  const char *type = NULL, *name = NULL;
  const json_t *list = json_object_get(s->root, "architectures");
  TRY(json_get_text(s->root, "model_type", &type, s->path, s->error));
  if (is_given(s->root, "architectures")) {
    name = json_string_value(json_array_get(list, 0));
    if (!name) return REFUSE(s, XT_STATUS_INPUT, "architectures", "expected a list of names such as " KNOWN_ARCHITECTURES);
  }
  if (!name && !type)
    return REFUSE(s, XT_STATUS_INPUT, "architectures", "is missing, and so is \"model_type\"; known: " KNOWN_ARCHITECTURES);
  for (size_t i = 0; i < COUNT(families) && !*family; i++)
    if (strcmp(name ? name : type, name ? families[i].architecture : families[i].model_type) == 0) *family = &families[i];
  if (!*family)
    return REFUSE(s, XT_STATUS_UNSUPPORTED, name ? "architectures" : "model_type",
                  "\"%.64s\" is not handled; known: %s", name ? name : type,
                  name ? KNOWN_ARCHITECTURES : "llama, mistral, qwen2");
  if (type && strcmp(type, (*family)->model_type) != 0)
    return REFUSE(s, XT_STATUS_INPUT, "model_type", "is \"%.64s\", but \"architectures\" names %s, whose type is \"%s\"",
                  type, (*family)->architecture, (*family)->model_type);
  strcpy(out->architecture, (*family)->architecture);
  return XT_STATUS_OK;
}

/* ---- sizes ------------------------------------------------------------------------------- */

static xt_status read_heads(const Source *s, const Family *family, ModelConfig *out) {
  TRY(need_int(s, "num_attention_heads", 1, WIDTH_MAX, &out->heads));
  /* An explicit null means "as many as heads" in every class; an absent key means the class's default. */
  const bool absent = json_object_get(s->root, "num_key_value_heads") == NULL;
  out->kv_heads = absent && family->kv_heads ? family->kv_heads : out->heads;
  TRY(read_int(s, "num_key_value_heads", 1, WIDTH_MAX, &out->kv_heads));
  if (out->heads % out->kv_heads != 0)
    return REFUSE(s, XT_STATUS_INPUT, "num_key_value_heads",
                  "%d%s does not divide the %d of \"num_attention_heads\"", out->kv_heads,
                  absent ? " (the default)" : "", out->heads);
  const bool divides = out->width % out->heads == 0;
  if (!divides && (!is_given(s->root, "head_dim") || family == &families[FAMILY_LLAMA]))
    return REFUSE(s, XT_STATUS_INPUT, "hidden_size", "%d is not a multiple of \"num_attention_heads\", %d", out->width,
                  out->heads);
  out->head_dim = out->width / out->heads;
  TRY(read_int(s, "head_dim", 1, WIDTH_MAX, &out->head_dim));
  if (out->head_dim % 2)
    return REFUSE(s, XT_STATUS_INPUT, "head_dim", "%d is odd; rotary positions need pairs", out->head_dim);
  return XT_STATUS_OK;
}

static xt_status read_sizes(const Source *s, const Family *family, ModelConfig *out) {
  TRY(need_int(s, "num_hidden_layers", 1, LAYERS_MAX, &out->layers));
  TRY(need_int(s, "hidden_size", 1, WIDTH_MAX, &out->width));
  TRY(need_int(s, "intermediate_size", 1, WIDTH_MAX, &out->feed_forward));
  TRY(need_int(s, "vocab_size", 1, VOCAB_MAX, &out->vocab));
  TRY(read_heads(s, family, out));
  out->max_positions = family->max_positions;
  TRY(read_int(s, "max_position_embeddings", 1, POSITIONS_MAX, &out->max_positions));
  out->norm_eps = 1e-6;
  TRY(json_get_real(s->root, "rms_norm_eps", 0, 1, &out->norm_eps, s->path, s->error));
  TRY(json_get_bool(s->root, "tie_word_embeddings", &out->tied_embeddings, s->path, s->error));
  if (family != &families[FAMILY_LLAMA]) return XT_STATUS_OK; /* the other classes have no such keys */
  TRY(json_get_bool(s->root, "attention_bias", &out->attention_bias, s->path, s->error));
  return json_get_bool(s->root, "mlp_bias", &out->mlp_bias, s->path, s->error);
}

static xt_status read_names(const Source *s, ModelConfig *out) {
  const char *act = "silu", *dtype = NULL;
  TRY(json_get_text(s->root, "hidden_act", &act, s->path, s->error));
  if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0) /* transformers has both names for one function */
    return REFUSE(s, XT_STATUS_UNSUPPORTED, "hidden_act", "\"%.64s\" is not handled; only \"silu\" is", act);
  strcpy(out->activation, "silu");
  TRY(json_get_text(s->root, "torch_dtype", &dtype, s->path, s->error));
  TRY(json_get_text(s->root, "dtype", &dtype, s->path, s->error)); /* the newer name wins */
  if (!dtype) return XT_STATUS_OK;
  if (strlen(dtype) >= sizeof out->dtype)
    return REFUSE(s, XT_STATUS_INPUT, is_given(s->root, "dtype") ? "dtype" : "torch_dtype",
                  "\"%.64s\" is not a dtype's name", dtype);
  strcpy(out->dtype, dtype);
  return XT_STATUS_OK;
}

/* ---- rotary positions -------------------------------------------------------------------- */

static xt_status need_real(const Source *rope, const char *key, double low, double high, double *out) {
  if (!is_given(rope->root, key)) return REFUSE(rope, XT_STATUS_INPUT, key, "is missing from the rope parameters");
  return json_get_real(rope->root, key, low, high, out, rope->path, rope->error);
}

/* transformers: 0.1 * mscale * ln(factor) + 1 */
static double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static xt_status read_yarn(const Source *rope, ModelConfig *out) {
  bool truncate = true;
  double mscale = 0, mscale_all = 0;
  TRY(json_get_bool(rope->root, "truncate", &truncate, rope->path, rope->error));
  if (!truncate) return REFUSE(rope, XT_STATUS_UNSUPPORTED, "truncate", "false is not handled for yarn");
  TRY(json_get_real(rope->root, "attention_factor", 0, 1e6, &out->rope_attention_factor, rope->path, rope->error));
  TRY(json_get_real(rope->root, "beta_fast", 0, 1e6, &out->rope_beta_fast, rope->path, rope->error));
  TRY(json_get_real(rope->root, "beta_slow", 0, 1e6, &out->rope_beta_slow, rope->path, rope->error));
  if (out->rope_beta_fast == 0) out->rope_beta_fast = 32; /* as transformers' "or" */
  if (out->rope_beta_slow == 0) out->rope_beta_slow = 1;
  if (out->rope_beta_fast < out->rope_beta_slow)
    return REFUSE(rope, XT_STATUS_INPUT, "beta_fast", "%g is below \"beta_slow\", %g", out->rope_beta_fast,
                  out->rope_beta_slow);
  TRY(json_get_real(rope->root, "mscale", 0, 1e6, &mscale, rope->path, rope->error));
  TRY(json_get_real(rope->root, "mscale_all_dim", 0, 1e6, &mscale_all, rope->path, rope->error));
  if (!is_given(rope->root, "attention_factor") && mscale != 0 && mscale_all != 0)
    out->rope_attention_factor = yarn_scale(out->rope_factor, mscale) / yarn_scale(out->rope_factor, mscale_all);
  return XT_STATUS_OK;
}

static xt_status read_llama3(const Source *rope, ModelConfig *out) {
  TRY(need_real(rope, "low_freq_factor", 1e-6, 1e6, &out->rope_low_freq));
  TRY(need_real(rope, "high_freq_factor", 1e-6, 1e6, &out->rope_high_freq));
  if (out->rope_high_freq <= out->rope_low_freq)
    return REFUSE(rope, XT_STATUS_INPUT, "high_freq_factor", "%g is not above \"low_freq_factor\", %g",
                  out->rope_high_freq, out->rope_low_freq);
  return XT_STATUS_OK;
}

/* `rope` is the rope_scaling or rope_parameters object. */
static xt_status read_rope_kind(const Source *rope, const Source *s, ModelConfig *out) {
  static const char *const kinds[] = {
      [ROPE_SCALING_NONE] = "default", [ROPE_SCALING_LINEAR] = "linear", [ROPE_SCALING_LLAMA3] = "llama3",
      [ROPE_SCALING_DYNAMIC] = "dynamic", [ROPE_SCALING_YARN] = "yarn"};
  const char *old = NULL, *kind = NULL;
  TRY(json_get_text(rope->root, "type", &old, rope->path, rope->error));
  TRY(json_get_text(rope->root, "rope_type", &kind, rope->path, rope->error));
  if (kind && old && strcmp(kind, old) != 0)
    return REFUSE(rope, XT_STATUS_INPUT, "rope_type", "is \"%.32s\", but \"type\" says \"%.32s\"", kind, old);
  if (!kind) kind = old ? old : "default";
  size_t found = 0;
  while (found < COUNT(kinds) && strcmp(kinds[found], kind) != 0) found++;
  if (found == COUNT(kinds))
    return REFUSE(rope, XT_STATUS_UNSUPPORTED, "rope_type",
                  "\"%.64s\" is not handled; known: default, linear, dynamic, yarn, llama3", kind);
  out->rope_scaling = (RopeScaling)found;
  double partial = 1;
  TRY(json_get_real(rope->root, "partial_rotary_factor", 0, 1, &partial, rope->path, rope->error));
  if (partial != 1) return REFUSE(rope, XT_STATUS_UNSUPPORTED, "partial_rotary_factor", "%g is not handled; only 1 is", partial);
  TRY(json_get_real(rope->root, "rope_theta", 1, 1e15, &out->rope_theta, rope->path, rope->error));
  if (out->rope_scaling == ROPE_SCALING_NONE) return XT_STATUS_OK;
  TRY(need_real(rope, "factor", 1, 1e6, &out->rope_factor));
  if (out->rope_scaling == ROPE_SCALING_LLAMA3 || out->rope_scaling == ROPE_SCALING_YARN) {
    /* Where both places give it, transformers lets the top level win. */
    out->rope_original_positions = out->max_positions;
    TRY(read_int(rope, "original_max_position_embeddings", 1, POSITIONS_MAX, &out->rope_original_positions));
    TRY(read_int(s, "original_max_position_embeddings", 1, POSITIONS_MAX, &out->rope_original_positions));
  }
  if (out->rope_scaling == ROPE_SCALING_LLAMA3) return read_llama3(rope, out);
  if (out->rope_scaling == ROPE_SCALING_YARN) return read_yarn(rope, out);
  return XT_STATUS_OK;
}

static xt_status read_rope(const Source *s, ModelConfig *out) {
  const json_t *scaling = json_object_get(s->root, "rope_scaling");
  const json_t *parameters = json_object_get(s->root, "rope_parameters");
  double partial = 1;
  out->rope_theta = 10000;
  out->rope_factor = 1;
  TRY(json_get_real(s->root, "rope_theta", 1, 1e15, &out->rope_theta, s->path, s->error));
  TRY(json_get_real(s->root, "partial_rotary_factor", 0, 1, &partial, s->path, s->error));
  if (partial != 1) return REFUSE(s, XT_STATUS_UNSUPPORTED, "partial_rotary_factor", "%g is not handled; only 1 is", partial);
  if (is_given(s->root, "rope_scaling") && is_given(s->root, "rope_parameters"))
    return REFUSE(s, XT_STATUS_INPUT, "rope_scaling", "stands beside \"rope_parameters\"; only one of the two may be given");
  const json_t *rope = is_given(s->root, "rope_scaling") ? scaling : parameters;
  const char *key = is_given(s->root, "rope_scaling") ? "rope_scaling" : "rope_parameters";
  if (!rope || json_is_null(rope)) return XT_STATUS_OK;
  if (!json_is_object(rope)) return REFUSE(s, XT_STATUS_INPUT, key, "is %s, expected an object", json_type_name(rope));
  /* Newer files may give parameters for each layer type; ours have one kind of rotation. */
  if (json_is_object(json_object_get(rope, "full_attention")) || json_is_object(json_object_get(rope, "sliding_attention")))
    return REFUSE(s, XT_STATUS_UNSUPPORTED, key, "parameters by layer type are not handled");
  const Source inner = {s->path, rope, s->error};
  return read_rope_kind(&inner, s, out);
}

/* ---- sliding window ---------------------------------------------------------------------- */

/* "layer_types" must say: full attention below some layer, sliding from there on. */
static xt_status read_layer_types(const Source *s, ModelConfig *out) {
  const json_t *types = json_object_get(s->root, "layer_types");
  if (!is_given(s->root, "layer_types")) return XT_STATUS_OK;
  if (!json_is_array(types) || json_array_size(types) != (size_t)out->layers)
    return REFUSE(s, XT_STATUS_INPUT, "layer_types", "expected a list of one name for each of the %d layers", out->layers);
  int from = out->layers;
  for (int i = 0; i < out->layers; i++) {
    const char *type = json_string_value(json_array_get(types, (size_t)i));
    if (type && strcmp(type, "sliding_attention") == 0) {
      if (from == out->layers) from = i;
    } else if (!type || strcmp(type, "full_attention") != 0) {
      return REFUSE(s, XT_STATUS_UNSUPPORTED, "layer_types",
                    "layer %d is neither \"full_attention\" nor \"sliding_attention\"", i);
    } else if (from != out->layers) {
      return REFUSE(s, XT_STATUS_UNSUPPORTED, "layer_types",
                    "layer %d has full attention above sliding layer %d; only full layers below sliding ones are handled",
                    i, from);
    }
  }
  if (from < out->layers && out->sliding_window == 0)
    return REFUSE(s, XT_STATUS_INPUT, "layer_types", "layer %d is \"sliding_attention\", but no sliding window is in use", from);
  out->sliding_from_layer = from;
  return XT_STATUS_OK;
}

static xt_status read_window(const Source *s, const Family *family, ModelConfig *out) {
  bool used = true;
  if (family == &families[FAMILY_LLAMA]) return XT_STATUS_OK; /* the class knows no window */
  /* An explicit null is "none"; only an absent key takes the class's default. */
  if (!json_object_get(s->root, "sliding_window")) out->sliding_window = family->sliding_window;
  TRY(read_int(s, "sliding_window", 1, POSITIONS_MAX, &out->sliding_window));
  if (family == &families[FAMILY_QWEN2]) {
    used = false;
    TRY(json_get_bool(s->root, "use_sliding_window", &used, s->path, s->error));
    if (!used) out->sliding_window = 0;
    out->sliding_from_layer = 28;
    TRY(read_int(s, "max_window_layers", 0, LAYERS_MAX, &out->sliding_from_layer));
    TRY(read_layer_types(s, out));
  }
  if (out->sliding_from_layer >= out->layers) out->sliding_window = 0;
  if (out->sliding_window == 0) out->sliding_from_layer = 0;
  return XT_STATUS_OK;
}

/* ---- tokens ------------------------------------------------------------------------------ */

static xt_status check_id(const Source *s, const char *key, const json_t *value, int vocab, int32_t *out) {
  if (!json_is_integer(value))
    return REFUSE(s, XT_STATUS_INPUT, key, "holds %s, expected a token id", json_type_name(value));
  const json_int_t id = json_integer_value(value);
  if (id < 0 || id >= vocab)
    return REFUSE(s, XT_STATUS_INPUT, key, "token id %lld is outside the vocabulary of %d", (long long)id, vocab);
  *out = (int32_t)id;
  return XT_STATUS_OK;
}

/* Fills out->eos when the file gives any; an id or a list of ids. */
static xt_status read_eos(const Source *s, ModelConfig *out) {
  static const char key[] = "eos_token_id";
  const json_t *value = json_object_get(s->root, key);
  if (!is_given(s->root, key)) return XT_STATUS_OK;
  const size_t count = json_is_array(value) ? json_array_size(value) : 1;
  if (count == 0) return REFUSE(s, XT_STATUS_INPUT, key, "is an empty list");
  if (count > XT_EOS_MAX) return REFUSE(s, XT_STATUS_UNSUPPORTED, key, "lists %zu ids, at most %d are handled", count, XT_EOS_MAX);
  for (size_t i = 0; i < count; i++)
    TRY(check_id(s, key, json_is_array(value) ? json_array_get(value, i) : value, out->vocab, &out->eos[i]));
  out->eos_count = (int)count;
  return XT_STATUS_OK;
}

static xt_status read_bos(const Source *s, ModelConfig *out) {
  int32_t id = -1;
  /* Some files write -1 for "none". */
  const json_t *value = json_object_get(s->root, "bos_token_id");
  if (!is_given(s->root, "bos_token_id") || (json_is_integer(value) && json_integer_value(value) == -1))
    return XT_STATUS_OK;
  TRY(check_id(s, "bos_token_id", value, out->vocab, &id));
  out->bos = id;
  return XT_STATUS_OK;
}

static xt_status read_tokens(const Source *s, const Family *family, ModelConfig *out) {
  out->bos = -1;
  if (!json_object_get(s->root, "bos_token_id") && family->bos < out->vocab) out->bos = family->bos;
  TRY(read_bos(s, out));
  if (!json_object_get(s->root, "eos_token_id") && family->eos >= 0 && family->eos < out->vocab)
    out->eos[out->eos_count++] = family->eos;
  return read_eos(s, out);
}

/* ---- the two files ----------------------------------------------------------------------- */

static xt_status read_config(const Source *s, ModelConfig *out) {
  const Family *family = NULL;
  if (!json_is_object(s->root))
    return REFUSE(s, XT_STATUS_INPUT, NULL, "is %s, expected an object", json_type_name(s->root));
  TRY(find_family(s, out, &family));
  if (is_given(s->root, "quantization_config")) {
    const char *method = json_string_value(json_object_get(json_object_get(s->root, "quantization_config"), "quant_method"));
    return REFUSE(s, XT_STATUS_UNSUPPORTED, "quantization_config",
                  "quantised weights (%.32s) are not handled; use the F32, F16 or BF16 checkpoint",
                  method ? method : "method not named");
  }
  TRY(read_sizes(s, family, out));
  TRY(read_names(s, out));
  TRY(read_rope(s, out));
  TRY(read_window(s, family, out));
  return read_tokens(s, family, out);
}

static xt_status read_generation(const Source *s, ModelConfig *out) {
  if (!json_is_object(s->root))
    return REFUSE(s, XT_STATUS_INPUT, NULL, "is %s, expected an object", json_type_name(s->root));
  TRY(read_eos(s, out));
  return json_get_real(s->root, "repetition_penalty", 1e-3, 1e3, &out->repetition_penalty, s->path, s->error);
}

static xt_status read_file(const char *directory, const char *name, bool optional,
                           xt_status (*read)(const Source *s, ModelConfig *out), ModelConfig *out, xt_error *error) {
  char *path;
  json_t *root = NULL;
  xt_status status = XT_STATUS_OK;
  TRY(file_join(directory, name, &path, error));
  if (optional && !file_exists(path)) goto done;
  TRY_DONE(json_parse_file(path, &root, error));
  const Source source = {path, root, error};
  TRY_DONE(read(&source, out));
done:
  json_decref(root);
  free(path);
  return status;
}

xt_status model_config_load(const char *directory, ModelConfig *out, xt_error *error) {
  ModelConfig config = {.repetition_penalty = 1};
  TRY(read_file(directory, "config.json", false, read_config, &config, error));
  TRY(read_file(directory, "generation_config.json", true, read_generation, &config, error));
  *out = config;
  return XT_STATUS_OK;
}
