/* SPDX-License-Identifier: Apache-2.0 */
/* demo: the small model and the questions that ship with the project, every transplant of every
 * question. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/interrupt.h"
#include "shell/output.h"
#include "verbs/demo_tally.h"
#include "verbs/sweep_job.h"
#include "verbs/verbs.h"
#include "xtransplant/report.h"
#include "xtransplant/select.h"
#include "xtransplant/train.h"

typedef struct Arguments {
  ModelArguments model;
  const char *data, *output;
  SiteList sites;
  int limit;
  bool no_tuning;
} Arguments;

static const Option options[] = {
    {.name = "data",
     .letter = 'd',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, data),
     .value = "DIR",
     .help = "the folder with facts-4m/ and the questions; without it, the one that ships with the "
             "program"},
    {.name = "model",
     .letter = 'm',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, model.model),
     .value = "PATH",
     .help = "another model for the same questions"},
    {.name = "site",
     .letter = 's',
     .type = OPTION_SITES,
     .field = OPTION_FIELD(Arguments, SiteList, sites),
     .value = "LIST",
     .preset = "attn,ffn,block,attn-released",
     .help = "the sites where activations are read and written"},
    {.name = "limit",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, limit),
     .value = "N",
     .low = 1,
     .high = 1e9,
     .help = "run only the first N questions of each language"},
    {.name = "no-tuning",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, no_tuning),
     .help = "leave out fine-tuning and its rows in the tables"},
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, output),
     .value = "DIR",
     .preset = "demo-out",
     .help = "the folder for the results; a stopped run there is resumed"},
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_PROGRESS(Arguments, model.progress),
    OPTION_QUIET(Arguments, model.quiet),
};

/* The answers are one token and the end of text; longer responses are wrong. */
#define NEW_TOKENS 8
#define TUNING_RATE 2e-4

typedef struct Direction {
  const char *name, *task; /* name: of the file of questions */
  TallyWords words;
} Direction;

static const Direction directions[] = {
    {"to-language",
     "facts",
     {"English into the language: facts that the language's training text did not have",
      "English prompt", "Asking in English"}},
    {"from-language",
     "local-facts",
     {"The language into English: facts that only the language's training text had",
      "its own prompt", "Asking in the language itself"}},
};
#define DIRECTION_COUNT (sizeof directions / sizeof *directions)

/* A model and its results file. */
typedef struct Subject {
  char path[1200], database[1200];
  ModelArguments how;
  LoadedModel loaded;
  xt_store *store;
  char hash[XT_MODEL_HASH_SIZE];
} Subject;

typedef struct Demo {
  const Arguments *arguments;
  char folder[1024];
  Subject plain, tuned; /* the model as it is, and fine-tuned */
  uint64_t responses, computed;
} Demo;

static void subject_deinit(Subject *s) {
  xt_store_close(s->store);
  s->store = NULL;
  model_deinit(&s->loaded);
}

static xt_status subject_open(Subject *s, const ModelArguments *how, const char *output,
                              const char *name, xt_error *error) {
  xt_status status;
  s->how = *how;
  s->how.model = s->path;
  snprintf(s->database, sizeof s->database, "%s/%s", output, name);
  TRY_DONE(model_describe(&s->how, &s->loaded, error));
  TRY_DONE(xt_model_hash(s->loaded.model, s->hash, error));
  TRY_DONE(model_load(&s->how, &s->loaded, error));
  TRY_DONE(xt_store_open(s->database, XT_STORE_WRITE, &s->store, error));
done:
  return status;
}

/* ---- where things are ------------------------------------------------------------------------ */

/* Beside the program: in the source tree above the build folder, or where `make install` puts
 * it. */
static xt_status find_folder(Demo *d, xt_error *error) {
  static const char *const places[] = {"/../demo", "/../share/xtransplant/demo"};
  char program[700], path[1024];
  if (d->arguments->data) {
    snprintf(d->folder, sizeof d->folder, "%s", d->arguments->data);
    return XT_STATUS_OK;
  }
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length < 0 ? 0 : length] = 0;
  char *slash = strrchr(program, '/');
  if (slash) *slash = 0;
  for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
    snprintf(path, sizeof path, "%s%s/%s.jsonl", program, places[i], directions[0].name);
    if (access(path, R_OK) != 0) continue;
    snprintf(d->folder, sizeof d->folder, "%s%s", program, places[i]);
    return XT_STATUS_OK;
  }
  return error_set(error, XT_STATUS_IO, program, NULL, -1,
                   "the demo's files are not beside the program; give the folder that has them "
                   "with --data");
}

static xt_status make_output(const char *output, xt_error *error) {
  if (mkdir(output, 0777) != 0 && errno != EEXIST)
    return error_set(error, XT_STATUS_IO, output, NULL, -1, "cannot make the folder: %s",
                     strerror(errno));
  return XT_STATUS_OK;
}

