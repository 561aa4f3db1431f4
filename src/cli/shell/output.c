/* SPDX-License-Identifier: Apache-2.0 */
#include "shell/output.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *json_text(const char *text, size_t length) {
  return text ? json_stringn(text, length) : json_null();
}

json_t *json_ids(const int32_t *ids, size_t count) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < count; i++) {
    if (json_array_append_new(array, json_integer(ids[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

json_t *json_floats(const float *values, size_t count) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < count; i++) {
    if (json_array_append_new(array, json_number((double)values[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

bool json_add(json_t *object, const char *key, json_t *value) {
  return json_object_set_new(object, key, value) == 0; /* frees value on failure; refuses NULL */
}

xt_status json_print(json_t *value, xt_error *error) {
  if (!value) return error_memory(error);
  /* 9 digits bring a float back exactly. A failing stdout is found when main flushes it. */
  json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
  putchar('\n');
  json_decref(value);
  return output_status(error);
}

xt_status output_status(xt_error *error) {
  if (!ferror(stdout)) return XT_STATUS_OK;
  const int code = errno;
  return error_set(error, XT_STATUS_IO, "stdout", NULL, -1, "cannot write: %s",
                   code ? strerror(code) : "an earlier write failed");
}

xt_status cli_json_parse(const char *text, size_t length, const char *name, const char *field,
                         json_t **out, xt_error *error) {
  json_error_t wrong;
  *out = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &wrong);
  if (*out) return XT_STATUS_OK;
  /* it mostly says nothing then */
  if (!wrong.text[0] || json_error_code(&wrong) == json_error_out_of_memory)
    return error_memory(error);
  /* jansson appends "near '<text>'", which may be long and is redundant with the offset */
  char *near = strstr(wrong.text, " near '");
  if (near) *near = 0;
  return error_set(error, XT_STATUS_INPUT, name, field, wrong.position, "not JSON: %s", wrong.text);
}

/* ---- the terminal ---------------------------------------------------------------------------- */

int terminal_width(void) {
  enum { LEAST = 40, MOST = 1000, USUAL = 80 };
  const char *given = getenv("COLUMNS");
  struct winsize size;
  long columns = given ? strtol(given, NULL, 10) : 0;
  if (columns <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  return columns <= 0 ? USUAL : columns < LEAST ? LEAST : columns > MOST ? MOST : (int)columns;
}

bool terminal_has_colours(void) {
  const char *forbidden = getenv("NO_COLOR"), *kind = getenv("TERM");
  return isatty(STDOUT_FILENO) && !(forbidden && forbidden[0]) && kind && strcmp(kind, "dumb") != 0;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Length of the UTF-8 character at `text` (of `left` bytes, at least one) and its code point. A
 * byte that is no part of one counts as a character of code 0xDC00 and the byte, which Unicode
 * leaves free. */
static size_t next_character(const char *text, size_t left, uint32_t *code) {
  const unsigned char *at = (const unsigned char *)text;
  const size_t length = *at < 0x80                 ? 1
                        : *at < 0xC2 || *at > 0xF4 ? 0
                        : *at < 0xE0               ? 2
                        : *at < 0xF0               ? 3
                                                   : 4;
  *code = 0xDC00u + *at;
  if (length == 0 || length > left) return 1;
  uint32_t value = length == 1 ? *at : *at & (0x7Fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((at[i] & 0xC0) != 0x80) return 1;
    value = value << 6 | (at[i] & 0x3Fu);
  }
  if ((length == 3 && value < 0x800) || (length == 4 && (value < 0x10000 || value > 0x10FFFF)) ||
      (value >= 0xD800 && value < 0xE000))
    return 1;
  *code = value;
  return length;
}

/* Characters that say how text is read and are not seen: C1 controls, Unicode's line ends and
 * directions. */
static bool is_hidden(uint32_t code) {
  return (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

char *text_escape(const char *text, size_t length) {
  char *out = malloc(6 * length + 1);
  if (!out) return NULL;
  char *to = out;
  for (size_t i = 0; i < length;) {
    uint32_t code;
    const size_t n = next_character(text + i, length - i, &code);
    if (code == '\n' || code == '\t' || code == '\r') {
      *to++ = '\\';
      *to++ = code == '\n' ? 'n' : code == '\t' ? 't' : 'r';
    } else if (code >= 0xDC00 && code < 0xDD00) {
      to += sprintf(to, "\\x%02x", (unsigned)(code - 0xDC00));
    } else if (code < ' ' || is_hidden(code)) {
      to += sprintf(to, code < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)code);
    } else {
      memcpy(to, text + i, n);
      to += n;
    }
    i += n;
  }
  *to = 0;
  return out;
}

typedef struct Range {
  uint32_t first, last;
} Range;

/* East Asian wide characters and pictographs, coarsely: whole blocks (Unicode 15, UAX 11). */
static const Range wide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
                             {0xA960, 0xA97C},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
                             {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},
                             {0x1F300, 0x1F64F}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
/* Marks that add no column: combining, Hebrew and Arabic points, Indic and Thai signs above and
 * below, joiners and direction marks. */
static const Range thin[] = {{0x0300, 0x036F}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
                             {0x0900, 0x0902}, {0x093C, 0x093C}, {0x0941, 0x0948}, {0x094D, 0x094D},
                             {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x200B, 0x200F},
                             {0x202A, 0x202E}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F},
                             {0xFEFF, 0xFEFF}};

static bool in_ranges(uint32_t code, const Range *ranges, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (code >= ranges[i].first && code <= ranges[i].last) return true;
  return false;
}

static int character_width(uint32_t code) {
  if (code < 0x300) return 1;
  if (in_ranges(code, thin, sizeof thin / sizeof *thin)) return 0;
  return in_ranges(code, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

int text_width(const char *text) {
  int width = 0;
  uint32_t code;
  for (size_t left = strlen(text), n; left; width += character_width(code), text += n, left -= n)
    n = next_character(text, left, &code);
  return width;
}

void print_fitted(const char *text, int columns, bool tail) {
  int width = text_width(text);
  uint32_t code;
  if (width <= columns) {
    printf("%s%*s", text, columns - width, "");
    return;
  }
  if (tail) {
    while (width > columns - 1) {
      text += next_character(text, strlen(text), &code);
      width -= character_width(code);
    }
    printf("…%s%*s", text, columns - 1 - width, "");
    return;
  }
  int used = 0;
  for (const char *at = text;;) {
    const size_t length = next_character(at, strlen(at), &code);
    if (used + character_width(code) > columns - 1) break;
    used += character_width(code);
    fwrite(at, 1, length, stdout);
    at += length;
  }
  printf("…%*s", columns - 1 - used, "");
}

void print_name(const char *name, int columns) {
  char *shown = text_escape(name, strlen(name));
  const int width = shown ? text_width(shown) : 0;
  printf("%s%*s", shown ? shown : "", width < columns ? columns - width + 1 : 1, "");
  free(shown);
}
