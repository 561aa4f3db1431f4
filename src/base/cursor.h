/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded reader with a sticky first error: read on, ask once at the end. Little-endian. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Cursor {
  const uint8_t *data;
  size_t size, at;
  bool failed;      /* a read passed the end */
  size_t failed_at; /* where that read began */
} Cursor;

static inline Cursor cursor_make(const void *data, size_t size) {
  return (Cursor){.data = data, .size = size};
}

/* The next n bytes, or NULL (and failed) when fewer are left. */
static inline const uint8_t *cursor_take(Cursor *c, size_t n) {
  if (c->failed || n > c->size - c->at) {
    if (!c->failed) c->failed_at = c->at;
    c->failed = true;
    return NULL;
  }
  const uint8_t *p = c->data + c->at;
  c->at += n;
  return p;
}
static inline uint64_t cursor_uint(Cursor *c, size_t bytes) {
  const uint8_t *p = cursor_take(c, bytes);
  uint64_t v = 0;
  for (size_t i = 0; p && i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}
static inline uint8_t cursor_u8(Cursor *c) { return (uint8_t)cursor_uint(c, 1); }
static inline uint16_t cursor_u16(Cursor *c) { return (uint16_t)cursor_uint(c, 2); }
static inline uint32_t cursor_u32(Cursor *c) { return (uint32_t)cursor_uint(c, 4); }
static inline uint64_t cursor_u64(Cursor *c) { return cursor_uint(c, 8); }

#endif
