/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: the questions of a dataset swept into a store, so that it can be stopped at any moment and
 * gone on with.
 *
 *     xt_job *job;
 *     xt_job_result result;
 *     xt_job_create(model, dataset, NULL, &job, &e); // all layers, the task's site xt_job_run(job,
 *     session, store, &result, &e);  // called again, it runs what is missing xt_job_free(job);
 *
 * A job asks the store what it has, runs the rest in batches that fit memory, and commits as it
 * goes. It never prints: what people should know comes through callbacks. Use a job from one thread
 * at a time; callbacks are called on that thread. */
#ifndef XTRANSPLANT_JOB_H
#define XTRANSPLANT_JOB_H

#include "xtransplant/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_job xt_job;

#define XT_JOB_NEW_TOKENS 20
#define XT_JOB_COT_TOKENS 200 /* the paper's, for prompts that ask for reasoning */

/* How far a run is. */
typedef struct xt_job_progress {
  double share;     /* of its work, in operations: 0 to 1. That of responses to come is taken to
                       be as it was so far */
  double responses; /* finished; of those that still grow, the share of their tokens that is
                       there */
  uint64_t responses_in_all, questions, questions_in_all; /* of this run */
  uint64_t samples, samples_in_all;
} xt_job_progress;

/* Zero-initialise for the defaults. All is copied but what `user` points to. How many questions of
 * each language there are, and whether their prompts ask for reasoning, is the dataset's
 * (xt_dataset_options.limit, cot). */
typedef struct xt_job_options {
  size_t size;              /* sizeof this, or 0: see api.h */
  const xt_site *sites;     /* none: the paper's for the first question's task, attn where it has
                               none */
  size_t site_count;        /* 16 at most */
  const int *source_layers; /* NULL: all; else distinct ones, in any order */
  size_t source_layer_count;
  const int *target_layers; /* the same */
  size_t target_layer_count;
  int shard, shards;  /* only every shards-th question, from the shard-th (from 1) on; 0 and 0:
                        all. xt_store_merge joins them */
  bool skip_long;     /* leave out questions for which the model has too few positions; without it
                        they are an error */
  bool replace;       /* questions that were edited since take the place of the store's, whose
                   responses are dropped; without it they are an error */
  int max_new_tokens; /* 0: XT_JOB_NEW_TOKENS, XT_JOB_COT_TOKENS where prompts ask for reasoning */
  bool ignore_eos;
  double repetition_penalty;   /* 0: the model's */
  int samples;                 /* so many responses of each target prompt are drawn at random,
                                  too; a million at most */
  xt_sample_settings sampling; /* how; a temperature or top_p of 0: 1 */
  int max_rows;                /* as xt_sweep_options has it, like the next two */
  double pass_seconds;
  double flops_per_second;
  double commit_seconds; /* responses older than this are made durable between two steps; 0: 1;
                            negative: after each step */
  const char *command;   /* recorded with the run; NULL: "" */
  const char *name;      /* what messages call the questions, such as their file; NULL: "the
                            questions" */
  const char *skip_long_name, *replace_name; /* what messages call these two options; NULL:
                                                "skip_long", "replace" */
  /* Told what does not keep the job from running, as a sentence: lines that repeat, questions left
   * out. May be NULL */
  void (*warn)(void *user, const char *message);
  /* Told after each prompt and each token of a batch. May be NULL */
  void (*progress)(void *user, const xt_job_progress *progress);
  /* Asked between tokens; true stops xt_job_run with XT_STATUS_CANCELLED. May be NULL */
  bool (*cancel)(void *user);
  void *user;
} xt_job_options;

/* Chooses the questions and reads their prompts into ids, so that whatever is wrong with them is
 * told before any work: a prompt that is too long, a layer that the model does not have. An
 * inspected model will do; it is not needed afterwards. The dataset has to outlive the job.
 * `options` may be NULL. The caller frees *out with xt_job_free. */
XT_API xt_status xt_job_create(const xt_model *model, const xt_dataset *dataset,
                               const xt_job_options *options, xt_job **out, xt_error *error);
XT_API void xt_job_free(xt_job *job); /* accepts NULL */

/* Finds what the store lacks, and changes nothing. NULL: there is no store yet, and all is missing.
 * `hash`: xt_model_hash's of the model, needed with a store: one of another model or other settings
 * is refused (XT_STATUS_ARGUMENT), and so is one with questions that were edited since
 * (XT_STATUS_INPUT), unless they are to be replaced. */
XT_API xt_status xt_job_plan(xt_job *job, xt_store *store, const char *hash, xt_error *error);

/* Facts about a job; what xt_job_plan finds is 0 before it was called. */
typedef struct xt_job_info {
  size_t questions;     /* of the job, without those left out */
  size_t too_long;      /* left out */
  const xt_site *sites; /* borrowed from the job */
  size_t site_count;
  int max_new_tokens;
  uint64_t responses; /* in all, untouched runs included */
  uint64_t present;   /* of them, in the store */
  uint64_t to_run;    /* that will be computed: some that are there may be among them */
  uint64_t questions_to_run;
  uint64_t sources_to_run; /* source prompts whose own response is missing, equal ones counted
                              each */
  uint64_t samples_to_run;
  size_t edited; /* questions of the store that will be replaced */
  bool has_work; /* there is something to run or to replace */
} xt_job_info;
XT_API void xt_job_get_info(const xt_job *job, xt_job_info *info);
/* The index-th question, and its prompts' ids, borrowed; NULL past the last. */
XT_API const xt_question *xt_job_question(const xt_job *job, size_t index);
XT_API const xt_instance *xt_job_instance(const xt_job *job, size_t index);

/* What a planned job will take. */
typedef struct xt_job_estimate {
  xt_sweep_plan plan;  /* how it is cut up */
  double prompt_flops; /* operations for the prompts; */
  double least_flops;  /* for the responses where all that can agree do; */
  double most_flops;   /* where no two of them do; */
  double sample_flops; /* for samples, where none ends early */
} xt_job_estimate;
/* For a loaded model, by memory and, where the machine's speed is given (else 0), by time. Refuses
 * what cannot fit. */
XT_API xt_status xt_job_get_estimate(const xt_job *job, const xt_model *model,
                                     double flops_per_second, xt_job_estimate *out,
                                     xt_error *error);

/* What a run did. */
typedef struct xt_job_result {
  bool begun;         /* the store was begun: whatever went wrong then, the same job goes on from
                         there */
  uint64_t responses; /* computed and stored, sources not counted */
  uint64_t questions; /* done */
  uint64_t samples;   /* drawn and stored */
  double seconds;
  xt_sweep_stats stats; /* sums; peak_bytes the largest */
} xt_job_result;

/* Runs what is missing. Where xt_job_plan was not called with this store, it is called first, with
 * the hash of the session's model computed. The store is begun (xt_store_begin) unless it was. What
 * was computed is committed when this returns, whatever it returns; XT_STATUS_CANCELLED: the
 * callback asked to stop, and another run goes on from there. The session has to be of the model
 * that the job was made for. With nothing to do the store is left alone. `result` may be NULL. */
XT_API xt_status xt_job_run(xt_job *job, xt_session *session, xt_store *store,
                            xt_job_result *result, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
