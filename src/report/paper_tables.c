/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's tables 1 to 4, 6, 7, 9 and 10. */
#include <math.h>
#include <string.h>

#include "analysis/levels.h"
#include "report/report_parts.h"

/* ---- table 1 --------------------------------------------------------------------------------- */

typedef enum Figure {
  FIGURE_MEAN,
  FIGURE_GEOMETRIC,
  FIGURE_MEDIAN,
  FIGURE_CONSISTENCY,
  FIGURE_COUNT
} Figure;

/* Headings, and the names of the rows under them in files. */
static const struct {
  const char *title, *name;
} figures[FIGURE_COUNT] = {{"Perplexity (mean of e^nll)", "perplexity"},
                           {"Perplexity (e^(mean nll))", "perplexity, geometric"},
                           {"Perplexity (median)", "perplexity, median"},
                           {"Language consistency (%)", "consistency"}};

static Cell figure_cell(Figure figure, const xt_text_summary *s) {
  switch (figure) {
    case FIGURE_MEAN: return cell_estimate(CELL_NUMBER, s->perplexity);
    case FIGURE_GEOMETRIC: return cell_estimate(CELL_NUMBER, s->geometric);
    case FIGURE_MEDIAN: return s->perplexity.count ? cell_value(CELL_NUMBER, s->median) : (Cell){0};
    default: return cell_estimate(CELL_SHARE, s->consistency);
  }
}

/* "160 of 400" if only some of a group's responses at a site were measured; NULL: all or none
 * were. */
static const char *measured_text(Table *t, const xt_report *r, const xt_group *g, const char *name,
                                 bool perplexity) {
  const xt_coverage *c = r->main.analysis->coverage;
  for (size_t i = 0; i < xt_coverage_count(c); i++) {
    const xt_coverage_row *row = xt_coverage_get(c, i);
    if (row->lang || strcmp(row->task, g->task) != 0 || strcmp(row->pivot, g->pivot) != 0 ||
        row->cot != g->cot)
      continue;
    for (size_t s = 0; s < row->site_count; s++) {
      const xt_coverage_site *site = &row->sites[s];
      const uint64_t measured = perplexity ? site->standalone : site->language;
      if (strcmp(site->site, name) == 0 && measured && measured < site->present)
        return table_format(t, "%llu of %llu", (unsigned long long)measured,
                            (unsigned long long)site->present);
    }
  }
  return NULL;
}

/* A row that says how many responses the row above covers, if not all. */
static void measured_row(Table *t, const xt_report *r, const AnalysisGroup *const *groups,
                         size_t count, const char *site, Figure figure) {
  TableRow *row = NULL;
  for (size_t g = 0; g < count; g++) {
    const char *text = measured_text(t, r, &groups[g]->group, site, figure != FIGURE_CONSISTENCY);
    if (!text) continue;
    if (!row) row = table_row(t, "  PARTLY MEASURED, responses");
    if (row) row->cells[1 + g] = cell_text(text);
    if (row) row->cells[0] = cell_text(figures[figure].name);
  }
}

static bool any_site(const AnalysisGroup *const *groups, size_t count, const char *name) {
  for (size_t g = 0; g < count; g++)
    for (size_t s = 0; s < groups[g]->group.site_count; s++)
      if (strcmp(groups[g]->group.sites[s].site, name) == 0) return true;
  return false;
}

static void metric_rows(Table *t, const xt_report *r, const AnalysisGroup *const *groups,
                        size_t count, Figure figure) {
  /* the paper's rows; the second if it was swept */
  static const char *const sites[] = {"attn", "attn-released", "ffn", "block"};
  table_section(t, figures[figure].title);
  TableRow *row = table_row(t, "Vanilla (no transplant)");
  if (row) row->cells[0] = cell_text(figures[figure].name);
  for (size_t g = 0; g < count && row; g++)
    row->cells[1 + g] = figure_cell(figure, &groups[g]->group.texts);
  measured_row(t, r, groups, count, "vanilla", figure);
  for (size_t s = 0; s < sizeof sites / sizeof *sites; s++) {
    if (strcmp(sites[s], "attn-released") == 0 && !any_site(groups, count, sites[s])) continue;
    row = table_row(t, table_format(t, "Transplant (%s)", report_site_title(sites[s])));
    if (row) row->cells[0] = cell_text(figures[figure].name);
    for (size_t g = 0; g < count && row; g++)
      for (size_t k = 0; k < groups[g]->group.site_count; k++) {
        const xt_site_result *site = &groups[g]->group.sites[k];
        if (strcmp(site->site, sites[s]) == 0)
          row->cells[1 + g] = figure_cell(figure, &site->texts);
      }
    measured_row(t, r, groups, count, sites[s], figure);
  }
}

