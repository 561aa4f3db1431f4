/* SPDX-License-Identifier: Apache-2.0 */
#include "text/json_lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/text_file.h"

static bool is_blank(const char *text, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (!strchr(" \t\r\v\f", text[i])) return false; /* the text holds no NUL */
  return true;
}

/* The value of one line. */
static xt_status parse_line(const char *text, size_t size, const char *name, size_t number,
                            json_t **out, xt_error *error) {
  xt_error inner = {0};
  const xt_status status = json_parse(text, size, name, out, &inner);
  if (status == XT_STATUS_INPUT) {
    char *near = strstr(inner.message, " near '"); /* what follows repeats the line */
    if (near) *near = 0;
    const char *what = strstr(inner.message, "): ");
    return text_line_error(error, name, number,
                           "not a line of JSON: %.300s (byte %lld of the line)",
                           what ? what + 3 : inner.message, inner.offset);
  }
  if (status && error) *error = inner;
  return status;
}

static xt_status parse_all(const TextFile *file, const char *name, JsonLines *out,
                           xt_error *error) {
  const char *text = file->text;
  size_t capacity = 0;
  TRY(json_check_size(text, file->size, name, error)); /* of all lines together */
  out->values = json_array();
  if (!out->values) return err_memory(error, file->size);
  for (size_t at = 0, number = 1; at < file->size; number++) {
    const char *end = memchr(text + at, '\n', file->size - at);
    const size_t size = end ? (size_t)(end - text) - at : file->size - at,
                 count = json_array_size(out->values);
    if (!is_blank(text + at, size)) {
      json_t *value;
      TRY(MEM_GROW(&out->number, &capacity, count + 1, error));
      TRY(parse_line(text + at, size, name, number, &value, error));
      if (json_array_append_new(out->values, value) != 0) return err_memory(error, file->size);
      out->number[count] = number;
    }
    at += size + 1;
  }
  return XT_STATUS_OK;
}

static xt_status parse_file(TextFile *file, const char *name, JsonLines *out, xt_error *error) {
  *out = (JsonLines){0};
  const xt_status status = parse_all(file, name, out, error);
  text_file_free(file);
  if (status) json_lines_free(out);
  return status;
}

xt_status json_lines_read(const char *path, JsonLines *out, xt_error *error) {
  TextFile file;
  TRY(text_file_read(path, &file, error));
  return parse_file(&file, path, out, error);
}

xt_status json_lines_parse(const void *data, size_t size, const char *name, JsonLines *out,
                           xt_error *error) {
  TextFile file;
  TRY(text_file_parse(data, size, name, &file, error));
  return parse_file(&file, name, out, error);
}

void json_lines_free(JsonLines *lines) {
  json_decref(lines->values);
  free(lines->number);
  *lines = (JsonLines){0};
}
