/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/gold.h"

#include <stdlib.h>
#include <string.h>

#include "xtransplant/tasks.h"

/* The text of one answer, in `digits` if it is a number; NULL: it is not an answer. */
static const char *answer_text(const json_t *value, char digits[32]) {
  const char *text = json_string_value(value);
  if (json_is_integer(value)) {
    snprintf(digits, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return digits;
  }
  return text && text[0] && !strstr(text, XT_GOLD_SEPARATOR) ? text : NULL;
}

char *gold_from_json(const json_t *value) {
  char digits[32], *joined = NULL;
  size_t size = 0;
  const size_t count = json_is_array(value) ? json_array_size(value) : 1;
  for (size_t i = 0; i < count; i++) {
    const char *text = answer_text(json_is_array(value) ? json_array_get(value, i) : value, digits);
    char *grown = text ? realloc(joined, size + strlen(text) + 2) : NULL;
    if (!grown) {
      free(joined);
      return NULL;
    }
    joined = grown;
    size += (size_t)sprintf(joined + size, "%s%s", i ? XT_GOLD_SEPARATOR : "", text);
  }
  return joined;
}

json_t *gold_to_json(const char *gold) {
  if (!strstr(gold, XT_GOLD_SEPARATOR)) return json_string(gold);
  json_t *answers = json_array();
  while (answers) {
    const size_t length = strcspn(gold, XT_GOLD_SEPARATOR);
    if (json_array_append_new(answers, json_stringn(gold, length)) != 0) {
      json_decref(answers);
      return NULL;
    }
    if (!gold[length]) break;
    gold += length + 1;
  }
  return answers;
}
