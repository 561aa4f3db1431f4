/* SPDX-License-Identifier: Apache-2.0 */
/* A user's own pairs of prompts: JSON lines {"id", "lang", "source", "target", "gold", "task"}. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/text_buffer.h"
#include "tasks/dataset.h"
#include "tasks/task_table.h"
#include "text/json_lines.h"
#include "text/text_file.h"

/* A string member that may be absent; then *out keeps its default. */
static xt_status get_text(xt_dataset *d, const json_t *line, const char *key, const char *path,
                          size_t number, const char **out, xt_error *error) {
  const json_t *value = json_object_get(line, key);
  char what[40];
  if (!value || json_is_null(value)) return XT_STATUS_OK;
  snprintf(what, sizeof what, "\"%s\"", key);
  return dataset_copy_text(d, value, path, number, what, out, error);
}

/* The line's own, else its place among the lines. */
static xt_status get_id(xt_dataset *d, const json_t *line, const char *path, size_t number,
                        size_t place, const char **out, xt_error *error) {
  const json_t *id = json_object_get(line, "id");
  char text[32];
  if (json_is_string(id)) return dataset_copy_text(d, id, path, number, "\"id\"", out, error);
  if (id && !json_is_null(id) && !json_is_integer(id))
    return text_line_error(error, path, number, "\"id\" is %s, expected a string or an integer",
                           json_type_name(id));
  snprintf(text, sizeof text, "%lld",
           json_is_integer(id) ? (long long)json_integer_value(id) : (long long)place);
  return dataset_copy(d, text, out, error);
}

/* Checks that scoring will have what it needs, so that a long run does not end in an error. */
static xt_status check_gold(xt_dataset *d, xt_question *q, const char *path, size_t number,
                            xt_error *error) {
  const xt_task *task = xt_task_find(q->task);
  xt_error inner;
  bool correct;
  if (!task && q->task[0]) {
    char have[160] = "";
    for (size_t i = 0; xt_task_get(i) && strlen(have) < 120; i++) {
      if (text_same_letters(q->task, xt_task_get(i)->name))
        return text_line_error(error, path, number, "\"task\": '%.40s' is written \"%s\"", q->task,
                               xt_task_get(i)->name);
      if (i) strcat(have, ", ");
      strncat(have, xt_task_get(i)->name, 30);
    }
    return text_line_error(error, path, number,
                           "\"task\": '%.40s' is no task whose responses can be scored; leave "
                           "it out, or give one of %s",
                           q->task, have);
  }
  if (!task || !q->gold) return XT_STATUS_OK;
  xt_status status =
      dataset_copy_choices(d, task, NULL, q->lang, &q->choices, &q->choice_count, &inner);
  if (!status)
    status = xt_task_score(task, q->choices, q->choice_count, "", 0, q->gold, &correct, &inner);
  if (status == XT_STATUS_INPUT)
    return text_line_error(error, path, number, "\"%s\": %s", inner.field, inner.message);
  if (status && error) *error = inner;
  return status;
}

/* Reports the languages that exist, when no line has a requested one. */
static xt_status refuse_languages(const json_t *lines, const char *path, xt_error *error) {
  char have[300] = "";
  json_t *seen = json_object();
  for (size_t i = 0; seen && i < json_array_size(lines); i++) {
    const char *lang = json_string_value(json_object_get(json_array_get(lines, i), "lang"));
    if (!lang || json_object_get(seen, lang)) continue;
    json_object_set_new(seen, lang, json_true());
    const size_t used = strlen(have);
    snprintf(have + used, sizeof have - used, "%s%.20s", used ? " " : "", lang);
  }
  json_decref(seen);
  return err_set(error, XT_STATUS_INPUT, path, NULL, -1, "has no line of these languages; %s%s",
                 have[0] ? "it has " : "no line names its language", have);
}

static xt_status ask_reasoning(xt_dataset *d, xt_question *q, const char *path, size_t number,
                               xt_error *error) {
  xt_error inner;
  const xt_status status = dataset_ask_reasoning(d, q, &inner);
  if (status == XT_STATUS_INPUT)
    return text_line_error(error, path, number, "\"%s\": %s", inner.field, inner.message);
  if (status && error) *error = inner;
  return status;
}

