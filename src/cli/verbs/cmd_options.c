/* SPDX-License-Identifier: Apache-2.0 */
/* options: score the options of stored questions by likelihood. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/store_model.h"
#include "shell/interrupt.h"
#include "shell/layers.h"
#include "shell/output.h"
#include "shell/progress.h"
#include "verbs/sweep_job.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  SweepArguments sweep; /* the model; the questions, and what sites write, as the sweep had them */
  const char *source_layers, *target_layers;
  bool untouched, by_language, by_configuration;
} Arguments;

static const Option options[] = {
    OPTION_MODEL_OPTIONAL(
        Arguments, sweep.model,
        "the model that made the responses, which is needed as long as runs are not scored"),
    {.name = "site",
     .letter = 's',
     .type = OPTION_SITES,
     .field = OPTION_FIELD(Arguments, SiteList, sweep.sites),
     .value = "SITES",
     .help = "score only the stored configurations of these sites, separated by commas"},
    OPTIONS_LAYER_LISTS(Arguments, "and of these source layers: all, first, last, 3, 0-7 or 0,5,31",
                        "and of these target layers"),
    {.name = "untouched",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, untouched),
     .help = "score only untouched runs, which are always scored"},
    {.name = "by-lang",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, by_language),
     .help = "print a row for each language, besides the one for all languages together"},
    {.name = "by-config",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, by_configuration),
     .help = "print a row for each configuration, besides the one for all of a site together"},
    {.name = "dry-run",
     .letter = 'n',
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, sweep.dry_run),
     .help = "say how much there is to do, and do nothing"},
    OPTIONS_QUESTIONS(Arguments, sweep.task, sweep.data, sweep.pairs, sweep.languages, sweep.pivot),
    OPTION_SOURCE_LANGS(Arguments, sweep.source_langs),
    OPTION_VECTOR(Arguments, sweep.vector),
    OPTION_PLAN(Arguments, sweep.plan,
                "what the interventions write whose results the file has: a JSON list"),
    OPTION_COT(Arguments, sweep.cot),
    OPTIONS_CHAT(Arguments, sweep.chat),
    OPTIONS_COMPUTE(Arguments, sweep.model),
    OPTION_PROGRESS(Arguments, sweep.model.progress),
    OPTION_QUIET(Arguments, sweep.model.quiet),
    OPTION_JSON(Arguments, sweep.model.json),
};

typedef struct Work {
  const Arguments *arguments;
  xt_option_scoring scoring;
  xt_option_work todo;
  xt_store *store;
  LoadedModel model;
  SweepJob job;  /* that has what sites write, if the questions are given */
  SiteList made; /* those of the store that need it */
  char hash[XT_MODEL_HASH_SIZE];
  bool *layers; /* [2 * layers of the store] source, then target; owned */
  Progress progress;
  bool scoring_began;
} Work;

static bool tick(void *user, uint64_t done) {
  Work *w = user;
  const double all = (double)w->todo.runs;
  if (!w->scoring_began) { /* until then, prompts were read */
    progress_end(&w->job.line);
    progress_begin(&w->progress, w->arguments->sweep.model.progress,
                   w->arguments->sweep.model.quiet);
  }
  w->scoring_began = true;
  if (progress_due(&w->progress))
    progress_print(&w->progress, (double)done / all, "%llu/%llu runs  %.1f/s  %.2f GB",
                   (unsigned long long)done, (unsigned long long)w->todo.runs,
                   (double)done / (seconds_now() - w->progress.began + 1e-9),
                   (double)resident_bytes() / 1e9);
  return interrupt_asked();
}

