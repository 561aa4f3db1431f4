/* SPDX-License-Identifier: Apache-2.0 */
/* A prompt that contains all fields of a question becomes a candidate for the template when the
 * fields are replaced by their names. A field may also occur by chance, so that each of the first
 * prompts has a vote. */
#include "tasks/derive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tasks/dataset.h"
#include "text/json_lines.h"
#include "text/text_file.h"

#define VOTERS 60 /* prompts that choose a template */
#define FIELDS_MOST (PROMPT_FIELDS_MOST + 1)
#define PIECES_MOST (2 * FIELDS_MOST + 1)

typedef struct Derive {
  const TaskEntry *entry;
  const char *directory;
  const char *const *languages;
  const RawSet *set;
  const xt_pilotset_options *options;
  PromptSet *prompts;
  xt_pilotset_info *info;
} Derive;

/* ---- one prompt as a template ---------------------------------------------------------------- */

/* A piece of a prompt: its own text, or a field's value and name. */
typedef struct Piece {
  const char *text, *field;
  size_t size;
} Piece;

typedef struct Pieces {
  Piece at[PIECES_MOST];
  size_t count;
} Pieces;

/* The first place of `part` (not empty) in `text`, or NULL. */
static const char *find_bytes(const char *text, size_t size, const char *part, size_t length) {
  const char *end = text + size;
  for (const char *at = text; (size_t)(end - at) >= length; at++) {
    at = memchr(at, part[0], (size_t)(end - at) - length + 1);
    if (!at || memcmp(at, part, length) == 0) return at;
  }
  return NULL;
}

/* Splits the first piece that contains the value. */
static bool place_field(Pieces *p, const char *name, const char *value) {
  const size_t length = strlen(value);
  for (size_t i = 0; i < p->count; i++) {
    const Piece whole = p->at[i];
    const char *found =
        whole.field || !length ? NULL : find_bytes(whole.text, whole.size, value, length);
    if (!found) continue;
    const size_t before = (size_t)(found - whole.text);
    memmove(p->at + i + 3, p->at + i + 1, (p->count - i - 1) * sizeof *p->at);
    p->at[i] = (Piece){whole.text, NULL, before};
    p->at[i + 1] = (Piece){found, name, length};
    p->at[i + 2] = (Piece){found + length, NULL, whole.size - before - length};
    p->count += 2;
    return true;
  }
  return false;
}

/* The fields that the task's prompts may have, the longest values first, because a short one may
 * occur within a long one. */
static size_t order_fields(const FieldNames *names, const json_t *fields,
                           const char *out[FIELDS_MOST]) {
  size_t count = 0;
  for (size_t i = 0; i < FIELDS_MOST; i++) {
    const char *name = i < PROMPT_FIELDS_MOST ? names->needed[i] : names->possible[0];
    if (!name) continue;
    const size_t length = json_string_length(json_object_get(fields, name));
    size_t at = count++;
    for (; at > 0 && json_string_length(json_object_get(fields, out[at - 1])) < length; at--)
      out[at] = out[at - 1];
    out[at] = name;
  }
  return count;
}

/* Appends the template that the prompt has if it asks this question; false: it does not contain all
 * fields that are needed. */
static bool as_template(const TaskEntry *entry, const char *prompt, const json_t *fields,
                        TextBuffer *out) {
  const FieldNames *names = prompt_fields(entry);
  const char *order[FIELDS_MOST];
  const size_t count = order_fields(names, fields, order);
  Pieces pieces = {.at = {{prompt, NULL, strlen(prompt)}}, .count = 1};
  for (size_t i = 0; i < count; i++) {
    const char *value = json_string_value(json_object_get(fields, order[i]));
    const bool placed = value && place_field(&pieces, order[i], value);
    if (!placed && order[i] != names->possible[0]) return false;
  }
  for (size_t i = 0; i < pieces.count; i++) {
    if (pieces.at[i].field)
      text_buffer_format(out, "{%s}", pieces.at[i].field);
    else
      text_buffer_add(out, pieces.at[i].text, pieces.at[i].size);
  }
  return true;
}

/* ---- the released files ---------------------------------------------------------------------- */

/* A language's released prompts. */
typedef struct Released {
  char *path;
  JsonLines lines;
} Released;

static void released_close(Released *r) {
  json_lines_free(&r->lines);
  free(r->path);
  *r = (Released){0};
}

