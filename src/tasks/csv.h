/* SPDX-License-Identifier: Apache-2.0 */
/* Tables as text: RFC 4180 with commas, and the tab-separated form without quoting. */
#ifndef TASKS_CSV_H
#define TASKS_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/text_buffer.h"

/* A reader over text in memory, which it borrows. Initialise with csv_open; csv_close releases. */
typedef struct Csv {
  const char *path; /* for messages */
  const char *text;
  size_t size, at, line;
  char separator;
  bool quoted;      /* "a, ""b""" is a field of its own */
  size_t row_line;  /* where the row began, from 1 */
  size_t count;     /* fields of the row */
  TextBuffer bytes; /* of its fields, each with a NUL after it */
  size_t *starts, starts_capacity;
  char **names; /* of the columns: the first row */
  size_t columns;
} Csv;

/* Reads the first row as the columns' names. */
xt_status csv_open(Csv *csv, const char *path, const char *text, size_t size, char separator,
                   bool quoted, xt_error *error);
void csv_close(Csv *csv);

/* The next row that is not blank; *more is false after the last. A quote that is not closed, a
 * quote within an unquoted field, and a row whose number of fields is not the number of columns are
 * errors that name the line. */
xt_status csv_next(Csv *csv, bool *more, xt_error *error);

/* The index of a column. If none has that name, the error lists the existing columns. */
xt_status csv_column(const Csv *csv, const char *name, size_t *index, xt_error *error);

/* A field of the row, valid until the next. */
static inline const char *csv_field(const Csv *csv, size_t index) {
  return csv->bytes.data + csv->starts[index];
}

/* An error of the current row. */
xt_status csv_error(const Csv *csv, const char *column, xt_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
