/* SPDX-License-Identifier: Apache-2.0 */
/* Which questions belong together: those of one task under one pivot language, with or without
 * reasoning. */
#ifndef ANALYSIS_GROUPS_H
#define ANALYSIS_GROUPS_H

#include <stdbool.h>

/* The source language of a task that goes to a language; "" elsewhere. */
const char *group_pivot(const char *task, const char *source_lang);
/* "XNLI"; the name of an unknown task; "questions" without a task. */
const char *group_title(const char *task);
/* By a question's id. */
bool group_is_cot(const char *id);
/* The order in which groups are shown. 0: the same. */
int compare_groups(const char *task, const char *pivot, bool cot, const char *other_task,
                   const char *other_pivot, bool other_cot);

#endif
