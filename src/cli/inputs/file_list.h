/* SPDX-License-Identifier: Apache-2.0 */
/* Files as a command names them: one by one, by patterns that the shell left as they are, or by
 * folder. */
#ifndef CLI_INPUTS_FILE_LIST_H
#define CLI_INPUTS_FILE_LIST_H

#include "shell/cli.h"

typedef struct FileList {
  char **names; /* owned */
  size_t count, capacity;
} FileList;

/* Adds `name`: a folder's files whose names end in `ending`, in order of their names; what a
 * pattern finds, where no file is called that; else the name itself. */
xt_status file_list_add(FileList *list, const char *name, const char *ending, xt_error *error);
void file_list_deinit(FileList *list);

#endif
