/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions written for Oniguruma, turned into ones that PCRE2 matches over a small
 * alphabet.
 *
 * An expression distinguishes few kinds of characters. GPT-2's, for example, distinguishes the
 * letters of its contractions, the apostrophe, the space, other white space, other letters,
 * numbers, and the rest. Each kind becomes a byte; text is translated into such bytes, one per
 * character, before it is searched. Classes therefore mean what Unicode 16 and Oniguruma say,
 * whichever PCRE2 is installed, and matching tests a bit where it would otherwise compare hundreds
 * of ranges. */
#ifndef TEXT_REGEX_SYNTAX_H
#define TEXT_REGEX_SYNTAX_H

#include "base/text_buffer.h"
#include "text/code_set.h"

/* Which byte a code point becomes: that of the last start that is not above it. */
typedef struct Alphabet {
  uint32_t *starts; /* rising, from 0; free() both */
  uint8_t *kinds;
  size_t count;
  uint32_t page[0x1101]; /* for code >> 8: the last start that is not above the page's first code
                            point */
} Alphabet;

uint8_t alphabet_kind(const Alphabet *alphabet, uint32_t code);
void alphabet_free(Alphabet *alphabet);

enum {
  REGEX_BYTES_MAX = 1 << 16,
  REGEX_WRITTEN_MAX = 1 << 20, /* of the translation */
  REGEX_SETS_MAX = 1024,
  /* (?i) asks this of letters beyond ASCII, and each answer takes milliseconds */
  REGEX_FOLDS_MAX = 200,
  REGEX_DEPTH_MAX = 100,
  REGEX_KINDS_MAX = 256
};

/* The pieces of the translated expression, in order. */
typedef struct RegexOp {
  enum { REGEX_TEXT, REGEX_SET, REGEX_OPEN, REGEX_COUNT } kind;
  const char *text; /* TEXT: a constant */
  size_t n, m;      /* SET: n is its index; OPEN: "(?:" n times; COUNT: {n,m}, m SIZE_MAX: {n,} */
} RegexOp;

typedef struct RegexFlags {
  bool fold, dot_newline, extended;
} RegexFlags;

typedef struct RegexParser {
  const char *regex;
  size_t length, at;
  RegexFlags flags;
  int depth, folds;
  RegexOp *ops;
  size_t op_count, op_capacity;
  CodeSet *sets; /* ordered, no two equal */
  size_t set_count, set_capacity;
  const char *file, *field; /* for messages */
} RegexParser;

/* Parses the expression into ops and sets; regex_parser_free also after a failure. */
xt_status regex_parse(RegexParser *parser, xt_error *error);
/* The PCRE2 expression (bytes, neither UTF nor UCP) and the alphabet it is written in. */
xt_status regex_write(const RegexParser *parser, TextBuffer *out, Alphabet *alphabet,
                      xt_error *error);
void regex_parser_free(RegexParser *parser);

/* ---- shared by the parser's two files -------------------------------------------------------- */

/* Reports what is at `at`: Oniguruma refuses it (INPUT), or this code does (UNSUPPORTED). */
xt_status regex_refuse(const RegexParser *p, xt_status kind, size_t at, const char *what,
                       xt_error *error);

/* A class at p->at, its "[" being passed: all of it, up to the closing bracket, as an ordered
 * set. */
xt_status regex_parse_class(RegexParser *p, CodeSet *out, xt_error *error);

/* Adds the other cases of the set's letters where (?i) is on. */
xt_status regex_fold(RegexParser *p, CodeSet *set, xt_error *error);

typedef enum RegexEscape { REGEX_ESCAPE_CHARACTER, REGEX_ESCAPE_SET } RegexEscape;
/* A backslash at p->at and what belongs to it, if that stands for a character or a set of them
 * (added to *out, ordered). */
xt_status regex_parse_escape(RegexParser *p, bool in_class, RegexEscape *kind, uint32_t *code,
                             CodeSet *out, xt_error *error);

#endif
