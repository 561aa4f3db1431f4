/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of the option tables for other programs: man pages, and completions of shells. */
#ifndef CLI_SHELL_MANUAL_H
#define CLI_SHELL_MANUAL_H

#include "shell/opts.h"

typedef struct VerbList {
  const Verb *const *at;
  size_t count;
} VerbList;

/* The man page of one verb, xtransplant-VERB(1). */
void manual_print_verb(const Verb *verb, FILE *to);
/* The man page of the program, xtransplant(1), which lists the verbs. */
void manual_print_program(VerbList verbs, FILE *to);

extern const char *const completion_shells[]; /* "bash", "zsh", "fish" */
/* A script that the shell, an index of completion_shells, reads to complete verbs, options and
 * their values. */
void completion_print(int shell, VerbList verbs, FILE *to);

#endif
