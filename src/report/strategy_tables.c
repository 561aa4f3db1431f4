/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that compare stores: 8 (pivots and models) and 11 (before and after fine-tuning). */
#include <math.h>
#include <string.h>

#include "report/report_parts.h"

/* ---- table 8 --------------------------------------------------------------------------------- */

/* English first, as in the paper, then in the group's order: the language of each column. */
static const xt_group_language *column_language(const xt_group *g, size_t column) {
  size_t english = 0;
  while (english < g->language_count && strcmp(g->languages[english].name, "en") != 0) english++;
  if (english == g->language_count) return &g->languages[column];
  return &g->languages[column == 0 ? english : column <= english ? column - 1 : column];
}

static const xt_estimate *estimate_of(const xt_group *g, const xt_scores *scores,
                                      const char *language) {
  for (size_t l = 0; l < g->language_count; l++)
    if (strcmp(g->languages[l].name, language) == 0 && scores->languages[l].count)
      return &scores->languages[l];
  return NULL;
}

/* One row of languages, with their plain mean; the model's name is the last of its columns where
 * the table has several models. */
static void plain_row(Table *t, const ReportStore *store, const char *label,
                      const xt_group *columns, const xt_group *g, const xt_scores *scores) {
  TableRow *row = table_row(t, label);
  double sum = 0;
  size_t n = 0;
  if (!row) return;
  if (t->column_count > columns->language_count + 1)
    row->cells[columns->language_count + 1] = cell_text(store->model);
  for (size_t c = 0; c < columns->language_count; c++) {
    const xt_estimate *e = estimate_of(g, scores, column_language(columns, c)->name);
    if (!e) continue;
    row->cells[c] = cell_estimate(CELL_SHARE, *e);
    sum += e->value;
    n++;
  }
  Cell *mean = &row->cells[columns->language_count];
  /* of the same languages */
  if (n == scores->average.count)
    *mean = cell_estimate(CELL_SHARE, scores->average);
  else if (n)
    *mean = cell_value(CELL_SHARE, sum / (double)n);
}

/* Whether the untouched accuracies of two groups are equal in each language, because target prompts
 * do not depend on the pivot. */
static bool same_vanilla(const xt_group *a, const xt_group *b) {
  if (a->language_count != b->language_count) return false;
  for (size_t l = 0; l < a->language_count; l++) {
    const xt_estimate *x = &a->vanilla.languages[l],
                      *y = estimate_of(b, &b->vanilla, a->languages[l].name);
    if ((x->count != 0) != (y != NULL) ||
        (y && (x->count != y->count || fabs(x->value - y->value) > 0)))
      return false;
  }
  return true;
}

/* Vanilla once if it is the same for each pivot, else for each pivot. */
static void vanilla_rows(Table *t, const ReportStore *store, const AnalysisGroup *columns) {
  const xt_group *groups[GROUPS_MOST];
  size_t count = 0;
  bool same = true;
  for (size_t i = 0; i < store->analysis->count && count < GROUPS_MOST; i++) {
    const xt_group *g = &store->analysis->groups[i].group;
    if (strcmp(g->task, columns->group.task) != 0 || g->cot) continue;
    same = same && (count == 0 || same_vanilla(groups[0], g));
    groups[count++] = g;
  }
  if (same && count)
    plain_row(t, store, "vanilla", &columns->group, groups[0], &groups[0]->vanilla);
  for (size_t i = 0; i < count && !same; i++)
    plain_row(t, store, table_format(t, "vanilla (%s)", groups[i]->pivot), &columns->group,
              groups[i], &groups[i]->vanilla);
}

