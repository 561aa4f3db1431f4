/* SPDX-License-Identifier: Apache-2.0 */
/* A named tensor in a mapped file: where it is, not a copy. */
#ifndef FILES_TENSOR_H
#define FILES_TENSOR_H

#include "base/file_map.h"
#include "files/dtype.h"

#define TENSOR_MAX_DIMS 8

typedef struct Tensor {
  const char *name; /* borrowed from the checkpoint */
  Dtype dtype;
  int dims;
  int64_t shape[TENSOR_MAX_DIMS];
  const void *data; /* row-major, contiguous; NOT necessarily aligned to the element */
  size_t bytes;
  const FileMap *map;                /* the file it lies in, borrowed */
  const struct PackedMatrix *packed; /* not NULL: `data` and the file have the codes, from which
                                        packed_expand makes the `bytes` */
} Tensor;

/* Byte offset of the data in its file. */
static inline long long tensor_offset(const Tensor *t) {
  return (long long)((const uint8_t *)t->data - t->map->data);
}

#endif