/* The places of a release's prompts; every %s is the task's title. */
static const char *const places[] = {"split/", "%s_sample/split/", "%s_unseen/split/",
                                     "%s/%s_sample/split/", "%s/%s_unseen/split/"};
#define PLACES (sizeof places / sizeof *places)

/* The file in the place-th folder; `path` NULL: there is none. */
static xt_status released_open(const Derive *d, size_t place, const char *lang, Released *out,
                               xt_error *error) {
  TextBuffer name = {0};
  *out = (Released){0};
  for (const char *at = places[place]; *at;) {
    const size_t plain = strcspn(at, "%");
    text_buffer_add(&name, at, plain);
    at += plain;
    if (!*at) break;
    text_buffer_add_text(&name, d->entry->task.title);
    at += 2;
  }
  const char *percent = strstr(d->entry->file, "%s"); /* the table's pattern, not a format */
  text_buffer_add(&name, d->entry->file, (size_t)(percent - d->entry->file));
  text_buffer_format(&name, "%s%s", lang, percent + 2);
  xt_status status = name.failed ? err_memory(error, name.size)
                                 : raw_find(d->directory, name.data, &out->path, error);
  text_buffer_free(&name);
  if (!status && out->path) status = json_lines_read(out->path, &out->lines, error);
  if (status) released_close(out);
  return status;
}

static xt_status released_prompt(const Released *r, size_t i, const char **out, xt_error *error) {
  const json_t *line = json_array_get(r->lines.values, i),
               *prompt = json_is_object(line) ? json_object_get(line, "input_text") : line;
  *out = json_string_value(prompt);
  if (*out && strlen(*out) == json_string_length(prompt)) return XT_STATUS_OK;
  return text_line_error(error, r->path, r->lines.number[i],
                         "is %s, expected a prompt: a JSON string",
                         *out ? "a string with a NUL" : json_type_name(prompt));
}

/* ---- a template by vote ---------------------------------------------------------------------- */

/* The votes of the first prompts of a file, by template. */
static xt_status vote(const Derive *d, const Released *r, const json_t *items, size_t *voters,
                      json_t *votes, xt_error *error) {
  for (size_t i = 0; i < json_array_size(r->lines.values) && *voters < VOTERS; i++, ++*voters) {
    const char *prompt;
    size_t k;
    json_t *item;
    TRY(released_prompt(r, i, &prompt, error));
    json_array_foreach(items, k, item) {
      TextBuffer text = {0};
      if (as_template(d->entry, prompt, json_object_get(item, "fields"), &text)) {
        const json_int_t before =
            text.failed ? 0 : json_integer_value(json_object_get(votes, text.data));
        if (text.failed || json_object_set_new(votes, text.data, json_integer(before + 1)) != 0) {
          text_buffer_free(&text);
          return err_memory(error, 0);
        }
      }
      text_buffer_free(&text);
    }
  }
  return XT_STATUS_OK;
}

/* The template with the most votes; the first of several. NULL: there are none. */
static const char *most_votes(const json_t *votes) {
  const char *text, *best = NULL;
  json_t *count;
  json_int_t most = 0;
  json_object_foreach((json_t *)(uintptr_t)votes, text,
                      count) if (json_integer_value(count) > most) {
    most = json_integer_value(count);
    best = text;
  }
  return best;
}

/* Chooses the template `name` by the prompts of these languages, and adds it to the set. */
static xt_status choose(const Derive *d, const char *name, const char *const *languages,
                        size_t count, xt_error *error) {
  json_t *votes = json_object();
  bool found = false;
  xt_status status = votes ? XT_STATUS_OK : err_memory(error, 0);
  for (size_t i = 0; i < count && !status; i++) {
    size_t voters = 0;
    for (size_t place = 0; place < PLACES && !status; place++) {
      Released r;
      status = released_open(d, place, languages[i], &r, error);
      found = found || (!status && r.path);
      if (!status && r.path)
        status = vote(d, &r, json_object_get(d->set->items, languages[i]), &voters, votes, error);
      released_close(&r);
    }
  }
  const char *best = most_votes(votes);
  if (!status && !found)
    status = err_set(error, XT_STATUS_INPUT, d->directory, name, -1,
                     "has no released prompts of this language; expected the folder %s_sample or "
                     "%s_unseen, or a folder split, with its file",
                     d->entry->task.title, d->entry->task.title);
  else if (!status && !best)
    status = err_set(error, XT_STATUS_INPUT, d->directory, name, -1,
                     "none of its first prompts holds the texts of a question of the raw data; are "
                     "both the same benchmark and part?");
  if (!status && json_object_set_new(d->prompts->file, name, json_string(best)) != 0)
    status = err_memory(error, 0);
  json_decref(votes);
  return status;
}

