/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/text_buffer.h"
#include "text/regex_syntax.h"
#include "text/utf8.h"

xt_status pattern_literal(Pattern *pattern, const char *text, size_t length, xt_error *error) {
  *pattern = (Pattern){.literal_length = length};
  return mem_copy_text(&pattern->literal, text, length, error);
}

xt_status pattern_regex(Pattern *pattern, const char *regex, size_t length, const char *file,
                        const char *field, xt_error *error) {
  RegexParser parser = {.regex = regex, .length = length, .file = file, .field = field};
  TextBuffer out = {0};
  int code;
  PCRE2_SIZE at;
  xt_status status;
  *pattern = (Pattern){0};
  TRY_DONE(regex_parse(&parser, error));
  TRY_DONE(MEM_ALLOC(&pattern->alphabet, 1, error));
  TRY_DONE(regex_write(&parser, &out, pattern->alphabet, error));
  pattern->code = pcre2_compile((PCRE2_SPTR)(out.data ? out.data : ""), out.size,
                                PCRE2_NEVER_UTF | PCRE2_USE_OFFSET_LIMIT | PCRE2_NO_START_OPTIMIZE,
                                &code, &at, NULL);
  if (pattern->code) {
    /* If the JIT is not available (no executable memory), the interpreter is used. */
    (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
  } else {
    PCRE2_UCHAR message[160];
    pcre2_get_error_message(code, message, sizeof message);
    status = err_set(error, XT_STATUS_INPUT, file, field, -1, "not a regular expression: %s",
                     (const char *)message);
  }
done:
  if (status != XT_STATUS_OK) pattern_free(pattern);
  regex_parser_free(&parser);
  text_buffer_free(&out);
  return status;
}

/* ---- searching ------------------------------------------------------------------------------- */

/* The limits of a search. The patterns of real tokenizers take a few steps for each byte that they
 * look at; a pattern that is made to backtrack, such as (a+)+$, takes any number. PCRE2 begins to
 * count again at each place in the text, and does not count loops over single characters. It is
 * therefore called for STARTS places at a time, with few steps. Places that need more are tried one
 * by one, with steps by the text's length. Between two calls the processor time is checked, which
 * bounds both together. PCRE2's own search for places where a match may begin is left out, since it
 * would look through the rest of the text in each call. */
#define STARTS 1024
#define STEPS_FEW 1000u
#define STEPS_FREE 20000u
#define STEPS_PER_BYTE 8u
#define SECONDS_FREE 1.0
#define SECONDS_PER_BYTE 2e-6
/* The JIT's stack is the machine's, of 32 KB; then one of its own; the interpreter, at last, takes
 * memory from the heap. */
#define JIT_STACK (1u << 20)
#define HEAP_KILOBYTES (256u << 10)

static xt_status prepare_search(PatternSearch *s, xt_error *error) {
  if (!s->match) s->match = pcre2_match_data_create_from_pattern(s->pattern->code, NULL);
  if (!s->limits) s->limits = pcre2_match_context_create(NULL);
  if (!s->match || !s->limits) return err_memory(error, sizeof(PCRE2_SIZE));
  pcre2_set_heap_limit(s->limits, HEAP_KILOBYTES);
  return XT_STATUS_OK;
}

static xt_status search_error(int code, size_t length, xt_error *error) {
  PCRE2_UCHAR why[160];
  if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_HEAPLIMIT)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "the tokenizer's regular expression gave up on this text of %zu bytes: it tries "
                   "too many ways to match (%s)",
                   length,
                   code == PCRE2_ERROR_MATCHLIMIT ? "the limit of steps or time"
                                                  : "PCRE2's heap limit");
  pcre2_get_error_message(code, why, sizeof why);
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                 "the tokenizer's regular expression gave up on this text: %s", (const char *)why);
}

static xt_status translate(PatternSearch *s, xt_error *error) {
  TRY(MEM_GROW(&s->kinds, &s->capacity, s->length + 1, error));
  s->count = s->byte = s->character = 0;
  for (size_t at = 0; at < s->length;)
    s->kinds[s->count++] = (char)alphabet_kind(s->pattern->alphabet, utf8_next(s->text, &at));
  s->bytes += s->length;
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

/* Tries the places from `from` up to `last`, each with the given number of steps. Returns PCRE2's
 * code. */
static int try_places(PatternSearch *s, size_t from, size_t last, uint32_t steps) {
  PCRE2_SPTR text = (PCRE2_SPTR)s->kinds;
  pcre2_set_match_limit(s->limits, steps);
  pcre2_set_offset_limit(s->limits, last);
  int code = pcre2_match(s->pattern->code, text, s->count, from, 0, s->match, s->limits);
  if (code == PCRE2_ERROR_JIT_STACKLIMIT && !s->stack) {
    s->stack = pcre2_jit_stack_create(JIT_STACK / 32, JIT_STACK, NULL);
    pcre2_jit_stack_assign(s->limits, NULL, s->stack);
    if (s->stack)
      code = pcre2_match(s->pattern->code, text, s->count, from, 0, s->match, s->limits);
  }
  return code == PCRE2_ERROR_JIT_STACKLIMIT ? pcre2_match(s->pattern->code, text, s->count, from,
                                                          PCRE2_NO_JIT, s->match, s->limits)
                                            : code;
}

static double processor_seconds(void) {
  struct timespec now;
  return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0
             ? (double)now.tv_sec + 1e-9 * (double)now.tv_nsec
             : 0;
}

/* False once the texts of this search together have taken too long. */
static bool has_time(PatternSearch *s) {
  const double now = processor_seconds();
  if (!s->timed) {
    s->timed = true;
    s->begun = now;
  }
  return now - s->begun <= SECONDS_FREE + SECONDS_PER_BYTE * (double)s->bytes;
}

/* PCRE2's code for the first match from `from` on. */
static int search_places(PatternSearch *s, size_t from) {
  const size_t most = UINT32_MAX / STEPS_PER_BYTE / 2;
  const uint32_t many =
      STEPS_FREE + STEPS_PER_BYTE * (uint32_t)(s->length < most ? s->length : most);
  for (;;) {
    const size_t last = s->count - from < STARTS ? s->count : from + STARTS - 1;
    int code = try_places(s, from, last, STEPS_FEW);
    if (code == PCRE2_ERROR_MATCHLIMIT)
      for (size_t at = from; at <= last; at++) {
        code = has_time(s) ? try_places(s, at, at, many) : PCRE2_ERROR_MATCHLIMIT;
        if (code != PCRE2_ERROR_NOMATCH) break;
      }
    if (code != PCRE2_ERROR_NOMATCH || last == s->count) return code;
    if (!has_time(s)) return PCRE2_ERROR_MATCHLIMIT;
    from = last + 1;
  }
}

static xt_status search_regex(PatternSearch *s, size_t *start, size_t *end, bool *found,
                              xt_error *error) {
  TRY(prepare_search(s, error));
  if (!s->translated) TRY(translate(s, error));
  const int code = search_places(s, character_of(s, s->at));
  *found = code >= 0;
  if (code == PCRE2_ERROR_NOMATCH) return XT_STATUS_OK;
  if (code == PCRE2_ERROR_NOMEMORY) return err_memory(error, s->length);
  if (code < 0) return search_error(code, s->length, error);
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
    if (s->pattern->code)
      TRY(search_regex(s, start, end, found, error));
    else
      search_literal(s, start, end, found);
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
  pcre2_jit_stack_free(s->stack);
  free(s->kinds);
  s->match = s->limits = s->stack = NULL;
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
