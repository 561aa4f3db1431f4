/* SPDX-License-Identifier: Apache-2.0 */
/* Filters, tests and methods. */
#include <stdlib.h>
#include <string.h>

#include "text/jinja_parts.h"
#include "text/utf8.h"

#include <unicode/uchar.h>

/* ---- texts ----------------------------------------------------------------------------------- */

static bool in_set(uint32_t code, const json_t *set) {
  size_t length, at = 0;
  const char *text = jinja_text_of(set, &length);
  if (!text) return utf8_is_space(code);
  while (at < length)
    if (utf8_next(text, &at) == code) return true;
  return false;
}

/* Python's strip, of a set of characters or of white space. */
static json_t *stripped(Jinja *j, const json_t *value, const json_t *set, bool left, bool right) {
  size_t start = 0, end;
  const char *text = jinja_text_of(value, &end);
  for (size_t next = 0; left && start < end; start = next)
    if (!in_set(utf8_next(text, &next), set)) break;
  while (right && end > start) {
    size_t at = utf8_before(text, end);
    const size_t before = at;
    if (!in_set(utf8_next(text, &at), set)) break;
    end = before;
  }
  return jinja_text(j, text + start, end - start);
}

typedef enum Case { UPPER, LOWER, CAPITALIZE, TITLE } Case;

static json_t *in_case(Jinja *j, const json_t *value, Case how) {
  size_t length;
  const char *text = jinja_text_of(value, &length);
  TextBuffer out = {0};
  bool begins = true;
  for (size_t at = 0; at < length;) {
    const UChar32 code = (UChar32)utf8_next(text, &at);
    const bool upper = how == UPPER || (begins && how != LOWER);
    char bytes[4];
    text_buffer_add(&out, bytes,
                    utf8_put((uint32_t)(upper ? u_toupper(code) : u_tolower(code)), bytes));
    begins = how == TITLE && !u_isalpha(code) && code != '\'';
  }
  return jinja_buffer_text(j, &out);
}

static json_t *replaced(Jinja *j, const json_t *value, const json_t *old, const json_t *new,
                        const json_t *most) {
  size_t length, old_length, new_length, from = 0, at = 0;
  const char *text = jinja_text_of(value, &length), *from_text = jinja_text_of(old, &old_length),
             *to_text = jinja_text_of(new, &new_length);
  json_int_t left = json_is_integer(most) ? json_integer_value(most) : -1;
  if (!text || !from_text || !to_text || !old_length) {
    jinja_fail(j, XT_STATUS_INPUT, "a replacement in %s of %s", jinja_kind_name(value),
               jinja_kind_name(old));
    return NULL;
  }
  TextBuffer out = {0};
  for (; at + old_length <= length && left != 0 && out.size < JINJA_OUTPUT_MAX;) {
    if (memcmp(text + at, from_text, old_length) != 0) {
      at++;
      continue;
    }
    text_buffer_add(&out, text + from, at - from);
    text_buffer_add(&out, to_text, new_length);
    from = at += old_length;
    left--;
  }
  text_buffer_add(&out, text + from, length - from);
  return jinja_buffer_text(j, &out);
}

static void append_text(Jinja *j, json_t *list, const char *text, size_t length) {
  json_t *part = jinja_text(j, text, length);
  if (part && json_array_append_new(list, part)) jinja_made(j, NULL);
}

/* Python's split: at white space, or at a separator, at most so many times. */
static json_t *split(Jinja *j, const json_t *value, const json_t *separator, const json_t *most) {
  size_t length, size, from = 0;
  const char *text = jinja_text_of(value, &length), *at = jinja_text_of(separator, &size);
  json_int_t left = json_is_integer(most) ? json_integer_value(most) : -1;
  json_t *out = jinja_made(j, json_array());
  if (at && !size) jinja_fail(j, XT_STATUS_INPUT, "a split at nothing");
  for (size_t i = 0; at && i + size <= length && left != 0 && !j->status;) {
    if (memcmp(text + i, at, size) != 0) {
      i++;
      continue;
    }
    append_text(j, out, text + from, i - from);
    from = i += size;
    left--;
  }
  if (at) {
    append_text(j, out, text + from, length - from);
    return out;
  }
  while (!j->status) {
    size_t next = from, end;
    while (from < length && utf8_is_space(utf8_next(text, &next))) from = next;
    if (from == length) break;
    for (end = next = from; next < length && !utf8_is_space(utf8_next(text, &next));) end = next;
    if (left-- == 0) end = length;
    append_text(j, out, text + from, end - from);
    from = end;
  }
  return out;
}

