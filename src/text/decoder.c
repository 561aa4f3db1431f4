/* SPDX-License-Identifier: Apache-2.0 */
#include "text/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/bpe.h"
#include "text/utf8.h"

xt_status token_texts_end(TokenTexts *t, xt_error *error) {
  if (t->text.failed) return err_memory(error, t->text.size);
  TRY(MEM_GROW(&t->ends, &t->capacity, t->count + 1, error));
  t->ends[t->count++] = t->text.size;
  return XT_STATUS_OK;
}

void token_texts_free(TokenTexts *t) {
  text_buffer_free(&t->text);
  free(t->ends);
  *t = (TokenTexts){0};
}

static void step_free(DecodeStep *step) {
  pattern_free(&step->pattern);
  free(step->text);
}

xt_status decoder_add(Decoder *d, DecodeStep *step, xt_error *error) {
  const xt_status status = MEM_GROW(&d->steps, &d->capacity, d->count + 1, error);
  if (status == XT_STATUS_OK)
    d->steps[d->count++] = *step;
  else
    step_free(step);
  *step = (DecodeStep){0};
  return status;
}

static const char *token_at(const TokenTexts *t, size_t i, size_t *length) {
  const size_t start = i ? t->ends[i - 1] : 0;
  *length = t->ends[i] - start;
  /* No buffer yet where all texts are empty. */
  return t->text.data ? t->text.data + start : "";
}

/* Letters back to bytes; a token with another character is taken as its own UTF-8. */
static void add_bytes(TextBuffer *out, const char *token, size_t length) {
  const size_t before = out->size;
  for (size_t at = 0; at < length;) {
    const int byte = bpe_letter_byte(utf8_next(token, &at));
    if (byte < 0) {
      out->size = before;
      text_buffer_add(out, token, length);
      return;
    }
    const char c = (char)byte;
    text_buffer_add(out, &c, 1);
  }
}

static xt_status decode_byte_level(const TokenTexts *in, TokenTexts *out, xt_error *error) {
  TextBuffer bytes = {0};
  for (size_t i = 0; i < in->count; i++) {
    size_t length;
    const char *token = token_at(in, i, &length);
    add_bytes(&bytes, token, length);
  }
  const bool failed = bytes.failed;
  if (!failed) utf8_add_lossy(&out->text, bytes.data, bytes.size);
  text_buffer_free(&bytes);
  return failed ? err_memory(error, in->text.size) : token_texts_end(out, error);
}

static xt_status decode_replace(const DecodeStep *step, const TokenTexts *in, TokenTexts *out,
                                xt_error *error) {
  PatternSearch search = {.pattern = &step->pattern};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < in->count; i++) {
    size_t length, from = 0, start = 0, end = 0;
    const char *token = token_at(in, i, &length);
    pattern_restart(&search, token, length);
    for (bool found;;) {
      TRY_DONE(pattern_next(&search, &found, &start, &end, error));
      if (!found) break;
      text_buffer_add(&out->text, token + from, start - from);
      text_buffer_add(&out->text, step->text, step->length);
      from = end;
    }
    text_buffer_add(&out->text, token + from, length - from);
    TRY_DONE(token_texts_end(out, error));
  }
done:
  pattern_search_free(&search);
  return status;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* The byte of "<0xNN>", or -1. "<0x+N>" counts: Rust's number parser takes a sign. */
