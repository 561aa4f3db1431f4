/* SPDX-License-Identifier: Apache-2.0 */
/* Escapes that stand for characters, and classes: [a-z], [^...], [[:alpha:]], classes within
 * classes, intersections. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/regex_syntax.h"
#include "text/unicode_data.h"
#include "text/utf8.h"

xt_status regex_refuse(const RegexParser *p, xt_status kind, size_t at, const char *what,
                       xt_error *error) {
  return err_set(error, kind, p->file, p->field, -1,
                 "the regular expression has %s at its byte %zu", what, at);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
  return -1;
}

/* Up to `most` digits of a base at p->at; at least one is there. */
static xt_status read_code(RegexParser *p, int base, size_t most, uint32_t *code, xt_error *error) {
  const size_t from = p->at;
  *code = 0;
  while (p->at < p->length && p->at - from < most) {
    const int digit = hex_digit(p->regex[p->at]);
    if (digit < 0 || digit >= base) break;
    *code = *code * (uint32_t)base + (uint32_t)digit;
    p->at++;
  }
  if (p->at > from && *code < UNICODE_END) return XT_STATUS_OK;
  return regex_refuse(p, XT_STATUS_INPUT, from, "an escape that is no character's", error);
}

static xt_status read_hex(RegexParser *p, uint32_t *code, xt_error *error) {
  const size_t from = p->at;
  if (p->at < p->length && p->regex[p->at] == '{') {
    p->at++;
    TRY(read_code(p, 16, 8, code, error));
    if (p->at >= p->length || p->regex[p->at] != '}')
      return regex_refuse(p, XT_STATUS_UNSUPPORTED, from,
                          "an escape that does not end where it should", error);
    p->at++;
    return XT_STATUS_OK;
  }
  TRY(read_code(p, 16, 2, code, error));
  if (*code < 0x80) return XT_STATUS_OK;
  return regex_refuse(p, XT_STATUS_UNSUPPORTED, from, "an escape of a single byte", error);
}

/* "{name}" or "{^name}" of \p and \P. */
static xt_status read_property(RegexParser *p, bool negated, CodeSet *out, xt_error *error) {
  const size_t from = p->at + 1;
  const char *close = memchr(p->regex + p->at, '}', p->length - p->at);
  if (!close) return regex_refuse(p, XT_STATUS_INPUT, p->at, "a property without an end", error);
  const size_t end = (size_t)(close - p->regex);
  const bool caret = from < end && p->regex[from] == '^';
  bool known;
  TRY(code_set_add_property(out, p->regex + from + caret, end - from - caret, &known, error));
  if (!known) {
    char what[120];
    snprintf(what, sizeof what, "a property of characters that is not known, \"%.*s\",",
             end - from < 60 ? (int)(end - from) : 60, p->regex + from);
    return regex_refuse(p, XT_STATUS_UNSUPPORTED, from, what, error);
  }
  p->at = end + 1;
  code_set_order(out);
  return negated != caret ? code_set_complement(out, error) : XT_STATUS_OK;
}

static xt_status add_kind(CodeSet *out, const char *name, bool negated, xt_error *error) {
  bool known;
  TRY(code_set_add_property(out, name, strlen(name), &known, error));
  code_set_order(out);
  return negated ? code_set_complement(out, error) : XT_STATUS_OK;
}

/* \w has the superscripts and fractions of Latin-1 where it stands outside of a class, as Oniguruma
 * has it. */
static xt_status add_word(CodeSet *out, bool in_class, bool negated, xt_error *error) {
  TRY(add_kind(out, "word", false, error));
  if (!in_class) {
    TRY(code_set_add(out, 0xB2, 0xB4, error));
    TRY(code_set_add(out, 0xB9, 0xBA, error));
    TRY(code_set_add(out, 0xBC, 0xBF, error));
    code_set_order(out);
  }
  return negated ? code_set_complement(out, error) : XT_STATUS_OK;
}

static xt_status add_any(CodeSet *out, bool newline, xt_error *error) {
  TRY(code_set_add(out, 0, newline ? UNICODE_END : '\n', error));
  return newline ? XT_STATUS_OK : code_set_add(out, '\n' + 1, UNICODE_END, error);
}

