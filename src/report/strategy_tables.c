/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that compare stores: 8 (pivots and models) and 11 (before and after fine-tuning). */
#include <math.h>
#include <string.h>

#include "report/report_parts.h"

/* ---- table 8 ---------------------------------------------------------------------------------- */

/* One row of languages in the group's own order, with their plain mean. */
static void plain_cells(Row *row, const xt_group *columns, const xt_group *g, const xt_scores *scores) {
  double sum = 0, variance = 0;
  size_t n = 0;
  if (!row) return;
  for (size_t c = 0; c < columns->language_count; c++)
    for (size_t l = 0; l < g->language_count; l++) {
      if (strcmp(columns->languages[c].name, g->languages[l].name) != 0) continue;
      row->cells[c] = cell_estimate(CELL_SHARE, scores->languages[l]);
      if (scores->languages[l].count == 0) continue;
      sum += scores->languages[l].value;
      variance += scores->languages[l].error * scores->languages[l].error;
      n++;
    }
  if (n) row->cells[columns->language_count] = (Cell){CELL_SHARE, sum / (double)n, sqrt(variance) / (double)n, NULL};
}

/* The rows of one model: each strategy under each pivot. */
static void pivot_rows(Table *t, const ReportStore *store, const AnalysisGroup *columns) {
  const xt_analysis *a = store->analysis;
  table_section(t, store->model);
  for (size_t i = 0; i < a->count; i++) {
    const xt_group *g = &a->groups[i].group;
    if (strcmp(g->task, columns->group.task) != 0 || g->cot) continue;
    plain_cells(table_row(t, table_format(t, "vanilla (%s)", g->pivot)), &columns->group, g, &g->vanilla);
    if (g->coarse.overall.count) plain_cells(table_row(t, table_format(t, "coarse (%s)", g->pivot)), &columns->group, g, &g->coarse);
    const xt_site_result *site = report_site(g);
    for (size_t k = 0; site && k < site->strategy_count; k++)
      plain_cells(table_row(t, table_format(t, "%s (%s)", site->strategies[k].name, g->pivot)), &columns->group, g, &site->strategies[k].scores);
  }
}

static size_t pivots_of(const ReportStore *store, const AnalysisGroup *group) {
  size_t n = 0;
  for (size_t i = 0; store->analysis && i < store->analysis->count; i++)
    n += strcmp(store->analysis->groups[i].group.task, group->group.task) == 0 && !store->analysis->groups[i].group.cot;
  return n;
}

static xt_status table8(xt_report *r, const AnalysisGroup *group, xt_error *error) {
  const xt_group *g = &group->group;
  Table *t;
  if (g->benchmark && g->benchmark->direction == XT_DIRECTION_FROM_LANGUAGE) return XT_STATUS_OK;
  if (pivots_of(&r->main, group) < 2 && pivots_of(&r->beside, group) == 0) return XT_STATUS_OK;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "table8-%s", g->task), g->title, &t, error));
  t->title = table_format(t, "Table 8. %s: strategies by pivot language", g->title);
  t->note = "Accuracy in per cent; in brackets the language of the source prompts; the average is over languages.";
  for (size_t l = 0; l < g->language_count; l++) table_column(t, "", g->languages[l].name);
  table_column(t, "", "Avg.");
  pivot_rows(t, &r->main, group);
  if (pivots_of(&r->beside, group)) pivot_rows(t, &r->beside, group);
  return table_check(t, error);
}

/* ---- table 11 --------------------------------------------------------------------------------- */

/* "+1.0" under each level's average alone, as the paper has it. */
static void delta_row(Table *t, const xt_group *g, const xt_scores *without, const xt_scores *with) {
  xt_estimate none[256];
  xt_scores delta = {.languages = none, .overall = {with->overall.value - without->overall.value, NAN, with->overall.count}};
  if (g->language_count > sizeof none / sizeof *none) return;
  for (size_t l = 0; l < g->language_count; l++) none[l] = (xt_estimate){NAN, NAN, 0};
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    delta.levels[level] = (xt_estimate){with->levels[level].value - without->levels[level].value, NAN, with->levels[level].count};
  report_language_cells(table_row(t, "Δ"), CELL_GAIN, g, &delta);
}

static void before_after(Table *t, const char *name, const xt_group *g) {
  report_language_cells(table_row(t, name), CELL_SHARE, g, &g->vanilla);
  if (!g->coarse.overall.count) return;
  report_language_cells(table_row(t, table_format(t, "%s+Coarse", name)), CELL_SHARE, g, &g->coarse);
  delta_row(t, g, &g->vanilla, &g->coarse);
}

static bool same_languages(const xt_group *a, const xt_group *b) {
  if (a->language_count != b->language_count) return false;
  for (size_t l = 0; l < a->language_count; l++)
    if (strcmp(a->languages[l].name, b->languages[l].name) != 0) return false;
  return true;
}

static xt_status table11(xt_report *r, const AnalysisGroup *group, xt_error *error) {
  const xt_group *g = &group->group;
  const AnalysisGroup *tuned = r->tuned.analysis ? report_same_task(&r->tuned, false, group) : NULL;
  Table *t;
  if (!tuned) return XT_STATUS_OK;
  if (!same_languages(g, &tuned->group))
    return err_set(error, XT_STATUS_INPUT, NULL, "tuned", -1, "the fine-tuned model's store has other languages of %s than the first store; sweep the same ones", g->title);
  TRY(table_add(&r->tables, &r->arena, report_format(r, "table11-%s", report_slug(r, g)), g->title, &t, error));
  t->title = table_format(t, "Table 11. %s: before and after fine-tuning, without and with the coarse strategy", g->title);
  t->note = "Accuracy in per cent with its standard error.";
  report_language_columns(t, g);
  before_after(t, "Vanilla", g);
  before_after(t, "Tuning", &tuned->group);
  return table_check(t, error);
}

xt_status report_strategy_tables(xt_report *r, xt_error *error) {
  const AnalysisGroup *groups[GROUPS_MOST];
  const size_t count = report_groups(&r->main, false, groups);
  for (size_t g = 0; g < count; g++) TRY(table8(r, groups[g], error));
  for (size_t g = 0; g < count; g++) TRY(table11(r, groups[g], error));
  return XT_STATUS_OK;
}
