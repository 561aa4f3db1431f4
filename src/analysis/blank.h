/* SPDX-License-Identifier: Apache-2.0 */
/* Blank responses. */
#ifndef ANALYSIS_BLANK_H
#define ANALYSIS_BLANK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Whether a text is empty or only white space: it is in no language, although fastText calls it
 * English. */
static inline bool text_is_blank(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!strchr(" \t\r\n\v\f", text[i]) || text[i] == 0) return false;
  return true;
}

#endif
