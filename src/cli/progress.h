/* SPDX-License-Identifier: Apache-2.0 */
/* One line on the terminal that says how far a long run is; nothing where stderr is no terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Progress {
  bool shown;            /* whether lines are printed at all */
  double began, printed; /* seconds_now */
  uint64_t done, total;  /* responses; values where there are no instances */
  uint64_t instances_done, instances;
} Progress;

void progress_begin(Progress *progress, bool quiet, uint64_t total, uint64_t instances);
/* Prints the line, if the last is some tenths of a second old. */
void progress_tick(Progress *progress);
/* The same of a file that is written, in bytes. */
void progress_bytes(Progress *progress, uint64_t done, uint64_t total);
/* Takes the line away. */
void progress_end(Progress *progress);

/* "0:03:20" */
const char *format_seconds(double seconds, char buffer[32]);
/* Bytes this process has in memory; 0 where the system does not tell. */
uint64_t resident_bytes(void);

#endif
