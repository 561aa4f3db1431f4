/* SPDX-License-Identifier: Apache-2.0 */
/* A whole file, read-only, in memory. Only regular files are opened, and never so that opening
 * waits.
 *
 * file_read copies a file into memory. file_map_open maps it, which suits weights: they are many
 * gigabytes and are read once. A mapped file that another process cuts short, or that the disk
 * cannot read, raises SIGBUS in the thread that touches it. The library installs no signal handler;
 * xt_mapped_file (file.h) tells a host's own handler which file it was. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct FileMap {
  const uint8_t *data; /* size bytes; not NUL-terminated. Never NULL after opening */
  size_t size;
  char *path;  /* owned */
  void *owned; /* `data` of a file that was read; NULL: mapped, or empty */
  int fd;      /* of a mapped file; it is open while `size` > 0 and `owned` is NULL */
} FileMap;

/* The largest size of a configuration, vocabulary or other file that is read at once. */
#define FILE_SMALL ((size_t)256 << 20)
/* The largest size of data sets and models that are read at once. */
#define FILE_LARGE ((size_t)4 << 30)

/* Maps the file. */
xt_status file_map_open(const char *path, FileMap *out, xt_error *error);
/* Reads the file; one of more than `most` bytes is an error. */
xt_status file_read(const char *path, size_t most, FileMap *out, xt_error *error);
void file_map_close(FileMap *map); /* accepts a zeroed one */

/* An XT_STATUS_IO error when a mapped file has become shorter than it was. */
xt_status file_map_check(const FileMap *map, xt_error *error);

/* Lets the system drop the pages that are completely in these bytes; they are read again when they
 * are used. */
void file_map_forget(const FileMap *map, const void *data, size_t size);

/* The number of bytes of a UTF-8 byte order mark at the beginning of the file, which every reader
 * of text skips: 3 or 0. */
size_t file_map_mark(const FileMap *map);

bool file_exists(const char *path);

/* `directory`/`name`; the caller frees *out with free(). */
xt_status file_join(const char *directory, const char *name, char **out, xt_error *error);

/* *leaves: whether links lead from directory/name out of the directory, or `name` is not a file
 * there. */
xt_status file_leaves(const char *directory, const char *name, bool *leaves, xt_error *error);

/* Whether a file's name ends so. */
bool file_name_ends(const char *name, const char *end);

#endif
