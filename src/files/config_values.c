/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a config.json's object, checked. */
#include "files/config_parts.h"

bool config_given(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return value && !json_is_null(value);
}

xt_status config_int(const ConfigSource *s, const char *key, int low, int high, int *out) {
  int64_t value = *out;
  TRY(json_get_int(s->root, key, low, high, &value, s->path, s->error));
  *out = (int)value;
  return XT_STATUS_OK;
}

xt_status config_need_int(const ConfigSource *s, const char *key, int low, int high, int *out) {
  if (!config_given(s->root, key))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "is missing; expected a whole number");
  return config_int(s, key, low, high, out);
}

xt_status config_real(const ConfigSource *s, const char *key, double low, double high,
                      double *out) {
  return json_get_real(s->root, key, low, high, out, s->path, s->error);
}

xt_status config_bool(const ConfigSource *s, const char *key, bool *out) {
  return json_get_bool(s->root, key, out, s->path, s->error);
}
