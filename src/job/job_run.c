/* SPDX-License-Identifier: Apache-2.0 */
/* Running a job: questions that need the same configurations go into one call of xt_session_sweep,
 * and its responses into the store. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "engine/session.h"
#include "job/job_controls.h"
#include "job/job_means.h"
#include "job/job_samples.h"
#include "job/job_sources.h"
#include "job/job_track.h"
#include "store/store_parts.h"

typedef struct Run {
  xt_job *job;
  xt_session *session;
  xt_store *store;
  SourceRuns sources;
  const Wanted *wanted;   /* of the call under way */
  int64_t *numbers;       /* of its questions in the store */
  size_t at;              /* its first question */
  size_t first, together; /* being run: questions [first, first + together) */
  xt_status store_status; /* of a commit between steps */
  xt_error store_error;
  xt_job_result *result;
  xt_job_estimate work;
  xt_sweep_progress before; /* sums of the finished calls */
  xt_sweep_progress now;    /* of the one under way */
} Run;

/* ---- progress -------------------------------------------------------------------------------- */

/* The work of the prompts is known beforehand. That of the responses depends on how many of them
 * have the same tokens, and is estimated from the work so far. */
static double share_done(const Run *run, double responses) {
  const double prompts = run->before.prompt_flops + run->now.prompt_flops,
               rows = run->before.row_flops + run->now.row_flops;
  const double part = run->job->to_run ? responses / (double)run->job->to_run : 0;
  const double expected =
      part > 0 ? rows / part : 0.5 * (run->work.least_flops + run->work.most_flops);
  const double drawn =
      run->job->samples_to_run
          ? run->work.sample_flops * (double)run->result->samples / (double)run->job->samples_to_run
          : 0;
  const double all =
      run->work.prompt_flops + (expected > rows ? expected : rows) + run->work.sample_flops;
  const double share = all > 0 ? (prompts + rows + drawn) / all : 0;
  return share < 1 ? share : 1;
}

static void report_progress(const Run *run) {
  const xt_job *job = run->job;
  const double responses = run->before.responses + run->now.responses;
  if (!job->options.progress) return;
  const xt_job_progress progress = {.share = share_done(run, responses),
                                    .responses = responses,
                                    .responses_in_all = job->to_run,
                                    .questions = run->result->questions,
                                    .questions_in_all = job->questions_to_run,
                                    .samples = run->result->samples,
                                    .samples_in_all = job->samples_to_run,
                                    .prompts = job->prompts,
                                    .prompts_in_all = job->prompts_in_all};
  job->options.progress(job->options.user, &progress);
}

static void show_progress(void *user, const xt_sweep_progress *now) {
  Run *run = user;
  run->now = *now;
  report_progress(run);
}

static void count_samples(void *user, size_t count) {
  Run *run = user;
  run->result->samples += count;
  report_progress(run);
}

/* A call is over. */
static void add_up(Run *run, const xt_sweep_stats *more) {
  xt_sweep_stats *sum = &run->result->stats;
  sum->responses += more->responses;
  sum->tokens += more->tokens;
  sum->row_layers += more->row_layers;
  sum->row_layers_alone += more->row_layers_alone;
  sum->flops += more->flops;
  if (more->peak_bytes > sum->peak_bytes) sum->peak_bytes = more->peak_bytes;
  run->before.responses += run->now.responses;
  run->before.prompt_flops += run->now.prompt_flops;
  run->before.row_flops += run->now.row_flops;
  run->now = (xt_sweep_progress){0};
}

