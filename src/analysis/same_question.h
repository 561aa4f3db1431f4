/* SPDX-License-Identifier: Apache-2.0 */
/* Which instances ask the same question. Statistics by question and the folds of strategies that
 * learn both go by this. */
#ifndef ANALYSIS_SAME_QUESTION_H
#define ANALYSIS_SAME_QUESTION_H

#include "base/err.h"
#include "xtransplant/tasks.h"

/* By what a question is recognised: hashes, of which 0 is none. Prompts are taken without the
 * sentence that asks for reasoning. */
typedef struct Asked {
  uint64_t lang;   /* the language, and whether reasoning is asked for */
  uint64_t id;     /* of a task that goes to a language: the task and the id */
  uint64_t source; /* the same: the task, the source prompt and its language */
  uint64_t text;   /* of a task that comes from a language: the task, and the target prompt after
                      the culture's name */
  uint64_t target; /* the task and the target prompt */
  bool numbered;   /* the id is only the number of a line */
} Asked;

Asked asked_of(const xt_question *question);

/* For each of them the first that asks the same question, in first[count]: those of one id,
 * those of several languages that share a source prompt, if no language has it twice, and those
 * whose target prompts are the same after the culture's name, which a culture of several countries
 * may have twice. All are of one store. */
xt_status asked_join(const Asked *asked, size_t count, size_t *first, xt_error *error);

/* known[count]: which of them, or of those that ask the same as they, are among questions of
 * another store: by prompts, and by ids if these are not the numbers of lines, which say nothing
 * there. */
xt_status asked_known(const Asked *asked, size_t count, const Asked *others, size_t other_count,
                      bool *known, xt_error *error);

#endif
