/* SPDX-License-Identifier: Apache-2.0 */
/* src/tasks and src/train: benchmarks in both layouts, pairs, templates, tables, answers, training
 * data. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "tasks/csv.h"
#include "tasks/prompt_set.h"
#include "tasks/python_literal.h"
#include "tasks/raw.h"
#include "train/train_data.h"

static const xt_task *next_task(FuzzParts *parts) {
  char *name = fuzz_text(fuzz_next(parts));
  const xt_task *task = xt_task_find(name);
  free(name);
  return task && !task_check_published(task, NULL) ? task : NULL;
}

static void walk(xt_status status, const xt_error *error, xt_dataset *d) {
  if (status == XT_STATUS_IO) return; /* a file that the input does not have */
  fuzz_check(status, error);
  if (status) return;
  for (size_t i = 0; i < xt_dataset_count(d); i++) {
    const xt_question *q = xt_dataset_get(d, i);
    const xt_task *task = xt_task_find(q->task);
    xt_error inner = {0};
    bool correct;
    if (!q->source || !q->target || !q->id) abort();
    if (task && q->gold)
      fuzz_check(xt_task_score(task, q->choices, q->choice_count, "(A) (1) x", 9, q->gold, &correct,
                               &inner),
                 &inner);
  }
  xt_dataset_close(d);
}

/* The task's name, a language, the makers' own file, and a translation. */
void fuzz_raw_tasks(const uint8_t *data, size_t size) {
  FuzzParts parts = {data, size};
  const xt_task *task = next_task(&parts);
  char *lang = fuzz_text(fuzz_next(&parts));
  xt_error error = {0};
  RawSet set;
  const char *languages[] = {lang, NULL};
  if (task && !task_check_languages(task, languages, 1, NULL)) {
    char name[120];
    const TaskEntry *entry = task_entry(task);
    const FuzzPart file = fuzz_next(&parts);
    RawOptions options = {.split = "test",
                          .languages = languages,
                          .directory = fuzz_folder(),
                          .translations = fuzz_folder()};
    snprintf(name, sizeof name,
             entry->raw == RAW_XQUAD ? "xquad.%.40s.json" : "%.20s/test.%.20s.jsonl", lang, lang);
    fuzz_put(name, file);
    snprintf(name, sizeof name, "%.40s.jsonl", lang);
    fuzz_put(name, fuzz_next(&parts));
    if (entry->raw != RAW_XQUAD && entry->raw != RAW_XCOPA)
      options.directory = fuzz_file(file.data, file.size);
    const xt_status status = raw_read(entry, &options, &set, &error);
    if (status != XT_STATUS_IO) fuzz_check(status, &error);
    if (!status) raw_free(&set);
  }
  free(lang);
}

/* The task's name, then its three files and XNLI's words. */
void fuzz_released(const uint8_t *data, size_t size) {
  FuzzParts parts = {data, size};
  const xt_task *task = next_task(&parts);
  xt_error error = {0};
  xt_dataset *d;
  if (!task) return;
  const TaskEntry *entry = task_entry(task);
  const char *lang = task->languages[0], *percent = strstr(entry->file, "%s");
  const char *folders[] = {entry->source_folder, entry->target_folder, "ans", "ans_lang"};
  if (strcmp(lang, TASK_PIVOT) == 0) lang = task->languages[1];
  for (int i = 0; i < 4; i++) {
    char name[160];
    const bool pivot = i == 0 && task->direction == XT_DIRECTION_TO_LANGUAGE;
    snprintf(name, sizeof name, "%s/%.*s%s%s", folders[i],
             i == 3 ? 0 : (int)(percent - entry->file), entry->file, pivot ? TASK_PIVOT : lang,
             i == 3 ? ".json" : percent + 2);
    fuzz_put(name, fuzz_next(&parts));
  }
  const xt_dataset_options options = {.languages = &lang, .language_count = 1, .cot = size % 2};
  const xt_status status = xt_dataset_open(task, fuzz_folder(), &options, &d, &error);
  walk(status, &error, d);
}