static xt_status table1(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                        xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  if (!a->has_perplexity && !a->has_language) return XT_STATUS_OK;
  TRY(table_add(&r->tables, &r->arena, "table1", "", &t, error));
  t->title = "Table 1. Perplexity and language consistency of the responses";
  t->note =
      "The measured responses of all configurations; errors are by question. Single texts can "
      "dominate the mean of e^nll, so e^(mean nll) and the median are given, too. "
      "Consistency: per cent of responses in the language that the task asks for; a blank "
      "response is in no language.";
  table_column(t, "", "measure");
  for (size_t g = 0; g < count; g++) table_column(t, "", groups[g]->group.title);
  for (Figure f = FIGURE_MEAN; f < FIGURE_COUNT; f++)
    if (f == FIGURE_CONSISTENCY ? a->has_language : a->has_perplexity)
      metric_rows(t, r, groups, count, f);
  return table_check(t, error);
}

/* ---- table 2 --------------------------------------------------------------------------------- */

/* The rows of the paper's table: benchmarks whose PilotSets the layers were chosen on, and others
 * of the kind. */
static const struct {
  const char *type, *in, *out;
} kinds[] = {{"Multilingual understanding", "xnli", "xcopa"},
             {"Multilingual generation", "xquad", "mkqa"},
             {"Cultural adaptability", "globalopinionqa", "culturalbench"}};

/* "ID data" for a benchmark that layers were chosen on, "OOD data" for the other, "" for others. */
static const char *data_kind(const char *task) {
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    if (strcmp(kinds[k].in, task) == 0) return "ID data";
    if (strcmp(kinds[k].out, task) == 0) return "OOD data";
  }
  return "";
}

/* The coarse configurations of a task that the store has: "attn", "attn, attn-released"; "no". */
static const char *coarse_sites(Table *t, const AnalysisGroup *const *groups, size_t count,
                                const char *task) {
  for (size_t g = 0; g < count; g++) {
    const xt_group *group = &groups[g]->group;
    const char *site;
    int source, target;
    if (strcmp(group->task, task) != 0) continue;
    xt_coarse(group->benchmark, group->layers, &site, &source, &target);
    const bool plain = group->coarse.overall.count, released = group->coarse_released.overall.count;
    if (!plain && !released) return "no";
    return table_format(t, "%s%s%s", plain ? site : "", plain && released ? ", " : "",
                        released ? "attn-released" : "");
  }
  return "no";
}

static xt_status table2(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                        xt_error *error) {
  Table *t;
  const int layers = r->main.analysis->layers;
  static const char *const columns[][2] = {{"", "Site"},
                                           {"Layers", "source"},
                                           {"Layers", "target"},
                                           {"ID data", "task"},
                                           {"ID data", "in this store"},
                                           {"OOD data", "task"},
                                           {"OOD data", "in this store"}};
  TRY(table_add(&r->tables, &r->arena, "table2", "Task type", &t, error));
  t->title = "Table 2. The coarse strategy";
  t->note = table_format(t,
                         "The model has %d layers. %s ID data: the benchmarks whose PilotSets the "
                         "layers were chosen on. In this store: the sites whose responses it has.",
                         layers, report_layers_note(r));
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
    table_column(t, columns[c][0], columns[c][1]);
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    const xt_task *in = xt_task_find(kinds[k].in), *out = xt_task_find(kinds[k].out);
    const char *site;
    int source, target;
    xt_coarse(in, layers, &site, &source, &target);
    TableRow *row = table_row(t, kinds[k].type);
    if (!row) break;
    const Cell cells[] = {cell_text(report_site_title(site)),
                          cell_value(CELL_COUNT, source + r->first_layer),
                          cell_value(CELL_COUNT, target + r->first_layer),
                          cell_text(in->title),
                          cell_text(coarse_sites(t, groups, count, in->name)),
                          cell_text(out->title),
                          cell_text(coarse_sites(t, groups, count, out->name))};
    memcpy(row->cells, cells, sizeof cells);
  }
  return table_check(t, error);
}

