/* SPDX-License-Identifier: Apache-2.0 */
/* Layers on the command line: 0-based; lists are all, first, last, 3, 0-7 or 0,5,31. */
#ifndef CLI_SHELL_LAYERS_H
#define CLI_SHELL_LAYERS_H

#include <stdbool.h>

#include "xtransplant/error.h"

#define LAYER_FIRST (-1)
#define LAYER_LAST (-2)

/* Reads a number, "first" or "last", without knowing the model. */
bool layer_parse(const char *text, int *out);

/* The 0-based layer that a parsed one means in a model of `layers`; `option` is named in the
 * error. */
xt_status layer_resolve(int parsed, int layers, const char *option, int *out, xt_error *error);

/* Whether the text is a layer list, without knowing the model. */
bool layers_check(const char *text);

/* Sets keep[l] for every layer of a checked list; the others are cleared. keep: [layers]. */
xt_status layers_resolve(const char *text, int layers, const char *option, bool *keep,
                         xt_error *error);

#endif
