/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizer directories made by the tests: files in a fresh folder, and a writer of SentencePiece
 * models. */
#ifndef TESTS_TOKENIZER_FILES_H
#define TESTS_TOKENIZER_FILES_H

#include <unistd.h>

#include "support.h"
#include "xtransplant/tokenizer.h"

typedef struct NamedFile {
  const char *name, *data;
  size_t size;
} NamedFile;

/* Writes the files (up to one without a name) into a new folder, whose path goes to `directory`. */
static inline void files_write(char directory[40], const NamedFile *files) {
  snprintf(directory, 40, "/tmp/xt-tokenizer-XXXXXX");
  assert_non_null(mkdtemp(directory));
  for (; files->name; files++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, files->name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(files->data, 1, files->size, out), files->size);
    fclose(out);
  }
}

static inline void files_remove(const char *directory) {
  static const char *const names[] = {
      "tokenizer.json",    "tokenizer.model",       "vocab.json",
      "merges.txt",        "tokenizer_config.json", "special_tokens_map.json",
      "added_tokens.json", "chat_template.jinja"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    unlink(path);
  }
  rmdir(directory);
}

/* The tokenizer of these files, which are gone when it is open. */
static inline xt_tokenizer *open_files(const NamedFile *files) {
  char directory[40];
  xt_tokenizer *t = NULL;
  xt_error error;
  files_write(directory, files);
  const xt_status status = xt_tokenizer_open(directory, &t, &error);
  files_remove(directory);
  ASSERT_OK(status);
  return t;
}

typedef struct ModelFile {
  uint8_t data[8192];
  size_t size;
} ModelFile;

static inline void model_put(ModelFile *m, const void *bytes, size_t size) {
  assert_true(m->size + size <= sizeof m->data);
  memcpy(m->data + m->size, bytes, size);
  m->size += size;
}

static inline void model_piece(ModelFile *m, const char *text, float score, uint8_t type) {
  const size_t length = strlen(text);
  assert_true(length < 100);
  model_put(m, (const uint8_t[]){0x0A, (uint8_t)(length + 9), 0x0A, (uint8_t)length}, 4);
  model_put(m, text, length);
  model_put(m, (const uint8_t[]){0x15}, 1);
  model_put(m, &score, 4); /* the tests run on little-endian machines */
  model_put(m, (const uint8_t[]){0x18, type}, 2);
}

static inline void model_trainer(ModelFile *m, uint8_t model_type) {
  model_put(m, (const uint8_t[]){0x12, 2, 0x18, model_type}, 4);
}

#endif
