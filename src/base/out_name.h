/* SPDX-License-Identifier: Apache-2.0 */
/* The temporary name of an output, and the renaming to its final name. */
#ifndef BASE_OUT_NAME_H
#define BASE_OUT_NAME_H

#include <stdbool.h>

#include "base/err.h"

typedef struct OutName {
  char *path;      /* as given, for messages */
  char *final;     /* the file that is replaced: `path` after following the links at its end */
  char *temporary; /* final.<16 random hexadecimal digits>.partial, in the same folder */
} OutName;

#define OUT_NAME_TAIL ".partial"

/* Makes the names; nothing is created. Everything in *out is zeroed on failure. */
xt_status out_name_make(const char *path, OutName *out, xt_error *error);
void out_name_free(OutName *name); /* accepts a zeroed one */

/* Creates the temporary file, which nobody else has made or linked (O_EXCL, O_CLOEXEC), open for
 * writing. */
xt_status out_name_create_file(OutName *name, int *fd, xt_error *error);
xt_status out_name_create_folder(OutName *name, xt_error *error);

/* Renames the temporary to the final name and syncs the folder. The caller has synced the
 * contents. */
xt_status out_name_publish(const OutName *name, xt_error *error);

/* Makes a file with exactly this name, which must not exist; returns its descriptor, or -1 with
 * errno. */
int out_create(const char *path);
/* rename, which is repeated when it is interrupted. On failure errno says why. */
bool out_rename(const char *from, const char *to);

/* fsync, which is repeated when it is interrupted; true if a file system cannot do it. On failure
 * errno says why. */
bool out_sync(int fd);
/* The same of a file or folder by name. */
bool out_sync_path(const char *path, bool folder);

/* Whether a file of this name is what out_name_make calls a temporary of `base`, a plain name. */
bool out_name_is_temporary(const char *name, const char *base);

#endif
