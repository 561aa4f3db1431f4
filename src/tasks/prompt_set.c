/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks/prompt_set.h"

#include <stdio.h>
#include <string.h>

#include "tasks/dataset.h"

static const FieldNames field_names[] = {
    [RAW_XNLI] = {{"premise", "hypothesis"}, {NULL}},
    [RAW_XQUAD] = {{"context", "question"}, {NULL}},
    [RAW_OPINION] = {{"question", "options"}, {"country"}},
    [RAW_XCOPA] = {{"premise", "choice1", "choice2", "question"}, {NULL}},
    [RAW_MKQA] = {{"question"}, {NULL}},
    [RAW_CULTURE] = {{"question", "options"}, {"country"}},
};

const FieldNames *prompt_fields(const TaskEntry *entry) { return &field_names[entry->raw]; }

/* The length of "{name}" at `text`, with *name and *size of what is within; 0: none is there. */
static size_t placeholder(const char *text, const char **name, size_t *size) {
  if (text[0] != '{') return 0;
  *name = text + 1;
  *size = strspn(*name, "abcdefghijklmnopqrstuvwxyz0123456789_");
  return *size && (*name)[*size] == '}' ? *size + 2 : 0;
}

static bool is_named(const char *name, size_t size, const char *wanted) {
  return wanted && strlen(wanted) == size && memcmp(name, wanted, size) == 0;
}

/* `kind` is not NULL for one of XCOPA's two templates, which need not ask for {question}. */
static xt_status check_template(const PromptSet *set, const char *lang, const char *kind,
                                const json_t *value, xt_error *error) {
  const FieldNames *names = prompt_fields(set->entry);
  bool seen[PROMPT_FIELDS_MOST] = {false};
  const char *text = json_string_value(value), *name;
  char field[60];
  size_t size;
  snprintf(field, sizeof field, "%.30s%s%s", lang, kind ? "." : "", kind ? kind : "");
  if (!text || strlen(text) != json_string_length(value) || !text[0])
    return err_set(error, XT_STATUS_INPUT, set->path, field, -1, "is %s, expected a prompt's text",
                   text ? "empty or holds a NUL" : json_type_name(value));
  for (const char *at = text; *at; at++) {
    if (!placeholder(at, &name, &size)) continue;
    bool known = is_named(name, size, names->possible[0]);
    for (size_t i = 0; i < PROMPT_FIELDS_MOST; i++)
      if (is_named(name, size, names->needed[i])) known = seen[i] = true;
    if (!known)
      return err_set(error, XT_STATUS_INPUT, set->path, field, -1,
                     "names {%.*s}, which %s's questions do not have", (int)size, name,
                     set->entry->task.title);
  }
  for (size_t i = 0; i < PROMPT_FIELDS_MOST && names->needed[i]; i++)
    if (!seen[i] && !(kind && strcmp(names->needed[i], "question") == 0))
      return err_set(error, XT_STATUS_INPUT, set->path, field, -1,
                     "has no {%s}; %s's prompts need it", names->needed[i], set->entry->task.title);
  return XT_STATUS_OK;
}

static xt_status check_entry(const PromptSet *set, const char *lang, const json_t *value,
                             xt_error *error) {
  if (set->entry->raw != RAW_XCOPA || !json_is_object(value))
    return check_template(set, lang, NULL, value, error);
  TRY(check_template(set, lang, "cause", json_object_get(value, "cause"), error));
  return check_template(set, lang, "effect", json_object_get(value, "effect"), error);
}

xt_status prompt_set_check(const PromptSet *set, xt_error *error) {
  const char *lang;
  json_t *value;
  json_object_foreach(set->file, lang, value) TRY(check_entry(set, lang, value, error));
  return XT_STATUS_OK;
}

xt_status prompt_set_open(const TaskEntry *entry, const char *path, PromptSet *out,
                          xt_error *error) {
  *out = (PromptSet){.entry = entry, .path = path};
  if (!path) return XT_STATUS_OK;
  TRY(json_parse_file(path, &out->file, error));
  xt_status status = XT_STATUS_OK;
  if (!json_is_object(out->file))
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "is %s, expected an object of a template a language: {\"en\": \"...\"}",
                     json_type_name(out->file));
  if (!status) status = prompt_set_check(out, error);
  if (status) prompt_set_close(out);
  return status;
}

void prompt_set_close(PromptSet *set) {
  json_decref(set->file);
  *set = (PromptSet){0};
}

/* `kind` may be NULL. */
static xt_status find(const PromptSet *set, const char *lang, const char *kind, const char **out,
                      xt_error *error) {
  *out = set->path ? NULL : xt_task_template(&set->entry->task, lang);
  const json_t *value = json_object_get(set->file, lang);
  if (set->path)
    *out = json_string_value(json_is_object(value) && kind ? json_object_get(value, kind) : value);
  if (*out) return XT_STATUS_OK;
  if (set->path)
    return err_set(error, XT_STATUS_INPUT, set->path, lang, -1,
                   "there is no template for this language; leave it out with --lang, or add it");
  return err_set(error, XT_STATUS_ARGUMENT, NULL, "lang", -1,
                 "%s has no template of ours in '%.20s'; give --templates", set->entry->task.title,
                 lang);
}

xt_status prompt_set_fill(const PromptSet *set, const char *lang, const json_t *fields,
                          TextBuffer *out, xt_error *error) {
  const char *text, *name;
  size_t size;
  TRY(find(set, lang, json_string_value(json_object_get(fields, "kind")), &text, error));
  while (*text) {
    const size_t plain = strcspn(text + 1, "{") + 1; /* up to the next brace, if this one does
                                                        not begin a name */
    const size_t length = placeholder(text, &name, &size);
    if (!length) {
      text_buffer_add(out, text, plain);
      text += plain;
      continue;
    }
    char key[40];
    snprintf(key, sizeof key, "%.*s", (int)size, name);
    text_buffer_add_text(out, json_string_value(json_object_get(fields, key)));
    text += length;
  }
  return out->failed ? err_memory(error, out->size) : XT_STATUS_OK;
}

static xt_status option_word(const PromptSet *set, const char *lang, const char *text,
                             const char *label, json_t *words, xt_error *error) {
  char begin[16];
  snprintf(begin, sizeof begin, "(%s)", label);
  for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (strncmp(line, begin, 3) != 0) continue;
    size_t length = strcspn(line, "\n");
    while (strchr(" \t\r", line[length - 1])) length--; /* ends at the parenthesis at last */
    if (length == 3) break;
    if (line[3] == ' ') {
      line += 4;
      length -= 4;
    }
    return json_object_set_new(words, label, json_stringn(line, length)) == 0
               ? XT_STATUS_OK
               : err_memory(error, length);
  }
  return err_set(error, XT_STATUS_INPUT, set->path, lang, -1,
                 "has no line that begins with (%s) and names that option; %s's prompts need it",
                 label, set->entry->task.title);
}

xt_status prompt_set_words(const PromptSet *set, const char *lang, json_t **out, xt_error *error) {
  const char *text;
  char label[12];
  TRY(find(set, lang, NULL, &text, error));
  *out = json_object();
  xt_status status = *out ? XT_STATUS_OK : err_memory(error, 0);
  for (int i = 1; i <= set->entry->options && !status; i++) {
    snprintf(label, sizeof label, "%d", i);
    status = option_word(set, lang, text, label, *out, error);
  }
  if (!status) return status;
  json_decref(*out);
  *out = NULL;
  return status;
}
