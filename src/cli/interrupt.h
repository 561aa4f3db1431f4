/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping in good order: SIGINT (Ctrl-C), SIGTERM, SIGHUP, and SIGUSR1, with which Slurm warns of
 * the end of a job's time (sbatch --signal=USR1@60). The first asks to stop; a second one ends the
 * process at once. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on these signals ask instead of ending the process. A SIGHUP that is ignored (nohup)
 * stays so. System calls that wait for input end with EINTR. */
void interrupt_watch(void);
/* Whether somebody has asked. */
bool interrupt_asked(void);
/* The shell's exit code for the signal: 128 + its number; EXIT_FAILED where there was none. */
int interrupt_exit_code(void);

#endif
