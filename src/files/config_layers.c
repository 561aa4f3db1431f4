/* SPDX-License-Identifier: Apache-2.0 */
/* What layers of one model differ in: the window, and the rotation. */
#include <string.h>

#include "files/config_parts.h"

/* "layer_types", where given, says which layers have a sliding window. */
static xt_status read_layer_types(const ConfigSource *s, ModelConfig *out, bool *given) {
  const json_t *types = json_object_get(s->root, "layer_types");
  *given = config_given(s->root, "layer_types");
  if (!*given) return XT_STATUS_OK;
  if (!json_is_array(types) || json_array_size(types) != (size_t)out->layers)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "layer_types",
                         "expected a list of one name for each of the %d layers", out->layers);
  for (int i = 0; i < out->layers; i++) {
    const char *type = json_string_value(json_array_get(types, (size_t)i));
    out->kinds[i].sliding = type && strcmp(type, "sliding_attention") == 0;
    if (!out->kinds[i].sliding && (!type || strcmp(type, "full_attention") != 0))
      return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, "layer_types",
                           "layer %d is neither \"full_attention\" nor \"sliding_attention\"", i);
    if (out->kinds[i].sliding && out->sliding_window == 0)
      return CONFIG_REFUSE(s, XT_STATUS_INPUT, "layer_types",
                           "layer %d is \"sliding_attention\", but no sliding window is in use", i);
  }
  return XT_STATUS_OK;
}

static xt_status read_window(const ConfigSource *s, const Family *family, ModelConfig *out) {
  /* An explicit null is "none"; only an absent key takes the class's default. */
  if (!json_object_get(s->root, "sliding_window")) out->sliding_window = family->sliding_window;
  TRY(config_int(s, "sliding_window", 1, MODEL_POSITIONS_MAX, &out->sliding_window));
  if (family->window != WINDOW_FROM && family->window != WINDOW_ROTARY &&
      family->window != WINDOW_SWITCHED)
    return XT_STATUS_OK;
  bool used = false;
  TRY(config_bool(s, "use_sliding_window", &used));
  if (!used) out->sliding_window = 0;
  return XT_STATUS_OK;
}

/* Keys of windows that the class does not know. Its attention ignores them, but the cache of
 * transformers 5 follows them and drops positions, so that its results with such a file are those
 * of neither. */
static xt_status refuse_windows(const ConfigSource *s, const Family *family,
                                const ModelConfig *out) {
  int window = 0;
  if (family->window == WINDOW_NONE)
    TRY(config_int(s, "sliding_window", 0, MODEL_POSITIONS_MAX, &window));
  if (window > 0 && window < out->max_positions)
    return CONFIG_REFUSE(
        s, XT_STATUS_UNSUPPORTED, "sliding_window",
        "%s knows no window, yet transformers 5 drops positions by it; take it out of the file",
        family->architecture);
  if (family->layer_types) return XT_STATUS_OK;
  const json_t *types = json_object_get(s->root, "layer_types");
  for (size_t l = 0; l < json_array_size(types) && l < (size_t)out->layers; l++) {
    const char *type = json_string_value(json_array_get(types, l));
    if (!type || strcmp(type, out->kinds[l].sliding ? "sliding_attention" : "full_attention") != 0)
      return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, "layer_types",
                           "layer %zu is otherwise than %s makes it, yet transformers 5 drops "
                           "positions by it; take it "
                           "out of the file, or name a class that knows it",
                           l, family->architecture);
  }
  return XT_STATUS_OK;
}

/* The class's own rule, for files without "layer_types". */
static xt_status apply_window_rule(const ConfigSource *s, const Family *family, ModelConfig *out) {
  int from = 28, pattern = family->sliding_pattern;
  if (family->window == WINDOW_FROM) TRY(config_int(s, "max_window_layers", 0, 100000, &from));
  if (family->window == WINDOW_PATTERN)
    TRY(config_int(s, "sliding_window_pattern", 1, 100000, &pattern));
  for (int l = 0; l < out->layers && out->sliding_window; l++)
    out->kinds[l].sliding = family->window == WINDOW_ALL || family->window == WINDOW_SWITCHED ||
                            (family->window == WINDOW_FROM && l >= from) ||
                            (family->window == WINDOW_PATTERN && (l + 1) % pattern != 0) ||
                            (family->window == WINDOW_ROTARY && out->kinds[l].rotary < 0);
  return XT_STATUS_OK;
}

/* SmolLM3: 1 for a layer that is rotated. */
static xt_status read_listed_rotaries(const ConfigSource *s, ModelConfig *out) {
  const json_t *list = json_object_get(s->root, "no_rope_layers");
  int interval = 4;
  TRY(config_int(s, "no_rope_layer_interval", 1, 100000, &interval));
  for (int l = 0; l < out->layers; l++) out->kinds[l].rotary = (l + 1) % interval ? 0 : -1;
  if (!config_given(s->root, "no_rope_layers")) return XT_STATUS_OK;
  if (!json_is_array(list) || json_array_size(list) != (size_t)out->layers)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, "no_rope_layers",
                         "expected a list of one number for each of the %d layers", out->layers);
  for (int l = 0; l < out->layers; l++) {
    const json_t *value = json_array_get(list, (size_t)l);
    if (!json_is_integer(value))
      return CONFIG_REFUSE(s, XT_STATUS_INPUT, "no_rope_layers", "layer %d is %s, expected 0 or 1",
                           l, json_type_name(value));
    out->kinds[l].rotary = json_integer_value(value) ? 0 : -1;
  }
  return XT_STATUS_OK;
}

static void apply_rotary_rule(const Family *family, ModelConfig *out) {
  for (int l = 0; l < out->layers; l++) {
    LayerKind *kind = &out->kinds[l];
    switch (family->rotary) {
      case ROTARY_ALL:
      case ROTARY_LISTED: break;
      case ROTARY_NONE: kind->rotary = -1; break;
      case ROTARY_SLIDING: kind->rotary = kind->sliding ? 0 : -1; break;
      case ROTARY_SLIDING_OR_ALL:
        kind->rotary = kind->sliding || !out->sliding_window ? 0 : -1;
        break;
      case ROTARY_BY_TYPE: kind->rotary = kind->sliding ? 1 : 0; break;
    }
  }
}

xt_status config_read_layers(const ConfigSource *s, const Family *family, ModelConfig *out) {
  bool given = false, slides = false;
  if (family->rotary == ROTARY_LISTED) TRY(read_listed_rotaries(s, out));
  if (family->window != WINDOW_NONE) {
    TRY(read_window(s, family, out));
    if (family->layer_types) TRY(read_layer_types(s, out, &given));
    if (!given) TRY(apply_window_rule(s, family, out));
  }
  TRY(refuse_windows(s, family, out));
  apply_rotary_rule(family, out);
  for (int l = 0; l < out->layers; l++) slides |= out->kinds[l].sliding;
  if (!slides && family->rotary != ROTARY_SLIDING_OR_ALL) out->sliding_window = 0;
  return XT_STATUS_OK;
}
