/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/text_buffer.h"
#include "tasks/task_table.h"
#include "text/text_file.h"

xt_status dataset_copy(xt_dataset *dataset, const char *text, const char **out, xt_error *error) {
  char *copy;
  const size_t size = strlen(text) + 1;
  TRY(ARENA_ALLOC(&dataset->arena, &copy, size, error));
  memcpy(copy, text, size);
  *out = copy;
  return XT_STATUS_OK;
}

xt_status dataset_copy_text(xt_dataset *dataset, const json_t *value, const char *path, size_t line,
                            const char *what, const char **out, xt_error *error) {
  if (!json_is_string(value))
    return text_line_error(error, path, line, "is %s, expected %s: a JSON string",
                           json_type_name(value), what);
  const char *text = json_string_value(value);
  if (!text[0]) return text_line_error(error, path, line, "%s is empty", what);
  if (strlen(text) != json_string_length(value))
    return text_line_error(error, path, line, "%s holds a NUL character", what);
  return dataset_copy(dataset, text, out, error);
}

/* One answer, appended to those that are there. */
static xt_status add_answer(TextBuffer *answers, const json_t *value, const char *path, size_t line,
                            const char *what, xt_error *error) {
  char digits[32];
  const char *text = json_string_value(value);
  snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
  if (json_is_integer(value)) text = digits;
  if (!text)
    return text_line_error(error, path, line,
                           "%s is %s, expected a string, an integer or an array of them", what,
                           json_type_name(value));
  if (!text[0]) return text_line_error(error, path, line, "%s is empty", what);
  if (json_is_string(value) && strlen(text) != json_string_length(value))
    return text_line_error(error, path, line, "%s holds a NUL character", what);
  if (strstr(text, XT_GOLD_SEPARATOR))
    return text_line_error(error, path, line, "%s holds the control character U+001E", what);
  if (answers->size) text_buffer_add_text(answers, XT_GOLD_SEPARATOR);
  text_buffer_add_text(answers, text);
  return answers->failed ? err_memory(error, answers->size) : XT_STATUS_OK;
}

xt_status dataset_copy_gold(xt_dataset *dataset, const xt_task *task, const json_t *value,
                            const char *path, size_t line, const char *what, const char **out,
                            xt_error *error) {
  TextBuffer answers = {0};
  const size_t count = json_array_size(value);
  if (json_is_array(value) && count == 0)
    return text_line_error(error, path, line,
                           "%s is an empty array; leave it out where no answer is known", what);
  if (count > 1 && task && task->kind == XT_TASK_CHOICE)
    return text_line_error(error, path, line,
                           "%s is an array of %zu, and a question of %s has one right option", what,
                           count, task->title);
  xt_status status =
      json_is_array(value) ? XT_STATUS_OK : add_answer(&answers, value, path, line, what, error);
  for (size_t i = 0; i < count && !status; i++)
    status = add_answer(&answers, json_array_get(value, i), path, line, what, error);
  if (!status) status = dataset_copy(dataset, answers.data, out, error);
  text_buffer_free(&answers);
  return status;
}

xt_status dataset_copy_choices(xt_dataset *dataset, const xt_task *task, const char *directory,
                               const char *lang, const xt_choice **out, size_t *count,
                               xt_error *error) {
  xt_choice *choices, *copies;
  TRY(xt_task_choices(task, directory, lang, &choices, count, error));
  xt_status status = ARENA_ALLOC(&dataset->arena, &copies, *count, error);
  for (size_t i = 0; i < *count && !status; i++) {
    status = dataset_copy(dataset, choices[i].label, &copies[i].label, error);
    if (!status && choices[i].text)
      status = dataset_copy(dataset, choices[i].text, &copies[i].text, error);
  }
  xt_choices_free(choices, *count);
  *out = *count ? copies : NULL;
  return status;
}

static xt_status join(xt_dataset *d, const char *text, const char *end, const char **out,
                      xt_error *error) {
  char *joined;
  const size_t size = strlen(text), more = strlen(end);
  TRY(ARENA_ALLOC(&d->arena, &joined, size + more + 1, error));
  memcpy(joined, text, size);
  memcpy(joined + size, end, more + 1);
  *out = joined;
  return XT_STATUS_OK;
}

