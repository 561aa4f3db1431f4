/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions, from the loosest binding to the tightest. Each function passes over what it
 * understands, and where `live` is false does only that. */
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "text/jinja_parts.h"
#include "text/utf8.h"

static json_t *postfix(Jinja *j, bool live);

static json_t *boolean(Jinja *j, bool value) { return jinja_made(j, json_boolean(value)); }

/* Whether "if" follows in the expression that begins here, outside of all brackets. */
static bool has_condition(const Jinja *j) {
  int open = 0;
  for (size_t i = j->at; i < j->count; i++) {
    const JinjaToken *t = &j->tokens[i];
    const char c = t->kind == JINJA_SIGN && t->length == 1 ? j->source[t->at] : 0;
    if (t->kind == JINJA_END || t->kind == JINJA_VALUE_END || t->kind == JINJA_BLOCK_END)
      return false;
    if (c && strchr("([{", c)) open++;
    if (c && strchr(")]}", c) && open-- == 0) return false;
    if (open) continue;
    if (jinja_is(j, t, "if")) return true;
    if (jinja_is(j, t, "else") || (c && strchr(",:=", c))) return false;
  }
  return false;
}

json_t *jinja_expression(Jinja *j, bool live) {
  json_t *value = NULL;
  if (!jinja_step(j)) return NULL;
  if (++j->depth > JINJA_DEPTH_MAX)
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "brackets and calls within one another beyond %d",
               JINJA_DEPTH_MAX);
  if (j->status || !has_condition(j)) {
    if (!j->status) value = jinja_or(j, live);
    j->depth--;
    return value;
  }
  /* VALUE if CONDITION else OTHER: the condition decides which of the two is looked at. */
  const size_t begin = j->at;
  json_decref(jinja_or(j, false));
  jinja_expect(j, "if");
  json_t *condition = jinja_or(j, live);
  const bool first = jinja_true(condition);
  json_decref(condition);
  value = jinja_accept(j, "else") ? jinja_expression(j, live && !first) : NULL;
  if (live && first && !j->status) {
    const size_t end = j->at;
    j->at = begin;
    value = jinja_or(j, true);
    j->at = end;
  }
  j->depth--;
  return value;
}

json_t *jinja_tuple(Jinja *j, bool live) {
  json_t *first = jinja_expression(j, live);
  if (!jinja_is(j, jinja_token(j), ",")) return first;
  json_t *list = jinja_made(j, json_array());
  json_array_append_new(list, first ? first : json_null());
  while (jinja_accept(j, ",") && !j->status) {
    json_t *next = jinja_expression(j, live);
    json_array_append_new(list, next ? next : json_null());
  }
  return list;
}

static json_t *and_level(Jinja *j, bool live);

json_t *jinja_or(Jinja *j, bool live) {
  json_t *left = and_level(j, live);
  while (jinja_accept(j, "or")) {
    const bool known = live && jinja_true(left);
    json_t *right = and_level(j, live && !known);
    if (known || !live) continue;
    json_decref(left);
    left = right;
  }
  return left;
}

static json_t *comparison(Jinja *j, bool live);

static json_t *not_level(Jinja *j, bool live) {
  bool negated = false, any = false;
  for (; jinja_accept(j, "not"); any = true) negated = !negated;
  json_t *value = comparison(j, live);
  if (!any || !live) return value;
  const bool truth = jinja_true(value) != negated;
  json_decref(value);
  return boolean(j, truth);
}

static json_t *and_level(Jinja *j, bool live) {
  json_t *left = not_level(j, live);
  while (jinja_accept(j, "and")) {
    const bool known = live && !jinja_true(left);
    json_t *right = not_level(j, live && !known);
    if (known || !live) continue;
    json_decref(left);
    left = right;
  }
  return left;
}

/* ---- comparing ------------------------------------------------------------------------------- */

typedef enum Relation {
  RELATION_NONE,
  EQUAL,
  UNEQUAL,
  LESS,
  AT_MOST,
  MORE,
  AT_LEAST,
  IN,
  NOT_IN
} Relation;

static Relation accept_relation(Jinja *j) {
  static const struct {
    const char *sign;
    Relation relation;
  } signs[] = {{"==", EQUAL}, {"!=", UNEQUAL}, {"<=", AT_MOST}, {">=", AT_LEAST},
               {"<", LESS},   {">", MORE},     {"in", IN}};
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (jinja_accept(j, signs[i].sign)) return signs[i].relation;
  if (!jinja_is(j, jinja_token(j), "not")) return RELATION_NONE;
  j->at++;
  jinja_expect(j, "in");
  return NOT_IN;
}