/* What is read, line by line. */
typedef struct Reader {
  xt_dataset *dataset;
  const xt_dataset_options *options;
  const char *path;
  JsonLines lines;
  json_t *seen;  /* from a question's id, languages and task to its line's place */
  json_t *taken; /* from a language to how many of its questions were taken, where there is a
                    limit */
} Reader;

static bool wanted(const xt_dataset_options *o, const char *lang) {
  for (size_t i = 0; o->languages && i < o->language_count; i++)
    if (strcmp(o->languages[i], lang) == 0) return true;
  return !o->languages;
}

static bool same_member(const json_t *a, const json_t *b, const char *key) {
  const json_t *one = json_object_get(a, key), *two = json_object_get(b, key);
  if (json_is_null(one)) one = NULL;
  if (json_is_null(two)) two = NULL;
  return one == two || json_equal(one, two);
}

/* Whether an earlier line asks the same question. A different question with the same id, languages
 * and task is an error, because results and exports could not distinguish the two. */
static xt_status find_repeat(Reader *r, size_t i, const xt_question *q, bool *repeat,
                             xt_error *error) {
  TextBuffer name = {0};
  xt_dataset *d = r->dataset;
  text_buffer_format(&name, "%s\x1f%s\x1f%s\x1f%s", q->id, q->lang, q->source_lang, q->task);
  if (name.failed) return err_memory(error, name.size);
  const json_t *before = json_object_get(r->seen, name.data),
               *line = json_array_get(r->lines.values, i);
  *repeat = before != NULL;
  xt_status status = XT_STATUS_OK;
  if (!before) {
    if (json_object_set_new(r->seen, name.data, json_integer((json_int_t)i)) != 0)
      status = err_memory(error, name.size);
  } else {
    const size_t at = (size_t)json_integer_value(before), first = r->lines.number[at],
                 number = r->lines.number[i];
    const json_t *earlier = json_array_get(r->lines.values, at);
    if (d->repeats++ == 0) d->repeat_line = number, d->repeat_of = first;
    if (!same_member(line, earlier, "source") || !same_member(line, earlier, "target") ||
        !same_member(line, earlier, "gold") || !same_member(line, earlier, "sources"))
      status = text_line_error(
          error, r->path, number,
          "\"id\": '%.60s' is line %zu's too, which asks another question; give each its own id",
          q->id, first);
  }
  text_buffer_free(&name);
  return status;
}

/* *enough: the limit is reached without this question. */
static xt_status count_language(Reader *r, const char *lang, bool *enough, xt_error *error) {
  const json_int_t before = json_integer_value(json_object_get(r->taken, lang));
  *enough = (uint64_t)before >= r->options->limit;
  if (*enough || json_object_set_new(r->taken, lang, json_integer(before + 1)) == 0)
    return XT_STATUS_OK;
  return err_memory(error, 0);
}

/* The source prompts of the languages that are asked for: members of "sources", and the line's own
 * source prompt where that is in the language. */
static xt_status get_sources(xt_dataset *d, const json_t *line, const char *path, size_t number,
                             xt_question *q, xt_error *error) {
  const json_t *sources = json_object_get(line, "sources");
  const char **list;
  if (!d->source_lang_count) return XT_STATUS_OK;
  if (sources && !json_is_object(sources))
    return text_line_error(error, path, number,
                           "\"sources\" is %s, expected an object, language to prompt",
                           json_type_name(sources));
  TRY(ARENA_ALLOC(&d->arena, &list, d->source_lang_count, error));
  for (size_t k = 0; k < d->source_lang_count; k++) {
    const char *lang = d->source_langs[k];
    const json_t *text = json_object_get(sources, lang);
    if (text)
      TRY(dataset_copy_text(d, text, path, number, "a prompt", &list[k], error));
    else if (strcmp(lang, q->source_lang) == 0)
      list[k] = q->source;
    else
      return text_line_error(error, path, number, "\"sources\" has no prompt in %.40s", lang);
  }
  q->sources = list;
  return XT_STATUS_OK;
}

