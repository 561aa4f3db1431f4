/* SPDX-License-Identifier: Apache-2.0 */
/* src/text: tokenizers in each of their forms, regular expressions, language identification. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "text/pattern.h"
#include "text/utf8.h"
#include "text/jinja.h"
#include "xtransplant/langid.h"
#include "xtransplant/tokenizer.h"

static const char *const names[] = {
    "tokenizer.json",        "tokenizer.model",         "vocab.json",        "merges.txt",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"};

/* The folder's tokenizer encodes `text` and decodes what came of it, and some ids of our own. */
static void try_tokenizer(FuzzPart text) {
  static const int32_t odd[] = {0, 5, 258, 100000, -1, INT32_MAX};
  xt_tokenizer *t;
  xt_error error = {0};
  int32_t *ids = NULL;
  size_t count = 0, length;
  char *decoded = NULL;
  xt_status status = xt_tokenizer_open(fuzz_folder(), &t, &error);
  fuzz_check(status, &error);
  if (!status != (t != NULL)) abort();
  if (status) return;
  status = xt_tokenizer_encode(t, (const char *)text.data, text.size, true, &ids, &count, &error);
  fuzz_check(status, &error);
  if (!status && xt_tokenizer_decode(t, ids, count, true, &decoded, &length, &error)) abort();
  free(decoded);
  decoded = NULL;
  fuzz_check(
      xt_tokenizer_decode(t, odd, sizeof odd / sizeof *odd, false, &decoded, &length, &error),
      &error);
  free(decoded);
  free(ids);
  xt_tokenizer_close(t);
}

/* The parts go to these files, in this order, `text` after them. */
static void try_files(const uint8_t *data, size_t size, const int *files, size_t count,
                      bool text_first) {
  FuzzParts parts = {data, size};
  FuzzPart text = {0};
  bool any = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) fuzz_put(names[i], (FuzzPart){0});
  if (text_first) text = fuzz_next(&parts);
  for (size_t i = 0; i < count; i++) {
    const bool rest = text_first && i + 1 == count; /* a binary file may have anything in it */
    const FuzzPart part = rest ? (FuzzPart){parts.at, parts.size} : fuzz_next(&parts);
    fuzz_put(names[files[i]], part);
    any = any || part.size;
  }
  if (!text_first) text = (FuzzPart){parts.at, parts.size};
  if (any) try_tokenizer(text);
}

void fuzz_tokenizer_json(const uint8_t *data, size_t size) {
  try_files(data, size, (const int[]){0, 4}, 2, false);
}
void fuzz_tokenizer_model(const uint8_t *data, size_t size) {
  try_files(data, size, (const int[]){4, 6, 1}, 3, true);
}
void fuzz_vocab_merges(const uint8_t *data, size_t size) {
  try_files(data, size, (const int[]){2, 3, 4, 5, 6, 7}, 6, false);
}

/* A regular expression, then the text it searches. */
void fuzz_regex(const uint8_t *data, size_t size) {
  FuzzParts parts = {data, size};
  const FuzzPart regex = fuzz_next(&parts);
  const char *text = (const char *)parts.at;
  Pattern pattern;
  xt_error error = {0};
  size_t bad, start, end, last = 0;
  if (utf8_valid_prefix((const char *)regex.data, regex.size, &bad) != regex.size ||
      utf8_valid_prefix(text, parts.size, &bad) != parts.size)
    return;
  xt_status status = pattern_regex(&pattern, (const char *)regex.data, regex.size, "tokenizer.json",
                                   "pattern", &error);
  fuzz_check(status, &error);
  if (status) return;
  PatternSearch search = {.pattern = &pattern, .text = text, .length = parts.size};
  for (bool found = true; found;) {
    status = pattern_next(&search, &found, &start, &end, &error);
    fuzz_check(status, &error);
    if (status || !found) break;
    if (start > end || end > parts.size || end < last) abort();
    last = end;
  }
  pattern_search_free(&search);
  pattern_free(&pattern);
}

/* A chat template, over messages that have something for every branch. */
void fuzz_chat(const uint8_t *data, size_t size) {
  TextBuffer out = {0};
  xt_error error = {0};
  json_t *variables = json_pack(
      "{s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:[{s:s, s:s}]}], s:n, s:b, s:s}", "messages", "role",
      "system", "content", " S\n", "role", "user", "content", "a b", "role", "assistant", "content",
      "type", "text", "text", "x", "tools", "add_generation_prompt", 1, "bos_token", "<s>");
  if (!variables) abort();
  fuzz_check(jinja_render((const char *)data, size, variables, 1719835445, "chat_template.jinja",
                          NULL, &out, &error),
             &error);
  text_buffer_free(&out);
  json_decref(variables);
}

void fuzz_langid(const uint8_t *data, size_t size) {
  static const char text[] = "ein Satz, une phrase, a sentence";
  xt_langid *langid;
  xt_error error = {0};
  char lang[XT_LANGUAGE_SIZE];
  double probability;
  const xt_status status = xt_langid_open(fuzz_file(data, size), &langid, &error);
  fuzz_check(status, &error);
  if (status) return;
  fuzz_check(xt_langid_identify(langid, text, sizeof text - 1, lang, &probability, &error), &error);
  xt_langid_close(langid);
}
