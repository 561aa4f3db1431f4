/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a benchmark in a temporary folder, and the errors that they give. */
#ifndef TESTS_TASK_FILES_H
#define TESTS_TASK_FILES_H

#include <sys/stat.h>
#include <unistd.h>

#include "base/out_folder.h"
#include "support.h"

#define FILES_MOST 8

typedef struct File {
  const char *name, *data;
  size_t size; /* 0: up to the NUL */
} File;

static char root[40];

static inline void write_files(const File *files) {
  snprintf(root, sizeof root, "/tmp/xt-tasks-XXXXXX");
  assert_non_null(mkdtemp(root));
  for (size_t i = 0; i < FILES_MOST && files[i].name; i++) {
    char path[200];
    snprintf(path, sizeof path, "%s/%s", root, files[i].name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
      *slash = 0;
      mkdir(path, 0777);
    }
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    const size_t size = files[i].size ? files[i].size : strlen(files[i].data);
    assert_int_equal(fwrite(files[i].data, 1, size, out), size);
    fclose(out);
  }
}

static inline void remove_files(void) { out_folder_remove(root); }

/* The error without the folder's name. */
static const char *shown(const xt_error *error, char *line, size_t size) {
  xt_error_format(error, line, size);
  const size_t length = strlen(root);
  for (char *at; (at = strstr(line, root)) != NULL;)
    memmove(at, at + length + (at[length] == '/'), strlen(at + length) + 1 - (at[length] == '/'));
  return line;
}

static inline void expect_error(xt_status status, const xt_error *error, const char *want) {
  char line[1400];
  if (status == XT_STATUS_OK) fail_msg("is accepted; expected %s", want);
  if (strcmp(shown(error, line, sizeof line), want) != 0) fail_msg("%s\nexpected %s", line, want);
}

#endif
