/* SPDX-License-Identifier: Apache-2.0 */
/* Statements. A block is run up to the tag that ends it; a loop's body is walked once a turn. */
#include "text/jinja.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/jinja_parts.h"
#include "text/utf8.h"

/* ---- tokens ---------------------------------------------------------------------------------- */

const JinjaToken *jinja_token(const Jinja *j) {
  return &j->tokens[j->at < j->count ? j->at : j->count - 1];
}

bool jinja_is(const Jinja *j, const JinjaToken *token, const char *text) {
  return (token->kind == JINJA_NAME || token->kind == JINJA_SIGN) &&
         strlen(text) == token->length && memcmp(j->source + token->at, text, token->length) == 0;
}

bool jinja_accept(Jinja *j, const char *text) {
  if (j->status || !jinja_is(j, jinja_token(j), text)) return false;
  j->at++;
  return true;
}

static void describe(const Jinja *j, const JinjaToken *token, char out[60]) {
  if (token->kind == JINJA_END)
    snprintf(out, 60, "the end");
  else if (token->kind == JINJA_VALUE_END || token->kind == JINJA_BLOCK_END)
    snprintf(out, 60, "the tag's end");
  else
    snprintf(out, 60, "\"%.*s\"", token->length < 40 ? (int)token->length : 40,
             j->source + token->at);
}

void jinja_expect(Jinja *j, const char *text) {
  char found[60];
  if (j->status || jinja_accept(j, text)) return;
  describe(j, jinja_token(j), found);
  jinja_fail(j, XT_STATUS_INPUT, "%s where \"%s\" should be", found, text);
}

static void expect_kind(Jinja *j, JinjaKind kind) {
  char found[60];
  if (j->status) return;
  if (jinja_token(j)->kind == kind) {
    j->at++;
    return;
  }
  describe(j, jinja_token(j), found);
  jinja_fail(j, XT_STATUS_UNSUPPORTED, "%s where the tag should end", found);
}

void jinja_fail(Jinja *j, xt_status status, const char *format, ...) {
  char message[400];
  va_list arguments;
  if (j->status) return;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  size_t line = 1;
  const size_t end = j->count ? jinja_token(j)->at : 0;
  for (size_t i = 0; i < end && i < j->length; i++) line += j->source[i] == '\n';
  j->status = err_set(j->error, status, j->file, j->field, -1, "in the template's line %zu: %s",
                      line, message);
}

bool jinja_step(Jinja *j) {
  if (!j->status && ++j->steps > JINJA_STEPS_MAX)
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "more than %d steps", JINJA_STEPS_MAX);
  return !j->status;
}

/* ---- scopes ---------------------------------------------------------------------------------- */

static bool push_scope(Jinja *j) {
  if (j->scope_count == JINJA_SCOPES)
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "loops and calls within one another beyond %d",
               JINJA_SCOPES);
  if (j->status) return false;
  j->scopes[j->scope_count] = jinja_made(j, json_object());
  j->scope_count += j->scopes[j->scope_count] != NULL;
  return !j->status;
}

static void pop_scope(Jinja *j) { json_decref(j->scopes[--j->scope_count]); }

/* Takes the value over. */
static void set_value(Jinja *j, const JinjaToken *name, json_t *value) {
  if (!value) value = json_null();
  if (json_object_setn_new(j->scopes[j->scope_count - 1], j->source + name->at, name->length,
                           value))
    jinja_made(j, NULL);
}

/* ---- statements ------------------------------------------------------------------------------ */

static void run_block(Jinja *j, bool live, const char *const *ends);

static void run_if(Jinja *j, bool live) {
  static const char *const ends[] = {"elif", "else", "endif", NULL};
  bool done = false;
  do {
    json_t *condition = jinja_tuple(j, live && !done);
    const bool now = live && !done && jinja_true(condition);
    json_decref(condition);
    expect_kind(j, JINJA_BLOCK_END);
    run_block(j, now, ends);
    done = done || now;
  } while (jinja_accept(j, "elif"));
  if (jinja_accept(j, "else")) {
    static const char *const last[] = {"endif", NULL};
    expect_kind(j, JINJA_BLOCK_END);
    run_block(j, live && !done, last);
  }
  jinja_expect(j, "endif");
  expect_kind(j, JINJA_BLOCK_END);
}

typedef struct Loop {
  const JinjaToken *names[8];
  size_t name_count, condition, body; /* tokens; condition 0: none */
  json_t *items;
} Loop;

