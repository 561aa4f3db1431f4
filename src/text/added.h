/* SPDX-License-Identifier: Apache-2.0 */
/* Added and special tokens: found in the text before anything else happens to it. */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/normalizer.h"
#include "text/trie.h"
#include "text/vocab.h"

typedef struct AddedToken {
  char *text; /* owned */
  size_t length;
  int32_t id;
  bool special, lstrip, rstrip, single_word, normalized;
  bool skipped; /* decoding without special tokens leaves it out: it was special once, if not now */
  /* `normalized` as it was when the token first was special: Hugging Face goes on searching for
   * that form beside the present one. Chinese-Alpaca-2's <s> is such a token. */
  bool special_normalized;
} AddedToken;

typedef struct AddedTokens {
  AddedToken *items;
  size_t count, capacity;
  Vocab index;    /* text -> index in items */
  int32_t *by_id; /* id -> index + 1, or 0 */
  size_t id_end, id_capacity;
  int32_t largest;      /* id, or -1 */
  bool ignore_special;  /* text that spells a special token is text (split_special_tokens) */
  Trie raw, normalized; /* indices in items of the tokens matched before and after normalisation */
} AddedTokens;

/* Zero-initialise and set largest to -1. Adds a token, or replaces the flags of the one with that
 * text. Its id is the vocabulary's where the text is there, else the next free one. `flags.text` is
 * borrowed. */
xt_status added_put(AddedTokens *added, const Vocab *vocab, AddedToken flags, xt_error *error);

/* Call once all are in. */
xt_status added_finish(AddedTokens *added, const Normalizer *normalizer, xt_error *error);

const AddedToken *added_find(const AddedTokens *added, const char *text, size_t length);
const AddedToken *added_by_id(const AddedTokens *added, int32_t id);

/* One after the other, the tokens in a text. */
typedef struct AddedScan {
  const AddedTokens *added;
  bool normalized; /* which set */
  const char *text;
  size_t length;
  size_t at;      /* where the search goes on */
  size_t written; /* end of the last token */
} AddedScan;

/* The next token at [*start, *end), or NULL. Text between tokens is what lies before *start and
 * after the last *end. */
const AddedToken *added_next(AddedScan *scan, size_t *start, size_t *end);

void added_free(AddedTokens *added);

#endif
