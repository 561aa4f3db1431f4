/* SPDX-License-Identifier: Apache-2.0 */
/* The layout in which the paper's authors released their prompts (docs/FORMATS.md). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text_buffer.h"
#include "tasks/dataset.h"
#include "tasks/task_table.h"
#include "text/json_lines.h"
#include "text/text_file.h"

/* One language's files, a JSON value per line each. */
typedef struct Files {
  char *source_path, *target_path, *gold_path;
  JsonLines source, target, gold; /* gold: none where the target's lines hold it */
  char *more_path[XT_SOURCE_LANGS_MOST];
  JsonLines more[XT_SOURCE_LANGS_MOST]; /* source prompts in further languages */
} Files;

static void files_close(Files *f) {
  json_lines_free(&f->source);
  json_lines_free(&f->target);
  json_lines_free(&f->gold);
  free(f->source_path);
  free(f->target_path);
  free(f->gold_path);
  for (size_t k = 0; k < XT_SOURCE_LANGS_MOST; k++) {
    json_lines_free(&f->more[k]);
    free(f->more_path[k]);
  }
}

static xt_status read_file(const TaskEntry *entry, const char *directory, const char *folder,
                           const char *lang, char **path, JsonLines *lines, xt_error *error) {
  char file[128], name[256];
  const char *percent = strstr(entry->file, "%s"); /* the table's pattern, not a format */
  snprintf(file, sizeof file, "%.*s%.64s%s", (int)(percent - entry->file), entry->file, lang,
           percent + 2);
  snprintf(name, sizeof name, "%s/%s", folder, file);
  TRY(file_join(directory, name, path, error));
  return json_lines_read(*path, lines, error);
}

static xt_status same_count(const JsonLines *a, const char *a_path, const JsonLines *b,
                            const char *b_path, xt_error *error) {
  const size_t a_count = json_array_size(a->values), b_count = json_array_size(b->values);
  if (a_count == b_count) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_INPUT, a_path, NULL, -1,
                 "has %zu lines, and %.300s, whose lines belong to them, has %zu", a_count, b_path,
                 b_count);
}

/* Whether `directory` has the English of each language's own questions. */
static xt_status has_english(const TaskEntry *entry, const char *directory, const char *source_lang,
                             const char *lang, bool *out, xt_error *error) {
  char *path;
  *out = false;
  if (!entry->english_folder || strcmp(source_lang, TASK_PIVOT) != 0 ||
      strcmp(lang, TASK_PIVOT) == 0)
    return XT_STATUS_OK;
  TRY(file_join(directory, entry->english_folder, &path, error));
  *out = file_exists(path);
  free(path);
  return XT_STATUS_OK;
}

static xt_status files_read(Files *f, const TaskEntry *entry, const char *directory,
                            const char *source_lang, const char *lang, xt_error *error) {
  bool english;
  TRY(read_file(entry, directory, entry->target_folder, lang, &f->target_path, &f->target, error));
  TRY(has_english(entry, directory, source_lang, lang, &english, error));
  if (english)
    TRY(read_file(entry, directory, entry->english_folder, lang, &f->source_path, &f->source,
                  error));
  else
    TRY(read_file(entry, directory, entry->source_folder, source_lang, &f->source_path, &f->source,
                  error));
  TRY(same_count(&f->target, f->target_path, &f->source, f->source_path, error));
  if (entry->gold == GOLD_ANSWER_FILE) {
    TRY(read_file(entry, directory, "ans", lang, &f->gold_path, &f->gold, error));
    TRY(same_count(&f->target, f->target_path, &f->gold, f->gold_path, error));
  }
  return json_array_size(f->target.values)
             ? XT_STATUS_OK
             : err_set(error, XT_STATUS_INPUT, f->target_path, NULL, -1, "has no lines");
}

/* The files of source prompts in further languages. */
static xt_status more_read(Files *f, const xt_dataset *d, const TaskEntry *entry,
                           const char *directory, xt_error *error) {
  for (size_t k = 0; k < d->source_lang_count; k++) {
    TRY(read_file(entry, directory, entry->source_folder, d->source_langs[k], &f->more_path[k],
                  &f->more[k], error));
    TRY(same_count(&f->target, f->target_path, &f->more[k], f->more_path[k], error));
  }
  return XT_STATUS_OK;
}

/* A line is the prompt itself or an object that has it as input_text. */
static const json_t *prompt_of(const json_t *line) {
  return json_is_object(line) ? json_object_get(line, "input_text") : line;
}

