/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: the questions of a dataset swept into a store. A job can be stopped at any moment and
 * resumed.
 *
 *     xt_job *job;
 *     xt_job_result result;
 *     xt_job_create(model, dataset, NULL, &job, &e); // all layers, the task's site xt_job_run(job,
 *     session, store, &result, &e);  // called again, it runs what is missing xt_job_free(job);
 *
 * A job asks the store which responses it has, runs the rest in batches that fit into memory, and
 * commits them during the run. It never prints: what users should know comes through callbacks. Use
 * a job from one thread at a time; callbacks are called on that thread. */
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
  double share;     /* of the run's work, in operations, from 0 to 1; the work for the remaining
                       responses is estimated from that for the finished ones */
  double responses; /* finished; an unfinished one counts as the share of its tokens that exist */
  uint64_t responses_in_all, questions, questions_in_all; /* of this run */
  uint64_t samples, samples_in_all;
  uint64_t prompts, prompts_in_all; /* source prompts that are run before the first response, for
                                       what XT_CONTROL_MEAN writes. Until all are, nothing else is
                                       known: share and responses are 0 */
} xt_job_progress;

/* How questions are dealt to shards. Both depend on the questions and the tokenizer alone, so that
 * shard 3 of 8 is always the same questions. */
typedef enum xt_deal {
  XT_DEAL_LENGTHS, /* so that all shards have as many questions, but for one, and about as many
                      tokens: they differ by no more than the longest question has */
  XT_DEAL_TURNS    /* every shards-th question, from the shard-th on */
} xt_deal;

/* A site that makes several transplants at once. */
typedef struct xt_job_plan_site {
  const char *name; /* the site's label; a part of a digest of `writes` in it keeps results apart */
  const xt_plan_write *writes;
  size_t write_count;
  /* Where the vectors differ by question: called once for each, and returns what its writes with
   * XT_FROM_VECTOR write, [layers][width], borrowed until the job is freed. NULL: `writes` has them */
  const float *(*vector)(void *user, const xt_question *question);
  void *user;
} xt_job_plan_site;

/* Zero-initialise for the defaults. Everything is copied except what `user` points to. The dataset
 * determines how many questions there are of each language, and whether their prompts ask for
 * reasoning (xt_dataset_options.limit, cot). */
typedef struct xt_job_options {
  size_t size;              /* sizeof this, or 0: see api.h */
  const xt_site *sites;     /* none: the site that the paper uses for the task of the first
                               question, or attn if it uses none */
  size_t site_count;        /* XT_SWEEP_SITES_MOST at most, with those that `variants` and
                               `controls` add */
  const int *source_layers; /* NULL: all; else distinct ones, in any order */
  size_t source_layer_count;
  const int *target_layers; /* the same */
  size_t target_layer_count;
  int shard, shards;  /* only the questions of this one (from 1) of so many shards; 0 and 0: all.
                         xt_store_merge joins them */
  bool skip_long;     /* leave out questions that are longer than the model's context; without it
                         they are an error */
  bool replace;       /* replace questions of the store that were edited since, and drop their
                         responses; without it they are an error */
  int max_new_tokens; /* 0: XT_JOB_NEW_TOKENS, XT_JOB_COT_TOKENS where prompts ask for reasoning */
  bool ignore_eos;
  double repetition_penalty;   /* 0: the model's */
  int samples;                 /* this number of responses to each target prompt is drawn at
                                  random as well; at most a million */
  xt_sample_settings sampling; /* how; a temperature or top_p of 0: 1 */
  int max_rows;                /* this and the next two are those of xt_sweep_options */
  double pass_seconds;
  double flops_per_second;
  double commit_seconds; /* finished responses are committed when they are this old; 0: 1;
                            negative: after each step */
  const char *command;   /* recorded with the run; NULL: "" */
  const char *name;      /* what messages call the questions, such as their file; NULL: "the
                            questions" */
  const char *skip_long_name, *replace_name; /* what messages call these two options; NULL:
                                                "skip_long", "replace" */
  /* Called with a sentence about anything unusual that does not prevent the job from running:
   * repeated lines, questions that are left out. May be NULL */
  void (*warn)(void *user, const char *message);
  /* Called after each prompt and each token of a batch. May be NULL */
  void (*progress)(void *user, const xt_job_progress *progress);
  /* Called between tokens; true stops xt_job_run with XT_STATUS_CANCELLED. May be NULL */
  bool (*cancel)(void *user);
  void *user;
  xt_deal deal; /* which questions a shard has */
  /* Each site is also run with each of these controls; of the elements only `control` and `seed`
   * are used. XT_CONTROL_SHUFFLED and XT_CONTROL_MEAN take questions of the same task and languages
   * with another source prompt: which ones depends on the dataset (xt_dataset_options.others) and
   * the seed. A mean is over 32 of them, or all if there are fewer; the question's own is left
   * out. */
  const xt_site *controls;
  size_t control_count;
  /* Numbers of every response's first token (xt_sweep_options.effects) are stored, with the
   * log-probabilities of the answers that are tracked: each option's label and the first token of
   * its text, of questions without options the first tokens of the gold answers, and those of these
   * words. */
  bool no_effects; /* nothing of the kind */
  const char *const *words;
  size_t word_count;
  /* Each site is run in each of these ways, instead of as it is: of the elements everything but
   * taps, control and seed is used. Sites then have none of it of their own. Controls are written in
   * the same ways. */
  const xt_site *variants;
  size_t variant_count;
  /* What sites with XT_FROM_VECTOR write: [layers][width], borrowed until the job is freed. Values of
   * layers that are not read are not used. */
  const float *vector;
  /* More sites, with XT_FROM_PLAN, and what they write; names and writes are borrowed until the job is freed. Without
   * `sites` they are the only ones. They have none of the variants and controls. */
  const xt_job_plan_site *plans;
  size_t plan_count;
} xt_job_options;

