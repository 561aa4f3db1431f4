/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_job.h"

#include <stdlib.h>
#include <string.h>

#include "interrupt.h"
#include "layers.h"
#include "lines.h"
#include "store_model.h"
#include "sweep_record.h"

/* ---- questions -------------------------------------------------------------------------------- */

/* The languages of a list with commas, as pointers into `copy`. */
static size_t split_languages(char *copy, const char **out, size_t most) {
  size_t n = 0;
  char *save = NULL;
  for (char *name = strtok_r(copy, ",", &save); name && n < most; name = strtok_r(NULL, ",", &save)) out[n++] = name;
  return n;
}

static xt_status read_stdin(const xt_dataset_options *options, xt_dataset **out, xt_error *error) {
  char *text;
  size_t size;
  xt_status status = read_whole("-", &text, &size, error);
  if (status) return status;
  status = xt_dataset_parse_pairs(text, size, input_name("-"), options, out, error);
  free(text);
  return status;
}

static xt_status open_dataset(const SweepJob *job, int limit, xt_dataset **out, xt_error *error) {
  const SweepArguments *a = job->arguments;
  const char *languages[64];
  char *copy = a->languages ? strdup(a->languages) : NULL;
  if (a->languages && !copy) return error_memory(error);
  const xt_dataset_options options = {.languages = copy ? languages : NULL, .language_count = copy ? split_languages(copy, languages, 64) : 0,
                                      .pivot = a->pivot, .limit = (size_t)limit, .cot = a->cot};
  xt_status status;
  if (a->pairs && strcmp(a->pairs, "-") == 0) status = read_stdin(&options, out, error);
  else if (a->pairs) status = xt_dataset_open_pairs(a->pairs, &options, out, error);
  else status = xt_dataset_open(xt_task_get((size_t)a->task), a->data, &options, out, error);
  free(copy);
  return status;
}

/* Those of the command line, else the paper's for the task. */
static void choose_sites(SweepJob *job) {
  job->sites = job->arguments->sites;
  if (job->sites.count) return;
  const xt_task *task = job->count ? xt_task_find(job->questions[0]->task) : NULL;
  xt_site_parse(task ? task->site : "attn", &job->sites.at[0], NULL);
  job->sites.count = 1;
}

xt_status job_read(SweepJob *job, const SweepArguments *arguments, int shard, int shards, xt_error *error) {
  job->arguments = arguments;
  const xt_status status = open_dataset(job, arguments->limit, &job->dataset, error);
  if (status) return status;
  /* for the record only: what lies behind the limit may be wrong without doing harm */
  const bool twice = arguments->limit && !(arguments->pairs && strcmp(arguments->pairs, "-") == 0);
  if (twice && open_dataset(job, 0, &job->whole, NULL) != XT_STATUS_OK) job->whole = NULL;
  const size_t all = xt_dataset_count(job->dataset);
  size_t line, first;
  const size_t repeats = xt_dataset_repeats(job->dataset, &line, &first);
  if (repeats == 1)
    cli_note(arguments->model.quiet, "%s: line %zu is the same question as line %zu; it is asked once", input_name(arguments->pairs), line, first);
  else if (repeats)
    cli_note(arguments->model.quiet, "%s: %zu lines repeat earlier ones (the first of them: line %zu is the same question as line %zu); each question is asked once",
             input_name(arguments->pairs), repeats, line, first);
  job->questions = calloc(all + 1, sizeof *job->questions);
  job->instances = calloc(all + 1, sizeof *job->instances);
  job->todo = calloc(all + 1, sizeof *job->todo);
  job->too_long = calloc(all + 1, sizeof *job->too_long);
  if (!job->too_long || !job->questions || !job->instances || !job->todo) return error_memory(error);
  for (size_t i = (size_t)shard - 1; i < all; i += (size_t)shards) job->questions[job->count++] = xt_dataset_get(job->dataset, i);
  choose_sites(job);
  return XT_STATUS_OK;
}

static void free_ids(const xt_instance *in) {
  free((void *)(uintptr_t)in->source);
  free((void *)(uintptr_t)in->target);
}

void job_deinit(SweepJob *job) {
  for (size_t i = 0; job->instances && i < job->count; i++) free_ids(&job->instances[i]);
  free(job->instances);
  free(job->too_long);
  free(job->questions);
  free(job->todo);
  free(job->edited);
  xt_dataset_close(job->dataset);
  xt_dataset_close(job->whole);
  *job = (SweepJob){0};
}

/* ---- checks ----------------------------------------------------------------------------------- */