static void set_targets(Jinja *j, const Loop *loop, json_t *item) {
  if (loop->name_count == 1) {
    set_value(j, loop->names[0], json_incref(item));
    return;
  }
  if (json_array_size(item) != loop->name_count)
    jinja_fail(j, XT_STATUS_INPUT, "%zu names for an element that is %s", loop->name_count,
               jinja_kind_name(item));
  for (size_t i = 0; i < loop->name_count && !j->status; i++)
    set_value(j, loop->names[i], json_incref(json_array_get(item, i)));
}

static void set_loop(Jinja *j, const Loop *loop, size_t i) {
  const json_int_t n = (json_int_t)json_array_size(loop->items), k = (json_int_t)i;
  json_t *v =
      json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "index", k + 1, "index0", k, "revindex",
                n - k, "revindex0", n - k - 1, "length", n, "first", k == 0, "last", k + 1 == n);
  if (v && i) json_object_set(v, "previtem", json_array_get(loop->items, i - 1));
  if (v && k + 1 < n) json_object_set(v, "nextitem", json_array_get(loop->items, i + 1));
  if (!v || json_object_set_new(j->scopes[j->scope_count - 1], "loop", v)) jinja_made(j, NULL);
}

/* Keeps the items for which the loop's "if" holds. */
static void filter_items(Jinja *j, Loop *loop) {
  json_t *kept = jinja_made(j, json_array());
  const size_t end = j->at;
  for (size_t i = 0; i < json_array_size(loop->items) && push_scope(j); i++) {
    set_targets(j, loop, json_array_get(loop->items, i));
    j->at = loop->condition;
    json_t *condition = jinja_expression(j, true);
    if (jinja_true(condition)) json_array_append(kept, json_array_get(loop->items, i));
    json_decref(condition);
    pop_scope(j);
  }
  if (!j->status) j->at = end;
  json_decref(loop->items);
  loop->items = kept;
}

static void run_turns(Jinja *j, const Loop *loop) {
  static const char *const ends[] = {"else", "endfor", NULL};
  const size_t count = json_array_size(loop->items);
  for (size_t i = 0; i < count && push_scope(j); i++) {
    set_targets(j, loop, json_array_get(loop->items, i));
    set_loop(j, loop, i);
    j->at = loop->body;
    run_block(j, true, ends);
    pop_scope(j);
    const bool broken = j->flow == JINJA_BREAK;
    j->flow = JINJA_ON;
    if (broken || j->status) break;
  }
}

static void run_for(Jinja *j, bool live) {
  static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
  Loop loop = {0};
  const bool bracket = jinja_accept(j, "(");
  do {
    if (loop.name_count == 8 || jinja_token(j)->kind != JINJA_NAME)
      jinja_fail(j, XT_STATUS_UNSUPPORTED, "a loop over what is not names");
    else
      loop.names[loop.name_count++] = jinja_token(j);
    j->at++;
  } while (jinja_accept(j, ","));
  if (bracket) jinja_expect(j, ")");
  jinja_expect(j, "in");
  json_t *value = jinja_or(j, live);
  loop.items = live && !j->status ? jinja_elements(j, value) : NULL;
  json_decref(value);
  if (jinja_accept(j, "if")) {
    loop.condition = j->at;
    json_decref(jinja_expression(j, false));
    if (loop.items) filter_items(j, &loop);
  }
  if (jinja_is(j, jinja_token(j), "recursive"))
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "a recursive loop");
  expect_kind(j, JINJA_BLOCK_END);
  loop.body = j->at;
  const bool any = json_array_size(loop.items) > 0;
  if (any)
    run_turns(j, &loop);
  else
    run_block(j, false, ends);
  json_decref(loop.items);
  if (jinja_accept(j, "else")) {
    expect_kind(j, JINJA_BLOCK_END);
    run_block(j, live && !any, last);
  }
  jinja_expect(j, "endfor");
  expect_kind(j, JINJA_BLOCK_END);
}

/* What a block writes, as a text. */
static json_t *captured(Jinja *j, bool live, const char *const *ends) {
  TextBuffer text = {0}, *const outer = j->out;
  j->out = &text;
  run_block(j, live, ends);
  j->out = outer;
  return jinja_buffer_text(j, &text);
}

/* "name.attribute" of a namespace, which loops share. */
static void set_attribute(Jinja *j, const JinjaToken *name, const JinjaToken *attribute,
                          json_t *value) {
  for (size_t i = j->scope_count; i-- > 0;) {
    json_t *object = i && i < j->scope_base
                         ? NULL
                         : json_object_getn(j->scopes[i], j->source + name->at, name->length);
    if (!object) continue;
    if (!json_is_object(object)) break;
    if (json_object_setn(object, j->source + attribute->at, attribute->length,
                         value ? value : json_null()))
      jinja_made(j, NULL);
    return;
  }
  jinja_fail(j, XT_STATUS_INPUT, "an attribute set of what is no namespace");
}

