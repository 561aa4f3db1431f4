/* SPDX-License-Identifier: Apache-2.0 */
/* A text file in memory: valid UTF-8, unpacked if the file is gzip. */
#ifndef TEXT_TEXT_FILE_H
#define TEXT_TEXT_FILE_H

#include <stddef.h>

#include "base/err.h"

typedef struct TextFile {
  char *text; /* size bytes and a NUL; holds no other NUL */
  size_t size;
} TextFile;

/* A byte order mark at the beginning is left out. Broken gzip, ill-formed UTF-8 and NUL bytes are
 * XT_STATUS_INPUT errors with line and byte. The caller frees with text_file_free. */
xt_status text_file_read(const char *path, TextFile *out, xt_error *error);
/* The same for bytes in memory, which are borrowed; messages use `name`. */
xt_status text_file_parse(const void *data, size_t size, const char *name, TextFile *out,
                          xt_error *error);
void text_file_free(TextFile *file);

/* An XT_STATUS_INPUT error that names file and line (from 1). */
xt_status text_line_error(xt_error *error, const char *path, size_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
