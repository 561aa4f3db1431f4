/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem, memfd_create */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

#define FUZZ_ENTRY(name) {#name, fuzz_##name},
const FuzzTarget fuzz_targets[] = {FUZZ_TARGETS(FUZZ_ENTRY){NULL, NULL}};

const FuzzTarget *fuzz_find(const char *name) {
  for (const FuzzTarget *t = fuzz_targets; t->name; t++)
    if (strcmp(t->name, name) == 0) return t;
  return NULL;
}

FuzzPart fuzz_next(FuzzParts *parts) {
  static const char line[] = "\n@@\n";
  const uint8_t *found = parts->size ? memmem(parts->at, parts->size, line, sizeof line - 1) : NULL;
  const FuzzPart part = {parts->at, found ? (size_t)(found - parts->at) : parts->size};
  const size_t used = part.size + (found ? sizeof line - 1 : 0);
  parts->at += used;
  parts->size -= used;
  return part;
}

char *fuzz_text(FuzzPart part) {
  char *text = strndup((const char *)part.data, part.size);
  if (!text) abort();
  return text;
}

const char *fuzz_file(const uint8_t *data, size_t size) {
  static int fd = -1;
  static char path[40];
  if (fd < 0) {
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
  return path;
}

static char folder[64];

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw) {
  (void)info, (void)flag, (void)ftw;
  return remove(path);
}

static void remove_folder(void) { nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

const char *fuzz_folder(void) {
  if (folder[0]) return folder;
  strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/xt-fuzz-XXXXXX" : "/tmp/xt-fuzz-XXXXXX");
  if (!mkdtemp(folder)) abort();
  atexit(remove_folder);
  return folder;
}

const char *fuzz_put(const char *name, FuzzPart part) {
  static char path[160];
  snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
  if (part.size == 0) {
    unlink(path);
    return path;
  }
  for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = 0;
    mkdir(path, 0777);
  }
  FILE *out = fopen(path, "wb");
  if (!out || fwrite(part.data, 1, part.size, out) != part.size || fclose(out) != 0) abort();
  return path;
}

void fuzz_check(xt_status status, const xt_error *error) {
  if (status && (error->status != status || !error->message[0] || status == XT_STATUS_IO)) {
    fprintf(stderr, "status %d, error %d: '%s'\n", (int)status, (int)error->status, error->message);
    abort();
  }
}