static void run_set(Jinja *j, bool live) {
  static const char *const ends[] = {"endset", NULL};
  Loop targets = {0};
  const JinjaToken *attribute = NULL;
  do {
    if (targets.name_count == 8 || jinja_token(j)->kind != JINJA_NAME)
      jinja_fail(j, XT_STATUS_UNSUPPORTED, "a \"set\" of what is not names");
    else
      targets.names[targets.name_count++] = jinja_token(j);
    j->at++;
  } while (jinja_accept(j, ","));
  if (targets.name_count == 1 && jinja_accept(j, ".")) {
    attribute = jinja_token(j);
    if (attribute->kind != JINJA_NAME) jinja_fail(j, XT_STATUS_INPUT, "a \".\" without a name");
    j->at++;
  }
  json_t *value = NULL;
  if (jinja_accept(j, "=")) {
    value = jinja_tuple(j, live);
  } else {
    expect_kind(j, JINJA_BLOCK_END);
    value = captured(j, live, ends);
    jinja_expect(j, "endset");
  }
  if (live && !j->status) {
    if (attribute)
      set_attribute(j, targets.names[0], attribute, value);
    else if (targets.name_count == 1)
      set_value(j, targets.names[0], json_incref(value));
    else
      set_targets(j, &targets, value);
  }
  json_decref(value);
  expect_kind(j, JINJA_BLOCK_END);
}

/* ---- macros ---------------------------------------------------------------------------------- */

static void run_macro(Jinja *j, bool live) {
  static const char *const ends[] = {"endmacro", NULL};
  JinjaMacro macro = {.name = jinja_token(j), .parameters = ++j->at};
  json_t *none[2] = {NULL};
  jinja_expect(j, "(");
  while (!j->status && !jinja_is(j, jinja_token(j), ")")) {
    if (jinja_token(j)->kind != JINJA_NAME)
      jinja_fail(j, XT_STATUS_INPUT, "a parameter that is no name");
    j->at++;
    if (jinja_accept(j, "=")) none[0] = jinja_expression(j, false);
    json_decref(none[0]);
    if (!jinja_accept(j, ",")) break;
  }
  jinja_expect(j, ")");
  expect_kind(j, JINJA_BLOCK_END);
  macro.body = j->at;
  run_block(j, false, ends);
  jinja_expect(j, "endmacro");
  expect_kind(j, JINJA_BLOCK_END);
  if (!live || j->status || jinja_find_macro(j, macro.name)) return;
  j->status = MEM_GROW(&j->macros, &j->macro_capacity, j->macro_count + 1, j->error);
  if (!j->status) j->macros[j->macro_count++] = macro;
}

const JinjaMacro *jinja_find_macro(const Jinja *j, const JinjaToken *name) {
  for (size_t i = 0; i < j->macro_count; i++)
    if (j->macros[i].name->length == name->length &&
        memcmp(j->source + j->macros[i].name->at, j->source + name->at, name->length) == 0)
      return &j->macros[i];
  return NULL;
}

static void bind_parameters(Jinja *j, const JinjaMacro *macro, const JinjaCall *call) {
  size_t index = 0;
  j->at = macro->parameters;
  jinja_expect(j, "(");
  for (; !j->status && !jinja_is(j, jinja_token(j), ")"); index++) {
    const JinjaToken *name = jinja_token(j);
    json_t *given = json_array_get(call->list, index), *preset = NULL;
    if (!given) given = json_object_getn(call->named, j->source + name->at, name->length);
    j->at++;
    if (jinja_accept(j, "=")) preset = jinja_expression(j, !given);
    if (given)
      set_value(j, name, json_incref(given));
    else if (preset)
      set_value(j, name, preset);
    if (!jinja_accept(j, ",")) break;
  }
  if (json_array_size(call->list) > index + 1)
    jinja_fail(j, XT_STATUS_INPUT, "a macro's call with too many values");
}