/* The rows of one model: each strategy under each pivot. */
static void pivot_rows(Table *t, const ReportStore *store, const AnalysisGroup *columns) {
  const xt_analysis *a = store->analysis;
  table_section(t, store->model);
  vanilla_rows(t, store, columns);
  for (size_t i = 0; i < a->count; i++) {
    const xt_group *g = &a->groups[i].group;
    if (strcmp(g->task, columns->group.task) != 0 || g->cot) continue;
    if (g->coarse.overall.count)
      plain_row(t, store, table_format(t, "coarse (%s)", g->pivot), &columns->group, g, &g->coarse);
    if (g->coarse_released.overall.count)
      plain_row(t, store, table_format(t, "coarse, attn-released (%s)", g->pivot), &columns->group,
                g, &g->coarse_released);
    const xt_site_result *site = report_site(g);
    for (size_t k = 0; site && k < site->strategy_count; k++)
      plain_row(t, store, table_format(t, "%s (%s)", site->strategies[k].name, g->pivot),
                &columns->group, g, &site->strategies[k].scores);
  }
}

static size_t pivots_of(const ReportStore *store, const AnalysisGroup *group) {
  size_t n = 0;
  for (size_t i = 0; store->analysis && i < store->analysis->count; i++)
    n += strcmp(store->analysis->groups[i].group.task, group->group.task) == 0 &&
         !store->analysis->groups[i].group.cot;
  return n;
}

static xt_status table8(xt_report *r, const AnalysisGroup *group, xt_error *error) {
  const xt_group *g = &group->group;
  Table *t;
  if (g->benchmark && g->benchmark->direction == XT_DIRECTION_FROM_LANGUAGE) return XT_STATUS_OK;
  size_t others = pivots_of(&r->beside, group);
  for (size_t i = 0; i < r->more_count; i++) others += pivots_of(&r->more[i], group);
  if (pivots_of(&r->main, group) < 2 && others == 0) return XT_STATUS_OK;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "table8-%s", g->task), g->title, &t,
                error));
  t->title = table_format(t, "Table 8. %s: strategies by pivot language", g->title);
  t->note =
      "Accuracy in per cent. The language of the source prompts is in brackets; the average is "
      "over languages.";
  for (size_t c = 0; c < g->language_count; c++) table_column(t, "", column_language(g, c)->name);
  table_column(t, "", "Avg.");
  if (others) table_column(t, "", "model");
  pivot_rows(t, &r->main, group);
  if (pivots_of(&r->beside, group)) pivot_rows(t, &r->beside, group);
  for (size_t i = 0; i < r->more_count; i++)
    if (pivots_of(&r->more[i], group)) pivot_rows(t, &r->more[i], group);
  return table_check(t, error);
}

/* ---- table 11 -------------------------------------------------------------------------------- */

static void before_after(Table *t, const char *name, const xt_group *g) {
  report_language_cells(table_row(t, name), CELL_SHARE, g, &g->vanilla);
  const struct {
    const char *name;
    const xt_scores *scores;
    const xt_comparison *gain;
  } rows[] = {{"Coarse", &g->coarse, &g->coarse_gain},
              {"Coarse (attn-released)", &g->coarse_released, &g->coarse_released_gain}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].scores->overall.count == 0) continue;
    const char *label = table_format(t, "%s+%s", name, rows[i].name);
    report_language_cells(table_row(t, label), CELL_SHARE, g, rows[i].scores);
    report_comparison_rows(t, g, table_format(t, "Δ %s", label), rows[i].gain);
  }
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
    return err_set(error, XT_STATUS_INPUT, NULL, "tuned", -1,
                   "the fine-tuned model's store has other languages of %s than the first store; "
                   "sweep the same ones",
                   g->title);
  TRY(table_add(&r->tables, &r->arena, report_format(r, "table11-%s", report_slug(r, g)), g->title,
                &t, error));
  t->title = table_format(
      t, "Table 11. %s: before and after fine-tuning, without and with the coarse strategy",
      g->title);
  t->note = table_format(t,
                         "Accuracy in per cent with its standard error. Δ: the gain over the "
                         "model's own untouched runs. %s",
                         report_comparison_note(t, r->main.analysis));
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
