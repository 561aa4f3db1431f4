/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's tables 1 to 4, 6, 7, 9 and 10, and what the best configuration is worth. */
#include <math.h>
#include <string.h>

#include "analysis/levels.h"
#include "report/report_parts.h"

/* ---- languages as columns ---------------------------------------------------------------------- */

void report_language_columns(Table *t, const xt_group *g) {
  for (int level = 0; level < XT_LEVEL_COUNT; level++) {
    bool any = false;
    for (size_t l = 0; l < g->language_count; l++)
      if (g->languages[l].level == level) {
        table_column(t, level_name(level), g->languages[l].name);
        any = true;
      }
    if (any) table_column(t, level_name(level), "Avg.");
  }
  for (size_t l = 0; l < g->language_count; l++)
    if (g->languages[l].level < 0) table_column(t, "Other", g->languages[l].name[0] ? g->languages[l].name : "?");
  table_column(t, "All", "instances");
}

void report_language_cells(Row *row, CellKind kind, const xt_group *g, const xt_scores *scores) {
  size_t at = 0;
  if (!row) return;
  for (int level = 0; level < XT_LEVEL_COUNT; level++) {
    bool any = false;
    for (size_t l = 0; l < g->language_count; l++)
      if (g->languages[l].level == level) {
        row->cells[at++] = cell_estimate(kind, scores->languages[l]);
        any = true;
      }
    if (any) row->cells[at++] = cell_estimate(kind, scores->levels[level]);
  }
  for (size_t l = 0; l < g->language_count; l++)
    if (g->languages[l].level < 0) row->cells[at++] = cell_estimate(kind, scores->languages[l]);
  row->cells[at] = cell_estimate(kind, scores->overall);
}

/* ---- table 1 ---------------------------------------------------------------------------------- */

/* "160 of 400" where not all of a group's responses at a site were measured; NULL: all or none were. */
static const char *measured_text(Table *t, const xt_report *r, const xt_group *g, const char *name, bool perplexity) {
  const xt_coverage *c = r->main.analysis->coverage;
  for (size_t i = 0; i < xt_coverage_count(c); i++) {
    const xt_coverage_row *row = xt_coverage_get(c, i);
    if (row->lang || strcmp(row->task, g->task) != 0 || strcmp(row->pivot, g->pivot) != 0 || row->cot != g->cot) continue;
    for (size_t s = 0; s < row->site_count; s++) {
      const xt_coverage_site *site = &row->sites[s];
      const uint64_t measured = perplexity ? site->standalone : site->language;
      if (strcmp(site->site, name) == 0 && measured && measured < site->present)
        return table_format(t, "%llu of %llu", (unsigned long long)measured, (unsigned long long)site->present);
    }
  }
  return NULL;
}

/* A row that says of how many responses the row above is, if it is not of all. */
static void measured_row(Table *t, const xt_report *r, const AnalysisGroup *const *groups, size_t count, const char *site, bool perplexity) {
  Row *row = NULL;
  for (size_t g = 0; g < count; g++) {
    const char *text = measured_text(t, r, &groups[g]->group, site, perplexity);
    if (!text) continue;
    if (!row) row = table_row(t, "  PARTLY MEASURED, responses");
    if (row) row->cells[g] = cell_text(text);
  }
}

static void metric_rows(Table *t, const xt_report *r, const AnalysisGroup *const *groups, size_t count, bool perplexity) {
  static const char *const sites[] = {"attn", "ffn", "block"};
  const CellKind kind = perplexity ? CELL_NUMBER : CELL_SHARE;
  Row *row = table_row(t, "Vanilla (no transplant)");
  for (size_t g = 0; g < count && row; g++)
    row->cells[g] = cell_estimate(kind, perplexity ? groups[g]->group.perplexity : groups[g]->group.consistency);
  measured_row(t, r, groups, count, "vanilla", perplexity);
  for (size_t s = 0; s < sizeof sites / sizeof *sites; s++) {
    row = table_row(t, table_format(t, "Transplant (%s)", report_site_title(sites[s])));
    for (size_t g = 0; g < count && row; g++)
      for (size_t k = 0; k < groups[g]->group.site_count; k++) {
        const xt_site_result *site = &groups[g]->group.sites[k];
        if (strcmp(site->site, sites[s]) == 0) row->cells[g] = cell_estimate(kind, perplexity ? site->perplexity : site->consistency);
      }
    measured_row(t, r, groups, count, sites[s], perplexity);
  }
}

