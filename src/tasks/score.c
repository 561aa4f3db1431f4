/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a response is right: the released evaluation's rules, one for one.
 *
 * The rules look odd but must not change: figures are comparable only if the same answers count. */
#include <stdlib.h>
#include <string.h>
#include <unicode/ucasemap.h>

#include "base/err.h"
#include "base/mem.h"
#include "tasks/gold_match.h"
#include "tasks/task_table.h"

typedef struct Span {
  const char *text;
  size_t length;
} Span;

static Span span_of(const char *text) { return (Span){text, strlen(text)}; }

static bool holds(Span text, Span part) {
  if (part.length == 0) return true;
  for (const char *at = text.text, *end = text.text + text.length;
       (size_t)(end - at) >= part.length; at++) {
    at = memchr(at, part.text[0], (size_t)(end - at) - part.length + 1);
    if (!at) return false;
    if (memcmp(at, part.text, part.length) == 0) return true;
  }
  return false;
}

/* Bytes of the white space that begins at text[at], as Python's str.strip counts it; 0: none
 * does. */
static size_t space_at(Span text, size_t at) {
  static const char *const wide[] = {"\xC2\x85", "\u00a0", "\u1680", "\u2000", "\u2001",
                                     "\u2002",   "\u2003", "\u2004", "\u2005", "\u2006",
                                     "\u2007",   "\u2008", "\u2009", "\u200a", "\u2028",
                                     "\u2029",   "\u202f", "\u205f", "\u3000"};
  const unsigned char c = (unsigned char)text.text[at];
  if ((c >= 9 && c <= 13) || (c >= 28 && c <= 32)) return 1;
  for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
    const size_t n = strlen(wide[i]);
    if (text.length - at >= n && memcmp(text.text + at, wide[i], n) == 0) return n;
  }
  return 0;
}

static Span stripped(Span text) {
  size_t n;
  while (text.length && (n = space_at(text, 0)) > 0) text = (Span){text.text + n, text.length - n};
  for (bool more = true; more && text.length;) {
    more = false;
    for (n = 1; n <= 3 && n <= text.length; n++) /* a space takes at most three bytes */
      if (space_at(text, text.length - n) == n) {
        text.length -= n;
        more = true;
        break;
      }
  }
  return text;
}

static bool same(Span a, Span b) {
  return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* "(x)" within `text`, or all of it x but for white space around. */
static bool names_option(Span text, Span bare, const char *label) {
  const Span option = span_of(label);
  if (same(bare, option)) return true;
  for (const char *at = text.text, *end = text.text + text.length;
       (at = memchr(at, '(', (size_t)(end - at))); at++)
    if ((size_t)(end - at) >= option.length + 2 &&
        memcmp(at + 1, option.text, option.length) == 0 && at[option.length + 1] == ')')
      return true;
  return false;
}

/* Full-width parentheses become ASCII ones. The caller frees *out. */
static xt_status plain_parentheses(Span text, char **out, Span *plain, xt_error *error) {
  TRY(MEM_ALLOC(out, text.length + 1, error));
  size_t to = 0;
  for (size_t at = 0; at < text.length; to++) {
    const bool wide = text.length - at >= 3 && memcmp(text.text + at, "\xEF\xBC", 2) == 0 &&
                      (text.text[at + 2] == '\x88' || text.text[at + 2] == '\x89');
    (*out)[to] = wide ? (text.text[at + 2] == '\x88' ? '(' : ')') : text.text[at];
    at += wide ? 3 : 1;
  }
  *plain = (Span){*out, to};
  return XT_STATUS_OK;
}

static xt_status no_such_gold(const xt_task *task, const char *gold, const char *options,
                              xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, NULL, "gold", -1,
                 "'%.60s' is not one of %s's options, "
                 "%s",
                 gold, task->title, options);
}

static xt_status score_words(const xt_task *task, const xt_choice *choices, size_t count,
                             Span response, const char *gold, bool *correct, xt_error *error) {
  bool right = false, wrong = false, found = false;
  for (size_t i = 0; i < count; i++) found = found || strcmp(choices[i].label, gold) == 0;
  if (!found) {
    char labels[120] = "";
    for (size_t i = 0; i < count && strlen(labels) < 80; i++) {
      if (i) strcat(labels, ", ");
      strncat(labels, choices[i].label, 20);
    }
    return no_such_gold(task, gold, labels[0] ? labels : "of which it has none", error);
  }
  char *copy;
  Span text;
  TRY(plain_parentheses(response, &copy, &text, error));
  const Span bare = stripped(text);
  for (size_t i = 0; i < count; i++) {
    const bool named = names_option(text, bare, choices[i].label) ||
                       (choices[i].text && holds(text, span_of(choices[i].text)));
    if (strcmp(choices[i].label, gold) == 0)
      right = named;
    else
      wrong = wrong || named;
  }
  free(copy);
  *correct = right && !wrong;
  return XT_STATUS_OK;
}

