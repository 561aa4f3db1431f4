/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ARENA_TEXT_H
#define BASE_ARENA_TEXT_H

#include <stdarg.h>

#include "base/arena.h"

/* vsnprintf in the C locale (number.h), into as much of the arena as the text takes, whose it is;
 * NULL: memory ran out. */
const char *arena_vformat(Arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
