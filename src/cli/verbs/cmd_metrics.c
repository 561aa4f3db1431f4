/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: measure the perplexity and language of stored responses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/store_model.h"
#include "shell/interrupt.h"
#include "shell/output.h"
#include "shell/progress.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  const char *perplexity, *lid;
  bool by_language;
} Arguments;

static const Option options[] = {
    OPTION_MODEL_OPTIONAL(
        Arguments, model,
        "the model that made the responses, which is needed as long as perplexities are missing"),
    {.name = "perplexity",
     .letter = 'p',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, perplexity),
     .value = "LIST",
     .help = "what to compute, separated by commas: standalone (of the response's text alone), "
             "conditional (given the prompt), self (under the run that made it), none; without it, "
             "standalone where a model is given"},
    {.name = "lid",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, lid),
     .value = "FILE",
     .help = "fastText's lid.176.bin or lid.176.ftz, with which the languages of the responses are "
             "identified"},
    {.name = "by-lang",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, by_language),
     .help = "print a row for each language, besides the one for all languages together"},
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_PROGRESS(Arguments, model.progress),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

typedef struct Metrics {
  const Arguments *arguments;
  bool wanted[XT_METRIC_COUNT];
  uint64_t missing[XT_METRIC_COUNT];
  xt_store *store;
  xt_langid *langid;
  LoadedModel model;
  char hash[XT_MODEL_HASH_SIZE];
  Progress progress;
  uint64_t before; /* values added by earlier calls of the library */
  uint64_t total;
} Metrics;

/* EXIT_OK, or EXIT_USAGE after naming the unknown name. */
static int read_wanted(const Cli *cli, Metrics *m) {
  static const char *const names[] = {"standalone", "conditional", "self", "none", NULL};
  const char *list = m->arguments->perplexity;
  m->wanted[XT_METRIC_LANGUAGE] = m->arguments->lid != NULL;
  if (!list) {
    m->wanted[XT_METRIC_STANDALONE] = m->arguments->model.model != NULL;
    return EXIT_OK;
  }
  while (*list) {
    char name[32];
    size_t which = 0;
    const size_t length = strcspn(list, ",");
    snprintf(name, sizeof name, "%.*s", (int)(length < 31 ? length : 31), list);
    while (names[which] && strcmp(names[which], name) != 0) which++;
    if (!names[which])
      return cli_usage(cli, "--perplexity: '%s' is not one of standalone, conditional, self, none",
                       name);
    if (which <= XT_METRIC_CONDITIONAL) m->wanted[which] = true; /* self needs no work */
    list += length + (list[length] == ',');
  }
  return EXIT_OK;
}

static bool tick(void *user, uint64_t done) {
  Metrics *m = user;
  done += m->before;
  if (progress_due(&m->progress))
    progress_print(
        &m->progress, (double)done / (double)m->total, "%llu/%llu values  %.1f/s  %.2f GB",
        (unsigned long long)done, (unsigned long long)m->total,
        (double)done / (seconds_now() - m->progress.began + 1e-9), (double)resident_bytes() / 1e9);
  return interrupt_asked();
}

/* Finds what there is to do, and reports errors before the weights are read. */
static xt_status prepare(Metrics *m, const char *path, xt_error *error) {
  xt_status status;
  if (m->arguments->lid) TRY_DONE(xt_langid_open(m->arguments->lid, &m->langid, error));
  TRY_DONE(xt_store_open(path, XT_STORE_READ, &m->store, error));
  for (int i = 0; i < XT_METRIC_COUNT; i++)
    if (m->wanted[i])
      TRY_DONE(xt_store_count_unmeasured(m->store, (xt_metric)i, &m->missing[i], error));
  const uint64_t texts = m->missing[XT_METRIC_STANDALONE] + m->missing[XT_METRIC_CONDITIONAL];
  if (texts && !m->arguments->model.model) {
    status = error_set(
        error, XT_STATUS_ARGUMENT, path, "--model", -1,
        "missing: %llu perplexities must be computed; give the model that made the responses",
        (unsigned long long)texts);
    goto done;
  }
  if (m->arguments->model.model) {
    TRY_DONE(model_describe(&m->arguments->model, &m->model, error));
    TRY_DONE(store_check_model(m->store, &m->arguments->model, &m->model, m->hash, error));
  }
  /* --lid: also to check that it is the same file as before */
  const bool write = texts || m->missing[XT_METRIC_LANGUAGE] || m->langid;
  if (write) {
    xt_store_close(m->store);
    m->store = NULL;
    TRY_DONE(xt_store_open(path, XT_STORE_WRITE, &m->store, error));
  }
done:
  return status;
}

