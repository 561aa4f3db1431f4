/* SPDX-License-Identifier: Apache-2.0 */
/* The part of Jinja that chat templates are written in, with the settings of transformers:
 * trim_blocks, lstrip_blocks, break and continue, no escaping. Statements: if, for, set, macro,
 * generation, break, continue. Anything else is refused with its name and line. Steps, depth and
 * output are limited. */
#ifndef TEXT_JINJA_H
#define TEXT_JINJA_H

#include <time.h>

#include "base/json.h"
#include "base/text_buffer.h"

/* Renders UTF-8 text. `variables` is an object; `now` is what strftime_now tells, in the local time
 * zone. `file` and `field` say where the template stands. An error of the template's own
 * (raise_exception) is XT_STATUS_INPUT. */
xt_status jinja_render(const char *template, size_t length, json_t *variables, time_t now,
                       const char *file, const char *field, TextBuffer *out, xt_error *error);

#endif
