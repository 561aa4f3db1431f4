/* SPDX-License-Identifier: Apache-2.0 */
#include "xtransplant/vector.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/out_file.h"
#include "base/text_buffer.h"
#include "files/checkpoint.h"
#include "files/gguf.h"
#include "files/safetensors_writer.h"

struct xt_vector {
  int layers, width;
  bool single;
  bool *has;     /* [layers] */
  float *values; /* [layers][width]; `single`: [width] */
};

void xt_vector_free(xt_vector *v) {
  if (!v) return;
  free(v->has);
  free(v->values);
  free(v);
}

const float *xt_vector_get(const xt_vector *v, int layer) {
  if (layer < 0 || layer >= v->layers || !v->has[layer]) return NULL;
  return v->values + (v->single ? 0 : (size_t)layer * (size_t)v->width);
}

bool xt_vector_is_single(const xt_vector *v) { return v->single; }

/* ---- reading --------------------------------------------------------------------------------- */

/* [4, 64] */
static void print_shape(const Tensor *t, char out[96]) {
  int at = snprintf(out, 96, "[");
  for (int d = 0; d < t->dims && at < 70; d++)
    at += snprintf(out + at, 96 - (size_t)at, d ? ", %lld" : "%lld", (long long)t->shape[d]);
  snprintf(out + at, 96 - (size_t)at, "]");
}

/* All of a tensor as float32, every value finite. */
static xt_status load(const Tensor *t, size_t count, float *out, xt_error *error) {
  if (t->dtype != DTYPE_F64 && !dtype_is_weight(t->dtype))
    return err_set(error, XT_STATUS_UNSUPPORTED, t->map->path, t->name, tensor_offset(t),
                   "has the type %s; a vector is of floats", dtype_name(t->dtype));
  if (t->dtype != DTYPE_F64) dtype_widen(t->dtype, t->data, count, out);
  for (size_t i = 0; i < count; i++) {
    double wide = 0;
    if (t->dtype == DTYPE_F64) {
      memcpy(&wide, (const uint8_t *)t->data + i * sizeof wide, sizeof wide);
      out[i] = (float)wide;
    }
    if (!isfinite(out[i]))
      return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t),
                     "element %zu is not finite in float32", i);
  }
  return XT_STATUS_OK;
}

/* A tensor [width] or [layers, width]. */
static xt_status take_tensor(xt_vector *v, const Tensor *t, xt_error *error) {
  char shape[96];
  const bool rows = t->dims == 2 && t->shape[0] == v->layers && t->shape[1] == v->width;
  print_shape(t, shape);
  v->single = t->dims == 1 && t->shape[0] == v->width;
  if (!rows && !v->single)
    return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t),
                   "has the shape %s; this model's vectors are [%d], or [%d, %d] for all layers",
                   shape, v->width, v->layers, v->width);
  const size_t count = (size_t)(rows ? v->layers : 1) * (size_t)v->width;
  TRY(MEM_ALLOC(&v->values, count, error));
  for (int l = 0; l < v->layers; l++) v->has[l] = true;
  return load(t, count, v->values, error);
}

/* The tensor of that name, or the only one. */
static xt_status find_tensor(const Checkpoint *c, const char *name, const Tensor **out,
                             xt_error *error) {
  TextBuffer names = {0};
  const char *path = checkpoint_first_file(c)->path;
  *out = name ? checkpoint_find(c, name) : checkpoint_get(c, 0);
  if (*out && (name || checkpoint_count(c) == 1)) return XT_STATUS_OK;
  for (size_t i = 0; i < checkpoint_count(c) && i < 8; i++)
    text_buffer_format(&names, i ? ", %.40s" : "%.40s", checkpoint_get(c, i)->name);
  const char *list = names.failed ? "?" : names.data ? names.data : "no tensors";
  const xt_status status =
      name ? err_set(error, XT_STATUS_INPUT, path, NULL, -1, "has no tensor '%.60s'; it has %s",
                     name, list)
           : err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "holds %zu tensors; give the name of one of them after the file's, as in "
                     "FILE:NAME; it has %s",
                     checkpoint_count(c), list);
  text_buffer_free(&names);
  return status;
}

/* Tensors direction.N of [width], N from 0 on. */
static xt_status take_directions(xt_vector *v, const Checkpoint *c, xt_error *error) {
  static const char prefix[] = "direction.";
  TRY(MEM_ALLOC(&v->values, (size_t)v->layers * (size_t)v->width, error));
  for (size_t i = 0; i < checkpoint_count(c); i++) {
    const Tensor *t = checkpoint_get(c, i);
    char shape[96], *end = NULL;
    const bool named = strncmp(t->name, prefix, sizeof prefix - 1) == 0;
    const char *digits = named ? t->name + sizeof prefix - 1 : "";
    const long layer = *digits >= '0' && *digits <= '9' ? strtol(digits, &end, 10) : -1;
    print_shape(t, shape);
    if (!end || *end || layer >= v->layers)
      return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t),
                     "is not a direction of this model: direction.N with N below %d is expected",
                     v->layers);
    if (t->dims != 1 || t->shape[0] != v->width)
      return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t),
                     "has the shape %s; this model's vectors are [%d]", shape, v->width);
    if (v->has[layer])
      return err_set(error, XT_STATUS_INPUT, t->map->path, t->name, tensor_offset(t),
                     "is there twice");
    v->has[layer] = true;
    TRY(load(t, (size_t)v->width, v->values + (size_t)layer * (size_t)v->width, error));
  }
  if (checkpoint_count(c)) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_INPUT, checkpoint_first_file(c)->path, NULL, -1,
                 "has no tensors; a control vector has direction.1, direction.2 and so on");
}

xt_status xt_vector_open(const char *path, const char *name, int layers, int width, xt_vector **out,
                         xt_error *error) {
  const bool npy = file_name_ends(path, ".npy"), gguf = !npy && gguf_is_file(path);
  const Tensor *tensor;
  Checkpoint *c = NULL;
  xt_vector *v;
  xt_status status;
  *out = NULL;
  if ((npy || gguf) && name)
    return err_set(error, XT_STATUS_ARGUMENT, path, NULL, -1,
                   "holds one vector, without a name; '%.60s' is asked for", name);
  TRY(MEM_ALLOC(&v, 1, error));
  *v = (xt_vector){.layers = layers, .width = width};
  TRY_DONE(MEM_ALLOC(&v->has, (size_t)layers, error));
  TRY_DONE(npy    ? checkpoint_open_npy(path, &c, error)
           : gguf ? checkpoint_open(path, &c, error)
                  : checkpoint_open_file(path, &c, error));
  if (gguf) {
    TRY_DONE(take_directions(v, c, error));
  } else {
    TRY_DONE(find_tensor(c, name, &tensor, error));
    TRY_DONE(take_tensor(v, tensor, error));
  }
  TRY_DONE(checkpoint_check(c, error));
  *out = v;
  v = NULL;
done:
  checkpoint_close(c);
  xt_vector_free(v);
  return status;
}
