/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of stores that tests make. */
#ifndef TESTS_MADE_REPORT_H
#define TESTS_MADE_REPORT_H

#include "files_support.h"
#include "made_store.h"
#include "xtransplant/report.h"

/* A report of the store, which is closed. */
static inline void report_of(Made *m, const xt_report_options *more, xt_report **out) {
  xt_error error;
  xt_report_options options = more ? *more : (xt_report_options){0};
  options.analysis = &(xt_analysis_options){.bootstrap = 20, .permutations = 20, .threads = 1};
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
  made_close(m);
  ASSERT_OK(xt_report_create(m->path, &options, out, &error));
}

static inline void assert_holds(const char *text, const char *part, bool wanted) {
  if ((strstr(text, part) != NULL) != wanted)
    fail_msg("'%s' is%s in\n%s", part, wanted ? " not" : "", text);
}

/* A .csv file of the report, written into a folder of its own; NULL: there is none. Freed by the
 * caller. */
static inline char *csv_of(xt_report *r, const char *folder, const char *name) {
  xt_error error;
  char path[256];
  snprintf(path, sizeof path, "%s/%s", models_folder, folder);
  ASSERT_OK(xt_report_write(r, path, NULL, &error));
  snprintf(path, sizeof path, "%s/%s/%s", models_folder, folder, name);
  if (access(path, F_OK) != 0) return NULL;
  size_t size;
  char *bytes = (char *)read_whole(path, &size), *text = strndup(bytes, size);
  free(bytes);
  return text;
}

#endif
