/* SPDX-License-Identifier: Apache-2.0 */
#include "job/job_samples.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The number of samples that are drawn together. The samples of a question are neighbours, so that
 * its prompt is run once. A killed process loses one batch. */
#define SAMPLES_TOGETHER 256

typedef struct Place {
  int64_t question; /* the store's number */
  int number;       /* of the sample */
} Place;

typedef struct Batch {
  const xt_job *job;
  xt_session *session;
  xt_store *store;
  xt_generate_options how;
  void (*done)(void *user, size_t count);
  size_t count;
  Place places[SAMPLES_TOGETHER];
  xt_request requests[SAMPLES_TOGETHER];
  xt_generation out[SAMPLES_TOGETHER];
} Batch;

static xt_status find(const xt_job *job, xt_store *store, int64_t number, bool **have,
                      xt_error *error) {
  const xt_job_options *o = &job->options;
  TRY(MEM_ALLOC(have, (size_t)o->samples, error));
  const xt_status status =
      xt_store_find_samples(store, number, &o->sampling, o->samples, *have, error);
  if (status) free(*have);
  return status;
}

xt_status job_count_samples(const xt_job *job, xt_store *store, int64_t number, uint32_t *missing,
                            xt_error *error) {
  bool *have;
  TRY(find(job, store, number, &have, error));
  for (int k = 0; k < job->options.samples; k++) *missing += !have[k];
  free(have);
  return XT_STATUS_OK;
}

static xt_status draw(Batch *b, xt_error *error) {
  const size_t count = b->count;
  if (!count) return XT_STATUS_OK;
  b->count = 0;
  TRY(xt_session_generate(b->session, b->requests, count, &b->how, b->out, error));
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < count; i++) {
    const Place *p = &b->places[i];
    if (!status)
      status = xt_store_add_sample(b->store, p->question, &b->job->options.sampling, p->number,
                                   &b->out[i], error);
    xt_generation_deinit(&b->out[i]);
  }
  if (!status) b->done(b->how.user, count);
  return status;
}

static xt_status ask(Batch *b, size_t index, xt_error *error) {
  const xt_instance *in = &b->job->instances[index];
  int64_t number;
  bool *have;
  TRY(xt_store_add_question(b->store, b->job->questions[index], in, &number, error));
  TRY(find(b->job, b->store, number, &have, error));
  xt_status status = XT_STATUS_OK;
  for (int k = 0; k < b->job->options.samples && !status; k++) {
    if (have[k]) continue;
    b->places[b->count] = (Place){number, k};
    b->requests[b->count++] =
        (xt_request){.ids = in->target, .count = in->target_count, .sample = (uint64_t)k};
    if (b->count == SAMPLES_TOGETHER) status = draw(b, error);
  }
  free(have);
  return status;
}

xt_status job_run_samples(const xt_job *job, xt_session *session, xt_store *store,
                          bool (*cancel)(void *user), void (*done)(void *user, size_t count),
                          void *user, xt_error *error) {
  const xt_job_options *o = &job->options;
  Batch *b;
  if (!job->samples_to_run) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&b, 1, error));
  b->job = job;
  b->session = session;
  b->store = store;
  b->done = done;
  b->how = (xt_generate_options){.max_new_tokens = o->max_new_tokens,
                                 .ignore_eos = o->ignore_eos,
                                 .repetition_penalty = o->repetition_penalty,
                                 .temperature = o->sampling.temperature,
                                 .top_p = o->sampling.top_p,
                                 .seed = o->sampling.seed,
                                 .cancel = cancel,
                                 .user = user};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < job->count && !status; i++)
    if (job->samples_missing[i]) status = ask(b, i, error);
  if (!status) status = draw(b, error);
  free(b);
  return status;
}