static xt_status likeliest(const json_t *line, const char *path, size_t number, char out[2],
                           xt_error *error) {
  const json_t *label = json_is_object(line) ? json_object_get(line, "label") : NULL;
  const size_t count = json_array_size(label);
  if (count == 0 || count > TASK_LETTERS)
    return text_line_error(error, path, number,
                           "\"label\" is %s of %zu, expected an array of 1 to %d probabilities",
                           json_type_name(label), count, TASK_LETTERS);
  size_t best = 0;
  for (size_t i = 0; i < count; i++) {
    const json_t *value = json_array_get(label, i);
    if (!json_is_number(value))
      return text_line_error(error, path, number, "item %zu of \"label\" is %s, expected a number",
                             i, json_type_name(value));
    if (json_number_value(value) > json_number_value(json_array_get(label, best))) best = i;
  }
  out[0] = (char)('A' + best);
  out[1] = 0;
  return XT_STATUS_OK;
}

/* The gold answer, and, for options, that it is one of them. */
static xt_status read_gold(xt_dataset *d, const TaskEntry *entry, const Files *f, size_t i,
                           xt_question *q, xt_error *error) {
  if (entry->gold == GOLD_LIKELIEST) {
    char letter[2];
    TRY(likeliest(json_array_get(f->target.values, i), f->target_path, f->target.number[i], letter,
                  error));
    return dataset_copy(d, letter, &q->gold, error);
  }
  TRY(dataset_copy_gold(d, &entry->task, json_array_get(f->gold.values, i), f->gold_path,
                        f->gold.number[i], "an answer", &q->gold, error));
  bool ignored;
  xt_error inner;
  const xt_status status =
      xt_task_score(&entry->task, q->choices, q->choice_count, "", 0, q->gold, &ignored, &inner);
  if (status == XT_STATUS_INPUT)
    return text_line_error(error, f->gold_path, f->gold.number[i], "%s", inner.message);
  if (status && error) *error = inner;
  return status;
}

/* The i-th question's source prompts in further languages. */
static xt_status copy_sources(xt_dataset *d, const Files *f, size_t i, xt_question *q,
                              xt_error *error) {
  const char **list;
  if (!d->source_lang_count) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(&d->arena, &list, d->source_lang_count, error));
  for (size_t k = 0; k < d->source_lang_count; k++)
    TRY(dataset_copy_text(d, prompt_of(json_array_get(f->more[k].values, i)), f->more_path[k],
                          f->more[k].number[i], "a prompt", &list[k], error));
  q->sources = list;
  return XT_STATUS_OK;
}

/* Questions [from, lines), of which only the source prompt is needed: what is no prompt is passed
 * over, as it is without a need for others. */
static xt_status add_others(xt_dataset *d, const Files *f, xt_question q, size_t from,
                            xt_error *error) {
  for (size_t i = from; i < json_array_size(f->source.values); i++) {
    const char *text = json_string_value(prompt_of(json_array_get(f->source.values, i)));
    if (!text || !text[0]) continue;
    q.id = "";
    q.sources = NULL;
    TRY(dataset_copy(d, text, &q.source, error));
    TRY(dataset_add_other(d, &q, error));
  }
  return XT_STATUS_OK;
}

static xt_status add_language(xt_dataset *d, const TaskEntry *entry, const char *directory,
                              const char *lang, const xt_dataset_options *o, xt_error *error) {
  const char *pivot = o->pivot ? o->pivot : TASK_PIVOT;
  Files f = {0};
  xt_question q = {.task = entry->task.name};
  xt_status status;
  const bool to = entry->task.direction == XT_DIRECTION_TO_LANGUAGE;
  TRY_DONE(dataset_copy(d, lang, &q.lang, error));
  TRY_DONE(dataset_copy(d, to ? pivot : lang, &q.source_lang, error));
  TRY_DONE(
      dataset_copy_choices(d, &entry->task, directory, lang, &q.choices, &q.choice_count, error));
  TRY_DONE(files_read(&f, entry, directory, q.source_lang, lang, error));
  TRY_DONE(more_read(&f, d, entry, directory, error));
  const size_t lines = json_array_size(f.target.values);
  TRY_DONE(dataset_count_whole(d, &q, lines, error));
  for (size_t i = 0; i < lines && (o->limit == 0 || i < o->limit); i++) {
    char id[24];
    snprintf(id, sizeof id, "%zu", i);
    q.number = i;
    TRY_DONE(dataset_copy(d, id, &q.id, error));
    TRY_DONE(dataset_copy_text(d, prompt_of(json_array_get(f.source.values, i)), f.source_path,
                               f.source.number[i], "a prompt", &q.source, error));
    TRY_DONE(dataset_copy_text(d, prompt_of(json_array_get(f.target.values, i)), f.target_path,
                               f.target.number[i], "a prompt", &q.target, error));
    TRY_DONE(copy_sources(d, &f, i, &q, error));
    TRY_DONE(read_gold(d, entry, &f, i, &q, error));
    if (o->cot) TRY_DONE(dataset_ask_reasoning(d, &q, error));
    TRY_DONE(dataset_add(d, &q, error));
  }
  if (o->others && o->limit) TRY_DONE(add_others(d, &f, q, o->limit, error));
done:
  files_close(&f);
  return status;
}

