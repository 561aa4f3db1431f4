/* SPDX-License-Identifier: Apache-2.0 */
/* Anybody's own pairs of prompts: JSON lines {"id", "lang", "source", "target", "gold", "task"}. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tasks/dataset.h"
#include "tasks/task_table.h"

/* A string member that may be absent; then *out keeps its default. */
static xt_status get_text(xt_dataset *d, const json_t *line, const char *key, const char *path, size_t number, const char **out, xt_error *error) {
  const json_t *value = json_object_get(line, key);
  char what[40];
  if (!value || json_is_null(value)) return XT_STATUS_OK;
  snprintf(what, sizeof what, "\"%s\"", key);
  return dataset_copy_text(d, value, path, number, what, out, error);
}

static xt_status get_id(xt_dataset *d, const json_t *line, const char *path, size_t number, const char **out, xt_error *error) {
  const json_t *id = json_object_get(line, "id");
  char text[32];
  if (json_is_string(id)) return dataset_copy_text(d, id, path, number, "\"id\"", out, error);
  if (id && !json_is_null(id) && !json_is_integer(id)) return dataset_line_error(error, path, number, "\"id\" is %s, expected a string or an integer", json_type_name(id));
  snprintf(text, sizeof text, "%lld", json_is_integer(id) ? (long long)json_integer_value(id) : (long long)number - 1);
  return dataset_copy(d, text, out, error);
}

/* What scoring will need is there, so that a long run does not end in an error. */
static xt_status check_gold(xt_dataset *d, xt_question *q, const char *path, size_t number, xt_error *error) {
  const xt_task *task = xt_task_find(q->task);
  xt_error inner;
  bool correct;
  if (!task && q->task[0]) {
    char have[160] = "";
    for (size_t i = 0; xt_task_get(i) && strlen(have) < 120; i++) {
      if (i) strcat(have, ", ");
      strncat(have, xt_task_get(i)->name, 30);
    }
    return dataset_line_error(error, path, number, "\"task\": '%.40s' is no task whose responses can be scored; leave it out, or give one of %s", q->task, have);
  }
  if (!task || !q->gold) return XT_STATUS_OK;
  xt_status status = dataset_copy_choices(d, task, NULL, q->lang, &q->choices, &q->choice_count, &inner);
  if (!status) status = xt_task_score(task, q->choices, q->choice_count, "", 0, q->gold, &correct, &inner);
  if (status == XT_STATUS_INPUT) return dataset_line_error(error, path, number, "\"%s\": %s", inner.field, inner.message);
  if (status && error) *error = inner;
  return status;
}

static xt_status ask_reasoning(xt_dataset *d, xt_question *q, const char *path, size_t number, xt_error *error) {
  xt_error inner;
  const xt_status status = dataset_ask_reasoning(d, q, &inner);
  if (status == XT_STATUS_INPUT) return dataset_line_error(error, path, number, "\"%s\": %s", inner.field, inner.message);
  if (status && error) *error = inner;
  return status;
}

static xt_status add_line(xt_dataset *d, const json_t *line, const char *path, size_t number, const xt_dataset_options *o, xt_error *error) {
  xt_question q = {.number = number - 1, .task = "", .lang = "", .source_lang = ""};
  if (!json_is_object(line))
    return dataset_line_error(error, path, number, "is %s, expected an object with source and target", json_type_name(line));
  TRY(get_id(d, line, path, number, &q.id, error));
  TRY(get_text(d, line, "lang", path, number, &q.lang, error));
  bool wanted = !o->languages;
  size_t before = 0;
  for (size_t i = 0; o->languages && i < o->language_count; i++) wanted = wanted || strcmp(o->languages[i], q.lang) == 0;
  for (size_t i = 0; o->limit && i < d->count; i++) before += strcmp(d->questions[i].lang, q.lang) == 0;
  if (!wanted || (o->limit && before >= o->limit)) return XT_STATUS_OK;
  TRY(get_text(d, line, "source_lang", path, number, &q.source_lang, error));
  TRY(get_text(d, line, "task", path, number, &q.task, error));
  TRY(get_text(d, line, "gold", path, number, &q.gold, error));
  TRY(get_text(d, line, "source", path, number, &q.source, error));
  TRY(get_text(d, line, "target", path, number, &q.target, error));
  if (!q.source || !q.target) return dataset_line_error(error, path, number, "has no \"%s\"; each line needs a source and a target prompt", q.source ? "target" : "source");
  TRY(check_gold(d, &q, path, number, error));
  if (o->cot) TRY(ask_reasoning(d, &q, path, number, error));
  return dataset_add(d, &q, error);
}

xt_status xt_dataset_open_pairs(const char *path, const xt_dataset_options *options, xt_dataset **out, xt_error *error) {
  const xt_dataset_options defaults = {0};
  const xt_dataset_options *o = options ? options : &defaults;
  xt_dataset *d;
  json_t *lines;
  *out = NULL;
  TRY(dataset_read_lines(path, &lines, error));
  xt_status status = mem_alloc(&d, 1, sizeof *d, error);
  for (size_t i = 0; !status && i < json_array_size(lines); i++) {
    status = add_line(d, json_array_get(lines, i), path, i + 1, o, error);
    if (status) xt_dataset_close(d);
  }
  json_decref(lines);
  if (status) return status;
  if (d->count == 0) {
    xt_dataset_close(d);
    return err_set(error, XT_STATUS_INPUT, path, NULL, -1, o->languages ? "has no line of these languages" : "has no lines");
  }
  *out = d;
  return XT_STATUS_OK;
}
