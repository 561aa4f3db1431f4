/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation with overflow checks, by plain malloc: free() releases what mem_alloc and mem_grow
 * give. Tests intercept malloc to make the n-th allocation fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/err.h"

/* Zeroed memory for `count` elements of the type that *out points to. The caller frees *out; an
 * overflow counts as out of memory, and a count of 0 gives a pointer that may be freed. */
#define MEM_ALLOC(out, count, error) mem_alloc((out), (count), sizeof **(out), (error))

/* Makes room for `need` elements in *array, whose capacity is *capacity; it grows by at least half.
 * On failure the array is unchanged. */
#define MEM_GROW(array, capacity, need, error) \
  mem_grow((array), (capacity), (need), sizeof **(array), (error))

/* The same for elements whose size, in bytes, no type says: blocks of a file, structs with a list
 * behind them. `out` and `array` are addresses of pointers. */
xt_status mem_alloc(void *out, size_t count, size_t size, xt_error *error);
xt_status mem_grow(void *array, size_t *capacity, size_t need, size_t size, xt_error *error);

/* A copy of `length` bytes with a NUL after it. */
xt_status mem_copy_text(char **out, const char *text, size_t length, xt_error *error);

#endif
