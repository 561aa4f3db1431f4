/* SPDX-License-Identifier: Apache-2.0 */
/* sweep: every transplant of every question, into a results file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inputs/shard.h"
#include "results/response.h"
#include "shell/interrupt.h"
#include "shell/output.h"
#include "verbs/sweep_job.h"
#include "verbs/verbs.h"

static const Option options[] = {
    OPTION_MODEL(SweepArguments, model),
    OPTIONS_QUESTIONS(SweepArguments, task, data, pairs, languages, pivot),
    {.name = "site",
     .letter = 's',
     .type = OPTION_SITES,
     .field = OPTION_FIELD(SweepArguments, SiteList, sites),
     .value = "LIST",
     .help = "the sites, separated by commas: attn, ffn, block, attn-released, or READ:WRITE "
             "with each of a, m, f, o; without it, the site that the paper uses for the task"},
    {.name = "control",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SweepArguments, const char *, controls),
     .value = "LIST",
     .help = "also run each site with what is written exchanged: self (the target prompt's own "
             "value), shuffled (that of another question's source prompt), random (a vector of "
             "random direction, as long as the value), mean (that of other questions' source "
             "prompts); a number behind one of the last three is a seed: random2"},
    {.name = "track",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SweepArguments, const char *, track),
     .value = "LIST|FILE",
     .preset = "answers",
     .help = "words whose log-probability as the first token is stored for every response, "
             "separated by commas or on the lines of a file, besides the answers: each option's "
             "label and text, or the gold answer; none stores nothing of first tokens"},
    OPTION_SOURCE_LANGS(SweepArguments, source_langs),
    OPTION_VECTOR(SweepArguments, vector),
    OPTIONS_WAYS(SweepArguments, ways),
    OPTION_PLAN(SweepArguments, plan,
                "more sites, or without --site the only ones: a JSON list of several transplants"),
    OPTIONS_LAYER_LISTS(SweepArguments,
                        "the source layers, which are read: all, first, last, 3, 0-7 or 0,5,31",
                        "the target layers, which are written, in the same form"),
    {.name = "limit",
     .type = OPTION_INT,
     .field = OPTION_FIELD(SweepArguments, int, limit),
     .value = "N",
     .low = 1,
     .high = 1e9,
     .help = "run only the first N questions of each language"},
    {.name = "shard",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SweepArguments, const char *, shard),
     .value = "K/N",
     .help = "only the K-th (from 1) of N parts that take about as long as one another; merge "
             "joins the files. auto: as Slurm, mpirun or Kubernetes numbers this process; %k and "
             "%n in --output are the two numbers"},
    OPTION_COT(SweepArguments, cot),
    OPTIONS_CHAT(SweepArguments, chat),
    OPTION_MAX_NEW_TOKENS(SweepArguments, max_new_tokens),
    OPTION_PENALTY(SweepArguments, penalty),
    {.name = "samples",
     .type = OPTION_INT,
     .field = OPTION_FIELD(SweepArguments, int, samples),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .help = "also draw N responses at random to each untouched target prompt, for pass@n in the "
             "report"},
    OPTIONS_SAMPLING(SweepArguments),
    {.name = "skip-long",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(SweepArguments, bool, skip_long),
     .help = "leave out and list the questions that are longer than the model's context"},
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SweepArguments, const char *, output),
     .value = "FILE",
     .required = true,
     .help = "the results file; an existing one is resumed"},
    {.name = "replace",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(SweepArguments, bool, replace),
     .help = "replace questions that were edited since the file was made, and drop their old "
             "responses; without it, edited questions are refused"},
    {.name = "dry-run",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(SweepArguments, bool, dry_run),
     .help = "print what would be run and how much memory and time that needs; write nothing"},
    {.name = "max-rows",
     .type = OPTION_INT,
     .field = OPTION_FIELD(SweepArguments, int, max_rows),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .help = "expert: the largest number of configurations that run together; without it, 4096, "
             "or as many as memory allows"},
    {.name = "pass-seconds",
     .type = OPTION_REAL,
     .field = OPTION_FIELD(SweepArguments, double, pass_seconds),
     .value = "S",
     .low = 0.001,
     .high = 86400,
     .preset = "60",
     .help = "expert: about how long configurations that run together may take, as long as there "
             "are more than 256 of them; a kill loses no more than this"},
    {.name = "commit-seconds",
     .type = OPTION_REAL,
     .field = OPTION_FIELD(SweepArguments, double, commit_seconds),
     .value = "S",
     .low = 0,
     .high = 3600,
     .preset = "1",
     .help = "expert: how many seconds may pass before finished responses are written to disk"},
    OPTIONS_COMPUTE(SweepArguments, model),
    OPTION_PROGRESS(SweepArguments, model.progress),
    OPTION_QUIET(SweepArguments, model.quiet),
    OPTION_JSON(SweepArguments, model.json),
};

typedef struct Sweep {
  const SweepArguments *arguments;
  Shard shard;
  LoadedModel model;
  SweepJob job;
  xt_store *store;
  char hash[XT_MODEL_HASH_SIZE];
  char *command; /* the command line, for the record */
  xt_job_estimate estimate;
  xt_job_result result;
} Sweep;

