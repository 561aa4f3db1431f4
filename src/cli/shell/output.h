/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out (making a value may fail), and text fitted to columns of a terminal. */
#ifndef CLI_SHELL_OUTPUT_H
#define CLI_SHELL_OUTPUT_H

#include "shell/cli.h"

/* Reads any JSON value; `name` and `field` are for errors, which tell where in the text it
 * broke. */
xt_status cli_json_parse(const char *text, size_t length, const char *name, const char *field,
                         json_t **out, xt_error *error);

/* JSON constructors; NULL when memory runs out, which json_add then reports. */
json_t *json_number(double value); /* null unless finite: JSON has no infinity */
json_t *json_text(const char *text, size_t length);
json_t *json_ids(const int32_t *ids, size_t count);
json_t *json_floats(const float *values, size_t count);

/* Adds `value` (taken over) to an object; false, with `value` freed, when either is NULL. */
bool json_add(json_t *object, const char *key, json_t *value);
/* XT_STATUS_IO once standard output takes no more: whoever read it went away, or the disk is
 * full. */
xt_status output_status(xt_error *error);
/* Prints any value and a newline, then frees it. NULL is an out-of-memory error. */
xt_status json_print(json_t *value, xt_error *error);

/* Columns of the terminal: COLUMNS where it is set, else what standard output is; 80 where it is
 * none. */
int terminal_width(void);
/* Whether standard output is a terminal that shows colours, and NO_COLOR (no-color.org) does not
 * forbid them. */
bool terminal_has_colours(void);

/* `text` with control characters as \n, \x1b, ..., so that it stays on its line, and what is no
 * UTF-8, C1 controls and characters that turn the direction of what follows as \x9b, \u202e, ....
 * Caller frees. */
char *text_escape(const char *text, size_t length);
/* Columns of a terminal that UTF-8 text takes. */
int text_width(const char *text);
/* Prints text from its begin, or (tail) its end, in exactly `columns`: cut with "…" or padded. */
void print_fitted(const char *text, int columns, bool tail);
/* Prints a name from a store, which may hold anything, escaped, in at least `columns`, and a
 * blank. */
void print_name(const char *name, int columns);

#endif
