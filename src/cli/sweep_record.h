/* SPDX-License-Identifier: Apache-2.0 */
/* What a sweep writes down beside the transplants: its plan, and what each source prompt generates by itself. */
#ifndef CLI_SWEEP_RECORD_H
#define CLI_SWEEP_RECORD_H

#include "sweep_job.h"

/* Records what the job is about, so that reports can tell how much of it is there. */
xt_status job_add_plans(const SweepJob *job, xt_store *store, int layers, xt_error *error);

/* Questions that the store has with another prompt or answer: refused, or, with --replace, put on job->edited. */
xt_status job_find_edited(SweepJob *job, xt_store *store, xt_error *error);

/* Responses to source prompts. Equal prompts, such as the English one of every language, are run once. */
typedef struct SourceRuns {
  const SweepJob *job;
  size_t *first;             /* [job->count]: the first question with the same source prompt */
  xt_generation *generations;/* [job->count]: of those, once they are run */
} SourceRuns;
xt_status source_runs_init(SourceRuns *runs, const SweepJob *job, xt_error *error);
void source_runs_deinit(SourceRuns *runs);

/* Runs what questions [at, at + n) need of them, and adds it to the store. `cancel` is asked between steps. */
xt_status source_runs_add(SourceRuns *runs, const LoadedModel *model, xt_store *store, size_t at, size_t n, const int64_t *numbers,
                          bool (*cancel)(void *user), void *user, xt_error *error);

#endif
