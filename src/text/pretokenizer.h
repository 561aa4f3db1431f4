/* SPDX-License-Identifier: Apache-2.0 */
/* Splitting normalised text into the words that BPE sees, like the "pre_tokenizer" of a
 * tokenizer.json. */
#ifndef TEXT_PRETOKENIZER_H
#define TEXT_PRETOKENIZER_H

#include "base/text_buffer.h"
#include "text/pattern.h"

typedef enum SplitBehavior {
  SPLIT_REMOVED,
  SPLIT_ISOLATED,
  SPLIT_MERGED_WITH_PREVIOUS,
  SPLIT_MERGED_WITH_NEXT,
  SPLIT_CONTIGUOUS
} SplitBehavior;

typedef enum PrependScheme { PREPEND_FIRST, PREPEND_ALWAYS, PREPEND_NEVER } PrependScheme;

typedef enum PreKind {
  PRE_SPLIT,
  PRE_METASPACE,    /* spaces become `mark`, one more in front by `scheme` */
  PRE_PREFIX_SPACE, /* a space in front unless there is one */
  PRE_LETTERS       /* bytes become the letters of byte-level vocabularies */
} PreKind;

typedef struct PreStep {
  PreKind kind;
  Pattern pattern;        /* SPLIT */
  SplitBehavior behavior; /* SPLIT */
  bool invert;            /* SPLIT: what does not match is the delimiter */
  PrependScheme scheme;   /* METASPACE */
  char mark[5];           /* METASPACE: one character, NUL-terminated */
} PreStep;

typedef struct PreTokenizer {
  PreStep *steps;
  size_t count, capacity;
  bool bytes; /* words are for a byte-level vocabulary */
} PreTokenizer;

typedef struct Word {
  size_t start, length;
  bool first; /* begins where the whole text begins */
} Word;

/* Words of a text; zero-initialise. */
typedef struct WordList {
  TextBuffer text;
  Word *words;
  size_t count, capacity;
} WordList;

/* Takes ownership of what *step owns, also on failure. */
xt_status pretokenizer_add(PreTokenizer *pre, PreStep *step, xt_error *error);

/* The words of a text into *out, emptied first; *scratch is working space. `first`: this text is
 * the beginning of what the caller encodes. */
xt_status pretokenizer_apply(const PreTokenizer *pre, const char *text, size_t length, bool first,
                             WordList *out, WordList *scratch, xt_error *error);

void word_list_free(WordList *list);
void pretokenizer_free(PreTokenizer *pre);

#endif
