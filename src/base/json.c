/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/number.h"

/* jansson refuses integers beyond 64 bits, and tokenizer_config.json files have one:
 * model_max_length, as
 * 1000000000000000019884624838656. Its last two digits become "e2", which makes it a real number
 *                                  and leaves every other byte in its place. */
static void soften_integers(char *text, size_t size) {
  bool in_string = false;
  for (size_t at = 0; at < size; at++) {
    if (in_string && text[at] == '\\') {
      at++;
    } else if (text[at] == '"') {
      in_string = !in_string;
    } else if (!in_string && text[at] >= '0' && text[at] <= '9') {
      const size_t from = at;
      while (at < size && text[at] != 0 && strchr("0123456789.eE+-", text[at])) at++;
      if (at - from > 18 && strspn(text + from, "0123456789") == at - from)
        memcpy(text + at - 2, "e2", 2);
      at--;
    }
  }
}

/* ---- whether a failure is due to the text or to memory --------------------------------------- */

typedef struct Scan {
  const uint8_t *at, *end;
} Scan;

static void skip_space(Scan *s) {
  while (s->at < s->end && memchr(" \t\r\n", *s->at, 4)) s->at++;
}

static bool skip_digits(Scan *s) {
  const uint8_t *from = s->at;
  while (s->at < s->end && *s->at >= '0' && *s->at <= '9') s->at++;
  return s->at > from;
}

static bool accept(Scan *s, const char *any) {
  if (s->at >= s->end || !*s->at || !strchr(any, *s->at)) return false;
  s->at++;
  return true;
}

static bool skip_number(Scan *s) {
  accept(s, "-");
  if (!accept(s, "0") && !skip_digits(s)) return false;
  if (accept(s, ".") && !skip_digits(s)) return false;
  if (!accept(s, "eE")) return true;
  accept(s, "+-");
  return skip_digits(s);
}

/* Escaped surrogates count as wrong, because pairs need not be distinguished from halves here. */
static bool skip_string(Scan *s) {
  if (!accept(s, "\"")) return false;
  while (s->at < s->end && *s->at != '"') {
    if (*s->at < ' ') return false;
    if (*s->at++ != '\\') continue;
    if (accept(s, "\"\\/bfnrt")) continue;
    if (!accept(s, "u")) return false;
    if (s->end - s->at >= 2 && (s->at[0] | 32) == 'd' && s->at[1] >= '8') return false;
    for (int i = 0; i < 4; i++)
      if (!accept(s, "0123456789abcdefABCDEF")) return false;
  }
  return accept(s, "\"");
}

static bool skip_word(Scan *s, const char *word) {
  const size_t length = strlen(word);
  if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0) return false;
  s->at += length;
  return true;
}

static bool skip_value(Scan *s, int depth) {
  skip_space(s);
  if (s->at >= s->end || depth > 2000) return false;
  if (*s->at == '"') return skip_string(s);
  const bool object = *s->at == '{';
  if (!object && *s->at != '[')
    return *s->at == 't'   ? skip_word(s, "true")
           : *s->at == 'f' ? skip_word(s, "false")
           : *s->at == 'n' ? skip_word(s, "null")
                           : skip_number(s);
  const char *close = object ? "}" : "]";
  s->at++;
  skip_space(s);
  if (accept(s, close)) return true;
  do {
    skip_space(s);
    if (object && !skip_string(s)) return false;
    skip_space(s);
    if (object && !accept(s, ":")) return false;
    if (!skip_value(s, depth + 1)) return false;
    skip_space(s);
  } while (accept(s, ","));
  return accept(s, close);
}

/* Whether jansson could have read the text, given memory. Allocates nothing. */
static bool is_wellformed(const void *data, size_t size) {
  Scan s = {data, (const uint8_t *)data + size};
  if (!skip_value(&s, 0)) return false;
  skip_space(&s);
  return s.at == s.end;
}

/* ---- what it will take ----------------------------------------------------------------------- */

/* What jansson 2.14 allocates, including malloc's overhead. */
enum {
  COST_ARRAY = 128,
  COST_OBJECT = 224,
  COST_MEMBER = 112,
  COST_ELEMENT = 24,
  COST_STRING = 80,
  COST_NUMBER = 32
};

/* The largest memory that the values of a text can take, whether the text is valid or not. Small
 * arrays and objects take the most. */
static size_t cost_of(const char *text, size_t size) {
  size_t cost = 0;
  for (size_t at = 0; at < size; at++) {
    switch (text[at]) {
      case '[': cost += COST_ARRAY; break;
      case '{': cost += COST_OBJECT; break;
      case ':': cost += COST_MEMBER; break;
      case ',': cost += COST_ELEMENT; break;
      case '"':
        cost += COST_STRING;
        for (at++; at < size && text[at] != '"'; at++) {
          cost++;
          if (text[at] == '\\') at++;
        }
        break;
      default:
        if ((text[at] >= '0' && text[at] <= '9') || text[at] == '-') {
          cost += COST_NUMBER;
          while (at + 1 < size && text[at + 1] && strchr("0123456789.eE+-", text[at + 1])) at++;
        }
    }
  }
  return cost;
}

xt_status json_check_size(const void *text, size_t size, const char *file, xt_error *error) {
  const size_t allowed =
      JSON_MEMORY_FREE +
      (size < SIZE_MAX / JSON_MEMORY_TIMES / 2 ? JSON_MEMORY_TIMES * size : SIZE_MAX / 2);
  const size_t cost = size <= JSON_MEMORY_FREE / COST_OBJECT ? 0 : cost_of(text, size);
  if (cost <= allowed) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_INPUT, file, NULL, -1,
                 "its %zu bytes of JSON would take %zu MiB of memory, more than %d times as much; "
                 "such values are not read",
                 size, cost >> 20, JSON_MEMORY_TIMES);
}

