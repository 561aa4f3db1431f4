/* SPDX-License-Identifier: Apache-2.0 */
/* src/files and src/base: weights, configurations, JSON. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/json.h"
#include "base/number.h"
#include "files/checkpoint_parts.h"
#include "files/dtype.h"
#include "files/model_config.h"
#include "fuzz.h"
#include "xtransplant/tokenizer.h"
#include "xtransplant/vector.h"

/* Every byte that a checkpoint gives out. */
static void touch(const Checkpoint *c) {
  for (size_t i = 0; i < checkpoint_count(c); i++) {
    const Tensor *t = checkpoint_get(c, i);
    if (checkpoint_find(c, t->name) != t) abort();
    for (size_t b = 0; b < t->bytes; b++) (void)((const volatile uint8_t *)t->data)[b];
  }
}

static void finish(xt_status status, const xt_error *error, Checkpoint *checkpoint) {
  fuzz_check(status, error);
  if (!status != (checkpoint != NULL)) abort();
  if (status) return;
  touch(checkpoint);
  checkpoint_metadata(checkpoint, "format");
  checkpoint_close(checkpoint);
}

void fuzz_safetensors(const uint8_t *data, size_t size) {
  Checkpoint *checkpoint;
  xt_error error = {0};
  const xt_status status = checkpoint_open_file(fuzz_file(data, size), &checkpoint, &error);
  finish(status, &error, checkpoint);
  if (!status) fuzz_unpack_all(fuzz_file(data, size));
}

/* A file's tensors, as float32 too, its configuration and its tokenizer. */
void fuzz_gguf(const uint8_t *data, size_t size) {
  Checkpoint *checkpoint;
  ModelConfig config;
  xt_tokenizer *tokenizer;
  xt_error error = {0};
  if (!size) return;
  const char *path = fuzz_put("model.gguf", (FuzzPart){data, size});
  xt_status status = checkpoint_open(path, &checkpoint, &error);
  for (size_t i = 0; !status && i < checkpoint_count(checkpoint); i++) {
    const Tensor *t = checkpoint_get(checkpoint, i);
    float wide[DTYPE_BLOCK_MAX];
    for (size_t at = 0; dtype_is_weight(t->dtype) && at < t->bytes; at += dtype_size(t->dtype))
      dtype_widen(t->dtype, (const uint8_t *)t->data + at, dtype_block(t->dtype), wide);
  }
  /* names of parts may be anything */
  if (status != XT_STATUS_IO) finish(status, &error, checkpoint);
  fuzz_check(model_config_load(path, &config, &error), &error);
  status = xt_tokenizer_open(path, &tokenizer, &error);
  fuzz_check(status, &error);
  if (status) return;
  int32_t *ids;
  size_t count;
  if (xt_tokenizer_encode(tokenizer, "12 ab  \xE2\x96\x81z", 10, true, &ids, &count, &error) ==
      XT_STATUS_OK)
    free(ids);
  xt_tokenizer_close(tokenizer);
}

/* An array as a vector of a model whose sizes it has, and of others. */
void fuzz_npy(const uint8_t *data, size_t size) {
  static const int sizes[][2] = {{3, 5}, {1, 1}, {2, 4}};
  if (!size) return;
  const char *path = fuzz_put("vector.npy", (FuzzPart){data, size});
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    xt_vector *vector;
    xt_error error = {0};
    const xt_status status = xt_vector_open(path, NULL, sizes[k][0], sizes[k][1], &vector, &error);
    fuzz_check(status, &error);
    if (!status != (vector != NULL)) abort();
    if (status) continue;
    for (int l = 0; l < sizes[k][0]; l++)
      if (!xt_vector_get(vector, l)) abort();
    xt_vector_free(vector);
  }
}

/* The folder holds one format's files alone. */
static void open_folder(const char *name, FuzzPart part) {
  Checkpoint *checkpoint;
  xt_error error = {0};
  fuzz_put(name, part);
  const xt_status status = checkpoint_open(fuzz_folder(), &checkpoint, &error);
  if (status == XT_STATUS_IO || part.size == 0) return; /* names of shards may be anything */
  finish(status, &error, checkpoint);
}

void fuzz_torch_zip(const uint8_t *data, size_t size) {
  open_folder("pytorch_model.bin", (FuzzPart){data, size});
}

void fuzz_index(const uint8_t *data, size_t size) {
  static const char shard[] = "\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
                              "offsets\":[0,4]}}         \1\2\3\4";
  fuzz_put("s1.safetensors", (FuzzPart){(const uint8_t *)shard, sizeof shard - 1});
  fuzz_put("s2.safetensors", (FuzzPart){(const uint8_t *)shard, sizeof shard - 1});
  open_folder("model.safetensors.index.json", (FuzzPart){data, size});
}

static void put(uint8_t *to, size_t bytes, uint64_t value) {
  for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
}

/* An entry that is stored, and its record in the directory. Returns what comes after it. */
static size_t zip_add(uint8_t *zip, size_t at, uint8_t *central, size_t *central_size,
                      const char *name, const uint8_t *data, size_t size) {
  const size_t length = strlen(name);
  uint8_t *local = zip + at, *record = central + *central_size;
  memset(local, 0, 30);
  memset(record, 0, 46);
  memcpy(local, "PK\3\4", 4);
  memcpy(record, "PK\1\2", 4);
  put(local + 26, 2, length);
  memcpy(local + 30, name, length);
  if (size) memcpy(local + 30 + length, data, size);
  put(record + 16, 4, crc32(0, data, (uInt)size));
  put(record + 20, 4, size);
  put(record + 24, 4, size);
  put(record + 28, 2, length);
  put(record + 42, 4, at);
  memcpy(record + 46, name, length);
  *central_size += 46 + length;
  return at + 30 + length + size;
}

/* The input as data.pkl of a right archive, so that the fuzzer need not find checksums. */
void fuzz_torch_pickle(const uint8_t *data, size_t size) {
  static const uint8_t storage[64];
  uint8_t central[300], *zip = malloc(size + 1024);
  size_t central_size = 0, at = 0;
  if (!zip || size > 1 << 20) {
    free(zip);
    return;
  }
  at = zip_add(zip, at, central, &central_size, "m/data.pkl", data, size);
  at = zip_add(zip, at, central, &central_size, "m/data/0", storage, 16);
  at = zip_add(zip, at, central, &central_size, "m/data/1", storage, 64);
  memcpy(zip + at, central, central_size);
  uint8_t *end = zip + at + central_size;
  memset(end, 0, 22);
  memcpy(end, "PK\5\6", 4);
  put(end + 8, 2, 3);
  put(end + 10, 2, 3);
  put(end + 12, 4, central_size);
  put(end + 16, 4, at);
  open_folder("pytorch_model.bin", (FuzzPart){zip, at + central_size + 22});
  free(zip);
}

/* config.json, then generation_config.json. */
void fuzz_config(const uint8_t *data, size_t size) {
  FuzzParts parts = {data, size};
  ModelConfig config;
  xt_error error = {0};
  const FuzzPart first = fuzz_next(&parts);
  if (!first.size) return;
  fuzz_put("config.json", first);
  fuzz_put("generation_config.json", fuzz_next(&parts));
  fuzz_check(model_config_load(fuzz_folder(), &config, &error), &error);
}

void fuzz_json(const uint8_t *data, size_t size) {
  json_t *value;
  xt_error error = {0};
  const xt_status status = json_parse(data, size, "x.json", &value, &error);
  fuzz_check(status, &error);
  if (status) return;
  char *text = number_json(value, JSON_ENCODE_ANY);
  free(text);
  json_decref(value);
}
