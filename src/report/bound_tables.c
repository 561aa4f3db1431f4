/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that put the paper's upper bounds into context: chance, baselines that need no transplant,
 * and the best of N x N. */
#include <string.h>

#include "report/report_parts.h"

/* ---- bounds against chance ------------------------------------------------------------------- */

static void bound_row(Table *t, const char *label, const xt_group *g,
                      const xt_layer_result *layer) {
  if (layer->candidates <= 0) return;
  TableRow *row = table_row(t, label);
  if (!row) return;
  const bool all = layer->complete > 0; /* else the row says why it has no bound */
  const Cell cells[] = {cell_value(CELL_NUMBER, layer->candidates),
                        cell_value(CELL_COUNT, (double)layer->complete),
                        cell_value(CELL_COUNT, (double)g->scored),
                        cell_estimate(CELL_SHARE, layer->vanilla),
                        cell_estimate(CELL_SHARE, layer->bound.overall),
                        cell_value(CELL_SHARE, layer->bound_low),
                        cell_value(CELL_SHARE, layer->bound_high),
                        cell_value(CELL_SHARE, layer->chance),
                        cell_value(CELL_SHARE, layer->chance_low),
                        cell_value(CELL_SHARE, layer->chance_high),
                        cell_value(CELL_GAIN, layer->above),
                        cell_value(CELL_GAIN, layer->above_low),
                        cell_value(CELL_GAIN, layer->above_high)};
  memcpy(row->cells, cells, (all ? sizeof cells / sizeof *cells : 3) * sizeof *cells);
}

/* The untouched model's row: the bound of its single response. */
static void vanilla_bound_row(Table *t, const char *label, const xt_group *g) {
  TableRow *row = table_row(t, label);
  if (!row) return;
  const Cell cells[] = {cell_value(CELL_NUMBER, 1),
                        cell_value(CELL_COUNT, (double)g->scored),
                        cell_value(CELL_COUNT, (double)g->scored),
                        cell_estimate(CELL_SHARE, g->vanilla.overall),
                        cell_estimate(CELL_SHARE, g->vanilla.overall),
                        (Cell){0},
                        (Cell){0},
                        cell_value(CELL_SHARE, g->vanilla_chance),
                        (Cell){0},
                        (Cell){0},
                        cell_value(CELL_GAIN, g->vanilla_above),
                        cell_value(CELL_GAIN, g->vanilla_above_low),
                        cell_value(CELL_GAIN, g->vanilla_above_high)};
  memcpy(row->cells, cells, sizeof cells);
}

xt_status report_bounds_table(xt_report *r, xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  TRY(table_add(&r->tables, &r->arena, "bounds", "Task, site", &t, error));
  t->title = "Upper bounds and what guessing gives";
  t->note = table_format(
      t,
      "Per cent of the questions that have all %d candidates; without such questions "
      "there is no bound. More candidates raise a bound even if they are guesses: "
      "a bound by chance is the same bound against the gold answers of the other questions "
      "of the language, as a mean over these. Intervals (%.0f%%) are bootstrap "
      "intervals over questions. The part above chance still contains what the untouched "
      "model knows, which its own row shows.",
      a->layers, 100 * a->options.confidence);
  static const char *const columns[][2] = {
      {"Candidates", "mean"},  {"Questions", "with all"},      {"Questions", "of"},
      {"", "vanilla"},         {"Upper bound", "bound"},       {"Upper bound", "low"},
      {"Upper bound", "high"}, {"By chance", "mean"},          {"By chance", "low"},
      {"By chance", "high"},   {"Above chance", "difference"}, {"Above chance", "low"},
      {"Above chance", "high"}};
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
    table_column(t, columns[c][0], columns[c][1]);
  for (size_t g = 0; g < a->count; g++) {
    const xt_group *group = &a->groups[g].group;
    const char *title = report_group_title(r, group);
    vanilla_bound_row(t, table_format(t, "%s, vanilla", title), group);
    for (size_t s = 0; s < group->site_count; s++) {
      const xt_site_result *site = &group->sites[s];
      bound_row(t, table_format(t, "%s, %s, SourceLast", title, site->site), group,
                &site->sources[a->layers - 1]);
      bound_row(t, table_format(t, "%s, %s, TargetFirst", title, site->site), group,
                &site->targets[0]);
    }
  }
  return table_check(t, error);
}

