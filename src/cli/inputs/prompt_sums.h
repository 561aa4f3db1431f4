/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of a tap's values over prompts, which run together. */
#ifndef CLI_INPUTS_PROMPT_SUMS_H
#define CLI_INPUTS_PROMPT_SUMS_H

#include "inputs/prompt.h"

/* Adds what the tap has at each layer at the last token of each prompt to sums [layers][width], in
 * order. The prompts must be read; it fills in their ids. */
xt_status prompt_sums_add(const LoadedModel *model, xt_tap tap, Prompt *prompts, size_t n,
                          double *sums, xt_error *error);

/* The same of every line of a file, read as prompt_read_next does; *count is how many there are, and
 * none is an error. */
xt_status prompt_sums_add_file(const LoadedModel *model, const PromptInput *input, const char *path,
                               xt_tap tap, double *sums, size_t *count, xt_error *error);

#endif
