/* SPDX-License-Identifier: Apache-2.0 */
/* The memory and processors of the machine that this process may use. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that can be had without swapping: MemAvailable, bounded by the limits of the process's
 * control group and of all groups above it (version 1 or 2), minus what these groups use; file
 * pages that can be dropped do not count as used. UINT64_MAX if the system does not say. */
uint64_t system_available_memory(void);

/* Processors that this process may use: those it may run on, and no more than the CPU quotas of its
 * control group and of the groups above it allow (1.5 processors count as 2). At least 1. */
int system_processors(void);

/* The same from the files below `root` (normally ""), in which /proc and /sys are looked for: for
 * tests. */
uint64_t system_available_memory_at(const char *root);
/* UINT64_MAX: no quota; else the least quota in thousandths of a processor. */
uint64_t system_cpu_quota_at(const char *root);

/* The value of the first line "key : value" of /proc/cpuinfo; "" if there is none. */
void system_processor_line(const char *key, char *out, size_t size);

/* Asks the operating system to keep the tile registers of AMX for this process, which it does from
 * then on. False: it does not, or the processor has none. */
bool system_allows_tiles(void);

/* Seconds of a clock that nobody sets; only differences mean something. */
double system_seconds(void);

#endif
