/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text_buffer.h"
#include "text/utf8.h"

/* Unicode's White_Space. PCRE2's own \s has U+180E too, Oniguruma's has not. */
#define SPACE_SET "\\x{9}-\\x{d}\\x{85}\\p{Z}"

xt_status pattern_literal(Pattern *pattern, const char *text, size_t length, xt_error *error) {
  *pattern = (Pattern){.literal_length = length};
  return mem_copy_text(&pattern->literal, text, length, error);
}

/* ---- Oniguruma's syntax into PCRE2's ---- */

typedef struct Translation {
  const char *regex;
  size_t length, at;
  bool in_class;
  const char *unsupported; /* what stands at `at` */
  TextBuffer out;
} Translation;

static void translate_escape(Translation *t) {
  const char c = t->at + 1 < t->length ? t->regex[t->at + 1] : 0;
  if (c == 's') {
    text_buffer_add_text(&t->out, t->in_class ? SPACE_SET : "[" SPACE_SET "]");
  } else if (c == 'S' && !t->in_class) {
    text_buffer_add_text(&t->out, "[^" SPACE_SET "]");
  } else if (c != 0 && strchr("hHRXKGkgyYOcCM", c)) {
    t->unsupported = "an escape that differs between regular expression languages";
    return;
  } else {
    const size_t size = c ? 1 + utf8_length(c) : 1;
    text_buffer_add(&t->out, t->regex + t->at, size);
    t->at += size;
    return;
  }
  t->at += 2;
}

/* Passes over "{n,m}"; Ruby reads a + after it as another repetition, not as possessive. */
static void translate_braces(Translation *t) {
  size_t end = t->at + 1;
  while (end < t->length && (strchr("0123456789,", t->regex[end]) && t->regex[end])) end++;
  if (end < t->length && t->regex[end] == '}' && end + 1 < t->length && t->regex[end + 1] == '+')
    t->unsupported = "{n,m}+";
  text_buffer_add(&t->out, "{", 1);
  t->at++;
}

static void translate(Translation *t) {
  bool class_start = false;
  while (t->at < t->length && !t->unsupported) {
    const char c = t->regex[t->at];
    const bool first = class_start;
    class_start = false;
    if (c == '\\') {
      translate_escape(t);
      continue;
    }
    if (!t->in_class && c == '{') {
      translate_braces(t);
      continue;
    }
    if (!t->in_class && c == '[') {
      t->in_class = class_start = true;
      text_buffer_add(&t->out, "[", 1);
      t->at++;
      if (t->at < t->length && t->regex[t->at] == '^') {
        text_buffer_add(&t->out, "^", 1);
        t->at++;
      }
      continue;
    }
    if (t->in_class) {
      const char next = t->at + 1 < t->length ? t->regex[t->at + 1] : 0;
      if (c == '[' && next != ':') t->unsupported = "a class within a class";
      if (c == '&' && next == '&') t->unsupported = "an intersection of classes";
      if (c == '[' && next == ':') { /* [:name:] goes over as it is */
        const char *close = memchr(t->regex + t->at + 2, ']', t->length - t->at - 2);
        const size_t size = close ? (size_t)(close - (t->regex + t->at)) + 1 : 1;
        text_buffer_add(&t->out, t->regex + t->at, size);
        t->at += size;
        continue;
      }
      if (c == ']' && !first) t->in_class = false;
    }
    text_buffer_add(&t->out, &c, 1);
    t->at++;
  }
}

xt_status pattern_regex(Pattern *pattern, const char *regex, size_t length, const char *file, const char *field,
                        xt_error *error) {
  *pattern = (Pattern){0};
  Translation t = {.regex = regex, .length = length};
  translate(&t);
  xt_status status = XT_STATUS_OK;
  if (t.unsupported) {
    status = err_set(error, XT_STATUS_UNSUPPORTED, file, field, -1, "the regular expression has %s at its byte %zu",
                     t.unsupported, t.at);
  } else if (t.out.failed) {
    status = err_memory(error, length);
  } else {
    int code;
    PCRE2_SIZE at;
    /* Ruby's ^ and $ match at every line. */
    pattern->code = pcre2_compile((PCRE2_SPTR)(t.out.data ? t.out.data : ""), t.out.size,
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!pattern->code) {
      PCRE2_UCHAR message[160];
      pcre2_get_error_message(code, message, sizeof message);
      status = err_set(error, XT_STATUS_INPUT, file, field, -1, "not a regular expression: %s", (const char *)message);
    } else {
      /* Where the JIT is not to be had (no executable memory), matching goes on in the interpreter. */
      (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
    }
  }
  text_buffer_free(&t.out);
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

static xt_status search_regex(PatternSearch *s, size_t *start, size_t *end, bool *found, xt_error *error) {
  TRY(prepare_search(s, error));
  PCRE2_SPTR text = (PCRE2_SPTR)s->text;
  int code = pcre2_match(s->pattern->code, text, s->length, s->at, PCRE2_NO_UTF_CHECK, s->match, s->limits);
  /* The JIT's stack is small and fixed; the interpreter's grows on the heap. */
  if (code == PCRE2_ERROR_JIT_STACKLIMIT)
    code = pcre2_match(s->pattern->code, text, s->length, s->at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->match, s->limits);
  *found = code >= 0;
  if (code == PCRE2_ERROR_NOMATCH) return XT_STATUS_OK;
  if (code == PCRE2_ERROR_NOMEMORY) return err_memory(error, s->length);
  if (code < 0) return gave_up(code, s->length, error);
  const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->match);
  *start = at[0];
  *end = at[1];
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
  s->matched = false;
}

void pattern_search_free(PatternSearch *s) {
  pcre2_match_data_free(s->match);
  pcre2_match_context_free(s->limits);
  s->match = s->limits = NULL;
}

void pattern_free(Pattern *p) {
  free(p->literal);
  pcre2_code_free(p->code);
  *p = (Pattern){0};
}