/* ---- one direction --------------------------------------------------------------------------- */

/* Runs the responses to a file of questions that the store lacks. */
static xt_status run_sweep(Demo *d, const Subject *subject, const SweepArguments *how,
                           SweepJob *job, xt_error *error) {
  xt_job_result result = {0};
  xt_status status;
  TRY_DONE(job_read(job, how, error));
  TRY_DONE(job_create(job, &subject->loaded, NULL, "{\"verb\": \"demo\"}", error));
  TRY_DONE(job_plan(job, subject->store, subject->hash, error));
  if (job->info.has_work) status = job_run(job, &subject->loaded, subject->store, &result, error);
  if (status == XT_STATUS_CANCELLED)
    error_set(error, status, how->output, NULL, -1,
              "stopped; the same command continues from "
              "there");
  d->responses += job->info.responses;
  d->computed += result.responses;
done:
  return status;
}

/* The first layer into the first, at the sites of one module, with the source prompts of other
 * questions. */
static xt_status run_control(Demo *d, const Subject *subject, const SweepArguments *asked,
                             xt_error *error) {
  SweepArguments sweep = *asked;
  SweepJob job = {0};
  char name[XT_SITE_NAME_SIZE];
  sweep.source_layers = sweep.target_layers = "first";
  sweep.controls = "shuffled";
  sweep.sites.count = 0;
  for (int s = 0; s < asked->sites.count; s++)
    if (tally_is_one_module(xt_site_format(asked->sites.at[s], name)))
      sweep.sites.at[sweep.sites.count++] = asked->sites.at[s];
  if (!sweep.sites.count) return XT_STATUS_OK;
  const uint64_t responses = d->responses, computed = d->computed,
                 sites = (uint64_t)sweep.sites.count;
  const xt_status status = run_sweep(d, subject, &sweep, &job, error);
  /* The responses to the transplants themselves are counted already; with its controls, a question's
   * untouched response is run once more. */
  d->responses = responses + (uint64_t)job.info.questions * sites;
  d->computed = computed + (d->computed - computed) * sites / (1 + sites);
  job_deinit(&job);
  return status;
}

static xt_status show(const Demo *d, const Subject *subject, const Direction *direction,
                      xt_error *error) {
  const xt_analysis_options how = {.threads = d->arguments->model.threads};
  xt_analysis *analysis;
  const xt_status status = xt_analysis_create(subject->store, &how, &analysis, error);
  if (status) return status;
  for (size_t g = 0; g < xt_analysis_count(analysis); g++)
    if (strcmp(xt_analysis_get(analysis, g)->task, direction->task) == 0)
      tally_print(xt_analysis_get(analysis, g), &direction->words);
  xt_analysis_free(analysis);
  return XT_STATUS_OK;
}

static xt_status run_direction(Demo *d, const Subject *subject, const Direction *direction,
                               bool shown, xt_error *error) {
  const Arguments *a = d->arguments;
  char path[1200];
  snprintf(path, sizeof path, "%s/%s.jsonl", d->folder, direction->name);
  const SweepArguments sweep = {.model = subject->how,
                                .pairs = path,
                                .output = subject->database,
                                .source_layers = "all",
                                .target_layers = "all",
                                .sites = a->sites,
                                .limit = a->limit,
                                .max_new_tokens = NEW_TOKENS,
                                .commit_seconds = 1};
  SweepJob job = {0};
  xt_status status = run_sweep(d, subject, &sweep, &job, error);
  job_deinit(&job);
  if (status || !shown) return status;
  status = run_control(d, subject, &sweep, error);
  return status ? status : show(d, subject, direction, error);
}

static xt_status run_directions(Demo *d, const Subject *subject, bool shown, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < DIRECTION_COUNT && !status; i++)
    status = run_direction(d, subject, &directions[i], shown, error);
  return status;
}

/* ---- what transplants are compared with ------------------------------------------------------ */

static bool wants_stop(void *user) {
  (void)user;
  return interrupt_asked();
}

/* The paper's ML-SFT, on facts in the languages for which no question asks. A small model needs a
 * larger rate than the paper's 1e-5. */
static xt_status fine_tune(Demo *d, bool *done, xt_error *error) {
  const Arguments *a = d->arguments;
  char data[1200], record[1300];
  xt_train_options how;
  xt_status status;
  *done = false;
  snprintf(data, sizeof data, "%s/tuning.jsonl", d->folder);
  if (a->no_tuning || access(data, R_OK) != 0) return XT_STATUS_OK;
  snprintf(d->tuned.path, sizeof d->tuned.path, "%s/tuned", a->output);
  snprintf(record, sizeof record, "%s/model.safetensors", d->tuned.path);
  if (access(record, R_OK) != 0) {
    cli_progress(a->model.quiet, "fine-tuning ...");
    xt_train_options_init(&how);
    how.model = d->plain.path;
    how.data = data;
    how.output = d->tuned.path;
    how.rate = TUNING_RATE;
    how.threads = a->model.threads;
    how.cpu_kernels = a->model.kernels;
    how.cancel = wants_stop;
    interrupt_watch();
    TRY_DONE(xt_train(&how, NULL, error));
  }
  TRY_DONE(subject_open(&d->tuned, &a->model, a->output, "tuned.db", error));
  TRY_DONE(run_directions(d, &d->tuned, false, error));
  *done = true;
done:
  return status;
}

