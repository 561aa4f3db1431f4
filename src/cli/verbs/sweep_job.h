/* SPDX-License-Identifier: Apache-2.0 */
/* A job (job.h) as the command line describes it, with its progress on stderr. */
#ifndef CLI_VERBS_SWEEP_JOB_H
#define CLI_VERBS_SWEEP_JOB_H

#include "inputs/chat.h"
#include "shell/progress.h"
#include "inputs/shard.h"
#include "inputs/plan_input.h"
#include "inputs/ways.h"

typedef struct SweepArguments {
  ModelArguments model;
  int task; /* index in xt_task_names(); meaningful with `has_task` */
  bool has_task;
  const char *data, *pairs, *languages, *pivot, *shard, *output, *source_layers, *target_layers,
      *controls, *track, *vector, *source_langs, *plan;
  SiteList sites;
  int limit, max_new_tokens, max_rows, samples;
  double temperature, top_p;
  uint64_t seed; /* of what is drawn */
  double penalty, commit_seconds, pass_seconds;
  bool dry_run, cot, skip_long, replace;
  ChatArguments chat;
  Ways ways;
} SweepArguments;

typedef struct SweepJob {
  const SweepArguments *arguments; /* borrowed until job_deinit */
  xt_dataset *dataset;
  VectorInput vector;        /* if there is one */
  Plan plan;                 /* the same */
  xt_job_plan_site own_site; /* of a verb, in place of --plan; without writes: none. What it points
                                to is read by job_create alone, but for what `vector` returns */
  xt_job *job;               /* once created */
  xt_job_info info;          /* of it; what is missing once it is planned */
  Progress line;
  bool stop_reported; /* that it stops */
} SweepJob;

/* Reads the questions. */
xt_status job_read(SweepJob *job, const SweepArguments *arguments, xt_error *error);
/* Reads their prompts and the layers, for a described model. A NULL shard is all of it.
 * `command` is recorded with the run. */
xt_status job_create(SweepJob *job, const LoadedModel *model, const Shard *shard,
                     const char *command, xt_error *error);
/* Prints what the interventions of --plan write. */
void job_print_plan(const SweepJob *job);
/* xt_job_plan; fills `info`. */
xt_status job_plan(SweepJob *job, xt_store *store, const char *hash, xt_error *error);
/* xt_job_run, stopped by signals, with progress. */
xt_status job_run(SweepJob *job, const LoadedModel *model, xt_store *store, xt_job_result *result,
                  xt_error *error);
void job_deinit(SweepJob *job);

/* How messages name the questions: their file or folder. */
const char *job_input(const SweepArguments *arguments);

#endif