/* Full Unicode case mapping, independent of language. The caller frees *out. */
static xt_status map_case(Span text, bool upper, char **out, Span *mapped, xt_error *error) {
  UErrorCode code = U_ZERO_ERROR;
  UCaseMap *map = ucasemap_open("", 0, &code);
  int32_t need = 0;
  *out = NULL;
  if (text.length > INT32_MAX / 4) code = U_INDEX_OUTOFBOUNDS_ERROR;
  for (int32_t capacity = (int32_t)text.length + 16; !U_FAILURE(code); capacity = need + 1) {
    free(*out);
    *out = malloc((size_t)capacity);
    if (!*out) break;
    need = (upper ? ucasemap_utf8ToUpper : ucasemap_utf8ToLower)(map, *out, capacity, text.text,
                                                                 (int32_t)text.length, &code);
    if (code != U_BUFFER_OVERFLOW_ERROR) break;
    code = U_ZERO_ERROR;
  }
  ucasemap_close(map);
  if (!*out || U_FAILURE(code)) {
    free(*out);
    *out = NULL;
    return err_memory(error, text.length);
  }
  *mapped = (Span){*out, (size_t)need};
  return XT_STATUS_OK;
}

static xt_status score_letters(const xt_task *task, Span response, const char *gold, bool *correct,
                               xt_error *error) {
  if (strlen(gold) != 1 || gold[0] < 'A' || gold[0] > 'Z')
    return no_such_gold(task, gold, "A to Z", error);
  char *copy;
  Span text;
  TRY(map_case(response, true, &copy, &text, error));
  const Span bare = stripped(text);
  bool right = false, wrong = false;
  for (int k = 0; k < 26; k++) {
    const char letter = (char)('A' + k);
    const bool named = names_option(text, bare, (const char[]){letter, 0});
    if (letter == gold[0])
      right = named;
    else
      wrong = wrong || named;
  }
  free(copy);
  *correct = right && !wrong;
  return XT_STATUS_OK;
}

/* Whether the text contains any of the answers, which XT_GOLD_SEPARATOR separates. */
static bool holds_any(Span text, Span answers) {
  for (const char *at = answers.text, *end = answers.text + answers.length;; at++) {
    const char *stop = memchr(at, XT_GOLD_SEPARATOR[0], (size_t)(end - at));
    if (holds(text, (Span){at, (size_t)((stop ? stop : end) - at)})) return true;
    if (!stop) return false;
    at = stop;
  }
}

static xt_status score_contains(Span response, const char *gold, bool *correct, xt_error *error) {
  char *text_copy, *gold_copy;
  Span text, part;
  TRY(map_case(response, false, &text_copy, &text, error));
  const xt_status status = map_case(span_of(gold), false, &gold_copy, &part, error);
  if (!status) *correct = holds_any(text, part);
  free(text_copy);
  free(gold_copy);
  return status;
}

xt_status xt_task_score(const xt_task *task, const xt_choice *choices, size_t choice_count,
                        const char *response, size_t length, const char *gold, bool *correct,
                        xt_error *error) {
  const Span text = {response, length};
  *correct = false;
  switch (task_entry(task)->scoring) {
    case SCORING_WORDS: return score_words(task, choices, choice_count, text, gold, correct, error);
    case SCORING_LETTERS: return score_letters(task, text, gold, correct, error);
    case SCORING_CONTAINS: return score_contains(text, gold, correct, error);
  }
  return XT_STATUS_OK;
}

xt_status gold_match_init(const xt_task *task, const char *gold, GoldMatch *out, xt_error *error) {
  Span mapped = {0};
  *out = (GoldMatch){.gold = gold};
  if (task_entry(task)->scoring != SCORING_CONTAINS) return XT_STATUS_OK;
  TRY(map_case(span_of(gold), false, &out->mapped, &mapped, error));
  out->length = mapped.length;
  return XT_STATUS_OK;
}

void gold_match_deinit(GoldMatch *match) {
  free(match->mapped);
  *match = (GoldMatch){0};
}

xt_status gold_match_all(const xt_task *task, const xt_choice *choices, size_t choice_count,
                         const char *response, size_t length, const GoldMatch *matches,
                         size_t count, bool *right, xt_error *error) {
  char *copy;
  Span text;
  if (task_entry(task)->scoring != SCORING_CONTAINS) {
    for (size_t k = 0; k < count; k++)
      TRY(xt_task_score(task, choices, choice_count, response, length, matches[k].gold, &right[k],
                        error));
    return XT_STATUS_OK;
  }
  TRY(map_case((Span){response, length}, false, &copy, &text, error));
  for (size_t k = 0; k < count; k++)
    right[k] = holds_any(text, (Span){matches[k].mapped, matches[k].length});
  free(copy);
  return XT_STATUS_OK;
}
