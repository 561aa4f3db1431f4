/* SPDX-License-Identifier: Apache-2.0 */
/* quantization_config: which kind of quantised matrices the weight files hold. What is not
 * understood is refused by name. */
#include <stdio.h>
#include <string.h>

#include "base/text_buffer.h"
#include "files/config_parts.h"

#define INSTEAD "use a checkpoint with F32, F16 or BF16 weights, or a GGUF file"

static xt_status one_of(const ConfigSource *q, const char *key, const char *const *known,
                        const char **out) {
  const char *text = *out;
  TRY(json_get_text(q->root, key, &text, q->path, q->error));
  *out = text;
  for (int i = 0; text && known[i]; i++)
    if (text_same_letters(text, known[i])) return XT_STATUS_OK;
  return text ? CONFIG_REFUSE(q, XT_STATUS_UNSUPPORTED, key, "\"%.40s\" is not handled; " INSTEAD,
                              text)
              : XT_STATUS_OK;
}

/* Columns of a group, -1 where the whole row is one. */
static xt_status read_group(const ConfigSource *q, const char *key, PackedFormat *out) {
  int group = 128;
  TRY(config_int(q, key, -1, 1 << 20, &group));
  if (group == 0)
    return CONFIG_REFUSE(q, XT_STATUS_INPUT, key, "is 0; expected -1 or a number of columns");
  out->group = group > 0 ? group : 0;
  return XT_STATUS_OK;
}

static xt_status read_gptq(const ConfigSource *q, PackedFormat *out) {
  static const char *const formats[] = {"gptq", "gptq_v2", NULL};
  const char *format = "gptq";
  const json_t *dynamic = json_object_get(q->root, "dynamic");
  bool marlin = false;
  *out = (PackedFormat){.kind = PACKING_GPTQ, .bits = 4};
  TRY(config_need_int(q, "bits", 2, 8, &out->bits));
  if (out->bits > 4 && out->bits < 8)
    return CONFIG_REFUSE(q, XT_STATUS_UNSUPPORTED, "bits",
                         "%d bits are not handled; 2, 3, 4 and 8 are", out->bits);
  TRY(read_group(q, "group_size", out));
  TRY(one_of(q, "checkpoint_format", formats, &format));
  TRY(config_bool(q, "is_marlin_format", &marlin));
  if (marlin)
    return CONFIG_REFUSE(q, XT_STATUS_UNSUPPORTED, "is_marlin_format",
                         "Marlin's layout is not handled; " INSTEAD);
  if (json_object_size(dynamic))
    return CONFIG_REFUSE(q, XT_STATUS_UNSUPPORTED, "dynamic",
                         "settings of single modules are not handled; " INSTEAD);
  out->zero_more = !text_same_letters(format, "gptq_v2");
  snprintf(out->about, sizeof out->about, "GPTQ, %d bits", out->bits);
  return XT_STATUS_OK;
}

static xt_status read_awq(const ConfigSource *q, PackedFormat *out) {
  static const char *const versions[] = {"gemm", NULL};
  const char *version = NULL;
  bool zeros = true;
  *out = (PackedFormat){.kind = PACKING_AWQ, .bits = 4, .group = 128};
  TRY(config_int(q, "w_bit", 4, 4, &out->bits));
  TRY(config_int(q, "bits", 4, 4, &out->bits));
  TRY(read_group(q, config_given(q->root, "q_group_size") ? "q_group_size" : "group_size", out));
  TRY(one_of(q, "version", versions, &version));
  version = NULL;
  TRY(one_of(q, "format", versions, &version));
  TRY(config_bool(q, "zero_point", &zeros));
  if (!zeros)
    return CONFIG_REFUSE(q, XT_STATUS_UNSUPPORTED, "zero_point",
                         "AWQ without zeros is not handled; " INSTEAD);
  snprintf(out->about, sizeof out->about, "AWQ, 4 bits");
  return XT_STATUS_OK;
}

static xt_status read_blocks(const ConfigSource *q, const char *key, PackedFormat *out) {
  const json_t *list = json_object_get(q->root, key);
  if (!config_given(q->root, key)) return XT_STATUS_OK;
  for (size_t i = 0; i < 2; i++) {
    const json_t *value = json_array_get(list, i);
    const json_int_t size = json_integer_value(value);
    if (json_array_size(list) != 2 || !json_is_integer(value) || size < 1 || size > 1 << 20)
      return CONFIG_REFUSE(
          q, XT_STATUS_INPUT, key,
          "expected two whole numbers above 0, the rows and the columns of a block");
    *(i ? &out->block_cols : &out->block_rows) = (int)size;
  }
  return XT_STATUS_OK;
}

