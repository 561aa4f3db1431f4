/* SPDX-License-Identifier: Apache-2.0 */
/* Unigram models: of all ways to cut a word into tokens, the one whose scores (log-probabilities)
 * have the largest sum, as Hugging Face's Unigram model finds it, ties included. Runs of unknown
 * characters are one unknown token, or their bytes' tokens. */
#ifndef TEXT_UNIGRAM_H
#define TEXT_UNIGRAM_H

#include "base/text_buffer.h"
#include "text/bpe.h"
#include "text/trie.h"

typedef struct Unigram {
  bool on;        /* the tokenizer's model is one of this kind */
  double *scores; /* by id; free() */
  size_t count, capacity;
  Trie trie;
  double lowest;
  int32_t unk; /* -1: none */
  bool byte_fallback;
} Unigram;

/* Scratch of one call; zero-initialise. */
typedef struct UnigramWork {
  struct UnigramNode *nodes;
  size_t capacity;
  TextBuffer letters;
} UnigramWork;

/* Adds the next token, which the vocabulary has under the id `count`. */
xt_status unigram_add(Unigram *unigram, const char *text, size_t length, double score,
                      xt_error *error);

/* Appends the ids of one word; `bytes` as in bpe_encode. Takes 24 bytes for each of the word's. A
 * character without a token where the model has no unknown one is an XT_STATUS_INPUT error. */
xt_status unigram_encode(const Unigram *unigram, const Bpe *bpe, UnigramWork *work,
                         const char *word, size_t length, bool bytes, IdList *out, xt_error *error);

void unigram_work_free(UnigramWork *work);
void unigram_free(Unigram *unigram);

#endif
