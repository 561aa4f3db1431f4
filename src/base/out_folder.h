/* SPDX-License-Identifier: Apache-2.0 */
/* An output folder that appears whole or not at all: filled beside its final name, then renamed. */
#ifndef BASE_OUT_FOLDER_H
#define BASE_OUT_FOLDER_H

#include <stdio.h>

#include "base/err.h"

typedef struct OutFolder {
  char *path, *temporary;
} OutFolder;

/* A folder of that name may be there if it is empty. */
xt_status out_folder_open(const char *path, OutFolder *out, xt_error *error);
/* A new file in it, for writing; `name` may have folders in it, which are made. Close with out_folder_close. */
xt_status out_folder_file(const OutFolder *folder, const char *name, FILE **stream, xt_error *error);
/* Flushes and closes; accepts NULL. A write that failed at any time is an error. */
xt_status out_folder_close(const OutFolder *folder, FILE *stream, xt_error *error);
/* On failure all that was written is removed. */
xt_status out_folder_commit(OutFolder *folder, xt_error *error);
/* Removes what was written, unless committed. Accepts a zeroed one. */
void out_folder_discard(OutFolder *folder);

#endif
