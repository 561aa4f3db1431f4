/* SPDX-License-Identifier: Apache-2.0 */
/* A dataset while it is filled. */
#ifndef TASKS_DATASET_H
#define TASKS_DATASET_H

#include "base/arena.h"
#include "base/json.h"
#include "xtransplant/tasks.h"

struct xt_dataset {
  Arena arena; /* of every string and choice */
  xt_question *questions;
  size_t count, capacity;
  xt_question *others; /* those beyond the limit, if they are kept: without a gold answer, and not
                          to be run */
  size_t other_count, other_capacity;
  const char *const *source_langs; /* of xt_question.sources */
  size_t source_lang_count;
  bool cot;      /* prompts ask for reasoning */
  bool chat;     /* prompts are in a chat template, special tokens included */
  json_t *whole; /* the number of questions of each task and languages, before the limit; NULL:
                    none were counted */
  size_t repeats, repeat_line, repeat_of; /* xt_dataset_repeats */
};

/* A string of line `line`, copied. `what` says what it should have been: "a prompt". Empty texts
 * and those with a NUL are refused. */
xt_status dataset_copy_text(xt_dataset *dataset, const json_t *value, const char *path, size_t line,
                            const char *what, const char **out, xt_error *error);

/* A gold answer of line `line`: a string, an integer as its digits, or an array of them, of which
 * each is right, separated by XT_GOLD_SEPARATOR. Messages call it `what`; a question of a choice
 * task (`task` may be NULL) has only one. */
xt_status dataset_copy_gold(xt_dataset *dataset, const xt_task *task, const json_t *value,
                            const char *path, size_t line, const char *what, const char **out,
                            xt_error *error);

/* A copy of a string. */
xt_status dataset_copy(xt_dataset *dataset, const char *text, const char **out, xt_error *error);

/* Copies the options of a language, once for all its questions. */
xt_status dataset_copy_choices(xt_dataset *dataset, const xt_task *task, const char *directory,
                               const char *lang, const xt_choice **out, size_t *count,
                               xt_error *error);

/* Adds a request for reasoning to both prompts, each in its language, and "-cot" to the id. */
xt_status dataset_ask_reasoning(xt_dataset *dataset, xt_question *question, xt_error *error);

/* Counts `n` questions with this one's task and languages, whether they are taken or not. */
xt_status dataset_count_whole(xt_dataset *dataset, const xt_question *of, size_t n,
                              xt_error *error);
/* How many were counted. */
size_t dataset_whole(const xt_dataset *dataset, const xt_question *of);

/* Keeps the languages of xt_question.sources, each of them once; labels are made of them, so that they
 * have letters, digits, '_' and '-' only. */
xt_status dataset_set_source_langs(xt_dataset *dataset, const xt_dataset_options *options,
                                   xt_error *error);

/* Appends a copy of *question. */
xt_status dataset_add(xt_dataset *dataset, const xt_question *question, xt_error *error);
/* The same to those beyond the limit. The question's source prompt is asked for reasoning here. */
xt_status dataset_add_other(xt_dataset *dataset, const xt_question *question, xt_error *error);

#endif