/* ---- what needs no transplant ---------------------------------------------------------------- */

static void baseline_row(Table *t, const char *label, const xt_scores *scores) {
  TableRow *row = scores->overall.count ? table_row(t, label) : NULL;
  if (!row) return;
  for (size_t level = 0; level < XT_LEVEL_COUNT; level++)
    row->cells[level] = cell_estimate(CELL_SHARE, scores->levels[level]);
  row->cells[XT_LEVEL_COUNT] = cell_estimate(CELL_SHARE, scores->overall);
  row->cells[XT_LEVEL_COUNT + 1] = cell_value(CELL_COUNT, (double)scores->overall.count);
}

static void difference_cells(Table *t, const xt_difference *d) {
  TableRow *row = t->row_count ? &t->rows[t->row_count - 1] : NULL;
  if (!row || row->section || d->count == 0) return;
  const Cell cells[] = {cell_value(CELL_GAIN, d->gain), cell_value(CELL_GAIN, d->low),
                        cell_value(CELL_GAIN, d->high), cell_value(CELL_P, d->p)};
  memcpy(row->cells + XT_LEVEL_COUNT + 2, cells, sizeof cells);
}

static void baseline_rows(Table *t, const xt_group *g) {
  const xt_site_result *site = report_site(g);
  baseline_row(t, "Vanilla", &g->vanilla);
  baseline_row(t, "Vanilla by chance", &g->vanilla_chance_scores);
  if (g->source.overall.count) {
    baseline_row(t, "Source prompt's own answer", &g->source);
    difference_cells(t, &g->source_gain.overall);
    baseline_row(t, "Either right: target alone, source alone", &g->oracle);
    difference_cells(t, &g->oracle_gain.overall);
  }
  for (size_t k = 0; k < g->pass_count; k++)
    baseline_row(t,
                 table_format(t, "pass@%zu of sampled answers (temperature %g, top-p %g)",
                              g->passes[k].n, g->passes[k].temperature, g->passes[k].top_p),
                 &g->passes[k].scores);
  if (g->coarse.overall.count) {
    baseline_row(t, "Coarse", &g->coarse);
    difference_cells(t, &g->coarse_gain.overall);
  }
  if (!site) return;
  baseline_row(t, table_format(t, "SourceLast (%s), any of %d", site->site, g->layers),
               &site->sources[g->layers - 1].bound);
  baseline_row(t, "SourceLast by chance", &site->sources[g->layers - 1].chance_scores);
  baseline_row(t, table_format(t, "TargetFirst (%s), any of %d", site->site, g->layers),
               &site->targets[0].bound);
  baseline_row(t, "TargetFirst by chance", &site->targets[0].chance_scores);
}

/* Only for stores that have baselines besides the transplants. */
xt_status report_baselines_table(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                                 xt_error *error) {
  static const char *const columns[][2] = {
      {"Average", "High"},     {"Average", "Mid"},       {"Average", "Low"},
      {"All", "instances"},    {"All", "count"},         {"Over vanilla", "gain"},
      {"Over vanilla", "low"}, {"Over vanilla", "high"}, {"Over vanilla", "p"}};
  Table *t;
  bool any = false;
  for (size_t g = 0; g < count; g++)
    any = any || groups[g]->group.source.overall.count || groups[g]->group.pass_count;
  if (!any) return XT_STATUS_OK;
  TRY(table_add(&r->tables, &r->arena, "baselines", "Answers", &t, error));
  t->title = "What needs no transplant, beside the coarse strategy and the upper bounds";
  t->note = "Accuracy in per cent. The source prompt's own answer is scored as the same question "
            "in the source's language where the store has it. The row of either right is "
            "the oracle of two candidates; pass@n is the unbiased estimate of the chance that one "
            "of n sampled answers is right. A bound of N candidates says something about "
            "transplants only as far as it exceeds these. p: sign-flip test by question, of each "
            "comparison by itself.";
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
    table_column(t, columns[c][0], columns[c][1]);
  for (size_t g = 0; g < count; g++) {
    table_section(t, groups[g]->group.title);
    baseline_rows(t, &groups[g]->group);
  }
  return table_check(t, error);
}