xt_status regex_parse_escape(RegexParser *p, bool in_class, RegexEscape *kind, uint32_t *code,
                             CodeSet *out, xt_error *error) {
  static const char from[] = "tnrfvae", to[] = "\t\n\r\f\v\a\x1B";
  const size_t start = p->at++;
  if (p->at >= p->length)
    return regex_refuse(p, XT_STATUS_INPUT, start, "a backslash at its end,", error);
  const char c = p->regex[p->at];
  *kind = REGEX_ESCAPE_CHARACTER;
  const char *known = c ? strchr(from, c) : NULL;
  if (known) {
    *code = (uint32_t)to[known - from];
    p->at++;
    return XT_STATUS_OK;
  }
  const bool brace = p->at + 1 < p->length && p->regex[p->at + 1] == '{';
  if (c == 'x' || c == 'u' || (c == '0' || (in_class && c >= '1' && c <= '7'))) {
    p->at += c == 'x' || c == 'u';
    if (c == 'x') return read_hex(p, code, error);
    return c == 'u' ? read_code(p, 16, 4, code, error) : read_code(p, 8, 3, code, error);
  }
  *kind = REGEX_ESCAPE_SET;
  if ((c == 'p' || c == 'P') && brace) {
    p->at++;
    return read_property(p, c == 'P', out, error);
  }
  if (c && strchr("wWdDsShHNO", c) && !(in_class && (c == 'N' || c == 'O'))) p->at++;
  switch (c) {
    case 'w':
    case 'W': return add_word(out, in_class, c == 'W', error);
    case 'd':
    case 'D': return add_kind(out, "digit", c == 'D', error);
    case 's':
    case 'S': return add_kind(out, "space", c == 'S', error);
    case 'h':
    case 'H': return add_kind(out, "xdigit", c == 'H', error);
    default: break;
  }
  if (!in_class && (c == 'N' || c == 'O')) return add_any(out, c == 'O', error);
  if ((c >= '1' && c <= '9') || (c && strchr("XKkgyYcCMo", c)) || (in_class && c == 'b'))
    return regex_refuse(p, XT_STATUS_UNSUPPORTED, start,
                        c >= '1' && c <= '9' ? "a reference to a group"
                                             : "an escape that is not supported,",
                        error);
  *kind = REGEX_ESCAPE_CHARACTER;
  *code = utf8_next(p->regex, &p->at);
  return XT_STATUS_OK;
}

/* ---- classes --------------------------------------------------------------------------------- */

/* [:name:] or [:^name:] at p->at; *found is false where that is something else. */
static xt_status read_posix(RegexParser *p, CodeSet *out, bool *found, xt_error *error) {
  const char *text = p->regex + p->at;
  const size_t left = p->length - p->at;
  *found = left > 3 && text[1] == ':';
  if (!*found) return XT_STATUS_OK;
  size_t end = 2;
  while (end < left && end < 24 && text[end] != ':' && text[end] != ']') end++;
  *found = end + 1 < left && text[end] == ':' && text[end + 1] == ']';
  if (!*found) return XT_STATUS_OK;
  const bool negated = text[2] == '^';
  CodeSet set = {0};
  bool known;
  xt_status status = code_set_add_posix(&set, text + 2 + negated, end - 2 - negated, &known, error);
  if (status == XT_STATUS_OK && !known)
    status = regex_refuse(p, XT_STATUS_INPUT, p->at, "a POSIX class that does not exist", error);
  code_set_order(&set);
  if (status == XT_STATUS_OK && negated) status = code_set_complement(&set, error);
  if (status == XT_STATUS_OK) status = code_set_add_set(out, &set, error);
  free(set.ranges);
  p->at += end + 2;
  return status;
}

static bool at_text(const RegexParser *p, const char *text) {
  const size_t n = strlen(text);
  return p->at + n <= p->length && memcmp(p->regex + p->at, text, n) == 0;
}

