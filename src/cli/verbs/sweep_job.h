/* SPDX-License-Identifier: Apache-2.0 */
/* A job (job.h) as the command line describes it, with its progress on stderr. */
#ifndef CLI_VERBS_SWEEP_JOB_H
#define CLI_VERBS_SWEEP_JOB_H

#include "inputs/chat.h"
#include "shell/progress.h"
#include "inputs/shard.h"
#include "inputs/plan_input.h"
#include "inputs/ways.h"

/* Rows of option tables: which questions, as a sweep has them. */
/* clang-format off */
#define OPTIONS_QUESTIONS(Arguments, task_member, data_member, pairs_member, languages_member, pivot_member) \
  {.name = "task", .letter = 't', .type = OPTION_ENUM, .field = OPTION_FIELD(Arguments, int, task_member), .value = "T", .choices_from = xt_task_names, \
   .help = "the benchmark to run; its prompts are in the folder of --data"}, \
  {.name = "data", .letter = 'd', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, data_member), .value = "DIR", \
   .help = "the benchmark's folder as released, which contains split, and ans or translated"}, \
  {.name = "pairs", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, pairs_member), .value = "FILE", \
   .help = "JSON lines {id, lang, source, target, gold, task}, instead of --task and --data; - reads standard input"}, \
  {.name = "lang", .letter = 'l', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, languages_member), .value = "LIST", \
   .help = "the languages, separated by commas; without it, all languages of the task"}, \
  {.name = "pivot", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, pivot_member), .value = "LANG", \
   .help = "the language of the source prompts of xnli, xquad, xcopa and mkqa; without it, en"}
#define OPTION_SOURCE_LANGS(Arguments, member) \
  {.name = "source-langs", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member), .value = "LIST", \
   .help = "write the mean of the source prompt's values in these languages, separated by commas; of --pairs, lines have them as \"sources\", an object, language to prompt"}
#define OPTION_COT(Arguments, member) \
  {.name = "cot", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member), \
   .help = "end each prompt with \"Let's think step by step.\" in its language; 200 new tokens by default"}
/* clang-format on */

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
  bool dry_run, cot, skip_long, replace, others; /* others: questions that controls may take */
  ChatArguments chat;
  Ways ways;
} SweepArguments;

typedef struct SweepJob {
  const SweepArguments *arguments; /* borrowed until job_deinit */
  xt_dataset *dataset;
  bool rendered;             /* its prompts are in the chat template */
  bool warned;               /* an earlier job of the same questions gave the warnings */
  VectorInput vector;        /* if there is one */
  Plan plan;                 /* the same */
  xt_job_plan_site own_site; /* of a verb, in place of --plan; without writes: none. What it points
                                to is read by job_create alone, but for what `vector` returns */
  xt_job *job;               /* once created */
  xt_job_info info;          /* of it; what is missing once it is planned */
  Progress line;
  bool stop_reported; /* that it stops */
  bool reading;       /* what controls take of other questions */
} SweepJob;

/* Which questions: 0, or the exit code of wrong usage. */
int job_usage(const Cli *cli, const SweepArguments *arguments);
/* Reads the questions. */
xt_status job_read(SweepJob *job, const SweepArguments *arguments, xt_error *error);
/* Reads their prompts and the layers, for a described model. A NULL shard is all of it.
 * `command` is recorded with the run. */
xt_status job_create(SweepJob *job, const LoadedModel *model, const Shard *shard,
                     const char *command, xt_error *error);
/* Makes a job that is not run: it has what these sites of a results file write, as far as they need
 * more than a question's own prompts, and the arguments say it. job->job stays NULL: none does. */
xt_status job_create_values(SweepJob *job, const LoadedModel *model, const xt_site *sites,
                            size_t count, xt_error *error);
/* Prints what the interventions of --plan write. */
void job_print_plan(const SweepJob *job);
/* xt_job_plan; fills `info`. */
xt_status job_plan(SweepJob *job, xt_store *store, const char *hash, xt_error *error);
/* xt_job_run, stopped by signals, with progress. */
xt_status job_run(SweepJob *job, const LoadedModel *model, xt_store *store, xt_job_result *result,
                  xt_error *error);
void job_deinit(SweepJob *job);
/* Another job of the same questions, for job_create. It borrows the dataset, so that xt_job_free is
 * all it needs. */
SweepJob job_anew(const SweepJob *job);

/* "de,fr" as the label "de.fr" of sites that write a mean of languages, into out[count]. */
xt_status job_label_langs(const char *langs, size_t count, xt_site *out, xt_error *error);

/* How messages name the questions: their file or folder. */
const char *job_input(const SweepArguments *arguments);

#endif