/* *too_long: the model has no positions for it; *error then says so too. */
static xt_status encode(const SweepJob *job, const LoadedModel *model, const xt_question *q, bool target, const int32_t **ids, size_t *count,
                        bool *too_long, xt_error *error) {
  const char *text = target ? q->target : q->source;
  const char *file = job->arguments->pairs ? input_name(job->arguments->pairs) : job->arguments->data;
  const size_t generated = target && job->arguments->max_new_tokens > 1 ? (size_t)job->arguments->max_new_tokens - 1 : 0;
  int32_t *out;
  char place[120];
  const xt_status status = xt_tokenizer_encode(xt_model_tokenizer(model->model), text, strlen(text), true, &out, count, error);
  if (status) return status;
  *ids = out;
  snprintf(place, sizeof place, "%.40s, line %zu, %s prompt", q->lang, q->number + 1, target ? "target" : "source");
  if (*count == 0) return error_set(error, XT_STATUS_INPUT, file, place, -1, "has no tokens");
  for (size_t i = 0; i < *count; i++)
    if (out[i] < 0 || out[i] >= model->info.vocab)
      return error_set(error, XT_STATUS_INPUT, file, place, -1, "token %zu is %d: the model's ids are 0 to %d", i, (int)out[i], model->info.vocab - 1);
  if (*count + generated <= (size_t)model->info.max_positions) return XT_STATUS_OK;
  *too_long = true;
  return error_set(error, XT_STATUS_INPUT, file, place, -1, "is too long: %zu tokens and %zu more to run, the model has %d positions%s", *count, generated,
                   model->info.max_positions, job->arguments->skip_long ? "" : "; --skip-long leaves such questions out");
}

#define LONG_TOLD 20 /* questions that are named one by one */

static void tell_skipped(const SweepJob *job, const xt_error *why) {
  char line[1400];
  if (job->too_long_count <= LONG_TOLD) cli_note(job->arguments->model.quiet, "left out: %s", xt_error_format(why, line, sizeof line));
  else if (job->too_long_count == LONG_TOLD + 1) cli_note(job->arguments->model.quiet, "left out: more of them, which are not listed");
}

/* The ids of all prompts. With --skip-long, questions that are too long move to `too_long`. */
static xt_status encode_all(SweepJob *job, const LoadedModel *model, xt_error *error) {
  size_t kept = 0;
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < job->count && !status; i++) {
    const xt_question *q = job->questions[i];
    xt_instance in = {0};
    bool too_long = false;
    status = encode(job, model, q, false, &in.source, &in.source_count, &too_long, error);
    if (!status) status = encode(job, model, q, true, &in.target, &in.target_count, &too_long, error);
    if (status) free_ids(&in);
    if (status && too_long && job->arguments->skip_long) {
      job->too_long[job->too_long_count++] = q;
      tell_skipped(job, error);
      status = XT_STATUS_OK;
    } else if (!status) {
      job->questions[kept] = q;
      job->instances[kept++] = in;
    }
  }
  const size_t all = job->count;
  job->count = kept; /* those whose ids there are, also after an error */
  if (status || !job->too_long_count) return status;
  if (!kept)
    return error_set(error, XT_STATUS_INPUT, job->arguments->pairs ? job->arguments->pairs : job->arguments->data, NULL, -1,
                     "all %zu questions are too long for the model's %d positions", all, model->info.max_positions);
  cli_note(job->arguments->model.quiet, "%zu of %zu questions are too long for the model's %d positions and left out", job->too_long_count, all,
           model->info.max_positions);
  return XT_STATUS_OK;
}

static int set_size(const LayerSet *set, int layers) {
  int n = 0;
  for (int l = 0; l < layers; l++) n += set->has[l];
  return n;
}

static int site_count(const Todo *todo) {
  int n = 0;
  for (uint32_t bits = todo->sites; bits; bits &= bits - 1) n++;
  return n;
}

xt_status job_check(SweepJob *job, const LoadedModel *model, xt_error *error) {
  const int layers = model->info.layers;
  job->positions = model->info.max_positions;
  if (layers > JOB_LAYERS_MAX)
    return error_set(error, XT_STATUS_UNSUPPORTED, model->info.path, NULL, -1, "has %d layers; a sweep takes at most %d", layers, JOB_LAYERS_MAX);
  xt_status status = layers_resolve(job->arguments->source_layers, layers, "--source-layers", job->all.sources.has, error);
  if (!status) status = layers_resolve(job->arguments->target_layers, layers, "--target-layers", job->all.targets.has, error);
  if (!status && !xt_model_tokenizer(model->model))
    status = error_set(error, XT_STATUS_INPUT, model->info.path, NULL, -1, "has no tokenizer: put tokenizer.json or tokenizer.model beside the weights");
  if (!status) status = encode_all(job, model, error);
  job->all.sites = (1u << job->sites.count) - 1;
  job->all.source = 1;
  job->responses = (uint64_t)job->count * (1 + (uint64_t)job->sites.count * (uint64_t)set_size(&job->all.sources, layers) *
                                                    (uint64_t)set_size(&job->all.targets, layers));
  return status;
}

