/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "text/tokenizer_parts.h"

int32_t xt_tokenizer_token_id(const xt_tokenizer *t, const char *token) {
  const AddedToken *added = added_find(&t->added, token, strlen(token));
  return added ? added->id : vocab_find(&t->bpe.vocab, token, strlen(token));
}
