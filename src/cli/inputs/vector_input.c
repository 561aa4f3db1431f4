/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/vector_input.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "happy.npy" and "" to "happy", "sets/taps.safetensors" and "Block" to "taps.block": lower-case
 * letters, digits, '.', '_' and '-'; others become '-'. A part of the digest follows. */
static void make_label(VectorInput *v, const char *path, const char *name,
                       const xt_model_info *info) {
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  const char *dot = strrchr(base, '.');
  const int length = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
  char digest[XT_TEXT_HASH_SIZE], text[36];
  const size_t bytes = (size_t)info->layers * (size_t)info->width * sizeof *v->values;
  xt_text_hash((const char *)v->values, bytes, digest);
  snprintf(text, sizeof text, "%.*s%s%.20s", length < 15 || !name ? length : 15, base,
           name ? "." : "", name ? name : "");
  for (char *c = text; *c; c++) {
    if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", *c)) *c = '-';
  }
  snprintf(v->label, sizeof v->label, "%s.%.8s", text, digest);
}

/* The file may have a colon in its name. */
static xt_status open_vector(const char *text, const xt_model_info *info, VectorInput *out,
                             xt_error *error) {
  const char *colon = access(text, F_OK) == 0 ? NULL : strrchr(text, ':');
  const char *name = colon && colon[1] ? colon + 1 : NULL;
  char *path = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
  if (!path) return error_memory(error);
  const size_t width = (size_t)info->width;
  xt_status status;
  TRY_DONE(xt_vector_open(path, name, info->layers, info->width, &out->vector, error));
  out->values = calloc((size_t)info->layers * width, sizeof *out->values);
  if (!out->values) TRY_DONE(error_memory(error));
  for (int l = 0; l < info->layers; l++) {
    const float *value = xt_vector_get(out->vector, l);
    if (value) memcpy(out->values + (size_t)l * width, value, width * sizeof *value);
  }
  make_label(out, path, name, info);
done:
  free(path);
  return status;
}

xt_status vector_input_read(const char *text, const xt_model_info *info, VectorInput *out,
                            xt_error *error) {
  *out = (VectorInput){0};
  const xt_status status = open_vector(text, info, out, error);
  if (status) vector_input_deinit(out);
  return status;
}

void vector_input_deinit(VectorInput *v) {
  xt_vector_free(v->vector);
  free(v->values);
  *v = (VectorInput){0};
}

xt_status vector_input_at(const VectorInput *v, const char *text, int layer, const float **out,
                          xt_error *error) {
  *out = xt_vector_get(v->vector, layer);
  if (*out) return XT_STATUS_OK;
  return error_set(error, XT_STATUS_INPUT, text, NULL, -1,
                   "has no vector for layer %d; choose others with --source-layer(s)", layer);
}
