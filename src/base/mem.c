/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

xt_status mem_alloc(void *out, size_t count, size_t size, xt_error *error) {
  void *block = calloc(count ? count : 1, size ? size : 1);
  memcpy(out, &block, sizeof block);
  if (!block) return err_memory(error, size && count > SIZE_MAX / size ? SIZE_MAX : count * size);
  return XT_STATUS_OK;
}

xt_status mem_grow(void *array, size_t *capacity, size_t need, size_t size, xt_error *error) {
  if (need <= *capacity) return XT_STATUS_OK;
  size_t wanted = *capacity + *capacity / 2;
  if (wanted < need) wanted = need;
  if (wanted < 16) wanted = 16;
  if (wanted > SIZE_MAX / size) return err_memory(error, SIZE_MAX);
  void *old;
  memcpy(&old, array, sizeof old);
  void *block = realloc(old, wanted * size);
  if (!block) return err_memory(error, wanted * size);
  memcpy(array, &block, sizeof block);
  *capacity = wanted;
  return XT_STATUS_OK;
}

xt_status mem_copy_text(char **out, const char *text, size_t length, xt_error *error) {
  *out = NULL;
  if (length == SIZE_MAX) return err_memory(error, length);
  char *copy = malloc(length + 1);
  if (!copy) return err_memory(error, length + 1);
  if (length) memcpy(copy, text, length);
  copy[length] = 0;
  *out = copy;
  return XT_STATUS_OK;
}
