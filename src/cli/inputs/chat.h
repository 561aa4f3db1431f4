/* SPDX-License-Identifier: Apache-2.0 */
/* From a prompt's text to its ids: raw, or in the model's chat template; with BOS and EOS or
 * without. */
#ifndef CLI_INPUTS_CHAT_H
#define CLI_INPUTS_CHAT_H

#include "shell/cli.h"
#include "xtransplant/tasks.h"

typedef struct ChatArguments {
  bool chat, no_special;
  const char *system, *date;
} ChatArguments;

/* clang-format off */
#define OPTIONS_CHAT(Arguments, member) \
  {.name = "chat", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member.chat), \
   .help = "put each prompt into the model's own chat template, as the user's message, up to where the answer begins"}, \
  {.name = "system", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.system), .value = "TEXT", \
   .help = "with --chat: a system message that precedes the prompt"}, \
  {.name = "date", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.date), .value = "YYYY-MM-DD", \
   .help = "with --chat: the day to use where the template writes a date; without it, today"}
#define OPTION_NO_SPECIAL(Arguments, member) \
  {.name = "no-special", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member), \
   .help = "do not add BOS or EOS as the model's own tokenizer does"}
/* clang-format on */

/* EXIT_OK, or EXIT_USAGE after a message about an option that needs --chat, or an invalid date. */
int chat_usage(const Cli *cli, const ChatArguments *arguments);

/* The ids of a text, rendered or raw as the arguments say. *doubled: the text begins with its own
 * BOS, before which the tokenizer has added another. The caller frees *ids. */
xt_status chat_encode(const xt_tokenizer *tokenizer, const ChatArguments *arguments,
                      const char *text, size_t length, int32_t **ids, size_t *count, bool *doubled,
                      xt_error *error);
/* Puts all prompts of a set into the template. */
xt_status chat_dataset(xt_dataset *dataset, const ChatArguments *arguments,
                       const LoadedModel *model, xt_error *error);
#define DOUBLED_BOS                                                                             \
  "%s begins with its own BOS token, and the tokenizer adds another; --no-special leaves that " \
  "one out"

#endif
