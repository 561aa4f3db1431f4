/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of weight files add to a checkpoint: files and tensors. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "files/checkpoint_parts.h"

bool tensor_byte_count(const int64_t *shape, int dims, size_t size, uint64_t *bytes) {
  uint64_t product = size;
  for (int i = 0; i < dims; i++) {
    if (shape[i] < 0 || (shape[i] && product > (uint64_t)INT64_MAX / (uint64_t)shape[i]))
      return false;
    product *= (uint64_t)shape[i];
  }
  *bytes = product;
  return true;
}

xt_status checkpoint_add(Checkpoint *checkpoint, const Tensor *tensor, const char *name,
                         size_t length, xt_error *error) {
  TRY(MEM_GROW(&checkpoint->tensors, &checkpoint->capacity, checkpoint->count + 1, error));
  char *copy;
  TRY(mem_copy_text(&copy, name, length, error));
  Tensor *to = &checkpoint->tensors[checkpoint->count++];
  *to = *tensor;
  to->name = copy;
  return XT_STATUS_OK;
}

xt_status checkpoint_add_file(Checkpoint *checkpoint, const char *path, TensorReader read,
                              xt_error *error) {
  static const char pointer[] = "version https://git-lfs";
  TRY(MEM_GROW(&checkpoint->files, &checkpoint->file_capacity, checkpoint->file_count + 1, error));
  FileMap *map;
  TRY(MEM_ALLOC(&map, 1, error));
  const xt_status opened = file_map_open(path, map, error);
  if (opened) {
    free(map);
    return opened;
  }
  checkpoint->files[checkpoint->file_count++] = map;
  if (map->size >= sizeof pointer - 1 && memcmp(map->data, pointer, sizeof pointer - 1) == 0)
    return err_set(error, XT_STATUS_INPUT, path, NULL, 0,
                   "is a Git LFS pointer, not the weights: run \"git lfs pull\"");
  return read(checkpoint, map, error);
}