/* Chooses the questions and converts their prompts to ids, so that errors are reported before any
 * work: a prompt that is too long, a layer that the model does not have. An inspected model is
 * sufficient, and it is not needed afterwards. The dataset must outlive the job. `options` may be
 * NULL. The caller frees *out with xt_job_free. */
XT_API xt_status xt_job_create(const xt_model *model, const xt_dataset *dataset,
                               const xt_job_options *options, xt_job **out, xt_error *error);
XT_API void xt_job_free(xt_job *job); /* accepts NULL */

/* Finds the responses that the store lacks, and changes nothing. `store` NULL: there is no store
 * yet, and all responses are missing. `hash` is the model's xt_model_hash and is needed with a
 * store: a store of another model or with other settings is refused (XT_STATUS_ARGUMENT), and so is
 * one with questions that were edited since (XT_STATUS_INPUT), unless they are to be replaced. */
XT_API xt_status xt_job_plan(xt_job *job, xt_store *store, const char *hash, xt_error *error);

/* Facts about a job; what xt_job_plan finds is 0 before that call. */
typedef struct xt_job_info {
  size_t questions;     /* of the job, without those left out */
  size_t too_long;      /* left out */
  const xt_site *sites; /* borrowed from the job */
  size_t site_count;
  int max_new_tokens;
  uint64_t responses; /* in all, untouched runs included */
  uint64_t present;   /* of them, in the store */
  uint64_t to_run;    /* that will be computed; this may include some that are present */
  uint64_t questions_to_run;
  uint64_t sources_to_run; /* source prompts whose response is missing; equal prompts are counted
                              separately */
  uint64_t samples_to_run;
  size_t edited; /* questions of the store that will be replaced */
  bool has_work; /* there is something to run or to replace */
} xt_job_info;
XT_API void xt_job_get_info(const xt_job *job, xt_job_info *info);
/* The index-th question, and its prompts' ids, borrowed; NULL past the last. */
XT_API const xt_question *xt_job_question(const xt_job *job, size_t index);
XT_API const xt_instance *xt_job_instance(const xt_job *job, size_t index);

/* The work of a planned job. */
typedef struct xt_job_estimate {
  xt_sweep_plan plan;  /* how it is divided into batches */
  double prompt_flops; /* operations for the prompts; */
  double least_flops;  /* for the responses, if they have as many tokens in common as possible; */
  double most_flops;   /* where no two of them do; */
  double sample_flops; /* for samples, if none ends early */
} xt_job_estimate;
/* Estimates the memory for a loaded model and, if the machine's speed is given (else 0), the time.
 * Refuses what cannot fit. */
XT_API xt_status xt_job_get_estimate(const xt_job *job, const xt_model *model,
                                     double flops_per_second, xt_job_estimate *out,
                                     xt_error *error);

/* What a run did. */
typedef struct xt_job_result {
  bool begun;         /* the store was begun: after any later error, the same job continues from
                         there */
  uint64_t responses; /* computed and stored, without those to source prompts */
  uint64_t questions; /* done */
  uint64_t samples;   /* drawn and stored */
  double seconds;
  xt_sweep_stats stats; /* sums; peak_bytes the largest */
} xt_job_result;

/* Runs what is missing. If xt_job_plan was not called with this store, it is called first, and the
 * hash of the session's model is computed for it. The store is begun (xt_store_begin) if it was
 * not. All finished responses are committed when this function returns, whatever it returns.
 * XT_STATUS_CANCELLED: the callback asked to stop, and another run continues from there. The
 * session must belong to the model that the job was made for. If there is nothing to do, the store
 * is not changed. `result` may be NULL. */
XT_API xt_status xt_job_run(xt_job *job, xt_session *session, xt_store *store,
                            xt_job_result *result, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
