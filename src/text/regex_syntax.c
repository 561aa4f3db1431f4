/* SPDX-License-Identifier: Apache-2.0 */
#include "text/regex_syntax.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode_data.h"
#include "text/utf8.h"

/* ---- what the parser puts down --------------------------------------------------------------- */

static xt_status put(RegexParser *p, RegexOp op, xt_error *error) {
  TRY(MEM_GROW(&p->ops, &p->op_capacity, p->op_count + 1, error));
  p->ops[p->op_count++] = op;
  return XT_STATUS_OK;
}

static xt_status put_text(RegexParser *p, const char *text, xt_error *error) {
  return put(p, (RegexOp){.kind = REGEX_TEXT, .text = text}, error);
}

/* Takes over the set's ranges. */
static xt_status put_set(RegexParser *p, CodeSet *set, xt_error *error) {
  size_t i = 0;
  while (i < p->set_count && !code_set_equal(&p->sets[i], set)) i++;
  xt_status status = XT_STATUS_OK;
  if (i < p->set_count) {
    free(set->ranges);
  } else if (p->set_count == REGEX_SETS_MAX) {
    free(set->ranges);
    status = regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at,
                          "more than 1024 different characters and classes", error);
  } else {
    status = MEM_GROW(&p->sets, &p->set_capacity, p->set_count + 1, error);
    if (status == XT_STATUS_OK)
      p->sets[p->set_count++] = *set;
    else
      free(set->ranges);
  }
  *set = (CodeSet){0};
  return status == XT_STATUS_OK ? put(p, (RegexOp){.kind = REGEX_SET, .n = i}, error) : status;
}

static xt_status put_one(RegexParser *p, uint32_t code, bool fold, xt_error *error) {
  CodeSet set = {0};
  xt_status status = code_set_add(&set, code, code + 1, error);
  if (status == XT_STATUS_OK && fold) status = regex_fold(p, &set, error);
  if (status == XT_STATUS_OK) return put_set(p, &set, error);
  free(set.ranges);
  return status;
}

static xt_status put_newline(RegexParser *p, xt_error *error) {
  return put_one(p, '\n', false, error);
}

/* \w as it is outside of a class. */
static xt_status put_word(RegexParser *p, xt_error *error) {
  RegexParser word = {.regex = "\\w", .length = 2};
  RegexEscape kind;
  uint32_t code;
  CodeSet set = {0};
  const xt_status status = regex_parse_escape(&word, false, &kind, &code, &set, error);
  if (status == XT_STATUS_OK) return put_set(p, &set, error);
  free(set.ranges);
  return status;
}

/* ---- items ----------------------------------------------------------------------------------- */

static bool at_text(const RegexParser *p, const char *text) {
  const size_t n = strlen(text);
  return p->at + n <= p->length && memcmp(p->regex + p->at, text, n) == 0;
}

static xt_status parse_alternatives(RegexParser *p, xt_error *error);

/* Between a word's character and something else, or not. */
static xt_status put_boundary(RegexParser *p, bool wanted, xt_error *error) {
  static const char *const texts[2][4] = {{"(?:(?<=", ")(?=", ")|(?<!", ")(?!"},
                                          {"(?:(?<=", ")(?!", ")|(?<!", ")(?="}};
  for (int i = 0; i < 4; i++) {
    TRY(put_text(p, texts[wanted][i], error));
    TRY(put_word(p, error));
  }
  return put_text(p, "))", error);
}