static xt_status add_line(Reader *r, size_t i, xt_error *error) {
  xt_dataset *d = r->dataset;
  const xt_dataset_options *o = r->options;
  const json_t *line = json_array_get(r->lines.values, i), *gold = json_object_get(line, "gold");
  const char *path = r->path;
  const size_t number = r->lines.number[i];
  xt_question q = {.number = i, .task = "", .lang = "", .source_lang = ""};
  if (!json_is_object(line))
    return text_line_error(error, path, number, "is %s, expected an object with source and target",
                           json_type_name(line));
  TRY(get_id(d, line, path, number, i, &q.id, error));
  TRY(get_text(d, line, "lang", path, number, &q.lang, error));
  if (!wanted(o, q.lang)) return XT_STATUS_OK;
  TRY(get_text(d, line, "source_lang", path, number, &q.source_lang, error));
  TRY(get_text(d, line, "task", path, number, &q.task, error));
  if (gold && !json_is_null(gold))
    TRY(dataset_copy_gold(d, xt_task_find(q.task), gold, path, number, "\"gold\"", &q.gold, error));
  TRY(get_text(d, line, "source", path, number, &q.source, error));
  TRY(get_text(d, line, "target", path, number, &q.target, error));
  if (!q.source || !q.target)
    return text_line_error(error, path, number,
                           "has no \"%s\"; each line needs a source and a target prompt",
                           q.source ? "target" : "source");
  bool repeat = false;
  TRY(find_repeat(r, i, &q, &repeat, error));
  if (repeat) return XT_STATUS_OK;
  TRY(dataset_count_whole(d, &q, 1, error));
  bool enough = false;
  if (o->limit) TRY(count_language(r, q.lang, &enough, error));
  if (enough) return o->others ? dataset_add_other(d, &q, error) : XT_STATUS_OK;
  TRY(get_sources(d, line, path, number, &q, error));
  TRY(check_gold(d, &q, path, number, error));
  if (o->cot) TRY(ask_reasoning(d, &q, path, number, error));
  return dataset_add(d, &q, error);
}

static xt_status add_all(Reader *r, xt_error *error) {
  r->seen = json_object();
  r->taken = json_object();
  if (!r->seen || !r->taken) return err_memory(error, 0);
  TRY(MEM_ALLOC(&r->dataset, 1, error));
  r->dataset->cot = r->options->cot;
  TRY(dataset_set_source_langs(r->dataset, r->options, error));
  for (size_t i = 0; i < json_array_size(r->lines.values); i++) TRY(add_line(r, i, error));
  if (r->dataset->count) return XT_STATUS_OK;
  if (r->options->languages) return refuse_languages(r->lines.values, r->path, error);
  return err_set(error, XT_STATUS_INPUT, r->path, NULL, -1, "has no lines");
}

/* Takes `r->lines` over. */
static xt_status finish(Reader *r, const xt_dataset_options *options, xt_dataset **out,
                        xt_error *error) {
  static const xt_dataset_options defaults = {0};
  r->options = options ? options : &defaults;
  const xt_status status = add_all(r, error);
  json_decref(r->seen);
  json_decref(r->taken);
  json_lines_free(&r->lines);
  if (status)
    xt_dataset_close(r->dataset);
  else
    *out = r->dataset;
  return status;
}

xt_status xt_dataset_open_pairs(const char *path, const xt_dataset_options *options,
                                xt_dataset **out, xt_error *error) {
  Reader r = {.path = path};
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  TRY(json_lines_read(path, &r.lines, error));
  return finish(&r, options, out, error);
}

xt_status xt_dataset_parse_pairs(const void *data, size_t size, const char *name,
                                 const xt_dataset_options *options, xt_dataset **out,
                                 xt_error *error) {
  Reader r = {.path = name};
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  TRY(json_lines_parse(data, size, name, &r.lines, error));
  return finish(&r, options, out, error);
}
