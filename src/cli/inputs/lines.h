/* SPDX-License-Identifier: Apache-2.0 */
/* Reading text: whole files and single lines, from a path or from stdin ("-"). A byte order mark at
 * the beginning is skipped. A path may be a FIFO with a writer, such as a shell's <(command);
 * opening it never waits. */
#ifndef CLI_INPUTS_LINES_H
#define CLI_INPUTS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "xtransplant/error.h"

/* The largest size of a prompt or of a line; an endless one, such as /dev/zero, ends there. */
#define LINES_MOST ((size_t)64 << 20)

/* How errors name the path: "stdin" for "-". */
const char *input_name(const char *path);

/* Everything in the file but a byte order mark. The caller frees *text (NUL-terminated; *length
 * excludes the NUL). */
xt_status read_whole(const char *path, char **text, size_t *length, xt_error *error);

/* One stream, line by line; the text lives until the next line. */
typedef struct LineReader {
  FILE *stream;
  const char *name;
  char *text; /* without its line end, NUL-terminated */
  size_t length;
  size_t number; /* 1-based */
  size_t capacity;
} LineReader;

xt_status lines_open(const char *path, LineReader *out, xt_error *error);
/* *more is false at the end of the file. */
xt_status lines_next(LineReader *reader, bool *more, xt_error *error);
void lines_close(LineReader *reader);

#endif
