/* SPDX-License-Identifier: Apache-2.0 */
#include "text/charsmap.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include "base/mem.h"
#include "text/utf8.h"

/* ---- reading --------------------------------------------------------------------------------- */

static int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool decode(const char *text, size_t length, char *out, size_t *size) {
  uint32_t bits = 0;
  int count = 0;
  *size = 0;
  while (length && text[length - 1] == '=') length--;
  for (size_t i = 0; i < length; i++) {
    const int digit = digit_of(text[i]);
    if (digit < 0) return false;
    bits = bits << 6 | (uint32_t)digit;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out[(*size)++] = (char)(bits >> count);
  }
  return true;
}

static uint32_t unit_at(const Charsmap *m, size_t index) {
  const uint8_t *p = (const uint8_t *)m->bytes + 4 + 4 * index;
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* `right`: out->bytes and out->size are what the file has. */
static xt_status check(Charsmap *out, bool right, const char *file, const char *field,
                       xt_error *error) {
  size_t bad;
  const uint8_t *p = (const uint8_t *)out->bytes;
  const size_t trie = right && out->size >= 4 ? (size_t)p[0] | (size_t)p[1] << 8 |
                                                    (size_t)p[2] << 16 | (size_t)p[3] << 24
                                              : 0;
  out->units = trie / 4;
  if (right && trie >= 4 && trie % 4 == 0 && trie <= out->size - 4 &&
      utf8_valid_prefix(out->bytes + 4 + trie, out->size - 4 - trie, &bad) == out->size - 4 - trie)
    return XT_STATUS_OK;
  charsmap_free(out);
  return err_set(error, XT_STATUS_INPUT, file, field, -1,
                 "is not a compiled table of SentencePiece's");
}

xt_status charsmap_read(Charsmap *out, const char *base64, size_t length, const char *file,
                        const char *field, xt_error *error) {
  *out = (Charsmap){0};
  if (!length) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&out->bytes, length, error));
  const bool right = decode(base64, length, out->bytes, &out->size);
  return check(out, right, file, field, error);
}

xt_status charsmap_copy(Charsmap *out, const void *bytes, size_t size, const char *file,
                        const char *field, xt_error *error) {
  *out = (Charsmap){.size = size};
  if (!size) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&out->bytes, size, error));
  memcpy(out->bytes, bytes, size);
  return check(out, true, file, field, error);
}

void charsmap_free(Charsmap *m) {
  free(m->bytes);
  *m = (Charsmap){0};
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* What the shortest string of the table that begins here becomes; NULL where none does. */
static const char *find(const Charsmap *m, const char *text, size_t length, size_t *size) {
  size_t node = 0;
  uint32_t unit = unit_at(m, 0);
  for (size_t i = 0; i < length && text[i]; i++) {
    node ^= (unit >> 10) << ((unit & 0x200) >> 6);
    node ^= (uint8_t)text[i];
    if (node >= m->units) return NULL;
    unit = unit_at(m, node);
    if ((unit & 0x800000FFu) != (uint8_t)text[i]) return NULL;
    if (!(unit >> 8 & 1)) continue;
    const size_t leaf = node ^ ((unit >> 10) << ((unit & 0x200) >> 6));
    if (leaf >= m->units) return NULL;
    const size_t at = 4 + 4 * m->units + (unit_at(m, leaf) & 0x7FFFFFFFu);
    if (at >= m->size || ((uint8_t)m->bytes[at] & 0xC0) == 0x80) return NULL;
    const char *end = memchr(m->bytes + at, 0, m->size - at);
    *size = end ? (size_t)(end - (m->bytes + at)) : m->size - at;
    return m->bytes + at;
  }
  return NULL;
}

static void add_grapheme(const Charsmap *m, const char *text, size_t length, TextBuffer *out) {
  size_t size;
  const char *to = length < 6 ? find(m, text, length, &size) : NULL;
  if (to) {
    text_buffer_add(out, to, size);
    return;
  }
  for (size_t at = 0; at < length;) {
    const size_t n = utf8_length(text[at]);
    to = find(m, text + at, n, &size);
    text_buffer_add(out, to ? to : text + at, to ? size : n);
    at += n;
  }
}

xt_status charsmap_apply(const Charsmap *m, const char *text, size_t length, TextBuffer *out,
                         xt_error *error) {
  UErrorCode code = U_ZERO_ERROR;
  if (!m->bytes) {
    text_buffer_add(out, text, length);
    return XT_STATUS_OK;
  }
  UText *wrapped = utext_openUTF8(NULL, text, (int64_t)length, &code);
  UBreakIterator *graphemes = ubrk_open(UBRK_CHARACTER, "", NULL, 0, &code);
  ubrk_setUText(graphemes, wrapped, &code);
  for (int32_t from = 0, to; U_SUCCESS(code) && (to = ubrk_next(graphemes)) != UBRK_DONE; from = to)
    add_grapheme(m, text + from, (size_t)(to - from), out);
  ubrk_close(graphemes);
  utext_close(wrapped);
  if (U_SUCCESS(code)) return XT_STATUS_OK;
  if (code == U_MEMORY_ALLOCATION_ERROR) return err_memory(error, length);
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                 "the text cannot be cut into graphemes: %s", u_errorName(code));
}
