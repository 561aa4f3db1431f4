/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens a model's generation settings leave for the next step. It depends on the row's own
 * text alone. */
#ifndef ENGINE_RULES_H
#define ENGINE_RULES_H

#include <stddef.h>

#include "files/model_config.h"

/* What the row has so far; the next token is chosen after it. Borrowed. */
typedef struct RowText {
  const int32_t *prompt, *generated;
  int prompt_count, generated_count;
  int max_new; /* tokens that it may generate */
} RowText;

/* What is left of the vocabulary. */
typedef struct Allowed {
  int banned_count; /* ids that cannot be chosen, ascending, each once */
  int forced;       /* above 0: one of so many ids is chosen, `id` the lowest; all logits are
                       alike there */
  int32_t id;
} Allowed;

/* Ids that rules_apply may write for a text of at most `longest` tokens. */
size_t rules_most(const ModelConfig *config, size_t longest);
/* As transformers 5.23's logits processors of the same names leave the scores, in their order.
 * Where nothing is left, token 0 is forced: that is what its argmax gives. `banned` has room for
 * rules_most. */
Allowed rules_apply(const ModelConfig *config, const RowText *text, int32_t *banned);

#endif