/* A place and not a character, such as ^; *found is false if it is none. */
static xt_status parse_place(RegexParser *p, bool *found, xt_error *error) {
  const char c = p->regex[p->at], next = p->at + 1 < p->length ? p->regex[p->at + 1] : 0;
  *found = true;
  if (c == '^') { /* at every line's beginning, but not behind the last newline */
    p->at++;
    TRY(put_text(p, "(?:\\A|(?<=", error));
    TRY(put_newline(p, error));
    return put_text(p, ")(?!\\z))", error);
  }
  if (c == '$') {
    p->at++;
    TRY(put_text(p, "(?=", error));
    TRY(put_newline(p, error));
    return put_text(p, "|\\z)", error);
  }
  *found = c == '\\' && next && strchr("AzZGbB", next);
  if (!*found) return XT_STATUS_OK;
  p->at += 2;
  if (next == 'b' || next == 'B') return put_boundary(p, next == 'b', error);
  if (next != 'Z') return put_text(p, next == 'A' ? "\\A" : next == 'z' ? "\\z" : "\\G", error);
  TRY(put_text(p, "(?=", error));
  TRY(put_newline(p, error));
  return put_text(p, "?\\z)", error);
}

/* \R: a line's end, "\r\n" being one. */
static xt_status put_line_end(RegexParser *p, xt_error *error) {
  CodeSet set = {0};
  TRY(put_text(p, "(?>", error));
  TRY(put_one(p, '\r', false, error));
  TRY(put_newline(p, error));
  TRY(put_text(p, "|", error));
  xt_status status = code_set_add(&set, 0xA, 0xE, error);
  if (status == XT_STATUS_OK) status = code_set_add(&set, 0x85, 0x86, error);
  if (status == XT_STATUS_OK) status = code_set_add(&set, 0x2028, 0x202A, error);
  if (status == XT_STATUS_OK)
    status = put_set(p, &set, error);
  else
    free(set.ranges);
  return status == XT_STATUS_OK ? put_text(p, ")", error) : status;
}

/* A single character's worth: ".", a class, an escape, or the character itself. */
static xt_status parse_character(RegexParser *p, xt_error *error) {
  CodeSet set = {0};
  RegexEscape kind = REGEX_ESCAPE_CHARACTER;
  uint32_t code = 0;
  xt_status status = XT_STATUS_OK;
  if (at_text(p, ".")) {
    p->at++;
    status = code_set_add(&set, 0, p->flags.dot_newline ? UNICODE_END : '\n', error);
    if (status == XT_STATUS_OK && !p->flags.dot_newline)
      status = code_set_add(&set, '\n' + 1, UNICODE_END, error);
    kind = REGEX_ESCAPE_SET;
  } else if (at_text(p, "[")) {
    p->at++;
    status = regex_parse_class(p, &set, error);
    kind = REGEX_ESCAPE_SET;
  } else if (at_text(p, "\\R")) {
    p->at += 2;
    return put_line_end(p, error);
  } else if (at_text(p, "\\")) {
    status = regex_parse_escape(p, false, &kind, &code, &set, error);
  } else {
    code = utf8_next(p->regex, &p->at);
  }
  if (status == XT_STATUS_OK && kind == REGEX_ESCAPE_CHARACTER)
    return put_one(p, code, true, error);
  if (status == XT_STATUS_OK) return put_set(p, &set, error);
  free(set.ranges);
  return status;
}

/* "(?imx-imx" up to ")" or ":", which is not read. */
static xt_status parse_flags(RegexParser *p, RegexFlags *flags, xt_error *error) {
  bool on = true;
  *flags = p->flags;
  for (; p->at < p->length; p->at++) {
    switch (p->regex[p->at]) {
      case '-': on = false; break;
      case 'i': flags->fold = on; break;
      case 'm': flags->dot_newline = on; break;
      case 'x': flags->extended = on; break;
      case ')':
      case ':': return XT_STATUS_OK;
      default:
        return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at,
                            "a group of a kind that is not supported", error);
    }
  }
  return regex_refuse(p, XT_STATUS_INPUT, p->at, "a group without an end", error);
}

/* The inside of a group that `open` begins, and its closing bracket. */
static xt_status parse_group_rest(RegexParser *p, const char *open, RegexFlags flags,
                                  xt_error *error) {
  const RegexFlags outer = p->flags;
  const size_t from = p->at;
  if (++p->depth > REGEX_DEPTH_MAX)
    return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at,
                        "more brackets within brackets than are read", error);
  TRY(put_text(p, open, error));
  p->flags = flags;
  TRY(parse_alternatives(p, error));
  p->flags = outer;
  p->depth--;
  if (!at_text(p, ")"))
    return regex_refuse(p, XT_STATUS_INPUT, from, "a group without an end", error);
  p->at++;
  return put_text(p, ")", error);
}

