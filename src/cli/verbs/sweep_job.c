/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/sweep_job.h"

#include <stdlib.h>
#include <string.h>

#include "inputs/lines.h"
#include "inputs/words.h"
#include "results/store_model.h"
#include "shell/interrupt.h"
#include "shell/layers.h"

/* ---- questions ------------------------------------------------------------------------------- */

int job_usage(const Cli *cli, const SweepArguments *a) {
  if (a->pairs && (a->has_task || a->data))
    return cli_usage(cli, "--pairs: cannot be combined with --%s", a->has_task ? "task" : "data");
  if (a->pairs && a->pivot)
    return cli_usage(cli, "--pivot: cannot be combined with --pairs, whose lines have their own "
                          "source prompts");
  if (!a->pairs && !a->has_task)
    return cli_usage(cli, "--task: missing; give --task and --data, or --pairs");
  if (!a->pairs && !a->data)
    return cli_usage(cli, "--data: missing; --task needs the folder with the benchmark's prompts");
  if (a->vector && a->source_langs)
    return cli_usage(cli, "--vector: cannot be combined with --source-langs");
  return EXIT_OK;
}

/* The languages of a list with commas, as pointers into `copy`. */
static size_t split_languages(char *copy, const char **out, size_t most) {
  size_t n = 0;
  char *save = NULL;
  for (char *name = strtok_r(copy, ",", &save); name && n < most; name = strtok_r(NULL, ",", &save))
    out[n++] = name;
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

xt_status job_read(SweepJob *job, const SweepArguments *a, xt_error *error) {
  const char *languages[64], *sources[64];
  char *copy = a->languages ? strdup(a->languages) : NULL,
       *source_copy = a->source_langs ? strdup(a->source_langs) : NULL;
  job->arguments = a;
  if ((a->languages && !copy) || (a->source_langs && !source_copy)) {
    free(copy);
    free(source_copy);
    return error_memory(error);
  }
  const xt_dataset_options options = {
      .languages = copy ? languages : NULL,
      .language_count = copy ? split_languages(copy, languages, 64) : 0,
      .pivot = a->pivot,
      .limit = (size_t)a->limit,
      .cot = a->cot,
      .others = a->controls || a->others,
      .source_langs = sources,
      .source_lang_count = source_copy ? split_languages(source_copy, sources, 64) : 0};
  xt_status status;
  if (a->pairs && strcmp(a->pairs, "-") == 0)
    status = read_stdin(&options, &job->dataset, error);
  else if (a->pairs)
    status = xt_dataset_open_pairs(a->pairs, &options, &job->dataset, error);
  else
    status = xt_dataset_open(xt_task_get((size_t)a->task), a->data, &options, &job->dataset, error);
  free(copy);
  free(source_copy);
  return status;
}

const char *job_input(const SweepArguments *a) { return a->pairs ? input_name(a->pairs) : a->data; }

/* ---- what the job tells and asks ------------------------------------------------------------- */

static void warn(void *user, const char *message) {
  const SweepJob *job = user;
  cli_note(job->arguments->model.quiet || job->warned, "%s", message);
}

static bool wants_stop(void *user) {
  SweepJob *job = user;
  if (interrupt_asked() && !job->stop_reported) {
    job->stop_reported = true;
    progress_break(&job->line);
    cli_note(job->arguments->model.quiet,
             "stopping after this token; a second signal ends it at once");
  }
  return interrupt_asked();
}

#define PLAIN_WAIT_SECONDS 10.0

static void show_progress(void *user, const xt_job_progress *now) {
  SweepJob *job = user;
  char samples[64] = "";
  const bool reading = now->prompts < now->prompts_in_all;
  if (job->reading && !reading) progress_next(&job->line); /* responses have a time of their own */
  job->reading = reading;
  if (!progress_due(&job->line)) return;
  if (reading) {
    progress_print(&job->line, 0, "reading source prompts for controls: %llu/%llu  %.2f GB",
                   (unsigned long long)now->prompts, (unsigned long long)now->prompts_in_all,
                   (double)resident_bytes() / 1e9);
    return;
  }
  /* How long prompts take says little about responses: a whole line waits for one, if not long. */
  const bool any = now->responses > 0 || now->samples;
  if (!any && job->line.plain && seconds_now() - job->line.began < PLAIN_WAIT_SECONDS) return;
  if (now->samples_in_all)
    snprintf(samples, sizeof samples, "  %llu/%llu samples", (unsigned long long)now->samples,
             (unsigned long long)now->samples_in_all);
  progress_print(&job->line, any ? now->share : 0,
                 "%.1f%%  %.0f/%llu responses  %llu/%llu instances%s  %.1f/s  %.2f GB",
                 100 * now->share, now->responses, (unsigned long long)now->responses_in_all,
                 (unsigned long long)now->questions, (unsigned long long)now->questions_in_all,
                 samples, now->responses / (seconds_now() - job->line.began + 1e-9),
                 (double)resident_bytes() / 1e9);
}

/* ---- the job --------------------------------------------------------------------------------- */

/* A list as text into `out`, which has room for all layers. */
static xt_status list_layers(const char *text, int layers, const char *option, int *out,
                             size_t *count, xt_error *error) {
  bool *keep = calloc((size_t)layers, sizeof *keep);
  xt_status status = keep ? layers_resolve(text, layers, option, keep, error) : error_memory(error);
  *count = 0;
  for (int l = 0; l < layers && !status; l++)
    if (keep[l]) out[(*count)++] = l;
  free(keep);
  return status;
}

/* "shuffled,random7" */
static xt_status list_controls(const char *text, xt_site out[SITE_LIST_MAX], size_t *count,
                               xt_error *error) {
  *count = 0;
  while (text) {
    char name[XT_SITE_NAME_SIZE];
    const int length = (int)strcspn(text, ",");
    if (*count == SITE_LIST_MAX)
      return error_set(error, XT_STATUS_ARGUMENT, NULL, "--control", -1, "names more than %d",
                       SITE_LIST_MAX);
    snprintf(name, sizeof name, "%.*s", length, text);
    const xt_status status = xt_control_parse(name, &out[*count], error);
    if (status) {
      snprintf(error->field, sizeof error->field, "--control");
      return status;
    }
    ++*count;
    text = text[length] ? text + length + 1 : NULL;
  }
  return XT_STATUS_OK;
}

xt_status job_label_langs(const char *langs, size_t count, xt_site *out, xt_error *error) {
  if (strlen(langs) >= XT_LABEL_SIZE)
    return error_set(error, XT_STATUS_ARGUMENT, NULL, "--source-langs", -1,
                     "is longer than %d letters", XT_LABEL_SIZE - 1);
  for (size_t k = 0; k < count; k++) {
    out[k].from = XT_FROM_LANGS;
    strcpy(out[k].label, langs);
    for (char *c = out[k].label; *c; c++)
      if (*c == ',') *c = '.';
  }
  return XT_STATUS_OK;
}

/* The ways in which sites write, into `out`; with a vector, they write that. */
static xt_status list_ways(SweepJob *job, const LoadedModel *model, int *sources, xt_job_options *o,
                           xt_site out[SITE_LIST_MAX], xt_error *error) {
  const SweepArguments *a = job->arguments;
  const float *value;
  o->variant_count = ways_are_default(&a->ways) ? 0 : a->ways.count;
  memcpy(out, a->ways.at, sizeof a->ways.at);
  o->variants = out;
  if (!a->vector && !a->source_langs) return XT_STATUS_OK;
  if (!o->variant_count) out[o->variant_count++] = (xt_site){0};
  if (a->source_langs) return job_label_langs(a->source_langs, o->variant_count, out, error);
  xt_status status = vector_input_read(a->vector, &model->info, &job->vector, error);
  if (status) return status;
  for (size_t k = 0; k < o->variant_count; k++) {
    out[k].from = XT_FROM_VECTOR;
    strcpy(out[k].label, job->vector.label);
  }
  o->vector = job->vector.values;
  if (xt_vector_is_single(job->vector.vector) && strcmp(a->source_layers, "all") == 0) {
    sources[0] = 0; /* all are the same */
    o->source_layer_count = 1;
  }
  for (size_t i = 0; i < o->source_layer_count && !status; i++)
    status = vector_input_at(&job->vector, a->vector, sources[i], &value, error);
  return status;
}

/* The plan's interventions as sites. One that names no layer of a response's pair would be computed
 * again for each of them. */
static xt_status list_plans(SweepJob *job, const LoadedModel *model, xt_job_plan_site *out,
                            xt_job_options *o, xt_error *error) {
  static const char *const options[] = {[XT_LAYER_SOURCE] = "source", [XT_LAYER_TARGET] = "target"};
  if (job->own_site.write_count) {
    o->plans = &job->own_site;
    o->plan_count = 1;
  }
  if (!job->arguments->plan) return XT_STATUS_OK;
  xt_status status = plan_read(job->arguments->plan, &job->plan, error);
  if (!status) status = plan_check(&job->plan, &model->info, true, error);
  if (status) return status;
  for (size_t e = 0; e < job->plan.count; e++) {
    const PlanEntry *entry = &job->plan.entries[e];
    out[e] = (xt_job_plan_site){
        .name = entry->label, .writes = entry->writes, .write_count = entry->count};
    for (int base = XT_LAYER_SOURCE; base <= XT_LAYER_TARGET; base++)
      if (!plan_names(entry, (xt_layer_base)base) &&
          (base == XT_LAYER_SOURCE ? o->source_layer_count : o->target_layer_count) > 1)
        return error_set(error, XT_STATUS_ARGUMENT, job->plan.file, entry->name, -1,
                         "counts no layer from the %s layer, so that each gives the same; give one "
                         "with --%s-layers, or layers such as \"%c+1\"",
                         options[base], options[base], base == XT_LAYER_SOURCE ? 'i' : 'j');
  }
  o->plans = out;
  o->plan_count = job->plan.count;
  return XT_STATUS_OK;
}

/* Puts the prompts into the chat template, once. */
static xt_status render(SweepJob *job, const LoadedModel *model, xt_error *error) {
  const ChatArguments *chat = &job->arguments->chat;
  if (!chat->chat || job->rendered) return XT_STATUS_OK;
  job->rendered = true;
  return chat_dataset(job->dataset, chat, model, error);
}

xt_status job_create(SweepJob *job, const LoadedModel *model, const Shard *shard,
                     const char *command, xt_error *error) {
  const SweepArguments *a = job->arguments;
  const int layers = model->info.layers;
  int *sources = calloc((size_t)layers, sizeof *sources),
      *targets = calloc((size_t)layers, sizeof *targets);
  xt_job_options o = {
      .sites = a->sites.at,
      .site_count = (size_t)a->sites.count,
      .source_layers = sources,
      .target_layers = targets,
      .shard = shard ? shard->k : 1,
      .shards = shard ? shard->n : 1,
      .deal = shard ? shard->deal : XT_DEAL_LENGTHS,
      .skip_long = a->skip_long,
      .replace = a->replace,
      .max_new_tokens = a->max_new_tokens,
      .repetition_penalty = a->penalty,
      .samples = a->samples,
      .sampling = {.temperature = a->temperature, .top_p = a->top_p, .seed = a->seed},
      .max_rows = a->max_rows,
      .pass_seconds = a->pass_seconds,
      .commit_seconds = a->commit_seconds > 0 ? a->commit_seconds : -1,
      .command = command,
      .name = job_input(a),
      .skip_long_name = "--skip-long",
      .replace_name = "sweep --replace",
      .warn = warn,
      .progress = show_progress,
      .cancel = wants_stop,
      .user = job};
  xt_site controls[SITE_LIST_MAX], ways[SITE_LIST_MAX];
  xt_job_plan_site plans[SITE_LIST_MAX];
  WordList words = {0};
  xt_status status;
  if (!sources || !targets) TRY_DONE(error_memory(error));
  TRY_DONE(list_controls(a->controls, controls, &o.control_count, error));
  o.controls = controls;
  TRY_DONE(words_read(a->track, &words, error));
  o.no_effects = words.none;
  o.words = words.at;
  o.word_count = words.count;
  TRY_DONE(render(job, model, error));
  TRY_DONE(list_layers(a->source_layers, layers, "--source-layers", sources, &o.source_layer_count,
                       error));
  TRY_DONE(list_layers(a->target_layers, layers, "--target-layers", targets, &o.target_layer_count,
                       error));
  TRY_DONE(list_ways(job, model, sources, &o, ways, error));
  TRY_DONE(list_plans(job, model, plans, &o, error));
  TRY_DONE(xt_job_create(model->model, job->dataset, &o, &job->job, error));
  xt_job_get_info(job->job, &job->info);
done:
  words_free(&words);
  free(sources);
  free(targets);
  return status;
}

static bool has_plan(const SweepJob *job, const char *label) {
  for (size_t e = 0; e < job->plan.count; e++)
    if (strcmp(job->plan.entries[e].label, label) == 0) return true;
  return false;
}

/* Whether the arguments say what a site of a results file writes. Plans themselves are looked for one
 * by one (find_plans). */
static bool is_said(const SweepJob *job, const xt_site *site, const char *langs) {
  switch (site->from) {
    case XT_FROM_VECTOR: return job->vector.vector && strcmp(site->label, job->vector.label) == 0;
    case XT_FROM_LANGS: return strcmp(site->label, langs) == 0;
    case XT_FROM_PLAN: return site->control && has_plan(job, site->label);
    default: return site->control > XT_CONTROL_SELF;
  }
}

/* Those of --plan whose results are among the sites. */
static size_t find_plans(const SweepJob *job, const xt_site *sites, size_t count,
                         xt_job_plan_site *out) {
  size_t found = 0;
  for (size_t e = 0; e < job->plan.count; e++) {
    const PlanEntry *entry = &job->plan.entries[e];
    bool has = false;
    for (size_t s = 0; s < count; s++)
      has = has || (sites[s].from == XT_FROM_PLAN && strcmp(sites[s].label, entry->label) == 0);
    if (has)
      out[found++] = (xt_job_plan_site){
          .name = entry->label, .writes = entry->writes, .write_count = entry->count};
  }
  return found;
}

xt_status job_create_values(SweepJob *job, const LoadedModel *model, const xt_site *sites,
                            size_t count, xt_error *error) {
  const SweepArguments *a = job->arguments;
  xt_site langs = {0}, own[SITE_LIST_MAX];
  xt_job_plan_site plans[SITE_LIST_MAX];
  xt_status status;
  xt_job_options o = {.sites = own,
                      .plans = plans,
                      .skip_long = true, /* their options are not scored */
                      .max_new_tokens = 1,
                      .no_effects = true,
                      .name = job_input(a),
                      .cancel = wants_stop,
                      .progress = show_progress,
                      .user = job};
  TRY_DONE(render(job, model, error));
  if (a->vector) TRY_DONE(vector_input_read(a->vector, &model->info, &job->vector, error));
  if (a->source_langs) TRY_DONE(job_label_langs(a->source_langs, 1, &langs, error));
  if (a->plan) TRY_DONE(plan_read(a->plan, &job->plan, error));
  if (a->plan) TRY_DONE(plan_check(&job->plan, &model->info, true, error));
  for (size_t s = 0; s < count; s++) {
    if (!is_said(job, &sites[s], langs.label)) continue;
    if (o.site_count == SITE_LIST_MAX)
      return error_set(error, XT_STATUS_ARGUMENT, NULL, "--site", -1,
                       "there are more than %d sites whose values must be made; name some",
                       SITE_LIST_MAX);
    own[o.site_count++] = sites[s];
  }
  o.vector = job->vector.values;
  o.plan_count = find_plans(job, sites, count, plans);
  if (o.site_count + o.plan_count)
    TRY_DONE(xt_job_create(model->model, job->dataset, &o, &job->job, error));
done:
  return status;
}

xt_status job_plan(SweepJob *job, xt_store *store, const char *hash, xt_error *error) {
  const xt_status status = xt_job_plan(job->job, store, hash, error);
  if (!status) xt_job_get_info(job->job, &job->info);
  return status;
}

xt_status job_run(SweepJob *job, const LoadedModel *model, xt_store *store, xt_job_result *result,
                  xt_error *error) {
  interrupt_watch();
  store_report_waiting(store, job->arguments->model.quiet);
  progress_begin(&job->line, job->arguments->model.progress, job->arguments->model.quiet);
  const xt_status status = xt_job_run(job->job, model->session, store, result, error);
  progress_end(&job->line);
  return status;
}

void job_print_plan(const SweepJob *job) {
  char write[256];
  for (size_t e = 0; e < job->plan.count; e++) {
    const PlanEntry *entry = &job->plan.entries[e];
    for (size_t k = 0; k < entry->count; k++) {
      plan_describe(entry, k, write, sizeof write);
      printf("%-11s %s%s%s\n", k ? "" : "plan", k ? "" : entry->name, k ? "  " : ": ", write);
    }
    printf("%-11s   %s\n", "",
           plan_is_alone(entry)
               ? "changes the whole prompt: nothing is shared with other responses"
               : "shares the prompt, and generated tokens below the lowest layer that is written");
  }
}

SweepJob job_anew(const SweepJob *job) {
  return (SweepJob){.arguments = job->arguments,
                    .dataset = job->dataset,
                    .rendered = job->rendered,
                    .warned = true};
}

void job_deinit(SweepJob *job) {
  xt_job_free(job->job);
  vector_input_deinit(&job->vector);
  plan_deinit(&job->plan);
  xt_dataset_close(job->dataset);
  *job = (SweepJob){0};
}