static xt_status table1(xt_report *r, const AnalysisGroup *const *groups, size_t count, xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  if (!a->has_perplexity && !a->has_language) return XT_STATUS_OK;
  TRY(table_add(&r->tables, &r->arena, "table1", "", &t, error));
  t->title = "Table 1. Perplexity and language consistency of the responses";
  t->note = "Means over the responses that were measured, of all configurations; consistency: per cent of responses in the language that the task asks for.";
  for (size_t g = 0; g < count; g++) table_column(t, "", groups[g]->group.title);
  if (a->has_perplexity) {
    table_section(t, "Perplexity");
    metric_rows(t, r, groups, count, true);
  }
  if (a->has_language) {
    table_section(t, "Language consistency (%)");
    metric_rows(t, r, groups, count, false);
  }
  return table_check(t, error);
}

/* ---- table 2 ---------------------------------------------------------------------------------- */

static const char *task_type(const xt_task *task) {
  if (task->direction == XT_DIRECTION_FROM_LANGUAGE) return "Cultural adaptability";
  return task->kind == XT_TASK_CHOICE ? "Multilingual understanding" : "Multilingual generation";
}

static xt_status table2(xt_report *r, const AnalysisGroup *const *groups, size_t count, xt_error *error) {
  Table *t;
  const int layers = r->main.analysis->layers;
  TRY(table_add(&r->tables, &r->arena, "table2", "Task", &t, error));
  t->title = "Table 2. The coarse strategy";
  t->note = table_format(t, "The model has %d layers. %s", layers, report_layers_note(r));
  table_column(t, "", "Type");
  table_column(t, "", "Site");
  table_column(t, "", "Source layer");
  table_column(t, "", "Target layer");
  table_column(t, "", "In this store");
  for (size_t g = 0; g < count; g++) {
    const char *site;
    int source, target;
    if (!groups[g]->group.benchmark) continue;
    xt_coarse(groups[g]->group.benchmark, layers, &site, &source, &target);
    Row *row = table_row(t, groups[g]->group.title);
    if (!row) break;
    row->cells[0] = cell_text(task_type(groups[g]->group.benchmark));
    row->cells[1] = cell_text(report_site_title(site));
    row->cells[2] = (Cell){CELL_COUNT, source + r->first_layer, NAN, NULL};
    row->cells[3] = (Cell){CELL_COUNT, target + r->first_layer, NAN, NULL};
    row->cells[4] = cell_text(groups[g]->group.coarse.overall.count ? "yes" : "no");
  }
  return table_check(t, error);
}

/* ---- tables 3, 9, 10 -------------------------------------------------------------------------- */

/* Which of several tables that differ by the model alone. */
static const char *numbered(const xt_report *r, const char *llama, const char *mistral, const char *qwen) {
  char lower[64];
  size_t n = 0;
  for (const char *c = r->main.model; *c && n + 1 < sizeof lower; c++) lower[n++] = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
  lower[n] = 0;
  return strstr(lower, "mistral") ? mistral : strstr(lower, "qwen") ? qwen : llama;
}

static void paired_row(Table *t, const xt_group *g, const char *label, const xt_scores *from, const xt_scores *to) {
  xt_estimate languages[256];
  xt_scores gain = {.languages = languages};
  if (g->language_count > sizeof languages / sizeof *languages) return;
  for (size_t l = 0; l < g->language_count; l++)
    languages[l] = (xt_estimate){to->languages[l].value - from->languages[l].value, NAN, to->languages[l].count};
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    gain.levels[level] = (xt_estimate){to->levels[level].value - from->levels[level].value, NAN, to->levels[level].count};
  gain.overall = (xt_estimate){to->overall.value - from->overall.value, NAN, to->overall.count};
  report_language_cells(table_row(t, label), CELL_GAIN, g, &gain);
}

static xt_status table3(xt_report *r, const AnalysisGroup *group, xt_error *error) {
  const xt_group *g = &group->group;
  Table *t;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "table3-%s", report_slug(r, g)), g->title, &t, error));
  t->title = table_format(t, "Table %s. %s: the untouched model and strategies, by language", numbered(r, "3", "9", "10"), g->title);
  t->note = "Accuracy in per cent with its standard error; averages of High, Mid and Low are over languages, the last column is over instances.";
  report_language_columns(t, g);
  report_language_cells(table_row(t, "Vanilla"), CELL_SHARE, g, &g->vanilla);
  if (g->coarse.overall.count) {
    report_language_cells(table_row(t, "Coarse"), CELL_SHARE, g, &g->coarse);
    paired_row(t, g, "Coarse − Vanilla", &g->vanilla, &g->coarse);
  }
  for (size_t s = 0; s < g->site_count; s++)
    for (size_t k = 0; k < g->sites[s].strategy_count; k++) {
      const xt_strategy_result *strategy = &g->sites[s].strategies[k];
      report_language_cells(table_row(t, table_format(t, "%s (%s)", strategy->name, g->sites[s].site)), CELL_SHARE, g, &strategy->scores);
    }
  return table_check(t, error);
}