static xt_status skip_name(RegexParser *p, char close, xt_error *error) {
  const char *end = memchr(p->regex + p->at, close, p->length - p->at);
  if (!end) return regex_refuse(p, XT_STATUS_INPUT, p->at, "a name without an end", error);
  p->at = (size_t)(end - p->regex) + 1;
  return XT_STATUS_OK;
}

/* A group at its "(". *place: it is a place, which cannot be repeated. */
static xt_status parse_group(RegexParser *p, bool *place, xt_error *error) {
  static const struct {
    const char *begin, *open;
    bool place;
  } kinds[] = {{"(?:", "(?:", false},  {"(?=", "(?=", true},   {"(?!", "(?!", true},
               {"(?<=", "(?<=", true}, {"(?<!", "(?<!", true}, {"(?>", "(?>", false}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (!at_text(p, kinds[i].begin)) continue;
    p->at += strlen(kinds[i].begin);
    *place = kinds[i].place;
    return parse_group_rest(p, kinds[i].open, p->flags, error);
  }
  if (at_text(p, "(*")) return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at, "a callout", error);
  if (at_text(p, "(?#")) {
    *place = true;
    return skip_name(p, ')', error);
  }
  if (at_text(p, "(?<") ||
      at_text(p, "(?'")) { /* its name is ignored, since nothing refers to it */
    const char close = p->regex[p->at + 2] == '<' ? '>' : '\'';
    p->at += 3;
    TRY(skip_name(p, close, error));
    return parse_group_rest(p, "(?:", p->flags, error);
  }
  if (!at_text(p, "(?")) {
    p->at++;
    return parse_group_rest(p, "(?:", p->flags, error);
  }
  RegexFlags flags;
  p->at += 2;
  TRY(parse_flags(p, &flags, error));
  p->at++;
  if (p->regex[p->at - 1] == ':') return parse_group_rest(p, "(?:", flags, error);
  /* "(?i)" reaches to the end of the group around it, alternatives included: a(?i)b|c is
   * a(?i:b|c). */
  const RegexFlags outer = p->flags;
  *place = true;
  if (++p->depth > REGEX_DEPTH_MAX)
    return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->at,
                        "more brackets within brackets than are read", error);
  p->flags = flags;
  TRY(put_text(p, "(?:", error));
  TRY(parse_alternatives(p, error));
  p->flags = outer;
  p->depth--;
  return put_text(p, ")", error);
}

/* ---- repetition ------------------------------------------------------------------------------ */

/* "{n}", "{n,}", "{,m}" or "{n,m}" at p->at, which moves past it; false, and p->at stays, if there
 * is none. */
static bool read_count(RegexParser *p, size_t *n, size_t *m) {
  size_t at = p->at + 1, digits = 0;
  size_t *to = n;
  bool comma = false;
  *n = *m = 0;
  for (; at < p->length && p->regex[at] != '}'; at++) {
    const char c = p->regex[at];
    if (c == ',' && !comma) {
      comma = true;
      *m = SIZE_MAX;
      to = m;
    } else if (c >= '0' && c <= '9' && *n < 1000000) {
      *to = (*to == SIZE_MAX ? 0 : *to) * 10 + (size_t)(c - '0');
      digits++;
      if (*to > 1000000) return false;
    } else {
      return false;
    }
  }
  if (at >= p->length || !digits) return false;
  if (!comma) *m = *n;
  p->at = at + 1;
  return true;
}

