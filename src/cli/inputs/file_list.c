/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/file_list.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Takes `name` over. */
static xt_status take(FileList *list, char *name, xt_error *error) {
  if (name && list->count == list->capacity) {
    const size_t capacity = list->capacity ? 2 * list->capacity : 64;
    char **names = realloc(list->names, capacity * sizeof *names);
    if (names) {
      list->names = names;
      list->capacity = capacity;
    }
  }
  if (!name || list->count == list->capacity) {
    free(name);
    return error_memory(error);
  }
  list->names[list->count++] = name;
  return XT_STATUS_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *join(const char *folder, const char *name) {
  const size_t size = strlen(folder) + strlen(name) + 2;
  char *out = malloc(size);
  if (out)
    snprintf(out, size, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", name);
  return out;
}

static xt_status add_folder(FileList *list, const char *folder, const char *ending,
                            xt_error *error) {
  const size_t before = list->count, end = strlen(ending);
  DIR *directory = opendir(folder);
  if (!directory)
    return error_set(error, XT_STATUS_IO, folder, NULL, -1, "cannot open: %s", strerror(errno));
  xt_status status = XT_STATUS_OK;
  for (const struct dirent *entry; !status && (entry = readdir(directory));) {
    const size_t length = strlen(entry->d_name);
    if (entry->d_name[0] == '.' || length <= end ||
        strcmp(entry->d_name + length - end, ending) != 0)
      continue;
    status = take(list, join(folder, entry->d_name), error);
  }
  closedir(directory);
  if (status) return status;
  if (list->count == before)
    return error_set(error, XT_STATUS_INPUT, folder, NULL, -1, "has no files named *%s", ending);
  qsort(list->names + before, list->count - before, sizeof *list->names, compare_names);
  return XT_STATUS_OK;
}

static xt_status add_pattern(FileList *list, const char *pattern, xt_error *error) {
  glob_t found;
  xt_status status = XT_STATUS_OK;
  if (glob(pattern, 0, NULL, &found) != 0)
    return error_set(error, XT_STATUS_INPUT, pattern, NULL, -1, "no file has such a name");
  for (size_t i = 0; i < found.gl_pathc && !status; i++)
    status = take(list, strdup(found.gl_pathv[i]), error);
  globfree(&found);
  return status;
}

xt_status file_list_add(FileList *list, const char *name, const char *ending, xt_error *error) {
  struct stat of;
  const bool exists = stat(name, &of) == 0;
  if (exists && S_ISDIR(of.st_mode)) return add_folder(list, name, ending, error);
  if (!exists && strpbrk(name, "*?[")) return add_pattern(list, name, error);
  return take(list, strdup(name), error);
}

void file_list_deinit(FileList *list) {
  for (size_t i = 0; i < list->count; i++) free(list->names[i]);
  free(list->names);
  *list = (FileList){0};
}
