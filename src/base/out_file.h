/* SPDX-License-Identifier: Apache-2.0 */
/* An output file that appears whole or not at all: written beside its final name, then renamed. */
#ifndef BASE_OUT_FILE_H
#define BASE_OUT_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

typedef struct OutFile {
  FILE *stream;
  char *path, *temporary;
} OutFile;

xt_status out_file_open(const char *path, OutFile *out, xt_error *error);
xt_status out_file_write(OutFile *file, const void *data, size_t size, xt_error *error);
/* Flushes, renames to the final name and closes. On failure the temporary file is removed. */
xt_status out_file_commit(OutFile *file, xt_error *error);
/* Removes what was written, unless committed. Accepts a zeroed one. */
void out_file_discard(OutFile *file);

#endif
