/* SPDX-License-Identifier: Apache-2.0 */
/* Status and error object shared by every call of the library. */
#ifndef XTRANSPLANT_ERROR_H
#define XTRANSPLANT_ERROR_H

#include <stddef.h>

#include "xtransplant/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kind of an error; the xt_error says where and why it happened. */
typedef enum xt_status {
  XT_STATUS_OK = 0,
  XT_STATUS_ARGUMENT,    /* a value given by the caller is out of range or contradictory, or a
                            plan needs more than the memory limit */
  XT_STATUS_INPUT,       /* a file or text is malformed, incomplete or inconsistent */
  XT_STATUS_IO,          /* the system refused to open, read or write a file */
  XT_STATUS_UNSUPPORTED, /* well-formed, but of a kind this build does not handle */
  XT_STATUS_MEMORY,      /* the system refused to give memory */
  XT_STATUS_CANCELLED    /* the caller's callback asked to stop */
} xt_status;

/* Filled when a call fails; plain values, nothing to free. Every function that takes an `xt_error
 * *` accepts NULL. On success the object is left as it was. A call that fails returns no object:
 * its outputs are NULL or empty, and every function that frees or closes accepts NULL. */
typedef struct xt_error {
  xt_status status;
  long long offset;  /* byte offset in `file`; -1 where none applies */
  char file[512];    /* path, or "" */
  char field[160];   /* tensor name, JSON key or option, or "" */
  char message[512]; /* what is wrong, and what would be right */
} xt_error;

/* Writes "file: field: at byte N: message" (parts that are absent are left out) into `buffer`,
 * always NUL-terminated. Returns `buffer`. */
XT_API const char *xt_error_format(const xt_error *error, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif
#endif
