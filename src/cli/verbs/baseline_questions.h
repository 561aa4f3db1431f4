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
  xt_instance ids;             /* owned */
  size_t kin;                  /* the first question of the same source prompt */
  Judged untouched, changed;
} Asked;

typedef struct Questions {
  SweepJob job;
  Asked *asked;
  size_t count;
} Questions;

/* Reads the questions of a task or a file of pairs, and their prompts as the sweep reads them. The
 * caller frees what it holds with questions_deinit, also after a failure. */
xt_status questions_read(Questions *questions, const SweepArguments *arguments,
                         const xt_tokenizer *tokenizer, xt_error *error);
void questions_deinit(Questions *questions);

/* langid may be NULL. */
xt_status question_judge(const Asked *asked, const xt_tokenizer *tokenizer, const xt_langid *langid,
                         const xt_generation *g, Judged *out, xt_error *error);

#endif
