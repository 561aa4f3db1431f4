/* SPDX-License-Identifier: Apache-2.0 */
#include "shell/layers.h"

#include <stdlib.h>
#include <string.h>

#include "shell/cli.h"

/* Reads one number, "first" or "last" at *text, and moves *text past it. */
static bool read_layer(const char **text, int *out) {
  if (strncmp(*text, "first", 5) == 0) {
    *out = LAYER_FIRST;
    *text += 5;
    return true;
  }
  if (strncmp(*text, "last", 4) == 0) {
    *out = LAYER_LAST;
    *text += 4;
    return true;
  }
  const size_t digits = strspn(*text, "0123456789");
  if (digits == 0 || digits > 6) return false;
  *out = atoi(*text);
  *text += digits;
  return true;
}

/* Reads one item of a list, "3" or "0-7", and moves *text past it. */
static bool read_range(const char **text, int *from, int *to) {
  if (!read_layer(text, from)) return false;
  *to = *from;
  if (**text != '-') return true;
  ++*text;
  return read_layer(text, to);
}

bool layer_parse(const char *text, int *out) { return read_layer(&text, out) && !*text; }

xt_status layer_resolve(int parsed, int layers, const char *option, int *out, xt_error *error) {
  const int layer = parsed == LAYER_FIRST ? 0 : parsed == LAYER_LAST ? layers - 1 : parsed;
  if (layer >= layers) {
    return error_set(error, XT_STATUS_ARGUMENT, NULL, option, -1,
                     "layer %d is out of range: this model has layers 0 to %d", layer, layers - 1);
  }
  *out = layer;
  return XT_STATUS_OK;
}

bool layers_check(const char *text) {
  if (strcmp(text, "all") == 0) return true;
  for (;;) {
    int from, to;
    if (!read_range(&text, &from, &to)) return false;
    if (from >= 0 && to >= 0 && from > to) return false;
    if (!*text) return true;
    if (*text++ != ',') return false;
  }
}

xt_status layers_resolve(const char *text, int layers, const char *option, bool *keep,
                         xt_error *error) {
  memset(keep, strcmp(text, "all") == 0, (size_t)layers * sizeof *keep);
  if (strcmp(text, "all") == 0) return XT_STATUS_OK;
  for (;;) {
    int from, to;
    if (!read_range(&text, &from, &to))
      return error_set(error, XT_STATUS_ARGUMENT, NULL, option, -1, "not a layer list");
    xt_status status = layer_resolve(from, layers, option, &from, error);
    if (!status) status = layer_resolve(to, layers, option, &to, error);
    if (status) return status;
    for (int layer = from; layer <= to; layer++) keep[layer] = true;
    if (!*text++) return XT_STATUS_OK;
  }
}
