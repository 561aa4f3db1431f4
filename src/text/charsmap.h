/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's normalisation, compiled into a table ("Precompiled" of a tokenizer.json).
 *
 *   bytes 0..3   n, the bytes of the trie
 *   4..4+n       a double-array trie of 32-bit units, little-endian
 *   the rest     texts, each ended by a NUL: what a string of the trie becomes begins at the trie's
 * value */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include "base/text_buffer.h"

typedef struct Charsmap {
  char *bytes;        /* owned */
  size_t size, units; /* units of the trie */
} Charsmap;

/* From base64, or from the bytes themselves, which are copied. Zero-initialised where it is empty:
 * everything stays as it is. */
xt_status charsmap_read(Charsmap *out, const char *base64, size_t length, const char *file,
                        const char *field, xt_error *error);
xt_status charsmap_copy(Charsmap *out, const void *bytes, size_t size, const char *file,
                        const char *field, xt_error *error);

/* Appends the normalised text, a grapheme at a time, as Hugging Face does: one of fewer than six
 * bytes becomes what its shortest beginning in the table becomes; of others each character does. */
xt_status charsmap_apply(const Charsmap *map, const char *text, size_t length, TextBuffer *out,
                         xt_error *error);

void charsmap_free(Charsmap *map);

#endif
