/* SPDX-License-Identifier: Apache-2.0 */
/* What the controls of a job's sites write: other questions' source prompts, their mean, seeds.
 *
 * Which questions these are depends on the dataset and the seed alone, not on the limit, the shard
 * or what is missing, so that a response is the same whenever it is run. */
#ifndef JOB_JOB_CONTROLS_H
#define JOB_JOB_CONTROLS_H

#include "job/job.h"

/* Finds what each question needs, once the job has its questions and their ids. */
xt_status job_find_controls(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error);
void job_free_controls(xt_job *job);

/* For what is not a sweep, but writes what a job's sites write: the question that has this key of a
 * store (STORE_KEY_SIZE), looked for from *index on and then from the first on, because a key is a hash of
 * all texts and the next question of a store is near the last one in the job; and the site of this name. False: the job
 * does not have it. */
bool job_find_question(const xt_job *job, const char *key, size_t *index);
bool job_find_site(const xt_job *job, const xt_site *site, size_t *index);
/* Forgets what is missing, so that job_measure_means measures only what job_ask asks for. */
void job_ask_nothing(xt_job *job);
void job_ask(xt_job *job, size_t question, size_t site);

/* The inputs of questions [at, at + count) for the sites of a Todo, for a sweep of them. The caller
 * frees *out with free(); NULL: none is needed. */
xt_status job_list_controls(const xt_job *job, const Todo *todo, size_t at, size_t count,
                            xt_control_input **out, xt_error *error);

#endif
