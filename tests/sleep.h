/* SPDX-License-Identifier: Apache-2.0 */
/* Before a fork(): other threads that sleep hold no lock. */
#ifndef TESTS_SLEEP_H
#define TESTS_SLEEP_H

#include <dirent.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

/* Whether a thread of this process sleeps, by the third field of its stat file. */
static inline bool sleeps(const char *thread) {
  char path[300], line[512] = "";
  snprintf(path, sizeof path, "/proc/self/task/%s/stat", thread);
  FILE *f = fopen(path, "r");
  if (!f) return true; /* it has ended */
  const char *after_name = fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
  fclose(f);
  return after_name && after_name[1] == ' ' && after_name[2] == 'S';
}

/* Waits until every other thread sleeps. A thread that has only begun may hold a lock of the
 * address sanitizer's allocator, which a child process inherits and nobody there opens. */
static inline void wait_for_sleep(void) {
  const struct timespec moment = {.tv_nsec = 1000000};
  for (bool all = false; !all;) {
    char own[32];
    snprintf(own, sizeof own, "%d", (int)getpid());
    DIR *threads = opendir("/proc/self/task");
    assert_non_null(threads);
    all = true;
    for (const struct dirent *d; (d = readdir(threads));)
      if (d->d_name[0] != '.' && strcmp(d->d_name, own) != 0 && !sleeps(d->d_name)) all = false;
    closedir(threads);
    if (!all) nanosleep(&moment, NULL);
  }
}

#endif