/* Adds the request for reasoning to the source prompts in other languages. */
static xt_status ask_sources(xt_dataset *d, xt_question *q, xt_error *error) {
  const char **list;
  if (!q->sources) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(&d->arena, &list, d->source_lang_count, error));
  for (size_t k = 0; k < d->source_lang_count; k++) {
    const char *cot = xt_language_cot(d->source_langs[k]);
    if (!cot)
      return err_set(error, XT_STATUS_INPUT, NULL, "source_langs", -1,
                     "'%.40s' is not a language in which the program can ask for reasoning",
                     d->source_langs[k]);
    TRY(join(d, q->sources[k], cot, &list[k], error));
  }
  q->sources = list;
  return XT_STATUS_OK;
}

xt_status dataset_ask_reasoning(xt_dataset *dataset, xt_question *q, xt_error *error) {
  const xt_task *task = xt_task_find(q->task);
  const char *target_lang =
      task && task->direction == XT_DIRECTION_FROM_LANGUAGE ? TASK_PIVOT : q->lang;
  const char *source = xt_language_cot(q->source_lang), *target = xt_language_cot(target_lang);
  if (!source || !target)
    return err_set(error, XT_STATUS_INPUT, NULL, source ? "lang" : "source_lang", -1,
                   "'%.40s' is not a language in which the program can ask for reasoning",
                   source ? target_lang : q->source_lang);
  TRY(join(dataset, q->id, "-cot", &q->id, error));
  TRY(join(dataset, q->source, source, &q->source, error));
  TRY(ask_sources(dataset, q, error));
  return join(dataset, q->target, target, &q->target, error);
}

xt_status dataset_set_source_langs(xt_dataset *d, const xt_dataset_options *o, xt_error *error) {
  const char **list;
  if (o->source_lang_count > XT_SOURCE_LANGS_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "source_langs", -1,
                   "names %zu languages; at most %d are allowed", o->source_lang_count,
                   XT_SOURCE_LANGS_MOST);
  if (!o->source_lang_count) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(&d->arena, &list, o->source_lang_count, error));
  for (size_t i = 0; i < o->source_lang_count; i++) {
    const char *lang = o->source_langs[i];
    if (!lang[0] ||
        lang[strspn(lang, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                          "_-")])
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "source_langs", -1,
                     "'%.40s' is no name of a language", lang);
    for (size_t k = 0; k < i; k++)
      if (strcmp(lang, list[k]) == 0)
        return err_set(error, XT_STATUS_ARGUMENT, NULL, "source_langs", -1, "names %s twice", lang);
    TRY(dataset_copy(d, lang, &list[i], error));
  }
  d->source_langs = list;
  d->source_lang_count = o->source_lang_count;
  return XT_STATUS_OK;
}

xt_status dataset_add(xt_dataset *dataset, const xt_question *question, xt_error *error) {
  TRY(MEM_GROW(&dataset->questions, &dataset->capacity, dataset->count + 1, error));
  dataset->questions[dataset->count++] = *question;
  return XT_STATUS_OK;
}

xt_status dataset_add_other(xt_dataset *dataset, const xt_question *question, xt_error *error) {
  xt_question q = *question;
  q.target = "";
  if (dataset->cot) TRY(dataset_ask_reasoning(dataset, &q, error));
  TRY(MEM_GROW(&dataset->others, &dataset->other_capacity, dataset->other_count + 1, error));
  dataset->others[dataset->other_count++] = q;
  return XT_STATUS_OK;
}

/* The key consists of texts that users may choose freely, so that it must not be ambiguous. */
static xt_status part_name(TextBuffer *name, const xt_question *q, xt_error *error) {
  text_buffer_format(name, "%s\x1f%s\x1f%s", q->task, q->lang, q->source_lang);
  return name->failed ? err_memory(error, name->size) : XT_STATUS_OK;
}

xt_status dataset_count_whole(xt_dataset *d, const xt_question *of, size_t n, xt_error *error) {
  TextBuffer name = {0};
  if (!d->whole) d->whole = json_object();
  xt_status status = part_name(&name, of, error);
  const json_int_t before = status ? 0 : json_integer_value(json_object_get(d->whole, name.data));
  if (!status &&
      json_object_set_new(d->whole, name.data, json_integer(before + (json_int_t)n)) != 0)
    status = err_memory(error, name.size);
  text_buffer_free(&name);
  return status;
}

