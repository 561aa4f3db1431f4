/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks/raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/text_buffer.h"
#include "tasks/dataset.h"
#include "text/json_lines.h"
#include "text/text_file.h"

/* ---- translations of the cultures' questions ------------------------------------------------- */

xt_status raw_translation_line(const json_t *item, json_t **out, xt_error *error) {
  json_t *line = json_object();
  json_t *choices = json_object_get(item, "choices");
  const json_t *fields = json_object_get(item, "fields");
  bool ok = line && json_object_set(line, "id", json_object_get(item, "id")) == 0;
  ok = ok && json_object_set(line, "question", json_object_get(fields, "question")) == 0;
  ok = ok && json_object_set(line, "options", choices) == 0;
  ok = ok && json_object_set(line, "country", json_object_get(fields, "country")) == 0;
  *out = line;
  if (ok) return XT_STATUS_OK;
  json_decref(line);
  *out = NULL;
  return err_memory(error, 0);
}

/* The fields of one line, checked against the item it translates. */
static xt_status translated_fields(const json_t *line, const json_t *item, const char *path,
                                   size_t number, json_t **out, xt_error *error) {
  const char *question, *country;
  const json_t *options = json_object_get(line, "options");
  const size_t wanted = json_array_size(json_object_get(item, "choices"));
  size_t i;
  json_t *option;
  char *text;
  TRY(raw_text(line, "question", path, number, &question, error));
  TRY(raw_text(line, "country", path, number, &country, error));
  if (!json_is_array(options) || json_array_size(options) != wanted)
    return text_line_error(error, path, number,
                           "\"options\" is %s of %zu, expected an array of %zu strings",
                           json_type_name(options), json_array_size(options), wanted);
  json_array_foreach(options, i, option) if (!json_is_string(option)) return text_line_error(
      error, path, number, "item %zu of \"options\" is %s, expected a string", i,
      json_type_name(option));
  TRY(raw_lettered(options, &text, error));
  const RawField fields[] = {{"question", question}, {"country", country}, {"options", text}};
  json_t *made = raw_item("", NULL, fields, 3);
  free(text);
  *out = json_incref(json_object_get(made, "fields"));
  json_decref(made);
  return *out ? XT_STATUS_OK : err_memory(error, 0);
}

/* The lines' places in the array, from 1, by id. */
static xt_status index_lines(const JsonLines *lines, const char *path, json_t **out,
                             xt_error *error) {
  size_t i;
  json_t *line;
  const char *id;
  *out = json_object();
  if (!*out) return err_memory(error, 0);
  json_array_foreach(lines->values, i, line) {
    const size_t number = lines->number[i];
    TRY(raw_text(line, "id", path, number, &id, error));
    if (json_object_get(*out, id))
      return text_line_error(error, path, number, "\"id\": '%.60s' came before", id);
    if (json_object_set_new(*out, id, json_integer((json_int_t)i + 1)) != 0)
      return err_memory(error, 0);
  }
  return XT_STATUS_OK;
}

static xt_status translate(const char *path, const char *lang, const json_t *items, json_t *sources,
                           xt_error *error) {
  JsonLines lines = {0};
  json_t *places = NULL, *item;
  size_t i;
  xt_status status;
  TRY_DONE(json_lines_read(path, &lines, error));
  TRY_DONE(index_lines(&lines, path, &places, error));
  json_array_foreach(items, i, item) {
    const char *id = json_string_value(json_object_get(item, "id"));
    const size_t place = (size_t)json_integer_value(json_object_get(places, id));
    json_t *fields;
    if (!place) {
      status = err_set(error, XT_STATUS_INPUT, path, "id", -1,
                       "no line has '%.60s'; every question needs its translation", id);
      goto done;
    }
    TRY_DONE(translated_fields(json_array_get(lines.values, place - 1), item, path,
                               lines.number[place - 1], &fields, error));
    TRY_DONE(raw_add(sources, lang, fields, error));
  }
  status = XT_STATUS_OK;
done:
  json_decref(places);
  json_lines_free(&lines);
  return status;
}

/* English is its own translation. */
static xt_status add_english(const json_t *items, json_t *sources, xt_error *error) {
  size_t i;
  json_t *item;
  json_array_foreach(items, i, item)
      TRY(raw_add(sources, TASK_PIVOT, json_incref(json_object_get(item, "fields")), error));
  return XT_STATUS_OK;
}

static xt_status translate_all(const RawOptions *options, RawSet *set, xt_error *error) {
  for (size_t i = 0; options->languages[i]; i++) {
    const char *lang = options->languages[i];
    const json_t *items = json_object_get(set->items, lang);
    if (strcmp(lang, TASK_PIVOT) == 0) {
      TRY(add_english(items, set->sources, error));
    } else if (options->translations) {
      char name[80], *path;
      snprintf(name, sizeof name, "%.60s.jsonl", lang);
      TRY(file_join(options->translations, name, &path, error));
      const xt_status status = translate(path, lang, items, set->sources, error);
      free(path);
      if (status) return status;
    }
  }
  return XT_STATUS_OK;
}

/* ---- all of a benchmark ---------------------------------------------------------------------- */

static xt_status check_counts(const TaskEntry *entry, const RawOptions *options, const RawSet *set,
                              xt_error *error) {
  const char *first = options->languages[0];
  const size_t expected = json_array_size(json_object_get(set->items, first));
  for (size_t i = 0; options->languages[i]; i++) {
    const char *lang = options->languages[i];
    const size_t count = json_array_size(json_object_get(set->items, lang));
    if (count == 0)
      return err_set(error, XT_STATUS_INPUT, options->directory, NULL, -1,
                     "has no question in '%.20s' that %s can ask", lang, entry->task.title);
    if (entry->task.direction == XT_DIRECTION_TO_LANGUAGE && count != expected)
      return err_set(
          error, XT_STATUS_INPUT, options->directory, NULL, -1,
          "has %zu questions in '%.20s' and %zu in '%.20s'; they should be the same questions",
          count, lang, expected, first);
  }
  return XT_STATUS_OK;
}

xt_status raw_read(const TaskEntry *entry, const RawOptions *options, RawSet *out,
                   xt_error *error) {
  static xt_status (*const readers[])(const RawOptions *, RawSet *, xt_error *) = {
      [RAW_XNLI] = raw_read_xnli,   [RAW_XQUAD] = raw_read_xquad, [RAW_OPINION] = raw_read_opinion,
      [RAW_XCOPA] = raw_read_xcopa, [RAW_MKQA] = raw_read_mkqa,   [RAW_CULTURE] = raw_read_culture,
  };
  *out = (RawSet){.items = json_object(), .sources = json_object()};
  xt_status status = out->items && out->sources ? XT_STATUS_OK : err_memory(error, 0);
  if (!status) status = readers[entry->raw](options, out, error);
  if (!status) status = check_counts(entry, options, out, error);
  if (!status && entry->task.direction == XT_DIRECTION_FROM_LANGUAGE)
    status = translate_all(options, out, error);
  if (status) raw_free(out);
  return status;
}

void raw_free(RawSet *set) {
  json_decref(set->items);
  json_decref(set->sources);
  *set = (RawSet){0};
}
