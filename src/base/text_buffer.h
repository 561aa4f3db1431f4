/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte string. Zero-initialise it; a failure is remembered and checked at the end. */
#ifndef BASE_TEXT_BUFFER_H
#define BASE_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct TextBuffer {
  char *data; /* NUL-terminated once anything was added; free() releases it */
  size_t size, capacity;
  bool failed; /* an allocation failed */
} TextBuffer;

void text_buffer_add(TextBuffer *buffer, const void *bytes, size_t count);
void text_buffer_add_text(TextBuffer *buffer, const char *text);
void text_buffer_format(TextBuffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_buffer_free(TextBuffer *buffer);

/* Whether two texts are equal except for the case of ASCII letters, whatever the locale is. */
bool text_same_letters(const char *a, const char *b);

#endif
