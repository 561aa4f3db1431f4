/* SPDX-License-Identifier: Apache-2.0 */
/* One response against many gold answers: the same verdicts as xt_task_score, with the shared work
 * done once. */
#ifndef TASKS_GOLD_MATCH_H
#define TASKS_GOLD_MATCH_H

#include "xtransplant/tasks.h"

typedef struct GoldMatch {
  const char *gold; /* borrowed */
  char *mapped;     /* in the form in which scoring compares it; NULL if it is compared unchanged */
  size_t length;
} GoldMatch;

xt_status gold_match_init(const xt_task *task, const char *gold, GoldMatch *out, xt_error *error);
void gold_match_deinit(GoldMatch *match);

/* right[k]: whether the response would be right if matches[k] were the answer. */
xt_status gold_match_all(const xt_task *task, const xt_choice *choices, size_t choice_count,
                         const char *response, size_t length, const GoldMatch *matches,
                         size_t count, bool *right, xt_error *error);

#endif
