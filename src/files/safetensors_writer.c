/* SPDX-License-Identifier: Apache-2.0 */
#include "files/safetensors_writer.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"

struct SafetensorsWriter {
  OutFile file;
  json_t *header;           /* name -> entry, in order of declaration */
  json_t *metadata;         /* borrowed from `header`; NULL until a key is set */
  uint64_t declared, given; /* bytes */
  bool started;             /* the header is written */
  bool failed;              /* an earlier call failed: nothing may be committed */
};

xt_status safetensors_writer_open(const char *path, SafetensorsWriter **out, xt_error *error) {
  SafetensorsWriter *writer;
  *out = NULL;
  TRY(MEM_ALLOC(&writer, 1, error));
  xt_status status = XT_STATUS_OK;
  writer->header = json_object();
  if (!writer->header) status = err_memory(error, sizeof(json_t));
  if (!status) status = out_file_open(path, &writer->file, error);
  if (status) {
    json_decref(writer->header);
    free(writer);
    return status;
  }
  *out = writer;
  return XT_STATUS_OK;
}

static xt_status refuse(SafetensorsWriter *writer, const char *name, const char *message,
                        xt_error *error) {
  writer->failed = true;
  return err_set(error, XT_STATUS_ARGUMENT, writer->file.name.path, name, -1, "%s", message);
}

static xt_status out_of_memory(SafetensorsWriter *writer, xt_error *error) {
  writer->failed = true;
  return err_memory(error, sizeof(json_t));
}

xt_status safetensors_writer_metadata(SafetensorsWriter *writer, const char *key, const char *value,
                                      xt_error *error) {
  if (writer->started)
    return refuse(writer, key, "metadata must be set before the first byte of data", error);
  if (!writer->metadata) {
    json_t *metadata = json_object();
    if (json_object_set_new(writer->header, "__metadata__", metadata))
      return out_of_memory(writer, error);
    writer->metadata = metadata;
  }
  json_t *text = json_string(value);
  if (!text) return refuse(writer, key, "the value is not UTF-8, or memory ran out", error);
  if (json_object_set_new(writer->metadata, key, text))
    return refuse(writer, key, "the key is not UTF-8, or memory ran out", error);
  return XT_STATUS_OK;
}

xt_status safetensors_writer_declare(SafetensorsWriter *writer, const char *name, Dtype dtype,
                                     int dims, const int64_t *shape, xt_error *error) {
  if (writer->started)
    return refuse(writer, name, "tensors must be declared before the first byte of data", error);
  if (strcmp(name, "__metadata__") == 0)
    return refuse(writer, name, "the format reserves this name", error);
  if (json_object_get(writer->header, name))
    return refuse(writer, name, "is declared twice", error);
  if (dtype_size(dtype) == 0 || dims < 0)
    return refuse(writer, name, "has no valid dtype or shape", error);
  uint64_t bytes = dtype_size(dtype);
  for (int i = 0; i < dims; i++) {
    if (shape[i] < 0 || (shape[i] && bytes > (uint64_t)INT64_MAX / (uint64_t)shape[i]))
      return refuse(writer, name, "the shape is negative or overflows", error);
    bytes *= (uint64_t)shape[i];
  }
  if (bytes > (uint64_t)INT64_MAX - writer->declared)
    return refuse(writer, name, "the file's size overflows", error);
  json_t *sizes = json_array();
  for (int i = 0; i < dims; i++)
    if (json_array_append_new(sizes, json_integer(shape[i]))) {
      json_decref(sizes);
      return out_of_memory(writer, error);
    }
  json_t *entry =
      json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(dtype), "shape", sizes, "data_offsets",
                (json_int_t)writer->declared, (json_int_t)(writer->declared + bytes));
  if (!entry) return out_of_memory(writer, error);
  if (json_object_set_new(writer->header, name, entry))
    return refuse(writer, name, "the name is not UTF-8, or memory ran out", error);
  writer->declared += bytes;
  return XT_STATUS_OK;
}

/* The length, the header, and spaces up to a multiple of 8, so that data are aligned for readers
 * that map them. */
static xt_status write_header(SafetensorsWriter *writer, xt_error *error) {
  char *text = number_json(writer->header, JSON_COMPACT);
  if (!text) return out_of_memory(writer, error);
  const size_t length = strlen(text), padding = (8 - length % 8) % 8;
  uint8_t size[8];
  for (int i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)(length + padding) >> (8 * i));
  xt_status status = out_file_write(&writer->file, size, sizeof size, error);
  if (!status) status = out_file_write(&writer->file, text, length, error);
  if (!status) status = out_file_write(&writer->file, "        ", padding, error);
  free(text);
  writer->started = true;
  if (status) writer->failed = true;
  return status;
}

xt_status safetensors_writer_data(SafetensorsWriter *writer, const void *data, size_t bytes,
                                  xt_error *error) {
  if (!writer->started) TRY(write_header(writer, error));
  if (bytes > writer->declared - writer->given)
    return refuse(writer, NULL, "more bytes are given than the declared tensors have", error);
  const xt_status status = out_file_write(&writer->file, data, bytes, error);
  if (status)
    writer->failed = true;
  else
    writer->given += bytes;
  return status;
}

static xt_status finish(SafetensorsWriter *writer, xt_error *error) {
  if (writer->failed)
    return err_set(error, XT_STATUS_ARGUMENT, writer->file.name.path, NULL, -1,
                   "an earlier write failed");
  if (!writer->started) TRY(write_header(writer, error));
  if (writer->given != writer->declared)
    return err_set(error, XT_STATUS_ARGUMENT, writer->file.name.path, NULL, -1,
                   "%llu of %llu declared bytes were given", (unsigned long long)writer->given,
                   (unsigned long long)writer->declared);
  return out_file_commit(&writer->file, error);
}

xt_status safetensors_writer_commit(SafetensorsWriter *writer, xt_error *error) {
  const xt_status status = finish(writer, error);
  safetensors_writer_discard(writer);
  return status;
}

void safetensors_writer_discard(SafetensorsWriter *writer) {
  if (!writer) return;
  out_file_discard(&writer->file);
  json_decref(writer->header);
  free(writer);
}
