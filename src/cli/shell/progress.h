/* SPDX-License-Identifier: Apache-2.0 */
/* How far a long run is, on stderr: on a terminal one line that changes, in a file one line per
 * minute. */
#ifndef CLI_SHELL_PROGRESS_H
#define CLI_SHELL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* As --progress has it. */
typedef enum ProgressMode {
  PROGRESS_AUTO = 0, /* by where stderr goes; in a file the first line comes after a minute */
  PROGRESS_PLAIN,    /* whole lines: the first as soon as there is something to tell, then one
                        per minute */
  PROGRESS_NONE
} ProgressMode;
extern const char *const progress_modes[]; /* NULL-terminated */

/* clang-format off */
#define OPTION_PROGRESS(Arguments, member) \
  {.name = "progress", .type = OPTION_ENUM, .field = OPTION_FIELD(Arguments, int, member), .value = "HOW", \
   .choices = progress_modes, .preset = "auto", \
   .help = "auto shows a changing line on a terminal and writes a line per minute into a file; plain writes whole lines; none writes nothing"}
/* clang-format on */

typedef struct Progress {
  bool shown, plain;
  double began, printed, next; /* seconds_now; printed 0: nothing yet */
} Progress;

void progress_begin(Progress *progress, int mode, bool quiet);
/* Whether it is time for another line: what it says need not be worked out before. */
bool progress_due(const Progress *progress);
/* Prints "text  ETA h:mm:ss", if that is due. `share`: of the work that is done; 0: nobody knows
 * yet. */
void progress_print(Progress *progress, double share, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Another part of the run begins, whose time says nothing about the one before. Where there was a
 * line, there is one at once. */
void progress_next(Progress *progress);
/* A file that is written, in bytes. */
void progress_bytes(Progress *progress, uint64_t done, uint64_t total);
/* Takes the line that changes away. */
void progress_end(Progress *progress);
/* Leaves the line as it is and begins another: before a message. */
void progress_break(Progress *progress);

/* "0:03:20" */
const char *format_seconds(double seconds, char buffer[32]);
/* Bytes this process has in memory; 0 where the system does not tell. */
uint64_t resident_bytes(void);

#endif
