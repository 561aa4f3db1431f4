/* SPDX-License-Identifier: Apache-2.0 */
/* The strategies of a task in one table: how accurate they are, what they close of the gap to the
 * upper bound without noise, and what they cost. */
#include <math.h>
#include <string.h>

#include "analysis/levels.h"
#include "report/report_parts.h"

static bool has_strategies(const xt_group *g) {
  for (size_t s = 0; s < g->site_count; s++)
    if (g->sites[s].strategy_count) return true;
  return false;
}

static bool has_level(const xt_group *g, int level) {
  for (size_t l = 0; l < g->language_count; l++)
    if (g->languages[l].level == level) return true;
  return false;
}

/* Columns in the order in which `accuracy_cells` and `gap_cells` fill them. */
static void columns(Table *t, const xt_group *g) {
  static const char *const others[][2] = {
      {"Gain", "points"}, {"Gain", "low"},       {"Gain", "high"},   {"Gain", "p"},
      {"Gain", "Holm"},   {"Bound", "observed"}, {"Bound", "noise"}, {"Bound", "left"},
      {"Closed", "%"},    {"Closed", "low"},     {"Closed", "high"}, {"Cost", "runs"},
      {"Cost", "tokens"}};
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    if (has_level(g, level)) table_column(t, "Accuracy", level_name(level));
  table_column(t, "Accuracy", "all");
  for (size_t c = 0; c < sizeof others / sizeof *others; c++)
    table_column(t, others[c][0], others[c][1]);
}

/* Returns the next cell. */
static Cell *accuracy_cells(Cell *cells, const xt_group *g, const xt_scores *scores) {
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    if (has_level(g, level)) *cells++ = cell_estimate(CELL_SHARE, scores->levels[level]);
  *cells++ = cell_estimate(CELL_SHARE, scores->overall);
  return cells;
}

static Cell *gain_cells(Cell *cells, const xt_difference *d) {
  *cells++ = cell_value(CELL_GAIN, d->gain);
  *cells++ = cell_value(CELL_GAIN, d->low);
  *cells++ = cell_value(CELL_GAIN, d->high);
  *cells++ = cell_value(CELL_P, d->p);
  *cells++ = cell_value(CELL_P, d->holm);
  return cells;
}

static void gap_cells(Cell *cells, const xt_gap *gap) {
  if (gap->count == 0) return;
  const Cell out[] = {
      cell_value(CELL_SHARE, gap->bound),      cell_value(CELL_SHARE, gap->noise),
      cell_value(CELL_SHARE, gap->corrected),  cell_value(CELL_SHARE, gap->closed),
      cell_value(CELL_SHARE, gap->closed_low), cell_value(CELL_SHARE, gap->closed_high),
      cell_value(CELL_NUMBER, gap->responses), cell_value(CELL_NUMBER, gap->tokens)};
  memcpy(cells, out, sizeof out);
}

static xt_status group_table(xt_report *r, const xt_group *g, xt_error *error) {
  Table *t;
  TableRow *row;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "strategies-%s", report_slug(r, g)),
                report_group_title(r, g), &t, error));
  t->title = table_format(t, "%s: strategies, the gap they close, and their cost",
                          report_group_title(r, g));
  t->note = table_format(
      t,
      "Accuracy and gain over the untouched runs in per cent, with the %.0f%% bootstrap "
      "interval over questions; p: sign-flip test; Holm: p adjusted over all such comparisons "
      "in the store, of all tasks, sites and strategies, the coarse choice and answers to "
      "source prompts. A strategy with @ has learned from the results file that it names, "
      "without the questions that this one asks, too; others that learn, by folds. Bound: "
      "questions that some candidate or the untouched run answers; noise: the same bound if "
      "the candidates' answers had nothing to do with the question; left: the bound without "
      "what noise explains. Closed: gain as a share of the gap from untouched to what is left, "
      "with its paired interval; none if the gap's own interval reaches 0. Candidates of a "
      "bound: every layer into the first, or more if the strategy chooses among more. Cost: "
      "responses that are generated for a question, and their tokens.",
      100 * r->main.analysis->options.confidence);
  columns(t, g);
  if ((row = table_row(t, "untouched"))) accuracy_cells(row->cells, g, &g->vanilla);
  for (size_t s = 0; s < g->site_count; s++)
    for (size_t k = 0; k < g->sites[s].strategy_count; k++) {
      const xt_strategy_result *strategy = &g->sites[s].strategies[k];
      row = table_row(t, table_format(t, "%s, %s", g->sites[s].site, strategy->name));
      if (!row) continue;
      gap_cells(
          gain_cells(accuracy_cells(row->cells, g, &strategy->scores), &strategy->vanilla.overall),
          &strategy->gap);
    }
  return table_check(t, error);
}

xt_status report_gap_tables(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  for (size_t g = 0; g < a->count; g++)
    if (has_strategies(&a->groups[g].group)) TRY(group_table(r, &a->groups[g].group, error));
  return XT_STATUS_OK;
}
