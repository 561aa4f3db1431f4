/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (64 * 1024)

struct ArenaBlock {
  ArenaBlock *next;
  size_t used, size;
  _Alignas(16) unsigned char bytes[];
};

xt_status arena_alloc(Arena *arena, void *out, size_t count, size_t size, xt_error *error) {
  if (size && count > (SIZE_MAX / 2 - sizeof(ArenaBlock)) / size) return err_memory(error, SIZE_MAX);
  const size_t bytes = (count * size + 15) / 16 * 16;
  ArenaBlock *block = arena->blocks;
  if (!block || block->size - block->used < bytes) {
    const size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    block = calloc(1, sizeof *block + room);
    if (!block) return err_memory(error, room);
    block->size = room;
    block->next = arena->blocks;
    arena->blocks = block;
  }
  void *place = block->bytes + block->used;
  block->used += bytes;
  memcpy(out, &place, sizeof place);
  return XT_STATUS_OK;
}

void arena_free(Arena *arena) {
  for (ArenaBlock *block = arena->blocks, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  arena->blocks = NULL;
}
