/* SPDX-License-Identifier: Apache-2.0 */
#include "base/system.h"

#include <stdio.h>
#include <string.h>

static uint64_t read_number(const char *path) {
  FILE *file = fopen(path, "re");
  unsigned long long value = 0;
  if (!file) return UINT64_MAX;
  const int got = fscanf(file, "%llu", &value);
  fclose(file);
  return got == 1 ? value : UINT64_MAX; /* "max": no limit */
}

uint64_t system_available_memory(void) {
  uint64_t available = UINT64_MAX;
  FILE *file = fopen("/proc/meminfo", "re");
  if (file) {
    char line[128];
    unsigned long long kilobytes;
    while (fgets(line, sizeof line, file))
      if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1) available = (uint64_t)kilobytes * 1024;
    fclose(file);
  }
  const uint64_t limit = read_number("/sys/fs/cgroup/memory.max"), used = read_number("/sys/fs/cgroup/memory.current");
  if (limit != UINT64_MAX && used != UINT64_MAX && used <= limit && limit - used < available) available = limit - used;
  return available;
}
