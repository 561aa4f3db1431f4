/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "text/tokenizer_parts.h"

xt_status tokenizer_member_text(const json_t *object, const char *key, const char *file,
                                const char *field, const char **text, size_t *length,
                                xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_string(value)) {
    char where[160];
    snprintf(where, sizeof where, "%s.%s", field, key);
    return err_set(error, XT_STATUS_INPUT, file, where, -1, "is %s, expected a string",
                   json_type_name(value));
  }
  *text = json_string_value(value);
  *length = json_string_length(value);
  return XT_STATUS_OK;
}
