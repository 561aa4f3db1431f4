/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/baseline_questions.h"

#include <stdlib.h>
#include <string.h>

static xt_status encode(const xt_tokenizer *tokenizer, const char *text, const int32_t **ids,
                        size_t *count, xt_error *error) {
  int32_t *own = NULL;
  const xt_status status =
      xt_tokenizer_encode(tokenizer, text, strlen(text), true, &own, count, error);
  *ids = own;
  return status;
}

xt_status questions_read(Questions *out, const SweepArguments *arguments,
                         const xt_tokenizer *tokenizer, xt_error *error) {
  xt_status status;
  *out = (Questions){0};
  TRY_DONE(job_read(&out->job, arguments, error));
  const size_t count = xt_dataset_count(out->job.dataset);
  out->asked = calloc(count ? count : 1, sizeof *out->asked);
  if (!out->asked) TRY_DONE(error_memory(error));
  for (; out->count < count; out->count++) {
    Asked *a = &out->asked[out->count];
    a->question = xt_dataset_get(out->job.dataset, out->count);
    while (strcmp(out->asked[a->kin].question->source, a->question->source) != 0) a->kin++;
    TRY_DONE(encode(tokenizer, a->question->source, &a->ids.source, &a->ids.source_count, error));
    TRY_DONE(encode(tokenizer, a->question->target, &a->ids.target, &a->ids.target_count, error));
  }
done:
  return status;
}

void questions_deinit(Questions *q) {
  for (size_t i = 0; q->asked && i < xt_dataset_count(q->job.dataset); i++) {
    xt_free((void *)(uintptr_t)q->asked[i].ids.source);
    xt_free((void *)(uintptr_t)q->asked[i].ids.target);
  }
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