/* Reports a folder that cannot be written to before the model is read. */
static xt_status check_folder(const char *output, xt_error *error) {
  const char *slash = strrchr(output, '/');
  char *folder =
      slash ? strndup(output, slash == output ? 1 : (size_t)(slash - output)) : strdup(".");
  if (!folder) return error_memory(error);
  xt_status status = XT_STATUS_OK;
  if (access(folder, W_OK) != 0)
    status = error_set(error, XT_STATUS_IO, output, NULL, -1, "cannot write: %s", strerror(errno));
  free(folder);
  return status;
}

static char *command_text(const SweepArguments *a, const Shard *shard) {
  char part[32];
  snprintf(part, sizeof part, "%d/%d", shard->k, shard->n);
  json_t *object = json_object();
  bool ok = json_add(object, "verb", json_string("sweep"));
  const char *const names[] = {"model", "data",          "pairs",         "lang",    "pivot",
                               "shard", "source-layers", "target-layers", "control", "vector",
                               "track", "source-langs",  "plan"};
  const char *const values[] = {a->model.model,   a->data,          a->pairs,
                                a->languages,     a->pivot,         a->shard ? part : NULL,
                                a->source_layers, a->target_layers, a->controls,
                                a->vector,        a->track,         a->source_langs,
                                a->plan};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (values[i]) ok = json_add(object, names[i], json_string(values[i])) && ok;
  if (!ways_are_default(&a->ways)) {
    ok = json_add(object, "rule", json_string(a->ways.rules)) && ok;
    ok = json_add(object, "alpha", json_string(a->ways.alphas)) && ok;
    ok = json_add(object, "span", json_integer(a->ways.span)) && ok;
    ok = json_add(object, "positions", json_string(a->ways.positions)) && ok;
  }
  if (a->cot) ok = json_add(object, "cot", json_true()) && ok;
  if (a->limit > 0) ok = json_add(object, "limit", json_integer(a->limit)) && ok;
  if (a->shard && shard->deal == XT_DEAL_LENGTHS)
    ok = json_add(object, "deal", json_string("lengths")) && ok;
  char *text = ok ? json_dumps(object, JSON_COMPACT) : NULL;
  json_decref(object);
  return text;
}

/* Everything that can be known without the weights. */
static xt_status prepare(Sweep *s, xt_error *error) {
  const SweepArguments *a = s->arguments;
  xt_status status;
  TRY_DONE(job_read(&s->job, a, error));
  TRY_DONE(model_describe(&a->model, &s->model, error));
  const bool exists = access(a->output, F_OK) == 0;
  if (exists)
    TRY_DONE(
        xt_store_open(a->output, a->dry_run ? XT_STORE_READ : XT_STORE_WRITE, &s->store, error));
  if (exists) TRY_DONE(shard_as_begun(s->store, &s->shard, error));
  s->command = command_text(a, &s->shard);
  TRY_DONE(job_create(&s->job, &s->model, &s->shard, s->command, error));
  if (!exists && !a->dry_run) TRY_DONE(check_folder(a->output, error));
  if (exists || !a->dry_run) {
    TRY_DONE(model_hash(&s->model, a->model.quiet, s->hash, error));
  }
  TRY_DONE(job_plan(&s->job, s->store, s->hash, error));
done:
  return status;
}