static bool affixed(const json_t *value, const json_t *affix, bool end) {
  if (json_is_array(affix)) {
    for (size_t i = 0; i < json_array_size(affix); i++)
      if (affixed(value, json_array_get(affix, i), end)) return true;
    return false;
  }
  size_t length, size;
  const char *text = jinja_text_of(value, &length), *part = jinja_text_of(affix, &size);
  return part && size <= length && memcmp(end ? text + length - size : text, part, size) == 0;
}

static json_t *joined(Jinja *j, const json_t *list, const json_t *between,
                      const json_t *attribute) {
  json_t *all = jinja_elements(j, list);
  TextBuffer out = {0};
  for (size_t i = 0; i < json_array_size(all) && !j->status; i++) {
    json_t *item = json_incref(json_array_get(all, i));
    if (json_is_string(attribute)) {
      json_t *part =
          jinja_attribute(j, item, json_string_value(attribute), json_string_length(attribute));
      json_decref(item);
      item = part;
    }
    if (i && between) jinja_write(j, &out, between);
    jinja_write(j, &out, item);
    json_decref(item);
  }
  json_decref(all);
  return jinja_buffer_text(j, &out);
}

static json_t *count_of(Jinja *j, const json_t *value) {
  if (json_is_string(value))
    return jinja_made(j, json_integer((json_int_t)utf8_count(json_string_value(value),
                                                             json_string_length(value))));
  if (json_is_array(value)) return jinja_made(j, json_integer((json_int_t)json_array_size(value)));
  if (json_is_object(value))
    return jinja_made(j, json_integer((json_int_t)json_object_size(value)));
  if (!value) return jinja_made(j, json_integer(0));
  jinja_fail(j, XT_STATUS_INPUT, "the length of %s", jinja_kind_name(value));
  return NULL;
}

/* ---- methods --------------------------------------------------------------------------------- */

/* An object's pairs, keys or values. */
static json_t *listed(Jinja *j, const json_t *object, bool keys, bool values) {
  json_t *out = jinja_made(j, json_array());
  void *at = json_object_iter((json_t *)(uintptr_t)object);
  for (; at && out; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
    json_t *key =
        keys ? jinja_text(j, json_object_iter_key(at), json_object_iter_key_len(at)) : NULL;
    json_t *value = values ? json_incref(json_object_iter_value(at)) : NULL;
    json_array_append_new(out, keys && values ? json_pack("[o, o]", key, value)
                               : keys         ? key
                                              : value);
  }
  return out;
}

static json_t *text_method(Jinja *j, json_t *v, const char *name, size_t n, const JinjaCall *call) {
  const json_t *first = jinja_argument(call, 0, NULL), *second = jinja_argument(call, 1, NULL);
  if (jinja_named(name, n, "strip")) return stripped(j, v, first, true, true);
  if (jinja_named(name, n, "lstrip")) return stripped(j, v, first, true, false);
  if (jinja_named(name, n, "rstrip")) return stripped(j, v, first, false, true);
  if (jinja_named(name, n, "split"))
    return split(j, v, jinja_argument(call, 0, "sep"), jinja_argument(call, 1, "maxsplit"));
  if (jinja_named(name, n, "upper")) return in_case(j, v, UPPER);
  if (jinja_named(name, n, "lower")) return in_case(j, v, LOWER);
  if (jinja_named(name, n, "capitalize")) return in_case(j, v, CAPITALIZE);
  if (jinja_named(name, n, "title")) return in_case(j, v, TITLE);
  if (jinja_named(name, n, "startswith")) return json_boolean(affixed(v, first, false));
  if (jinja_named(name, n, "endswith")) return json_boolean(affixed(v, first, true));
  if (jinja_named(name, n, "replace"))
    return replaced(j, v, first, second, jinja_argument(call, 2, "count"));
  if (jinja_named(name, n, "join")) return joined(j, first, v, NULL);
  jinja_fail(j, XT_STATUS_UNSUPPORTED,
             "the method \"%.*s\" of a text, which is not understood here", (int)n, name);
  return NULL;
}

