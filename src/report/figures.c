/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's figure 2 (5, 6) with the table of its numbers, and the list of the other figures. */
#include <math.h>
#include <string.h>

#include "analysis/levels.h"
#include "base/mem.h"
#include "base/number.h"
#include "report/escape.h"
#include "report/report_parts.h"
#include "report/svg.h"

/* ---- figure 2 -------------------------------------------------------------------------------- */

#define BAR_ROW 46.0
#define BAR_LEFT 210.0
#define BAR_WIDTH 320.0
#define MEAN_LEFT 590.0
#define MEAN_WIDTH 170.0

static void tally_bar(TextBuffer *out, double y, const xt_tally *tally) {
  static const char *const names[] = {"win", "tie", "lose"}, *const classes[] = {"f0", "tie", "f1"};
  const int counts[] = {tally->win, tally->tie, tally->lose},
            all = counts[0] + counts[1] + counts[2];
  double x = BAR_LEFT;
  for (int k = 0; k < 3 && all; k++) {
    char text[64];
    const double width = BAR_WIDTH * counts[k] / all;
    number_print(text, sizeof text, "%s: %d of %d (%.1f%%)", names[k], counts[k], all,
                 100.0 * counts[k] / all);
    if (counts[k]) svg_rect(out, x, y, width, 20, classes[k], text);
    number_print(text, sizeof text, "%.0f%%", 100.0 * counts[k] / all);
    if (width > 34) svg_text(out, x + width / 2, y + 14.5, "middle", k == 1 ? "t" : "in", text);
    x += width;
  }
}

static void mean_dots(TextBuffer *out, double y, double low, double high, double vanilla,
                      double mean) {
  const double scale = MEAN_WIDTH / (high - low), from = MEAN_LEFT + (vanilla - low) * scale,
               to = MEAN_LEFT + (mean - low) * scale;
  char text[64];
  svg_line(out, MEAN_LEFT, y + 10, MEAN_LEFT + MEAN_WIDTH, y + 10, "g");
  svg_line(out, from, y + 10, to, y + 10, mean >= vanilla ? "w k0" : "w k1");
  svg_line(out, from, y + 3, from, y + 17, "w k");
  svg_circle(out, to, y + 10, 5, mean >= vanilla ? "f0" : "f1", "");
  number_print(text, sizeof text, "%.1f (%+.1f)", 100 * mean, 100 * (mean - vanilla));
  svg_text(out, MEAN_LEFT + MEAN_WIDTH + 12, y + 14, "start", "t", text);
}

/* A row of figure 2: one site of a group. */
typedef struct TallyRow {
  const ReportStore *store;
  const xt_group *group;
  const xt_site_result *site;
} TallyRow;

/* The rows of all stores, beginning with the first store. `out` NULL: only counts them. */
static size_t tally_rows(const xt_report *r, TallyRow *out) {
  size_t n = 0;
  for (size_t k = 0; k <= r->more_count; k++) {
    const ReportStore *store = k ? &r->more[k - 1] : &r->main;
    for (size_t g = 0; g < store->analysis->count; g++)
      for (size_t s = 0; s < store->analysis->groups[g].group.site_count; s++, n++)
        if (out)
          out[n] = (TallyRow){store, &store->analysis->groups[g].group,
                              &store->analysis->groups[g].group.sites[s]};
  }
  return n;
}

/* If there are several models, their names are above the tasks. */
static void figure2_row(xt_report *r, TextBuffer *out, const TallyRow *row, double y, double low,
                        double high) {
  const char *title = report_group_title(r, row->group), *site = report_site_title(row->site->site);
  svg_text(out, BAR_LEFT - 14, y + 7, "end", "h", r->more_count ? row->store->model : title);
  svg_text(out, BAR_LEFT - 14, y + 22, "end", "s",
           r->more_count ? report_format(r, "%s, %s", title, site) : site);
  tally_bar(out, y, &row->site->all);
  if (row->site->mean.overall.count)
    mean_dots(out, y, low, high, row->group->vanilla.overall.value, row->site->mean.overall.value);
}

