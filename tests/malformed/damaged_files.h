/* SPDX-License-Identifier: Apache-2.0 */
/* Weight files that must be refused, with their exact error, or read. */
#ifndef TESTS_DAMAGED_FILES_H
#define TESTS_DAMAGED_FILES_H

#include "files_support.h"

#define INPUT XT_STATUS_INPUT
#define UNSUPPORTED XT_STATUS_UNSUPPORTED

/* What became of a file: the checkpoint is opened, read through, and closed. */
static inline xt_status try_file(const Folder *folder, const char *name, const uint8_t *bytes,
                                 size_t size, xt_error *error) {
  Checkpoint *checkpoint;
  folder_write(folder, name, bytes, size);
  *error = (xt_error){0};
  const xt_status status = checkpoint_open(folder->path, &checkpoint, error);
  if (status == XT_STATUS_OK) {
    checkpoint_touch(checkpoint);
    checkpoint_close(checkpoint);
    return status;
  }
  assert_null(checkpoint);
  assert_int_equal(error->status, status);
  assert_true(error->message[0] != 0);
  assert_non_null(strstr(error->file, name));
  assert_true(error->offset >= -1 && error->offset <= (long long)size);
  assert_true(status == XT_STATUS_INPUT || status == XT_STATUS_UNSUPPORTED);
  return status;
}

static inline void expect(const Folder *folder, const char *name, const uint8_t *bytes, size_t size,
                          xt_status status, const char *field, long long offset, const char *text) {
  xt_error error;
  const xt_status got = try_file(folder, name, bytes, size, &error);
  if (got != status || strcmp(error.field, field) != 0 || error.offset != offset ||
      !strstr(error.message, text))
    fail_msg("wanted status %d, \"%s\", at %lld, \"%s\"; got %d, \"%s\", at %lld, \"%s\"", status,
             field, offset, text, got, error.field, error.offset, error.message);
}

/* Every shorter length must fail; every flipped bit must end well. Returns how many flips were
 * still accepted. */
static inline size_t damage(const char *name, uint8_t *bytes, size_t size, size_t flip_from,
                            size_t flip_to) {
  const Folder folder = folder_make();
  xt_error error;
  size_t accepted = 0;
  assert_int_equal(try_file(&folder, name, bytes, size, &error), XT_STATUS_OK);
  for (size_t length = 0; length < size; length++)
    if (try_file(&folder, name, bytes, length, &error) == XT_STATUS_OK)
      fail_msg("accepted when cut to %zu bytes", length);
  for (size_t bit = flip_from * 8; bit < flip_to * 8; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    accepted += try_file(&folder, name, bytes, size, &error) == XT_STATUS_OK;
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  folder_remove(&folder);
  return accepted;
}

#endif
