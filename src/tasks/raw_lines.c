/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks published as JSON lines: XCOPA, a file per language, and MKQA, a file of all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "tasks/dataset.h"
#include "tasks/raw.h"
#include "text/json_lines.h"
#include "text/text_file.h"

/* ---- XCOPA: <language>/test.<language>.jsonl ------------------------------------------------- */

/* One line as an item whose prompt is in `lang`. */
static xt_status copa_item(const json_t *line, const char *lang, const char *path, size_t number,
                           json_t **out, xt_error *error) {
  const char *premise, *first, *second, *kind;
  char id[24];
  TRY(raw_text(line, "premise", path, number, &premise, error));
  TRY(raw_text(line, "choice1", path, number, &first, error));
  TRY(raw_text(line, "choice2", path, number, &second, error));
  TRY(raw_text(line, "question", path, number, &kind, error));
  const json_t *label = json_object_get(line, "label");
  const json_int_t right = json_integer_value(label);
  if (!json_is_integer(label) || right < 0 || right > 1)
    return text_line_error(error, path, number, "\"label\" is not 0 or 1");
  const char *relation = template_relation(kind, lang);
  if (!relation)
    return text_line_error(error, path, number, "\"question\" is '%.40s', expected cause or effect",
                           kind);
  snprintf(id, sizeof id, "%zu", number - 1);
  const RawField fields[] = {{"premise", premise},
                             {"choice1", first},
                             {"choice2", second},
                             {"question", relation},
                             {"kind", kind}};
  *out = raw_item(id, right ? "2" : "1", fields, 5);
  return *out ? XT_STATUS_OK : err_memory(error, 0);
}

static xt_status copa_lines(const char *path, const char *lang, json_t **items, xt_error *error) {
  JsonLines lines;
  json_t *line;
  size_t i;
  TRY(json_lines_read(path, &lines, error));
  *items = json_array();
  xt_status status = *items ? XT_STATUS_OK : err_memory(error, 0);
  json_array_foreach(lines.values, i, line) {
    json_t *item = NULL;
    if (!status) status = copa_item(line, lang, path, lines.number[i], &item, error);
    if (!status && json_array_append(*items, item) != 0) status = err_memory(error, 0);
    json_decref(item);
  }
  json_lines_free(&lines);
  if (status) {
    json_decref(*items);
    *items = NULL;
  }
  return status;
}

/* `path` of a language's file under one of the folders, or NULL. */
static xt_status copa_path(const char *const *folders, const char *split, const char *lang,
                           char **path, xt_error *error) {
  char name[200];
  *path = NULL;
  for (size_t i = 0; i < 2 && !*path; i++) {
    if (!folders[i]) continue;
    snprintf(name, sizeof name, "%.20s/%.40s.%.20s.jsonl", lang, split, lang);
    TRY(raw_find(folders[i], name, path, error));
  }
  return XT_STATUS_OK;
}

/* The English of a language's own file: the same questions, whose answers are the same. */
static xt_status copa_english(const char *path, const char *lang, const json_t *items,
                              json_t *sources, xt_error *error) {
  json_t *english, *item;
  size_t i;
  TRY(copa_lines(path, TASK_PIVOT, &english, error));
  xt_status status = XT_STATUS_OK;
  if (json_array_size(english) != json_array_size(items))
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "has %zu lines, and the language's own file has %zu", json_array_size(english),
                     json_array_size(items));
  json_array_foreach(english, i, item) if (!status) status =
      raw_add(sources, lang, json_incref(json_object_get(item, "fields")), error);
  json_decref(english);
  return status;
}

/* The file of the language's questions: of English the one of another language's translation, where
 * that is asked for. */
static xt_status copa_questions(const RawOptions *options, const char *const *own,
                                const char *const *english, const char *lang, char **path,
                                xt_error *error) {
  const bool is_english = strcmp(lang, TASK_PIVOT) == 0;
  if (is_english && options->english) {
    TRY(copa_path(english, options->split, options->english, path, error));
    if (*path) return XT_STATUS_OK;
    return err_set(error, XT_STATUS_INPUT, english[0] ? english[0] : options->directory, NULL, -1,
                   "has no %s%.20s/%.40s.%.20s.jsonl with the English of that language's file",
                   english[0] ? "" : "data-gmt/", options->english, options->split,
                   options->english);
  }
  TRY(copa_path(own, options->split, lang, path, error));
  if (!*path && is_english)
    return err_set(error, XT_STATUS_INPUT, options->directory, NULL, -1,
                   "has no %s/%.40s.%s.jsonl: XCOPA has no English file. Take a translation of "
                   "another (--english zh), put one there, or leave English out with --lang",
                   lang, options->split, lang);
  return XT_STATUS_OK;
}

static xt_status copa_language(const RawOptions *options, const char *const *own,
                               const char *const *english, const char *lang, RawSet *out,
                               xt_error *error) {
  char *path;
  json_t *items = NULL;
  TRY(copa_questions(options, own, english, lang, &path, error));
  if (!path)
    return err_set(error, XT_STATUS_INPUT, options->directory, NULL, -1,
                   "has no %.20s/%.40s.%.20s.jsonl, nor has its folder data", lang, options->split,
                   lang);
  xt_status status = copa_lines(path, lang, &items, error);
  free(path);
  if (status) return status;
  if (json_object_set_new(out->items, lang, items) != 0) return err_memory(error, 0);
  if (strcmp(lang, TASK_PIVOT) == 0 || options->english) return XT_STATUS_OK;
  TRY(copa_path(english, options->split, lang, &path, error));
  if (!path && options->translations)
    return err_set(error, XT_STATUS_INPUT, options->translations, NULL, -1,
                   "has no %.20s/%.40s.%.20s.jsonl with the English of that language's file", lang,
                   options->split, lang);
  if (path) status = copa_english(path, lang, items, out->sources, error);
  free(path);
  return status;
}

