/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of `baseline`: their tokens, and how their responses are judged. */
#ifndef CLI_VERBS_BASELINE_QUESTIONS_H
#define CLI_VERBS_BASELINE_QUESTIONS_H

#include "verbs/sweep_job.h"
#include "xtransplant/langid.h"

/* How a response is judged. */
typedef struct Judged {
  int right;       /* 1, 0; -1: no gold answer */
  int in_language; /* 1, 0; -1: its language was not looked at */
} Judged;

typedef struct Asked {
  const xt_question *question; /* borrowed from the dataset */
  const xt_instance *ids;      /* borrowed from the job */
  size_t kin;                  /* the first question of the same source prompt */
  Judged untouched, changed;
} Asked;

typedef struct Questions {
  SweepJob job; /* which has their prompts, and is not run */
  Asked *asked;
  size_t count;
} Questions;

/* Reads the questions of a task or a file of pairs, and their prompts as the sweep reads them:
 * `arguments` are read until questions_deinit. The caller frees what it holds with questions_deinit,
 * also after a failure. */
xt_status questions_read(Questions *questions, const SweepArguments *arguments,
                         const LoadedModel *model, xt_error *error);
void questions_deinit(Questions *questions);

/* langid may be NULL. */
xt_status question_judge(const Asked *asked, const xt_tokenizer *tokenizer, const xt_langid *langid,
                         const xt_generation *g, Judged *out, xt_error *error);

#endif
