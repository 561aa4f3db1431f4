/* SPDX-License-Identifier: Apache-2.0 */
/* A chain of text normalisations, like the "normalizer" of a tokenizer.json. */
#ifndef TEXT_NORMALIZER_H
#define TEXT_NORMALIZER_H

#include "base/text_buffer.h"
#include "text/charsmap.h"
#include "text/pattern.h"

typedef enum NormalizeKind {
  NORMALIZE_NFC, /* the four forms come first */
  NORMALIZE_NFD,
  NORMALIZE_NFKC,
  NORMALIZE_NFKD,
  NORMALIZE_LOWERCASE,
  NORMALIZE_STRIP,
  NORMALIZE_STRIP_ACCENTS,
  NORMALIZE_PREPEND,
  NORMALIZE_REPLACE,
  NORMALIZE_CHARSMAP,
  NORMALIZE_BYTE_LEVEL /* a letter for each byte */
} NormalizeKind;

typedef struct NormalizeStep {
  NormalizeKind kind;
  bool left, right; /* STRIP */
  Pattern pattern;  /* REPLACE */
  char *text;       /* PREPEND, REPLACE: owned */
  size_t length;
  Charsmap map;             /* CHARSMAP */
  struct UnicodeForm *form; /* NFC, NFD, NFKC, NFKD: normalizer_add makes it */
} NormalizeStep;

typedef struct Normalizer {
  NormalizeStep *steps;
  size_t count, capacity;
} Normalizer;

/* Takes ownership of what *step owns, also on failure. */
xt_status normalizer_add(Normalizer *normalizer, NormalizeStep *step, xt_error *error);

/* The normalised text into *out, which is emptied first; *scratch is working space. */
xt_status normalizer_apply(const Normalizer *normalizer, const char *text, size_t length,
                           TextBuffer *out, TextBuffer *scratch, xt_error *error);

void normalizer_free(Normalizer *normalizer);

#endif
