/* SPDX-License-Identifier: Apache-2.0 */
/* What all headers share.
 *
 * Options. A structure named xt_..._options holds a call's options; zero-initialised it asks for
 * the defaults, and most calls take NULL for that. Its first field, `size`, is sizeof the
 * structure, or 0 for the structure as version 0.1 has it. Later versions append fields: a library
 * reads those that `size` covers, and refuses a structure that sets fields it does not know.
 *
 * Callbacks. Each gets the `user` pointer that is given with it. One that returns a bool stops the
 * call by returning true (the call then fails with XT_STATUS_CANCELLED); one that returns an
 * xt_status stops it by any but XT_STATUS_OK, which the call then returns. */
#ifndef XTRANSPLANT_API_H
#define XTRANSPLANT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define XT_API __attribute__((visibility("default")))
#else
#define XT_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Frees memory that a call gave to the caller, if the call's description says so. Accepts NULL. */
XT_API void xt_free(void *memory);

#ifdef __cplusplus
}
#endif
#endif
