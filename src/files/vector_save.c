/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/file_map.h"
#include "base/out_file.h"
#include "base/text_buffer.h"
#include "files/gguf.h"
#include "files/safetensors_writer.h"
#include "xtransplant/vector.h"

/* Files are little-endian, and so is every machine that this is built for. */
static void add_uint(TextBuffer *out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) text_buffer_add(out, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

static void add_floats(TextBuffer *out, const float *values, size_t count) {
  for (size_t i = 0; i < count; i++) add_uint(out, float_bits(values[i]), 4);
}

static xt_status save(const char *path, TextBuffer *out, xt_error *error) {
  const xt_status status =
      out->failed ? err_memory(error, out->size) : out_file_save(path, out->data, out->size, error);
  text_buffer_free(out);
  return status;
}

/* ---- npy ------------------------------------------------------------------------------------- */

/* NumPy pads a header so that the array begins at a multiple of 64. */
static xt_status save_npy(const char *path, const float *values, int layers, int width,
                          xt_error *error) {
  TextBuffer out = {0}, header = {0};
  text_buffer_format(&header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }",
                     layers, width);
  while ((header.size + 11) % 64 && !header.failed) text_buffer_add_text(&header, " ");
  text_buffer_add_text(&header, "\n");
  text_buffer_add(&out, "\x93NUMPY\x01\x00", 8);
  add_uint(&out, header.size, 2);
  if (!header.failed) text_buffer_add(&out, header.data, header.size);
  out.failed = out.failed || header.failed;
  add_floats(&out, values, (size_t)layers * (size_t)width);
  text_buffer_free(&header);
  return save(path, &out, error);
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

static void add_text(TextBuffer *out, const char *text) {
  add_uint(out, strlen(text), 8);
  text_buffer_add_text(out, text);
}

static void add_text_value(TextBuffer *out, const char *key, const char *text) {
  add_text(out, key);
  add_uint(out, GGUF_STRING, 4);
  add_text(out, text);
}

static void pad(TextBuffer *out) {
  while (out->size % 32 && !out->failed) text_buffer_add(out, "", 1);
}

static xt_status save_gguf(const char *path, const float *values, int layers, int width,
                           const char *hint, xt_error *error) {
  TextBuffer out = {0};
  const uint64_t row = ((uint64_t)width * sizeof *values + 31) / 32 * 32;
  if (layers < 2)
    return err_set(error, XT_STATUS_ARGUMENT, path, NULL, -1,
                   "a control vector has directions from layer 1 on, and the model has one layer");
  text_buffer_add_text(&out, "GGUF");
  add_uint(&out, 3, 4);
  add_uint(&out, (uint64_t)layers - 1, 8);
  add_uint(&out, 3, 8);
  add_text_value(&out, "general.architecture", "controlvector");
  add_text_value(&out, "controlvector.model_hint", hint ? hint : "");
  add_text(&out, "controlvector.layer_count");
  add_uint(&out, GGUF_U32, 4);
  add_uint(&out, (uint64_t)layers - 1, 4);
  for (int l = 1; l < layers; l++) {
    char name[32];
    snprintf(name, sizeof name, "direction.%d", l);
    add_text(&out, name);
    add_uint(&out, 1, 4);
    add_uint(&out, (uint64_t)width, 8);
    add_uint(&out, 0, 4); /* F32 */
    add_uint(&out, (uint64_t)(l - 1) * row, 8);
  }
  for (int l = 1; l < layers; l++) {
    pad(&out);
    add_floats(&out, values + (size_t)l * (size_t)width, (size_t)width);
  }
  pad(&out);
  return save(path, &out, error);
}

/* ---- safetensors ----------------------------------------------------------------------------- */

static xt_status save_safetensors(const char *path, const float *values, int layers, int width,
                                  xt_error *error) {
  const int64_t shape[2] = {layers, width};
  SafetensorsWriter *w;
  TRY(safetensors_writer_open(path, &w, error));
  xt_status status = safetensors_writer_declare(w, "vector", DTYPE_F32, 2, shape, error);
  if (!status)
    status =
        safetensors_writer_data(w, values, (size_t)layers * (size_t)width * sizeof *values, error);
  if (!status) return safetensors_writer_commit(w, error);
  safetensors_writer_discard(w);
  return status;
}

xt_status xt_vector_save(const char *path, const float *values, int layers, int width,
                         const char *hint, xt_error *error) {
  if (file_name_ends(path, ".npy")) return save_npy(path, values, layers, width, error);
  if (file_name_ends(path, ".gguf")) return save_gguf(path, values, layers, width, hint, error);
  return save_safetensors(path, values, layers, width, error);
}
