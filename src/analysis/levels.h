/* SPDX-License-Identifier: Apache-2.0 */
/* Resource levels as indices of arrays. */
#ifndef ANALYSIS_LEVELS_H
#define ANALYSIS_LEVELS_H

#include "xtransplant/tasks.h"

/* 0 High, 1 Mid, 2 Low; -1: not a language of any benchmark. */
static inline int level_of(const char *lang) {
  return (int)xt_language_level(lang) - (int)XT_LEVEL_HIGH;
}
static inline const char *level_name(int level) {
  return xt_level_name((xt_level)(level + (int)XT_LEVEL_HIGH));
}

#endif
