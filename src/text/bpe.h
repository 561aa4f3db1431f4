/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair encoding: the common code for byte-level and SentencePiece-style vocabularies. Merges
 * are applied lowest rank first, leftmost first, as Hugging Face's BPE model does. */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/vocab.h"

typedef struct IdList {
  int32_t *data; /* free() */
  size_t size, capacity;
} IdList;

xt_status id_list_add(IdList *list, int32_t id, xt_error *error);

typedef struct Merge {
  uint64_t pair; /* left id << 32 | right id; MERGE_NONE: empty slot */
  uint32_t rank;
  int32_t id; /* what the pair becomes */
} Merge;

typedef struct Bpe {
  Vocab vocab;
  Merge *merges; /* open addressing */
  size_t merge_count, merge_slots;
  int32_t unk;              /* -1: characters without a token are dropped */
  int32_t byte_piece[256];  /* "<0xNN>", or -1 */
  int32_t byte_symbol[256]; /* the token of a byte's letter in byte-level text, or -1 */
  bool byte_fallback, fuse_unk, ignore_merges;
  bool words_apart; /* no merge joins a U+2581 to what precedes it, so that text may be cut there */
} Bpe;

/* Scratch of one call; zero-initialise. */
typedef struct BpeWork {
  struct BpeSymbol *symbols;
  size_t symbol_capacity;
  struct BpeTodo *heap;
  size_t heap_capacity;
} BpeWork;

/* Makes room for `count` merges. */
xt_status bpe_reserve_merges(Bpe *bpe, size_t count, xt_error *error);

/* Adds the merge (left, right) -> id at `rank`. A pair that is present takes the new rank if
 * `last_wins`, else keeps the old one. */
xt_status bpe_add_merge(Bpe *bpe, int32_t left, int32_t right, int32_t id, uint32_t rank,
                        bool last_wins, xt_error *error);

/* Call once vocabulary, merges and flags are complete. */
void bpe_finish(Bpe *bpe);

/* Appends the ids of one word. `bytes`: the word is raw bytes of a byte-level vocabulary, whose
 * tokens are written with a letter per byte; else it is text. */
xt_status bpe_encode(const Bpe *bpe, BpeWork *work, const char *word, size_t length, bool bytes,
                     IdList *out, xt_error *error);

void bpe_work_free(BpeWork *work);
void bpe_free(Bpe *bpe);

/* The letter (code point below 0x144) that stands for a byte in byte-level vocabularies. */
uint32_t bpe_byte_letter(uint8_t byte);
/* The byte a letter stands for, or -1. */
int bpe_letter_byte(uint32_t letter);

#endif