xt_store_settings job_settings(const SweepArguments *arguments) {
  return (xt_store_settings){.compute = (xt_compute)arguments->model.compute, .max_new_tokens = arguments->max_new_tokens,
                             .repetition_penalty = arguments->penalty};
}

/* ---- what is missing -------------------------------------------------------------------------- */

static void note_missing(SweepJob *job, size_t index, int site, int layers, const bool *have) {
  Todo *todo = &job->todo[index];
  for (int i = 0; i < layers; i++)
    for (int j = 0; j < layers; j++) {
      if (!job->all.sources.has[i] || !job->all.targets.has[j]) continue;
      if (have[i * layers + j]) {
        job->present++;
        continue;
      }
      todo->sites |= 1u << site;
      todo->sources.has[i] = todo->targets.has[j] = true;
    }
}

/* The smallest set that gives the untouched run too. */
static void ask_for_one(const SweepJob *job, Todo *todo, int layers) {
  int i = 0, j = 0;
  while (i < layers - 1 && !job->all.sources.has[i]) i++;
  while (j < layers - 1 && !job->all.targets.has[j]) j++;
  todo->sites = 1;
  todo->sources.has[i] = todo->targets.has[j] = true;
}

static xt_status find_one(SweepJob *job, xt_store *store, size_t index, int layers, bool *have, xt_error *error) {
  int64_t number;
  bool vanilla = false;
  xt_status status = xt_store_find_question(store, job->questions[index], &number, error);
  if (status) return status;
  if (number < 0) {
    job->todo[index] = job->all;
    return XT_STATUS_OK;
  }
  for (int s = 0; s < job->sites.count && !status; s++) {
    memset(have, 0, (size_t)layers * (size_t)layers * sizeof *have);
    status = xt_store_find_responses(store, number, job->sites.at[s], layers, have, s == 0 ? &vanilla : NULL, error);
    if (!status) note_missing(job, index, s, layers, have);
  }
  bool source = false;
  if (!status) status = xt_store_find_source(store, number, &source, error);
  job->todo[index].source = !source;
  job->present += vanilla;
  if (!vanilla && !job->todo[index].sites) ask_for_one(job, &job->todo[index], layers);
  return status;
}

xt_status job_find_missing(SweepJob *job, xt_store *store, int layers, xt_error *error) {
  bool *have = calloc((size_t)layers * (size_t)layers, sizeof *have);
  xt_status status = have ? XT_STATUS_OK : error_memory(error);
  if (!status && store) status = job_find_edited(job, store, error);
  for (size_t i = 0; i < job->count && !status; i++) {
    Todo *todo = &job->todo[i];
    if (store) status = find_one(job, store, i, layers, have, error);
    else *todo = job->all;
    /* a source prompt that fills the model's positions can be transplanted from, and generates nothing */
    if (job->instances[i].source_count + (size_t)job->arguments->max_new_tokens > (size_t)job->positions + 1) todo->source = 0;
    job->sources_to_run += todo->source;
    if (!todo->sites) continue;
    job->instances_to_run++;
    job->to_run += 1 + (uint64_t)site_count(todo) * (uint64_t)set_size(&todo->sources, layers) * (uint64_t)set_size(&todo->targets, layers);
  }
  free(have);
  return status;
}

/* ---- running ---------------------------------------------------------------------------------- */

/* A Todo as the library's options. */
typedef struct Wanted {
  SiteList sites;
  int sources[JOB_LAYERS_MAX], targets[JOB_LAYERS_MAX];
  xt_sweep_options options;
} Wanted;

static void want(Wanted *w, const SweepJob *job, const Todo *todo, int layers) {
  size_t from = 0, to = 0;
  w->sites.count = 0;
  for (int s = 0; s < job->sites.count; s++)
    if (todo->sites >> s & 1) w->sites.at[w->sites.count++] = job->sites.at[s];
  for (int l = 0; l < layers; l++) {
    if (todo->sources.has[l]) w->sources[from++] = l;
    if (todo->targets.has[l]) w->targets[to++] = l;
  }
  w->options = (xt_sweep_options){.sites = w->sites.at, .site_count = (size_t)w->sites.count, .source_layers = w->sources, .source_layer_count = from,
                                  .target_layers = w->targets, .target_layer_count = to, .max_new_tokens = job->arguments->max_new_tokens,
                                  .repetition_penalty = job->arguments->penalty, .max_rows = job->arguments->max_rows,
                                  .pass_seconds = job->arguments->pass_seconds};
}