/* ---- reading --------------------------------------------------------------------------------- */

static json_t *load(const void *data, size_t size, size_t flags, json_error_t *e) {
  const locale_t was = number_enter(); /* numbers have a point, whatever the host's locale */
  json_t *value = json_loadb(data, size, flags | JSON_ALLOW_NUL | JSON_DECODE_ANY, e);
  number_leave(was);
  return value;
}

static xt_status parse(const void *data, size_t size, size_t flags, const char *file, json_t **out,
                       xt_error *error) {
  json_error_t e;
  *out = NULL;
  TRY(json_check_size(data, size, file, error));
  *out = load(data, size, flags, &e);
  if (!*out && json_error_code(&e) == json_error_numeric_overflow) {
    char *copy;
    TRY(mem_copy_text(&copy, data, size, error));
    soften_integers(copy, size);
    *out = load(copy, size, flags, &e);
    free(copy);
  }
  if (*out) return XT_STATUS_OK;
  /* When jansson runs out of memory it mostly gives no message, and within a token "invalid
   * token". */
  const enum json_error_code code = json_error_code(&e);
  if (!e.text[0] || code == json_error_out_of_memory ||
      (code == json_error_invalid_syntax && is_wellformed(data, size)))
    return err_memory(error, size);
  return err_set(error, XT_STATUS_INPUT, file, NULL, e.position,
                 "not valid JSON (line %d, column %d): %s", e.line, e.column, e.text);
}

xt_status json_parse(const void *data, size_t size, const char *file, json_t **out,
                     xt_error *error) {
  return parse(data, size, JSON_REJECT_DUPLICATES, file, out, error);
}

xt_status json_parse_file(const char *path, json_t **out, xt_error *error) {
  FileMap map;
  *out = NULL;
  TRY(file_read(path, FILE_SMALL, &map, error));
  const size_t mark = file_map_mark(&map);
  const xt_status status = json_parse(map.data + mark, map.size - mark, path, out, error);
  file_map_close(&map);
  return status;
}

/* Constants that JSON does not have become strings of the same length. */
static void quote_constants(char *text, size_t size) {
  static const char *const constants[] = {"-Infinity", "Infinity", "NaN"};
  bool in_string = false;
  for (size_t at = 0; at < size; at++) {
    if (in_string && text[at] == '\\')
      at++;
    else if (text[at] == '"')
      in_string = !in_string;
    for (size_t i = 0; !in_string && at < size && i < sizeof constants / sizeof *constants; i++) {
      const size_t length = strlen(constants[i]);
      if (size - at < length || memcmp(text + at, constants[i], length) != 0) continue;
      text[at] = text[at + length - 1] = '"';
      at += length - 1;
      break;
    }
  }
}

xt_status json_parse_python(const char *path, json_t **out, xt_error *error) {
  FileMap map;
  char *copy = NULL;
  *out = NULL;
  TRY(file_read(path, FILE_SMALL, &map, error));
  const size_t mark = file_map_mark(&map), size = map.size - mark;
  xt_status status = mem_copy_text(&copy, (const char *)map.data + mark, size, error);
  file_map_close(&map);
  if (!status) {
    quote_constants(copy, size);
    status = parse(copy, size, 0, path, out, error);
  }
  free(copy);
  return status;
}

const char *json_type_name(const json_t *value) {
  if (!value) return "nothing";
  switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
  }
  return "unknown";
}

static xt_status wrong_type(const json_t *value, const char *key, const char *wanted,
                            const char *file, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, file, key, -1, "is %s, expected %s", json_type_name(value),
                 wanted);
}

xt_status json_get_int(const json_t *object, const char *key, int64_t low, int64_t high,
                       int64_t *out, const char *file, xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!value || json_is_null(value)) return XT_STATUS_OK;
  if (!json_is_integer(value)) return wrong_type(value, key, "an integer", file, error);
  const json_int_t number = json_integer_value(value);
  if (number < low || number > high)
    return err_set(error, XT_STATUS_INPUT, file, key, -1, "is %lld, expected %lld to %lld",
                   (long long)number, (long long)low, (long long)high);
  *out = number;
  return XT_STATUS_OK;
}

xt_status json_get_real(const json_t *object, const char *key, double low, double high, double *out,
                        const char *file, xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!value || json_is_null(value)) return XT_STATUS_OK;
  if (!json_is_number(value)) return wrong_type(value, key, "a number", file, error);
  const double number = json_number_value(value);
  if (!(number >= low && number <= high))
    return err_set(error, XT_STATUS_INPUT, file, key, -1, "is %g, expected %g to %g", number, low,
                   high);
  *out = number;
  return XT_STATUS_OK;
}

xt_status json_get_bool(const json_t *object, const char *key, bool *out, const char *file,
                        xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!value || json_is_null(value)) return XT_STATUS_OK;
  if (!json_is_boolean(value)) return wrong_type(value, key, "true or false", file, error);
  *out = json_is_true(value);
  return XT_STATUS_OK;
}

xt_status json_get_text(const json_t *object, const char *key, const char **out, const char *file,
                        xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!value || json_is_null(value)) return XT_STATUS_OK;
  if (!json_is_string(value)) return wrong_type(value, key, "a string", file, error);
  *out = json_string_value(value);
  return XT_STATUS_OK;
}
