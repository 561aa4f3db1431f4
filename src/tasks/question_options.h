/* SPDX-License-Identifier: Apache-2.0 */
/* A question's options as they are scored by likelihood. */
#ifndef TASKS_QUESTION_OPTIONS_H
#define TASKS_QUESTION_OPTIONS_H

#include "base/arena.h"
#include "tasks/task_table.h"

/* The options of a question in their order, each with the text that is scored: its word, or where
 * it has none its label; of a prompt that lists options as "(A) text", what follows the letter on
 * its line. *count 0: the question has no options. Everything new is in the arena; labels and words
 * are the question's. */
xt_status question_options(const xt_question *question, Arena *arena, const xt_choice **out,
                           size_t *count, xt_error *error);

#endif