static bool same_todo(const Todo *a, const Todo *b) { return memcmp(a, b, sizeof *a) == 0; }

/* Questions from `at` on that need the same. */
static size_t alike(const SweepJob *job, size_t at) {
  size_t n = 1;
  while (at + n < job->count && same_todo(&job->todo[at + n], &job->todo[at])) n++;
  return n;
}

xt_status job_plan(const SweepJob *job, const LoadedModel *model, double flops_per_second, xt_sweep_plan *plan, xt_error *error) {
  Wanted wanted;
  *plan = (xt_sweep_plan){0};
  xt_status status = XT_STATUS_OK;
  for (size_t at = 0, n; at < job->count && !status; at += n) {
    xt_sweep_plan part;
    n = alike(job, at);
    if (!job->todo[at].sites) continue;
    want(&wanted, job, &job->todo[at], model->info.layers);
    wanted.options.flops_per_second = flops_per_second;
    status = xt_sweep_make_plan(model->model, job->instances + at, n, &wanted.options, &part, error);
    if (status) break;
    if (part.instances_together > plan->instances_together) plan->instances_together = part.instances_together;
    if (part.rows_together > plan->rows_together) plan->rows_together = part.rows_together;
    if (part.bytes > plan->bytes) plan->bytes = part.bytes;
    plan->passes += part.passes;
    plan->responses += part.responses;
  }
  return status;
}

SweepWork job_work(const SweepJob *job, const xt_model_info *info) {
  const double layer = info->layer_flops, unembed = info->unembed_flops, steps = job->arguments->max_new_tokens - 1;
  SweepWork work = {.responses = job->to_run, .instances = job->instances_to_run};
  for (size_t n = 0; n < job->count; n++) {
    const Todo *todo = &job->todo[n];
    if (!todo->sites) continue;
    const double rows = (double)site_count(todo) * set_size(&todo->sources, info->layers);
    work.prompt_flops += layer * info->layers * (double)(job->instances[n].source_count + job->instances[n].target_count);
    for (int j = 0; j < info->layers; j++) {
      if (!todo->targets.has[j]) continue;
      const double above = info->layers - 1 - j, first = rows * (layer * above + unembed);
      work.least_flops += first + steps * rows * (layer * above + (above > 0 ? unembed : 0));
      work.most_flops += first + steps * rows * (layer * info->layers + unembed);
    }
  }
  return work;
}

typedef struct Run {
  xt_store *store;
  SourceRuns sources;
  SweepProgress progress;
  const SiteList *sites;  /* of the call under way */
  int64_t *numbers;       /* of its questions in the store */
  size_t at;              /* its first question */
  size_t first, together; /* those being run: questions [first, first + together) */
  const SweepJob *job;
  const LoadedModel *model;
  SweepOutcome *outcome;
  xt_status store_status; /* of a commit between steps */
  xt_error store_error;
  bool quiet, told;
  double commit_seconds;
  uint64_t added;
} Run;

static xt_status keep_response(void *user, const xt_sweep_response *r, xt_error *error) {
  Run *run = user;
  if (r->site == XT_SWEEP_SOURCE)
    return source_runs_take(&run->sources, run->store, run->at + r->instance, r->generation, run->first, run->together,
                            run->numbers + (run->first - run->at), error);
  const xt_site *site = r->site < 0 ? NULL : &run->sites->at[r->site];
  const xt_status status = xt_store_add_response(run->store, run->numbers[r->instance], site, r->source_layer, r->target_layer, r->generation, error);
  if (status) return status;
  run->added++;
  return XT_STATUS_OK;
}

/* Between tokens: what has come is made durable before it gets old, also while no more comes. */
static bool between_steps(void *user) {
  Run *run = user;
  if (interrupt_asked() && !run->told) {
    run->told = true;
    progress_break(&run->progress.line);
    cli_note(run->quiet, "stopping after this token; once more, and it ends at once");
  }
  run->store_status = xt_store_commit(run->store, run->commit_seconds, &run->store_error);
  return run->store_status != XT_STATUS_OK || interrupt_asked();
}

static void show_progress(void *user, const xt_sweep_progress *now) {
  Run *run = user;
  sweep_progress_show(&run->progress, now);
}

