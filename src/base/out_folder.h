/* SPDX-License-Identifier: Apache-2.0 */
/* An output folder that is written completely or not at all: it is filled beside its final name,
 * synced, and renamed. */
#ifndef BASE_OUT_FOLDER_H
#define BASE_OUT_FOLDER_H

#include <stdio.h>

#include "base/err.h"
#include "base/out_name.h"

typedef struct OutFolder {
  OutName name; /* name.temporary: the folder that is filled */
} OutFolder;

/* A folder with that name, or a link to one, may exist if it is empty. */
xt_status out_folder_open(const char *path, OutFolder *out, xt_error *error);
/* A new file in it, for writing; `name` may have folders in it, which are made. Close with
 * out_folder_close. */
xt_status out_folder_file(const OutFolder *folder, const char *name, FILE **stream,
                          xt_error *error);
/* Flushes and closes; accepts NULL. A write that failed at any time is an error. */
xt_status out_folder_close(const OutFolder *folder, FILE *stream, xt_error *error);
/* Syncs every file and folder, renames, and syncs the folder above. On failure all that was written
 * is removed. */
xt_status out_folder_commit(OutFolder *folder, xt_error *error);
/* Removes what was written, unless committed. Accepts a zeroed one. */
void out_folder_discard(OutFolder *folder);

/* Locks an existing folder against a second process that wants to write into it, until *lock is
 * closed. *lock is -1 if the file system does not support locks. An XT_STATUS_IO error when another
 * process holds it. */
xt_status out_folder_lock(const char *path, int *lock, xt_error *error);

/* Removes a folder and what is in it; links are removed, not followed. */
void out_folder_remove(const char *path);

/* Makes the folders that a file's name leads through, for this user alone, as far as that can be
 * done; `path` is as before when it returns. */
void out_private_folders(char *path);

#endif
