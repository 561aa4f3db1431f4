/* SPDX-License-Identifier: Apache-2.0 */
/* Values as Python has them: truth, equality, order, text, slices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "text/jinja_parts.h"
#include "text/utf8.h"

json_t *jinja_made(Jinja *j, json_t *value) {
  if (!value && !j->status) j->status = err_memory(j->error, sizeof *value);
  return value;
}

json_t *jinja_text(Jinja *j, const char *text, size_t length) {
  return jinja_made(j, json_stringn_nocheck(text ? text : "", length));
}

json_t *jinja_buffer_text(Jinja *j, TextBuffer *buffer) {
  if (buffer->failed && !j->status) j->status = err_memory(j->error, buffer->size);
  json_t *text = j->status ? NULL : jinja_text(j, buffer->data, buffer->size);
  text_buffer_free(buffer);
  return text;
}

const char *jinja_kind_name(const json_t *value) {
  return value ? json_type_name(value) : "undefined";
}

bool jinja_true(const json_t *v) {
  if (!v || json_is_null(v) || json_is_false(v)) return false;
  if (json_is_string(v)) return json_string_length(v) > 0;
  if (json_is_integer(v)) return json_integer_value(v) != 0;
  if (json_is_real(v)) return json_real_value(v) != 0;
  if (json_is_array(v)) return json_array_size(v) > 0;
  return !json_is_object(v) || json_object_size(v) > 0;
}

/* A number, or a boolean, which counts as one. */
static bool number(const json_t *v, double *out) {
  if (!v || !(json_is_number(v) || json_is_boolean(v))) return false;
  *out = json_is_boolean(v) ? (json_is_true(v) ? 1 : 0) : json_number_value(v);
  return true;
}

bool jinja_equal(const json_t *a, const json_t *b) {
  double x, y;
  if (number(a, &x) && number(b, &y)) return !(x < y) && !(x > y);
  if (!a || !b) return a == b;
  return json_equal(a, b) == 1;
}

int jinja_order(Jinja *j, const json_t *a, const json_t *b) {
  double x, y;
  if (number(a, &x) && number(b, &y)) return (x > y) - (x < y);
  if (json_is_string(a) && json_is_string(b)) {
    const size_t m = json_string_length(a), n = json_string_length(b);
    const int order = memcmp(json_string_value(a), json_string_value(b), m < n ? m : n);
    return order ? (order > 0) - (order < 0) : (m > n) - (m < n);
  }
  jinja_fail(j, XT_STATUS_INPUT, "%s and %s have no order", jinja_kind_name(a), jinja_kind_name(b));
  return 0;
}

static const char *find(const char *text, size_t length, const char *part, size_t part_length) {
  for (size_t at = 0; at + part_length <= length; at++)
    if (memcmp(text + at, part, part_length) == 0) return text + at;
  return NULL;
}

bool jinja_in(Jinja *j, const json_t *item, const json_t *container) {
  if (json_is_string(container) && json_is_string(item))
    return find(json_string_value(container), json_string_length(container),
                json_string_value(item), json_string_length(item)) != NULL;
  if (json_is_object(container))
    return json_is_string(item) &&
           json_object_getn(container, json_string_value(item), json_string_length(item));
  if (json_is_array(container)) {
    for (size_t i = 0; i < json_array_size(container); i++)
      if (jinja_equal(item, json_array_get(container, i))) return true;
    return false;
  }
  if (!container) return false; /* the undefined value is empty */
  jinja_fail(j, XT_STATUS_INPUT, "%s in %s: there can be none", jinja_kind_name(item),
             jinja_kind_name(container));
  return false;
}

json_t *jinja_attribute(Jinja *j, const json_t *value, const char *name, size_t length) {
  if (value)
    return json_is_object(value) ? json_incref(json_object_getn(value, name, length)) : NULL;
  jinja_fail(j, XT_STATUS_INPUT, "\"%.*s\" of an undefined value", (int)length, name);
  return NULL;
}

static json_t *characters(Jinja *j, const json_t *text) {
  json_t *out = jinja_made(j, json_array());
  const char *bytes = json_string_value(text);
  for (size_t at = 0; out && !j->status && at < json_string_length(text);) {
    const size_t size = utf8_length(bytes[at]);
    json_t *one = jinja_text(j, bytes + at, size);
    if (one && json_array_append_new(out, one)) jinja_made(j, NULL);
    at += size;
  }
  return out;
}

