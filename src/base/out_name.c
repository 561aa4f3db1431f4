/* SPDX-License-Identifier: Apache-2.0 */
#include "base/out_name.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"

#define DIGITS 16
#define TAIL_SIZE (1 + DIGITS + sizeof OUT_NAME_TAIL) /* ".<digits>.partial" and the NUL */
#define LINKS_MOST 40                                 /* as many as Linux follows */
#define TRIES 100

/* The target of the link at `path`, in the same folder if it is relative. */
static xt_status read_link(const char *path, char **out, xt_error *error) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path, target, sizeof target - 1);
  if (length < 0) return err_io(error, path, "cannot read the link");
  if ((size_t)length == sizeof target - 1) {
    errno = ENAMETOOLONG;
    return err_io(error, path, "cannot read the link");
  }
  target[length] = 0;
  const char *slash = target[0] == '/' ? NULL : strrchr(path, '/');
  const size_t folder = slash ? (size_t)(slash - path) + 1 : 0, size = folder + (size_t)length + 1;
  TRY(MEM_ALLOC(out, size, error));
  snprintf(*out, size, "%.*s%s", (int)folder, path, target);
  return XT_STATUS_OK;
}

/* Follows the links at the end of `path`, also to a file that does not exist yet. */
static xt_status follow(const char *path, char **out, xt_error *error) {
  struct stat about;
  TRY(mem_copy_text(out, path, strlen(path), error));
  for (int i = 0; i < LINKS_MOST; i++) {
    char *next = NULL;
    if (lstat(*out, &about) != 0 || !S_ISLNK(about.st_mode)) return XT_STATUS_OK;
    const xt_status status = read_link(*out, &next, error);
    free(*out);
    *out = next;
    TRY(status);
  }
  free(*out);
  *out = NULL;
  errno = ELOOP;
  return err_io(error, path, "cannot write");
}

/* Shortens a name that the file system would refuse, but never within a UTF-8 character. */
static size_t kept_length(const char *final) {
  const char *slash = strrchr(final, '/');
  const size_t folder = slash ? (size_t)(slash - final) + 1 : 0;
  size_t base = strlen(final) - folder;
  if (base > NAME_MAX + 1 - TAIL_SIZE)
    for (base = NAME_MAX + 1 - TAIL_SIZE;
         base > 0 && ((unsigned char) final[folder + base] & 0xC0) == 0x80;)
      base--;
  return folder + base;
}

/* The name has a number that nobody can predict, so that nobody can make a file or link with that
 * name beforehand. */
static void draw_temporary(OutName *name) {
  const size_t kept = kept_length(name->final);
  snprintf(name->temporary, kept + TAIL_SIZE, "%.*s.%016llx%s", (int)kept, name->final,
           (unsigned long long)rng_unpredictable(), OUT_NAME_TAIL);
}

xt_status out_name_make(const char *path, OutName *out, xt_error *error) {
  *out = (OutName){0};
  xt_status status;
  TRY_DONE(mem_copy_text(&out->path, path, strlen(path), error));
  TRY_DONE(follow(out->path, &out->final, error));
  TRY_DONE(MEM_ALLOC(&out->temporary, strlen(out->final) + TAIL_SIZE, error));
  draw_temporary(out);
done:
  if (status) out_name_free(out);
  return status;
}

void out_name_free(OutName *name) {
  free(name->path);
  free(name->final);
  free(name->temporary);
  *name = (OutName){0};
}

xt_status out_name_create_file(OutName *name, int *fd, xt_error *error) {
  for (int i = 0; i < TRIES; i++) {
    *fd = out_create(name->temporary);
    if (*fd >= 0) return XT_STATUS_OK;
    if (errno != EEXIST) break;
    draw_temporary(name);
  }
  return err_io(error, name->path, "cannot write");
}

xt_status out_name_create_folder(OutName *name, xt_error *error) {
  for (int i = 0; i < TRIES; i++) {
    if (mkdir(name->temporary, 0777) == 0) return XT_STATUS_OK;
    if (errno != EEXIST) break;
    draw_temporary(name);
  }
  return err_io(error, name->path, "cannot write");
}

int out_create(const char *path) {
  int fd;
  do fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  while (fd < 0 && errno == EINTR);
  return fd;
}

bool out_rename(const char *from, const char *to) {
  int code;
  do code = rename(from, to);
  while (code != 0 && errno == EINTR);
  return code == 0;
}

bool out_sync(int fd) {
  int code;
  do code = fsync(fd);
  while (code != 0 && errno == EINTR);
  return code == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS || errno == EROFS;
}

bool out_sync_path(const char *path, bool folder) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | (folder ? O_DIRECTORY : O_NOFOLLOW));
  if (fd < 0) return folder && errno == EACCES; /* a folder may be writable and not readable */
  const bool fine = out_sync(fd);
  const int code = errno;
  close(fd);
  errno = code;
  return fine;
}

xt_status out_name_publish(const OutName *name, xt_error *error) {
  char *folder;
  const char *slash = strrchr(name->final, '/');
  const char *parent = !slash ? "." : slash == name->final ? "/" : name->final;
  /* before anything is done */
  TRY(mem_copy_text(&folder, parent, parent == name->final ? (size_t)(slash - parent) : 1, error));
  xt_status status = XT_STATUS_OK;
  if (!out_rename(name->temporary, name->final))
    status = err_io(error, name->path, "cannot write");
  else if (!out_sync_path(folder, true))
    status = err_io(error, name->path, "cannot sync the folder of this file");
  free(folder);
  return status;
}

bool out_name_is_temporary(const char *name, const char *base) {
  const size_t length = strlen(base);
  if (strncmp(name, base, length) != 0 || name[length] != '.') return false;
  const char *digits = name + length + 1;
  return strspn(digits, "0123456789abcdef") == DIGITS &&
         strcmp(digits + DIGITS, OUT_NAME_TAIL) == 0;
}
