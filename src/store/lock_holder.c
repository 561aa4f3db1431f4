/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the process that holds a file in the kernel's list of locks. To ask the file itself it
 * would have to be opened, and closing it again would drop the locks of this process. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/store_parts.h"

static void process_name(long process, char name[XT_STORE_NAME_SIZE]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/comm", process);
  FILE *file = fopen(path, "re");
  if (file && fgets(name, XT_STORE_NAME_SIZE, file)) name[strcspn(name, "\n")] = 0;
  if (file) fclose(file);
  for (char *c = name; *c; c++)
    if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f) *c = '?';
}

long store_lock_holder(const char *path, char name[XT_STORE_NAME_SIZE]) {
  struct stat of;
  char line[256];
  long found = 0;
  name[0] = 0;
  FILE *locks = stat(path, &of) == 0 ? fopen("/proc/locks", "re") : NULL;
  while (locks && !found && fgets(line, sizeof line, locks)) {
    long process;
    unsigned major_number, minor_number;
    unsigned long long inode;
    /* "1: POSIX  ADVISORY  READ 1234 fd:01:5678 1073741826 1073742335" */
    if (sscanf(line, "%*d: %*s %*s %*s %ld %x:%x:%llu", &process, &major_number, &minor_number,
               &inode) != 4)
      continue;
    if (inode == of.st_ino && major_number == major(of.st_dev) &&
        minor_number == minor(of.st_dev) && process > 0 && process != (long)getpid())
      found = process;
  }
  if (locks) fclose(locks);
  if (found) process_name(found, name);
  return found;
}
