/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_TEXT_H
#define BASE_ARENA_TEXT_H

#include <stdarg.h>

#include "base/arena.h"

/* vsnprintf in the C locale (number.h), into as much of the arena as the text takes, whose it is;
 * NULL: memory ran out. */
const char *arena_vformat(Arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* A copy of `length` bytes, and a zero behind them. */
xt_status arena_copy_text(Arena *arena, const char *text, size_t length, const char **out,
                          xt_error *error);

#endif
