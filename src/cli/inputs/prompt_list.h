/* SPDX-License-Identifier: Apache-2.0 */
/* The prompts of a file of JSON lines, which run together. */
#ifndef CLI_INPUTS_PROMPT_LIST_H
#define CLI_INPUTS_PROMPT_LIST_H

#include "inputs/prompt.h"

typedef struct PromptList {
  Prompt *prompts;
  size_t count, capacity;
} PromptList;

/* clang-format off */
#define OPTION_JSONL(Arguments, member, text) \
  {.name = "jsonl", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member), .value = "FILE", .help = text}
/* clang-format on */

/* EXIT_OK, or EXIT_USAGE after saying that another prompt was given, too. `input`: how lines are
 * read. */
int prompt_list_usage(const Cli *cli, const PromptInput *input);

/* Every line of the file, read as prompt_read_next does; none is an error. The caller frees with
 * prompt_list_deinit, after an error too. */
xt_status prompt_list_read(const PromptInput *input, const char *path, PromptList *out,
                           xt_error *error);
/* Fills in their ids; as prompt_encode. */
xt_status prompt_list_encode(PromptList *list, const LoadedModel *model, int max_new_tokens,
                             xt_error *error);
void prompt_list_deinit(PromptList *list);

#endif
