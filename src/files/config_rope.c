/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions, in the spellings of config.json there are: rope_theta and rope_scaling, or
 * rope_parameters, which may hold a set for each type of layer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "files/config_parts.h"

static xt_status need_real(const ConfigSource *rope, const char *key, double low, double high,
                           double *out) {
  if (!config_given(rope->root, key))
    return CONFIG_REFUSE(rope, XT_STATUS_INPUT, key, "is missing from the rope parameters");
  return config_real(rope, key, low, high, out);
}

/* transformers: 0.1 * mscale * ln(factor) + 1 */
static double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static xt_status read_yarn(const ConfigSource *rope, Rotary *out) {
  bool truncate = true;
  double mscale = 0, mscale_all = 0;
  TRY(config_bool(rope, "truncate", &truncate));
  if (!truncate)
    return CONFIG_REFUSE(rope, XT_STATUS_UNSUPPORTED, "truncate", "false is not handled for yarn");
  TRY(config_real(rope, "attention_factor", 0, 1e6, &out->attention_factor));
  TRY(config_real(rope, "beta_fast", 0, 1e6, &out->beta_fast));
  TRY(config_real(rope, "beta_slow", 0, 1e6, &out->beta_slow));
  if (out->beta_fast == 0) out->beta_fast = 32; /* as transformers' "or" */
  if (out->beta_slow == 0) out->beta_slow = 1;
  if (out->beta_fast < out->beta_slow)
    return CONFIG_REFUSE(rope, XT_STATUS_INPUT, "beta_fast", "%g is below \"beta_slow\", %g",
                         out->beta_fast, out->beta_slow);
  TRY(config_real(rope, "mscale", 0, 1e6, &mscale));
  TRY(config_real(rope, "mscale_all_dim", 0, 1e6, &mscale_all));
  if (!config_given(rope->root, "attention_factor") && mscale != 0 && mscale_all != 0)
    out->attention_factor = yarn_scale(out->factor, mscale) / yarn_scale(out->factor, mscale_all);
  return XT_STATUS_OK;
}

static xt_status read_factors(const ConfigSource *rope, const char *key, int count, float *out) {
  const json_t *list = json_object_get(rope->root, key);
  if (!json_is_array(list) || json_array_size(list) != (size_t)count)
    return CONFIG_REFUSE(rope, XT_STATUS_INPUT, key,
                         "expected a list of %d numbers, one for each pair of a head", count);
  for (int k = 0; k < count; k++) {
    const double value = json_number_value(json_array_get(list, (size_t)k));
    if (!(value >= 1e-6 && value <= 1e9))
      return CONFIG_REFUSE(rope, XT_STATUS_INPUT, key, "number %d is not one above 0", k);
    out[k] = (float)value;
  }
  return XT_STATUS_OK;
}

/* LongRoPE (Ding et al. 2024), as transformers has it. */
static xt_status read_longrope(const ConfigSource *rope, const ModelConfig *config, double part,
                               Rotary *out) {
  const int count = (int)((double)config->head_dim * part) / 2;
  if (count > ROPE_FACTORS_MAX)
    return CONFIG_REFUSE(rope, XT_STATUS_UNSUPPORTED, "long_factor",
                         "%d numbers are not handled; at most %d are", count, ROPE_FACTORS_MAX);
  out->factor = (double)config->max_positions / out->original_positions;
  TRY(config_real(rope, "factor", 1e-6, 1e6, &out->factor));
  TRY(config_real(rope, "attention_factor", 0, 1e6, &out->attention_factor));
  TRY(read_factors(rope, "short_factor", count, out->short_factor));
  return read_factors(rope, "long_factor", count, out->long_factor);
}

static xt_status read_llama3(const ConfigSource *rope, Rotary *out) {
  TRY(need_real(rope, "low_freq_factor", 1e-6, 1e6, &out->low_freq));
  TRY(need_real(rope, "high_freq_factor", 1e-6, 1e6, &out->high_freq));
  if (out->high_freq <= out->low_freq)
    return CONFIG_REFUSE(rope, XT_STATUS_INPUT, "high_freq_factor",
                         "%g is not above \"low_freq_factor\", %g", out->high_freq, out->low_freq);
  return XT_STATUS_OK;
}

