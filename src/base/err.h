/* SPDX-License-Identifier: Apache-2.0 */
/* Filling an xt_error, and passing failures on. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "xtransplant/error.h"

/* Fills *error (may be NULL) and returns `status`. `file` and `field` may be NULL; offset -1:
 * none. */
xt_status err_set(xt_error *error, xt_status status, const char *file, const char *field,
                  long long offset, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* An allocation of `bytes` failed. */
xt_status err_memory(xt_error *error, size_t bytes);

/* The words for an errno value, in `buffer` and in English, whatever the host's locale; threads
 * share nothing. */
#define ERR_SYSTEM_TEXT 128
const char *err_system_text(int code, char buffer[ERR_SYSTEM_TEXT]);

/* A system call on `file` failed: adds the words for errno. `doing` is e.g. "cannot open". */
xt_status err_io(xt_error *error, const char *file, const char *doing);

/* Forward a failure: TRY returns it, TRY_DONE goes to the function's one `done:` label with the
 * local `status` set. */
#define TRY(call)                                      \
  do {                                                 \
    const xt_status try_status = (call);               \
    if (try_status != XT_STATUS_OK) return try_status; \
  } while (0)
#define TRY_DONE(call)                     \
  do {                                     \
    status = (call);                       \
    if (status != XT_STATUS_OK) goto done; \
  } while (0)

#endif