static void add_stats(xt_sweep_stats *sum, const xt_sweep_stats *more) {
  sum->responses += more->responses;
  sum->tokens += more->tokens;
  sum->row_layers += more->row_layers;
  sum->row_layers_alone += more->row_layers_alone;
  sum->flops += more->flops;
  if (more->peak_bytes > sum->peak_bytes) sum->peak_bytes = more->peak_bytes;
}

/* Those that were begun before are done. */
static void count_done(Run *run) {
  run->outcome->instances += run->together;
  run->progress.instances += run->together;
  run->together = 0;
}

/* Before questions of the call are run together: the store has to have them, with the responses to their source prompts that
 * earlier questions have given. */
static xt_status begin_together(void *user, size_t first, size_t count, xt_error *error) {
  Run *run = user;
  const SweepJob *job = run->job;
  const size_t at = run->at + first;
  count_done(run);
  for (size_t k = 0; k < count; k++) {
    const xt_status status = xt_store_add_question(run->store, job->questions[at + k], &job->instances[at + k], &run->numbers[first + k], error);
    if (status) return status;
  }
  run->first = at;
  run->together = count;
  return source_runs_store_known(&run->sources, run->store, at, count, run->numbers + first, error);
}

#define SOURCES_TOGETHER 64 /* questions that lack nothing but their source prompt's response */

/* Questions [at, at + n), which need the same. */
static xt_status run_alike(SweepJob *job, Run *run, size_t at, size_t n, xt_error *error) {
  Wanted wanted;
  xt_sweep_stats stats;
  xt_status status = XT_STATUS_OK;
  run->at = at;
  run->sites = &wanted.sites;
  run->numbers = calloc(n, sizeof *run->numbers);
  if (!run->numbers) return error_memory(error);
  want(&wanted, job, &job->todo[at], run->model->info.layers);
  wanted.options.begin = begin_together;
  wanted.options.cancel = between_steps;
  wanted.options.progress = show_progress;
  wanted.options.user = run;
  if (wanted.sites.count) {
    status = xt_session_sweep(run->model->session, job->instances + at, n, &wanted.options, keep_response, run, &stats, error);
    add_stats(&run->outcome->stats, &stats);
  }
  for (size_t k = 0; k < n && !wanted.sites.count && !status; k += SOURCES_TOGETHER) {
    const size_t some = n - k < SOURCES_TOGETHER ? n - k : SOURCES_TOGETHER;
    status = interrupt_asked() ? error_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped")
                               : source_runs_alone(&run->sources, run->model, at + k, some, between_steps, run, error);
    if (!status) status = begin_together(run, k, some, error);
  }
  if (run->store_status) {
    status = run->store_status;
    *error = run->store_error;
  }
  if (!status) count_done(run);
  sweep_progress_next(&run->progress);
  free(run->numbers);
  return status;
}

static xt_status run_all(SweepJob *job, Run *run, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t at = 0, n; at < job->count && !status; at += n) {
    n = alike(job, at);
    if (interrupt_asked()) status = error_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
    else if (job->todo[at].sites || job->todo[at].source) status = run_alike(job, run, at, n, error);
  }
  return status;
}

xt_status job_run(SweepJob *job, const LoadedModel *model, xt_store *store, SweepOutcome *outcome, xt_error *error) {
  Run run = {.store = store, .job = job, .model = model, .outcome = outcome, .quiet = job->arguments->model.quiet, .commit_seconds = job->arguments->commit_seconds};
  *outcome = (SweepOutcome){0};
  interrupt_watch();
  const SweepWork work = job_work(job, &model->info);
  sweep_progress_begin(&run.progress, job->arguments->model.progress, job->arguments->model.quiet, &work);
  store_tell_waiting(store, job->arguments->model.quiet);
  xt_status status = xt_store_remove_questions(store, job->edited, job->edited_count, error);
  if (!status) status = job_add_plans(job, store, model->info.layers, error);
  if (!status) status = source_runs_init(&run.sources, job, error);
  if (!status) status = run_all(job, &run, error);
  if (status == XT_STATUS_CANCELLED && interrupt_asked()) {
    outcome->stopped = true;
    status = XT_STATUS_OK;
  }
  xt_error ignored;
  const xt_status committed = xt_store_commit(store, 0, status ? &ignored : error);
  progress_end(&run.progress.line);
  if (run.sources.job) source_runs_deinit(&run.sources);
  outcome->added = run.added;
  outcome->seconds = seconds_now() - run.progress.line.began;
  return status ? status : committed;
}