static xt_status choose_runs(Work *w, xt_error *error) {
  const Arguments *a = w->arguments;
  xt_store_info info;
  xt_status status;
  TRY_DONE(xt_store_get_info(w->store, &info, error));
  const size_t layers = (size_t)info.layers;
  w->layers = calloc(2 * layers + 1, sizeof *w->layers);
  if (!w->layers) return error_memory(error);
  w->scoring = (xt_option_scoring){.untouched = a->untouched,
                                   .sites = a->sweep.sites.at,
                                   .site_count = (size_t)a->sweep.sites.count,
                                   .tick = tick,
                                   .user = w};
  if (!layers) return XT_STATUS_OK; /* an empty store */
  TRY_DONE(layers_resolve(a->source_layers, info.layers, "--source-layers", w->layers, error));
  TRY_DONE(
      layers_resolve(a->target_layers, info.layers, "--target-layers", w->layers + layers, error));
  w->scoring.source_layers = w->layers;
  w->scoring.target_layers = w->layers + layers;
done:
  return status;
}

static bool is_chosen(const SiteList *sites, const xt_site *site) {
  char name[XT_SITE_NAME_SIZE], other[XT_SITE_NAME_SIZE];
  xt_site_format(*site, name);
  for (int i = 0; i < sites->count; i++)
    if (strcmp(xt_site_format(sites->at[i], other), name) == 0) return true;
  return false;
}

/* Sites that write something other than values of a question's own prompts. */
static xt_status note_site(void *user, const xt_store_row *row, xt_error *error) {
  Work *w = user;
  const SiteList *chosen = &w->arguments->sweep.sites;
  xt_site site;
  if (row->source_layer < 0) return XT_STATUS_OK;
  const xt_status status = xt_site_parse(row->site, &site, error);
  if (status || (chosen->count && !is_chosen(chosen, &site))) return status;
  if ((site.from == XT_FROM_SOURCE && site.control <= XT_CONTROL_SELF) ||
      is_chosen(&w->made, &site))
    return XT_STATUS_OK;
  if (w->made.count == SITE_LIST_MAX)
    return error_set(error, XT_STATUS_ARGUMENT, NULL, "--site", -1,
                     "more than %d sites write values that must be made: name some", SITE_LIST_MAX);
  w->made.at[w->made.count++] = site;
  return XT_STATUS_OK;
}

static bool has_questions(const SweepArguments *a) { return a->pairs || a->has_task; }

/* What the sites write that need more than a question's own prompts. */
static xt_status prepare_values(Work *w, xt_error *error) {
  const SweepArguments *a = &w->arguments->sweep;
  xt_status status = XT_STATUS_OK;
  if (!has_questions(a)) return status;
  TRY_DONE(xt_store_read(w->store, note_site, w, error));
  TRY_DONE(job_read(&w->job, a, error));
  TRY_DONE(job_create_values(&w->job, &w->model, w->made.at, (size_t)w->made.count, error));
  w->scoring.job = w->job.job;
done:
  return status;
}

/* Finds what there is to do, and reports errors before the weights are read. */
static xt_status prepare(Work *w, const char *path, xt_error *error) {
  const ModelArguments *m = &w->arguments->sweep.model;
  xt_status status;
  TRY_DONE(xt_store_open(path, XT_STORE_READ, &w->store, error));
  TRY_DONE(choose_runs(w, error));
  if (m->model) TRY_DONE(model_describe(m, &w->model, error));
  if (m->model) TRY_DONE(prepare_values(w, error));
  TRY_DONE(xt_store_count_unscored(w->store, &w->scoring, &w->todo, error));
  if (w->todo.runs && !m->model && !w->arguments->sweep.dry_run)
    return error_set(
        error, XT_STATUS_ARGUMENT, path, "--model", -1,
        "missing: the options of %llu runs must be scored; give the model that made the responses",
        (unsigned long long)w->todo.runs);
  if (m->model) TRY_DONE(store_check_model(w->store, m, &w->model, w->hash, error));
done:
  return status;
}

