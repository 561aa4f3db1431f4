/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (libnettle) of parts that are framed by their length: two different lists of parts never
 * give the same bytes. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <nettle/sha2.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES SHA256_DIGEST_SIZE
#define HASH_TEXT_SIZE (2 * HASH_BYTES + 1)

typedef struct Hash {
  struct sha256_ctx state;
} Hash;

void hash_init(Hash *hash);
/* Bytes as they are, without a frame. */
void hash_raw(Hash *hash, const void *bytes, size_t size);
/* The length as eight bytes, little-endian, then the bytes. */
void hash_part(Hash *hash, const void *bytes, size_t size);
/* hash_part of a string; NULL counts as the empty one. */
void hash_text(Hash *hash, const char *text);
/* Eight bytes, little-endian. */
void hash_number(Hash *hash, uint64_t number);
void hash_finish(Hash *hash, uint8_t digest[HASH_BYTES]);
/* Lower-case hexadecimal of the first `bytes` of a digest; out: 2 * bytes + 1. */
void hash_hex(const uint8_t *digest, size_t bytes, char *out);
/* The version of libnettle. */
void hash_library_version(char *out, size_t size);

/* FNV-1a, for tables in memory: fast, and no protection against texts made to collide. */
#define HASH_FNV_START 0xcbf29ce484222325u
/* Continues the hash h of the bytes before these. */
static inline uint64_t hash_fnv_continue(uint64_t h, const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
  return h;
}
static inline uint64_t hash_fnv(const void *bytes, size_t size) {
  return hash_fnv_continue(HASH_FNV_START, bytes, size);
}

#endif
