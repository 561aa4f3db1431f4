/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"
#include "base/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void text_buffer_add(TextBuffer *buffer, const void *bytes, size_t count) {
  if (buffer->failed ||
      MEM_GROW(&buffer->data, &buffer->capacity, buffer->size + count + 1, NULL)) {
    buffer->failed = true;
    return;
  }
  if (count) memcpy(buffer->data + buffer->size, bytes, count);
  buffer->size += count;
  buffer->data[buffer->size] = 0;
}

void text_buffer_add_text(TextBuffer *buffer, const char *text) {
  text_buffer_add(buffer, text, strlen(text));
}

void text_buffer_format(TextBuffer *buffer, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int need = number_vprint(NULL, 0, format, args);
  va_end(args);
  if (need < 0 ||
      MEM_GROW(&buffer->data, &buffer->capacity, buffer->size + (size_t)need + 1, NULL)) {
    buffer->failed = true;
  } else {
    number_vprint(buffer->data + buffer->size, (size_t)need + 1, format, again);
    buffer->size += (size_t)need;
  }
  va_end(again);
}

void text_buffer_free(TextBuffer *buffer) {
  free(buffer->data);
  *buffer = (TextBuffer){0};
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool text_same_letters(const char *a, const char *b) {
  while (*a && lower(*a) == lower(*b)) {
    a++;
    b++;
  }
  return lower(*a) == lower(*b);
}