static xt_status score(Work *w, const char *path, xt_error *error) {
  const ModelArguments *m = &w->arguments->sweep.model;
  xt_status status;
  xt_store_close(w->store);
  w->store = NULL;
  TRY_DONE(xt_store_open(path, XT_STORE_WRITE, &w->store, error));
  interrupt_watch();
  store_report_waiting(w->store, m->quiet);
  TRY_DONE(model_load(m, &w->model, error));
  TRY_DONE(store_begin_model(w->store, m, &w->model, w->hash, "options", error));
  progress_begin(&w->job.line, m->progress, m->quiet);
  status = xt_store_score_options(w->store, w->model.session, &w->scoring, error);
  progress_end(w->scoring_began ? &w->progress : &w->job.line);
done:
  return status;
}

/* ---- what is printed ------------------------------------------------------------------------- */

static xt_status row_json(const xt_option_row *r, xt_error *error) {
  json_t *object = json_object();
  bool ok = json_add(object, "task", json_string(r->task));
  ok = json_add(object, "pivot", json_string(r->pivot)) && ok;
  ok = json_add(object, "cot", json_boolean(r->cot)) && ok;
  ok = json_add(object, "lang", r->lang ? json_string(r->lang) : json_null()) && ok;
  ok = json_add(object, "site", json_string(r->site)) && ok;
  ok = json_add(object, "source_layer",
                r->source_layer < 0 ? json_null() : json_integer(r->source_layer)) &&
       ok;
  ok = json_add(object, "target_layer",
                r->target_layer < 0 ? json_null() : json_integer(r->target_layer)) &&
       ok;
  ok = json_add(object, "runs", json_integer((json_int_t)r->runs)) && ok;
  ok = json_add(object, "generated", json_number(r->generated)) && ok;
  ok = json_add(object, "acc", json_number(r->acc)) && ok;
  ok = json_add(object, "acc_norm", json_number(r->acc_norm)) && ok;
  ok = json_add(object, "calibrated", json_number(r->calibrated)) && ok;
  ok = json_add(object, "calibrated_norm", json_number(r->calibrated_norm)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status print_row(void *user, const xt_option_row *r, xt_error *error) {
  const Arguments *a = user;
  char layers[40] = "", name[80];
  if (r->lang && !a->by_language) return XT_STATUS_OK;
  if (r->source_layer >= 0 && !a->by_configuration) return XT_STATUS_OK;
  if (a->sweep.model.json) return row_json(r, error);
  if (r->source_layer >= 0)
    snprintf(layers, sizeof layers, "%d->%d", r->source_layer, r->target_layer);
  const bool plain = r->pivot[0] == 0 || strcmp(r->pivot, "en") == 0;
  snprintf(name, sizeof name, "%s%s%s%s", r->task, plain ? "" : ", from ", plain ? "" : r->pivot,
           r->cot ? ", CoT" : "");
  print_name(name, 16);
  print_name(r->lang ? r->lang : "all", 6);
  print_name(r->site, 14);
  printf("%-8s %8llu %9.2f %9.2f %9.2f %9.2f %9.2f\n", layers, (unsigned long long)r->runs,
         100 * r->generated, 100 * r->acc, 100 * r->acc_norm, 100 * r->calibrated,
         100 * r->calibrated_norm);
  return XT_STATUS_OK;
}

static xt_status print_all(const Work *w, xt_error *error) {
  const ModelArguments *m = &w->arguments->sweep.model;
  if (!m->json)
    printf("%-16s %-6s %-14s %-8s %8s %9s %9s %9s %9s %9s\n", "task", "lang", "site", "layers",
           "runs", "generated", "acc", "acc_norm", "cal", "cal_norm");
  const xt_status status =
      xt_store_summarize_options(w->store, print_row, (void *)(uintptr_t)w->arguments, error);
  return status ? status : store_note_coverage(w->store, m->quiet, error);
}

static void print_price(const Work *w) {
  printf("runs     %llu, of %llu questions, whose prompts are run again\noptions  %llu texts to "
         "score\n",
         (unsigned long long)w->todo.runs, (unsigned long long)w->todo.prompts,
         (unsigned long long)w->todo.options);
}

/* The questions are needed for what some sites write, and for nothing else. */
static int check_usage(const Cli *cli, const SweepArguments *a) {
  static const char *const of_questions[] = {"data",         "lang",   "pivot", "cot",
                                             "source-langs", "vector", "plan",  "chat"};
  if (has_questions(a)) {
    if (!a->model.model)
      return cli_usage(cli, "--model: missing; with --%s it is needed",
                       a->pairs ? "pairs" : "task");
    return job_usage(cli, a);
  }
  for (size_t k = 0; k < sizeof of_questions / sizeof *of_questions; k++)
    if (option_is_given(cli, of_questions[k]))
      return cli_usage(cli, "--%s: needs the questions: give --pairs, or --task and --data",
                       of_questions[k]);
  return EXIT_OK;
}

static void note_skipped(const Work *w) {
  const bool given = has_questions(&w->arguments->sweep);
  if (!w->todo.skipped) return;
  cli_note(w->arguments->sweep.model.quiet,
           "%llu runs of controls, means, vectors and plans are "
           "not scored: %s",
           (unsigned long long)w->todo.skipped,
           given ? "the questions given, --source-langs, --vector and --plan do not say what they "
                   "write"
                 : "give the questions as the sweep had them (--pairs, or --task and --data), and "
                   "its --source-langs, --vector or --plan");
}

static int run(const Cli *cli, void *opaque) {
  Arguments *arguments = opaque;
  const bool quiet = arguments->sweep.model.quiet;
  Work w = {.arguments = arguments};
  xt_error error;
  xt_status status;
  bool began = false;
  if (cli->rest_count != 1) return cli_usage(cli, "give one results file");
  arguments->sweep.has_task = option_is_given(cli, "task");
  arguments->sweep.others = true;
  const int wrong = check_usage(cli, &arguments->sweep);
  if (wrong) return wrong;
  TRY_DONE(prepare(&w, cli->rest[0], &error));
  note_skipped(&w);
  if (arguments->sweep.dry_run) {
    print_price(&w);
    goto done;
  }
  if (w.todo.runs) {
    began = true;
    TRY_DONE(score(&w, cli->rest[0], &error));
    cli_note(quiet, "%s: options of %llu runs scored", cli->rest[0],
             (unsigned long long)w.todo.runs);
  }
  TRY_DONE(print_all(&w, &error));
done:
  if (began && status == XT_STATUS_CANCELLED) {
    fprintf(stderr, "xtransplant %s: stopped\n", cli->verb->name);
    cli_note(quiet, "%s keeps the finished work; the same command continues from there",
             cli->rest[0]);
  }
  const int code = began && status == XT_STATUS_CANCELLED ? interrupt_exit_code()
                                                          : cli_exit(cli, status, &error);
  xt_store_close(w.store);
  job_deinit(&w.job);
  model_deinit(&w.model);
  free(w.layers);
  return code;
}

const Verb verb_options = {
    .name = "options",
    .summary = "score the options of stored questions by likelihood",
    .about =
        "Scores the text of every option after each question's target prompt, under the untouched "
        "run and under the stored configurations, stores the log-probabilities in the results "
        "file, and prints accuracies as lm-evaluation-harness has them, beside that of the "
        "generated text: acc chooses the option with the largest log-probability, acc_norm that "
        "with the largest one divided by its characters; cal and cal_norm first subtract each "
        "option's "
        "mean over the questions of the same configuration and language. An option's text is its "
        "word, or where it has none its label; of a prompt that lists options as \"(A) text\", "
        "that text. What controls other than self, means of languages, vectors and plans write is "
        "not in the file: such runs are scored when the questions are given as the sweep had them, "
        "with its --source-langs, --vector or --plan. It costs one pass for each run and option: "
        "--dry-run says how many. A command "
        "that was stopped continues when it is given again.",
    .example =
        "xtransplant options xnli.db -m Llama-2-7b-chat-hf --source-layers all --target-layers "
        "last",
    .rest_name = "RESULTS.db",
    .rest_max = 1,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
