/* SPDX-License-Identifier: Apache-2.0 */
/* Ctrl-C that waits: how often the person at the terminal (or a batch system) has asked to stop. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From now on SIGINT and SIGTERM are counted instead of ending the process. */
void interrupt_watch(void);
int interrupt_count(void);

#endif
