/* SPDX-License-Identifier: Apache-2.0 */
#include "base/out_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/out_stream.h"

/* An error unless the folder is empty or does not exist. */
static xt_status check_empty(const char *path, const char *shown, xt_error *error) {
  DIR *folder = opendir(path);
  bool empty = true;
  if (!folder && errno == ENOENT) return XT_STATUS_OK;
  if (!folder && errno != ENOTDIR) return err_io(error, shown, "cannot open");
  for (const struct dirent *entry; folder && (entry = readdir(folder));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
  if (folder) closedir(folder);
  if (folder && empty) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_IO, shown, NULL, -1,
                 "exists and is not an empty folder; nothing was written");
}

xt_status out_folder_open(const char *path, OutFolder *out, xt_error *error) {
  *out = (OutFolder){0};
  char *plain;
  size_t length = strlen(path);
  while (length > 1 && path[length - 1] == '/') length--;
  TRY(mem_copy_text(&plain, path, length, error));
  xt_status status = out_name_make(plain, &out->name, error);
  free(plain);
  TRY(status);
  status = check_empty(out->name.final, path, error);
  if (!status) status = out_name_create_folder(&out->name, error);
  if (status) out_name_free(&out->name);
  return status;
}

xt_status out_folder_file(const OutFolder *folder, const char *name, FILE **stream,
                          xt_error *error) {
  char *path;
  xt_status status = XT_STATUS_OK;
  *stream = NULL;
  TRY(file_join(folder->name.temporary, name, &path, error));
  for (char *slash = path + strlen(folder->name.temporary) + 1;
       !status && (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = 0;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
      status = err_io(error, folder->name.path, "cannot write");
  }
  if (!status) {
    const int fd = out_create(path);
    if (fd < 0)
      status = err_io(error, folder->name.path, "cannot write");
    else if (!(*stream = out_stream_stdio(fd)))
      status = err_memory(error, BUFSIZ);
  }
  free(path);
  return status;
}

xt_status out_folder_close(const OutFolder *folder, FILE *stream, xt_error *error) {
  if (!stream) return XT_STATUS_OK;
  return fclose(stream) == 0 ? XT_STATUS_OK : err_io(error, folder->name.path, "cannot write");
}

static xt_status sync_tree(const char *path, const char *shown, xt_error *error);

static xt_status sync_entry(const char *path, const char *name, const char *shown,
                            xt_error *error) {
  char *inner;
  struct stat about;
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return XT_STATUS_OK;
  TRY(file_join(path, name, &inner, error));
  xt_status status =
      lstat(inner, &about) == 0 ? XT_STATUS_OK : err_io(error, shown, "cannot write");
  if (!status && S_ISDIR(about.st_mode))
    status = sync_tree(inner, shown, error);
  else if (!status && !out_sync_path(inner, false))
    status = err_io(error, shown, "cannot write");
  free(inner);
  return status;
}

/* Everything in a folder, then the folder itself. `shown`: for messages. */
static xt_status sync_tree(const char *path, const char *shown, xt_error *error) {
  DIR *folder = opendir(path);
  if (!folder) return err_io(error, shown, "cannot write");
  xt_status status = XT_STATUS_OK;
  for (const struct dirent *entry; !status && (entry = readdir(folder));)
    status = sync_entry(path, entry->d_name, shown, error);
  closedir(folder);
  if (!status && !out_sync_path(path, true)) status = err_io(error, shown, "cannot write");
  return status;
}

xt_status out_folder_commit(OutFolder *folder, xt_error *error) {
  xt_status status = sync_tree(folder->name.temporary, folder->name.path, error);
  if (!status) status = out_name_publish(&folder->name, error);
  if (status)
    out_folder_discard(folder);
  else
    out_name_free(&folder->name);
  return status;
}

xt_status out_folder_lock(const char *path, int *lock, xt_error *error) {
  *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*lock < 0) return err_io(error, path, "cannot open");
  if (flock(*lock, LOCK_EX | LOCK_NB) == 0) return XT_STATUS_OK;
  const bool taken = errno == EWOULDBLOCK;
  close(*lock);
  *lock = -1;
  return taken ? err_set(error, XT_STATUS_IO, path, NULL, -1,
                         "another process is writing into this folder")
               : XT_STATUS_OK;
}

void out_folder_remove(const char *path) {
  struct stat about;
  DIR *folder = lstat(path, &about) == 0 && S_ISDIR(about.st_mode) ? opendir(path) : NULL;
  for (const struct dirent *entry; folder && (entry = readdir(folder));) {
    char *inner;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (file_join(path, entry->d_name, &inner, NULL) == XT_STATUS_OK) {
      out_folder_remove(inner);
      free(inner);
    }
  }
  if (folder) closedir(folder);
  remove(path);
}

void out_folder_discard(OutFolder *folder) {
  if (folder->name.temporary) out_folder_remove(folder->name.temporary);
  out_name_free(&folder->name);
}

void out_private_folders(char *path) {
  for (char *at = path + 1; *at; at++)
    if (*at == '/') {
      *at = 0;
      (void)mkdir(path, 0700);
      *at = '/';
    }
}
