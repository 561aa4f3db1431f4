/* SPDX-License-Identifier: Apache-2.0 */
/* Which questions are a shard's.
 *
 * What a question costs is a constant (its transplants, which all questions have alike) and a part
 * that grows with its prompts. Questions are therefore dealt in rounds, from the longest on: each
 * round gives one question to each shard, the longest to the shard that has the fewest tokens so
 * far. Shards then differ by one question at most, and by no more tokens than the longest has: if
 * they differ by less than that before a round, so they do after it. The deal depends on the
 * questions and the tokenizer alone, not on what is to be run of them or is already there. */
#include <stdlib.h>

#include "base/mem.h"
#include "job/job.h"
#include "tasks/dataset.h"

typedef struct Length {
  size_t index; /* of a question in the dataset, or of a shard */
  uint64_t tokens;
  xt_instance ids; /* of a question */
} Length;

static int by_index(const Length *x, const Length *y) {
  return (x->index > y->index) - (x->index < y->index);
}

static int longest_first(const void *a, const void *b) {
  const Length *x = a, *y = b;
  return x->tokens != y->tokens ? (x->tokens < y->tokens ? 1 : -1) : by_index(x, y);
}

static int emptiest_first(const void *a, const void *b) {
  const Length *x = a, *y = b;
  return x->tokens != y->tokens ? (x->tokens > y->tokens ? 1 : -1) : by_index(x, y);
}

static int first_first(const void *a, const void *b) { return by_index(a, b); }

/* Moves the shard's questions to the front of `questions`, and returns their number. The others
 * lose their ids. */
static size_t deal(Length *questions, size_t count, Length *shards, size_t shard_count,
                   size_t shard) {
  size_t kept = 0;
  qsort(questions, count, sizeof *questions, longest_first);
  for (size_t k = 0; k < shard_count; k++) shards[k] = (Length){.index = k};
  for (size_t at = 0; at < count; at += shard_count) {
    if (at) qsort(shards, shard_count, sizeof *shards, emptiest_first);
    for (size_t k = 0; k < shard_count && at + k < count; k++) {
      shards[k].tokens += questions[at + k].tokens;
      if (shards[k].index == shard)
        questions[kept++] = questions[at + k];
      else
        job_free_tokens(&questions[at + k].ids);
    }
  }
  return kept;
}

static xt_status deal_by_length(xt_job *job, const xt_tokenizer *tokenizer, size_t count,
                                xt_error *error) {
  const size_t shard_count = (size_t)job->options.shards;
  Length *questions, *shards = NULL;
  TRY(MEM_ALLOC(&questions, count, error));
  xt_status status = MEM_ALLOC(&shards, shard_count, error);
  for (size_t i = 0; i < count && !status; i++) {
    Length *q = &questions[i];
    q->index = i;
    status = job_tokenize(job, tokenizer, xt_dataset_get(job->dataset, i), &q->ids, error);
    q->tokens = q->ids.source_count + q->ids.target_count;
  }
  if (!status) {
    job->count = deal(questions, count, shards, shard_count, (size_t)job->options.shard - 1);
    qsort(questions, job->count, sizeof *questions, first_first);
    for (size_t i = 0; i < job->count; i++) {
      job->questions[i] = xt_dataset_get(job->dataset, questions[i].index);
      job->instances[i] = questions[i].ids;
    }
  }
  for (size_t i = 0; i < count && status; i++) job_free_tokens(&questions[i].ids);
  free(questions);
  free(shards);
  return status;
}

xt_status job_deal(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error) {
  const size_t all = xt_dataset_count(job->dataset), shards = (size_t)job->options.shards;
  if (shards > 1 && job->options.deal == XT_DEAL_LENGTHS)
    return deal_by_length(job, tokenizer, all, error);
  for (size_t i = (size_t)job->options.shard - 1; i < all; i += shards)
    job->questions[job->count++] = xt_dataset_get(job->dataset, i);
  return XT_STATUS_OK;
}
