/* SPDX-License-Identifier: Apache-2.0 */
/* Orderly stopping: SIGINT (Ctrl-C), SIGTERM, SIGHUP, and SIGUSR1, with which Slurm warns of the
 * end of a job's time (sbatch --signal=USR1@60). The first asks to stop; a second one ends the
 * process at once. */
#ifndef CLI_SHELL_INTERRUPT_H
#define CLI_SHELL_INTERRUPT_H

#include <stdbool.h>

/* From now on these signals ask the process to stop instead of ending it. A SIGHUP that is ignored
 * (nohup) stays ignored. System calls that wait for input end with EINTR. */
void interrupt_watch(void);
/* Whether a signal has asked to stop. */
bool interrupt_asked(void);
/* The shell's exit code for the signal: 128 + its number; EXIT_FAILED if there was none. */
int interrupt_exit_code(void);

#endif
