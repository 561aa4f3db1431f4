/* SPDX-License-Identifier: Apache-2.0 */
/* Files of lines that say what a tokenizer makes of a text or of ids. */
#ifndef TESTS_TOKENIZER_LINES_H
#define TESTS_TOKENIZER_LINES_H

#include <jansson.h>

#include "support.h"
#include "xtransplant/tokenizer.h"

#define TOKENIZER_GOLDENS XT_SOURCE_DIR "/tests/golden/data/tokenizer"

static inline void check_ids(const xt_tokenizer *t, const json_t *text, bool special,
                             const json_t *want, size_t line) {
  xt_error error;
  int32_t *ids;
  size_t count;
  ASSERT_OK(xt_tokenizer_encode(t, json_string_value(text), json_string_length(text), special, &ids,
                                &count, &error));
  bool same = count == json_array_size(want);
  for (size_t i = 0; same && i < count; i++)
    same = ids[i] == json_integer_value(json_array_get(want, i));
  if (!same) {
    for (size_t i = 0; i < count && i < 40; i++) print_message("%d ", ids[i]);
    fail_msg("line %zu: other ids for \"%.200s\"", line, json_string_value(text));
  }
  free(ids);
}

static inline void check_text(const xt_tokenizer *t, const json_t *list, bool skip,
                              const json_t *want, size_t line) {
  xt_error error;
  const size_t count = json_array_size(list);
  int32_t *ids = calloc(count + 1, sizeof *ids);
  char *text;
  size_t length;
  assert_non_null(ids);
  for (size_t i = 0; i < count; i++) ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
  ASSERT_OK(xt_tokenizer_decode(t, ids, count, skip, &text, &length, &error));
  if (length != json_string_length(want) || memcmp(text, json_string_value(want), length) != 0)
    fail_msg("line %zu: \"%s\", expected \"%s\"", line, text, json_string_value(want));
  free(text);
  free(ids);
}

/* Every line of a JSONL file whose "tokenizer" is `name` (or that has none). Returns how many. */
static inline size_t check_file(const xt_tokenizer *t, const char *path, const char *name) {
  FILE *in = fopen(path, "rb");
  char *line = NULL;
  size_t capacity = 0, number = 0, checked = 0;
  assert_non_null(in);
  while (getline(&line, &capacity, in) > 0) {
    json_t *item = json_loads(line, JSON_ALLOW_NUL, NULL);
    const char *tokenizer = json_string_value(json_object_get(item, "tokenizer"));
    const json_t *text = json_object_get(item, "text"), *decoded = json_object_get(item, "decoded");
    const json_t *ids = json_object_get(item, "ids");
    number++;
    assert_non_null(item);
    if (!tokenizer || strcmp(tokenizer, name) == 0) {
      checked++;
      if (text) check_ids(t, text, json_is_true(json_object_get(item, "special")), ids, number);
      if (decoded)
        check_text(t, ids, !json_is_false(json_object_get(item, "skip")), decoded, number);
    }
    json_decref(item);
  }
  free(line);
  fclose(in);
  assert_true(checked > 0);
  return checked;
}

#endif