json_t *jinja_method(Jinja *j, json_t *v, const JinjaToken *token, const JinjaCall *call) {
  const char *name = j->source + token->at;
  const size_t n = token->length;
  if (json_is_string(v)) return text_method(j, v, name, n, call);
  if (json_is_object(v)) {
    const json_t *key = jinja_argument(call, 0, NULL);
    if (jinja_named(name, n, "items")) return listed(j, v, true, true);
    if (jinja_named(name, n, "keys")) return listed(j, v, true, false);
    if (jinja_named(name, n, "values")) return listed(j, v, false, true);
    if (jinja_named(name, n, "get")) {
      json_t *value = json_is_string(key)
                          ? json_object_getn(v, json_string_value(key), json_string_length(key))
                          : NULL;
      json_t *preset = jinja_argument(call, 1, NULL);
      return json_incref(value ? value : preset ? preset : json_null());
    }
  }
  jinja_fail(j, XT_STATUS_UNSUPPORTED, "the method \"%.*s\" of %s, which is not understood here",
             (int)n, name, jinja_kind_name(v));
  return NULL;
}

/* ---- tests ----------------------------------------------------------------------------------- */

bool jinja_test(Jinja *j, const char *name, size_t n, const json_t *v, const json_t *argument) {
  if (jinja_named(name, n, "defined")) return v != NULL;
  if (jinja_named(name, n, "undefined")) return !v;
  if (jinja_named(name, n, "none")) return json_is_null(v);
  if (jinja_named(name, n, "true")) return json_is_true(v);
  if (jinja_named(name, n, "false")) return json_is_false(v);
  if (jinja_named(name, n, "boolean")) return json_is_boolean(v);
  if (jinja_named(name, n, "string")) return json_is_string(v);
  if (jinja_named(name, n, "integer")) return json_is_integer(v);
  if (jinja_named(name, n, "float")) return json_is_real(v);
  if (jinja_named(name, n, "number")) return json_is_number(v) || json_is_boolean(v);
  if (jinja_named(name, n, "mapping")) return json_is_object(v);
  if (jinja_named(name, n, "iterable") || jinja_named(name, n, "sequence"))
    return json_is_string(v) || json_is_array(v) || json_is_object(v) || (!v && n == 8);
  if (jinja_named(name, n, "equalto") || jinja_named(name, n, "eq") || jinja_named(name, n, "=="))
    return jinja_equal(v, argument);
  if (jinja_named(name, n, "ne") || jinja_named(name, n, "!=")) return !jinja_equal(v, argument);
  if (jinja_named(name, n, "sameas"))
    return v && argument && json_typeof(v) == json_typeof(argument) && jinja_equal(v, argument);
  if (jinja_named(name, n, "in")) return jinja_in(j, v, argument);
  const json_int_t number = json_integer_value(v), by = json_integer_value(argument);
  if (jinja_named(name, n, "odd")) return number % 2 != 0;
  if (jinja_named(name, n, "even")) return number % 2 == 0;
  if (jinja_named(name, n, "divisibleby")) return by > 0 && number % by == 0;
  if (jinja_named(name, n, "lower") || jinja_named(name, n, "upper")) {
    json_t *changed = json_is_string(v) ? in_case(j, v, name[0] == 'u' ? UPPER : LOWER) : NULL;
    const bool same = jinja_equal(changed, v);
    json_decref(changed);
    return same;
  }
  jinja_fail(j, XT_STATUS_UNSUPPORTED, "the test \"%.*s\", which is not understood here",
             n < 60 ? (int)n : 60, name);
  return false;
}

/* ---- filters --------------------------------------------------------------------------------- */

/* selectattr, rejectattr, select, reject: (attribute,) test, argument. */
static json_t *selected(Jinja *j, const json_t *value, const JinjaCall *call, bool attribute,
                        bool wanted) {
  const json_t *key = attribute ? jinja_argument(call, 0, NULL) : NULL;
  const json_t *test = jinja_argument(call, attribute, NULL),
               *argument = jinja_argument(call, attribute + 1u, NULL);
  json_t *all = jinja_elements(j, value), *out = jinja_made(j, json_array());
  for (size_t i = 0; i < json_array_size(all) && !j->status; i++) {
    json_t *item = json_array_get(all, i);
    json_t *part = json_is_string(key)
                       ? jinja_attribute(j, item, json_string_value(key), json_string_length(key))
                       : json_incref(item);
    const bool is = json_is_string(test) ? jinja_test(j, json_string_value(test),
                                                      json_string_length(test), part, argument)
                                         : jinja_true(part);
    if (is == wanted && json_array_append(out, item)) jinja_made(j, NULL);
    json_decref(part);
  }
  json_decref(all);
  return out;
}

