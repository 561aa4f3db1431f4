/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of the weight formats share: the set of tensors they fill. */
#ifndef FILES_CHECKPOINT_PARTS_H
#define FILES_CHECKPOINT_PARTS_H

#include <stdbool.h>

#include "base/json.h"
#include "files/checkpoint.h"

struct Checkpoint {
  const char *format;
  FileMap **files; /* each owned; pointers, because tensors borrow the maps */
  size_t file_count, file_capacity;
  Tensor *tensors; /* names owned */
  size_t count, capacity;
  size_t *by_name;             /* indices sorted by name, once all are read */
  Tensor *unpacked;            /* quantised matrices by name, sorted; names owned */
  size_t unpacked_count, made; /* once they are sorted; that have a name */
  PackedMatrix *packed;
  json_t *metadata; /* of the first file; may be NULL */
};

/* Appends a copy of *tensor under a copy of `name`. */
xt_status checkpoint_add(Checkpoint *checkpoint, const Tensor *tensor, const char *name,
                         size_t length, xt_error *error);

/* product of the dimensions * size into *bytes; false when it does not fit an int64_t. */
bool tensor_byte_count(const int64_t *shape, int dims, size_t size, uint64_t *bytes);

/* Append the tensors of one mapped file. */
typedef xt_status (*TensorReader)(Checkpoint *checkpoint, const FileMap *map, xt_error *error);
xt_status safetensors_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error);
xt_status torch_bin_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error);
xt_status gguf_tensors_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error);

/* Maps one more file, which the checkpoint then owns, and appends its tensors. */
xt_status checkpoint_add_file(Checkpoint *checkpoint, const char *path, TensorReader read,
                              xt_error *error);

/* A GGUF file, with its parts where it is the first of several. */
xt_status gguf_files_read(Checkpoint *checkpoint, const char *path, xt_error *error);

#define TENSOR_NAME_MAX \
  128 /* bytes of a name in a GGUF file, NUL included: twice ggml's own
                               limit */

#endif
