/* SPDX-License-Identifier: Apache-2.0 */
/* Files of JSON lines: a value per line, blank lines aside. */
#ifndef TEXT_JSON_LINES_H
#define TEXT_JSON_LINES_H

#include "base/json.h"

typedef struct JsonLines {
  json_t *values; /* an array; a blank line has no element */
  size_t *number; /* each element's line in the file, from 1 */
} JsonLines;

/* The whole file, which may be gzip. Lines with only white space are skipped, as in pandas,
 * datasets and jq; the lines after them keep their numbers in messages. The caller frees with
 * json_lines_free. */
xt_status json_lines_read(const char *path, JsonLines *out, xt_error *error);
/* The same for bytes in memory; messages use `name`. */
xt_status json_lines_parse(const void *data, size_t size, const char *name, JsonLines *out,
                           xt_error *error);
void json_lines_free(JsonLines *lines); /* accepts a zeroed one */

#endif