size_t dataset_whole(const xt_dataset *d, const xt_question *of) {
  TextBuffer name = {0};
  const size_t count = part_name(&name, of, NULL)
                           ? 0
                           : (size_t)json_integer_value(json_object_get(d->whole, name.data));
  text_buffer_free(&name);
  return count;
}

size_t xt_dataset_repeats(const xt_dataset *dataset, size_t *line, size_t *first) {
  *line = dataset->repeat_line;
  *first = dataset->repeat_of;
  return dataset->repeats;
}

size_t xt_dataset_count(const xt_dataset *dataset) { return dataset->count; }

const xt_question *xt_dataset_get(const xt_dataset *dataset, size_t index) {
  return index < dataset->count ? &dataset->questions[index] : NULL;
}

void xt_dataset_close(xt_dataset *dataset) {
  if (!dataset) return;
  arena_free(&dataset->arena);
  json_decref(dataset->whole);
  free(dataset->questions);
  free(dataset->others);
  free(dataset);
}

/* ---- options --------------------------------------------------------------------------------- */

/* `text` may be NULL. */
static xt_status choice_copy(xt_choice *out, const char *label, const char *text, xt_error *error) {
  char *copy;
  TRY(mem_copy_text(&copy, label, strlen(label), error));
  out->label = copy;
  if (!text) return XT_STATUS_OK;
  TRY(mem_copy_text(&copy, text, strlen(text), error));
  out->text = copy;
  return XT_STATUS_OK;
}

static xt_status choices_from_table(const TaskEntry *entry, const char *lang, xt_choice **out,
                                    size_t *count, xt_error *error) {
  const TaskWords *words = entry->option_words ? task_words(lang) : NULL;
  char label[12];
  if (entry->option_words && !words)
    return err_set(error, XT_STATUS_INPUT, NULL, "lang", -1,
                   "'%.40s' is not one of the languages whose options %s names; give the data "
                   "folder, with ans_lang",
                   lang, entry->task.title);
  TRY(MEM_ALLOC(out, (size_t)entry->options, error));
  for (int i = 0; i < entry->options; i++) {
    ++*count; /* before it is filled, so that a half-filled one is freed like the others */
    snprintf(label, sizeof label, "%d", i + 1);
    TRY(choice_copy(&(*out)[i], label, words ? words->words[i] : NULL, error));
  }
  return XT_STATUS_OK;
}

static xt_status choices_from_file(const char *path, xt_choice **out, size_t *count,
                                   xt_error *error) {
  json_t *words;
  const char *label;
  json_t *text;
  TRY(json_parse_file(path, &words, error));
  xt_status status = XT_STATUS_OK;
  if (!json_is_object(words) || json_object_size(words) < 2)
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "not a JSON object of the options' words: {\"1\": \"...\", \"2\": \"...\"}");
  if (!status) status = MEM_ALLOC(out, json_object_size(words), error);
  json_object_foreach(words, label, text) {
    if (status) break;
    if (!json_is_string(text) || !json_string_value(text)[0] ||
        strlen(json_string_value(text)) != json_string_length(text))
      status = err_set(error, XT_STATUS_INPUT, path, label, -1,
                       "is not a word: expected a JSON string that is not empty");
    else
      status = choice_copy(&(*out)[(*count)++], label, json_string_value(text), error);
  }
  json_decref(words);
  return status;
}

xt_status xt_task_choices(const xt_task *task, const char *directory, const char *lang,
                          xt_choice **out, size_t *count, xt_error *error) {
  *out = NULL;
  *count = 0;
  const TaskEntry *entry = task_entry(task);
  if (entry->scoring != SCORING_WORDS) return XT_STATUS_OK;
  xt_status status;
  if (directory && entry->option_words) {
    char name[128], *path;
    snprintf(name, sizeof name, "ans_lang/%.64s.json", lang);
    TRY(file_join(directory, name, &path, error));
    status = choices_from_file(path, out, count, error);
    free(path);
  } else {
    status = choices_from_table(entry, lang, out, count, error);
  }
  if (status) {
    xt_choices_free(*out, *count);
    *out = NULL;
    *count = 0;
  }
  return status;
}

void xt_choices_free(xt_choice *choices, size_t count) {
  for (size_t i = 0; choices && i < count; i++) {
    free((void *)(uintptr_t)choices[i].label);
    free((void *)(uintptr_t)choices[i].text);
  }
  free(choices);
}
