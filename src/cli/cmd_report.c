/* SPDX-License-Identifier: Apache-2.0 */
/* report: a results file's tables and figures. */
#include <string.h>

#include "output.h"
#include "store_model.h"
#include "verbs.h"
#include "xtransplant/report.h"

typedef struct Arguments {
  const char *output, *cot, *tuned, *beside, *lens;
  int bootstrap, permutations, threads;
  uint64_t seed, memory;
  double confidence;
  bool quiet, json, one_based, png, pdf;
} Arguments;

static const Option options[] = {
    {.name = "output", .letter = 'o', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, output), .value = "DIR",
     .help = "folder for report.html, report.json and a .csv, .tex or .svg of each table and figure; left out: tables are printed alone"},
    {.name = "cot", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, cot), .value = "FILE",
     .help = "results of the same model on prompts that ask for reasoning (sweep --cot): a row of tables 4, 6, 7"},
    {.name = "tuned", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, tuned), .value = "FILE",
     .help = "results of the fine-tuned model: a row of tables 4, 6, 7, and table 11"},
    {.name = "beside", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, beside), .value = "FILE",
     .help = "results of another model, for its rows in table 8"},
    {.name = "lens", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, lens), .value = "FILE",
     .help = "what lens --json printed for a transplant: figure 8"},
    {.name = "png", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, png), .help = "each figure as .png too (librsvg and Cairo)"},
    {.name = "pdf", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, pdf),
     .help = "each figure as .pdf too, and figures.pdf with all of them (librsvg and Cairo)"},
    {.name = "bootstrap", .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, bootstrap), .value = "N", .low = 1, .high = 100000,
     .preset = "2000", .help = "bootstrap samples of the questions"},
    {.name = "permutations", .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, permutations), .value = "N", .low = 1, .high = 1000000,
     .preset = "9999", .help = "draws of a sign-flip test that is too large to be exact"},
    {.name = "confidence", .type = OPTION_REAL, .field = OPTION_FIELD(Arguments, double, confidence), .value = "P", .low = 0.5, .high = 0.9999,
     .preset = "0.95", .help = "of intervals"},
    {.name = "seed", .type = OPTION_U64, .field = OPTION_FIELD(Arguments, uint64_t, seed), .value = "N", .preset = "1",
     .help = "of bootstrap and sign flips; the same seed gives the same figures"},
    {.name = "one-based", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, one_based),
     .help = "count layers from 1 in what is shown, as the paper does; left out: from 0, as all options do"},
    {.name = "threads", .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, threads), .value = "N", .low = 1, .high = 1024,
     .help = "threads to compute with; left out: one per processor"},
    {.name = "memory", .type = OPTION_SIZE, .field = OPTION_FIELD(Arguments, uint64_t, memory), .value = "SIZE",
     .help = "most memory for tables by question and configuration, e.g. 4G; left out: 512M and 64 times the file's size"},
    OPTION_QUIET(Arguments, quiet),
    OPTION_JSON(Arguments, json),
};

