/* demo: the small model and the questions that ship with the project, every transplant of every question. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo_tally.h"
#include "sweep_job.h"
#include "verbs.h"

typedef struct Arguments {
  ModelArguments model;
  const char *data, *output;
  SiteList sites;
  int limit;
} Arguments;

static const Option options[] = {
    {.name = "data", .letter = 'd', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, data), .value = "DIR",
     .help = "folder with model/ and the questions; left out: the one that ships with the program"},
    {.name = "model", .letter = 'm', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, model.model), .value = "PATH",
     .help = "another model for the same questions"},
    {.name = "site", .letter = 's', .type = OPTION_SITES, .field = OPTION_FIELD(Arguments, SiteList, sites), .value = "LIST", .preset = "attn,ffn,block",
     .help = "where activations are taken and put"},
    {.name = "limit", .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, limit), .value = "N", .low = 1, .high = 1e9,
     .help = "only the first N questions of each language"},
    {.name = "output", .letter = 'o', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, output), .value = "DIR", .preset = "demo-out",
     .help = "folder for the results; what is there already is gone on with"},
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
};

/* The answers are one token and an end; what is longer is wrong already. */
#define NEW_TOKENS 8

typedef struct Direction {
  const char *file, *task, *title, *source_name;
} Direction;

static const Direction directions[] = {
    {"to-language.jsonl", "facts", "English into the language: facts that the language's training text did not have", "English prompt"},
    {"from-language.jsonl", "local-facts", "The language into English: facts that only the language's training text had", "its own prompt"},
};
#define DIRECTION_COUNT (sizeof directions / sizeof *directions)

typedef struct Demo {
  const Arguments *arguments;
  char folder[1024], model[1100], database[1100];
  LoadedModel loaded;
  xt_store *store;
  char hash[XT_MODEL_HASH_SIZE];
  uint64_t responses, computed;
} Demo;

/* ---- where things are ------------------------------------------------------------------------- */

/* Beside the program: in the source tree one above the build folder, or where `make install` puts it. */
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
    snprintf(path, sizeof path, "%s%s/%s", program, places[i], directions[0].file);
    if (access(path, R_OK) != 0) continue;
    snprintf(d->folder, sizeof d->folder, "%s%s", program, places[i]);
    return XT_STATUS_OK;
  }
  return error_set(error, XT_STATUS_IO, program, NULL, -1, "the demo's files are not beside the program; give their folder with --data");
}

static xt_status make_output(Demo *d, xt_error *error) {
  const char *output = d->arguments->output;
  if (mkdir(output, 0777) != 0 && errno != EEXIST) return error_set(error, XT_STATUS_IO, output, NULL, -1, "cannot make the folder: %s", strerror(errno));
  snprintf(d->database, sizeof d->database, "%s/demo.db", output);
  return XT_STATUS_OK;
}

/* ---- one direction ---------------------------------------------------------------------------- */

/* Whether each question's source prompt gives the answer by itself. */
static xt_status ask_sources(const Demo *d, const SweepJob *job, Tally *tally, xt_error *error) {
  const size_t n = job->count;
  xt_request *requests = calloc(n, sizeof *requests);
  xt_generation *out = calloc(n, sizeof *out);
  const xt_generate_options how = {.max_new_tokens = NEW_TOKENS};
  xt_status status = requests && out ? XT_STATUS_OK : error_memory(error);
  for (size_t q = 0; q < n && !status; q++) requests[q] = (xt_request){.ids = job->instances[q].source, .count = job->instances[q].source_count};
  if (!status) status = xt_session_generate(d->loaded.session, requests, n, &how, out, error);
  for (size_t q = 0; q < n && !status; q++) {
    const xt_question *question = job->questions[q];
    const long at = tally_find(tally, question->id);
    char *text;
    size_t length;
    status = xt_tokenizer_decode(xt_model_tokenizer(d->loaded.model), out[q].ids, out[q].count, true, &text, &length, error);
    if (status) break;
    if (at >= 0) status = xt_task_score(xt_task_find(question->task), NULL, 0, text, length, question->gold, &tally->source[at], error);
    free(text);
  }
  for (size_t q = 0; out && q < n; q++) xt_generation_deinit(&out[q]);
  free(out);
  free(requests);
  return status;
}

