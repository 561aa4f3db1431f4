/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of code points. */
#ifndef TEXT_CODE_SET_H
#define TEXT_CODE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* [start, end) */
typedef struct CodeRange {
  uint32_t start, end;
} CodeRange;

/* Zero-initialise: the empty set. Ranges may lie in any order until code_set_order. */
typedef struct CodeSet {
  CodeRange *ranges; /* free() */
  size_t count, capacity;
} CodeSet;

xt_status code_set_add(CodeSet *set, uint32_t start, uint32_t end, xt_error *error);
xt_status code_set_add_set(CodeSet *set, const CodeSet *other, xt_error *error);
/* Rising ranges that do not touch. */
void code_set_order(CodeSet *set);
/* Ordered sets in, ordered sets out. */
xt_status code_set_complement(CodeSet *set, xt_error *error);
xt_status code_set_intersect(CodeSet *set, const CodeSet *other, xt_error *error);
/* Adds what differs from a member in case only, one character for one. */
xt_status code_set_fold(CodeSet *set, xt_error *error);
bool code_set_has(const CodeSet *set, uint32_t code);
bool code_set_equal(const CodeSet *a, const CodeSet *b);

/* Adds all code points of a property of Unicode 16 by its name as Oniguruma reads it (letters'
 * case, "_", "-" and spaces do not count): categories, scripts, POSIX classes, a few binary ones.
 * *known is false where there is none. */
xt_status code_set_add_property(CodeSet *set, const char *name, size_t length, bool *known,
                                xt_error *error);
/* The same for the inside of [: :], whose "punct" has the symbols too. */
xt_status code_set_add_posix(CodeSet *set, const char *name, size_t length, bool *known,
                             xt_error *error);

#endif
