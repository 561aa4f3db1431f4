/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/gpu/gpu_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/out_file.h"
#include "base/out_folder.h"

/* The file: the SHA-256 of the rest, then the rest. */

void gpu_cache_open(GpuCache *cache, const char *folder, const char *const *key) {
  uint8_t digest[HASH_BYTES];
  char name[HASH_TEXT_SIZE + 16], hex[HASH_TEXT_SIZE];
  Hash hash;
  *cache = (GpuCache){0};
  if (!folder) return;
  hash_init(&hash);
  for (; *key; key++) hash_text(&hash, *key);
  hash_finish(&hash, digest);
  hash_hex(digest, 16, hex);
  snprintf(name, sizeof name, "kernels-%s.bin", hex);
  if (file_join(folder, name, &cache->path, NULL)) return;
  if (file_read(cache->path, FILE_SMALL, &cache->file, NULL) || cache->file.size <= HASH_BYTES)
    return;
  hash_init(&hash);
  hash_raw(&hash, cache->file.data + HASH_BYTES, cache->file.size - HASH_BYTES);
  hash_finish(&hash, digest);
  if (memcmp(digest, cache->file.data, HASH_BYTES) != 0) return;
  cache->data = cache->file.data + HASH_BYTES;
  cache->size = cache->file.size - HASH_BYTES;
}

void gpu_cache_keep(const GpuCache *cache, const void *data, size_t size) {
  uint8_t *bytes;
  Hash hash;
  if (!cache->path || MEM_ALLOC(&bytes, size + HASH_BYTES, NULL)) return;
  memcpy(bytes + HASH_BYTES, data, size);
  hash_init(&hash);
  hash_raw(&hash, data, size);
  hash_finish(&hash, bytes);
  out_private_folders(cache->path);
  /* if it cannot be written, the next run builds the kernels again */
  (void)out_file_save(cache->path, bytes, size + HASH_BYTES, NULL);
  free(bytes);
}

void gpu_cache_close(GpuCache *cache) {
  file_map_close(&cache->file);
  free(cache->path);
  *cache = (GpuCache){0};
}
