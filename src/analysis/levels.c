#include "analysis/levels.h"

#include <string.h>

#include "xtransplant/analysis.h"

/* As in the paper's tables: class 5 of the linguisticdiversity taxonomy is High, 4 Mid, the rest Low. */
static const char *const languages[XT_LEVEL_COUNT] = {
    "ar de en es fr ja zh",
    "hi it ko pt ru sv tr vi",
    "am bg el fi he ht hu id ms nl no pl ro sw ta th tl uk ur",
};

int level_of(const char *lang) {
  const size_t length = strcspn(lang, "-_");
  for (int level = 0; level < XT_LEVEL_COUNT && length == 2; level++)
    for (const char *at = languages[level]; *at; at += at[2] ? 3 : 2)
      if (memcmp(at, lang, 2) == 0) return level;
  return -1;
}

const char *level_name(int level) {
  static const char *const names[XT_LEVEL_COUNT] = {"High", "Mid", "Low"};
  return names[level];
}
