/* SPDX-License-Identifier: Apache-2.0 */
/* Structures of options that can grow: see xtransplant/api.h. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include "base/err.h"

/* Checks the `size` field of `options`, a pointer to a structure of options; NULL is fine. */
#define OPTIONS_CHECK(options, error) \
  options_check(options, options ? (options)->size : 0, sizeof *(options), error)

/* Whether a structure of `size` bytes, of which `known` are known, sets nothing beyond them. */
xt_status options_check(const void *options, size_t size, size_t known, xt_error *error);

#endif
