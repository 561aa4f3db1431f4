/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks/csv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"

xt_status csv_error(const Csv *csv, const char *column, xt_error *error, const char *format, ...) {
  char message[400], field[100];
  va_list args;
  va_start(args, format);
  number_vprint(message, sizeof message, format, args);
  va_end(args);
  snprintf(field, sizeof field, "line %zu%s%.60s", csv->row_line, column ? ", " : "",
           column ? column : "");
  return err_set(error, XT_STATUS_INPUT, csv->path, field, -1, "%s", message);
}

static bool ends_row(const Csv *csv) {
  return csv->at == csv->size || csv->text[csv->at] == '\n' ||
         (csv->text[csv->at] == '\r' && csv->at + 1 < csv->size && csv->text[csv->at + 1] == '\n');
}

static void skip_row_end(Csv *csv) {
  if (csv->at < csv->size && csv->text[csv->at] == '\r') csv->at++;
  if (csv->at < csv->size) csv->at++;
  csv->line++;
}

/* After an opening quote, up to and with the closing one. */
static xt_status read_quoted(Csv *csv, xt_error *error) {
  const size_t opened = csv->line;
  for (;; csv->at++) {
    if (csv->at == csv->size) {
      csv->row_line = opened;
      return csv_error(csv, NULL, error, "a quote is opened here and never closed");
    }
    const char c = csv->text[csv->at];
    if (c == '\n') csv->line++;
    if (c == '"') {
      csv->at++;
      if (csv->at == csv->size || csv->text[csv->at] != '"') break;
    }
    text_buffer_add(&csv->bytes, &c, 1);
  }
  if (ends_row(csv) || csv->text[csv->at] == csv->separator) return XT_STATUS_OK;
  csv->row_line = csv->line;
  return csv_error(csv, NULL, error,
                   "text follows a closing quote; a quote within a field is written twice");
}

static xt_status read_field(Csv *csv, xt_error *error) {
  if (csv->quoted && csv->at < csv->size && csv->text[csv->at] == '"') {
    csv->at++;
    return read_quoted(csv, error);
  }
  const size_t from = csv->at;
  while (!ends_row(csv) && csv->text[csv->at] != csv->separator) {
    if (csv->quoted && csv->text[csv->at] == '"') {
      csv->row_line = csv->line;
      return csv_error(csv, NULL, error,
                       "a quote stands within a field that does not begin with one");
    }
    csv->at++;
  }
  text_buffer_add(&csv->bytes, csv->text + from, csv->at - from);
  return XT_STATUS_OK;
}

static xt_status read_row(Csv *csv, bool *more, xt_error *error) {
  while (csv->at < csv->size && ends_row(csv)) skip_row_end(csv);
  *more = csv->at < csv->size;
  csv->count = 0;
  csv->bytes.size = 0;
  csv->row_line = csv->line;
  for (bool last = !*more; !last;) {
    TRY(MEM_GROW(&csv->starts, &csv->starts_capacity, csv->count + 1, error));
    csv->starts[csv->count++] = csv->bytes.size;
    TRY(read_field(csv, error));
    text_buffer_add(&csv->bytes, "", 1);
    last = ends_row(csv);
    if (last)
      skip_row_end(csv);
    else
      csv->at++;
  }
  return csv->bytes.failed ? err_memory(error, csv->size) : XT_STATUS_OK;
}

xt_status csv_next(Csv *csv, bool *more, xt_error *error) {
  TRY(read_row(csv, more, error));
  if (*more && csv->count != csv->columns)
    return csv_error(csv, NULL, error, "has %zu field%s, and the first line names %zu columns",
                     csv->count, csv->count == 1 ? "" : "s", csv->columns);
  return XT_STATUS_OK;
}

xt_status csv_open(Csv *csv, const char *path, const char *text, size_t size, char separator,
                   bool quoted, xt_error *error) {
  bool more;
  *csv = (Csv){.path = path,
               .text = text,
               .size = size,
               .line = 1,
               .separator = separator,
               .quoted = quoted};
  xt_status status = read_row(csv, &more, error);
  if (!status && !more)
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "is empty; expected a table whose first line names the columns");
  if (!status) status = MEM_ALLOC(&csv->names, csv->count, error);
  while (!status && csv->columns < csv->count) {
    const char *name = csv_field(csv, csv->columns);
    status = mem_copy_text(&csv->names[csv->columns], name, strlen(name), error);
    if (!status) csv->columns++;
  }
  if (status) csv_close(csv);
  return status;
}

void csv_close(Csv *csv) {
  for (size_t i = 0; i < csv->columns; i++) free(csv->names[i]);
  free(csv->names);
  free(csv->starts);
  text_buffer_free(&csv->bytes);
  *csv = (Csv){0};
}

xt_status csv_column(const Csv *csv, const char *name, size_t *index, xt_error *error) {
  char have[300] = "";
  for (size_t i = 0; i < csv->columns; i++) {
    if (strcmp(csv->names[i], name) == 0) {
      *index = i;
      return XT_STATUS_OK;
    }
    if (strlen(have) < 200)
      snprintf(have + strlen(have), sizeof have - strlen(have), "%s%.60s", i ? ", " : "",
               csv->names[i]);
  }
  return err_set(error, XT_STATUS_INPUT, csv->path, name, -1,
                 "there is no such column; the first line has %s", have);
}
