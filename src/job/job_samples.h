/* SPDX-License-Identifier: Apache-2.0 */
/* Responses to target prompts that are drawn at random: finding missing ones, and drawing them. */
#ifndef JOB_JOB_SAMPLES_H
#define JOB_JOB_SAMPLES_H

#include "job/job.h"

/* How many of a question's samples the store lacks; it is the store's `number`. */
xt_status job_count_samples(const xt_job *job, xt_store *store, int64_t number, uint32_t *missing,
                            xt_error *error);

/* Draws what the job's questions lack, and adds it to the store. A sample depends only on its
 * prompt, settings and number. `cancel` is called between steps; `done` is called with the number
 * of added samples. */
xt_status job_run_samples(const xt_job *job, xt_session *session, xt_store *store,
                          bool (*cancel)(void *user), void (*done)(void *user, size_t count),
                          void *user, xt_error *error);

#endif