json_t *jinja_elements(Jinja *j, const json_t *value) {
  if (json_is_array(value)) return json_incref((json_t *)(uintptr_t)value);
  if (json_is_string(value)) return characters(j, value);
  json_t *out = jinja_made(j, json_array());
  if (!value || !out) return out; /* the undefined value is empty */
  if (!json_is_object(value)) {
    jinja_fail(j, XT_STATUS_INPUT, "%s has no elements", jinja_kind_name(value));
    return out;
  }
  void *at = json_object_iter((json_t *)(uintptr_t)value);
  for (; at && !j->status; at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
    json_t *key = jinja_text(j, json_object_iter_key(at), json_object_iter_key_len(at));
    if (key && json_array_append_new(out, key)) jinja_made(j, NULL);
  }
  return out;
}

json_t *jinja_subscript(Jinja *j, const json_t *value, const json_t *key) {
  if (json_is_object(value) && json_is_string(key))
    return json_incref(json_object_getn(value, json_string_value(key), json_string_length(key)));
  if (!value) {
    jinja_fail(j, XT_STATUS_INPUT, "an element of an undefined value");
    return NULL;
  }
  if (!json_is_integer(key) || !(json_is_array(value) || json_is_string(value))) return NULL;
  json_t *all = jinja_elements(j, value);
  json_int_t index = json_integer_value(key);
  if (index < 0) index += (json_int_t)json_array_size(all);
  json_t *one = index < 0 ? NULL : json_incref(json_array_get(all, (size_t)index));
  json_decref(all);
  return one;
}

/* One end of a slice, as Python cuts it down to the length. */
static json_int_t bound(const json_t *value, json_int_t length, json_int_t step,
                        json_int_t preset) {
  if (!json_is_integer(value)) return preset;
  json_int_t n = json_integer_value(value);
  if (n < 0) n += length;
  const json_int_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
  return n < low ? low : n > high ? high : n;
}

