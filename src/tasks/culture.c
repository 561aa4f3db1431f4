/* SPDX-License-Identifier: Apache-2.0 */
/* Where a prompt names the culture that it asks about. */
#include <stdio.h>
#include <string.h>

#include "tasks/task_table.h"

#define COUNTRY "{country}"

/* Where the prompt has the line of `wording` that names the country. */
static size_t find_culture(const char *wording, const char *prompt, size_t *length) {
  const char *name = wording ? strstr(wording, COUNTRY) : NULL, *first = name;
  char before[128], after[128];
  *length = 0;
  if (!name) return 0;
  while (first > wording && first[-1] != '\n') first--;
  snprintf(before, sizeof before, "%.*s", (int)(name - first), first);
  if (!before[0]) return 0;
  name += strlen(COUNTRY);
  snprintf(after, sizeof after, "%.*s", (int)strcspn(name, "\n") + 1, name);
  for (const char *at = prompt; (at = strstr(at, before)); at++) {
    const char *from = at + strlen(before), *end = strstr(from, after);
    if (!end || strcspn(from, "\n") < (size_t)(end - from)) continue;
    *length = (size_t)(end - from);
    return (size_t)(from - prompt);
  }
  return 0;
}

size_t task_culture_name(const xt_task *task, const char *prompt, size_t *length) {
  const TaskEntry *entry = task_entry(task);
  *length = 0;
  if (task->direction != XT_DIRECTION_FROM_LANGUAGE || !entry->file) return 0;
  const size_t at = find_culture(entry->culture_line, prompt, length);
  return *length ? at : find_culture(xt_task_template(task, TASK_PIVOT), prompt, length);
}
