/* SPDX-License-Identifier: Apache-2.0 */
/* Files of {"lang", "pred", "gold", "correct"} lines: responses, and whether each is right. */
#ifndef TESTS_SCORING_LINES_H
#define TESTS_SCORING_LINES_H

#include <jansson.h>

#include "support.h"
#include "xtransplant/tasks.h"

/* Every line of the file judged as it says. Returns how many. */
static inline size_t check_scores(const char *name, const char *path) {
  char *line = NULL;
  size_t capacity = 0, checked = 0;
  const xt_task *task = xt_task_find(name);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  while (getline(&line, &capacity, file) > 0) {
    json_t *item = json_loads(line, 0, NULL);
    const char *lang = json_string_value(json_object_get(item, "lang"));
    const json_t *pred = json_object_get(item, "pred");
    xt_choice *choices;
    size_t count;
    bool correct;
    xt_error error;
    ASSERT_OK(xt_task_choices(task, NULL, lang ? lang : "", &choices, &count, &error));
    ASSERT_OK(xt_task_score(task, choices, count, json_string_value(pred), json_string_length(pred),
                            json_string_value(json_object_get(item, "gold")), &correct, &error));
    if (correct != json_is_true(json_object_get(item, "correct")))
      fail_msg("%s, line %zu: %s", name, checked + 1, line);
    xt_choices_free(choices, count);
    json_decref(item);
    checked++;
  }
  free(line);
  fclose(file);
  return checked;
}

#endif
