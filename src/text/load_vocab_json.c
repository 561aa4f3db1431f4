/* SPDX-License-Identifier: Apache-2.0 */
/* vocab.json + merges.txt: the byte-level vocabularies of Qwen2 and GPT-2, with the other parts as
 * in Hugging Face's converters for them. */
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "text/bulk_json.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

#define QWEN2_REGEX                                                     \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| " \
  "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"                                      \
  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next word of [*at, end); false when there is none. */
static bool next_word(const char *text, size_t *at, size_t end, const char **word, size_t *length) {
  while (*at < end && is_blank(text[*at])) ++*at;
  const size_t from = *at;
  while (*at < end && !is_blank(text[*at])) ++*at;
  *word = text + from;
  *length = *at - from;
  return *length > 0;
}

typedef struct MergesFile {
  const char *path, *text;
  size_t size;
  TextBuffer joined;
  uint32_t rank;
} MergesFile;

static xt_status read_line(Bpe *bpe, MergesFile *f, size_t at, size_t end, xt_error *error) {
  const long long where = (long long)at;
  const char *left, *right, *more;
  size_t left_length, right_length, more_length;
  if (!next_word(f->text, &at, end, &left, &left_length)) return XT_STATUS_OK;
  if (where == 0 && left_length >= 9 && memcmp(left, "#version:", 9) == 0) return XT_STATUS_OK;
  if (!next_word(f->text, &at, end, &right, &right_length) ||
      next_word(f->text, &at, end, &more, &more_length))
    return err_set(error, XT_STATUS_INPUT, f->path, NULL, where, "expected two tokens in a line");
  f->joined.size = 0;
  text_buffer_add(&f->joined, left, left_length);
  text_buffer_add(&f->joined, right, right_length);
  if (f->joined.failed) return err_memory(error, left_length + right_length);
  const int32_t a = vocab_find(&bpe->vocab, left, left_length),
                b = vocab_find(&bpe->vocab, right, right_length);
  const int32_t id = vocab_find(&bpe->vocab, f->joined.data, f->joined.size);
  if (a < 0 || b < 0 || id < 0)
    return err_set(error, XT_STATUS_INPUT, f->path, NULL, where,
                   "a token of the merge, or what it makes, is not in vocab.json");
  /* A merge that occurs twice keeps its first place. */
  return bpe_add_merge(bpe, a, b, id, f->rank++, false, error);
}

/* `gpt2`: GPT-2's reader ignores the first line, whatever it says, and what follows the last
 * newline. */
static xt_status read_merges(Bpe *bpe, const char *path, bool gpt2, xt_error *error) {
  FileMap map;
  TRY(file_read(path, FILE_SMALL, &map, error));
  MergesFile f = {.path = path, .text = (const char *)map.data, .size = map.size};
  xt_status status = XT_STATUS_OK;
  size_t bad;
  const size_t valid = utf8_valid_prefix(f.text, f.size, &bad);
  if (valid < f.size)
    TRY_DONE(err_set(error, XT_STATUS_INPUT, path, NULL, (long long)valid, "not valid UTF-8"));
  for (size_t at = 0; at < f.size;) {
    const char *newline = memchr(f.text + at, '\n', f.size - at);
    const size_t end = newline ? (size_t)(newline - f.text) : f.size;
    if (!gpt2 || (at > 0 && newline)) TRY_DONE(read_line(bpe, &f, at, end, error));
    at = end + 1;
  }
done:
  text_buffer_free(&f.joined);
  file_map_close(&map);
  return status;
}

static xt_status add_qwen2(xt_tokenizer *t, xt_error *error) {
  PreStep split = {.kind = PRE_SPLIT, .behavior = SPLIT_ISOLATED};
  TRY(normalizer_add(&t->normalizer, &(NormalizeStep){.kind = NORMALIZE_NFC}, error));
  TRY(pattern_regex(&split.pattern, QWEN2_REGEX, strlen(QWEN2_REGEX), NULL, NULL, error));
  return pretokenizer_add(&t->pre, &split, error);
}

xt_status tokenizer_read_vocab_json(xt_tokenizer *t, const TokenizerConfig *config,
                                    const char *vocab_path, const char *merges_path,
                                    xt_error *error) {
  if (config->class != TOKENIZER_CLASS_QWEN2 && config->class != TOKENIZER_CLASS_GPT2 &&
      config->class != TOKENIZER_CLASS_UNKNOWN)
    return err_set(error, XT_STATUS_UNSUPPORTED, config->config_path, "tokenizer_class", -1,
                   "\"%s\" from vocab.json: only Qwen2Tokenizer and GPT2Tokenizer are supported; a "
                   "tokenizer.json would do",
                   config->class_name);
  const bool gpt2 = config->class == TOKENIZER_CLASS_GPT2;
  FileMap vocab;
  xt_status status;
  TRY(file_read(vocab_path, FILE_SMALL, &vocab, error));
  TRY_DONE(bulk_read_vocab(&vocab, (BulkSpan){0, vocab.size}, NULL, &t->bpe.vocab, error));
  /* a merge for nearly every token */
  TRY_DONE(bpe_reserve_merges(&t->bpe, t->bpe.vocab.count, error));
  TRY_DONE(read_merges(&t->bpe, merges_path, gpt2, error));
  if (!gpt2) TRY_DONE(add_qwen2(t, error));
  if (config->add_prefix_space)
    TRY_DONE(pretokenizer_add(&t->pre, &(PreStep){.kind = PRE_PREFIX_SPACE}, error));
  if (gpt2) TRY_DONE(pretokenizer_add_gpt2(&t->pre, error));
  t->pre.bytes = true;
  TRY_DONE(decoder_add(&t->decoder, &(DecodeStep){.kind = DECODE_BYTE_LEVEL}, error));
done:
  file_map_close(&vocab);
  return status;
}
