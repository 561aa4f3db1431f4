/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena_text.h"

#include <string.h>

#include "base/number.h"

const char *arena_vformat(Arena *arena, const char *format, va_list args) {
  va_list again;
  char *text = NULL;
  va_copy(again, args);
  const int length = number_vprint(NULL, 0, format, args);
  if (length >= 0 && ARENA_ALLOC(arena, &text, (size_t)length + 1, NULL) == XT_STATUS_OK)
    number_vprint(text, (size_t)length + 1, format, again);
  else
    text = NULL;
  va_end(again);
  return text;
}

xt_status arena_copy_text(Arena *arena, const char *text, size_t length, const char **out,
                          xt_error *error) {
  char *copy;
  TRY(ARENA_ALLOC(arena, &copy, length + 1, error));
  memcpy(copy, text, length);
  *out = copy;
  return XT_STATUS_OK;
}