json_t *jinja_call_macro(Jinja *j, const JinjaMacro *macro, const JinjaCall *call) {
  static const char *const ends[] = {"endmacro", NULL};
  const size_t back = j->at, base = j->scope_base;
  const JinjaFlow flow = j->flow;
  json_t *text = NULL;
  if (j->depth + 10 > JINJA_DEPTH_MAX)
    jinja_fail(j, XT_STATUS_UNSUPPORTED, "calls within one another that are too deep");
  if (!push_scope(j)) return NULL;
  j->depth += 10;
  j->scope_base = j->scope_count - 1;
  bind_parameters(j, macro, call);
  j->at = macro->body;
  if (!j->status) text = captured(j, true, ends);
  pop_scope(j);
  j->scope_base = base;
  j->flow = flow;
  j->depth -= 10;
  if (!j->status) j->at = back;
  return text;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void run_generation(Jinja *j, bool live) { /* marks what the assistant says; the text is
                                                     the same */
  static const char *const ends[] = {"endgeneration", NULL};
  expect_kind(j, JINJA_BLOCK_END);
  run_block(j, live, ends);
  jinja_expect(j, "endgeneration");
  expect_kind(j, JINJA_BLOCK_END);
}

static void run_statement(Jinja *j, bool live) {
  static const struct {
    const char *name;
    void (*run)(Jinja *, bool);
  } statements[] = {{"if", run_if},
                    {"for", run_for},
                    {"set", run_set},
                    {"macro", run_macro},
                    {"generation", run_generation}};
  const JinjaToken *name = jinja_token(j);
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    if (!jinja_accept(j, statements[i].name)) continue;
    if (++j->depth > JINJA_DEPTH_MAX)
      jinja_fail(j, XT_STATUS_UNSUPPORTED, "blocks within one another beyond %d", JINJA_DEPTH_MAX);
    if (!j->status) statements[i].run(j, live);
    j->depth--;
    return;
  }
  if (jinja_is(j, name, "break") || jinja_is(j, name, "continue")) {
    j->at++;
    if (live) j->flow = jinja_is(j, name, "break") ? JINJA_BREAK : JINJA_CONTINUE;
    expect_kind(j, JINJA_BLOCK_END);
    return;
  }
  char found[60];
  describe(j, name, found);
  jinja_fail(j, XT_STATUS_UNSUPPORTED, "the statement %s, which is not understood here", found);
}

/* Up to the tag whose name is one of `ends`, which becomes the present token; NULL: up to the
 * template's end. */
static void run_block(Jinja *j, bool live, const char *const *ends) {
  while (jinja_step(j)) {
    const JinjaToken *token = jinja_token(j);
    const bool on = live && j->flow == JINJA_ON;
    if (token->kind == JINJA_END) {
      if (ends) jinja_fail(j, XT_STATUS_INPUT, "the end, where \"%s\" should be", ends[0]);
      return;
    }
    j->at++;
    if (token->kind == JINJA_TEXT) {
      if (on) text_buffer_add(j->out, j->source + token->at, token->length);
      if (j->out->size > JINJA_OUTPUT_MAX)
        jinja_fail(j, XT_STATUS_UNSUPPORTED, "more than 64 MiB of text");
    } else if (token->kind == JINJA_VALUE_BEGIN) {
      json_t *value = jinja_tuple(j, on);
      if (on && !j->status) jinja_write(j, j->out, value);
      json_decref(value);
      expect_kind(j, JINJA_VALUE_END);
    } else {
      for (size_t i = 0; ends && ends[i]; i++)
        if (jinja_is(j, jinja_token(j), ends[i])) return;
      run_statement(j, on);
    }
  }
}

/* Line ends become "\n", and the last one is not part of the template. */
static xt_status copy_source(const char *template, size_t length, char **out, size_t *size,
                             xt_error *error) {
  TRY(MEM_ALLOC(out, length + 1, error));
  *size = 0;
  for (size_t i = 0; i < length; i++) {
    if (template[i] == '\r') {
      i += i + 1 < length && template[i + 1] == '\n';
      (*out)[(*size)++] = '\n';
    } else {
      (*out)[(*size)++] = template[i];
    }
  }
  *size -= *size && (*out)[*size - 1] == '\n';
  return XT_STATUS_OK;
}

xt_status jinja_render(const char *template, size_t length, json_t *variables, time_t now,
                       const char *file, const char *field, TextBuffer *out, xt_error *error) {
  size_t bad;
  char *source = NULL;
  if (length > JINJA_BYTES_MAX)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, field, -1,
                   "a template of %zu bytes: at most %d are read", length, JINJA_BYTES_MAX);
  if (utf8_valid_prefix(template, length, &bad) < length)
    return err_set(error, XT_STATUS_INPUT, file, field, -1, "the template is not valid UTF-8");
  Jinja j = {.file = file, .field = field, .now = now, .out = out, .error = error};
  j.status = copy_source(template, length, &source, &j.length, error);
  j.source = source;
  if (!j.status) j.scopes[0] = jinja_made(&j, json_copy(variables));
  j.scope_count = j.scopes[0] != NULL;
  if (!j.status) jinja_lex(&j);
  if (!j.status) run_block(&j, true, NULL);
  if (!j.status && out->failed) j.status = err_memory(error, out->size);
  while (j.scope_count) pop_scope(&j);
  free(j.tokens);
  free(j.macros);
  free(source);
  return j.status;
}