/* ---- tables 3, 9, 10 ------------------------------------------------------------------------- */

static void coarse_rows(Table *t, const xt_group *g) {
  const struct {
    const char *name;
    const xt_scores *scores;
    const xt_comparison *gain;
  } rows[] = {{"Coarse", &g->coarse, &g->coarse_gain},
              {"Coarse (attn-released)", &g->coarse_released, &g->coarse_released_gain}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].scores->overall.count == 0) continue;
    report_language_cells(table_row(t, rows[i].name), CELL_SHARE, g, rows[i].scores);
    report_comparison_rows(t, g, table_format(t, "%s − Vanilla", rows[i].name), rows[i].gain);
  }
}

static xt_status table3(xt_report *r, const AnalysisGroup *group, xt_error *error) {
  const xt_group *g = &group->group;
  const char *data = data_kind(g->task);
  Table *t;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "table3-%s", report_slug(r, g)), g->title,
                &t, error));
  t->title = table_format(t, "Table %s. %s%s%s%s: the untouched model and strategies, by language",
                          report_numbered(&r->main, "3", "9", "10"), g->title, data[0] ? " (" : "",
                          data, data[0] ? ")" : "");
  t->note = table_format(t,
                         "Accuracy in per cent with its standard error, or Wilson's interval where "
                         "all or none are right; averages of High, Mid and Low are over languages, "
                         "the last column is over instances. %s",
                         report_comparison_note(t, r->main.analysis));
  report_language_columns(t, g);
  report_language_cells(table_row(t, "Vanilla"), CELL_SHARE, g, &g->vanilla);
  coarse_rows(t, g);
  for (size_t s = 0; s < g->site_count; s++)
    for (size_t k = 0; k < g->sites[s].strategy_count; k++) {
      const xt_strategy_result *strategy = &g->sites[s].strategies[k];
      const char *label = table_format(t, "%s (%s)", strategy->name, g->sites[s].site);
      report_language_cells(table_row(t, label), CELL_SHARE, g, &strategy->scores);
      report_comparison_rows(t, g, table_format(t, "%s − Vanilla", label), &strategy->vanilla);
      if (strategy->coarse.overall.count)
        report_comparison_rows(t, g, table_format(t, "%s − Coarse (%s)", label, g->sites[s].site),
                               &strategy->coarse);
    }
  return table_check(t, error);
}

/* ---- tables 4, 6, 7 -------------------------------------------------------------------------- */

static void level_cells(TableRow *row, size_t group, const xt_scores *scores) {
  for (int level = 0; row && level < XT_LEVEL_COUNT; level++)
    row->cells[XT_LEVEL_COUNT * group + (size_t)level] =
        cell_estimate(CELL_SHARE, scores->levels[level]);
}

static void other_store_row(Table *t, const char *label, const ReportStore *store, bool cot,
                            const AnalysisGroup *const *groups, size_t count) {
  TableRow *row = NULL;
  for (size_t g = 0; g < count; g++) {
    const AnalysisGroup *same = store->analysis ? report_same_task(store, cot, groups[g]) : NULL;
    if (!same) continue;
    if (!row) row = table_row(t, label);
    level_cells(row, g, &same->group.vanilla);
  }
}

