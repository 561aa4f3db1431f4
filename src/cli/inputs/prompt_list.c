/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/prompt_list.h"

#include <stdlib.h>

#include "shell/cli.h"

int prompt_list_usage(const Cli *cli, const PromptInput *input) {
  if (input->text || input->file || input->line)
    return cli_usage(cli, "--jsonl: takes the place of --prompt, --prompt-file and --line");
  if (input->keep_newline)
    return cli_usage(cli, "--keep-newline: is about the end of a prompt file, not about lines");
  if (input->ids && (input->chat.chat || input->chat.no_special))
    return cli_usage(cli, "--%s: cannot be combined with --ids, which uses the ids as they are",
                     input->chat.chat ? "chat" : "no-special");
  return chat_usage(cli, &input->chat);
}

static xt_status add_place(PromptList *list, xt_error *error) {
  if (list->count < list->capacity) return XT_STATUS_OK;
  const size_t capacity = 2 * list->capacity + 16;
  Prompt *more = realloc(list->prompts, capacity * sizeof *more);
  if (!more) return error_memory(error);
  list->prompts = more;
  list->capacity = capacity;
  return XT_STATUS_OK;
}

xt_status prompt_list_read(const PromptInput *input, const char *path, PromptList *out,
                           xt_error *error) {
  LineReader reader;
  bool more = true;
  *out = (PromptList){0};
  xt_status status = lines_open(path, &reader, error);
  if (status) return status;
  while (!status && more) {
    status = add_place(out, error);
    if (!status) status = prompt_read_next(&reader, input, &out->prompts[out->count], &more, error);
    out->count += !status && more;
  }
  if (!status && out->count == 0)
    status = error_set(error, XT_STATUS_INPUT, reader.name, NULL, -1, "has no prompts");
  lines_close(&reader);
  return status;
}

xt_status prompt_list_encode(PromptList *list, const LoadedModel *model, int max_new_tokens,
                             xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < list->count && !status; i++)
    status = prompt_encode(&list->prompts[i], model, max_new_tokens, error);
  return status;
}

void prompt_list_deinit(PromptList *list) {
  for (size_t i = 0; i < list->count; i++) prompt_deinit(&list->prompts[i]);
  free(list->prompts);
  *list = (PromptList){0};
}
