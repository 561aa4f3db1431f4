/* SPDX-License-Identifier: Apache-2.0 */
/* Functions. */
#include <string.h>

#include "text/jinja_parts.h"

static const char *const functions[] = {"raise_exception", "strftime_now", "namespace", "range",
                                        "dict"};

bool jinja_function_known(const Jinja *j, const JinjaToken *name) {
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
    if (jinja_named(j->source + name->at, name->length, functions[i])) return true;
  return jinja_find_macro(j, name) != NULL;
}

/* In English, whatever the locale. */
static json_t *date(Jinja *j, const json_t *format) {
  static const char *const months[] = {"January",   "February", "March",    "April",
                                       "May",       "June",     "July",     "August",
                                       "September", "October",  "November", "December"};
  static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                     "Thursday", "Friday", "Saturday"};
  struct tm t = {0};
  size_t length;
  const char *text = jinja_text_of(format, &length);
  TextBuffer out = {0};
  localtime_r(&j->now, &t);
  if (!text) jinja_fail(j, XT_STATUS_INPUT, "strftime_now without a format");
  for (size_t i = 0; i < length && !j->status; i++) {
    const char c = text[i] == '%' && i + 1 < length ? text[++i] : 0;
    switch (c) {
      case 0: text_buffer_add(&out, &text[i], 1); break;
      case '%': text_buffer_add_text(&out, "%"); break;
      case 'Y': text_buffer_format(&out, "%04d", t.tm_year + 1900); break;
      case 'y': text_buffer_format(&out, "%02d", t.tm_year % 100); break;
      case 'm': text_buffer_format(&out, "%02d", t.tm_mon + 1); break;
      case 'd': text_buffer_format(&out, "%02d", t.tm_mday); break;
      case 'H': text_buffer_format(&out, "%02d", t.tm_hour); break;
      case 'M': text_buffer_format(&out, "%02d", t.tm_min); break;
      case 'S': text_buffer_format(&out, "%02d", t.tm_sec); break;
      case 'B': text_buffer_add_text(&out, months[t.tm_mon]); break;
      case 'b': text_buffer_add(&out, months[t.tm_mon], 3); break;
      case 'A': text_buffer_add_text(&out, days[t.tm_wday]); break;
      case 'a': text_buffer_add(&out, days[t.tm_wday], 3); break;
      default: jinja_fail(j, XT_STATUS_UNSUPPORTED, "\"%%%c\" in a date", c);
    }
  }
  return jinja_buffer_text(j, &out);
}

static json_t *range(Jinja *j, const JinjaCall *call) {
  const size_t n = json_array_size(call->list);
  json_int_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < n && i < 3; i++) {
    if (!json_is_integer(json_array_get(call->list, i)))
      jinja_fail(j, XT_STATUS_INPUT, "a range of what is no integer");
    bounds[n == 1 ? 1 : i] = json_integer_value(json_array_get(call->list, i));
  }
  if (bounds[2] == 0) jinja_fail(j, XT_STATUS_INPUT, "a range with steps of 0");
  json_t *out = jinja_made(j, json_array());
  for (json_int_t k = bounds[0]; !j->status && (bounds[2] > 0 ? k < bounds[1] : k > bounds[1]);) {
    /* Jinja's own bound */
    if (json_array_size(out) > 100000)
      jinja_fail(j, XT_STATUS_UNSUPPORTED, "a range of more than 100000 numbers");
    json_t *number = jinja_made(j, json_integer(k));
    if (number && json_array_append_new(out, number)) jinja_made(j, NULL);
    if (__builtin_add_overflow(k, bounds[2], &k)) break;
  }
  return out;
}

json_t *jinja_function(Jinja *j, const JinjaToken *token, const JinjaCall *call) {
  const char *name = j->source + token->at;
  const size_t n = token->length;
  const JinjaMacro *macro = jinja_find_macro(j, token);
  if (macro) return jinja_call_macro(j, macro, call);
  if (jinja_named(name, n, "namespace") || jinja_named(name, n, "dict"))
    return jinja_made(j, json_copy(call->named));
  if (jinja_named(name, n, "range")) return range(j, call);
  if (jinja_named(name, n, "strftime_now")) return date(j, jinja_argument(call, 0, "format"));
  if (jinja_named(name, n, "raise_exception")) {
    const json_t *message = jinja_argument(call, 0, "message");
    jinja_fail(j, XT_STATUS_INPUT, "it refuses this: %.300s",
               json_is_string(message) ? json_string_value(message) : "no reason given");
    return NULL;
  }
  jinja_fail(j, XT_STATUS_UNSUPPORTED, "the function \"%.*s\", which is not understood here",
             n < 60 ? (int)n : 60, name);
  return NULL;
}
