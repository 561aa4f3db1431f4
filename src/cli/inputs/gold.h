/* SPDX-License-Identifier: Apache-2.0 */
/* Gold answers in JSON: a string or an integer, or an array of several answers of which each is
 * right. */
#ifndef CLI_INPUTS_GOLD_H
#define CLI_INPUTS_GOLD_H

#include "shell/output.h"

/* As xt_task_score takes it. NULL if the value is none of these, or contains an empty answer; the
 * caller frees it. */
char *gold_from_json(const json_t *value);

/* A string, or an array of the several answers. NULL when memory runs out. */
json_t *gold_to_json(const char *gold);

#endif