static bool holds(Jinja *j, Relation relation, const json_t *a, const json_t *b) {
  switch (relation) {
    case RELATION_NONE: break;
    case EQUAL: return jinja_equal(a, b);
    case UNEQUAL: return !jinja_equal(a, b);
    case LESS: return jinja_order(j, a, b) < 0;
    case AT_MOST: return jinja_order(j, a, b) <= 0;
    case MORE: return jinja_order(j, a, b) > 0;
    case AT_LEAST: return jinja_order(j, a, b) >= 0;
    case IN: return jinja_in(j, a, b);
    case NOT_IN: return !jinja_in(j, a, b);
  }
  return false;
}

static json_t *sum(Jinja *j, bool live);

/* a < b < c is a < b and b < c. */
static json_t *comparison(Jinja *j, bool live) {
  json_t *left = sum(j, live);
  bool truth = true, any = false;
  for (Relation relation; !j->status && (relation = accept_relation(j)) != RELATION_NONE;
       any = true) {
    json_t *right = sum(j, live);
    if (live && !j->status) truth = truth && holds(j, relation, left, right);
    json_decref(left);
    left = right;
  }
  if (!any || !live) return left;
  json_decref(left);
  return boolean(j, truth);
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static json_t *unary(Jinja *j, bool live) {
  const bool minus = jinja_is(j, jinja_token(j), "-");
  if (!minus && !jinja_is(j, jinja_token(j), "+")) return postfix(j, live);
  j->at++;
  json_t *value = postfix(j, live), *zero = live ? jinja_made(j, json_integer(0)) : NULL;
  json_t *out = live && !j->status ? jinja_calculated(j, zero, value, minus ? '-' : '+') : NULL;
  json_decref(value);
  json_decref(zero);
  return out;
}

static json_t *product(Jinja *j, bool live) {
  json_t *left = unary(j, live);
  while (!j->status) {
    const char sign = jinja_accept(j, "*")    ? '*'
                      : jinja_accept(j, "//") ? 'd'
                      : jinja_accept(j, "/")  ? '/'
                      : jinja_accept(j, "%")  ? '%'
                                              : 0;
    if (!sign) break;
    json_t *right = unary(j, live),
           *out = live && !j->status ? jinja_calculated(j, left, right, sign) : NULL;
    json_decref(left);
    json_decref(right);
    left = out;
  }
  return left;
}

static json_t *concatenation(Jinja *j, bool live) {
  json_t *left = product(j, live);
  while (jinja_accept(j, "~")) {
    json_t *right = product(j, live),
           *out = live && !j->status ? jinja_concatenated(j, left, right) : NULL;
    json_decref(left);
    json_decref(right);
    left = out;
  }
  return left;
}

static json_t *sum(Jinja *j, bool live) {
  json_t *left = concatenation(j, live);
  while (!j->status) {
    const char sign = jinja_accept(j, "+") ? '+' : jinja_accept(j, "-") ? '-' : 0;
    if (!sign) break;
    json_t *right = concatenation(j, live),
           *out = live && !j->status ? jinja_calculated(j, left, right, sign) : NULL;
    json_decref(left);
    json_decref(right);
    left = out;
  }
  return left;
}

/* ---- calls ----------------------------------------------------------------------------------- */

void jinja_call_free(JinjaCall *call) {
  json_decref(call->list);
  json_decref(call->named);
  *call = (JinjaCall){0};
}

json_t *jinja_argument(const JinjaCall *call, size_t index, const char *name) {
  json_t *value = json_array_get(call->list, index);
  return value ? value : name ? json_object_get(call->named, name) : NULL;
}

/* "(a, b, name=c)" at its opening bracket. */
JinjaCall jinja_arguments(Jinja *j, bool live) {
  JinjaCall call = {0};
  if (live) call = (JinjaCall){jinja_made(j, json_array()), jinja_made(j, json_object())};
  jinja_expect(j, "(");
  while (!j->status && !jinja_is(j, jinja_token(j), ")")) {
    const JinjaToken *name = jinja_token(j);
    const bool named = name->kind == JINJA_NAME && jinja_is(j, name + 1, "=");
    if (named) j->at += 2;
    json_t *value = jinja_expression(j, live);
    if (live && !j->status) {
      if (!value) value = json_null();
      if (named ? json_object_setn_new(call.named, j->source + name->at, name->length, value)
                : json_array_append_new(call.list, value))
        jinja_made(j, NULL);
    } else {
      json_decref(value);
    }
    if (!jinja_accept(j, ",")) break;
  }
  jinja_expect(j, ")");
  return call;
}

static json_t *called(Jinja *j, const JinjaToken *name, json_t *self, bool live) {
  JinjaCall call = jinja_arguments(j, live);
  json_t *out = NULL;
  if (live && !j->status)
    out = self ? jinja_method(j, self, name, &call) : jinja_function(j, name, &call);
  jinja_call_free(&call);
  return out;
}

/* ---- the smallest parts ---------------------------------------------------------------------- */

static void add_escaped(Jinja *j, TextBuffer *out, const JinjaToken *token) {
  static const char from[] = "nrtbfv\\'\"", to[] = "\n\r\t\b\f\v\\'\"";
  const char *text = j->source + token->at + 1;
  for (size_t i = 0; i + 2 < token->length; i++) {
    const char *known =
        text[i] == '\\' && i + 3 < token->length && text[i + 1] ? strchr(from, text[i + 1]) : NULL;
    if (text[i] == '\\' && text[i + 1] && strchr("xuUN01234567a\n", text[i + 1]))
      jinja_fail(j, XT_STATUS_UNSUPPORTED, "the escape \"\\%c\" in a text", text[i + 1]);
    text_buffer_add(out, known ? &to[known - from] : &text[i], 1);
    i += known != NULL;
  }
}

static json_t *string(Jinja *j, bool live) {
  TextBuffer text = {0};
  for (; jinja_token(j)->kind == JINJA_STRING; j->at++) /* two texts side by side are one */
    if (live) add_escaped(j, &text, jinja_token(j));
  return live ? jinja_buffer_text(j, &text) : NULL;
}

static json_t *numeral(Jinja *j, bool live) {
  const JinjaToken *token = jinja_token(j);
  char text[40], *end;
  size_t n = 0;
  for (size_t i = 0; i < token->length && n + 1 < sizeof text; i++)
    if (j->source[token->at + i] != '_') text[n++] = j->source[token->at + i];
  text[n] = 0;
  j->at++;
  if (n > 18) jinja_fail(j, XT_STATUS_UNSUPPORTED, "a number of more than 18 digits");
  if (!live || j->status) return NULL;
  if (strchr(text, '.')) return jinja_made(j, json_real(number_read(text, &end)));
  return jinja_made(j, json_integer(strtoll(text, &end, 10)));
}

static json_t *list(Jinja *j, bool live, const char *close) {
  json_t *out = live ? jinja_made(j, json_array()) : NULL;
  while (!j->status && !jinja_is(j, jinja_token(j), close)) {
    json_t *item = jinja_expression(j, live);
    if (live && !j->status && json_array_append_new(out, item ? item : json_null()))
      jinja_made(j, NULL);
    else if (!live || j->status)
      json_decref(item);
    if (!jinja_accept(j, ",")) break;
  }
  jinja_expect(j, close);
  return out;
}

static json_t *object(Jinja *j, bool live) {
  json_t *out = live ? jinja_made(j, json_object()) : NULL;
  while (!j->status && !jinja_is(j, jinja_token(j), "}")) {
    json_t *key = jinja_expression(j, live);
    jinja_expect(j, ":");
    json_t *value = jinja_expression(j, live);
    if (live && !j->status) {
      if (!json_is_string(key))
        jinja_fail(j, XT_STATUS_UNSUPPORTED, "a key that is %s", jinja_kind_name(key));
      else if (json_object_setn(out, json_string_value(key), json_string_length(key),
                                value ? value : json_null()))
        jinja_made(j, NULL);
    }
    json_decref(key);
    json_decref(value);
    if (!jinja_accept(j, ",")) break;
  }
  jinja_expect(j, "}");
  return out;
}

static json_t *look_up(Jinja *j, const JinjaToken *name) {
  for (size_t i = j->scope_count; i-- > 0;) {
    if (i && i < j->scope_base) continue;
    json_t *value = json_object_getn(j->scopes[i], j->source + name->at, name->length);
    if (value) return json_incref(value);
  }
  return jinja_function_known(j, name) ? json_true() : NULL;
}

static json_t *primary(Jinja *j, bool live) {
  const JinjaToken *token = jinja_token(j);
  if (token->kind == JINJA_STRING) return string(j, live);
  if (token->kind == JINJA_NUMBER) return numeral(j, live);
  if (jinja_accept(j, "[")) return list(j, live, "]");
  if (jinja_accept(j, "{")) return object(j, live);
  if (jinja_accept(j, "(")) {
    if (jinja_is(j, jinja_token(j), ")")) return list(j, live, ")");
    json_t *value = jinja_tuple(j, live);
    jinja_expect(j, ")");
    return value;
  }
  if (token->kind != JINJA_NAME) {
    jinja_fail(j, XT_STATUS_INPUT, "\"%.*s\" where a value should be",
               token->length < 40 ? (int)token->length : 40, j->source + token->at);
    return NULL;
  }
  j->at++;
  static const char *const constants[] = {"true", "True", "false", "False", "none", "None"};
  for (size_t i = 0; i < 6; i++)
    if (jinja_is(j, token, constants[i])) return i > 3 ? json_null() : json_boolean(i < 2);
  if (jinja_is(j, jinja_token(j), "(")) return called(j, token, NULL, live);
  return live ? look_up(j, token) : NULL;
}

/* ---- what follows a value -------------------------------------------------------------------- */

static json_t *subscript(Jinja *j, const json_t *value, bool live) {
  json_t *parts[3] = {NULL};
  size_t colons = 0;
  while (!j->status && !jinja_is(j, jinja_token(j), "]")) {
    if (jinja_accept(j, ":")) {
      if (++colons > 2) jinja_fail(j, XT_STATUS_INPUT, "a slice of more than three parts");
    } else {
      json_t *part = jinja_expression(j, live);
      json_decref(parts[colons]);
      parts[colons] = part;
    }
  }
  jinja_expect(j, "]");
  json_t *out = NULL;
  if (live && !j->status)
    out = colons ? jinja_slice(j, value, (const json_t *const *)parts)
                 : jinja_subscript(j, value, parts[0]);
  for (int i = 0; i < 3; i++) json_decref(parts[i]);
  return out;
}

static json_t *filtered(Jinja *j, json_t *value, bool live) {
  const JinjaToken *name = jinja_token(j);
  JinjaCall call = {0};
  j->at++;
  if (name->kind != JINJA_NAME) jinja_fail(j, XT_STATUS_INPUT, "a \"|\" without a filter's name");
  if (jinja_is(j, jinja_token(j), "(")) call = jinja_arguments(j, live);
  json_t *out = live && !j->status ? jinja_filter(j, name, value, &call) : NULL;
  jinja_call_free(&call);
  return out;
}

/* Whether a test's argument may begin here: "is divisibleby 3", but not "is defined and ..". */
static bool argument_follows(Jinja *j) {
  const JinjaToken *token = jinja_token(j);
  static const char *const others[] = {"and", "or", "else", "if", "is", "in", "not"};
  if (token->kind == JINJA_STRING || token->kind == JINJA_NUMBER) return true;
  if (token->kind != JINJA_NAME)
    return jinja_is(j, token, "(") || jinja_is(j, token, "[") || jinja_is(j, token, "{");
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (jinja_is(j, token, others[i])) return false;
  return true;
}

static json_t *tested(Jinja *j, const json_t *value, bool live) {
  const bool negated = jinja_accept(j, "not");
  const JinjaToken *name = jinja_token(j);
  if (name->kind != JINJA_NAME) jinja_fail(j, XT_STATUS_INPUT, "an \"is\" without a test's name");
  j->at++;
  json_t *argument = argument_follows(j) ? primary(j, live) : NULL;
  json_t *out = live && !j->status ? boolean(j, jinja_test(j, j->source + name->at, name->length,
                                                           value, argument) != negated)
                                   : NULL;
  json_decref(argument);
  return out;
}

static json_t *postfix(Jinja *j, bool live) {
  json_t *value = primary(j, live);
  while (jinja_step(j)) {
    json_t *next = NULL;
    if (jinja_accept(j, ".")) {
      const JinjaToken *name = jinja_token(j);
      if (name->kind != JINJA_NAME && name->kind != JINJA_NUMBER)
        jinja_fail(j, XT_STATUS_INPUT, "a \".\" without a name");
      j->at++;
      if (jinja_is(j, jinja_token(j), "(")) {
        if (live && !value)
          jinja_fail(j, XT_STATUS_INPUT, "\"%.*s\" of an undefined value", (int)name->length,
                     j->source + name->at);
        next = called(j, name, value, live);
      } else if (live && !j->status) {
        next = jinja_attribute(j, value, j->source + name->at, name->length);
      }
    } else if (jinja_accept(j, "[")) {
      next = subscript(j, value, live);
    } else if (jinja_accept(j, "|")) {
      next = filtered(j, value, live);
    } else if (jinja_accept(j, "is")) {
      next = tested(j, value, live);
    } else {
      return value;
    }
    json_decref(value);
    value = next;
  }
  return value;
}