/* One character, or an escaped set, of a class. */
static xt_status read_member(RegexParser *p, RegexEscape *kind, uint32_t *code, CodeSet *out,
                             xt_error *error) {
  *kind = REGEX_ESCAPE_CHARACTER;
  if (p->regex[p->at] != '\\') {
    *code = utf8_next(p->regex, &p->at);
    return XT_STATUS_OK;
  }
  CodeSet set = {0};
  xt_status status = regex_parse_escape(p, true, kind, code, &set, error);
  if (status == XT_STATUS_OK) status = code_set_add_set(out, &set, error);
  free(set.ranges);
  return status;
}

/* A character, a range, or an escaped set. */
static xt_status read_range(RegexParser *p, CodeSet *out, xt_error *error) {
  const size_t from = p->at;
  RegexEscape kind;
  uint32_t low = 0, high = 0;
  TRY(read_member(p, &kind, &low, out, error));
  const bool dash =
      at_text(p, "-") && p->at + 1 < p->length && p->regex[p->at + 1] != ']' && !at_text(p, "-&&");
  if (kind == REGEX_ESCAPE_SET)
    return dash ? regex_refuse(p, XT_STATUS_INPUT, p->at, "a range that begins with a set", error)
                : XT_STATUS_OK;
  if (!dash) return code_set_add(out, low, low + 1, error);
  p->at++;
  if (at_text(p, "["))
    return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at, "a range that ends with a class", error);
  TRY(read_member(p, &kind, &high, out, error));
  if (kind == REGEX_ESCAPE_SET || high < low)
    return regex_refuse(p, XT_STATUS_INPUT, from, "a range that is none", error);
  return code_set_add(out, low, high + 1, error);
}

static xt_status read_members(RegexParser *p, CodeSet *current, CodeSet *left, bool *meets,
                              xt_error *error) {
  for (bool first = true;; first = false) {
    if (p->at >= p->length)
      return regex_refuse(p, XT_STATUS_INPUT, p->at, "a class without an end", error);
    bool posix;
    if (at_text(p, "]") && !first) return XT_STATUS_OK;
    if (at_text(p, "[")) {
      TRY(read_posix(p, current, &posix, error));
      if (posix) continue;
      CodeSet inner = {0};
      p->at++;
      xt_status status = regex_parse_class(p, &inner, error);
      if (status == XT_STATUS_OK) status = code_set_add_set(current, &inner, error);
      free(inner.ranges);
      if (status != XT_STATUS_OK) return status;
    } else if (at_text(p, "&&")) {
      p->at += 2;
      code_set_order(current);
      if (*meets) {
        TRY(code_set_intersect(left, current, error));
        current->count = 0;
      } else {
        const CodeSet empty = *left;
        *left = *current;
        *current = empty;
        *meets = true;
      }
    } else {
      TRY(read_range(p, current, error));
    }
  }
}

xt_status regex_fold(RegexParser *p, CodeSet *set, xt_error *error) {
  if (!p->flags.fold || !set->count) return XT_STATUS_OK;
  if (set->ranges[set->count - 1].end > 0x80 && p->folds++ == REGEX_FOLDS_MAX)
    return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at, "(?i) over more classes than are read",
                        error);
  return code_set_fold(set, error);
}

xt_status regex_parse_class(RegexParser *p, CodeSet *out, xt_error *error) {
  CodeSet current = {0}, left = {0};
  bool meets = false;
  xt_status status = XT_STATUS_OK;
  if (++p->depth > REGEX_DEPTH_MAX)
    return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at,
                        "more brackets within brackets than are read", error);
  const bool negated = at_text(p, "^");
  p->at += negated;
  TRY_DONE(read_members(p, &current, &left, &meets, error));
  p->at++;
  code_set_order(&current);
  if (meets) TRY_DONE(code_set_intersect(&current, &left, error));
  TRY_DONE(regex_fold(p, &current, error));
  if (negated) TRY_DONE(code_set_complement(&current, error));
  TRY_DONE(code_set_add_set(out, &current, error));
  p->depth--;
done:
  free(current.ranges);
  free(left.ranges);
  return status;
}