static json_t *mapped(Jinja *j, const json_t *value, const JinjaCall *call) {
  const json_t *attribute = json_object_get(call->named, "attribute"),
               *preset = json_object_get(call->named, "default");
  json_t *all = jinja_elements(j, value), *out = jinja_made(j, json_array());
  const json_t *filter = jinja_argument(call, 0, NULL);
  if (!json_is_string(attribute) && !json_is_string(filter))
    jinja_fail(j, XT_STATUS_INPUT, "a map without an attribute or a filter");
  for (size_t i = 0; i < json_array_size(all) && !j->status; i++) {
    json_t *item = json_array_get(all, i), *part;
    if (attribute) {
      part = jinja_attribute(j, item, json_string_value(attribute), json_string_length(attribute));
      if (!part) part = json_incref((json_t *)(uintptr_t)preset);
    } else { /* the filter's name is a text of the template: a token for it lies there */
      const char *name = json_string_value(filter);
      if (strcmp(name, "trim") == 0)
        part = stripped(j, item, NULL, true, true);
      else if (strcmp(name, "upper") == 0)
        part = in_case(j, item, UPPER);
      else if (strcmp(name, "lower") == 0)
        part = in_case(j, item, LOWER);
      else if (strcmp(name, "length") == 0)
        part = count_of(j, item);
      else if (strcmp(name, "string") == 0)
        part = joined(j, item, NULL, NULL);
      else {
        jinja_fail(j, XT_STATUS_UNSUPPORTED,
                   "a map of the filter \"%.60s\", which is not understood here", name);
        break;
      }
    }
    if (json_array_append_new(out, part ? part : json_null())) jinja_made(j, NULL);
  }
  json_decref(all);
  return out;
}

static json_t *as_json(Jinja *j, const json_t *value, const JinjaCall *call) {
  const json_t *indent = jinja_argument(call, 1, "indent"); /* after ensure_ascii */
  TextBuffer out = {0};
  if (json_object_get(call->named, "separators") || json_object_get(call->named, "sort_keys") ||
      json_is_true(jinja_argument(call, 0, "ensure_ascii")))
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "tojson with separators, sort_keys or ensure_ascii");
  if (!value) jinja_fail(j, XT_STATUS_INPUT, "tojson of an undefined value");
  const json_int_t spaces = json_is_integer(indent) ? json_integer_value(indent) : -1;
  jinja_write_json(j, &out, value, spaces > 16 ? 16 : (int)spaces, 0);
  return jinja_buffer_text(j, &out);
}

static json_t *as_text(Jinja *j, const json_t *value) {
  TextBuffer out = {0};
  jinja_write(j, &out, value);
  return jinja_buffer_text(j, &out);
}

static json_t *end_of(Jinja *j, const json_t *value, bool last) {
  json_t *all = jinja_elements(j, value);
  const size_t n = json_array_size(all);
  json_t *one = n ? json_incref(json_array_get(all, last ? n - 1 : 0)) : NULL;
  json_decref(all);
  return one;
}

static json_t *as_integer(Jinja *j, const json_t *value, const json_t *preset) {
  int64_t number = json_is_integer(preset) ? json_integer_value(preset) : 0;
  if (json_is_number(value))
    number = (int64_t)json_number_value(value);
  else if (json_is_string(value)) {
    char *end;
    const long long read = strtoll(json_string_value(value), &end, 10);
    if (end != json_string_value(value) && !*end) number = read;
  }
  return jinja_made(j, json_integer(number));
}

/* A text whose lines but the first (or the first too) begin with spaces; blank lines only if asked
 * for. */
