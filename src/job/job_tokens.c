/* SPDX-License-Identifier: Apache-2.0 */
/* A question's prompts as token ids. */
#include <stdlib.h>
#include <string.h>

#include "job/job.h"
#include "tasks/dataset.h"

xt_status job_tokenize_text(const xt_job *job, const xt_tokenizer *tokenizer, const char *text,
                            const int32_t **out, size_t *count, xt_error *error) {
  int32_t *ids;
  /* a chat's template has its special tokens */
  TRY(xt_tokenizer_encode(tokenizer, text, strlen(text), !job->dataset->chat, &ids, count, error));
  *out = ids;
  return XT_STATUS_OK;
}

xt_status job_tokenize(const xt_job *job, const xt_tokenizer *tokenizer, const xt_question *q,
                       xt_instance *in, xt_error *error) {
  if (!in->source)
    TRY(job_tokenize_text(job, tokenizer, q->source, &in->source, &in->source_count, error));
  if (!in->target)
    TRY(job_tokenize_text(job, tokenizer, q->target, &in->target, &in->target_count, error));
  return XT_STATUS_OK;
}

void job_free_tokens(xt_instance *in) {
  free((void *)(uintptr_t)in->source);
  free((void *)(uintptr_t)in->target);
  *in = (xt_instance){0};
}
