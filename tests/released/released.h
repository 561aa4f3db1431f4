/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests that need the released data: benchmarks, real vocabularies, lid.176.ftz. They lie
 * in the folder that the environment's XT_TEST_DATA names; without it these tests are skipped, and
 * no test looks for them elsewhere. */
#ifndef TESTS_RELEASED_H
#define TESTS_RELEASED_H

#include "support.h"

/* The path of `name` within that folder, or NULL. Good until the fourth call after it. */
static inline const char *released_path(const char *name) {
  static char paths[4][1200];
  static unsigned turn;
  char *path = paths[turn++ % 4];
  const char *folder = getenv("XT_TEST_DATA");
  if (!folder || !folder[0]) return NULL;
  assert_true((size_t)snprintf(path, sizeof paths[0], "%s/%s", folder, name) < sizeof paths[0]);
  return path;
}

/* Skips the test unless the file or folder is there. The first statement of a test, before it owns
 * anything. */
#define NEEDS_RELEASED(name)                                           \
  do {                                                                 \
    const char *path_ = released_path(name);                           \
    FILE *probe_ = path_ ? fopen(path_, "rb") : NULL;                  \
    if (!probe_) {                                                     \
      print_message("# needs XT_TEST_DATA: a folder with %s\n", name); \
      skip();                                                          \
    }                                                                  \
    fclose(probe_);                                                    \
  } while (0)

#endif