static json_t *indented(Jinja *j, const json_t *value, const JinjaCall *call) {
  const json_t *width = jinja_argument(call, 0, "width");
  const bool first = jinja_true(jinja_argument(call, 1, "first")),
             blank = jinja_true(jinja_argument(call, 2, "blank"));
  const json_int_t wanted = json_is_integer(width) ? json_integer_value(width) : 4;
  size_t length;
  const char *text = jinja_text_of(value, &length);
  TextBuffer out = {0};
  for (size_t i = 0; i < length; i++) {
    const bool begins = i == 0 ? first : text[i - 1] == '\n';
    for (json_int_t k = 0; begins && (blank || text[i] != '\n' || i == 0) && k < wanted && k < 100;
         k++)
      text_buffer_add_text(&out, " ");
    text_buffer_add(&out, &text[i], 1);
  }
  return jinja_buffer_text(j, &out);
}

/* Filters of a text; *found is false where it is none of them. */
static json_t *text_filter(Jinja *j, const char *name, size_t n, json_t *value,
                           const JinjaCall *call, bool *found) {
  static const char *const names[] = {"trim",  "upper",   "lower", "capitalize",
                                      "title", "replace", "indent"};
  size_t i = 0;
  while (i < 7 && !jinja_named(name, n, names[i])) i++;
  *found = i < 7;
  if (!*found) return NULL;
  json_t *text = as_text(j, value), *out = NULL; /* any value is one here */
  if (text && i == 0)
    out = stripped(j, text, jinja_argument(call, 0, "chars"), true, true);
  else if (text && i < 5)
    out = in_case(j, text, (Case)(i - 1));
  else if (text && i == 5)
    out = replaced(j, text, jinja_argument(call, 0, NULL), jinja_argument(call, 1, NULL),
                   jinja_argument(call, 2, "count"));
  else if (text)
    out = indented(j, text, call);
  json_decref(text);
  return out;
}

static json_t *reversed(Jinja *j, const json_t *value) {
  json_t *step = jinja_made(j, json_integer(-1));
  const json_t *const bounds[3] = {NULL, NULL, step};
  json_t *out = j->status ? NULL : jinja_slice(j, value, bounds);
  json_decref(step);
  return out;
}

json_t *jinja_filter(Jinja *j, const JinjaToken *token, json_t *v, const JinjaCall *call) {
  const char *name = j->source + token->at;
  const size_t n = token->length;
  bool found;
  json_t *out = text_filter(j, name, n, v, call, &found);
  if (found || j->status) return out;
  if (jinja_named(name, n, "tojson")) return as_json(j, v, call);
  if (jinja_named(name, n, "length") || jinja_named(name, n, "count")) return count_of(j, v);
  if (jinja_named(name, n, "join"))
    return joined(j, v, jinja_argument(call, 0, "d"), jinja_argument(call, 1, "attribute"));
  if (jinja_named(name, n, "default") || jinja_named(name, n, "d")) {
    const bool falsy = jinja_true(jinja_argument(call, 1, "boolean")) && !jinja_true(v);
    json_t *preset = jinja_argument(call, 0, "default_value");
    return v && !falsy ? json_incref(v) : preset ? json_incref(preset) : jinja_text(j, "", 0);
  }
  if (jinja_named(name, n, "selectattr")) return selected(j, v, call, true, true);
  if (jinja_named(name, n, "rejectattr")) return selected(j, v, call, true, false);
  if (jinja_named(name, n, "select")) return selected(j, v, call, false, true);
  if (jinja_named(name, n, "reject")) return selected(j, v, call, false, false);
  if (jinja_named(name, n, "map")) return mapped(j, v, call);
  if (jinja_named(name, n, "list")) return jinja_elements(j, v);
  if (jinja_named(name, n, "first")) return end_of(j, v, false);
  if (jinja_named(name, n, "last")) return end_of(j, v, true);
  if (jinja_named(name, n, "string")) return as_text(j, v);
  if (jinja_named(name, n, "int")) return as_integer(j, v, jinja_argument(call, 0, "default"));
  if (jinja_named(name, n, "safe")) return json_incref(v);
  if (jinja_named(name, n, "items") && json_is_object(v)) return listed(j, v, true, true);
  if (jinja_named(name, n, "reverse")) return reversed(j, v);
  jinja_fail(j, XT_STATUS_UNSUPPORTED, "the filter \"%.*s\", which is not understood here",
             n < 60 ? (int)n : 60, name);
  return NULL;
}