/* Phi-3's first files call longrope "su" or "yarn". */
static xt_status read_scaling(const ConfigSource *rope, bool phi, RopeScaling *out) {
  static const char *const kinds[] = {
      [ROPE_SCALING_NONE] = "default",  [ROPE_SCALING_LINEAR] = "linear",
      [ROPE_SCALING_LLAMA3] = "llama3", [ROPE_SCALING_DYNAMIC] = "dynamic",
      [ROPE_SCALING_YARN] = "yarn",     [ROPE_SCALING_LONGROPE] = "longrope"};
  const size_t count = sizeof kinds / sizeof *kinds;
  const char *old = NULL, *kind = NULL;
  TRY(json_get_text(rope->root, "type", &old, rope->path, rope->error));
  TRY(json_get_text(rope->root, "rope_type", &kind, rope->path, rope->error));
  if (kind && old && strcmp(kind, old) != 0)
    return CONFIG_REFUSE(rope, XT_STATUS_INPUT, "rope_type",
                         "is \"%.32s\", but \"type\" says \"%.32s\"", kind, old);
  if (!kind) kind = old ? old : "default";
  if (phi && (strcmp(kind, "su") == 0 || strcmp(kind, "yarn") == 0)) kind = "longrope";
  size_t found = 0;
  while (found < count && strcmp(kinds[found], kind) != 0) found++;
  if (found == count)
    return CONFIG_REFUSE(
        rope, XT_STATUS_UNSUPPORTED, "rope_type",
        "\"%.64s\" is not handled; known: default, linear, dynamic, yarn, llama3, longrope", kind);
  *out = (RopeScaling)found;
  return XT_STATUS_OK;
}

/* A fixed "alpha" of HunYuan's, which it calls dynamic: theta alpha^(d/(d-2)) whatever the length,
 * d being the head's width. */
static xt_status stretch_theta(const ModelConfig *config, double alpha, Rotary *out) {
  const double width = config->head_dim;
  out->scaling = ROPE_SCALING_NONE;
  if (config->head_dim > 2) out->theta *= pow(alpha, width / (width - 2));
  return XT_STATUS_OK;
}

/* Ministral 3: queries have angles of their own, whose cosines and sines grow with the position. */
static xt_status read_queries(const ConfigSource *rope, ModelConfig *out) {
  Rotary *queries = &out->rotary[1];
  *queries = out->rotary[0];
  TRY(need_real(rope, "llama_4_scaling_beta", 0, 1e6, &queries->query_beta));
  TRY(config_need_int(rope, "original_max_position_embeddings", 1, MODEL_POSITIONS_MAX,
                      &queries->original_positions));
  out->queries_apart = queries->query_beta > 0;
  return XT_STATUS_OK;
}

/* `rope` is the rope_scaling or rope_parameters object, or one layer type's; `part` the rotated
 * part of a head. */
static xt_status read_rotary(const ConfigSource *rope, const ConfigSource *s,
                             const ModelConfig *config, double *part, Rotary *out) {
  TRY(read_scaling(rope, config->family == FAMILY_PHI3, &out->scaling));
  TRY(config_real(rope, "partial_rotary_factor", 0, 1, part));
  TRY(config_real(rope, "rope_theta", 1, 1e15, &out->theta));
  if (out->scaling == ROPE_SCALING_NONE) return XT_STATUS_OK;
  if (out->scaling == ROPE_SCALING_DYNAMIC && config->family == FAMILY_HUNYUAN) {
    double alpha = 0;
    TRY(config_real(rope, "alpha", 0, 1e9, &alpha));
    if (alpha > 0) return stretch_theta(config, alpha, out);
  }
  if (out->scaling != ROPE_SCALING_LONGROPE) TRY(need_real(rope, "factor", 1, 1e6, &out->factor));
  out->original_positions = config->max_positions;
  if (out->scaling != ROPE_SCALING_LINEAR && out->scaling != ROPE_SCALING_DYNAMIC) {
    /* Where both places give it, transformers lets the top level win; Phi-3's class has a default
     * there. */
    TRY(config_int(rope, "original_max_position_embeddings", 1, MODEL_POSITIONS_MAX,
                   &out->original_positions));
    if (config->family == FAMILY_PHI3) out->original_positions = 4096;
    TRY(config_int(s, "original_max_position_embeddings", 1, MODEL_POSITIONS_MAX,
                   &out->original_positions));
  }
  if (out->scaling == ROPE_SCALING_LONGROPE) return read_longrope(rope, config, *part, out);
  if (out->scaling == ROPE_SCALING_LLAMA3) return read_llama3(rope, out);
  if (out->scaling == ROPE_SCALING_YARN) return read_yarn(rope, out);
  return XT_STATUS_OK;
}

/* The object with the rope parameters; *out stays NULL where there is none. Of two, rope_scaling is
 * taken, as transformers does. */
static xt_status find_object(const ConfigSource *s, const json_t **out, const char **key) {
  static const char *const keys[] = {"rope_scaling", "rope_parameters"};
  for (size_t i = 0; i < 2 && !*out; i++) {
    const json_t *rope = json_object_get(s->root, keys[i]);
    if (!rope || json_is_null(rope)) continue;
    *key = keys[i];
    if (!json_is_object(rope))
      return CONFIG_REFUSE(s, XT_STATUS_INPUT, keys[i], "is %s, expected an object",
                           json_type_name(rope));
    if (json_object_size(rope)) *out = rope;
  }
  return XT_STATUS_OK;
}

