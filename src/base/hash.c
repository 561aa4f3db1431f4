/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <nettle/version.h>
#include <stdio.h>
#include <string.h>

void hash_init(Hash *hash) { sha256_init(&hash->state); }

void hash_raw(Hash *hash, const void *bytes, size_t size) {
  if (size) sha256_update(&hash->state, size, bytes);
}

void hash_number(Hash *hash, uint64_t number) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(number >> (8 * i));
  hash_raw(hash, bytes, sizeof bytes);
}

void hash_part(Hash *hash, const void *bytes, size_t size) {
  hash_number(hash, size);
  hash_raw(hash, bytes, size);
}

void hash_text(Hash *hash, const char *text) {
  hash_part(hash, text ? text : "", text ? strlen(text) : 0);
}

void hash_finish(Hash *hash, uint8_t digest[HASH_BYTES]) {
  sha256_digest(&hash->state, HASH_BYTES, digest);
}

void hash_hex(const uint8_t *digest, size_t bytes, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes; i++) {
    *out++ = digits[digest[i] >> 4];
    *out++ = digits[digest[i] & 15];
  }
  *out = 0;
}

void hash_library_version(char *out, size_t size) {
  snprintf(out, size, "%d.%d", nettle_version_major(), nettle_version_minor());
}
