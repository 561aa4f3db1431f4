/* SPDX-License-Identifier: Apache-2.0 */
/* The hash that identifies a model; docs/FORMATS.md says exactly what it contains.
 *
 * Every byte of every tensor is hashed, so that two models that differ in one weight differ here.
 * All threads together read the weights once, which is a small part of the time of loading them.
 * Tensors are hashed by name, not by file: the same weights in other shards are the same model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/system.h"
#include "files/model_files.h"
#include "model/model.h"

typedef struct Leaf {
  const Tensor *tensor;
  uint8_t digest[HASH_BYTES];
} Leaf;

static void hash_leaf(void *context, size_t item, int thread) {
  (void)thread;
  Leaf *leaf = (Leaf *)context + item;
  const Tensor *t = leaf->tensor;
  Hash hash;
  hash_init(&hash);
  hash_raw(&hash, t->data, t->bytes);
  hash_finish(&hash, leaf->digest);
  file_map_forget(t->map, t->data, t->bytes);
}

static int compare_leaves(const void *a, const void *b) {
  const Leaf *x = a, *y = b;
  return strcmp(x->tensor->name, y->tensor->name);
}

static xt_status add_tensors(const xt_model *m, Hash *hash, xt_error *error) {
  const size_t count = checkpoint_count(m->checkpoint);
  Leaf *leaves;
  TRY(checkpoint_check(m->checkpoint, error));
  TRY(MEM_ALLOC(&leaves, count, error));
  for (size_t i = 0; i < count; i++) leaves[i].tensor = checkpoint_get(m->checkpoint, i);
  qsort(leaves, count, sizeof *leaves, compare_leaves);
  parallel_for_once(m->backend ? m->backend->threads : system_processors(), count, hash_leaf,
                    leaves);
  for (size_t i = 0; i < count; i++) {
    const Tensor *t = leaves[i].tensor;
    hash_text(hash, t->name);
    hash_text(hash, dtype_name(t->dtype));
    hash_number(hash, (uint64_t)t->dims);
    for (int d = 0; d < t->dims; d++) hash_number(hash, (uint64_t)t->shape[d]);
    hash_part(hash, leaves[i].digest, HASH_BYTES);
  }
  free(leaves);
  return XT_STATUS_OK;
}

static xt_status add_file(const xt_model *m, const char *name, Hash *hash, xt_error *error) {
  char *path;
  FileMap map;
  TRY(file_join(m->path, name, &path, error));
  xt_status status = XT_STATUS_OK;
  if (file_exists(path)) {
    status = file_read(path, FILE_SMALL, &map, error);
    if (!status) {
      hash_text(hash, name);
      hash_part(hash, map.data, map.size);
      file_map_close(&map);
    }
  }
  free(path);
  return status;
}

/* A GGUF file keeps its configuration and vocabulary before its first tensor. */
static void add_head(const xt_model *m, Hash *hash) {
  const FileMap *map = checkpoint_first_file(m->checkpoint);
  size_t end = map->size;
  for (size_t i = 0; i < checkpoint_count(m->checkpoint); i++) {
    const Tensor *t = checkpoint_get(m->checkpoint, i);
    if (t->map == map && (size_t)tensor_offset(t) < end) end = (size_t)tensor_offset(t);
  }
  hash_part(hash, map->data, end);
}

xt_status xt_model_hash(const xt_model *m, char out[XT_MODEL_HASH_SIZE], xt_error *error) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  hash_text(&hash, "xtransplant model 1");
  if (m->config.names == NAMES_GGUF) {
    add_head(m, &hash);
  } else {
    for (const char *const *name = model_files_small; *name; name++)
      TRY(add_file(m, *name, &hash, error));
  }
  TRY(add_tensors(m, &hash, error));
  hash_finish(&hash, digest);
  hash_hex(digest, HASH_BYTES, out);
  return XT_STATUS_OK;
}