static xt_status read_fp8(const ConfigSource *q, PackedFormat *out) {
  static const char *const formats[] = {"e4m3", "float8_e4m3fn", NULL},
                           *const scales[] = {"float", NULL}, *const experts[] = {"fp8", NULL};
  const char *format = NULL, *scale = NULL, *expert = NULL;
  *out = (PackedFormat){.kind = PACKING_FP8, .symmetric = true};
  TRY(one_of(q, "fmt", formats, &format));
  TRY(one_of(q, "scale_fmt", scales, &scale));
  TRY(one_of(q, "expert_dtype", experts, &expert));
  TRY(read_blocks(q, "weight_block_size", out));
  if (out->block_rows)
    snprintf(out->about, sizeof out->about, "FP8 E4M3, scales of %d x %d", out->block_rows,
             out->block_cols);
  else
    snprintf(out->about, sizeof out->about, "FP8 E4M3, a scale a matrix");
  return XT_STATUS_OK;
}

/* One of compressed-tensors' config_groups. */
static xt_status read_scheme(const ConfigSource *w, bool packed, PackedFormat *out) {
  static const char *const types[] = {"int", "float", NULL}, *const strategies[] = {
                                                                 "tensor", "channel", "group",
                                                                 "block", NULL};
  const char *type = "int", *strategy = "tensor";
  int bits = 8;
  bool symmetric = true;
  *out = (PackedFormat){.kind = packed ? PACKING_WORDS : PACKING_PLAIN};
  TRY(one_of(w, "type", types, &type));
  TRY(one_of(w, "strategy", strategies, &strategy));
  TRY(config_int(w, "num_bits", packed ? 2 : 8, 8, &bits));
  TRY(config_bool(w, "symmetric", &symmetric));
  if (packed && strcmp(type, "int") != 0)
    return CONFIG_REFUSE(w, XT_STATUS_UNSUPPORTED, "type",
                         "packed floats are not handled; " INSTEAD);
  out->bits = bits;
  out->symmetric = symmetric;
  if (strcmp(strategy, "group") == 0) TRY(read_group(w, "group_size", out));
  if (strcmp(strategy, "block") == 0) TRY(read_blocks(w, "block_structure", out));
  snprintf(out->about, sizeof out->about, "compressed-tensors, %d bit%s a %s", bits,
           strcmp(type, "float") == 0 ? " floats, scales" : "s, scales", strategy);
  return XT_STATUS_OK;
}

static bool same_scheme(const PackedFormat *a, const PackedFormat *b) {
  return a->kind == b->kind && a->bits == b->bits && a->group == b->group &&
         a->block_rows == b->block_rows && a->block_cols == b->block_cols &&
         a->symmetric == b->symmetric;
}

static xt_status read_compressed(const ConfigSource *q, PackedFormat *out) {
  static const char *const formats[] = {"pack-quantized",  "float-quantized", "int-quantized",
                                        "naive-quantized", "dense",           NULL};
  static const char *const dense[] = {"dense", NULL};
  const char *format = "naive-quantized", *sparse = NULL, *name;
  json_t *group;
  TRY(one_of(q, "format", formats, &format));
  const json_t *groups = json_object_get(q->root, "config_groups"),
               *sparsity = json_object_get(q->root, "sparsity_config");
  if (json_object_size(sparsity))
    TRY(one_of(&(ConfigSource){q->path, sparsity, q->error}, "format", dense, &sparse));
  if (text_same_letters(format, "dense")) return XT_STATUS_OK;
  json_object_foreach((json_t *)(uintptr_t)groups, name, group) {
    PackedFormat scheme;
    const json_t *weights = json_object_get(group, "weights");
    if (!json_is_object(weights)) continue;
    TRY(read_scheme(&(ConfigSource){q->path, weights, q->error},
                    text_same_letters(format, "pack-quantized"), &scheme));
    if (out->kind && !same_scheme(&scheme, out))
      return CONFIG_REFUSE(q, XT_STATUS_UNSUPPORTED, "config_groups",
                           "groups of modules with different schemes are not handled; " INSTEAD);
    *out = scheme;
  }
  return out->kind ? XT_STATUS_OK
                   : CONFIG_REFUSE(q, XT_STATUS_INPUT, "config_groups",
                                   "no group says how weights are stored");
}

xt_status config_read_packing(const ConfigSource *s, ModelConfig *out) {
  static const struct {
    const char *name;
    xt_status (*read)(const ConfigSource *, PackedFormat *);
  } methods[] = {{"gptq", read_gptq},
                 {"awq", read_awq},
                 {"fp8", read_fp8},
                 {"compressed-tensors", read_compressed}};
  const char *key = config_given(s->root, "quantization_config") ? "quantization_config"
                                                                 : "compression_config",
             *method = NULL;
  const json_t *own = json_object_get(s->root, key);
  if (!config_given(s->root, key)) return XT_STATUS_OK;
  if (!json_is_object(own))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "is %s, expected an object", json_type_name(own));
  const ConfigSource q = {s->path, own, s->error};
  TRY(json_get_text(own, "quant_method", &method, s->path, s->error));
  for (size_t i = 0; method && i < sizeof methods / sizeof *methods; i++)
    if (strcmp(method, methods[i].name) == 0) return methods[i].read(&q, &out->packing);
  return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, key,
                       "quantised weights of this kind (%.32s) are not handled; GPTQ, AWQ, FP8 and "
                       "compressed-tensors are; " INSTEAD,
                       method ? method : "quant_method is missing");
}