static int byte_of_piece(const char *token, size_t length) {
  if (length != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>') return -1;
  const int high = token[3] == '+' ? 0 : hex_digit(token[3]), low = hex_digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* A run of byte tokens becomes its text when all of it is UTF-8, else one U+FFFD for each token. */
static xt_status flush_bytes(TextBuffer *run, TokenTexts *out, xt_error *error) {
  if (run->failed) return err_memory(error, run->size);
  if (!run->size) return XT_STATUS_OK;
  size_t bad;
  utf8_valid_prefix(run->data, run->size, &bad);
  if (!bad) {
    text_buffer_add(&out->text, run->data, run->size);
    TRY(token_texts_end(out, error));
  }
  for (size_t i = 0; bad && i < run->size; i++) {
    text_buffer_add(&out->text, "\xEF\xBF\xBD", 3);
    TRY(token_texts_end(out, error));
  }
  run->size = 0;
  return XT_STATUS_OK;
}

static xt_status decode_byte_fallback(const TokenTexts *in, TokenTexts *out, xt_error *error) {
  TextBuffer run = {0};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < in->count; i++) {
    size_t length;
    const char *token = token_at(in, i, &length);
    const int byte = byte_of_piece(token, length);
    if (byte >= 0) {
      const char c = (char)byte;
      text_buffer_add(&run, &c, 1);
      continue;
    }
    TRY_DONE(flush_bytes(&run, out, error));
    text_buffer_add(&out->text, token, length);
    TRY_DONE(token_texts_end(out, error));
  }
  status = flush_bytes(&run, out, error);
done:
  text_buffer_free(&run);
  return status;
}

static void strip(const DecodeStep *step, const char **token, size_t *length) {
  for (uint32_t n = 0; n < step->left && *length; n++) {
    size_t at = 0;
    if (utf8_next(*token, &at) != step->character) break;
    *token += at;
    *length -= at;
  }
  for (uint32_t n = 0; n < step->right && *length; n++) {
    const size_t before = utf8_before(*token, *length);
    size_t at = before;
    if (utf8_next(*token, &at) != step->character) break;
    *length = before;
  }
}

static void add_unmarked(const DecodeStep *step, const char *token, size_t length, bool first,
                         TextBuffer *out) {
  for (size_t at = 0; at < length;) {
    const size_t from = at;
    if (utf8_next(token, &at) != step->character)
      text_buffer_add(out, token + from, at - from);
    else if (!first || !step->drop_first)
      text_buffer_add(out, " ", 1);
  }
}

static xt_status decode_each(const DecodeStep *step, const TokenTexts *in, TokenTexts *out,
                             xt_error *error) {
  for (size_t i = 0; i < in->count; i++) {
    size_t length;
    const char *token = token_at(in, i, &length);
    if (step->kind == DECODE_STRIP) {
      strip(step, &token, &length);
      text_buffer_add(&out->text, token, length);
    } else {
      add_unmarked(step, token, length, i == 0, &out->text);
    }
    TRY(token_texts_end(out, error));
  }
  return XT_STATUS_OK;
}

static xt_status decode_step(const DecodeStep *step, const TokenTexts *in, TokenTexts *out,
                             xt_error *error) {
  switch (step->kind) {
    case DECODE_BYTE_LEVEL: return decode_byte_level(in, out, error);
    case DECODE_REPLACE: return decode_replace(step, in, out, error);
    case DECODE_BYTE_FALLBACK: return decode_byte_fallback(in, out, error);
    case DECODE_FUSE:
      text_buffer_add(&out->text, in->text.data, in->text.size);
      return token_texts_end(out, error);
    case DECODE_STRIP:
    case DECODE_METASPACE: return decode_each(step, in, out, error);
  }
  return XT_STATUS_OK;
}

static xt_status join_with_spaces(const TokenTexts *in, TokenTexts *out, xt_error *error) {
  for (size_t i = 0; i < in->count; i++) {
    size_t length;
    const char *token = token_at(in, i, &length);
    if (i) text_buffer_add(&out->text, " ", 1);
    text_buffer_add(&out->text, token, length);
  }
  return token_texts_end(out, error);
}

xt_status decoder_apply(const Decoder *d, TokenTexts *texts, TokenTexts *scratch, xt_error *error) {
  for (size_t i = 0; i < d->count + (d->spaced ? 1 : 0); i++) {
    const TokenTexts in = *texts;
    *texts = *scratch;
    *scratch = in;
    texts->count = texts->text.size = 0;
    if (i == d->count)
      TRY(join_with_spaces(scratch, texts, error));
    else
      TRY(decode_step(&d->steps[i], scratch, texts, error));
  }
  return XT_STATUS_OK;
}

void decoder_free(Decoder *d) {
  for (size_t i = 0; i < d->count; i++) step_free(&d->steps[i]);
  free(d->steps);
  *d = (Decoder){0};
}
