/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation with overflow checks, by plain malloc: free() releases what mem_alloc and mem_grow
 * gave. Tests intercept malloc to make the n-th allocation fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/err.h"

/* Zeroed count * size bytes into *out; an overflow counts as out of memory. A count of 0 gives a
 * pointer that may be freed. */
xt_status mem_alloc(void *out, size_t count, size_t size, xt_error *error);

/* Makes room for `need` elements of `size` bytes in *array, whose capacity is *capacity; it grows
 * by at least half. On failure the array is unchanged. */
xt_status mem_grow(void *array, size_t *capacity, size_t need, size_t size, xt_error *error);

/* A copy of `length` bytes with a NUL after it. */
xt_status mem_copy_text(char **out, const char *text, size_t length, xt_error *error);

#endif
