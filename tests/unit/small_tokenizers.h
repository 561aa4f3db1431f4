/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers of a few tokens, and what they must give. */
#ifndef TESTS_SMALL_TOKENIZERS_H
#define TESTS_SMALL_TOKENIZERS_H

#include "tokenizer_files.h"
#include "xtransplant/tokenizer.h"

/* A tokenizer.json around a model: `rest` are further members, each with a comma in front. */
#define JSON(vocab, merges, model, rest) \
  "{\"model\":{\"type\":\"BPE\",\"vocab\":{" vocab "},\"merges\":[" merges "]" model "}" rest "}"

static inline xt_tokenizer *open_json(const char *json) {
  const NamedFile files[] = {{"tokenizer.json", json, strlen(json)}, {0}};
  return open_files(files);
}

/* "1 2 3" for the ids of a text. */
static inline void expect_ids(const xt_tokenizer *t, const char *text, bool special,
                              const char *want) {
  char got[4096] = "";
  int32_t *ids;
  size_t count, at = 0;
  xt_error error;
  ASSERT_OK(xt_tokenizer_encode(t, text, strlen(text), special, &ids, &count, &error));
  for (size_t i = 0; i < count && at < sizeof got - 16; i++)
    at += (size_t)snprintf(got + at, sizeof got - at, "%s%d", i ? " " : "", ids[i]);
  free(ids);
  if (strcmp(got, want) != 0) fail_msg("\"%s\" gave \"%s\", expected \"%s\"", text, got, want);
}

static inline void expect_text(const xt_tokenizer *t, const int32_t *ids, size_t count, bool skip,
                               const char *want) {
  char *text;
  size_t length;
  xt_error error;
  ASSERT_OK(xt_tokenizer_decode(t, ids, count, skip, &text, &length, &error));
  assert_string_equal(text, want);
  assert_int_equal(length, strlen(want));
  free(text);
}
#define EXPECT_TEXT(t, skip, want, ...)          \
  expect_text(t, (const int32_t[]){__VA_ARGS__}, \
              sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t), skip, want)

#define LETTERS "\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"abc\":5,\"aa\":6"

#define MARK "\xE2\x96\x81"
#define MARKED \
  "\"" MARK "\":0,\"a\":1,\"" MARK "a\":2,\"b\":3,\"" MARK "b\":4,\"" MARK MARK "\":5,\"</s>\":6"
#define MARKED_MERGES "\"" MARK " a\",\"" MARK " b\",\"" MARK " " MARK "\""
#define METASPACE(scheme)                                              \
  ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK \
  "\",\"prepend_scheme\":\"" scheme "\",\"split\":false}"

#endif
