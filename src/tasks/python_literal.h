/* SPDX-License-Identifier: Apache-2.0 */
/* What Python's repr() writes of lists, dicts, strings and numbers, as JSON values. */
#ifndef TASKS_PYTHON_LITERAL_H
#define TASKS_PYTHON_LITERAL_H

#include "base/json.h"

/* Most bytes of a literal, which is a table's cell: its values may take 40 times as much memory. */
#define LITERAL_MOST ((size_t)1 << 20)

/* Reads all of `text`: a literal, or defaultdict(<class '...'>, {...}), which is its dict. Tuples
 * are arrays, a dict's keys have to be strings, nan is null. On failure *at is the byte that is
 * wrong and *what says why; *out is NULL. XT_STATUS_MEMORY has no place. The caller frees *out with
 * json_decref. */
xt_status python_literal_read(const char *text, json_t **out, size_t *at, const char **what);

#endif