/* Those that were begun before are done. */
static void count_done(Run *run) {
  run->result->questions += run->together;
  run->together = 0;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static bool is_cancelled(const Run *run) {
  const xt_job_options *o = &run->job->options;
  return o->cancel && o->cancel(o->user);
}

/* Called between tokens: commits responses before they get old, even if no more responses
 * arrive. */
static bool between_steps(void *user) {
  Run *run = user;
  const double age = run->job->options.commit_seconds;
  const bool cancelled = is_cancelled(run);
  run->store_status = xt_store_commit(run->store, age < 0 ? 0 : age, &run->store_error);
  return run->store_status != XT_STATUS_OK || cancelled;
}

static xt_status keep_response(void *user, const xt_sweep_response *r, xt_error *error) {
  Run *run = user;
  if (r->site == XT_SWEEP_SOURCE)
    return source_runs_take(&run->sources, run->store, run->at + r->instance, r->generation,
                            run->first, run->together, run->numbers + (run->first - run->at),
                            error);
  const xt_site *site = r->site < 0 ? NULL : &run->wanted->sites[r->site];
  const size_t index = run->at + r->instance;
  const int64_t number = run->numbers[r->instance];
  float numbers[XT_EFFECT_TRACKED + XT_TRACKED_MOST];
  xt_generation kept = *r->generation;
  if (kept.effect_count) {
    kept.effect_count = job_numbers(run->job, index, kept.effects, numbers);
    kept.effects = numbers;
  }
  TRY(xt_store_add_response(run->store, number, site, r->source_layer, r->target_layer, &kept,
                            error));
  if (r->source_effects) {
    const size_t count = job_numbers(run->job, index, r->source_effects, numbers);
    TRY(xt_store_add_source_effects(run->store, number, numbers, count, error));
  }
  run->result->responses++;
  return XT_STATUS_OK;
}

/* Called before questions of the call are run together: adds them to the store, with the responses
 * to their source prompts that earlier questions have given. */
static xt_status begin_together(void *user, size_t first, size_t count, xt_error *error) {
  Run *run = user;
  const xt_job *job = run->job;
  const size_t at = run->at + first;
  count_done(run);
  for (size_t k = 0; k < count; k++) {
    TRY(xt_store_add_question(run->store, job->questions[at + k], &job->instances[at + k],
                              &run->numbers[first + k], error));
    if (job->tracked)
      TRY(xt_store_track(run->store, run->numbers[first + k], job_tracked(job, at + k)->list,
                         job_tracked(job, at + k)->count, error));
  }
  run->first = at;
  run->together = count;
  return source_runs_store_known(&run->sources, run->store, at, count, run->numbers + first, error);
}

/* ---- running --------------------------------------------------------------------------------- */

static xt_status cancelled(xt_error *error) {
  return err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
}

static xt_status sweep_alike(Run *run, Wanted *wanted, size_t n, xt_error *error) {
  xt_sweep_stats stats;
  wanted->options.begin = begin_together;
  wanted->options.cancel = between_steps;
  wanted->options.progress = show_progress;
  wanted->options.user = run;
  const xt_status status = xt_session_sweep(run->session, run->job->instances + run->at, n,
                                            &wanted->options, keep_response, run, &stats, error);
  add_up(run, &stats);
  return status;
}

#define SOURCES_TOGETHER 64 /* questions that lack nothing but their source prompt's response */

static xt_status run_sources(Run *run, size_t n, xt_error *error) {
  for (size_t k = 0; k < n; k += SOURCES_TOGETHER) {
    const size_t some = n - k < SOURCES_TOGETHER ? n - k : SOURCES_TOGETHER;
    if (is_cancelled(run)) return cancelled(error);
    TRY(source_runs_alone(&run->sources, run->session, run->at + k, some, between_steps, run,
                          error));
    TRY(begin_together(run, k, some, error));
  }
  return XT_STATUS_OK;
}

/* Questions [at, at + n), which need the same. */
static xt_status run_alike(Run *run, size_t at, size_t n, xt_error *error) {
  Wanted wanted;
  run->at = at;
  run->wanted = &wanted;
  TRY(job_want(&wanted, run->job, at, n, error));
  xt_status status = MEM_ALLOC(&run->numbers, n, error);
  if (!status)
    status = wanted.options.site_count ? sweep_alike(run, &wanted, n, error)
                                       : run_sources(run, n, error);
  if (run->store_status) {
    status = run->store_status;
    if (error) *error = run->store_error;
  }
  if (!status) count_done(run);
  free(run->numbers);
  free(wanted.controls);
  return status;
}

static xt_status run_all(Run *run, xt_error *error) {
  const xt_job *job = run->job;
  for (size_t at = 0, n; at < job->count; at += n) {
    n = job_alike(job, at);
    if (!job->todo[at].sites && !job->todo[at].source) continue;
    if (is_cancelled(run)) return cancelled(error);
    TRY(run_alike(run, at, n, error));
  }
  return XT_STATUS_OK;
}

static xt_status run_samples(Run *run, xt_error *error) {
  const xt_status status =
      job_run_samples(run->job, run->session, run->store, between_steps, count_samples, run, error);
  if (run->store_status && error) *error = run->store_error;
  return run->store_status ? run->store_status : status;
}

static xt_status begin_store(const xt_job *job, const xt_session *session, xt_store *store,
                             xt_error *error) {
  xt_store_settings settings = job->identity.settings;
  if (store->begun) return XT_STATUS_OK;
  return xt_store_begin(store, session->model, job->hash, &settings, job->options.command, error);
}

static xt_status prepare(xt_job *job, xt_session *session, xt_store *store, xt_error *error) {
  char hash[XT_MODEL_HASH_SIZE];
  const xt_model *model = session->model;
  xt_model_info info;
  xt_model_get_info(model, &info);
  if (info.layers != job->identity.layers || info.vocab != job->vocab ||
      info.parameters != job->parameters ||
      strncmp(info.architecture, job->architecture, sizeof job->architecture - 1) != 0 ||
      model->compute != job->identity.settings.compute)
    return err_set(error, XT_STATUS_ARGUMENT, model->path, NULL, -1,
                   "is not the model that the job was made for, or computes in a different type");
  if (job->planned == store) return XT_STATUS_OK;
  if (job->hash[0])
    memcpy(hash, job->hash, sizeof hash);
  else
    TRY(xt_model_hash(model, hash, error));
  return xt_job_plan(job, store, hash, error);
}

static xt_status run_job(Run *run, xt_error *error) {
  xt_job *job = run->job;
  TRY(begin_store(job, run->session, run->store, error));
  run->result->begun = true;
  job_work(job, &run->work);
  TRY(xt_store_remove_questions(run->store, job->edited, job->edited_count, error));
  TRY(job_add_plans(job, run->store, error));
  TRY(source_runs_init(&run->sources, job, error));
  TRY(job_measure_means(job, run->session, error));
  TRY(run_all(run, error));
  return run_samples(run, error);
}

xt_status xt_job_run(xt_job *job, xt_session *session, xt_store *store, xt_job_result *result,
                     xt_error *error) {
  xt_job_result own;
  Run run = {.job = job, .session = session, .store = store, .result = result ? result : &own};
  const double began = system_seconds();
  *run.result = (xt_job_result){0};
  TRY(prepare(job, session, store, error));
  job->planned = NULL; /* what was found before is no longer true */
  if (!job_has_work(job)) return XT_STATUS_OK;
  const xt_status status = run_job(&run, error);
  const bool stopped = status == XT_STATUS_CANCELLED;
  const xt_status committed = xt_store_commit(store, 0, !status || stopped ? error : NULL);
  source_runs_deinit(&run.sources);
  run.result->seconds = system_seconds() - began;
  return committed && (!status || stopped) ? committed : status;
}
