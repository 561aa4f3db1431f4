/* Resource levels of languages. */
#ifndef ANALYSIS_LEVELS_H
#define ANALYSIS_LEVELS_H

/* 0 High, 1 Mid, 2 Low; -1: a language of no benchmark here. What follows a hyphen does not count ("zh-CN"). */
int level_of(const char *lang);
/* "High", "Mid", "Low". */
const char *level_name(int level);

#endif