static xt_status measure(Metrics *m, xt_error *error) {
  const xt_measure_options how = {.tick = tick, .user = m};
  const uint64_t scored = m->missing[XT_METRIC_STANDALONE] + m->missing[XT_METRIC_CONDITIONAL];
  xt_status status = XT_STATUS_OK;
  interrupt_watch();
  store_report_waiting(m->store, m->arguments->model.quiet);
  if (scored) {
    TRY_DONE(model_load(&m->arguments->model, &m->model, error));
    TRY_DONE(
        store_begin_model(m->store, &m->arguments->model, &m->model, m->hash, "metrics", error));
  }
  m->total = scored + m->missing[XT_METRIC_LANGUAGE];
  progress_begin(&m->progress, m->arguments->model.progress, m->arguments->model.quiet);
  for (int i = 0; i < XT_METRIC_COUNT && !status; i++) {
    const xt_metric metric = (xt_metric)i;
    if (metric == XT_METRIC_LANGUAGE && m->langid)
      status = xt_store_measure_languages(m->store, m->langid, &how, error);
    else if (m->missing[i])
      status = xt_store_measure_perplexity(m->store, m->model.session, metric, &how, error);
    m->before += m->missing[i];
  }
  progress_end(&m->progress);
done:
  return status;
}

/* ---- what is printed ------------------------------------------------------------------------- */

/* A star marks figures that do not cover all responses. */
static void print_mean(double mean, uint64_t count, bool all) {
  char text[40];
  snprintf(text, sizeof text, count ? "%.2f%s" : "-", mean, all ? "" : "*");
  printf(" %11s", text);
}

static void print_share(uint64_t part, uint64_t of, bool all) {
  char text[40];
  snprintf(text, sizeof text, of ? "%.2f%s" : "-", 100 * (double)part / (double)(of ? of : 1),
           all ? "" : "*");
  printf(" %9s", text);
}

