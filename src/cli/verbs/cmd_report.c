/* SPDX-License-Identifier: Apache-2.0 */
/* report: a results file's tables and figures. */
#include <stdio.h>
#include <string.h>

#include "inputs/file_list.h"
#include "results/store_model.h"
#include "shell/output.h"
#include "verbs/verbs.h"
#include "xtransplant/report.h"

typedef struct Arguments {
  const char *output, *cot, *tuned, *beside, *lens;
  int bootstrap, permutations, threads;
  uint64_t seed, memory;
  double confidence;
  bool quiet, json, one_based, png, pdf;
} Arguments;

static const Option options[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, output),
     .value = "DIR",
     .help = "the folder for report.html, report.json and a .csv, .tex or .svg file for each table "
             "and figure; without it, tables are only printed"},
    {.name = "cot",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, cot),
     .value = "FILE",
     .help = "results of the same model on prompts that ask for reasoning (sweep --cot), which "
             "become a row of tables 4, 6 and 7"},
    {.name = "tuned",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, tuned),
     .value = "FILE",
     .help = "results of the fine-tuned model, which become a row of tables 4, 6 and 7 and make "
             "table 11"},
    {.name = "beside",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, beside),
     .value = "FILE",
     .help = "results of another model, which become rows of table 8"},
    {.name = "lens",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, lens),
     .value = "FILE",
     .help = "the output of lens --json for a transplant, which makes figure 8"},
    {.name = "png",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, png),
     .help = "write each figure as .png too; this needs librsvg and Cairo"},
    {.name = "pdf",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, pdf),
     .help = "write each figure as .pdf too, and all of them into figures.pdf; this needs librsvg "
             "and Cairo"},
    {.name = "bootstrap",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, bootstrap),
     .value = "N",
     .low = 1,
     .high = 100000,
     .preset = "2000",
     .help = "the number of bootstrap samples of the questions"},
    {.name = "permutations",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, permutations),
     .value = "N",
     .low = 1,
     .high = 1000000,
     .preset = "9999",
     .help = "the number of random draws of a sign-flip test that has too many questions to be "
             "exact"},
    {.name = "confidence",
     .type = OPTION_REAL,
     .field = OPTION_FIELD(Arguments, double, confidence),
     .value = "P",
     .low = 0.5,
     .high = 0.9999,
     .preset = "0.95",
     .help = "the confidence level of intervals"},
    {.name = "seed",
     .type = OPTION_U64,
     .field = OPTION_FIELD(Arguments, uint64_t, seed),
     .value = "N",
     .preset = "1",
     .help = "the seed of the bootstrap and the sign flips; the same seed gives the same figures"},
    {.name = "one-based",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, one_based),
     .help = "count layers from 1 in all output, as the paper does; without it, from 0, as in "
             "all options"},
    {.name = "threads",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, threads),
     .value = "N",
     .low = 1,
     .high = 1024,
     .help = "the number of threads to compute with; without it, one per processor"},
    {.name = "memory",
     .type = OPTION_SIZE,
     .field = OPTION_FIELD(Arguments, uint64_t, memory),
     .value = "SIZE",
     .help = "the most memory that tables by question and configuration may take, e.g. 4G; without "
             "it, 512M and 64 times the size of the file"},
    OPTION_QUIET(Arguments, quiet),
    OPTION_JSON(Arguments, json),
};

/* A results file of the report, added to `object`. */
static bool add_store(json_t *object, const xt_report_store *store) {
  json_t *groups = json_array();
  bool ok = json_add(object, "file", json_string(store->file));
  ok = json_add(object, "model", json_string(store->model)) && ok;
  for (size_t i = 0; i < xt_analysis_count(store->analysis); i++) {
    const xt_group *g = xt_analysis_get(store->analysis, i);
    json_t *group = json_object();
    ok = json_add(group, "task", json_string(g->task)) && ok;
    ok = json_add(group, "pivot", json_string(g->pivot)) && ok;
    ok = json_add(group, "instances", json_integer((json_int_t)g->instances)) && ok;
    ok = json_add(group, "vanilla", json_number(g->vanilla.overall.value)) && ok;
    ok = json_add(group, "coarse", json_number(g->coarse.overall.value)) && ok;
    ok = json_array_append_new(groups, group) == 0 && ok;
  }
  ok = json_add(object, "groups", groups) && ok;
  return json_add(object, "coverage", coverage_value(xt_analysis_coverage(store->analysis))) && ok;
}

