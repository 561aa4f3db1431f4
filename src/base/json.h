/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON files with errors that name file, field and place. The values are jansson's. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* The memory that values may take: this many times the text's bytes, and at least this much. Dense
 * but honest JSON (arrays of small numbers) takes about 28 times its bytes; a text of "[],[],.."
 * would take 43 times, one of "{},{},.." 75 times. */
#define JSON_MEMORY_TIMES 32
#define JSON_MEMORY_FREE ((size_t)64 << 20)

/* An XT_STATUS_INPUT error if the values of a text, which may have many lines, would take more.
 * json_parse checks this, too. */
xt_status json_check_size(const void *text, size_t size, const char *file, xt_error *error);

/* Parses `size` bytes. `file` is for messages. Duplicate keys and invalid UTF-8 are errors.
 * The caller frees *out with json_decref. */
xt_status json_parse(const void *data, size_t size, const char *file, json_t **out,
                     xt_error *error);
/* The same for a file; a byte order mark at its beginning is skipped. */
xt_status json_parse_file(const char *path, json_t **out, xt_error *error);

/* The same, as Python's json reads it: the last of equal keys counts, and NaN, Infinity and
 * -Infinity are accepted as numbers. They become strings, so that code that needs a number refuses
 * them. */
xt_status json_parse_python(const char *path, json_t **out, xt_error *error);

/* Typed members of `object`. An absent member or a null leaves *out (the default) unchanged and
 * succeeds; a wrong type or a value outside [low, high] is an XT_STATUS_INPUT error naming `file`
 * and `key`. */
xt_status json_get_int(const json_t *object, const char *key, int64_t low, int64_t high,
                       int64_t *out, const char *file, xt_error *error);
xt_status json_get_real(const json_t *object, const char *key, double low, double high, double *out,
                        const char *file, xt_error *error);
xt_status json_get_bool(const json_t *object, const char *key, bool *out, const char *file,
                        xt_error *error);
/* *out is borrowed from the object. */
xt_status json_get_text(const json_t *object, const char *key, const char **out, const char *file,
                        xt_error *error);

/* The name of a value's type, for messages: "a string", "an object", ... */
const char *json_type_name(const json_t *value);

#endif
