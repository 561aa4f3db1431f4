/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups. /proc/self/cgroup names the process's group in each hierarchy:
 *     0::/user.slice/job_7          version 2, all controllers
 *     4:memory:/slurm/job_7         version 1, one hierarchy for each controller
 * and /proc/self/mountinfo says where a hierarchy is mounted and which of its groups is seen there
 * as the top:
 *     35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
 * A group is bound by its own limits and by those of every group above it. */
#define _GNU_SOURCE
#include "base/system.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef char Path[PATH_MAX];

/* ---- small files ----------------------------------------------------------------------------- */

/* False if it does not fit. */
static bool join(Path out, const char *a, const char *b) {
  const int n = snprintf(out, sizeof(Path), "%s%s", a, b);
  return n >= 0 && (size_t)n < sizeof(Path);
}

static FILE *open_in(const char *folder, const char *name) {
  Path path;
  return join(path, folder, name) ? fopen(path, "re") : NULL;
}

/* The number that a file consists of. UINT64_MAX: none, also for "max" and -1, which mean no
 * limit. */
static uint64_t read_number(const char *folder, const char *name) {
  FILE *file = open_in(folder, name);
  char word[32] = "";
  if (!file) return UINT64_MAX;
  const int got = fscanf(file, "%31s", word);
  fclose(file);
  return got == 1 && *word >= '0' && *word <= '9' ? strtoull(word, NULL, 10) : UINT64_MAX;
}

/* The number after `key` in a file of lines "key number"; 0: none. */
static uint64_t read_entry(const char *folder, const char *name, const char *key) {
  FILE *file = open_in(folder, name);
  char line[256];
  const size_t length = strlen(key);
  uint64_t value = 0;
  if (!file) return 0;
  while (fgets(line, sizeof line, file))
    if (strncmp(line, key, length) == 0 && line[length] == ' ')
      value = strtoull(line + length + 1, NULL, 10);
  fclose(file);
  return value;
}

/* ---- where the groups are -------------------------------------------------------------------- */

/* Whether a list that is separated by commas has the word. */
static bool lists(const char *list, const char *word) {
  const size_t length = strlen(word);
  for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
    if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == 0)) return true;
  return false;
}

/* The process's group in the hierarchy of `controller`; NULL: in that of version 2. */
static bool find_group(const char *root, const char *controller, Path out) {
  FILE *file = open_in(root, "/proc/self/cgroup");
  char *line = NULL;
  size_t room = 0;
  bool found = false;
  if (!file) return false;
  while (!found && getline(&line, &room, file) > 0) {
    char *controllers = strchr(line, ':'),
         *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) continue;
    *path++ = 0;
    path[strcspn(path, "\n")] = 0;
    found =
        (controller ? lists(controllers + 1, controller) : !controllers[1]) && join(out, path, "");
  }
  free(line);
  fclose(file);
  return found;
}

/* Decodes mountinfo's escapes, such as \040. */
static void unescape(char *text) {
  char *to = text;
  for (; *text; to++) {
    unsigned code;
    if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
      *to = (char)code;
      text += 4;
    } else {
      *to = *text++;
    }
  }
  *to = 0;
}

/* The place where the hierarchy is mounted, and the group that is its top there. */
static bool find_mount(const char *root, const char *controller, Path top, Path point) {
  FILE *file = open_in(root, "/proc/self/mountinfo");
  char *line = NULL;
  size_t room = 0;
  bool found = false;
  if (!file) return false;
  while (!found && getline(&line, &room, file) > 0) {
    char type[16] = "", *options = strstr(line, " - "), *last;
    if (!options || sscanf(options, " - %15s", type) != 1 ||
        strcmp(type, controller ? "cgroup" : "cgroup2") != 0)
      continue;
    options[strcspn(options, "\n")] = 0;
    last = strrchr(options, ' ') + 1;
    if (controller && !lists(last, controller)) continue;
    found = sscanf(line, "%*s %*s %*s %4095s %4095s", top, point) == 2;
  }
  free(line);
  fclose(file);
  if (found) {
    unescape(top);
    unescape(point);
  }
  return found;
}

/* The folder of the process's group in a hierarchy, and the part of it that is the mount; false:
 * there is none. */
static bool group_folder(const char *root, const char *controller, Path folder,
                         size_t *mount_length) {
  Path group, top, point;
  if (!find_group(root, controller, group) || !find_mount(root, controller, top, point))
    return false;
  const size_t length = strcmp(top, "/") == 0 ? 0 : strlen(top);
  /* The group is outside the mounted part (a container that sees its own group as the top): only
   * the top can be seen. */
  const bool below = strncmp(group, top, length) == 0 && (group[length] == '/' || !group[length]) &&
                     !strstr(group, "/..");
  Path inner;
  if (!join(inner, root, point)) return false;
  *mount_length = strlen(inner);
  if (!join(folder, inner, below ? group + length : "")) return false;
  while (strlen(folder) > *mount_length && folder[strlen(folder) - 1] == '/')
    folder[strlen(folder) - 1] = 0;
  return true;
}