/* ---- the best of N x N ----------------------------------------------------------------------- */

/* For one site; nothing if no configuration is present. */
static void best_row(Table *t, xt_report *r, const xt_group *group, const xt_site_result *site) {
  const xt_analysis *a = r->main.analysis;
  if (site->best < 0) return;
  const xt_configuration *best = &site->configurations[site->best];
  size_t counts[4] = {0};
  for (int c = 0; c < a->cells; c++) {
    const xt_configuration *k = &site->configurations[c];
    if (k->count == 0) continue;
    if (k->holm < 0.05) counts[k->gain < 0]++;
    if (k->bh < 0.05) counts[2 + (k->gain < 0)]++;
  }
  TableRow *row = table_row(t, table_format(t, "%s, %s", report_group_title(r, group), site->site));
  if (!row) return;
  const Cell cells[] = {cell_value(CELL_SHARE, (double)best->vanilla_correct / (double)best->count),
                        cell_estimate(CELL_SHARE, site->mean.overall),
                        cell_value(CELL_SHARE, (double)best->correct / (double)best->count),
                        cell_value(CELL_COUNT, site->best / a->layers + r->first_layer),
                        cell_value(CELL_COUNT, site->best % a->layers + r->first_layer),
                        cell_value(CELL_GAIN, best->gain),
                        cell_value(CELL_GAIN, best->low),
                        cell_value(CELL_GAIN, best->high),
                        cell_value(CELL_P, best->p),
                        cell_value(CELL_P, best->mcnemar),
                        cell_value(CELL_P, best->holm),
                        cell_value(CELL_P, best->bh),
                        cell_value(CELL_P, best->holm_all),
                        cell_value(CELL_P, best->bh_all),
                        cell_value(CELL_GAIN, site->best_fresh)};
  memcpy(row->cells, cells, sizeof cells);
  for (size_t k = 0; k < 4; k++)
    row->cells[sizeof cells / sizeof *cells + k] = cell_value(CELL_COUNT, (double)counts[k]);
}

xt_status report_best_table(xt_report *r, xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  static const char *const columns[] = {"vanilla",       "mean of all",  "best",
                                        "source layer",  "target layer", "gain",
                                        "low",           "high",         "p",
                                        "p (McNemar)",   "p (Holm)",     "q (BH)",
                                        "p (Holm, all)", "q (BH, all)",  "gain on fresh questions"};
  TRY(table_add(&r->tables, &r->arena, "best", "Task, site", &t, error));
  t->title = "What the best configuration is worth";
  t->note =
      table_format(t,
                   "The best of N² is optimistic by construction. The gain has its %.0f%% paired "
                   "bootstrap interval over questions. p is the sign-flip test by question "
                   "(McNemar: the exact test that takes instances as independent), adjusted over "
                   "all configurations of the row, and (all) over those of every row. The fresh "
                   "gain is that on questions left out of each bootstrap sample, of the "
                   "configuration that is best within the sample. %s",
                   100 * a->options.confidence, report_layers_note(r));
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) table_column(t, "", columns[c]);
  table_column(t, "Configurations", "better (Holm)");
  table_column(t, "Configurations", "worse (Holm)");
  table_column(t, "Configurations", "better (BH)");
  table_column(t, "Configurations", "worse (BH)");
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++) {
      best_row(t, r, &a->groups[g].group, &a->groups[g].group.sites[s]);
    }
  return table_check(t, error);
}
