/* SPDX-License-Identifier: Apache-2.0 */
/* A set's prompts in a model's chat template. */
#include <stdlib.h>
#include <string.h>

#include "tasks/dataset.h"
#include "xtransplant/tokenizer.h"

static xt_status render(xt_dataset *d, const xt_tokenizer *tokenizer, const char *system,
                        int64_t now, const char **prompt, xt_error *error) {
  char *text;
  size_t length;
  TRY(xt_tokenizer_chat(tokenizer, system, *prompt, strlen(*prompt), now, &text, &length, error));
  char *copy = NULL;
  xt_status status = XT_STATUS_OK;
  if (memchr(text, 0, length))
    status =
        err_set(error, XT_STATUS_UNSUPPORTED, NULL, "chat_template", -1, "writes a NUL character");
  else
    status = ARENA_ALLOC(&d->arena, &copy, length + 1, error);
  if (copy) memcpy(copy, text, length + 1);
  if (copy) *prompt = copy;
  free(text);
  return status;
}

xt_status xt_dataset_chat(xt_dataset *d, const xt_tokenizer *tokenizer, const char *system,
                          int64_t now, xt_error *error) {
  if (!d) return err_set(error, XT_STATUS_ARGUMENT, NULL, "dataset", -1, "is NULL");
  if (d->chat)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "dataset", -1, "is in a chat template already");
  for (size_t i = 0; i < d->count; i++) {
    TRY(render(d, tokenizer, system, now, &d->questions[i].source, error));
    TRY(render(d, tokenizer, system, now, &d->questions[i].target, error));
    for (size_t k = 0; d->questions[i].sources && k < d->source_lang_count; k++)
      TRY(render(d, tokenizer, system, now, (const char **)(uintptr_t)&d->questions[i].sources[k],
                 error));
  }
  for (size_t i = 0; i < d->other_count; i++)
    TRY(render(d, tokenizer, system, now, &d->others[i].source, error));
  d->chat = true;
  return XT_STATUS_OK;
}

bool xt_dataset_is_chat(const xt_dataset *d) { return d->chat; }
