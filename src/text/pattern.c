/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text_buffer.h"
#include "text/regex_syntax.h"
#include "text/utf8.h"

xt_status pattern_literal(Pattern *pattern, const char *text, size_t length, xt_error *error) {
  *pattern = (Pattern){.literal_length = length};
  return mem_copy_text(&pattern->literal, text, length, error);
}

xt_status pattern_regex(Pattern *pattern, const char *regex, size_t length, const char *file, const char *field,
                        xt_error *error) {
  RegexParser parser = {.regex = regex, .length = length, .file = file, .field = field};
  TextBuffer out = {0};
  int code;
  PCRE2_SIZE at;
  xt_status status;
  *pattern = (Pattern){0};
  TRY_DONE(regex_parse(&parser, error));
  TRY_DONE(mem_alloc(&pattern->alphabet, 1, sizeof *pattern->alphabet, error));
  TRY_DONE(regex_write(&parser, &out, pattern->alphabet, error));
  pattern->code = pcre2_compile((PCRE2_SPTR)(out.data ? out.data : ""), out.size, PCRE2_NEVER_UTF, &code, &at, NULL);
  if (pattern->code) {
    /* Where the JIT is not to be had (no executable memory), matching goes on in the interpreter. */
    (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
  } else {
    PCRE2_UCHAR message[160];
    pcre2_get_error_message(code, message, sizeof message);
    status = err_set(error, XT_STATUS_INPUT, file, field, -1, "not a regular expression: %s", (const char *)message);
  }
done:
  if (status != XT_STATUS_OK) pattern_free(pattern);
  regex_parser_free(&parser);
  text_buffer_free(&out);
  return status;
}

/* ---- searching ---- */

/* What one search may cost. The patterns of real tokenizers take a few steps for each byte that they look at; one made to
 * backtrack, (a+)+$ say, takes any number. The interpreter's depth needs memory, of which it gets at most HEAP_KILOBYTES. */
#define STEPS_FREE 20000u
#define STEPS_PER_BYTE 8u
#define HEAP_KILOBYTES (256u << 10)

static xt_status prepare_search(PatternSearch *s, xt_error *error) {
  if (!s->match) s->match = pcre2_match_data_create_from_pattern(s->pattern->code, NULL);
  if (!s->limits) s->limits = pcre2_match_context_create(NULL);
  if (!s->match || !s->limits) return err_memory(error, sizeof(PCRE2_SIZE));
  const size_t bytes = s->length < UINT32_MAX / STEPS_PER_BYTE / 2 ? s->length : UINT32_MAX / STEPS_PER_BYTE / 2;
  pcre2_set_match_limit(s->limits, STEPS_FREE + STEPS_PER_BYTE * (uint32_t)bytes);
  pcre2_set_heap_limit(s->limits, HEAP_KILOBYTES);
  return XT_STATUS_OK;
}

static xt_status gave_up(int code, size_t length, xt_error *error) {
  PCRE2_UCHAR why[160];
  if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_HEAPLIMIT)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "the tokenizer's regular expression gave up on this text of %zu bytes: it tries too many ways to match (%s)", length,
                   code == PCRE2_ERROR_MATCHLIMIT ? "PCRE2's match limit" : "PCRE2's heap limit");
  pcre2_get_error_message(code, why, sizeof why);
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "the tokenizer's regular expression gave up on this text: %s", (const char *)why);
}

static xt_status translate(PatternSearch *s, xt_error *error) {
  TRY(mem_grow(&s->kinds, &s->capacity, s->length + 1, 1, error));
  s->count = s->byte = s->character = 0;
  for (size_t at = 0; at < s->length;)
    s->kinds[s->count++] = (char)alphabet_kind(s->pattern->alphabet, utf8_next(s->text, &at));
  s->translated = true;
  return XT_STATUS_OK;
}

/* The byte at which a character begins that is not before the place reached so far. */
static size_t byte_of(PatternSearch *s, size_t character) {
  for (; s->character < character; s->character++) s->byte += utf8_length(s->text[s->byte]);
  return s->byte;
}

static size_t character_of(PatternSearch *s, size_t byte) {
  for (; s->byte < byte; s->character++) s->byte += utf8_length(s->text[s->byte]);
  return s->character;
}

static xt_status search_regex(PatternSearch *s, size_t *start, size_t *end, bool *found, xt_error *error) {
  TRY(prepare_search(s, error));
  if (!s->translated) TRY(translate(s, error));
  PCRE2_SPTR text = (PCRE2_SPTR)s->kinds;
  const size_t from = character_of(s, s->at);
  int code = pcre2_match(s->pattern->code, text, s->count, from, 0, s->match, s->limits);
  /* The JIT's stack is small and fixed; the interpreter's grows on the heap. */
  if (code == PCRE2_ERROR_JIT_STACKLIMIT)
    code = pcre2_match(s->pattern->code, text, s->count, from, PCRE2_NO_JIT, s->match, s->limits);
  *found = code >= 0;
  if (code == PCRE2_ERROR_NOMATCH) return XT_STATUS_OK;
  if (code == PCRE2_ERROR_NOMEMORY) return err_memory(error, s->length);
  if (code < 0) return gave_up(code, s->length, error);
  const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->match);
  *start = byte_of(s, at[0]);
  *end = byte_of(s, at[1]);
  return XT_STATUS_OK;
}

static void search_literal(PatternSearch *s, size_t *start, size_t *end, bool *found) {
  const Pattern *p = s->pattern;
  const char *hit = NULL;
  *found = false;
  for (size_t at = s->at; p->literal_length && at + p->literal_length <= s->length; at++) {
    hit = memchr(s->text + at, p->literal[0], s->length - at - p->literal_length + 1);
    if (!hit) return;
    at = (size_t)(hit - s->text);
    *found = memcmp(hit, p->literal, p->literal_length) == 0;
    if (*found) break;
  }
  if (!*found) return;
  *start = (size_t)(hit - s->text);
  *end = *start + p->literal_length;
}

xt_status pattern_next(PatternSearch *s, bool *found, size_t *start, size_t *end, xt_error *error) {
  *found = false;
  while (s->at <= s->length) {
    if (s->pattern->code) TRY(search_regex(s, start, end, found, error));
    else search_literal(s, start, end, found);
    if (!*found) break;
    if (*end == *start && s->matched && s->last_end == *end) {
      s->at += s->at < s->length ? utf8_length(s->text[s->at]) : 1;
      *found = false;
      continue;
    }
    s->at = s->last_end = *end;
    s->matched = true;
    return XT_STATUS_OK;
  }
  s->at = s->length + 1;
  return XT_STATUS_OK;
}

void pattern_restart(PatternSearch *s, const char *text, size_t length) {
  s->text = text;
  s->length = length;
  s->at = s->last_end = 0;
  s->matched = s->translated = false;
}

void pattern_search_free(PatternSearch *s) {
  pcre2_match_data_free(s->match);
  pcre2_match_context_free(s->limits);
  free(s->kinds);
  s->match = s->limits = NULL;
  s->kinds = NULL;
  s->capacity = 0;
  s->translated = false;
}

void pattern_free(Pattern *p) {
  free(p->literal);
  pcre2_code_free(p->code);
  if (p->alphabet) alphabet_free(p->alphabet);
  free(p->alphabet);
  *p = (Pattern){0};
}
