/* SPDX-License-Identifier: Apache-2.0 */
/* The patterns of normalisers and pre-tokenisers: a literal string, or a regular expression for
 * Oniguruma (Ruby syntax), as in Hugging Face's tokenizer.json. */
#ifndef TEXT_PATTERN_H
#define TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct Pattern {
  char *literal; /* or NULL */
  size_t literal_length;
  void *code;                /* pcre2_code, or NULL; immutable once compiled */
  struct Alphabet *alphabet; /* of what it searches; owned */
} Pattern;

/* A search through one text; zero-initialise with pattern, text and length. */
typedef struct PatternSearch {
  const Pattern *pattern;
  const char *text;
  size_t length;
  size_t at, last_end;
  bool matched;
  void *match;  /* pcre2_match_data */
  void *limits; /* pcre2_match_context */
  void *stack;  /* pcre2_jit_stack, where the machine's is too small */
  bool timed;
  double begun; /* processor seconds of this thread when time was first looked at */
  size_t bytes; /* of the texts so far */
  /* Of a regular expression: the text in the alphabet's bytes, one per character, and a place in
   * both that only moves forwards. */
  char *kinds;
  size_t count, capacity;
  bool translated;
  size_t byte, character;
} PatternSearch;

xt_status pattern_literal(Pattern *pattern, const char *text, size_t length, xt_error *error);

/* `file` and `field` say where the expression stands, for messages. */
xt_status pattern_regex(Pattern *pattern, const char *regex, size_t length, const char *file,
                        const char *field, xt_error *error);

/* The next match, left to right, not overlapping. *found is false at the end. An empty match right
 * after the last match is skipped. */
xt_status pattern_next(PatternSearch *search, bool *found, size_t *start, size_t *end,
                       xt_error *error);
/* The same search from the beginning of another text. */
void pattern_restart(PatternSearch *search, const char *text, size_t length);
void pattern_search_free(PatternSearch *search);

void pattern_free(Pattern *pattern);

#endif
