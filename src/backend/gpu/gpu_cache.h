/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled kernels kept between runs: a file in a folder of the user's, named by the hash of all
 * that they depend on. What cannot be read or written, or is not what was written, counts as
 * absent: the kernels are then built again. */
#ifndef GPU_GPU_CACHE_H
#define GPU_GPU_CACHE_H

#include <stddef.h>

#include "base/file_map.h"

typedef struct GpuCache {
  char *path; /* NULL: nothing is kept */
  FileMap file;
  const unsigned char *data; /* what was kept; NULL: nothing */
  size_t size;
} GpuCache;

/* `folder` may be NULL; `key` ends with NULL. */
void gpu_cache_open(GpuCache *cache, const char *folder, const char *const *key);
void gpu_cache_keep(const GpuCache *cache, const void *data, size_t size);
void gpu_cache_close(GpuCache *cache);

#endif
