/* SPDX-License-Identifier: Apache-2.0 */
#include "base/out_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"

/* 1: empty, 0: not, -1: no such folder. */
static int is_empty(const char *path) {
  DIR *folder = opendir(path);
  int empty = 1;
  if (!folder) return errno == ENOENT ? -1 : 0;
  for (const struct dirent *entry; (entry = readdir(folder));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = 0;
  closedir(folder);
  return empty;
}

xt_status out_folder_open(const char *path, OutFolder *out, xt_error *error) {
  *out = (OutFolder){0};
  const size_t size = strlen(path) + 32;
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  xt_status status = mem_copy_text(&out->path, path, length, error);
  if (!status) status = mem_alloc(&out->temporary, size, 1, error);
  if (!status && is_empty(out->path) == 0) status = err_set(error, XT_STATUS_IO, path, NULL, -1, "exists and is not an empty folder; nothing was written");
  if (!status) {
    snprintf(out->temporary, size, "%s.%ld.partial", out->path, (long)getpid());
    if (mkdir(out->temporary, 0777) == 0) return XT_STATUS_OK;
    status = err_io(error, path, "cannot write");
  }
  free(out->path);
  free(out->temporary);
  *out = (OutFolder){0};
  return status;
}

xt_status out_folder_file(const OutFolder *folder, const char *name, FILE **stream, xt_error *error) {
  char *path;
  xt_status status = XT_STATUS_OK;
  *stream = NULL;
  TRY(file_join(folder->temporary, name, &path, error));
  for (char *slash = path + strlen(folder->temporary) + 1; !status && (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = 0;
    if (mkdir(path, 0777) != 0 && errno != EEXIST) status = err_io(error, folder->path, "cannot write");
  }
  if (!status) {
    *stream = fopen(path, "wxe");
    if (!*stream) status = err_io(error, folder->path, "cannot write");
  }
  free(path);
  return status;
}

xt_status out_folder_close(const OutFolder *folder, FILE *stream, xt_error *error) {
  if (!stream) return XT_STATUS_OK;
  errno = ENOSPC; /* what is reported when an earlier write failed: its own errno was overwritten since */
  const bool failed = ferror(stream) != 0;
  if (fclose(stream) != 0 || failed) return err_io(error, folder->path, "cannot write");
  return XT_STATUS_OK;
}

xt_status out_folder_commit(OutFolder *folder, xt_error *error) {
  if (rename(folder->temporary, folder->path) != 0) {
    const xt_status status = err_io(error, folder->path, "cannot write");
    out_folder_discard(folder);
    return status;
  }
  free(folder->path);
  free(folder->temporary);
  *folder = (OutFolder){0};
  return XT_STATUS_OK;
}

/* A folder and what is in it; links are removed, not followed. */
static void remove_tree(const char *path) {
  struct stat about;
  DIR *folder = lstat(path, &about) == 0 && S_ISDIR(about.st_mode) ? opendir(path) : NULL;
  for (const struct dirent *entry; folder && (entry = readdir(folder));) {
    char *inner;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (file_join(path, entry->d_name, &inner, NULL) == XT_STATUS_OK) {
      remove_tree(inner);
      free(inner);
    }
  }
  if (folder) closedir(folder);
  remove(path);
}

void out_folder_discard(OutFolder *folder) {
  if (folder->temporary) remove_tree(folder->temporary);
  free(folder->path);
  free(folder->temporary);
  *folder = (OutFolder){0};
}
