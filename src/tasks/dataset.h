/* SPDX-License-Identifier: Apache-2.0 */
/* A dataset while it is filled, and the files of JSON lines that it is filled from. */
#ifndef TASKS_DATASET_H
#define TASKS_DATASET_H

#include "base/arena.h"
#include "tasks/json_lines.h"
#include "xtransplant/tasks.h"

struct xt_dataset {
  Arena arena; /* of every string and choice */
  xt_question *questions;
  size_t count, capacity;
  bool cot;      /* prompts ask for reasoning */
  bool chat;     /* prompts are in a chat template, special tokens included */
  json_t *whole; /* how many questions there are of each task and languages, whatever the limit
                    left; NULL: none were counted */
  size_t repeats, repeat_line, repeat_of; /* xt_dataset_repeats */
};

/* An XT_STATUS_INPUT error that names file and line (from 1). */
xt_status dataset_line_error(xt_error *error, const char *path, size_t line, const char *format,
                             ...) __attribute__((format(printf, 4, 5)));

/* A string of line `line`, copied. `what` says what it should have been: "a prompt". Empty ones and
 * such with a NUL are refused. */
xt_status dataset_copy_text(xt_dataset *dataset, const json_t *value, const char *path, size_t line,
                            const char *what, const char **out, xt_error *error);

/* A gold answer of line `line`: a string, an integer as its digits, or an array of them, of which
 * any is right, parted by XT_GOLD_SEPARATOR. `what` is what messages call it; a choice task's
 * (`task` may be NULL) has one. */
xt_status dataset_copy_gold(xt_dataset *dataset, const xt_task *task, const json_t *value,
                            const char *path, size_t line, const char *what, const char **out,
                            xt_error *error);

/* A copy of a string. */
xt_status dataset_copy(xt_dataset *dataset, const char *text, const char **out, xt_error *error);

/* Copies the options of a language, once for all its questions. */
xt_status dataset_copy_choices(xt_dataset *dataset, const xt_task *task, const char *directory,
                               const char *lang, const xt_choice **out, size_t *count,
                               xt_error *error);

/* Ends both prompts by asking for reasoning, each in its language, and the id by "-cot". */
xt_status dataset_ask_reasoning(xt_dataset *dataset, xt_question *question, xt_error *error);

/* Counts `n` questions of this one's task and languages, taken or not. */
xt_status dataset_count_whole(xt_dataset *dataset, const xt_question *of, size_t n,
                              xt_error *error);
/* How many were counted. */
size_t dataset_whole(const xt_dataset *dataset, const xt_question *of);

/* Appends a copy of *question. */
xt_status dataset_add(xt_dataset *dataset, const xt_question *question, xt_error *error);

#endif
