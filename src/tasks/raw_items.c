/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the readers of the benchmarks' own files: items, their fields, and finding files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/text_buffer.h"
#include "tasks/dataset.h"
#include "tasks/raw.h"
#include "text/text_file.h"

bool raw_wants(const RawOptions *options, const char *lang) {
  for (size_t i = 0; options->languages[i]; i++)
    if (strcmp(options->languages[i], lang) == 0) return true;
  return false;
}

json_t *raw_item(const char *id, const char *gold, const RawField *fields, size_t count) {
  json_t *item = json_object(), *values = json_object();
  bool ok = item && json_object_set_new(item, "id", json_string(id)) == 0;
  ok = ok && (!gold || json_object_set_new(item, "gold", json_string(gold)) == 0);
  for (size_t i = 0; i < count && ok; i++)
    ok = json_object_set_new(values, fields[i].name, json_string(fields[i].text)) == 0;
  ok = ok && json_object_set(item, "fields", values) == 0;
  json_decref(values);
  if (ok) return item;
  json_decref(item);
  return NULL;
}

xt_status raw_add(json_t *by_language, const char *lang, json_t *value, xt_error *error) {
  json_t *array = json_object_get(by_language, lang);
  if (!array && json_object_set_new(by_language, lang, json_array()) == 0)
    array = json_object_get(by_language, lang);
  if (array && value && json_array_append(array, value) == 0) {
    json_decref(value);
    return XT_STATUS_OK;
  }
  json_decref(value);
  return err_memory(error, 0);
}

xt_status raw_find(const char *directory, const char *name, char **path, xt_error *error) {
  TRY(file_join(directory, name, path, error));
  if (file_exists(*path)) return XT_STATUS_OK;
  free(*path);
  *path = NULL;
  return XT_STATUS_OK;
}

xt_status raw_locate(const char *directory, const char *const *names, size_t count, char **path,
                     xt_error *error) {
  struct stat about;
  char have[200] = "";
  if (stat(directory, &about) != 0) return err_io(error, directory, "cannot open");
  if (!S_ISDIR(about.st_mode)) return mem_copy_text(path, directory, strlen(directory), error);
  for (size_t i = 0; i < count; i++) {
    TRY(raw_find(directory, names[i], path, error));
    if (*path) return XT_STATUS_OK;
    snprintf(have + strlen(have), sizeof have - strlen(have), "%s%.60s", i ? " nor " : "",
             names[i]);
  }
  return err_set(error, XT_STATUS_INPUT, directory, NULL, -1, "has no %s", have);
}

xt_status raw_text(const json_t *object, const char *key, const char *path, size_t line,
                   const char **out, xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_object(object))
    return text_line_error(error, path, line, "is %s, expected an object", json_type_name(object));
  if (!json_is_string(value))
    return text_line_error(error, path, line, "\"%s\" is %s, expected a string", key,
                           json_type_name(value));
  *out = json_string_value(value);
  if (!(*out)[0]) return text_line_error(error, path, line, "\"%s\" is empty", key);
  if (strlen(*out) != json_string_length(value))
    return text_line_error(error, path, line, "\"%s\" holds a NUL character", key);
  return XT_STATUS_OK;
}

xt_status raw_lettered(const json_t *options, char **out, xt_error *error) {
  TextBuffer text = {0};
  size_t i;
  json_t *option;
  json_array_foreach(options, i, option) text_buffer_format(
      &text, "%s(%c) %s", i ? "\n" : "", (char)('A' + i), json_string_value(option));
  *out = text.data;
  if (!text.failed && text.data) return XT_STATUS_OK;
  text_buffer_free(&text);
  *out = NULL;
  return err_memory(error, text.size);
}