/* ---- every prompt checked -------------------------------------------------------------------- */

/* All prompts that the template makes of a language's questions, as the keys of an object. */
static xt_status make_all(const Derive *d, const char *name, const json_t *items, json_t *made,
                          xt_error *error) {
  size_t i;
  json_t *item;
  json_array_foreach(items, i, item) {
    TextBuffer text = {0};
    xt_status status =
        prompt_set_fill(d->prompts, name, json_object_get(item, "fields"), &text, error);
    if (!status && json_object_set_new(made, text.data, json_true()) != 0)
      status = err_memory(error, text.size);
    text_buffer_free(&text);
    if (status) return status;
  }
  return XT_STATUS_OK;
}

/* Whether the prompt begins and ends as the template does. */
static bool same_words(const char *template, const char *prompt) {
  const size_t size = strlen(prompt), begin = strcspn(template, "{");
  const char *last = strrchr(template, '}');
  const size_t end = last ? strlen(last + 1) : 0;
  return size >= begin + end && memcmp(prompt, template, begin) == 0 &&
         (!last || memcmp(prompt + size - end, last + 1, end) == 0);
}

static xt_status check_file(const Derive *d, const Released *r, const char *name,
                            const json_t *made, xt_error *error) {
  for (size_t i = 0; i < json_array_size(r->lines.values); i++) {
    const char *prompt;
    TRY(released_prompt(r, i, &prompt, error));
    d->info->checked++;
    if (json_object_get(made, prompt)) continue;
    d->info->misfits++;
    const char *template = json_string_value(json_object_get(d->prompts->file, name));
    if (d->options->misfit)
      d->options->misfit(d->options->user, r->path, r->lines.number[i],
                         same_words(template, prompt)
                             ? "begins and ends as the others do, and no question of the raw data "
                               "has the texts between"
                             : "has other words around its texts than the others");
  }
  return XT_STATUS_OK;
}

static xt_status check_language(const Derive *d, const char *name, const char *lang,
                                xt_error *error) {
  json_t *made = json_object();
  xt_status status = made ? make_all(d, name, json_object_get(d->set->items, lang), made, error)
                          : err_memory(error, 0);
  for (size_t place = 0; place < PLACES && !status; place++) {
    Released r;
    status = released_open(d, place, lang, &r, error);
    if (!status && r.path) status = check_file(d, &r, name, made, error);
    released_close(&r);
  }
  json_decref(made);
  return status;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Prompts about cultures are English, so that all of them vote for one template. */
static xt_status derive_all(const Derive *d, xt_error *error) {
  size_t count = 0;
  while (d->languages[count]) count++;
  const bool one = d->entry->task.direction == XT_DIRECTION_FROM_LANGUAGE;
  if (one) TRY(choose(d, TASK_PIVOT, d->languages, count, error));
  for (size_t i = 0; i < count && !one; i++)
    TRY(choose(d, d->languages[i], &d->languages[i], 1, error));
  d->info->templates = json_object_size(d->prompts->file);
  TRY(prompt_set_check(d->prompts, error));
  for (size_t i = 0; i < count; i++)
    TRY(check_language(d, one ? TASK_PIVOT : d->languages[i], d->languages[i], error));
  return XT_STATUS_OK;
}

xt_status derive_templates(const TaskEntry *entry, const char *directory,
                           const char *const *languages, const RawSet *set,
                           const xt_pilotset_options *options, PromptSet *out,
                           xt_pilotset_info *info, xt_error *error) {
  const Derive d = {entry, directory, languages, set, options, out, info};
  *out = (PromptSet){.entry = entry, .path = directory, .file = json_object()};
  if (entry->raw == RAW_XCOPA)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "templates_from", -1,
                   "%s's prompts were not released, and each has words for cause or effect that "
                   "are no text of its question",
                   entry->task.title);
  if (!out->file) return err_memory(error, 0);
  return derive_all(&d, error);
}
