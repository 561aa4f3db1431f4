/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep from questions into a store: what there is to do, and doing it so that it can stop at any moment. */
#ifndef CLI_SWEEP_JOB_H
#define CLI_SWEEP_JOB_H

#include "cli.h"
#include "sweep_progress.h"

typedef struct SweepArguments {
  ModelArguments model;
  int task; /* index in xt_task_names(); meaningful with `has_task` */
  bool has_task;
  const char *data, *pairs, *languages, *pivot, *shard, *output, *source_layers, *target_layers;
  SiteList sites;
  int limit, max_new_tokens, max_rows;
  double penalty, commit_seconds, pass_seconds;
  bool dry_run, cot, skip_long, replace;
} SweepArguments;

#define COT_NEW_TOKENS 200 /* the paper's, for prompts that ask for reasoning */
#define JOB_LAYERS_MAX 256

typedef struct LayerSet {
  bool has[JOB_LAYERS_MAX];
} LayerSet;

/* Sites and layers that a question still needs: their product is run. No sites: none is missing. */
typedef struct Todo {
  uint32_t sites;  /* bit i: job->sites[i] */
  uint32_t source; /* 1: the source prompt's own response is missing */
  LayerSet sources, targets;
} Todo;

typedef struct SweepJob {
  const SweepArguments *arguments;
  xt_dataset *dataset;
  xt_dataset *whole;      /* the same without --limit; NULL: there is none */
  size_t count; /* questions of this shard */
  const xt_question **questions;
  xt_instance *instances; /* their prompts' ids, owned */
  Todo *todo;
  SiteList sites;
  Todo all;               /* every site and layer asked for */
  uint64_t responses;     /* in all, untouched runs included */
  uint64_t present;       /* of them, in the store before */
  uint64_t to_run;        /* that will be computed */
  uint64_t instances_to_run;
  const xt_question **too_long; /* left out of `questions`: the model has no positions for them (--skip-long) */
  size_t too_long_count;
  uint64_t sources_to_run;/* source prompts whose own response is missing, equal ones counted each */
  int positions;          /* of the model, once described */
  int64_t *edited;        /* questions of the store that questions of the job take the place of: --replace */
  size_t edited_count;
} SweepJob;

/* Reads the questions and picks the shard's. The shard is K of N, both from 1. */
xt_status job_read(SweepJob *job, const SweepArguments *arguments, int shard, int shards, xt_error *error);
/* Layers and prompts, checked against a described model. */
xt_status job_check(SweepJob *job, const LoadedModel *model, xt_error *error);
/* What is missing in the store; NULL: all is. */
xt_status job_find_missing(SweepJob *job, xt_store *store, int layers, xt_error *error);
void job_deinit(SweepJob *job);
static inline bool job_has_work(const SweepJob *job) { return job->to_run || job->sources_to_run; }

xt_store_settings job_settings(const SweepArguments *arguments);

/* The whole as it will be cut up, for a loaded model; by time too, where the machine's speed is given (0: it is not known). */
xt_status job_plan(const SweepJob *job, const LoadedModel *model, double flops_per_second, xt_sweep_plan *plan, xt_error *error);

/* What is to run, in floating-point operations. */
SweepWork job_work(const SweepJob *job, const xt_model_info *info);

typedef struct SweepOutcome {
  bool stopped;         /* by a signal */
  uint64_t added;       /* responses computed */
  uint64_t instances;   /* done */
  double seconds;
  xt_sweep_stats stats; /* sums; peak_bytes the largest */
} SweepOutcome;

/* Runs what is to do, until it is done or stopped. What was computed is committed in either case. */
xt_status job_run(SweepJob *job, const LoadedModel *model, xt_store *store, SweepOutcome *outcome, xt_error *error);

#endif
