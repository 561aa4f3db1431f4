/* SPDX-License-Identifier: Apache-2.0 */
/* What --track asks for: "answers", "none", words separated by commas, or a file with a word on each
 * line. */
#ifndef CLI_INPUTS_WORDS_H
#define CLI_INPUTS_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "xtransplant/error.h"

typedef struct WordList {
  bool none; /* nothing is tracked */
  char *text;
  const char **at; /* in `text` */
  size_t count;
} WordList;

xt_status words_read(const char *text, WordList *out, xt_error *error);
void words_free(WordList *words);

#endif