void fuzz_pairs(const uint8_t *data, size_t size) {
  xt_error error = {0};
  xt_dataset *d;
  const char *de = "de";
  const xt_dataset_options options = {
      .languages = size % 3 ? NULL : &de, .language_count = 1, .limit = size % 5, .cot = size % 2};
  const xt_status status = xt_dataset_open_pairs(fuzz_file(data, size), &options, &d, &error);
  walk(status, &error, d);
}

void fuzz_templates(const uint8_t *data, size_t size) {
  FuzzParts parts = {data, size};
  const xt_task *task = next_task(&parts);
  xt_error error = {0};
  PromptSet set;
  json_t *words = NULL;
  if (!task) return;
  const xt_status status =
      prompt_set_open(task_entry(task), fuzz_file(parts.at, parts.size), &set, &error);
  fuzz_check(status, &error);
  if (status) return;
  for (size_t i = 0; task->languages[i] && task_entry(task)->raw == RAW_XNLI; i++) {
    const xt_status got = prompt_set_words(&set, task->languages[i], &words, &error);
    fuzz_check(got, &error);
    if (!got) json_decref(words);
  }
  prompt_set_close(&set);
}

void fuzz_csv(const uint8_t *data, size_t size) {
  Csv csv;
  xt_error error = {0};
  char *text = fuzz_text((FuzzPart){data, size});
  const bool quoted = size % 2;
  xt_status status =
      csv_open(&csv, "x.csv", text, strlen(text), quoted ? ',' : '\t', quoted, &error);
  fuzz_check(status, &error);
  bool more = !status;
  while (more) {
    status = csv_next(&csv, &more, &error);
    fuzz_check(status, &error);
    if (status || !more) break;
    for (size_t i = 0; i < csv.count; i++)
      if (strlen(csv_field(&csv, i)) > size) abort();
  }
  csv_close(&csv);
  free(text);
}

void fuzz_python_literal(const uint8_t *data, size_t size) {
  char *text = fuzz_text((FuzzPart){data, size});
  json_t *value;
  size_t at = 0;
  const char *what = NULL;
  const xt_status status = python_literal_read(text, &value, &at, &what);
  if (status == XT_STATUS_INPUT && (at > strlen(text) || !what || value)) abort();
  if (!status) json_decref(value);
  free(text);
}

/* The task's name, the gold answer, then the response. */
void fuzz_score(const uint8_t *data, size_t size) {
  FuzzParts parts = {data, size};
  const xt_task *task = next_task(&parts);
  char *gold = fuzz_text(fuzz_next(&parts));
  xt_error error = {0};
  xt_choice *choices = NULL;
  size_t count = 0;
  bool correct;
  if (task && !xt_task_choices(task, NULL, task->languages[0], &choices, &count, &error))
    fuzz_check(xt_task_score(task, choices, count, (const char *)parts.at, parts.size, gold,
                             &correct, &error),
               &error);
  xt_choices_free(choices, count);
  free(gold);
}

/* A letter for the format, then the file. The vocabulary is bytes alone. */
void fuzz_train_data(const uint8_t *data, size_t size) {
  static xt_tokenizer *tokenizer;
  xt_error error = {0};
  TrainData out;
  if (!tokenizer) {
    const char *none[] = {fuzz_file((const uint8_t *)"ab\n", 3)};
    if (xt_bpe_train(none, 1, &(xt_bpe_options){.vocab = 257}, fuzz_folder(), NULL, &error) ||
        xt_tokenizer_open(fuzz_folder(), &tokenizer, &error))
      abort();
  }
  if (!size) return;
  const DataRules rules = {.tokenizer = tokenizer,
                           .eos = 0,
                           .vocab = 257,
                           .length = 16,
                           .all_tokens = size % 2,
                           .format = data[0] == 'p'   ? XT_TRAIN_PAIRS
                                     : data[0] == 'l' ? XT_TRAIN_LINES
                                                      : XT_TRAIN_TEXT};
  const xt_status status = train_data_read(fuzz_file(data + 1, size - 1), &rules, &out, &error);
  fuzz_check(status, &error);
  if (!status) train_data_free(&out);
}
