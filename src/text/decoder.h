/* SPDX-License-Identifier: Apache-2.0 */
/* Token texts back into text, as the "decoder" of a tokenizer.json. */
#ifndef TEXT_DECODER_H
#define TEXT_DECODER_H

#include <stdint.h>

#include "base/text_buffer.h"
#include "text/pattern.h"

typedef enum DecodeKind {
  DECODE_BYTE_LEVEL,
  DECODE_REPLACE,
  DECODE_BYTE_FALLBACK,
  DECODE_FUSE,
  DECODE_STRIP,
  DECODE_METASPACE
} DecodeKind;

typedef struct DecodeStep {
  DecodeKind kind;
  Pattern pattern; /* REPLACE */
  char *text;      /* REPLACE: owned */
  size_t length;
  uint32_t character;   /* STRIP, METASPACE */
  uint32_t left, right; /* STRIP: at most so many */
  bool drop_first;      /* METASPACE: marks in the first token go */
} DecodeStep;

typedef struct Decoder {
  DecodeStep *steps;
  size_t count, capacity;
  bool spaced; /* no decoder at all: tokens are joined with spaces */
} Decoder;

/* The texts of tokens, one after the other; zero-initialise. */
typedef struct TokenTexts {
  TextBuffer text;
  size_t *ends;
  size_t count, capacity;
} TokenTexts;

/* Ends the token whose bytes were added to texts->text. */
xt_status token_texts_end(TokenTexts *texts, xt_error *error);
void token_texts_free(TokenTexts *texts);

/* Takes over what *step owns, also on failure. */
xt_status decoder_add(Decoder *decoder, DecodeStep *step, xt_error *error);

/* *texts becomes what the decoder makes of it; the text is then all of texts->text. */
xt_status decoder_apply(const Decoder *decoder, TokenTexts *texts, TokenTexts *scratch,
                        xt_error *error);

void decoder_free(Decoder *decoder);

#endif