static xt_status print_json(const Arguments *a, const xt_report *report, xt_error *error) {
  const xt_analysis *analysis = xt_report_analysis(report);
  json_t *object = json_object(), *groups = json_array();
  bool ok = json_add(object, "output", a->output ? json_string(a->output) : json_null());
  for (size_t i = 0; i < xt_analysis_count(analysis); i++) {
    const xt_group *g = xt_analysis_get(analysis, i);
    json_t *group = json_object();
    ok = json_add(group, "task", json_string(g->task)) && ok;
    ok = json_add(group, "pivot", json_string(g->pivot)) && ok;
    ok = json_add(group, "instances", json_integer((json_int_t)g->instances)) && ok;
    ok = json_add(group, "vanilla", json_number(g->vanilla.overall.value)) && ok;
    ok = json_add(group, "coarse", json_number(g->coarse.overall.value)) && ok;
    ok = json_array_append_new(groups, group) == 0 && ok;
  }
  ok = json_add(object, "groups", groups) && ok;
  ok = json_add(object, "coverage", coverage_value(xt_analysis_coverage(analysis))) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status print_tables(xt_report *report, xt_error *error) {
  char *text;
  size_t length;
  const xt_status status = xt_report_text(report, &(xt_report_text_options){.width = terminal_width(), .colour = terminal_has_colours()}, &text, &length, error);
  if (status) return status;
  fwrite(text, 1, length, stdout);
  xt_report_text_free(text);
  return XT_STATUS_OK;
}

/* What a reader should know before trusting the figures. */
static void print_notes(const Arguments *a, const xt_report *report) {
  const xt_analysis *analysis = xt_report_analysis(report);
  if (a->json) cli_coverage(a->quiet, xt_analysis_coverage(analysis)); /* tables begin with it */
  if (xt_analysis_unscored(analysis)) cli_note(a->quiet, "%zu task%s without a scored question: of its responses, not of right and wrong", xt_analysis_unscored(analysis), xt_analysis_unscored(analysis) == 1 ? "" : "s");
  for (size_t i = 0; i < xt_analysis_count(analysis); i++) {
    const xt_group *g = xt_analysis_get(analysis, i);
    if (g->scored < g->instances)
      cli_note(a->quiet, "%s: %zu of %zu questions left out of the figures: no gold answer or no untouched run", g->title, g->instances - g->scored, g->instances);
    for (size_t s = 0; s < g->site_count; s++) {
      const size_t all = g->instances * (size_t)g->sites[s].configuration_count;
      if (g->sites[s].responses < all)
        cli_note(a->quiet, "%s, %s: not every question has every configuration: %zu of %zu responses; each is compared on the questions it has", g->title,
                 g->sites[s].site, g->sites[s].responses, all);
    }
  }
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *a = opaque;
  xt_report *report = NULL;
  xt_error error;
  xt_status status;
  if (cli->rest_count == 0) return cli_usage(cli, "give a results file");
  if ((a->png || a->pdf) && !a->output) return cli_usage(cli, "--png and --pdf need a folder: -o DIR");
  const xt_report_options how = {.cot = a->cot, .tuned = a->tuned, .beside = a->beside, .more = cli->rest + 1, .more_count = cli->rest_count - 1, .lens = a->lens, .one_based = a->one_based,
                                 .analysis = {.bootstrap = a->bootstrap, .permutations = a->permutations, .seed = a->seed, .confidence = a->confidence,
                                              .threads = a->threads, .memory = a->memory}};
  cli_progress(a->quiet, "reading %s", cli->rest[0]);
  TRY_DONE(xt_report_create(cli->rest[0], &how, &report, &error));
  print_notes(a, report);
  if (a->output) TRY_DONE(xt_report_write(report, a->output, &(xt_report_write_options){.png = a->png, .pdf = a->pdf}, &error));
  if (a->json) TRY_DONE(print_json(a, report, &error));
  else TRY_DONE(print_tables(report, &error));
  if (a->output) cli_note(a->quiet, "wrote %s/report.html and a file for each table and figure", a->output);
done:
  xt_report_free(report);
  return cli_exit(cli, status, &error);
}

const Verb verb_report = {
    .name = "report",
    .summary = "a results file's tables and figures, as one page and as files",
    .about = "Prints what a results file says in words, with a map of the gains, and the paper's tables, as far as a results file has what they need, and with -o writes them and the figures: report.html "
             "(one file that opens anywhere, with every response behind each cell of its heatmaps), report.json (all figures with all digits), "
             "and a .csv, .tex or .svg each. Accuracies have standard errors by question (the same question in several "
             "languages is one); each configuration is tested against the untouched model, with p-values adjusted for there being many; upper bounds are set beside what guessing gives. "
             "Further results files are those of other models: figures 2 and 4 and table 8 then have all of them.",
    .example = "xtransplant report xnli.db -o xnli-report",
    .rest_name = "RESULTS.db",
    .rest_max = 16,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
