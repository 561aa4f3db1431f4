/* SPDX-License-Identifier: Apache-2.0 */
/* A whole file, read-only, in memory. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct FileMap {
  const uint8_t *data; /* size bytes; not NUL-terminated. Never NULL after opening */
  size_t size;
  char *path;          /* owned */
} FileMap;

xt_status file_map_open(const char *path, FileMap *out, xt_error *error);
void file_map_close(FileMap *map); /* accepts a zeroed one */

/* Lets the system drop the pages that lie wholly in these bytes; they are read again when touched. */
void file_map_forget(const FileMap *map, const void *data, size_t size);

/* Bytes of a UTF-8 byte order mark at the file's begin, which every reader of text skips: 3 or 0. */
size_t file_map_mark(const FileMap *map);

bool file_exists(const char *path);

/* `directory`/`name`; the caller frees *out with free(). */
xt_status file_join(const char *directory, const char *name, char **out, xt_error *error);

#endif
