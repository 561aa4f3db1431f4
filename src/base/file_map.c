/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

xt_status file_map_open(const char *path, FileMap *out, xt_error *error) {
  *out = (FileMap){0};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return err_io(error, path, "cannot open");
  xt_status status;
  struct stat info;
  if (fstat(fd, &info) != 0) {
    status = err_io(error, path, "cannot stat");
    goto done;
  }
  if (!S_ISREG(info.st_mode)) {
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1, "not a regular file");
    goto done;
  }
  TRY_DONE(mem_copy_text(&out->path, path, strlen(path), error));
  out->size = (size_t)info.st_size;
  if (out->size == 0) { /* mmap refuses empty files */
    out->data = (const uint8_t *)"";
    goto done;
  }
  void *data = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) {
    status = err_io(error, path, "cannot map");
    out->size = 0;
    file_map_close(out);
    goto done;
  }
  out->data = data;
done:
  close(fd);
  return status;
}

void file_map_close(FileMap *map) {
  if (map->size) munmap((void *)(uintptr_t)map->data, map->size);
  free(map->path);
  *map = (FileMap){0};
}

void file_map_forget(const FileMap *map, const void *data, size_t size) {
  (void)map;
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
  TRY(mem_alloc(out, size, 1, error));
  snprintf(*out, size, "%s/%s", directory, name);
  return XT_STATUS_OK;
}
