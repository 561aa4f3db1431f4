/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks/python_literal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text_buffer.h"
#include "text/utf8.h"

#define DEPTH_MOST 32

typedef struct Reader {
  const char *text;
  size_t at;
  const char *what; /* is wrong at `at`; NULL: nothing */
  bool memory;      /* ran out */
  int depth;
} Reader;

static json_t *wrong(Reader *r, const char *what) {
  if (!r->what) r->what = what;
  return NULL;
}

static json_t *made(Reader *r, json_t *value) {
  if (!value) {
    r->memory = true;
    wrong(r, "out of memory");
  }
  return value;
}

static void skip_space(Reader *r) { r->at += strspn(r->text + r->at, " \t\r\n"); }

static bool take(Reader *r, const char *word) {
  const size_t n = strlen(word);
  if (strncmp(r->text + r->at, word, n) != 0) return false;
  r->at += n;
  return true;
}

/* `digits` hexadecimal digits after the escape's letter. */
static void read_code(Reader *r, int digits, TextBuffer *out) {
  uint32_t code = 0;
  char bytes[4];
  for (int i = 0; i < digits; i++) {
    const char c = r->text[r->at];
    const char *digit =
        c ? strchr("0123456789abcdef", c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    if (!digit) {
      wrong(r, "too few hexadecimal digits");
      return;
    }
    code = code << 4 | (uint32_t)(strchr("0123456789abcdef", *digit) - &"0123456789abcdef"[0]);
    r->at++;
  }
  if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
    wrong(r, "an escape that is no character");
  else
    text_buffer_add(out, bytes, utf8_put(code, bytes));
}

static void read_escape(Reader *r, TextBuffer *out) {
  static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
  const char c = r->text[r->at];
  const char *simple = c ? strchr(from, c) : NULL;
  if (c) r->at++;
  if (simple)
    text_buffer_add(out, to + (simple - from), 1);
  else if (c == 'x')
    read_code(r, 2, out);
  else if (c == 'u')
    read_code(r, 4, out);
  else if (c == 'U')
    read_code(r, 8, out);
  else
    wrong(r, "an escape that Python's repr does not write");
}

static json_t *read_string(Reader *r) {
  const char quote = r->text[r->at++];
  TextBuffer out = {0};
  json_t *value = NULL;
  text_buffer_add(&out, "", 0);
  while (!r->what && r->text[r->at] != quote) {
    const char c = r->text[r->at];
    if (!c)
      wrong(r, "a string that does not end");
    else if (c == '\\') {
      r->at++;
      read_escape(r, &out);
    } else {
      text_buffer_add(&out, &c, 1);
      r->at++;
    }
  }
  if (!r->what) {
    r->at++;
    value = made(r, out.failed ? NULL : json_stringn(out.data, out.size));
  }
  text_buffer_free(&out);
  return value;
}

static json_t *read_number(Reader *r) {
  const char *from = r->text + r->at;
  const size_t length = strspn(from, "+-0123456789.eE");
  char digits[64], *end;
  if (length == 0 || length >= sizeof digits)
    return wrong(r, "neither a list, a dict, a string nor a number");
  memcpy(digits, from, length);
  digits[length] = 0;
  const bool whole = strspn(digits, "+-0123456789") == length && length < 18;
  const double real = whole ? 0 : number_read(digits, &end);
  json_t *value = whole            ? json_integer(strtoll(digits, &end, 10))
                  : isfinite(real) ? json_real(real)
                                   : NULL;
  if (*end) {
    json_decref(value);
    return wrong(r, "not a number");
  }
  if (!isfinite(real)) return wrong(r, "a number out of range");
  r->at += length;
  return made(r, value);
}

static json_t *read_value(Reader *r);

static json_t *read_items(Reader *r, char close) {
  json_t *array = made(r, json_array());
  r->at++;
  for (skip_space(r); array && !r->what && r->text[r->at] != close; skip_space(r)) {
    json_t *item = read_value(r);
    if (item && json_array_append_new(array, item) != 0) made(r, NULL);
    skip_space(r);
    if (!r->what && r->text[r->at] != close && !take(r, ","))
      wrong(r, "a comma or the list's end is missing");
  }
  if (!r->what) r->at++;
  return array;
}

static json_t *read_dict(Reader *r) {
  json_t *object = made(r, json_object());
  r->at++;
  for (skip_space(r); object && !r->what && r->text[r->at] != '}'; skip_space(r)) {
    json_t *key = r->text[r->at] == '\'' || r->text[r->at] == '"'
                      ? read_string(r)
                      : wrong(r, "a dict's key that is no string");
    skip_space(r);
    if (!r->what && !take(r, ":")) wrong(r, "a colon is missing");
    json_t *value = r->what ? NULL : read_value(r);
    if (value && json_object_set_new(object, json_string_value(key), value) != 0) made(r, NULL);
    json_decref(key);
    skip_space(r);
    if (!r->what && r->text[r->at] != '}' && !take(r, ","))
      wrong(r, "a comma or the dict's end is missing");
  }
  if (!r->what) r->at++;
  return object;
}

static json_t *read_defaultdict(Reader *r) {
  const char *dict = strstr(r->text + r->at, ">, {");
  if (!dict) return wrong(r, "a defaultdict without its dict");
  r->at = (size_t)(dict - r->text) + 3;
  json_t *value = read_dict(r);
  if (!r->what && !take(r, ")")) wrong(r, "a defaultdict that does not end");
  return value;
}

static json_t *read_value(Reader *r) {
  json_t *value;
  skip_space(r);
  const char c = r->text[r->at];
  if (r->depth == DEPTH_MOST) return wrong(r, "nested too deep");
  r->depth++;
  if (c == '\'' || c == '"')
    value = read_string(r);
  else if (c == '[')
    value = read_items(r, ']');
  else if (c == '(')
    value = read_items(r, ')');
  else if (c == '{')
    value = read_dict(r);
  else if (take(r, "defaultdict("))
    value = read_defaultdict(r);
  else if (take(r, "None") || take(r, "nan"))
    value = made(r, json_null());
  else if (take(r, "True"))
    value = made(r, json_true());
  else if (take(r, "False"))
    value = made(r, json_false());
  else
    value = read_number(r);
  r->depth--;
  if (!r->what) return value;
  json_decref(value);
  return NULL;
}

xt_status python_literal_read(const char *text, json_t **out, size_t *at, const char **what) {
  Reader r = {.text = text};
  *out = NULL;
  *at = LITERAL_MOST;
  *what = "the literal is too long";
  if (strnlen(text, LITERAL_MOST + 1) > LITERAL_MOST) return XT_STATUS_INPUT;
  *out = read_value(&r);
  skip_space(&r);
  if (*out && text[r.at]) {
    wrong(&r, "more text follows");
    json_decref(*out);
    *out = NULL;
  }
  *at = r.at;
  *what = r.what;
  if (r.memory) return XT_STATUS_MEMORY;
  return *out ? XT_STATUS_OK : XT_STATUS_INPUT;
}