/* Parameters by layer type: the full layers' are the first set, the sliding layers' the second. */
static xt_status read_by_type(const ConfigSource *s, const json_t *rope, ModelConfig *out,
                              double *part) {
  static const char *const types[MODEL_ROTARIES] = {"full_attention", "sliding_attention"};
  for (int i = 0; i < MODEL_ROTARIES; i++) {
    const json_t *of_type = json_object_get(rope, types[i]);
    if (!of_type || json_is_null(of_type)) continue;
    if (!json_is_object(of_type))
      return CONFIG_REFUSE(s, XT_STATUS_INPUT, types[i], "is %s, expected an object",
                           json_type_name(of_type));
    TRY(read_rotary(&(ConfigSource){s->path, of_type, s->error}, s, out, part, &out->rotary[i]));
  }
  return XT_STATUS_OK;
}

static xt_status set_width(const ConfigSource *s, const Family *family, double part,
                           ModelConfig *out) {
  if (part != 1 && !family->rotary_part_key)
    return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, "partial_rotary_factor",
                         "%g is not handled for %s; only 1 is", part, family->architecture);
  out->rope_width = (int)((double)out->head_dim * part);
  if (out->rope_width < 2 || out->rope_width % 2)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "partial_rotary_factor",
                         "%g of a head of %d is %d; rotary positions need pairs", part,
                         out->head_dim, out->rope_width);
  return XT_STATUS_OK;
}

static xt_status read_rope(const ConfigSource *s, const Family *family, ModelConfig *out) {
  const bool by_type = family->rotary == ROTARY_BY_TYPE;
  const json_t *rope = NULL;
  const char *key = "rope_parameters";
  double part = family->rotary_part;
  Rotary *full = &out->rotary[0], *sliding = &out->rotary[1];
  out->rope_style = family->rope_style;
  *full = (Rotary){.theta = family->rope_theta, .factor = 1};
  TRY(config_real(s, family->theta_key ? family->theta_key : "rope_theta", 1, 1e15, &full->theta));
  TRY(config_real(s, family->part_key ? family->part_key : "partial_rotary_factor", 0, 1, &part));
  *sliding = (Rotary){.theta = family->sliding_theta > 0 ? family->sliding_theta : full->theta,
                      .factor = 1};
  if (family->sliding_theta > 0)
    TRY(config_real(s, "rope_local_base_freq", 1, 1e15, &sliding->theta));
  TRY(find_object(s, &rope, &key));
  if (!rope && (out->family == FAMILY_MINISTRAL3 || out->family == FAMILY_APERTUS))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "is missing; every %s has its own",
                         family->architecture);
  const bool nested = json_is_object(json_object_get(rope, "full_attention")) ||
                      json_is_object(json_object_get(rope, "sliding_attention"));
  if (nested && !by_type)
    return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, key,
                         "parameters by layer type are not handled for %s", family->architecture);
  if (nested) TRY(read_by_type(s, rope, out, &part));
  /* the full layers' */
  else if (rope)
    TRY(read_rotary(&(ConfigSource){s->path, rope, s->error}, s, out, &part, full));
  if (family->queries_apart && rope && !nested)
    TRY(read_queries(&(ConfigSource){s->path, rope, s->error}, out));
  out->unbounded = family->unbounded || full->scaling == ROPE_SCALING_DYNAMIC;
  out->begins_anew = out->family == FAMILY_PHI3 && full->scaling == ROPE_SCALING_LONGROPE;
  return set_width(s, family, part, out);
}

static bool same_rotary(const Rotary *a, const Rotary *b) {
  return a->theta == b->theta && a->scaling == b->scaling && a->factor == b->factor &&
         a->low_freq == b->low_freq && a->high_freq == b->high_freq &&
         a->attention_factor == b->attention_factor && a->beta_fast == b->beta_fast &&
         a->beta_slow == b->beta_slow && a->original_positions == b->original_positions &&
         a->query_beta == b->query_beta &&
         memcmp(a->short_factor, b->short_factor, sizeof a->short_factor) == 0 &&
         memcmp(a->long_factor, b->long_factor, sizeof a->long_factor) == 0;
}

xt_status config_read_rope(const ConfigSource *s, const Family *family, ModelConfig *out) {
  TRY(read_rope(s, family, out));
  if (!config_given(s->root, "rope_scaling") || !config_given(s->root, "rope_parameters"))
    return XT_STATUS_OK;
  /* Files for both transformers 4 and 5 have both, which must agree. */
  ModelConfig *other;
  json_t *root = json_copy((json_t *)(uintptr_t)s->root);
  if (!root) return err_memory(s->error, sizeof *root);
  json_object_del(root, "rope_scaling");
  xt_status status = MEM_ALLOC(&other, 1, s->error);
  if (!status) {
    *other = *out;
    status = read_rope(&(ConfigSource){s->path, root, s->error}, family, other);
    bool same = other->rope_width == out->rope_width;
    for (int i = 0; i < MODEL_ROTARIES; i++)
      same = same && same_rotary(&other->rotary[i], &out->rotary[i]);
    if (!status && !same)
      status = CONFIG_REFUSE(
          s, XT_STATUS_INPUT, "rope_scaling",
          "says otherwise than \"rope_parameters\"; take one of the two out of the file");
    free(other);
  }
  json_decref(root);
  return status;
}
