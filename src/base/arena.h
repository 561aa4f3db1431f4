/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is given back all at once. Zero-initialise; arena_free releases everything. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
  ArenaBlock *blocks; /* newest first */
} Arena;

/* Zeroed memory, aligned to 16 bytes, for `count` elements of the type that *out points to. An
 * overflow counts as out of memory. */
#define ARENA_ALLOC(arena, out, count, error) \
  arena_alloc((arena), (out), (count), sizeof **(out), (error))
/* The same for elements of `size` bytes; `out` is the address of a pointer. */
xt_status arena_alloc(Arena *arena, void *out, size_t count, size_t size, xt_error *error);
void arena_free(Arena *arena);
/* The same, with memory for what comes next kept. */
void arena_reset(Arena *arena);

#endif
