/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files written by tests. */
#ifndef TESTS_GGUF_SUPPORT_H
#define TESTS_GGUF_SUPPORT_H

#include "files/gguf.h"
#include "files/model_config.h"
#include "files_support.h"

typedef struct GgufPart {
  uint8_t *data;
  size_t size;
} GgufPart;

typedef struct GgufBytes {
  const char *architecture;
  uint64_t values, tensors;
  GgufPart keys, entries, data;
} GgufBytes;

static inline void gguf_bytes(GgufPart *part, const void *data, size_t size) {
  part->data = realloc(part->data, part->size + size + 1);
  assert_non_null(part->data);
  if (size) memcpy(part->data + part->size, data, size);
  part->size += size;
}
static inline void gguf_number(GgufPart *part, uint64_t value, size_t bytes) {
  uint8_t le[8];
  for (size_t i = 0; i < 8; i++) le[i] = (uint8_t)(value >> (8 * i));
  gguf_bytes(part, le, bytes);
}
static inline void gguf_text_bytes(GgufPart *part, const char *text) {
  gguf_number(part, strlen(text), 8);
  gguf_bytes(part, text, strlen(text));
}

/* A key and its type; keys of the architecture are given without it. */
static inline void gguf_put_key(GgufBytes *b, const char *key, bool global, GgufType type) {
  char whole[200];
  snprintf(whole, sizeof whole, "%s%s%s", global ? "" : b->architecture, global ? "" : ".", key);
  gguf_text_bytes(&b->keys, whole);
  gguf_number(&b->keys, type, 4);
  b->values++;
}
static inline void gguf_put_int(GgufBytes *b, const char *key, int64_t value) {
  gguf_put_key(b, key, false, GGUF_U32);
  gguf_number(&b->keys, (uint64_t)value, 4);
}
static inline void gguf_put_global(GgufBytes *b, const char *key, uint32_t value) {
  gguf_put_key(b, key, true, GGUF_U32);
  gguf_number(&b->keys, value, 4);
}
static inline void gguf_put_real(GgufBytes *b, const char *key, double value) {
  const float single = (float)value;
  uint32_t bits;
  memcpy(&bits, &single, sizeof bits);
  gguf_put_key(b, key, false, GGUF_F32);
  gguf_number(&b->keys, bits, 4);
}
static inline void gguf_put_text(GgufBytes *b, const char *key, const char *text) {
  gguf_put_key(b, key, false, GGUF_STRING);
  gguf_text_bytes(&b->keys, text);
}
static inline void gguf_put_global_text(GgufBytes *b, const char *key, const char *text) {
  gguf_put_key(b, key, true, GGUF_STRING);
  gguf_text_bytes(&b->keys, text);
}
static inline void gguf_put_flags(GgufBytes *b, const char *key, const LayerKind *kinds,
                                  int layers) {
  gguf_put_key(b, key, false, GGUF_ARRAY);
  gguf_number(&b->keys, GGUF_BOOL, 4);
  gguf_number(&b->keys, (uint64_t)layers, 8);
  for (int l = 0; l < layers; l++) gguf_number(&b->keys, kinds[l].sliding, 1);
}
static inline void gguf_put_texts(GgufBytes *b, const char *key, const char *const *texts,
                                  size_t count) {
  gguf_put_key(b, key, true, GGUF_ARRAY);
  gguf_number(&b->keys, GGUF_STRING, 4);
  gguf_number(&b->keys, count, 8);
  for (size_t i = 0; i < count; i++) gguf_text_bytes(&b->keys, texts[i]);
}

/* A byte-level vocabulary of that many tokens, with no merges. */
static inline void gguf_put_vocabulary(GgufBytes *b, int count) {
  gguf_put_global_text(b, "tokenizer.ggml.model", "gpt2");
  gguf_put_key(b, "tokenizer.ggml.tokens", true, GGUF_ARRAY);
  gguf_number(&b->keys, GGUF_STRING, 4);
  gguf_number(&b->keys, (uint64_t)count, 8);
  for (int i = 0; i < count; i++) {
    char text[24];
    snprintf(text, sizeof text, i < 94 ? "%c" : "token%d", i < 94 ? '!' + i : i);
    gguf_text_bytes(&b->keys, text);
  }
  gguf_put_texts(b, "tokenizer.ggml.merges", NULL, 0);
}

/* `shape` has the rows first, as a Tensor's. `type` is ggml's number. */
static inline void gguf_add_tensor(GgufBytes *b, const char *name, uint32_t type, int dims,
                                   const int64_t *shape, const void *data, size_t bytes) {
  static const uint8_t zeros[32];
  gguf_text_bytes(&b->entries, name);
  gguf_number(&b->entries, (uint64_t)dims, 4);
  for (int d = dims - 1; d >= 0; d--) gguf_number(&b->entries, (uint64_t)shape[d], 8);
  gguf_number(&b->entries, type, 4);
  gguf_number(&b->entries, b->data.size, 8);
  gguf_bytes(&b->data, data, bytes);
  gguf_bytes(&b->data, zeros, (32 - b->data.size % 32) % 32);
  b->tensors++;
}

/* The whole file; frees the parts. The caller frees the result's data. */
static inline GgufPart gguf_whole(GgufBytes *b) {
  static const uint8_t zeros[32];
  GgufPart file = {0};
  if (b->architecture) gguf_put_global_text(b, "general.architecture", b->architecture);
  gguf_bytes(&file, "GGUF", 4);
  gguf_number(&file, 3, 4);
  gguf_number(&file, b->tensors, 8);
  gguf_number(&file, b->values, 8);
  gguf_bytes(&file, b->keys.data, b->keys.size);
  gguf_bytes(&file, b->entries.data, b->entries.size);
  gguf_bytes(&file, zeros, (32 - file.size % 32) % 32);
  gguf_bytes(&file, b->data.data, b->data.size);
  free(b->keys.data);
  free(b->entries.data);
  free(b->data.data);
  *b = (GgufBytes){0};
  return file;
}

static inline void gguf_save(GgufBytes *b, const Folder *folder, const char *name) {
  GgufPart file = gguf_whole(b);
  folder_write(folder, name, file.data, file.size);
  free(file.data);
}

#endif
