/* SPDX-License-Identifier: Apache-2.0 */
/* A text file in memory: UTF-8 and nothing else, unpacked where it is gzip. */
#ifndef TASKS_TEXT_FILE_H
#define TASKS_TEXT_FILE_H

#include <stddef.h>

#include "base/err.h"

typedef struct TextFile {
  char *text; /* size bytes and a NUL; holds no other NUL */
  size_t size;
} TextFile;

/* A byte order mark at the begin is left out. Broken gzip, ill-formed UTF-8 and NUL bytes are
 * XT_STATUS_INPUT errors with line and byte. The caller frees with text_file_free. */
xt_status text_file_read(const char *path, TextFile *out, xt_error *error);
/* The same of bytes that are in memory already, which stay the caller's; `name` is for messages. */
xt_status text_file_parse(const void *data, size_t size, const char *name, TextFile *out,
                          xt_error *error);
void text_file_free(TextFile *file);

#endif
