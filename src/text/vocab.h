/* SPDX-License-Identifier: Apache-2.0 */
/* Token texts <-> ids. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Ids from a file stay below this, so that a damaged id cannot ask for gigabytes. */
enum { VOCAB_IDS_MAX = 1 << 24 };

typedef struct VocabEntry {
  uint32_t at, length; /* in Vocab.bytes */
  uint32_t hash;
  int32_t id;
} VocabEntry;

typedef struct Vocab {
  char *bytes; /* all texts, one after the other */
  size_t size, capacity;
  VocabEntry *entries;
  size_t count, entry_capacity;
  uint32_t *slots; /* open addressing; entry + 1 and upper bits of its hash, or 0 */
  size_t slot_count;
  uint64_t seed;   /* of the hashes */
  uint32_t *by_id; /* entry + 1, or 0; id_end of them */
  size_t id_end, id_capacity;
} Vocab;

typedef enum VocabAdded { VOCAB_NEW, VOCAB_TEXT_TAKEN, VOCAB_ID_TAKEN } VocabAdded;

/* Makes room for `count` tokens, so that adding them does not move the tables. */
xt_status vocab_reserve(Vocab *vocab, size_t count, xt_error *error);

/* Adds a token unless its text or its id is present; *added says whether it did. `id` in [0,
 * VOCAB_IDS_MAX). */
xt_status vocab_add(Vocab *vocab, const char *text, size_t length, int32_t id, VocabAdded *added,
                    xt_error *error);

/* The id of a text, or -1. */
int32_t vocab_find(const Vocab *vocab, const char *text, size_t length);

/* The text of an id (not NUL-terminated), or NULL. */
const char *vocab_text(const Vocab *vocab, int32_t id, size_t *length);

void vocab_free(Vocab *vocab);

#endif
