/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/baseline_questions.h"

#include <stdlib.h>
#include <string.h>

xt_status questions_read(Questions *out, const SweepArguments *arguments, const LoadedModel *model,
                         xt_error *error) {
  xt_status status;
  *out = (Questions){0};
  TRY_DONE(job_read(&out->job, arguments, error));
  TRY_DONE(job_create(&out->job, model, NULL, "", error));
  out->count = out->job.info.questions;
  out->asked = calloc(out->count ? out->count : 1, sizeof *out->asked);
  if (!out->asked) TRY_DONE(error_memory(error));
  for (size_t i = 0; i < out->count; i++) {
    Asked *a = &out->asked[i];
    a->question = xt_job_question(out->job.job, i);
    a->ids = xt_job_instance(out->job.job, i);
    while (strcmp(out->asked[a->kin].question->source, a->question->source) != 0) a->kin++;
  }
done:
  return status;
}

void questions_deinit(Questions *q) {
  free(q->asked);
  job_deinit(&q->job);
  *q = (Questions){0};
}

/* The language that responses to a task should be in. */
static const char *asked_language(const xt_question *q, const xt_task *task) {
  return task && task->direction == XT_DIRECTION_FROM_LANGUAGE ? "en" : q->lang;
}

xt_status question_judge(const Asked *a, const xt_tokenizer *tokenizer, const xt_langid *langid,
                         const xt_generation *g, Judged *out, xt_error *error) {
  const xt_question *q = a->question;
  const xt_task *task = xt_task_find(q->task);
  char *text, lang[XT_LANGUAGE_SIZE];
  size_t length;
  double probability;
  bool right = false;
  *out = (Judged){-1, -1};
  xt_status status = xt_tokenizer_decode(tokenizer, g->ids, g->count, true, &text, &length, error);
  if (status) return status;
  if (task && q->gold) {
    status = xt_task_score(task, q->choices, q->choice_count, text, length, q->gold, &right, error);
    out->right = right;
  }
  if (!status && langid) {
    status = xt_langid_identify(langid, text, length, lang, &probability, error);
    out->in_language = xt_language_is(lang, asked_language(q, task));
  }
  xt_free(text);
  return status;
}
