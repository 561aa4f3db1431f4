/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what Python's repr() writes for lists, dicts, strings and numbers as JSON values. */
#ifndef TASKS_PYTHON_LITERAL_H
#define TASKS_PYTHON_LITERAL_H

#include "base/json.h"

/* Most bytes of a literal, which is a table's cell: its values may take 40 times as much memory. */
#define LITERAL_MOST ((size_t)1 << 20)

/* Reads all of `text`: a literal, or defaultdict(<class '...'>, {...}), which is its dict. Tuples
 * become arrays, a dict's keys must be strings, and nan becomes null. On failure *at is the byte
 * that is wrong, *what says why, and *out is NULL; for XT_STATUS_MEMORY these are not set. The
 * caller frees *out with json_decref. */
xt_status python_literal_read(const char *text, json_t **out, size_t *at, const char **what);

#endif
