/* SPDX-License-Identifier: Apache-2.0 */
/* Responses to source prompts. Among questions with the same source prompt, such as the English one
 * of every language, the first that needs the response asks for it: xt_instance.run_source, if the
 * question is swept. */
#ifndef JOB_JOB_SOURCES_H
#define JOB_JOB_SOURCES_H

#include "job/job.h"

typedef struct SourceRuns {
  xt_job *job;
  size_t *first;              /* [job->count]: the first question that needs the same response */
  xt_generation *generations; /* [job->count]: of those, once they are run */
} SourceRuns;
/* Sets run_source of the job's instances, too. */
xt_status source_runs_init(SourceRuns *runs, xt_job *job, xt_error *error);
void source_runs_deinit(SourceRuns *runs); /* accepts a zeroed one */

/* Adds the known responses that questions [at, at + n) need to the store, in which the questions
 * have these `numbers`. */
xt_status source_runs_store_known(const SourceRuns *runs, xt_store *store, size_t at, size_t n,
                                  const int64_t *numbers, xt_error *error);
/* Keeps a copy of the response to question `index`'s source prompt, for later questions, and adds
 * it to the store for those of [at, at + n), which are run together, that need it. */
xt_status source_runs_take(SourceRuns *runs, xt_store *store, size_t index,
                           const xt_generation *generation, size_t at, size_t n,
                           const int64_t *numbers, xt_error *error);
/* Runs the responses that questions [at, at + n) need, without a sweep. `cancel` is called between
 * steps. */
xt_status source_runs_alone(SourceRuns *runs, xt_session *session, size_t at, size_t n,
                            bool (*cancel)(void *user), void *user, xt_error *error);

#endif
