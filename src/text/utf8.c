/* SPDX-License-Identifier: Apache-2.0 */
#include "text/utf8.h"

#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uversion.h>

/* Bytes of the character at p (n > 0 bytes left), or minus the bytes of the ill-formed part. */
static int sequence(const uint8_t *p, size_t n) {
  if (p[0] < 0x80) return 1;
  int need;
  uint8_t low = 0x80, high = 0xBF; /* range of the second byte: no overlong form, surrogate or >
                                      U+10FFFF */
  if (p[0] >= 0xC2 && p[0] <= 0xDF)
    need = 2;
  else if (p[0] >= 0xE0 && p[0] <= 0xEF)
    need = 3;
  else if (p[0] >= 0xF0 && p[0] <= 0xF4)
    need = 4;
  else
    return -1;
  if (p[0] == 0xE0) low = 0xA0;
  if (p[0] == 0xED) high = 0x9F;
  if (p[0] == 0xF0) low = 0x90;
  if (p[0] == 0xF4) high = 0x8F;
  for (int i = 1; i < need; i++) {
    if ((size_t)i >= n || p[i] < low || p[i] > high) return -i;
    low = 0x80;
    high = 0xBF;
  }
  return need;
}

size_t utf8_valid_prefix(const char *text, size_t length, size_t *bad) {
  const uint8_t *p = (const uint8_t *)text;
  size_t at = 0;
  *bad = 0;
  while (at < length) {
    const int n = sequence(p + at, length - at);
    if (n < 0) {
      *bad = (size_t)-n;
      return at;
    }
    at += (size_t)n;
  }
  return at;
}

size_t utf8_put(uint32_t code, char out[4]) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xC0 | (code >> 6));
    out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xE0 | (code >> 12));
    out[1] = (char)(0x80 | ((code >> 6) & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | (code >> 18));
  out[1] = (char)(0x80 | ((code >> 12) & 0x3F));
  out[2] = (char)(0x80 | ((code >> 6) & 0x3F));
  out[3] = (char)(0x80 | (code & 0x3F));
  return 4;
}

void utf8_add_lossy(TextBuffer *out, const char *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    size_t bad;
    const size_t good = utf8_valid_prefix(bytes + at, length - at, &bad);
    text_buffer_add(out, bytes + at, good);
    if (bad) text_buffer_add(out, "\xEF\xBF\xBD", 3);
    at += good + bad;
  }
}

size_t utf8_count(const char *text, size_t length) {
  size_t count = 0;
  for (size_t i = 0; i < length; i++) count += ((uint8_t)text[i] & 0xC0) != 0x80;
  return count;
}

bool utf8_is_space(uint32_t code) { return u_isUWhiteSpace((UChar32)code); }

bool utf8_is_word(uint32_t code) {
  const UChar32 c = (UChar32)code;
  return u_hasBinaryProperty(c, UCHAR_ALPHABETIC) || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) ||
         (U_GET_GC_MASK(c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

const char *utf8_icu_version(void) { return U_ICU_VERSION; }