static xt_status run_direction(Demo *d, const Direction *direction, xt_error *error) {
  const Arguments *a = d->arguments;
  const char *site_names[SITE_LIST_MAX];
  char path[1200], names[SITE_LIST_MAX][16];
  snprintf(path, sizeof path, "%s/%s", d->folder, direction->file);
  const SweepArguments sweep = {.model = a->model, .pairs = path, .output = d->database, .source_layers = "all", .target_layers = "all", .sites = a->sites,
                                .limit = a->limit, .max_new_tokens = NEW_TOKENS, .commit_seconds = 1};
  const xt_store_settings settings = job_settings(&sweep);
  SweepJob job = {0};
  SweepOutcome outcome = {0};
  Tally tally = {0};
  xt_status status;
  for (int s = 0; s < a->sites.count; s++) site_names[s] = xt_site_format(a->sites.at[s], names[s]);
  TRY_DONE(job_read(&job, &sweep, 1, 1, error));
  TRY_DONE(job_check(&job, &d->loaded, error));
  TRY_DONE(job_find_missing(&job, d->store, d->loaded.info.layers, error));
  if (job.to_run) {
    TRY_DONE(xt_store_begin(d->store, d->loaded.model, d->hash, &settings, "{\"verb\": \"demo\"}", error));
    TRY_DONE(job_run(&job, &d->loaded, d->store, &outcome, error));
    if (outcome.stopped) TRY_DONE(error_set(error, XT_STATUS_CANCELLED, d->database, NULL, -1, "stopped; the same command goes on from there"));
  }
  d->responses += job.responses;
  d->computed += outcome.added;
  TRY_DONE(tally_read(&tally, d->store, direction->task, site_names, a->sites.count, d->loaded.info.layers, error));
  TRY_DONE(ask_sources(d, &job, &tally, error));
  tally_print(&tally, direction->title, direction->source_name);
done:
  tally_deinit(&tally);
  job_deinit(&job);
  return status;
}

/* ---- the verb --------------------------------------------------------------------------------- */

static int run(const Cli *cli, void *opaque) {
  Arguments *a = opaque;
  Demo d = {.arguments = a};
  xt_error error;
  const double began = seconds_now();
  xt_status status;
  TRY_DONE(find_folder(&d, &error));
  if (!a->model.model) {
    snprintf(d.model, sizeof d.model, "%s/model", d.folder);
    a->model.model = d.model;
  }
  TRY_DONE(make_output(&d, &error));
  TRY_DONE(model_describe(&a->model, &d.loaded, &error));
  TRY_DONE(xt_model_hash(d.loaded.model, d.hash, &error));
  TRY_DONE(model_load(&a->model, &d.loaded, &error));
  TRY_DONE(xt_store_open(d.database, XT_STORE_WRITE, &d.store, &error));
  printf("A model of %d layers and %.1f million parameters, trained on names and codes of countries and languages. Each question asks for a code. An\n"
         "activation of the last token is taken from the source prompt at one layer and put into the target prompt at another; all %d x %d pairs of layers.\n",
         d.loaded.info.layers, (double)d.loaded.info.parameters / 1e6, d.loaded.info.layers, d.loaded.info.layers);
  for (size_t i = 0; i < DIRECTION_COUNT; i++) TRY_DONE(run_direction(&d, &directions[i], &error));
  printf("\n%llu responses, %llu of them computed now, in %.0f s; all are in %s.\n", (unsigned long long)d.responses, (unsigned long long)d.computed,
         seconds_now() - began, d.database);
done:
  xt_store_close(d.store);
  model_deinit(&d.loaded);
  return cli_exit(cli, status, &error);
}

const Verb verb_demo = {
    .name = "demo",
    .summary = "the model and questions that ship with the program",
    .about = "Runs every transplant of every question with the small multilingual model that ships with the program, and prints what comes of it: accuracies "
             "by language and by pair of layers, with their uncertainty. The responses go into DIR/demo.db, as a sweep's.",
    .example = "xtransplant demo",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
