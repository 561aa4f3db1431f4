/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SHELL_BUS_ERROR_H
#define CLI_SHELL_BUS_ERROR_H

/* From now on a mapped file that is cut short, or that its disk cannot read, ends the program with
 * a line that names it and the exit code of bad input. `verb` is for the line and must stay. */
void bus_error_watch(const char *verb);

#endif
