/* SPDX-License-Identifier: Apache-2.0 */
/* The templates of one benchmark, one per language: this project's own, or those of a file. */
#ifndef TASKS_PROMPT_SET_H
#define TASKS_PROMPT_SET_H

#include "base/json.h"
#include "base/text_buffer.h"
#include "tasks/task_table.h"

#define PROMPT_FIELDS_MOST 4

/* The fields of a task's prompts. */
typedef struct FieldNames {
  const char *needed[PROMPT_FIELDS_MOST], *possible[2];
} FieldNames;

const FieldNames *prompt_fields(const TaskEntry *entry);

typedef struct PromptSet {
  const TaskEntry *entry;
  const char *path; /* of the file, or of the folder whose prompts gave them; NULL: our own */
  json_t *file;     /* language to template, or, of XCOPA, to {"cause": .., "effect": ..} */
} PromptSet;

/* `path` NULL: this project's own. Every template of the file is checked: it must have all fields
 * of the task's prompts, each at least once, and no others. */
xt_status prompt_set_open(const TaskEntry *entry, const char *path, PromptSet *out,
                          xt_error *error);
/* The same check for a set from elsewhere. */
xt_status prompt_set_check(const PromptSet *set, xt_error *error);
void prompt_set_close(PromptSet *set);

/* Appends the prompt in `lang` of a question's fields. */
xt_status prompt_set_fill(const PromptSet *set, const char *lang, const json_t *fields,
                          TextBuffer *out, xt_error *error);

/* The words of the options "1" to "3" in XNLI's template: what follows "(1) " on the line that
 * begins so; the line where another space follows, as the French one that was released has it. The
 * caller frees *out with json_decref. */
xt_status prompt_set_words(const PromptSet *set, const char *lang, json_t **out, xt_error *error);

#endif
