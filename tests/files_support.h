/* SPDX-License-Identifier: Apache-2.0 */
/* Folders and small weight files made by the tests of src/files. */
#ifndef TESTS_FILES_SUPPORT_H
#define TESTS_FILES_SUPPORT_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/checkpoint.h"
#include "support.h"

typedef struct Folder {
  char path[64];
} Folder;

static inline Folder folder_make(void) {
  Folder folder = {"/tmp/xt-files-XXXXXX"};
  assert_non_null(mkdtemp(folder.path));
  return folder;
}

static inline const char *folder_file(const Folder *folder, const char *name, char *buffer,
                                      size_t size) {
  snprintf(buffer, size, "%s/%s", folder->path, name);
  return buffer;
}

static inline void folder_write(const Folder *folder, const char *name, const void *data,
                                size_t size) {
  char path[400];
  unlink(folder_file(folder, name, path, sizeof path)); /* ext4 flushes a file to disk that is
                                                           cut to nothing and written again */
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_true(fwrite(data, 1, size, file) == size);
  assert_int_equal(fclose(file), 0);
}

static inline void folder_text(const Folder *folder, const char *name, const char *text) {
  folder_write(folder, name, text, strlen(text));
}

static inline void folder_remove(const Folder *folder) {
  DIR *list = opendir(folder->path);
  for (struct dirent *entry; list && (entry = readdir(list)) != NULL;) {
    char path[400];
    unlink(folder_file(folder, entry->d_name, path, sizeof path));
  }
  if (list) closedir(list);
  rmdir(folder->path);
}

/* The bytes of a safetensors file: length, header, then `data` counting up from 0. Caller frees. */
static inline uint8_t *safetensors_bytes(const char *header, size_t data, size_t *size) {
  const size_t length = strlen(header);
  *size = 8 + length + data;
  uint8_t *bytes = malloc(*size);
  assert_non_null(bytes);
  for (size_t i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)length >> (8 * i));
  memcpy(bytes + 8, header, length);
  for (size_t i = 0; i < data; i++) bytes[8 + length + i] = (uint8_t)i;
  return bytes;
}

static inline void folder_safetensors(const Folder *folder, const char *name, const char *header,
                                      size_t data) {
  size_t size;
  uint8_t *bytes = safetensors_bytes(header, data, &size);
  folder_write(folder, name, bytes, size);
  free(bytes);
}

static inline uint8_t *read_whole(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  *size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(*size);
  assert_true(bytes && fread(bytes, 1, *size, file) == *size);
  fclose(file);
  return bytes;
}

/* Touches every byte a checkpoint gives out, so that sanitizers and the system see a bad view. */
static inline unsigned checkpoint_touch(const Checkpoint *checkpoint) {
  unsigned sum = 0;
  for (size_t i = 0; i < checkpoint_count(checkpoint); i++) {
    const Tensor *tensor = checkpoint_get(checkpoint, i);
    assert_ptr_equal(checkpoint_find(checkpoint, tensor->name), tensor);
    uint64_t bytes = dtype_size(tensor->dtype);
    for (int d = 0; d < tensor->dims; d++) bytes *= (uint64_t)tensor->shape[d];
    assert_true(bytes == tensor->bytes);
    for (size_t b = 0; b < tensor->bytes; b++) sum += ((const uint8_t *)tensor->data)[b];
  }
  return sum;
}

#endif