static xt_status execute(Sweep *s, xt_error *error) {
  xt_status status;
  if (!s->store) TRY_DONE(xt_store_open(s->arguments->output, XT_STORE_WRITE, &s->store, error));
  status = job_run(&s->job, &s->model, s->store, &s->result, error);
done:
  return status;
}

/* ---- what is printed ------------------------------------------------------------------------- */

static int count_languages(const SweepJob *job) {
  int languages = 0;
  for (size_t i = 0; i < job->info.questions; i++) {
    bool seen = false; /* questions of a language follow one another, except for pairs in any
                          order */
    for (size_t k = i; k-- > 0 && !seen;)
      seen = strcmp(xt_job_question(job->job, k)->lang, xt_job_question(job->job, i)->lang) == 0;
    languages += !seen;
  }
  return languages;
}

/* least, most: seconds. */
static xt_status plan_json(const Sweep *s, const char *sites, int languages, double least,
                           double most, xt_error *error) {
  const xt_job_info *job = &s->job.info;
  const xt_sweep_plan *plan = &s->estimate.plan;
  json_t *object = json_object();
  bool ok = json_add(object, "output", json_string(s->arguments->output));
  ok = json_add(object, "sites", json_string(sites)) && ok;
  ok = json_add(object, "instances", json_integer((json_int_t)job->questions)) && ok;
  ok = json_add(object, "too_long", json_integer((json_int_t)job->too_long)) && ok;
  ok = json_add(object, "languages", json_integer(languages)) && ok;
  ok = json_add(object, "responses", json_integer((json_int_t)job->responses)) && ok;
  ok = json_add(object, "present", json_integer((json_int_t)job->present)) && ok;
  ok = json_add(object, "to_run", json_integer((json_int_t)job->to_run)) && ok;
  ok = json_add(object, "sources_to_run", json_integer((json_int_t)job->sources_to_run)) && ok;
  ok = json_add(object, "samples_to_run", json_integer((json_int_t)job->samples_to_run)) && ok;
  ok = json_add(object, "rows_together", json_integer(plan->rows_together)) && ok;
  ok = json_add(object, "instances_together", json_integer(plan->instances_together)) && ok;
  ok = json_add(object, "passes", json_integer(plan->passes)) && ok;
  ok = json_add(object, "alone", json_integer((json_int_t)plan->alone)) && ok;
  ok = json_add(object, "memory_bytes", json_integer((json_int_t)plan->bytes)) && ok;
  ok = json_add(object, "seconds_least", json_number(least)) && ok;
  ok = json_add(object, "seconds_most", json_number(most)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status print_plan(Sweep *s, xt_error *error) {
  const xt_job_info *job = &s->job.info;
  const xt_sweep_plan *plan = &s->estimate.plan;
  const int languages = count_languages(&s->job);
  double flops = 0, bytes = 0;
  char low[32], high[32], names[SITE_LIST_MAX * XT_SITE_NAME_SIZE] = "";
  char site[XT_SITE_NAME_SIZE];
  xt_status status = XT_STATUS_OK;
  if (job->to_run || job->samples_to_run) {
    cli_progress(s->arguments->model.quiet, "measuring the machine's peak ...");
    status = xt_session_peak(s->model.session, &flops, &bytes, error);
  }
  const bool bf16 = s->arguments->model.compute == XT_COMPUTE_BF16 &&
                    strcmp(s->arguments->model.device, "cpu") == 0;
  const double speed = flops * (bf16 ? 2 * 0.8 : 0.85) + 1;
  if (job->has_work && !status)
    status = xt_job_get_estimate(s->job.job, s->model.model, speed, &s->estimate, error);
  if (status) return status;
  const double always = s->estimate.prompt_flops + s->estimate.sample_flops,
               least = always + s->estimate.least_flops, most = always + s->estimate.most_flops;
  for (size_t i = 0; i < job->site_count; i++) {
    if (i) strcat(names, ",");
    strcat(names, xt_site_format(job->sites[i], site));
  }
  if (s->arguments->model.json)
    return plan_json(s, names, languages, least / speed, most / speed, error);
  printf("instances   %zu in %d language%s\n", job->questions, languages,
         languages == 1 ? "" : "s");
  printf("sites       %s\n", names);
  job_print_plan(&s->job);
  printf("responses   %llu, untouched runs included; %llu are in %s, %llu to run\n",
         (unsigned long long)job->responses, (unsigned long long)job->present, s->arguments->output,
         (unsigned long long)job->to_run);
  if (job->samples_to_run)
    printf("samples     %llu to draw\n", (unsigned long long)job->samples_to_run);
  if (!job->to_run && !job->samples_to_run) return XT_STATUS_OK;
  if (job->to_run)
    printf("together    %d instance%s, %d rows; %d passes in all\n", plan->instances_together,
           plan->instances_together == 1 ? "" : "s", plan->rows_together, plan->passes);
  if (plan->alone)
    printf("alone       %llu responses change the whole prompt, and share nothing with others\n",
           (unsigned long long)plan->alone);
  if (job->to_run)
    printf("memory      %.2f GB at most, %.2f GB of it weights\n", (double)plan->bytes / 1e9,
           (double)s->model.info.weight_bytes / 1e9);
  printf("time        %s to %s at %.0f GFLOP/s: the less, the more responses have the same "
         "tokens\n",
         format_seconds(least / speed, low), format_seconds(most / speed, high), speed / 1e9);
  return XT_STATUS_OK;
}

static xt_status print_summary(const Sweep *s, bool finished, xt_error *error) {
  const xt_job_info *job = &s->job.info;
  const xt_job_result *o = &s->result;
  const bool quiet = s->arguments->model.quiet;
  const double rate = o->seconds > 0 ? (double)o->responses / o->seconds : 0;
  if (s->result.begun)
    cli_note(quiet,
             "%s: %llu responses of %llu instance%s in %.1f s (%.1f/s); sharing reduced the "
             "layers computed while decoding to %.0f%%",
             s->arguments->output, (unsigned long long)o->responses,
             (unsigned long long)o->questions, o->questions == 1 ? "" : "s", o->seconds, rate,
             o->stats.row_layers_alone
                 ? 100 * (double)o->stats.row_layers / (double)o->stats.row_layers_alone
                 : 100.0);
  else
    cli_note(quiet, "%s: all %llu responses are present; nothing to do", s->arguments->output,
             (unsigned long long)job->responses);
  if (o->samples)
    cli_note(quiet, "%s: %llu samples", s->arguments->output, (unsigned long long)o->samples);
  if (!s->arguments->model.json) return XT_STATUS_OK;
  json_t *object = json_object();
  bool ok = json_add(object, "output", json_string(s->arguments->output));
  ok = json_add(object, "finished", json_boolean(finished)) && ok;
  ok = json_add(object, "instances", json_integer((json_int_t)job->questions)) && ok;
  ok = json_add(object, "too_long", json_integer((json_int_t)job->too_long)) && ok;
  ok = json_add(object, "responses", json_integer((json_int_t)job->responses)) && ok;
  ok = json_add(object, "present_before", json_integer((json_int_t)job->present)) && ok;
  ok = json_add(object, "computed", json_integer((json_int_t)o->responses)) && ok;
  ok = json_add(object, "samples", json_integer((json_int_t)o->samples)) && ok;
  ok = json_add(object, "tokens", json_integer((json_int_t)o->stats.tokens)) && ok;
  ok = json_add(object, "seconds", json_number(o->seconds)) && ok;
  ok = json_add(object, "responses_per_second", json_number(rate)) && ok;
  ok = json_add(object, "flops", json_number(o->stats.flops)) && ok;
  ok = json_add(object, "row_layers", json_integer((json_int_t)o->stats.row_layers)) && ok;
  ok = json_add(object, "row_layers_alone", json_integer((json_int_t)o->stats.row_layers_alone)) &&
       ok;
  ok = json_add(object, "planned_bytes", json_integer((json_int_t)o->stats.peak_bytes)) && ok;
  ok = json_add(object, "resident_bytes", json_integer((json_int_t)resident_bytes())) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int check_usage(const Cli *cli, const SweepArguments *a, Shard *shard) {
  const int wrong_chat = chat_usage(cli, &a->chat);
  if (wrong_chat) return wrong_chat;
  const int wrong_questions = job_usage(cli, a);
  if (wrong_questions) return wrong_questions;
  static const char *const of_sites[] = {"rule",      "alpha",  "span",        "heads",
                                         "positions", "vector", "source-langs"};
  for (size_t k = 0; k < sizeof of_sites / sizeof *of_sites; k++)
    if (a->plan && !a->sites.count && option_is_given(cli, of_sites[k]))
      return cli_usage(cli, "--%s: has no effect on --plan; give --site too", of_sites[k]);
  const int idle = sampling_usage(cli, a->samples);
  if (idle) return idle;
  return shard_read(cli, a->shard, shard);
}

/* After work has begun, a failure is not the input's fault: after any error the same command
 * continues later. */
static int finish_early(const Cli *cli, const Sweep *s, xt_status status, const xt_error *error) {
  const bool stopped = status == XT_STATUS_CANCELLED && interrupt_asked();
  if (!stopped)
    cli_exit(cli, status, error);
  else
    fprintf(stderr, "xtransplant %s: stopped\n", cli->verb->name);
  cli_note(s->arguments->model.quiet,
           "%s keeps the finished work; the same command continues "
           "from there",
           s->arguments->output);
  return stopped ? interrupt_exit_code() : EXIT_FAILED;
}

static int run(const Cli *cli, void *opaque) {
  SweepArguments *arguments = opaque;
  Sweep s = {.arguments = arguments};
  xt_error error;
  xt_status status;
  char *output = NULL;
  int code;
  arguments->has_task = option_is_given(cli, "task");
  if (arguments->cot && !option_is_given(cli, "max-new-tokens"))
    arguments->max_new_tokens = XT_JOB_COT_TOKENS;
  code = ways_read(cli, &arguments->ways);
  if (!code) code = check_usage(cli, arguments, &s.shard);
  if (code != EXIT_OK) return code;
  if (arguments->shard) {
    output = shard_name(arguments->output, &s.shard);
    if (!output) TRY_DONE(error_memory(&error));
    arguments->output = output;
  }
  if (s.shard.by[0])
    cli_note(arguments->model.quiet, "shard %d of %d, by %s", s.shard.k, s.shard.n, s.shard.by);
  TRY_DONE(prepare(&s, &error));
  if (s.job.info.has_work) {
    TRY_DONE(model_load(&arguments->model, &s.model, &error));
    TRY_DONE(xt_job_get_estimate(s.job.job, s.model.model, 0, &s.estimate, &error));
  }
  if (arguments->dry_run) {
    TRY_DONE(print_plan(&s, &error));
    goto done;
  }
  if (s.job.info.has_work) status = execute(&s, &error);
  const bool stopped = status == XT_STATUS_CANCELLED && interrupt_asked();
  if (!status || stopped) TRY_DONE(print_summary(&s, !stopped, &error));
  if (stopped) status = XT_STATUS_CANCELLED;
done:
  if (s.result.begun && status)
    code = finish_early(cli, &s, status, &error);
  else
    code = cli_exit(cli, status, &error);
  xt_store_close(s.store);
  job_deinit(&s.job);
  free(s.command);
  free(output);
  model_deinit(&s.model);
  return code;
}

const Verb verb_sweep = {
    .name = "sweep",
    .summary = "run every transplant of every question and store the responses",
    .about =
        "Runs each question's target prompt untouched and with each transplant (site, source "
        "layer, target layer) from its source prompt, and writes every response into the results "
        "file as soon as it is complete. A sweep that was stopped or killed is resumed by the "
        "same command; when all responses are present, the command does nothing. Ctrl-C, "
        "SIGTERM, SIGHUP and Slurm's SIGUSR1 stop the sweep after the current token, with exit "
        "code 128 + the signal's number; a second signal ends it at once. The questions are "
        "those of a benchmark in its released layout, or any pairs of prompts.",
    .example = "xtransplant sweep -m Llama-2-7b-chat-hf --task xnli --data XNLI/XNLI_sample --lang "
               "sw,zh --site attn -o xnli.db",
    OPTION_TABLE(options),
    .arguments_size = sizeof(SweepArguments),
    .run = run,
};
