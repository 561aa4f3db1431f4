/* SPDX-License-Identifier: Apache-2.0 */
/* The prompts of one transplant from a line of the pairs that a sweep runs. */
#ifndef CLI_VERBS_TRANSPLANT_PAIR_H
#define CLI_VERBS_TRANSPLANT_PAIR_H

#include "verbs/transplant.h"

/* EXIT_OK, or EXIT_USAGE after saying what contradicts --pairs or --source-langs. */
int pair_usage(const Cli *cli, const TransplantArguments *arguments);
/* Reads both prompts, and with --source-langs the source prompt in each of the languages. */
xt_status pair_read(const TransplantArguments *arguments, Transplant *out, xt_error *error);

#endif
