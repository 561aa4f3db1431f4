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
  if (size && count > (SIZE_MAX / 2 - sizeof(ArenaBlock)) / size)
    return err_memory(error, SIZE_MAX);
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

static void free_blocks(ArenaBlock *block) {
  for (ArenaBlock *next; block; block = next) {
    next = block->next;
    free(block);
  }
}

void arena_free(Arena *arena) {
  free_blocks(arena->blocks);
  arena->blocks = NULL;
}

void arena_reset(Arena *arena) {
  ArenaBlock *kept = arena->blocks;
  if (!kept || kept->size > BLOCK_BYTES) {
    arena_free(arena);
    return;
  }
  free_blocks(kept->next);
  memset(kept->bytes, 0, kept->used);
  kept->next = NULL;
  kept->used = 0;
}
