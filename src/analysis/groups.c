/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/groups.h"

#include <string.h>

#include "xtransplant/tasks.h"

const char *group_pivot(const char *task, const char *source_lang) {
  const xt_task *known = xt_task_find(task);
  return known && known->direction == XT_DIRECTION_TO_LANGUAGE ? source_lang : "";
}

const char *group_title(const char *task) {
  const xt_task *known = xt_task_find(task);
  return known ? known->title : task[0] ? task : "questions";
}

bool group_is_cot(const char *id) {
  static const char end[] = "-cot";
  const size_t length = strlen(id);
  return length >= sizeof end - 1 && strcmp(id + length - (sizeof end - 1), end) == 0;
}

/* The task's place in the table of tasks; unknown ones come last. */
static int task_rank(const char *name) {
  int rank = 0;
  for (const xt_task *task; (task = xt_task_get((size_t)rank)) && strcmp(task->name, name) != 0;)
    rank++;
  return rank;
}

int compare_groups(const char *task, const char *pivot, bool cot, const char *other_task,
                   const char *other_pivot, bool other_cot) {
  const int rank = task_rank(task) - task_rank(other_task),
            name = rank ? rank : strcmp(task, other_task), from = strcmp(pivot, other_pivot);
  return name ? name : from ? from : cot - other_cot;
}