/* The smallest `of(folder)` of the process's group and the groups above it. */
static uint64_t least_of_groups(const char *root, const char *controller,
                                uint64_t (*of)(const char *folder)) {
  Path folder;
  size_t mount;
  uint64_t least = UINT64_MAX;
  if (!group_folder(root, controller, folder, &mount)) return least;
  for (;;) {
    const uint64_t value = of(folder);
    if (value < least) least = value;
    if (strlen(folder) <= mount) return least;
    *strrchr(folder, '/') = 0;
  }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t room_below(uint64_t limit, uint64_t used, uint64_t droppable) {
  if (limit == UINT64_MAX || used == UINT64_MAX) return UINT64_MAX;
  used -= droppable < used ? droppable : used;
  return used < limit ? limit - used : 0;
}

static uint64_t memory_room_2(const char *folder) {
  const uint64_t most = read_number(folder, "/memory.max"),
                 high = read_number(folder, "/memory.high");
  return room_below(high < most ? high : most, read_number(folder, "/memory.current"),
                    read_entry(folder, "/memory.stat", "inactive_file"));
}

static uint64_t memory_room_1(const char *folder) {
  return room_below(read_number(folder, "/memory.limit_in_bytes"),
                    read_number(folder, "/memory.usage_in_bytes"),
                    read_entry(folder, "/memory.stat", "total_inactive_file"));
}

uint64_t system_available_memory_at(const char *root) {
  uint64_t available = UINT64_MAX;
  FILE *file = open_in(root, "/proc/meminfo");
  if (file) {
    char line[128];
    unsigned long long kilobytes;
    while (fgets(line, sizeof line, file))
      if (sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1)
        available = (uint64_t)kilobytes * 1024;
    fclose(file);
  }
  const uint64_t two = least_of_groups(root, NULL, memory_room_2),
                 one = least_of_groups(root, "memory", memory_room_1);
  if (two < available) available = two;
  return one < available ? one : available;
}

uint64_t system_available_memory(void) { return system_available_memory_at(""); }

/* ---- processors ------------------------------------------------------------------------------ */

static uint64_t thousandths(uint64_t quota, uint64_t period) {
  if (quota == UINT64_MAX || period == UINT64_MAX || period == 0 || quota > UINT64_MAX / 1000)
    return UINT64_MAX;
  return quota * 1000 / period;
}

/* "150000 100000": microseconds of processor time per period, and the period; "max 100000": no
 * quota. */
static uint64_t cpu_quota_2(const char *folder) {
  FILE *file = open_in(folder, "/cpu.max");
  unsigned long long quota = 0, period = 0;
  const int got = file ? fscanf(file, "%llu %llu", &quota, &period) : 0;
  if (file) fclose(file);
  return got == 2 ? thousandths(quota, period) : UINT64_MAX;
}

static uint64_t cpu_quota_1(const char *folder) {
  return thousandths(read_number(folder, "/cpu.cfs_quota_us"),
                     read_number(folder, "/cpu.cfs_period_us"));
}

uint64_t system_cpu_quota_at(const char *root) {
  const uint64_t two = least_of_groups(root, NULL, cpu_quota_2),
                 one = least_of_groups(root, "cpu", cpu_quota_1);
  return two < one ? two : one;
}

/* Processors this process may run on. A machine of more than cpu_set_t holds needs a larger set. */
static int allowed_processors(void) {
  for (size_t most = CPU_SETSIZE; most <= CPU_SETSIZE * 64; most *= 4) {
    const size_t size = CPU_ALLOC_SIZE(most);
    cpu_set_t *set = malloc(size);
    if (!set) return 1;
    const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
    free(set);
    if (count > 0) return count;
  }
  return 1;
}

int system_processors(void) {
  const int allowed = allowed_processors();
  const uint64_t quota = system_cpu_quota_at("");
  const uint64_t whole = quota == UINT64_MAX ? UINT64_MAX : (quota + 999) / 1000;
  return whole == 0 ? 1 : whole < (uint64_t)allowed ? (int)whole : allowed;
}

void system_processor_line(const char *key, char *out, size_t size) {
  FILE *file = fopen("/proc/cpuinfo", "re");
  char line[8192];
  out[0] = 0;
  while (file && !out[0] && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, key, strlen(key)) != 0 || !colon) continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(out, size, "%s", colon + 1 + (colon[1] == ' '));
  }
  if (file) fclose(file);
}

double system_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool system_allows_tiles(void) {
#if defined(__x86_64__) && defined(SYS_arch_prctl)
  enum {
    REQUEST_PERMISSION = 0x1023,
    TILE_DATA = 18
  }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}
