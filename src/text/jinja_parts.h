/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the template language. A template is a list of tokens that is walked again
 * for every turn of a loop; `live` is false where tokens are only skipped. A value is a json_t that
 * the caller owns; NULL is the undefined value. The first error is kept (`status`), and evaluation
 * ends soon after it. */
#ifndef TEXT_JINJA_PARTS_H
#define TEXT_JINJA_PARTS_H

#include <string.h>

#include "text/jinja.h"

enum {
  JINJA_BYTES_MAX = 1 << 20,
  JINJA_OUTPUT_MAX = 64 << 20,
  JINJA_STEPS_MAX = 5000000,
  JINJA_DEPTH_MAX = 100,
  JINJA_SCOPES = 128
};

typedef enum JinjaKind {
  JINJA_END,
  JINJA_TEXT,
  JINJA_VALUE_BEGIN, /* {{ */
  JINJA_VALUE_END,
  JINJA_BLOCK_BEGIN, /* {% */
  JINJA_BLOCK_END,
  JINJA_NAME,
  JINJA_STRING, /* with its quotes */
  JINJA_NUMBER,
  JINJA_SIGN
} JinjaKind;

typedef struct JinjaToken {
  JinjaKind kind;
  size_t at, length;
} JinjaToken;

typedef struct JinjaMacro {
  const JinjaToken *name;
  size_t parameters, body; /* tokens */
} JinjaMacro;

typedef enum JinjaFlow { JINJA_ON, JINJA_BREAK, JINJA_CONTINUE } JinjaFlow;

typedef struct Jinja {
  const char *source, *file, *field;
  size_t length;
  JinjaToken *tokens;
  size_t count, capacity, at;
  json_t *scopes[JINJA_SCOPES];   /* 0: the caller's variables and what is set at the top */
  size_t scope_count, scope_base; /* names are looked up down to the base, and in 0 */
  JinjaMacro *macros;
  size_t macro_count, macro_capacity;
  TextBuffer *out;
  JinjaFlow flow;
  int depth;
  long long steps;
  time_t now;
  xt_status status;
  xt_error *error;
} Jinja;

/* Arguments of a call. */
typedef struct JinjaCall {
  json_t *list, *named;
} JinjaCall;

static inline bool jinja_named(const char *text, size_t length, const char *name) {
  return strlen(name) == length && memcmp(text, name, length) == 0;
}

/* The text and its length; NULL: the value is none. */
static inline const char *jinja_text_of(const json_t *value, size_t *length) {
  *length = json_string_length(value);
  return json_is_string(value) ? json_string_value(value) : NULL;
}

xt_status jinja_lex(Jinja *j);

/* Keeps the first error, with the line of the present token. */
void jinja_fail(Jinja *j, xt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The value, after noting that memory ran out where it is NULL. */
json_t *jinja_made(Jinja *j, json_t *value);
/* One more step; false when something is wrong. */
bool jinja_step(Jinja *j);

bool jinja_is(const Jinja *j, const JinjaToken *token, const char *text);
const JinjaToken *jinja_token(const Jinja *j);
/* Skips the current token if it is this sign or name. */
bool jinja_accept(Jinja *j, const char *text);
void jinja_expect(Jinja *j, const char *text);

/* Expressions: with "if .. else" and commas; without; a list with commas becomes an array. */
json_t *jinja_expression(Jinja *j, bool live);
json_t *jinja_or(Jinja *j, bool live);
json_t *jinja_tuple(Jinja *j, bool live);
JinjaCall jinja_arguments(Jinja *j, bool live);
void jinja_call_free(JinjaCall *call);
/* Argument `index`, or the one of that name; borrowed, NULL where there is none. */
json_t *jinja_argument(const JinjaCall *call, size_t index, const char *name);

/* The texts of both, one behind the other. */
json_t *jinja_concatenated(Jinja *j, const json_t *a, const json_t *b);
/* `sign`: + - * / %, or d for // */
json_t *jinja_calculated(Jinja *j, const json_t *a, const json_t *b, char sign);

json_t *jinja_call_macro(Jinja *j, const JinjaMacro *macro, const JinjaCall *call);
json_t *jinja_function(Jinja *j, const JinjaToken *name, const JinjaCall *call);
bool jinja_function_known(const Jinja *j, const JinjaToken *name);
json_t *jinja_filter(Jinja *j, const JinjaToken *name, json_t *value, const JinjaCall *call);
json_t *jinja_method(Jinja *j, json_t *value, const JinjaToken *name, const JinjaCall *call);
/* NULL as argument: the test has none. */
bool jinja_test(Jinja *j, const char *name, size_t length, const json_t *value,
                const json_t *argument);
const JinjaMacro *jinja_find_macro(const Jinja *j, const JinjaToken *name);

/* Values. */
bool jinja_true(const json_t *value);
bool jinja_equal(const json_t *a, const json_t *b);
/* -1, 0, 1; fails where the two have no order. */
int jinja_order(Jinja *j, const json_t *a, const json_t *b);
bool jinja_in(Jinja *j, const json_t *item, const json_t *container);
json_t *jinja_attribute(Jinja *j, const json_t *value, const char *name, size_t length);
json_t *jinja_subscript(Jinja *j, const json_t *value, const json_t *key);
json_t *jinja_slice(Jinja *j, const json_t *value, const json_t *const bounds[3]);
json_t *jinja_text(Jinja *j, const char *text, size_t length);
/* As Python's str() and json.dumps write it. */
void jinja_write(Jinja *j, TextBuffer *out, const json_t *value);
void jinja_write_json(Jinja *j, TextBuffer *out, const json_t *value, int indent, int level);
/* The elements that a loop goes through: of an array, an object's keys, a text's characters. */
json_t *jinja_elements(Jinja *j, const json_t *value);
const char *jinja_kind_name(const json_t *value);
json_t *jinja_buffer_text(Jinja *j, TextBuffer *buffer); /* frees the buffer */

#endif