static json_t *mean_json(double mean, uint64_t count, uint64_t measured) {
  json_t *object = json_object();
  bool ok = json_add(object, "mean", json_number(mean));
  ok = json_add(object, "count", json_integer((json_int_t)count)) && ok;
  ok = json_add(object, "measured", json_integer((json_int_t)measured)) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

static xt_status row_json(const xt_metrics_row *r, xt_error *error) {
  json_t *object = json_object();
  bool ok = json_add(object, "task", json_string(r->task));
  ok = json_add(object, "lang", r->lang ? json_string(r->lang) : json_null()) && ok;
  ok = json_add(object, "site", json_string(r->site)) && ok;
  ok = json_add(object, "responses", json_integer((json_int_t)r->responses)) && ok;
  ok = json_add(object, "standalone",
                mean_json(r->standalone.mean, r->standalone.count, r->standalone.measured)) &&
       ok;
  ok = json_add(object, "conditional",
                mean_json(r->conditional.mean, r->conditional.count, r->conditional.measured)) &&
       ok;
  ok = json_add(object, "self", mean_json(r->self.mean, r->self.count, r->self.measured)) && ok;
  ok = json_add(object, "identified", json_integer((json_int_t)r->identified)) && ok;
  ok = json_add(object, "consistent", json_integer((json_int_t)r->consistent)) && ok;
  ok = json_add(object, "too_short", json_integer((json_int_t)r->too_short)) && ok;
  ok = json_add(object, "consistent_long", json_integer((json_int_t)r->consistent_long)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status print_row(void *user, const xt_metrics_row *r, xt_error *error) {
  const Arguments *a = user;
  if (r->lang && !a->by_language) return XT_STATUS_OK;
  if (a->model.json) return row_json(r, error);
  print_name(r->task, 16);
  print_name(r->lang ? r->lang : "all", 6);
  print_name(r->site, 14);
  printf("%9llu", (unsigned long long)r->responses);
  const bool identified = r->identified == r->responses;
  print_mean(r->standalone.mean, r->standalone.count, r->standalone.measured == r->responses);
  print_mean(r->conditional.mean, r->conditional.count, r->conditional.measured == r->responses);
  print_mean(r->self.mean, r->self.count, true);
  print_share(r->consistent, r->identified, identified);
  print_share(r->too_short, r->identified, identified);
  print_share(r->consistent_long, r->identified - r->too_short, identified);
  putchar('\n');
  return XT_STATUS_OK;
}

static xt_status print_all(const Metrics *m, xt_error *error) {
  if (!m->arguments->model.json)
    printf("%-16s %-6s %-14s %9s %11s %11s %11s %9s %9s %9s\n", "task", "lang", "site", "responses",
           "standalone", "conditional", "self", "in lang %", "short %", "of rest %");
  xt_status status =
      xt_store_summarize_metrics(m->store, print_row, (void *)(uintptr_t)m->arguments, error);
  if (!status) status = store_note_coverage(m->store, m->arguments->model.quiet, error);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  Metrics m = {.arguments = arguments};
  xt_error error;
  xt_status status;
  if (cli->rest_count != 1) return cli_usage(cli, "give one results file");
  const int wrong = read_wanted(cli, &m);
  if (wrong) return wrong;
  bool began = false;
  TRY_DONE(prepare(&m, cli->rest[0], &error));
  const uint64_t missing = m.missing[XT_METRIC_STANDALONE] + m.missing[XT_METRIC_CONDITIONAL] +
                           m.missing[XT_METRIC_LANGUAGE];
  if (missing || m.langid) {
    began = missing > 0;
    TRY_DONE(measure(&m, &error));
  }
  if (missing)
    cli_note(arguments->model.quiet, "%s: %llu values added", cli->rest[0],
             (unsigned long long)missing);
  else if (m.wanted[0] || m.wanted[1] || m.wanted[2])
    cli_note(arguments->model.quiet, "%s: all values are present; nothing to do", cli->rest[0]);
  TRY_DONE(print_all(&m, &error));
done:
  if (began && status == XT_STATUS_CANCELLED) {
    fprintf(stderr, "xtransplant %s: stopped\n", cli->verb->name);
    cli_note(arguments->model.quiet,
             "%s keeps the finished work; the same command continues "
             "from there",
             cli->rest[0]);
  }
  const int code = began && status == XT_STATUS_CANCELLED ? interrupt_exit_code()
                                                          : cli_exit(cli, status, &error);
  xt_store_close(m.store);
  xt_langid_close(m.langid);
  model_deinit(&m.model);
  return code;
}

const Verb verb_metrics = {
    .name = "metrics",
    .summary = "measure the perplexity and language of stored responses",
    .about =
        "Measures the responses of a results file that have not been measured yet, stores the "
        "values in the file, and prints means for each task and site. There are three "
        "perplexities: standalone is that of the response's text alone, scored by the untouched "
        "model; conditional is that of the response given the prompt; self is that of the "
        "response under the run that made it. With --lid there are three shares of languages: of "
        "all responses, those in the language that the task asks for; of all responses, those "
        "with fewer than 4 letters, which are too short to tell; and of the remaining ones, "
        "those in that language. A blank response is in no language. A star marks a figure that "
        "covers only a part of the responses, because the others have not been measured yet. A "
        "command that was stopped continues when it is given again; when everything is measured, "
        "it only prints.",
    .example = "xtransplant metrics xnli.db -m Llama-2-7b-chat-hf --perplexity "
               "standalone,conditional --lid lid.176.bin",
    .rest_name = "RESULTS.db",
    .rest_max = 1,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