/* ---- tables 4, 6, 7 --------------------------------------------------------------------------- */

static void level_cells(Row *row, size_t group, const xt_scores *scores) {
  for (int level = 0; row && level < XT_LEVEL_COUNT; level++) row->cells[XT_LEVEL_COUNT * group + (size_t)level] = cell_estimate(CELL_SHARE, scores->levels[level]);
}

static void other_store_row(Table *t, const char *label, const ReportStore *store, bool cot, const AnalysisGroup *const *groups, size_t count) {
  Row *row = NULL;
  for (size_t g = 0; g < count; g++) {
    const AnalysisGroup *same = store->analysis ? report_same_task(store, cot, groups[g]) : NULL;
    if (!same) continue;
    if (!row) row = table_row(t, label);
    level_cells(row, g, &same->group.vanilla);
  }
}

static void strategy_rows(Table *t, const xt_analysis *a, const AnalysisGroup *const *groups, size_t count) {
  for (size_t k = 0; k < a->strategy_count; k++) {
    Row *row = NULL;
    for (size_t g = 0; g < count; g++) {
      const xt_site_result *site = report_site(&groups[g]->group);
      for (size_t i = 0; site && i < site->strategy_count; i++) {
        if (strcmp(site->strategies[i].name, a->strategies[k]) != 0) continue;
        if (!row) row = table_row(t, a->strategies[k]);
        level_cells(row, g, &site->strategies[i].scores);
      }
    }
  }
}

static xt_status table4(xt_report *r, const AnalysisGroup *const *groups, size_t count, xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  TRY(table_add(&r->tables, &r->arena, "table4", "Settings", &t, error));
  t->title = table_format(t, "Table %s. The untouched model, methods for comparison, strategies and upper bounds", numbered(r, "4", "6", "7"));
  t->note = "Accuracy in per cent, unweighted means over languages. An upper bound counts an instance if any of the N candidates is right.";
  for (size_t g = 0; g < count; g++)
    for (int level = 0; level < XT_LEVEL_COUNT; level++) table_column(t, groups[g]->group.title, level_name(level));
  Row *row = table_row(t, "Vanilla");
  for (size_t g = 0; g < count; g++) level_cells(row, g, &groups[g]->group.vanilla);
  if (r->cot.analysis || r->tuned.analysis) {
    table_section(t, "Methods for comparison");
    other_store_row(t, "CoT", &r->cot, true, groups, count);
    other_store_row(t, "ML-SFT", &r->tuned, false, groups, count);
  }
  if (a->strategy_count) {
    table_section(t, "Strategies");
    strategy_rows(t, a, groups, count);
  }
  table_section(t, "Instance-aware upper bounds");
  Row *last = table_row(t, "SourceLast");
  for (size_t g = 0; g < count; g++)
    if (report_site(&groups[g]->group)) level_cells(last, g, &report_site(&groups[g]->group)->sources[a->layers - 1].bound);
  Row *first = table_row(t, "TargetFirst");
  for (size_t g = 0; g < count; g++)
    if (report_site(&groups[g]->group)) level_cells(first, g, &report_site(&groups[g]->group)->targets[0].bound);
  return table_check(t, error);
}

/* ---- bounds against chance --------------------------------------------------------------------- */

static void bound_row(Table *t, const char *label, const xt_group *g, const xt_layer_result *layer) {
  if (layer->bound.overall.count == 0) return;
  Row *row = table_row(t, label);
  if (!row) return;
  const Cell cells[] = {cell_estimate(CELL_SHARE, g->vanilla.overall), cell_value(CELL_SHARE, g->vanilla_chance), cell_value(CELL_NUMBER, layer->candidates),
                        cell_estimate(CELL_SHARE, layer->bound.overall), cell_value(CELL_SHARE, layer->bound_low), cell_value(CELL_SHARE, layer->bound_high),
                        cell_value(CELL_SHARE, layer->chance), cell_value(CELL_SHARE, layer->chance_low), cell_value(CELL_SHARE, layer->chance_high),
                        cell_value(CELL_GAIN, layer->bound.overall.value - layer->chance)};
  memcpy(row->cells, cells, sizeof cells);
}