static void strategy_rows(Table *t, const xt_analysis *a, const AnalysisGroup *const *groups,
                          size_t count) {
  for (size_t k = 0; k < a->strategy_count; k++) {
    TableRow *row = NULL;
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

/* A bound, and that of guesses, for groups where some instances have all candidates. The label says
 * how many candidates there are. */
static void bound_rows(Table *t, const char *name, const xt_analysis *a,
                       const AnalysisGroup *const *groups, size_t count, bool source) {
  TableRow *bound = NULL, *chance = NULL;
  for (size_t g = 0; g < count; g++) {
    const xt_site_result *site = report_site(&groups[g]->group);
    if (!site) continue;
    const xt_layer_result *layer = source ? &site->sources[a->layers - 1] : &site->targets[0];
    if (layer->complete == 0) continue;
    if (!bound) bound = table_row(t, name);
    level_cells(bound, g, &layer->bound);
  }
  for (size_t g = 0; g < count && bound; g++) {
    const xt_site_result *site = report_site(&groups[g]->group);
    if (!site) continue;
    const xt_layer_result *layer = source ? &site->sources[a->layers - 1] : &site->targets[0];
    if (layer->complete == 0) continue;
    if (!chance) chance = table_row(t, table_format(t, "%s by chance", name));
    level_cells(chance, g, &layer->chance_scores);
  }
}

/* Why a bound is left out, or how many questions it covers; "" if it covers all. */
static const char *incomplete_note(Table *t, const xt_analysis *a,
                                   const AnalysisGroup *const *groups, size_t count) {
  const char *note = "";
  for (size_t g = 0; g < count; g++)
    for (int source = 1; source >= 0; source--) {
      const xt_group *group = &groups[g]->group;
      const xt_site_result *site = report_site(group);
      if (!site) continue;
      const xt_layer_result *layer = source ? &site->sources[a->layers - 1] : &site->targets[0];
      const char *name = source ? "SourceLast" : "TargetFirst";
      if (layer->complete == 0)
        note = table_format(t,
                            "%s %s of %s (%s) is left out: of %d candidates there are %.1f a "
                            "question on average, and no question has all.",
                            note, name, group->title, site->site, a->layers, layer->candidates);
      else if (layer->complete < group->scored)
        note = table_format(
            t, "%s %s of %s (%s) is of the %zu of %zu questions that have all %d candidates.", note,
            name, group->title, site->site, layer->complete, group->scored, a->layers);
    }
  return note;
}

static xt_status table4(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                        xt_error *error) {
  Table *t;
  const xt_analysis *a = r->main.analysis;
  TRY(table_add(&r->tables, &r->arena, "table4", "Settings", &t, error));
  t->title = table_format(
      t, "Table %s. The untouched model, methods for comparison, strategies and upper bounds",
      report_numbered(&r->main, "4", "6", "7"));
  t->note =
      table_format(t,
                   "Accuracy in per cent, unweighted means over languages. An upper bound counts "
                   "an instance if any of its N candidates is right; a bound by chance is the "
                   "same bound against the gold answers of other questions.%s",
                   incomplete_note(t, a, groups, count));
  for (size_t g = 0; g < count; g++)
    for (int level = 0; level < XT_LEVEL_COUNT; level++)
      table_column(t, groups[g]->group.title, level_name(level));
  TableRow *row = table_row(t, "Vanilla"), *chance = table_row(t, "Vanilla by chance");
  for (size_t g = 0; g < count; g++) {
    level_cells(row, g, &groups[g]->group.vanilla);
    level_cells(chance, g, &groups[g]->group.vanilla_chance_scores);
  }
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
  bound_rows(t, "SourceLast", a, groups, count, true);
  bound_rows(t, "TargetFirst", a, groups, count, false);
  return table_check(t, error);
}

xt_status report_paper_tables(xt_report *r, xt_error *error) {
  const AnalysisGroup *groups[GROUPS_MOST];
  const size_t count = report_groups(&r->main, false, groups);
  TRY(table1(r, groups, count, error));
  TRY(table2(r, groups, count, error));
  for (size_t g = 0; g < count; g++) TRY(table3(r, groups[g], error));
  TRY(table4(r, groups, count, error));
  TRY(report_baselines_table(r, groups, count, error));
  TRY(report_bounds_table(r, error));
  return report_best_table(r, error);
}
