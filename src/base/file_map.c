/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "xtransplant/file.h"

/* ---- which files are mapped, for signal handlers --------------------------------------------- */

/* A slot is taken while `begin` is not 0. A handler may look at any time, so that `begin` is set
 * last and cleared first. */
typedef struct MapSlot {
  atomic_flag taken;
  _Atomic(uintptr_t) begin;
  _Atomic(size_t) size;
  _Atomic(const char *) path;
} MapSlot;

#define SLOTS 1024 /* a file beyond them is not named */
static MapSlot slots[SLOTS];

static void remember(const FileMap *map) {
  for (int i = 0; i < SLOTS; i++) {
    if (atomic_flag_test_and_set(&slots[i].taken)) continue;
    atomic_store(&slots[i].path, map->path);
    atomic_store(&slots[i].size, map->size);
    atomic_store(&slots[i].begin, (uintptr_t)map->data);
    return;
  }
}

static void forget(const FileMap *map) {
  for (int i = 0; i < SLOTS; i++) {
    if (atomic_load(&slots[i].begin) != (uintptr_t)map->data) continue;
    atomic_store(&slots[i].begin, 0);
    atomic_flag_clear(&slots[i].taken);
    return;
  }
}

bool xt_mapped_file(const void *address, char *path, size_t size, uint64_t *offset) {
  for (int i = 0; i < SLOTS; i++) {
    const uintptr_t begin = atomic_load(&slots[i].begin);
    if (!begin || (uintptr_t)address < begin ||
        (uintptr_t)address - begin >= atomic_load(&slots[i].size))
      continue;
    const char *from = atomic_load(&slots[i].path);
    size_t length = 0;
    while (length + 1 < size && from[length]) { /* no library call may be made here */
      path[length] = from[length];
      length++;
    }
    if (size) path[length] = 0;
    *offset = (uintptr_t)address - begin;
    return true;
  }
  return false;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* O_NONBLOCK: a FIFO that nobody writes to does not hold us up. It means nothing for regular
 * files. */
static xt_status open_regular(const char *path, int *fd, size_t *size, xt_error *error) {
  struct stat info;
  do *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (*fd < 0 && errno == EINTR);
  if (*fd < 0) return err_io(error, path, "cannot open");
  xt_status status = fstat(*fd, &info) == 0 ? XT_STATUS_OK : err_io(error, path, "cannot stat");
  if (!status && !S_ISREG(info.st_mode))
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1, "not a regular file");
  if (status)
    close(*fd);
  else
    *size = (size_t)info.st_size;
  return status;
}

xt_status file_map_open(const char *path, FileMap *out, xt_error *error) {
  *out = (FileMap){0};
  int fd;
  size_t size;
  TRY(open_regular(path, &fd, &size, error));
  xt_status status;
  TRY_DONE(mem_copy_text(&out->path, path, strlen(path), error));
  out->data = (const uint8_t *)"";
  if (size == 0) goto done; /* mmap refuses empty files */
  void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) {
    status = err_io(error, path, "cannot map");
    file_map_close(out);
    goto done;
  }
  out->data = data;
  out->size = size;
  out->fd = fd;
  remember(out);
  return XT_STATUS_OK;
done:
  close(fd);
  return status;
}

static xt_status too_large(const char *path, size_t most, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                 "is too large: more than the %zu bytes that are read of such a file", most);
}

/* All there is, whatever fstat said: files of /proc say 0. */
static xt_status read_all(int fd, const char *path, size_t size, size_t most, uint8_t **out,
                          size_t *used, xt_error *error) {
  size_t capacity = size + 1; /* one more byte shows the end */
  uint8_t *data;
  TRY(MEM_ALLOC(&data, capacity, error));
  for (;;) {
    const ssize_t got = read(fd, data + *used, capacity - *used);
    xt_status status = XT_STATUS_OK;
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      status = err_io(error, path, "cannot read");
    else
      *used += (size_t)got;
    if (!status && *used > most) status = too_large(path, most, error);
    if (!status && *used == capacity) status = MEM_GROW(&data, &capacity, capacity + 4096, error);
    if (status) {
      free(data);
      *used = 0;
      return status;
    }
  }
  *out = data;
  return XT_STATUS_OK;
}

xt_status file_read(const char *path, size_t most, FileMap *out, xt_error *error) {
  *out = (FileMap){0};
  int fd;
  size_t size;
  uint8_t *data = NULL;
  TRY(open_regular(path, &fd, &size, error));
  xt_status status = size > most ? too_large(path, most, error) : XT_STATUS_OK;
  if (!status) status = mem_copy_text(&out->path, path, strlen(path), error);
  if (!status) status = read_all(fd, path, size, most, &data, &out->size, error);
  close(fd);
  out->data = out->owned = data;
  if (status) file_map_close(out);
  return status;
}

static bool is_mapped(const FileMap *map) { return map->size && !map->owned; }

void file_map_close(FileMap *map) {
  if (is_mapped(map)) {
    forget(map);
    munmap((void *)(uintptr_t)map->data, map->size);
    close(map->fd);
  }
  free(map->owned);
  free(map->path);
  *map = (FileMap){0};
}

xt_status file_map_check(const FileMap *map, xt_error *error) {
  struct stat info;
  if (!is_mapped(map)) return XT_STATUS_OK;
  if (fstat(map->fd, &info) != 0) return err_io(error, map->path, "cannot stat");
  if ((size_t)info.st_size >= map->size) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_IO, map->path, NULL, (long long)info.st_size,
                 "the file was cut short while it was in use: it had %zu bytes", map->size);
}

void file_map_forget(const FileMap *map, const void *data, size_t size) {
  if (!is_mapped(map)) return; /* pages that were read would be lost */
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t from = ((uintptr_t)data + page - 1) / page * page;
  const uintptr_t to = ((uintptr_t)data + size) / page * page;
  if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}

size_t file_map_mark(const FileMap *map) {
  return map->size >= 3 && memcmp(map->data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

bool file_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

xt_status file_join(const char *directory, const char *name, char **out, xt_error *error) {
  const size_t size = strlen(directory) + strlen(name) + 2;
  TRY(MEM_ALLOC(out, size, error));
  snprintf(*out, size, "%s/%s", directory, name);
  return XT_STATUS_OK;
}

/* The folder that a model's links may lead to: its own, or, in the cache of the Hugging Face hub,
 * where MODEL/snapshots/REVISION links to MODEL/blobs, MODEL. Cuts the path. */
static void allowed_root(char *folder) {
  static const char cache[] = "/snapshots";
  char *revision = strrchr(folder, '/');
  if (!revision || revision - folder < (ptrdiff_t)sizeof cache) return;
  char *snapshots = revision - (sizeof cache - 1);
  if (memcmp(snapshots, cache, sizeof cache - 1) == 0) *snapshots = 0;
}

xt_status file_leaves(const char *directory, const char *name, bool *leaves, xt_error *error) {
  char *path, *real, *folder;
  *leaves = true;
  TRY(file_join(directory, name, &path, error));
  folder = realpath(directory, NULL);
  real = realpath(path, NULL);
  if (folder && real) {
    allowed_root(folder);
    const size_t length = strcmp(folder, "/") == 0 ? 0 : strlen(folder);
    *leaves = strncmp(real, folder, length) != 0 || real[length] != '/';
  }
  free(folder);
  free(path);
  free(real);
  return XT_STATUS_OK;
}

bool file_name_ends(const char *name, const char *end) {
  const size_t a = strlen(name), b = strlen(end);
  return a >= b && strcmp(name + a - b, end) == 0;
}