/* The first file's members are the object's own; those of the others are in `more`. */
static xt_status print_json(const Arguments *a, const xt_report *report, xt_error *error) {
  json_t *object = json_object(), *more = json_array();
  bool ok = json_add(object, "output", a->output ? json_string(a->output) : json_null());
  for (size_t i = 0; i < xt_report_store_count(report); i++) {
    const xt_report_store store = xt_report_store_get(report, i);
    json_t *into = i ? json_object() : object;
    ok = add_store(into, &store) && ok;
    if (i) ok = json_array_append_new(more, into) == 0 && ok;
  }
  ok = json_add(object, "more", more) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status print_tables(xt_report *report, xt_error *error) {
  char *text;
  size_t length;
  const xt_status status = xt_report_text(
      report,
      &(xt_report_text_options){.width = terminal_width(), .colour = terminal_has_colours()}, &text,
      &length, error);
  if (status) return status;
  fwrite(text, 1, length, stdout);
  xt_free(text);
  return XT_STATUS_OK;
}

/* `file`: what a note begins with, where there are several; else "". */
static void note_store(const Arguments *a, const char *file, const xt_analysis *analysis) {
  const xt_coverage *coverage = xt_analysis_coverage(analysis);
  for (size_t i = 0; a->json && i < xt_coverage_note_count(coverage); i++)
    cli_note(a->quiet, "%s%s", file, xt_coverage_note(coverage, i)); /* tables begin with it */
  if (xt_analysis_unscored(analysis))
    cli_note(a->quiet,
             "%s%zu task%s without scored questions: shown by changed responses, not by accuracy",
             file, xt_analysis_unscored(analysis), xt_analysis_unscored(analysis) == 1 ? "" : "s");
  for (size_t i = 0; i < xt_analysis_count(analysis); i++) {
    const xt_group *g = xt_analysis_get(analysis, i);
    if (g->scored < g->instances)
      cli_note(a->quiet,
               "%s%s: %zu of %zu questions left out of the figures: no gold answer or no untouched "
               "run",
               file, g->title, g->instances - g->scored, g->instances);
    for (size_t s = 0; s < g->site_count; s++) {
      const size_t all = g->instances * (size_t)g->sites[s].configuration_count;
      if (g->sites[s].responses < all)
        cli_note(a->quiet,
                 "%s%s, %s: not every question has every configuration (%zu of %zu responses); "
                 "each configuration is compared on the questions that have it",
                 file, g->title, g->sites[s].site, g->sites[s].responses, all);
    }
  }
}

/* Warnings that a reader should know before trusting the figures. */
static void print_notes(const Arguments *a, const xt_report *report) {
  const size_t count = xt_report_store_count(report);
  for (size_t i = 0; i < count; i++) {
    char file[512] = "";
    const xt_report_store store = xt_report_store_get(report, i);
    if (count > 1) snprintf(file, sizeof file, "%s: ", store.file);
    note_store(a, file, store.analysis);
  }
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *a = opaque;
  xt_report *report = NULL;
  FileList files = {0};
  xt_error error;
  xt_status status;
  if (cli->rest_count == 0) return cli_usage(cli, "give a results file");
  if ((a->png || a->pdf) && !a->output)
    return cli_usage(cli, "--png and --pdf need a folder: -o DIR");
  const xt_analysis_options analysis = {.bootstrap = a->bootstrap,
                                        .permutations = a->permutations,
                                        .seed = a->seed,
                                        .confidence = a->confidence,
                                        .threads = a->threads,
                                        .memory = a->memory};
  for (size_t i = 0; i < cli->rest_count; i++)
    TRY_DONE(file_list_add(&files, cli->rest[i], ".db", &error));
  const xt_report_options how = {.cot = a->cot,
                                 .tuned = a->tuned,
                                 .beside = a->beside,
                                 .more = (const char *const *)files.names + 1,
                                 .more_count = files.count - 1,
                                 .lens = a->lens,
                                 .one_based = a->one_based,
                                 .analysis = &analysis};
  cli_progress(a->quiet, "reading %s", files.names[0]);
  TRY_DONE(xt_report_create(files.names[0], &how, &report, &error));
  print_notes(a, report);
  if (a->output)
    TRY_DONE(xt_report_write(report, a->output,
                             &(xt_report_write_options){.png = a->png, .pdf = a->pdf}, &error));
  if (a->json)
    TRY_DONE(print_json(a, report, &error));
  else
    TRY_DONE(print_tables(report, &error));
  if (a->output)
    cli_note(a->quiet, "wrote %s/report.html and a file for each table and figure", a->output);
done:
  xt_report_free(report);
  file_list_deinit(&files);
  return cli_exit(cli, status, &error);
}

const Verb verb_report = {
    .name = "report",
    .summary = "print the tables of a results file; write a page, tables and figures",
    .about =
        "Prints a summary of a results file in words, a map of the gains, and those of the "
        "paper's tables that the file has the data for. With -o it also writes the tables and "
        "figures: report.html is a single page that needs no other file and shows the responses "
        "behind each cell of its heatmaps; report.json has all numbers with all their digits; "
        "and each table and figure has a .csv, .tex or .svg file. Accuracies have standard "
        "errors by question, where the same question in several languages counts as one. Each "
        "configuration is tested against the untouched model, and the p-values are adjusted for "
        "the number of configurations. Upper bounds are shown beside the accuracy of guessing. "
        "Several results files, or a folder, which stands for its *.db files, are compared: a "
        "table has a row for each model and a column for each task and site, another names what "
        "the files lack of it, and figures 2 and 4 and table 8 have every model. Everything else "
        "is of the first file.",
    .example = "xtransplant report xnli.db -o xnli-report",
    .rest_name = "RESULTS.db ...",
    .rest_max = 64,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