json_t *jinja_slice(Jinja *j, const json_t *value, const json_t *const bounds[3]) {
  if (!json_is_array(value) && !json_is_string(value)) {
    jinja_fail(j, XT_STATUS_INPUT, "a slice of %s", jinja_kind_name(value));
    return NULL;
  }
  const json_int_t step = json_is_integer(bounds[2]) ? json_integer_value(bounds[2]) : 1;
  json_t *all = jinja_elements(j, value), *out = jinja_made(j, json_array());
  const json_int_t length = (json_int_t)json_array_size(all);
  const json_int_t from = bound(bounds[0], length, step, step < 0 ? length - 1 : 0);
  const json_int_t to = bound(bounds[1], length, step, step < 0 ? -1 : length);
  if (step == 0) jinja_fail(j, XT_STATUS_INPUT, "a slice with steps of 0");
  if (step > length || step < -length) { /* at most the first element */
    if (step != 0 && (step > 0 ? from < to : from > to))
      json_array_append(out, json_array_get(all, (size_t)from));
  } else {
    for (json_int_t i = from; step && (step > 0 ? i < to : i > to); i += step)
      json_array_append(out, json_array_get(all, (size_t)i));
  }
  json_decref(all);
  if (!json_is_string(value)) return out;
  TextBuffer text = {0};
  for (size_t i = 0; i < json_array_size(out); i++) {
    const json_t *one = json_array_get(out, i);
    text_buffer_add(&text, json_string_value(one), json_string_length(one));
  }
  json_decref(out);
  return jinja_buffer_text(j, &text);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The shortest decimal that reads back as the same number, with a point in it. */
static void write_real(TextBuffer *out, double value) {
  char text[40];
  for (int digits = 1; digits <= 17; digits++) {
    number_print(text, sizeof text, "%.*g", digits, value);
    if (number_read(text, NULL) == value) break;
  }
  text_buffer_add_text(out, text);
  if (!strpbrk(text, ".en")) text_buffer_add_text(out, ".0");
}

/* As Python's repr() quotes it. */
static void write_quoted(TextBuffer *out, const json_t *text) {
  const char *bytes = json_string_value(text);
  const size_t length = json_string_length(text);
  const char quote = memchr(bytes, '\'', length) && !memchr(bytes, '"', length) ? '"' : '\'';
  text_buffer_add(out, &quote, 1);
  for (size_t i = 0; i < length; i++) {
    const char c = bytes[i];
    if (c == '\\' || c == quote)
      text_buffer_format(out, "\\%c", c);
    else if (c == '\n')
      text_buffer_add_text(out, "\\n");
    else if (c == '\t')
      text_buffer_add_text(out, "\\t");
    else if (c == '\r')
      text_buffer_add_text(out, "\\r");
    else if ((unsigned char)c < 0x20 || c == 0x7F)
      text_buffer_format(out, "\\x%02x", (unsigned)c);
    else
      text_buffer_add(out, &c, 1);
  }
  text_buffer_add(out, &quote, 1);
}

static void write_json_text(TextBuffer *out, const char *bytes, size_t length) {
  static const char from[] = "\"\\\n\r\t\b\f", to[] = "\"\\nrtbf";
  text_buffer_add_text(out, "\"");
  for (size_t i = 0; i < length; i++) {
    const char *known = bytes[i] ? strchr(from, bytes[i]) : NULL;
    if (known)
      text_buffer_format(out, "\\%c", to[known - from]);
    else if ((unsigned char)bytes[i] < 0x20)
      text_buffer_format(out, "\\u%04x", (unsigned)bytes[i]);
    else
      text_buffer_add(out, &bytes[i], 1);
  }
  text_buffer_add_text(out, "\"");
}

static void new_line(TextBuffer *out, int indent, int level) {
  text_buffer_add_text(out, "\n");
  for (int i = 0; i < indent * level; i++) text_buffer_add_text(out, " ");
}

/* Python's str() of a list or an object (python), or JSON; `indent` < 0: all in a line. */
static void write_value(Jinja *j, TextBuffer *out, const json_t *v, bool python, int indent,
                        int level) {
  if (level > JINJA_DEPTH_MAX || out->size > JINJA_OUTPUT_MAX) {
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "a value that is too large");
    return;
  }
  if (!v || json_is_null(v))
    text_buffer_add_text(out, python ? "None" : "null");
  else if (json_is_boolean(v))
    text_buffer_add_text(out, json_is_true(v) ? (python ? "True" : "true")
                              : python        ? "False"
                                              : "false");
  else if (json_is_integer(v))
    text_buffer_format(out, "%lld", (long long)json_integer_value(v));
  else if (json_is_real(v))
    write_real(out, json_real_value(v));
  else if (json_is_string(v) && python)
    write_quoted(out, v);
  else if (json_is_string(v))
    write_json_text(out, json_string_value(v), json_string_length(v));
  if (!json_is_array(v) && !json_is_object(v)) return;
  const bool list = json_is_array(v);
  const size_t count = list ? json_array_size(v) : json_object_size(v);
  void *at = list ? NULL : json_object_iter((json_t *)(uintptr_t)v);
  text_buffer_add_text(out, list ? "[" : "{");
  for (size_t i = 0; i < count && !j->status; i++) {
    if (i) text_buffer_add_text(out, indent < 0 ? ", " : ",");
    if (indent >= 0) new_line(out, indent, level + 1);
    if (!list) {
      json_t *key = jinja_text(j, json_object_iter_key(at), json_object_iter_key_len(at));
      if (key) write_value(j, out, key, python, indent, level + 1);
      json_decref(key);
      text_buffer_add_text(out, ": ");
    }
    write_value(j, out, list ? json_array_get(v, i) : json_object_iter_value(at), python, indent,
                level + 1);
    if (!list) at = json_object_iter_next((json_t *)(uintptr_t)v, at);
  }
  if (indent >= 0 && count) new_line(out, indent, level);
  text_buffer_add_text(out, list ? "]" : "}");
}

void jinja_write(Jinja *j, TextBuffer *out, const json_t *v) {
  if (json_is_string(v))
    text_buffer_add(out, json_string_value(v), json_string_length(v));
  else if (v)
    write_value(j, out, v, true, -1, 0);
  if (out->size > JINJA_OUTPUT_MAX)
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "more than 64 MiB of text");
}

void jinja_write_json(Jinja *j, TextBuffer *out, const json_t *v, int indent, int level) {
  write_value(j, out, v, false, indent, level);
}
