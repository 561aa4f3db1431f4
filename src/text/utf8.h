/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing UTF-8. Everything past the public entry points is valid UTF-8. */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_buffer.h"

/* Bytes of the character that starts with this byte of valid UTF-8. */
static inline size_t utf8_length(char first) {
  const uint8_t b = (uint8_t)first;
  return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

/* The code point at *at of valid UTF-8; moves *at past it. */
static inline uint32_t utf8_next(const char *text, size_t *at) {
  const uint8_t *p = (const uint8_t *)text + *at;
  const size_t n = utf8_length((char)p[0]);
  *at += n;
  if (n == 1) return p[0];
  if (n == 2) return ((p[0] & 0x1Fu) << 6) | (p[1] & 0x3Fu);
  if (n == 3) return ((p[0] & 0x0Fu) << 12) | ((p[1] & 0x3Fu) << 6) | (p[2] & 0x3Fu);
  return ((p[0] & 0x07u) << 18) | ((p[1] & 0x3Fu) << 12) | ((p[2] & 0x3Fu) << 6) | (p[3] & 0x3Fu);
}

/* The start of the character that ends at `end` (> 0) of valid UTF-8. */
static inline size_t utf8_before(const char *text, size_t end) {
  do end--;
  while (end > 0 && ((uint8_t)text[end] & 0xC0) == 0x80);
  return end;
}

/* Length of the longest valid prefix: `length` when all of it is valid. *bad: bytes of the
 * ill-formed part that follows (the maximal subpart, as Unicode and Rust count it), 0 when there is
 * none. */
size_t utf8_valid_prefix(const char *text, size_t length, size_t *bad);

/* Writes 1 to 4 bytes; returns how many. */
size_t utf8_put(uint32_t code, char out[4]);

/* Appends, each ill-formed part replaced by U+FFFD: Rust's String::from_utf8_lossy. */
void utf8_add_lossy(TextBuffer *out, const char *bytes, size_t length);

/* Code points in valid UTF-8. */
size_t utf8_count(const char *text, size_t length);

/* Unicode's White_Space, as Rust's char::is_whitespace. */
bool utf8_is_space(uint32_t code);

/* What \w of Rust's regex matches: alphabetic, mark, decimal digit, connector, join control. */
bool utf8_is_word(uint32_t code);

/* The version of ICU, which decides what characters are. */
const char *utf8_icu_version(void);

#endif