static xt_status draw_figure2(xt_report *r, const TallyRow *rows, size_t count, xt_error *error) {
  ReportFigure *f;
  double low = 1, high = 0;
  char text[32];
  for (size_t k = 0; k < count; k++) {
    report_include(rows[k].group->vanilla.overall.value, &low, &high);
    report_include(rows[k].site->mean.overall.value, &low, &high);
  }
  if (count == 0) return XT_STATUS_OK;
  plot_round(&low, &high, 4);
  const char *number = r->more_count ? "2, 5, 6" : report_numbered(&r->main, "2", "5", "6");
  TRY(report_figure_add(
      r, "figure2", "overview",
      report_format(r, "Figure %s. Configurations against the untouched model", number),
      "Left: how many of the N² configurations win, tie or lose. Right: their average accuracy "
      "(dot) and the untouched model's (bar).",
      &f, error));
  TextBuffer *out = &f->svg;
  svg_open(out, 860, 64 + BAR_ROW * (double)count, f->title);
  svg_text(out, BAR_LEFT, 26, "start", "h", "win / tie / lose");
  svg_text(out, MEAN_LEFT, 26, "start", "h", "average accuracy, %");
  for (int end = 0; end < 2; end++) {
    number_print(text, sizeof text, "%.0f", 100 * (end ? high : low));
    svg_text(out, MEAN_LEFT + end * MEAN_WIDTH, 42, "middle", "s", text);
    svg_line(out, MEAN_LEFT + end * MEAN_WIDTH, 50, MEAN_LEFT + end * MEAN_WIDTH,
             50 + BAR_ROW * (double)count - 14, "g");
  }
  for (size_t k = 0; k < count; k++)
    figure2_row(r, out, &rows[k], 54 + BAR_ROW * (double)k, low, high);
  svg_close(out);
  return report_figure_check(f, error);
}

static xt_status figure2_table(xt_report *r, const TallyRow *rows, size_t count, xt_error *error) {
  static const char *const columns[] = {"model", "language", "win", "tie",
                                        "lose",  "vanilla",  "mean"};
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "figure2", "task, site", &t, error));
  t->data = true;
  t->title = "Figure 2: configurations that win, tie and lose, and their mean accuracy";
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) table_column(t, "", columns[c]);
  for (size_t k = 0; k < count; k++)
    for (size_t l = 0; l <= rows[k].group->language_count; l++) {
      const xt_group *group = rows[k].group;
      const xt_site_result *site = rows[k].site;
      const xt_tally *tally = l ? &site->languages[l - 1] : &site->all;
      TableRow *row = table_row(t, table_format(t, "%s %s", report_slug(r, group), site->site));
      if (!row) break;
      const Cell cells[] = {
          cell_text(rows[k].store->model),
          cell_text(l ? group->languages[l - 1].name : "all"),
          cell_value(CELL_COUNT, tally->win),
          cell_value(CELL_COUNT, tally->tie),
          cell_value(CELL_COUNT, tally->lose),
          cell_estimate(CELL_SHARE, l ? group->vanilla.languages[l - 1] : group->vanilla.overall),
          cell_estimate(CELL_SHARE, l ? site->mean.languages[l - 1] : site->mean.overall)};
      memcpy(row->cells, cells, sizeof cells);
    }
  return table_check(t, error);
}

static xt_status figure2(xt_report *r, xt_error *error) {
  const size_t count = tally_rows(r, NULL);
  TallyRow *rows;
  TRY(MEM_ALLOC(&rows, count, error));
  tally_rows(r, rows);
  xt_status status = draw_figure2(r, rows, count, error);
  if (!status) status = figure2_table(r, rows, count, error);
  free(rows);
  return status;
}

/* The numbers of another model's figure 4, for the paper's site of each task. */
static xt_status more_figure4_tables(xt_report *r, const ReportStore *store, size_t number,
                                     xt_error *error) {
  const AnalysisGroup *groups[GROUPS_MOST];
  const size_t count = report_groups(store, false, groups);
  for (size_t g = 0; g < count; g++) {
    const xt_site_result *site = report_site(&groups[g]->group);
    if (site)
      TRY(report_figure4_table(r, &groups[g]->group, site,
                               report_format(r, "figure4-model%zu-", number + 2), store->model,
                               error));
  }
  return XT_STATUS_OK;
}

xt_status report_figures(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  const AnalysisGroup *groups[GROUPS_MOST];
  const size_t count = report_groups(&r->main, false, groups);
  TRY(figure2(r, error));
  TRY(report_figure4(r, groups, count, error));
  TRY(report_figure4_models(r, groups, count, error));
  for (size_t k = 0; k < r->more_count; k++) TRY(more_figure4_tables(r, &r->more[k], k, error));
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++) {
      const xt_group *group = &a->groups[g].group;
      const xt_site_result *site = &group->sites[s];
      if (site->configuration_count == 0) continue;
      bool main = false;
      for (size_t k = 0; k < count; k++)
        main = main || (&groups[k]->group == group && report_site(group) == site);
      TRY(report_figure3(r, group, site, main, error));
      TRY(report_figure4_table(r, group, site, "figure4-", r->main.model, error));
      TRY(report_heatmap(r, group, site, error));
    }
  return XT_STATUS_OK;
}