static xt_status check_language(const xt_task *task, const char *lang, const char *option,
                                xt_error *error) {
  char have[256] = "";
  for (size_t i = 0; task->languages[i]; i++) {
    if (strcmp(task->languages[i], lang) == 0) return XT_STATUS_OK;
    if (text_same_letters(task->languages[i], lang))
      return err_set(error, XT_STATUS_ARGUMENT, NULL, option, -1, "'%.40s' is written %s", lang,
                     task->languages[i]);
    if (i) strcat(have, " ");
    strcat(have, task->languages[i]);
  }
  return err_set(error, XT_STATUS_ARGUMENT, NULL, option, -1,
                 "'%.40s' is not a language of %s; it has %s", lang, task->title, have);
}

xt_status task_check_languages(const xt_task *task, const char *const *languages, size_t count,
                               xt_error *error) {
  for (size_t i = 0; i < count; i++) {
    TRY(check_language(task, languages[i], "lang", error));
    for (size_t k = 0; k < i; k++)
      if (strcmp(languages[i], languages[k]) == 0)
        return err_set(error, XT_STATUS_ARGUMENT, NULL, "lang", -1, "names %s twice", languages[i]);
  }
  return XT_STATUS_OK;
}

static xt_status has_split(const char *directory, const char *below, bool *out, xt_error *error) {
  char *folder, *split;
  TRY(file_join(directory, below, &folder, error));
  xt_status status = file_join(folder, "split", &split, error);
  free(folder);
  TRY(status);
  *out = file_exists(split);
  free(split);
  return XT_STATUS_OK;
}

/* The folders right below `directory` that are benchmarks' folders, in order of name: "XNLI_sample,
 * XNLI_unseen". */
static xt_status list_folders(const char *directory, char *list, size_t size, xt_error *error) {
  struct dirent **entries;
  const int count = scandir(directory, &entries, NULL, alphasort);
  xt_status status = XT_STATUS_OK;
  list[0] = 0;
  for (int i = 0; i < count; i++) {
    bool found = false;
    if (entries[i]->d_name[0] != '.' && !status)
      status = has_split(directory, entries[i]->d_name, &found, error);
    const size_t used = strlen(list);
    if (found)
      snprintf(list + used, size - used, "%s%s/%s", used ? ", " : "", directory,
               entries[i]->d_name);
    free(entries[i]);
  }
  if (count >= 0) free(entries);
  return status;
}

static xt_status check_folder(const xt_task *task, const char *directory, xt_error *error) {
  char below[400];
  bool found;
  TRY(has_split(directory, ".", &found, error));
  if (found) return XT_STATUS_OK;
  TRY(list_folders(directory, below, sizeof below, error));
  if (below[0])
    return err_set(error, XT_STATUS_INPUT, directory, NULL, -1,
                   "has no folder split itself; below it there are: %s", below);
  return err_set(
      error, XT_STATUS_INPUT, directory, NULL, -1,
      "no such folder, or it has no folder split; %s is read from a folder with split and %s",
      task->title, task->direction == XT_DIRECTION_TO_LANGUAGE ? "ans" : "translated");
}

static xt_status check_options(const xt_task *task, const char *directory,
                               const xt_dataset_options *o, xt_error *error) {
  const char *pivot = o->pivot ? o->pivot : TASK_PIVOT;
  TRY(task_check_published(task, error));
  if (task->direction == XT_DIRECTION_FROM_LANGUAGE && strcmp(pivot, TASK_PIVOT) != 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "pivot", -1,
                   "%s goes from each language into English; its pivot is %s", task->title,
                   TASK_PIVOT);
  if (task->direction == XT_DIRECTION_FROM_LANGUAGE && o->source_lang_count)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "source_langs", -1,
                   "%s asks about a language in that language; it has no source prompts in others",
                   task->title);
  for (size_t i = 0; i < o->source_lang_count; i++)
    TRY(check_language(task, o->source_langs[i], "source_langs", error));
  TRY(check_language(task, pivot, "pivot", error));
  TRY(task_check_languages(task, o->languages, o->languages ? o->language_count : 0, error));
  return check_folder(task, directory, error);
}

xt_status xt_dataset_open(const xt_task *task, const char *directory,
                          const xt_dataset_options *options, xt_dataset **out, xt_error *error) {
  const xt_dataset_options defaults = {0};
  const xt_dataset_options *o = options ? options : &defaults;
  xt_dataset *d;
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  TRY(check_options(task, directory, o, error));
  TRY(MEM_ALLOC(&d, 1, error));
  d->cot = o->cot;
  xt_status status = dataset_set_source_langs(d, o, error);
  for (size_t i = 0; !status && (o->languages ? i < o->language_count : task->languages[i] != NULL);
       i++)
    status = add_language(d, task_entry(task), directory,
                          o->languages ? o->languages[i] : task->languages[i], o, error);
  if (status)
    xt_dataset_close(d);
  else
    *out = d;
  return status;
}
