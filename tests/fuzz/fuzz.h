/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of what strangers write, each as a function of bytes. libFuzzer drives one of them
 * (fuzz_main.c); `make test` runs all of them on the files of corpus/ (test_fuzz_corpus.c). A
 * target aborts when a reader's answer makes no sense: a failure without a message, a result beside
 * a failure. Whatever else goes wrong, the sanitizers see. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xtransplant/error.h"

typedef struct FuzzTarget {
  const char *name;
  void (*run)(const uint8_t *data, size_t size);
} FuzzTarget;

extern const FuzzTarget fuzz_targets[]; /* ends with a NULL name */
const FuzzTarget *fuzz_find(const char *name);

/* Input that stands for several files has them one after the other, with the line "@@" between
 * them. The next one; an empty one when there is none left. *size is left to what follows. */
typedef struct FuzzParts {
  const uint8_t *at;
  size_t size;
} FuzzParts;
typedef struct FuzzPart {
  const uint8_t *data;
  size_t size;
} FuzzPart;
FuzzPart fuzz_next(FuzzParts *parts);
/* The same as a C string, cut at its first NUL; the caller frees. */
char *fuzz_text(FuzzPart part);

/* A file in memory with these bytes; the same name each time. */
const char *fuzz_file(const uint8_t *data, size_t size);
/* A folder of the process's own; files that are put there replace what was. A part without bytes
 * removes it. */
const char *fuzz_folder(void);
const char *fuzz_put(const char *name, FuzzPart part);

/* Reads the packed matrices of a safetensors file as each kind, and expands their values. */
void fuzz_unpack_all(const char *path);

/* Aborts unless a failure has a message and fits `status`. */
void fuzz_check(xt_status status, const xt_error *error);

/* clang-format off */
#define FUZZ_TARGETS(X) \
  X(safetensors) X(packed) X(gguf) X(npy) X(torch_zip) X(torch_pickle) X(index) X(config) X(json) X(tokenizer_json) X(tokenizer_model) X(vocab_merges) X(regex) \
  X(langid) X(chat) X(raw_tasks) X(released) X(pairs) X(templates) X(csv) X(python_literal) X(score) X(train_data) X(lens) X(verify) \
  X(store_bytes) X(store_rows)
/* clang-format on */
#define FUZZ_DECLARE(name) void fuzz_##name(const uint8_t *data, size_t size);
FUZZ_TARGETS(FUZZ_DECLARE)

#endif
