/* SPDX-License-Identifier: Apache-2.0 */
/* Writes one safetensors file, streaming: declare every tensor, then give their bytes in order. */
#ifndef FILES_SAFETENSORS_WRITER_H
#define FILES_SAFETENSORS_WRITER_H

#include "base/out_file.h"
#include "files/dtype.h"

typedef struct SafetensorsWriter SafetensorsWriter;

xt_status safetensors_writer_open(const char *path, SafetensorsWriter **out, xt_error *error);
xt_status safetensors_writer_metadata(SafetensorsWriter *writer, const char *key, const char *value,
                                      xt_error *error);
/* Declares a tensor; all of them before the first byte of data. */
xt_status safetensors_writer_declare(SafetensorsWriter *writer, const char *name, Dtype dtype,
                                     int dims, const int64_t *shape, xt_error *error);
/* The next bytes of the declared tensors, in order of declaration; pieces of any size. */
xt_status safetensors_writer_data(SafetensorsWriter *writer, const void *data, size_t bytes,
                                  xt_error *error);
/* Checks that every declared byte was given; the file appears. Frees the writer in any case. */
xt_status safetensors_writer_commit(SafetensorsWriter *writer, xt_error *error);
void safetensors_writer_discard(SafetensorsWriter *writer); /* accepts NULL */

#endif
