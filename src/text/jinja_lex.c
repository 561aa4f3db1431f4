/* SPDX-License-Identifier: Apache-2.0 */
/* A template into tokens. White space around tags as Jinja has it with trim_blocks (the newline
 * behind a block or comment goes) and lstrip_blocks (so do the blanks before one that is the first
 * of its line). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/jinja_parts.h"

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9') ||
         (unsigned char)c >= 0x80;
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void add(Jinja *j, JinjaKind kind, size_t at, size_t length) {
  if (j->status) return;
  j->status = MEM_GROW(&j->tokens, &j->capacity, j->count + 2, j->error);
  if (!j->status) j->tokens[j->count++] = (JinjaToken){kind, at, length};
}

static void fail_at(Jinja *j, size_t at, const char *what) {
  add(j, JINJA_SIGN, at, 0);
  if (j->count) j->at = j->count - 1;
  jinja_fail(j, XT_STATUS_INPUT, "%s", what);
}

/* Text up to a tag at `end`, whose sign may ask for stripping. `line_start`: the text begins a
 * line. */
static void add_text(Jinja *j, size_t start, size_t end, char tag, char sign, bool line_start) {
  if (sign == '-') {
    while (end > start && is_space(j->source[end - 1])) end--;
  } else if (sign != '+' && tag != '{') {
    size_t from = end;
    while (from > start && (j->source[from - 1] == ' ' || j->source[from - 1] == '\t')) from--;
    if (from > start ? j->source[from - 1] == '\n' : line_start) end = from;
  }
  if (end > start) add(j, JINJA_TEXT, start, end - start);
}

/* Behind a tag's last bracket: what a "-" or trim_blocks takes away. */
static size_t skip_after(const Jinja *j, size_t at, char sign, bool trims) {
  if (sign == '-') {
    while (at < j->length && is_space(j->source[at])) at++;
  } else if (trims && sign != '+' && at < j->length && j->source[at] == '\n') {
    at++;
  }
  return at;
}

static size_t lex_string(Jinja *j, size_t at) {
  const char quote = j->source[at];
  size_t end = at + 1;
  while (end < j->length && j->source[end] != quote) end += j->source[end] == '\\' ? 2 : 1;
  if (end >= j->length) {
    fail_at(j, at, "a text without a closing quote");
    return j->length;
  }
  add(j, JINJA_STRING, at, end + 1 - at);
  return end + 1;
}

static size_t lex_sign(Jinja *j, size_t at) {
  static const char *const pairs[] = {"==", "!=", "<=", ">=", "//", "**"};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    if (j->length - at < 2 || memcmp(j->source + at, pairs[i], 2) != 0) continue;
    add(j, JINJA_SIGN, at, 2);
    return at + 2;
  }
  if (!strchr("()[]{}.,:|+-*/%~<>=", j->source[at])) {
    fail_at(j, at, "a character that no expression has");
    return j->length;
  }
  add(j, JINJA_SIGN, at, 1);
  return at + 1;
}

/* The inside of {{ }} or {% %} from `at`; returns where the text goes on. */
static size_t lex_tag(Jinja *j, size_t at, char closer) {
  const JinjaKind end_kind = closer == '}' ? JINJA_VALUE_END : JINJA_BLOCK_END;
  int open = 0; /* brackets: "}}" may end two objects */
  while (!j->status && at < j->length) {
    const char c = j->source[at];
    const size_t left = j->length - at;
    const bool sign = c == '-' || (c == '+' && closer == '%');
    const size_t skip = sign ? 1 : 0;
    if (left >= 2 + skip && open == 0 && j->source[at + skip] == closer &&
        j->source[at + skip + 1] == '}') {
      add(j, end_kind, at, 0);
      return skip_after(j, at + skip + 2, sign ? c : 0, closer == '%');
    }
    if (is_space(c)) {
      at++;
    } else if (c == '"' || c == '\'') {
      at = lex_string(j, at);
    } else if (is_digit(c)) {
      size_t end = at;
      while (end < j->length && (is_digit(j->source[end]) || j->source[end] == '_')) end++;
      if (end + 1 < j->length && j->source[end] == '.' && is_digit(j->source[end + 1]))
        for (end++; end < j->length && is_digit(j->source[end]);) end++;
      add(j, JINJA_NUMBER, at, end - at);
      at = end;
    } else if (is_name(c)) {
      size_t end = at;
      while (end < j->length && is_name(j->source[end])) end++;
      add(j, JINJA_NAME, at, end - at);
      at = end;
    } else {
      open += strchr("([{", c) != NULL;
      open -= open > 0 && strchr(")]}", c) != NULL;
      at = lex_sign(j, at);
    }
  }
  if (!j->status) fail_at(j, j->length, "a tag without an end");
  return j->length;
}

/* Behind a comment that begins at `at`. */
static size_t skip_comment(Jinja *j, size_t at) {
  for (size_t end = at; end + 1 < j->length; end++) {
    if (j->source[end] != '#' || j->source[end + 1] != '}') continue;
    const char sign = end > at && (j->source[end - 1] == '-' || j->source[end - 1] == '+')
                          ? j->source[end - 1]
                          : 0;
    return skip_after(j, end + 2, sign, true);
  }
  fail_at(j, at, "a comment without an end");
  return j->length;
}

xt_status jinja_lex(Jinja *j) {
  bool line_start = true;
  for (size_t at = 0; !j->status && at < j->length;) {
    size_t tag = at;
    while (tag + 1 < j->length &&
           !(j->source[tag] == '{' && j->source[tag + 1] && strchr("{%#", j->source[tag + 1])))
      tag++;
    if (tag + 1 >= j->length) {
      add(j, JINJA_TEXT, at, j->length - at);
      break;
    }
    const char kind = j->source[tag + 1], next = tag + 2 < j->length ? j->source[tag + 2] : 0;
    const char sign = next == '-' || (next == '+' && kind != '{') ? next : 0;
    add_text(j, at, tag, kind, sign, line_start);
    const size_t inside = tag + 2 + (sign != 0);
    if (kind != '#') add(j, kind == '{' ? JINJA_VALUE_BEGIN : JINJA_BLOCK_BEGIN, tag, 2);
    at = kind == '#' ? skip_comment(j, inside) : lex_tag(j, inside, kind == '{' ? '}' : '%');
    line_start = at > 0 && j->source[at - 1] == '\n';
  }
  add(j, JINJA_END, j->length, 0);
  j->at = j->status ? j->at : 0;
  return j->status;
}
