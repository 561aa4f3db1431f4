/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks/question_options.h"

#include <stdio.h>
#include <string.h>

#include "base/arena_text.h"

/* The options of a prompt that lists them as "(A) text", "(B) text" and so on. */
static xt_status read_letters(const char *prompt, Arena *arena, xt_choice *out, size_t *count,
                              xt_error *error) {
  for (int i = 0; i < TASK_LETTERS; i++) {
    const char letter = (char)('A' + i), mark[] = {'(', letter, ')', 0};
    const char *at = strstr(prompt, mark);
    if (!at) break;
    at += 3;
    at += strspn(at, " ");
    size_t length = strcspn(at, "\r\n");
    while (length && at[length - 1] == ' ') length--;
    xt_choice *option = &out[(*count)++];
    TRY(arena_copy_text(arena, &letter, 1, &option->label, error));
    option->text = option->label;
    if (length) TRY(arena_copy_text(arena, at, length, &option->text, error));
  }
  return XT_STATUS_OK;
}

xt_status question_options(const xt_question *q, Arena *arena, const xt_choice **out, size_t *count,
                           xt_error *error) {
  const xt_task *task = xt_task_find(q->task);
  const bool letters =
      !q->choice_count && task && task_entry(task)->scoring == SCORING_LETTERS && q->target;
  xt_choice *list;
  *out = NULL;
  *count = 0;
  if (!letters && !q->choice_count) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(arena, &list, letters ? TASK_LETTERS : q->choice_count, error));
  *out = list;
  if (letters) return read_letters(q->target, arena, list, count, error);
  for (size_t i = 0; i < q->choice_count; i++) {
    const char *text = q->choices[i].text;
    list[i] = (xt_choice){q->choices[i].label, text && *text ? text : q->choices[i].label};
  }
  *count = q->choice_count;
  return XT_STATUS_OK;
}
