/* SPDX-License-Identifier: Apache-2.0 */
#include "base/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "xtransplant/file.h"

/* The number N where `path` names this process's own descriptor N (/dev/stdout, /dev/fd/N,
 * /proc/self/fd/N), else -1. Opening that name again would begin at the start of a file that
 * another writer is writing. */
static int own_descriptor(const char *path) {
  char folder[PATH_MAX], own[64];
  const char *slash = strrchr(path, '/');
  if (!slash || slash == path || (size_t)(slash - path) >= sizeof folder) return -1;
  memcpy(folder, path, (size_t)(slash - path));
  folder[slash - path] = 0;
  char *real = realpath(folder, NULL);
  snprintf(own, sizeof own, "/proc/%ld/fd", (long)getpid());
  const bool same = real && strcmp(real, own) == 0 && slash[1] &&
                    strspn(slash + 1, "0123456789") == strlen(slash + 1);
  free(real);
  return same ? atoi(slash + 1) : -1;
}

/* If `path` is one of this process's own descriptors, or links lead to one: a duplicate of it, else
 * -1. */
static int open_own(const char *path) {
  char at[PATH_MAX], target[PATH_MAX];
  if (strlen(path) >= sizeof at) return -1;
  memcpy(at, path, strlen(path) + 1);
  for (int links = 0; links < 40; links++) {
    const int descriptor = own_descriptor(at);
    if (descriptor >= 0) return fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    const ssize_t length = readlink(at, target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = 0;
    char *slash = strrchr(at, '/');
    const size_t folder = target[0] == '/' || !slash ? 0 : (size_t)(slash - at) + 1;
    if (folder + (size_t)length >= sizeof at) return -1;
    memcpy(at + folder, target, (size_t)length + 1);
  }
  return -1;
}

static void forget_temporary(OutFile *file) {
  free(file->name.temporary);
  file->name.temporary = NULL;
}

/* Opens the file to be written: the final name itself if it is not a regular file, else a temporary
 * one. */
static xt_status open_target(OutFile *file, int *fd, xt_error *error) {
  struct stat about;
  xt_status status = XT_STATUS_OK;
  const char *path = file->name.path;
  *fd = open_own(path);
  if (*fd < 0 && (stat(path, &about) != 0 || S_ISREG(about.st_mode))) {
    status = out_name_create_file(&file->name, fd, error);
    if (status) forget_temporary(file);
    return status;
  }
  forget_temporary(file);
  while (*fd < 0 && !status) { /* a FIFO waits for its reader */
    *fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (*fd < 0 && errno != EINTR) status = err_io(error, path, "cannot write");
  }
  return status;
}

xt_status out_file_open(const char *path, OutFile *out, xt_error *error) {
  int fd;
  *out = (OutFile){0};
  TRY(out_name_make(path, &out->name, error));
  xt_status status = open_target(out, &fd, error);
  if (!status && !out_stream_open(fd, &out->out)) status = err_memory(error, BUFSIZ);
  if (status) out_file_discard(out);
  return status;
}

static xt_status failed(const OutFile *file, xt_error *error) {
  if (file->out.code) errno = file->out.code;
  return err_io(error, file->name.path, "cannot write");
}

xt_status out_file_write(OutFile *file, const void *data, size_t size, xt_error *error) {
  if (size && fwrite(data, 1, size, file->out.stream) != size) return failed(file, error);
  return XT_STATUS_OK;
}

xt_status out_file_commit(OutFile *file, xt_error *error) {
  xt_status status = out_stream_close(&file->out, file->name.temporary != NULL)
                         ? XT_STATUS_OK
                         : failed(file, error);
  if (!status && file->name.temporary) {
    status = out_name_publish(&file->name, error);
    if (!status) forget_temporary(file);
  }
  out_file_discard(file);
  return status;
}

void out_file_discard(OutFile *file) {
  if (!file->name.path) return;
  out_stream_drop(&file->out);
  if (file->name.temporary) unlink(file->name.temporary);
  out_name_free(&file->name);
}

xt_status out_file_save(const char *path, const void *data, size_t size, xt_error *error) {
  OutFile file;
  TRY(out_file_open(path, &file, error));
  const xt_status status = out_file_write(&file, data, size, error);
  if (!status) return out_file_commit(&file, error);
  out_file_discard(&file);
  return status;
}

xt_status xt_file_write(const char *path, const void *data, size_t size, xt_error *error) {
  return out_file_save(path, data, size, error);
}
