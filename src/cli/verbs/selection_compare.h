/* SPDX-License-Identifier: Apache-2.0 */
/* What `select --compare` prints: the strategies of a results file beside one another. */
#ifndef CLI_VERBS_SELECTION_COMPARE_H
#define CLI_VERBS_SELECTION_COMPARE_H

#include "shell/cli.h"

/* A table for each task; json: a line for each strategy. */
xt_status selection_compare(const char *store, int threads, bool json, xt_error *error);

#endif
