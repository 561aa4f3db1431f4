/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of a job's questions whose first tokens are tracked. They depend on the question, the
 * tokenizer and the words that were asked for. */
#ifndef JOB_JOB_TRACK_H
#define JOB_JOB_TRACK_H

#include "job/job.h"

/* Copies the words of the options, which are the caller's. */
xt_status job_copy_words(xt_job *job, xt_error *error);
/* Finds the answers of each question, once the job has its questions and their ids. */
xt_status job_find_tracked(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error);
/* What the store has of a question. */
const TrackedList *job_tracked(const xt_job *job, size_t index);
/* Refuses a question of which the store tracks other answers; `number` below 0: it does not have the
 * question. Of one of which it keeps all tokens apart, as earlier versions did, they stay apart. */
xt_status job_check_tracked(xt_job *job, xt_store *store, size_t index, int64_t number,
                            xt_error *error);
/* The numbers of a run as the store has them: `out` has room for what the job's questions track at
 * most. Returns their count. */
size_t job_numbers(const xt_job *job, size_t index, const float *numbers,
                   float out[XT_EFFECT_TRACKED + XT_TRACKED_MOST]);

#endif
