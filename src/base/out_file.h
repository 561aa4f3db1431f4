/* SPDX-License-Identifier: Apache-2.0 */
/* An output file that is written completely or not at all: it is written beside its final name,
 * synced, and renamed.
 *
 * A final name that is a link stays one: the file it leads to is replaced. An existing file that is
 * not regular (a device, a FIFO, /dev/stdout) is written into and never replaced. The modes of new
 * files follow the umask. */
#ifndef BASE_OUT_FILE_H
#define BASE_OUT_FILE_H

#include "base/err.h"
#include "base/out_name.h"
#include "base/out_stream.h"

typedef struct OutFile {
  OutStream out;
  OutName name; /* name.temporary is NULL if the final name is written into */
} OutFile;

/* *out must not be moved until it is committed or discarded. */
xt_status out_file_open(const char *path, OutFile *out, xt_error *error);
xt_status out_file_write(OutFile *file, const void *data, size_t size, xt_error *error);
/* Flushes, syncs the file, renames it to the final name, and syncs the folder. On failure the
 * temporary file is removed. */
xt_status out_file_commit(OutFile *file, xt_error *error);
/* Removes what was written, unless committed. Accepts a zeroed one. */
void out_file_discard(OutFile *file);

/* The three together, for bytes in memory. */
xt_status out_file_save(const char *path, const void *data, size_t size, xt_error *error);

#endif