static xt_status bounds_table(xt_report *r, xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  TRY(table_add(&r->tables, &r->arena, "bounds", "Task, site", &t, error));
  t->title = "Upper bounds and what guessing gives";
  t->note = table_format(t, "Per cent of instances. More candidates raise a bound even where they are guesses: by chance is the same bound against gold "
                            "answers permuted within each language (mean and %.0f%% interval of %d permutations); intervals of the bound are bootstrap over instances.",
                         100 * a->options.confidence, a->options.permutations);
  static const char *const columns[][2] = {{"Vanilla", "accuracy"}, {"Vanilla", "by chance"}, {"Upper bound", "candidates"}, {"Upper bound", "bound"},
                                           {"Upper bound", "low"}, {"Upper bound", "high"}, {"By chance", "mean"}, {"By chance", "low"},
                                           {"By chance", "high"}, {"", "above chance"}};
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) table_column(t, columns[c][0], columns[c][1]);
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++) {
      const xt_group *group = &a->groups[g].group;
      const xt_site_result *site = &group->sites[s];
      const char *title = report_group_title(r, group);
      bound_row(t, table_format(t, "%s, %s, SourceLast", title, site->site), group, &site->sources[a->layers - 1]);
      bound_row(t, table_format(t, "%s, %s, TargetFirst", title, site->site), group, &site->targets[0]);
    }
  return table_check(t, error);
}

/* ---- the best of N x N ------------------------------------------------------------------------ */

static xt_status best_table(xt_report *r, xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  static const char *const columns[] = {"vanilla", "mean of all", "best", "source layer", "target layer", "gain", "low", "high", "p", "p (Holm)", "q (BH)", "gain on fresh instances"};
  TRY(table_add(&r->tables, &r->arena, "best", "Task, site", &t, error));
  t->title = "What the best configuration is worth";
  t->note = table_format(t, "The best of N² is optimistic by construction. Gain with its %.0f%% paired bootstrap interval; p: exact McNemar test, adjusted "
                            "over all configurations; fresh: gain on instances left out of each bootstrap sample, of the configuration that was best within it. %s",
                         100 * a->options.confidence, report_layers_note(r));
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) table_column(t, "", columns[c]);
  table_column(t, "Configurations", "better (Holm)");
  table_column(t, "Configurations", "worse (Holm)");
  table_column(t, "Configurations", "better (BH)");
  table_column(t, "Configurations", "worse (BH)");
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++) {
      const xt_group *group = &a->groups[g].group;
      const xt_site_result *site = &group->sites[s];
      if (site->best < 0) continue;
      const xt_configuration *best = &site->configurations[site->best];
      size_t counts[4] = {0};
      for (int c = 0; c < a->cells; c++) {
        const xt_configuration *k = &site->configurations[c];
        if (k->count == 0) continue;
        if (k->holm < 0.05) counts[k->gain < 0]++;
        if (k->bh < 0.05) counts[2 + (k->gain < 0)]++;
      }
      Row *row = table_row(t, table_format(t, "%s, %s", report_group_title(r, group), site->site));
      if (!row) break;
      const Cell cells[] = {cell_value(CELL_SHARE, (double)best->vanilla_correct / (double)best->count), cell_estimate(CELL_SHARE, site->mean.overall),
                            cell_value(CELL_SHARE, (double)best->correct / (double)best->count), cell_value(CELL_COUNT, site->best / a->layers + r->first_layer),
                            cell_value(CELL_COUNT, site->best % a->layers + r->first_layer), cell_value(CELL_GAIN, best->gain), cell_value(CELL_GAIN, best->low),
                            cell_value(CELL_GAIN, best->high), cell_value(CELL_P, best->p), cell_value(CELL_P, best->holm), cell_value(CELL_P, best->bh),
                            cell_value(CELL_GAIN, site->best_fresh)};
      memcpy(row->cells, cells, sizeof cells);
      for (size_t k = 0; k < 4; k++) row->cells[sizeof cells / sizeof *cells + k] = cell_value(CELL_COUNT, (double)counts[k]);
    }
  return table_check(t, error);
}

xt_status report_paper_tables(xt_report *r, xt_error *error) {
  const AnalysisGroup *groups[GROUPS_MOST];
  const size_t count = report_groups(&r->main, false, groups);
  TRY(table1(r, groups, count, error));
  TRY(table2(r, groups, count, error));
  for (size_t g = 0; g < count; g++) TRY(table3(r, groups[g], error));
  TRY(table4(r, groups, count, error));
  TRY(bounds_table(r, error));
  return best_table(r, error);
}