/* Stores choices for each question: by the paper's strategies, and by others. */
static xt_status choose(const Demo *d, xt_error *error) {
  static const xt_select_options strategies[] = {
      {.strategy = XT_STRATEGY_COARSE},
      {.strategy = XT_STRATEGY_ENTROPY, .candidates = XT_CANDIDATES_ENDS},
      {.strategy = XT_STRATEGY_ENTROPY, .candidates = XT_CANDIDATES_ALL},
      {.strategy = XT_STRATEGY_LOGPROB, .candidates = XT_CANDIDATES_TARGET_FIRST},
      {.strategy = XT_STRATEGY_VOTE, .candidates = XT_CANDIDATES_TARGET_FIRST},
      {.strategy = XT_STRATEGY_STUMPS, .candidates = XT_CANDIDATES_ALL},
  };
  for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
    const xt_status status = xt_store_select(d->plain.store, &strategies[i], NULL, error);
    /* --limit left too few to learn from */
    if (status == XT_STATUS_INPUT && xt_strategy_learns(strategies[i].strategy)) continue;
    if (status) return status;
  }
  return XT_STATUS_OK;
}

/* The stores are closed; their readers open them again. */
static xt_status report(const Demo *d, bool tuned, xt_error *error) {
  const xt_analysis_options analysis = {.threads = d->arguments->model.threads};
  const xt_report_options how = {.tuned = tuned ? d->tuned.database : NULL, .analysis = &analysis};
  xt_report *made = NULL;
  char *text;
  size_t length;
  xt_status status;
  cli_progress(d->arguments->model.quiet, "drawing the report ...");
  TRY_DONE(xt_report_create(d->plain.database, &how, &made, error));
  TRY_DONE(xt_report_write(made, d->arguments->output, NULL, error));
  TRY_DONE(xt_report_text(made,
                          &(xt_report_text_options){.table = "table4", .width = terminal_width()},
                          &text, &length, error));
  printf("\n== Beside other methods, at the paper's site ==\n\n");
  fwrite(text, 1, length, stdout);
  xt_free(text);
done:
  xt_report_free(made);
  return status;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int run(const Cli *cli, void *opaque) {
  const Arguments *a = opaque;
  Demo d = {.arguments = a};
  xt_error error;
  const double began = seconds_now();
  bool tuned = false;
  xt_status status;
  TRY_DONE(find_folder(&d, &error));
  if (a->model.model)
    snprintf(d.plain.path, sizeof d.plain.path, "%s", a->model.model);
  else
    snprintf(d.plain.path, sizeof d.plain.path, "%s/facts-4m", d.folder);
  TRY_DONE(make_output(a->output, &error));
  TRY_DONE(subject_open(&d.plain, &a->model, a->output, "demo.db", &error));
  const xt_model_info *info = &d.plain.loaded.info;
  printf("A model of %d layers and %.1f million parameters, trained on names and codes of "
         "countries and languages. Each question asks for a code. An\n"
         "activation of the last token is taken from the source prompt at one layer and put into "
         "the target prompt at another; all %d x %d pairs of layers.\n",
         info->layers, (double)info->parameters / 1e6, info->layers, info->layers);
  TRY_DONE(run_directions(&d, &d.plain, true, &error));
  if (!a->model.model) TRY_DONE(fine_tune(&d, &tuned, &error));
  TRY_DONE(choose(&d, &error));
  subject_deinit(&d.plain);
  subject_deinit(&d.tuned);
  TRY_DONE(report(&d, tuned, &error));
  printf("\n%llu responses, %llu of them computed now, in %.0f s. Open %s/report.html in a "
         "browser: every response behind every figure.\n",
         (unsigned long long)d.responses, (unsigned long long)d.computed, seconds_now() - began,
         a->output);
done:
  subject_deinit(&d.plain);
  subject_deinit(&d.tuned);
  return cli_exit(cli, status, &error);
}

const Verb verb_demo = {
    .name = "demo",
    .summary = "run the experiment with the model and questions that ship with the program",
    .about =
        "Runs every transplant of every question with the small multilingual model that ships "
        "with the program, and prints the accuracies by language and by pair of layers, with "
        "their uncertainty. Also fine-tunes the model, for comparison. The responses are stored "
        "in DIR/demo.db and DIR/tuned.db, as those of a sweep are, and DIR/report.html shows "
        "them all, with controls: transplants from the prompts of other questions.",
    .example = "xtransplant demo",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