/* Skips white space and comments, if (?x) says that they do not count. */
static void skip_extended(RegexParser *p) {
  while (p->flags.extended && p->at < p->length && p->regex[p->at] &&
         strchr(" \t\n\r\f\v#", p->regex[p->at])) {
    if (p->regex[p->at] == '#')
      while (p->at < p->length && p->regex[p->at] != '\n') p->at++;
    else
      p->at++;
  }
}

/* All repetitions of the item whose first op is `open`. A second repetition repeats the whole:
 * a{2}+ is (?:a{2})+. */
static xt_status parse_repeats(RegexParser *p, size_t open, bool place, xt_error *error) {
  for (bool again = false;; again = true) {
    skip_extended(p);
    if (p->at >= p->length) return XT_STATUS_OK;
    const char c = p->regex[p->at];
    const size_t from = p->at;
    size_t n = 0, m = 0;
    bool counted = false;
    if (c == '{') {
      counted = read_count(p, &n, &m);
      if (!counted) return XT_STATUS_OK;
      if (n > m)
        return regex_refuse(p, XT_STATUS_UNSUPPORTED, from,
                            "a repetition that ends before it begins", error);
    } else if (c != '*' && c != '+' && c != '?') {
      return XT_STATUS_OK;
    }
    if (place)
      return regex_refuse(p, XT_STATUS_INPUT, from, "a repetition of what is no character", error);
    if (again) {
      p->ops[open].n++;
      TRY(put_text(p, ")", error));
    }
    if (counted) {
      TRY(put(p, (RegexOp){.kind = REGEX_COUNT, .n = n, .m = m}, error));
      /* {n}? is optional, where {n,m}? is lazy */
      if (n != m && at_text(p, "?")) {
        p->at++;
        TRY(put_text(p, "?", error));
      }
      continue;
    }
    p->at++;
    TRY(put_text(p, c == '*' ? "*" : c == '+' ? "+" : "?", error));
    if (at_text(p, "?"))
      TRY(put_text(p, "?", error));
    else if (at_text(p, "+"))
      TRY(put_text(p, "+", error));
    else
      continue;
    p->at++;
  }
}

static xt_status parse_item(RegexParser *p, xt_error *error) {
  const size_t open = p->op_count, from = p->at;
  bool place = false;
  size_t n, m;
  TRY(put(p, (RegexOp){.kind = REGEX_OPEN}, error));
  if (strchr("*+?", p->regex[p->at]) && p->regex[p->at])
    return regex_refuse(p, XT_STATUS_INPUT, p->at, "a repetition of nothing", error);
  if (p->regex[p->at] == '{' && read_count(p, &n, &m))
    return regex_refuse(p, XT_STATUS_INPUT, from, "a repetition of nothing", error);
  if (p->regex[p->at] == '(') {
    TRY(parse_group(p, &place, error));
  } else {
    TRY(parse_place(p, &place, error));
    if (!place) TRY(parse_character(p, error));
  }
  return parse_repeats(p, open, place, error);
}

static xt_status parse_alternatives(RegexParser *p, xt_error *error) {
  for (;;) {
    skip_extended(p);
    if (p->at >= p->length || p->regex[p->at] == ')') return XT_STATUS_OK;
    if (p->regex[p->at] == '|') {
      p->at++;
      TRY(put_text(p, "|", error));
    } else {
      TRY(parse_item(p, error));
    }
  }
}

xt_status regex_parse(RegexParser *p, xt_error *error) {
  if (p->length > REGEX_BYTES_MAX)
    return err_set(error, XT_STATUS_UNSUPPORTED, p->file, p->field, -1,
                   "a regular expression of %zu bytes: at most %d are read", p->length,
                   REGEX_BYTES_MAX);
  TRY(parse_alternatives(p, error));
  return p->at < p->length
             ? regex_refuse(p, XT_STATUS_INPUT, p->at, "a closing bracket too many", error)
             : XT_STATUS_OK;
}

void regex_parser_free(RegexParser *p) {
  for (size_t i = 0; i < p->set_count; i++) free(p->sets[i].ranges);
  free(p->sets);
  free(p->ops);
  *p = (RegexParser){0};
}