xt_status raw_read_xcopa(const RawOptions *options, RawSet *out, xt_error *error) {
  char *data = NULL, *machine = NULL; /* the folders of XCOPA's repository */
  xt_status status = file_join(options->directory, "data", &data, error);
  if (!status) status = file_join(options->directory, "data-gmt", &machine, error);
  const char *const own[] = {options->directory, data};
  const char *const english[] = {options->translations, options->translations ? NULL : machine};
  for (size_t i = 0; options->languages[i] && !status; i++)
    status = copa_language(options, own, english, options->languages[i], out, error);
  free(data);
  free(machine);
  return status;
}

/* ---- MKQA: mkqa.jsonl[.gz] ------------------------------------------------------------------- */

/* The file's name of a language. */
static const char *mkqa_key(const char *lang) { return strcmp(lang, "zh") == 0 ? "zh_cn" : lang; }

/* Adds a text that could be found in a response, unless it is present already; false: memory ran
 * out. */
static bool mkqa_add(json_t *answers, const json_t *text) {
  const char *value = json_string_value(text);
  const json_t *known;
  size_t i;
  if (!value || !value[0]) return true;
  json_array_foreach(answers, i,
                     known) if (strcmp(json_string_value(known), value) == 0) return true;
  return json_array_append(answers, (json_t *)(uintptr_t)text) == 0;
}

/* The texts of all answers in a language, and the aliases of those that have a text; owned by the
 * caller, NULL: memory ran out. */
static json_t *mkqa_answers(const json_t *line, const char *key) {
  const json_t *answer, *alias;
  json_t *out = json_array();
  bool ok = out;
  size_t i, k;
  json_array_foreach(json_object_get(json_object_get(line, "answers"), key), i, answer) {
    const char *text = json_string_value(json_object_get(answer, "text"));
    if (!text || !text[0]) continue;
    ok = ok && mkqa_add(out, json_object_get(answer, "text"));
    json_array_foreach(json_object_get(answer, "aliases"), k, alias) ok =
        ok && mkqa_add(out, alias);
  }
  if (ok) return out;
  json_decref(out);
  return NULL;
}

/* One answer is a string, several are an array. */
static json_t *mkqa_item(const char *id, const char *question, json_t *answers) {
  const RawField fields[] = {{"question", question}};
  json_t *item = raw_item(id, NULL, fields, 1),
         *gold = json_array_size(answers) == 1 ? json_array_get(answers, 0) : answers;
  if (item && json_object_set(item, "gold", gold) == 0) return item;
  json_decref(item);
  return NULL;
}

static xt_status mkqa_line(const RawOptions *options, const json_t *line, const char *path,
                           size_t number, RawSet *out, xt_error *error) {
  const json_t *queries = json_object_get(line, "queries"),
               *answers = json_object_get(line, "answers"),
               *named = json_object_get(line, "example_id");
  char id[40];
  if (!json_is_object(queries) || !json_is_object(answers))
    return text_line_error(
        error, path, number,
        "has no objects \"queries\" and \"answers\"; expected a line of mkqa.jsonl");
  if (json_is_integer(named))
    snprintf(id, sizeof id, "%lld", (long long)json_integer_value(named));
  else
    snprintf(id, sizeof id, "%zu", number - 1);
  bool answered = true;
  for (size_t i = 0; options->languages[i]; i++) {
    const char *key = mkqa_key(options->languages[i]);
    if (!json_is_array(json_object_get(answers, key)))
      return text_line_error(error, path, number, "\"answers\" has no array \"%s\"", key);
    json_t *texts = mkqa_answers(line, key);
    if (!texts) return err_memory(error, 0);
    answered = answered && json_array_size(texts) > 0;
    json_decref(texts);
  }
  if (!answered) { /* the same for all languages, whose lines stay parallel */
    out->left_out++;
    return XT_STATUS_OK;
  }
  for (size_t i = 0; options->languages[i]; i++) {
    const char *lang = options->languages[i], *question;
    TRY(raw_text(queries, mkqa_key(lang), path, number, &question, error));
    json_t *texts = mkqa_answers(line, mkqa_key(lang));
    const xt_status status = texts
                                 ? raw_add(out->items, lang, mkqa_item(id, question, texts), error)
                                 : err_memory(error, 0);
    json_decref(texts);
    TRY(status);
  }
  return XT_STATUS_OK;
}

xt_status raw_read_mkqa(const RawOptions *options, RawSet *out, xt_error *error) {
  static const char *const names[] = {"mkqa.jsonl", "mkqa.jsonl.gz", "dataset/mkqa.jsonl.gz"};
  char *path;
  JsonLines lines;
  json_t *line;
  size_t i;
  TRY(raw_locate(options->directory, names, 3, &path, error));
  xt_status status = json_lines_read(path, &lines, error);
  if (!status) {
    json_array_foreach(lines.values, i, line) if (!status) status =
        mkqa_line(options, line, path, lines.number[i], out, error);
    json_lines_free(&lines);
  }
  free(path);
  return status;
}
