/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's figures 2 (5, 6), 3 (9, 10) and 4, the heatmaps, and the tables of numbers behind them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/levels.h"
#include "base/mem.h"
#include "report/report_parts.h"
#include "report/svg.h"

xt_status report_figure_add(xt_report *r, const char *id, const char *section, const char *title, const char *note, ReportFigure **out, xt_error *error) {
  TRY(mem_grow(&r->figures, &r->figure_capacity, r->figure_count + 1, sizeof *r->figures, error));
  *out = &r->figures[r->figure_count++];
  **out = (ReportFigure){.id = report_format(r, "%s", id), .section = section, .title = report_format(r, "%s", title), .note = report_format(r, "%s", note)};
  return XT_STATUS_OK;
}

static xt_status finish(const ReportFigure *figure, xt_error *error) { return figure->svg.failed ? err_memory(error, 0) : XT_STATUS_OK; }

/* Widens [low, high] to hold a value, unless it is NaN. */
static void include(double value, double *low, double *high) {
  if (isnan(value)) return;
  *low = fmin(*low, value);
  *high = fmax(*high, value);
}

/* ---- figure 2 --------------------------------------------------------------------------------- */

#define BAR_ROW 46.0
#define BAR_LEFT 210.0
#define BAR_WIDTH 320.0
#define MEAN_LEFT 590.0
#define MEAN_WIDTH 170.0

static void tally_bar(TextBuffer *out, double y, const xt_tally *tally) {
  static const char *const names[] = {"win", "tie", "lose"}, *const classes[] = {"f0", "tie", "f1"};
  const int counts[] = {tally->win, tally->tie, tally->lose}, all = counts[0] + counts[1] + counts[2];
  double x = BAR_LEFT;
  for (int k = 0; k < 3 && all; k++) {
    char text[64];
    const double width = BAR_WIDTH * counts[k] / all;
    snprintf(text, sizeof text, "%s: %d of %d (%.1f%%)", names[k], counts[k], all, 100.0 * counts[k] / all);
    if (counts[k]) svg_rect(out, x, y, width, 20, classes[k], text);
    snprintf(text, sizeof text, "%.0f%%", 100.0 * counts[k] / all);
    if (width > 34) svg_text(out, x + width / 2, y + 14.5, "middle", k == 1 ? "t" : "in", text);
    x += width;
  }
}

static void mean_dots(TextBuffer *out, double y, double low, double high, double vanilla, double mean) {
  const double scale = MEAN_WIDTH / (high - low), from = MEAN_LEFT + (vanilla - low) * scale, to = MEAN_LEFT + (mean - low) * scale;
  char text[64];
  svg_line(out, MEAN_LEFT, y + 10, MEAN_LEFT + MEAN_WIDTH, y + 10, "g");
  svg_line(out, from, y + 10, to, y + 10, mean >= vanilla ? "w k0" : "w k1");
  svg_line(out, from, y + 3, from, y + 17, "w k");
  text_buffer_format(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" class=\"%s\"/>\n", to, y + 10, mean >= vanilla ? "f0" : "f1");
  snprintf(text, sizeof text, "%.1f (%+.1f)", 100 * mean, 100 * (mean - vanilla));
  svg_text(out, MEAN_LEFT + MEAN_WIDTH + 12, y + 14, "start", "t", text);
}

static xt_status draw_figure2(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  ReportFigure *f;
  size_t rows = 0, at = 0;
  double low = 1, high = 0;
  char text[32];
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++, rows++) {
      include(a->groups[g].group.vanilla.overall.value, &low, &high);
      include(a->groups[g].group.sites[s].mean.overall.value, &low, &high);
    }
  if (rows == 0) return XT_STATUS_OK;
  plot_round(&low, &high, 4);
  TRY(report_figure_add(r, "figure2", "overview", "Figure 2 (5, 6). Configurations against the untouched model",
                        "Left: how many of the N² configurations win, tie or lose. Right: their average accuracy (dot) and the untouched model's (bar).", &f, error));
  TextBuffer *out = &f->svg;
  svg_open(out, 860, 64 + BAR_ROW * (double)rows, f->title);
  svg_text(out, BAR_LEFT, 26, "start", "h", "win / tie / lose");
  svg_text(out, MEAN_LEFT, 26, "start", "h", "average accuracy, %");
  for (int end = 0; end < 2; end++) {
    snprintf(text, sizeof text, "%.0f", 100 * (end ? high : low));
    svg_text(out, MEAN_LEFT + end * MEAN_WIDTH, 42, "middle", "s", text);
    svg_line(out, MEAN_LEFT + end * MEAN_WIDTH, 50, MEAN_LEFT + end * MEAN_WIDTH, 50 + BAR_ROW * (double)rows - 14, "g");
  }
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++, at++) {
      const xt_group *group = &a->groups[g].group;
      const double y = 54 + BAR_ROW * (double)at;
      svg_text(out, BAR_LEFT - 14, y + 7, "end", "h", report_group_title(r, group));
      svg_text(out, BAR_LEFT - 14, y + 22, "end", "s", report_site_title(group->sites[s].site));
      tally_bar(out, y, &group->sites[s].all);
      if (group->sites[s].mean.overall.count) mean_dots(out, y, low, high, group->vanilla.overall.value, group->sites[s].mean.overall.value);
    }
  svg_close(out);
  return finish(f, error);
}

static xt_status figure2_table(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  static const char *const columns[] = {"language", "win", "tie", "lose", "vanilla", "mean"};
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "figure2", "task, site", &t, error));
  t->data = true;
  t->title = "Figure 2: configurations that win, tie and lose, and their mean accuracy";
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) table_column(t, "", columns[c]);
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++)
      for (size_t l = 0; l <= a->groups[g].group.language_count; l++) {
        const xt_group *group = &a->groups[g].group;
        const xt_site_result *site = &group->sites[s];
        const xt_tally *tally = l ? &site->languages[l - 1] : &site->all;
        Row *row = table_row(t, table_format(t, "%s %s", report_slug(r, group), site->site));
        if (!row) break;
        const Cell cells[] = {cell_text(l ? group->languages[l - 1].name : "all"), cell_value(CELL_COUNT, tally->win), cell_value(CELL_COUNT, tally->tie),
                              cell_value(CELL_COUNT, tally->lose), cell_estimate(CELL_SHARE, l ? group->vanilla.languages[l - 1] : group->vanilla.overall),
                              cell_estimate(CELL_SHARE, l ? site->mean.languages[l - 1] : site->mean.overall)};
        memcpy(row->cells, cells, sizeof cells);
      }
  return table_check(t, error);
}

/* ---- figure 3 --------------------------------------------------------------------------------- */

/* Two panels side by side over the same range of y. */
static Plot panel(const xt_analysis *a, bool right, double low, double high) {
  return (Plot){.left = right ? 500 : 60, .top = 52, .width = 370, .height = 240, .x_low = 1, .x_high = a->layers > 1 ? a->layers : 2, .y_low = low, .y_high = high};
}

static void legend(TextBuffer *out, double *x, double y, const char *line, const char *text) {
  svg_line(out, *x, y - 4, *x + 22, y - 4, line);
  svg_text(out, *x + 28, y, "start", "t", text);
  *x += 44 + 7.2 * (double)strlen(text);
}

/* `main`: the paper has it; the others stand folded on the page. */
static xt_status draw_figure3(xt_report *r, const xt_group *g, const xt_site_result *site, bool main, xt_error *error) {
  static const char *const classes[] = {"c k0", "c k4", "c k2", "c k3"};
  const xt_analysis *a = r->main.analysis;
  double low = 0, high = 0, *values, x = 60;
  ReportFigure *f;
  for (int layer = 0; layer < a->layers; layer++)
    for (size_t l = 0; l < g->language_count; l++) {
      include(site->sources[layer].language_gains[l].value, &low, &high);
      include(site->targets[layer].language_gains[l].value, &low, &high);
    }
  TRY(mem_alloc(&values, (size_t)a->layers, sizeof *values, error));
  const double step = plot_round(&low, &high, 6);
  xt_status status = report_figure_add(r, report_format(r, "figure3-%s-%s", report_slug(r, g), report_site_slug(r, site->site)), main ? "layers" : "layers-more",
                                       report_format(r, "Figure 3 (9, 10). %s, %s: average gain by layer", report_group_title(r, g), report_site_title(site->site)),
                                       "Mean over the other layer, in points of accuracy; a thin line a language, the thick one over all instances. Layers from 1.", &f, error);
  if (status) goto done;
  TextBuffer *out = &f->svg;
  svg_open(out, 900, 372, f->title);
  for (int right = 0; right < 2; right++) {
    const Plot plot = panel(a, right, low, high);
    const xt_layer_result *layers = right ? site->targets : site->sources;
    plot_axes(out, &plot, step, right ? "by target layer" : "by source layer", right ? "target layer" : "source layer", "gain, points");
    for (size_t l = 0; l < g->language_count; l++) {
      for (int k = 0; k < a->layers; k++) values[k] = layers[k].language_gains[l].value;
      plot_curve(out, &plot, 1, values, a->layers, classes[g->languages[l].level < 0 ? 3 : g->languages[l].level], g->languages[l].name);
    }
    for (int k = 0; k < a->layers; k++) values[k] = layers[k].gain.value;
    plot_curve(out, &plot, 1, values, a->layers, "w k", "all instances");
  }
  legend(out, &x, 360, "w k", "all instances");
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    for (size_t l = 0; l < g->language_count; l++)
      if (g->languages[l].level == level) {
        legend(out, &x, 360, classes[level], level_name(level));
        break;
      }
  svg_close(out);
  status = finish(f, error);
done:
  free(values);
  return status;
}

static xt_status figure3_table(xt_report *r, const xt_group *g, const xt_site_result *site, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *t;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "figure3-%s-%s", report_slug(r, g), report_site_slug(r, site->site)), "layer", &t, error));
  t->data = true;
  t->title = table_format(t, "Figure 3: %s, %s, mean gain by layer (from 0)", g->title, site->site);
  for (int target = 0; target < 2; target++) {
    table_column(t, target ? "target" : "source", "all");
    for (size_t l = 0; l < g->language_count; l++) table_column(t, target ? "target" : "source", g->languages[l].name);
  }
  for (int layer = 0; layer < a->layers; layer++) {
    Row *row = table_row(t, table_format(t, "%d", layer));
    for (size_t target = 0; target < 2 && row; target++) {
      const xt_layer_result *result = target ? &site->targets[layer] : &site->sources[layer];
      Cell *cells = row->cells + target * (g->language_count + 1);
      cells[0] = cell_estimate(CELL_GAIN, result->gain);
      for (size_t l = 0; l < g->language_count; l++) cells[1 + l] = cell_estimate(CELL_GAIN, result->language_gains[l]);
    }
  }
  return table_check(t, error);
}

/* ---- figure 4 --------------------------------------------------------------------------------- */

static void bound_curves(TextBuffer *out, const Plot *plot, const xt_analysis *a, const xt_layer_result *layers, size_t series, const char *title, double *values) {
  double *low = values + a->layers, *high = low + a->layers, *chance = high + a->layers;
  char class[32];
  for (int k = 0; k < a->layers; k++) {
    const bool there = layers[k].bound.overall.count && layers[k].candidates > 1;
    values[k] = there ? layers[k].bound.overall.value : NAN;
    low[k] = there ? layers[k].bound_low : NAN;
    high[k] = there ? layers[k].bound_high : NAN;
    chance[k] = there ? layers[k].chance : NAN;
  }
  snprintf(class, sizeof class, "band f%zu", series % 6);
  plot_band(out, plot, 1, low, high, a->layers, class);
  snprintf(class, sizeof class, "w k%zu", series % 6);
  plot_curve(out, plot, 1, values, a->layers, class, title);
  snprintf(class, sizeof class, "c dash k%zu", series % 6);
  plot_curve(out, plot, 1, chance, a->layers, class, "by chance");
}

static xt_status draw_figure4(xt_report *r, const AnalysisGroup *const *groups, size_t count, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  double low = 1, high = 0, *values, x = 60;
  ReportFigure *f;
  for (size_t g = 0; g < count; g++) {
    const xt_site_result *site = report_site(&groups[g]->group);
    for (int k = 0; site && k < a->layers; k++)
      for (int target = 0; target < 2; target++) {
        const xt_layer_result *layer = target ? &site->targets[k] : &site->sources[k];
        if (layer->candidates <= 1) continue;
        include(layer->bound_high, &low, &high);
        include(layer->bound_low, &low, &high);
        include(layer->chance, &low, &high);
        include(groups[g]->group.vanilla.overall.value, &low, &high);
      }
  }
  if (high <= low) return XT_STATUS_OK;
  const double step = plot_round(&low, &high, 6);
  TRY(mem_alloc(&values, 4 * (size_t)a->layers, sizeof *values, error));
  xt_status status = report_figure_add(r, "figure4", "bounds", "Figure 4. Instance-aware upper bounds by fixed layer",
                                       "An instance counts if any of the N candidates is right. Bands: bootstrap intervals. Dashed: the same bound by chance, "
                                       "against permuted gold answers. Dotted: the untouched model. Layers from 1.", &f, error);
  if (status) goto done;
  TextBuffer *out = &f->svg;
  svg_open(out, 900, 372, f->title);
  for (int right = 0; right < 2; right++) {
    const Plot plot = panel(a, right, low, high);
    plot_axes(out, &plot, step, right ? "fixed target layer" : "fixed source layer", right ? "target layer" : "source layer", "accuracy, %");
    for (size_t g = 0; g < count; g++) {
      const xt_site_result *site = report_site(&groups[g]->group);
      char class[32];
      if (!site) continue;
      bound_curves(out, &plot, a, right ? site->targets : site->sources, g, groups[g]->group.title, values);
      snprintf(class, sizeof class, "d k%zu", g % 6);
      const double y = plot_y(&plot, groups[g]->group.vanilla.overall.value);
      svg_line(out, plot.left, y, plot.left + plot.width, y, class);
    }
  }
  for (size_t g = 0; g < count; g++) {
    char class[32];
    const xt_site_result *site = report_site(&groups[g]->group);
    snprintf(class, sizeof class, "w k%zu", g % 6);
    if (site) legend(out, &x, 360, class, report_format(r, "%s (%s)", groups[g]->group.title, site->site));
  }
  svg_close(out);
  status = finish(f, error);
done:
  free(values);
  return status;
}

static xt_status figure4_table(xt_report *r, const xt_group *g, const xt_site_result *site, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  static const char *const columns[] = {"bound", "low", "high", "chance", "chance low", "chance high", "candidates", "High", "Mid", "Low"};
  enum { COLUMNS = sizeof columns / sizeof *columns };
  Table *t;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "figure4-%s-%s", report_slug(r, g), report_site_slug(r, site->site)), "layer", &t, error));
  t->data = true;
  t->title = table_format(t, "Figure 4: %s, %s, instance-aware upper bounds by layer (from 0)", g->title, site->site);
  for (int target = 0; target < 2; target++)
    for (size_t c = 0; c < COLUMNS; c++) table_column(t, target ? "target" : "source", columns[c]);
  for (int layer = 0; layer < a->layers; layer++) {
    Row *row = table_row(t, table_format(t, "%d", layer));
    for (size_t target = 0; target < 2 && row; target++) {
      const xt_layer_result *k = target ? &site->targets[layer] : &site->sources[layer];
      if (k->bound.overall.count == 0) continue;
      const Cell cells[COLUMNS] = {cell_estimate(CELL_SHARE, k->bound.overall), cell_value(CELL_SHARE, k->bound_low), cell_value(CELL_SHARE, k->bound_high),
                                   cell_value(CELL_SHARE, k->chance), cell_value(CELL_SHARE, k->chance_low), cell_value(CELL_SHARE, k->chance_high),
                                   cell_value(CELL_NUMBER, k->candidates), cell_estimate(CELL_SHARE, k->bound.levels[0]),
                                   cell_estimate(CELL_SHARE, k->bound.levels[1]), cell_estimate(CELL_SHARE, k->bound.levels[2])};
      memcpy(row->cells + target * COLUMNS, cells, sizeof cells);
    }
  }
  return table_check(t, error);
}

/* ---- heatmaps --------------------------------------------------------------------------------- */

static xt_status draw_heatmap(xt_report *r, const xt_group *g, const xt_site_result *site, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  const int n = a->layers, skip = n <= 16 ? 1 : n <= 40 ? 4 : 8;
  const double side = n <= 16 ? 28 : 448.0 / n, left = 56, top = 64, size = side * n;
  double most = 0;
  char text[160], colour[8];
  ReportFigure *f;
  for (int c = 0; c < a->cells; c++)
    if (site->configurations[c].count) most = fmax(most, fabs(site->configurations[c].gain));
  TRY(report_figure_add(r, report_format(r, "heatmap-%s-%s", report_slug(r, g), report_site_slug(r, site->site)), "",
                        report_format(r, "%s, %s: gain of each configuration", report_group_title(r, g), report_site_title(site->site)), "", &f, error));
  TextBuffer *out = &f->svg;
  svg_open(out, left + size + 110, top + size + 56, f->title);
  svg_text(out, left, 26, "start", "h", f->title);
  svg_text(out, left, 46, "start", "s", "points of accuracy against the untouched model; layers from 1");
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      const xt_configuration *k = &site->configurations[i * n + j];
      if (k->count == 0) continue;
      svg_diverging(most > 0 ? k->gain / most : 0, colour);
      text_buffer_format(out, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"><title>source %d → target %d: %+.1f</title></rect>\n",
                         left + side * j, top + side * i, side - 0.5, side - 0.5, colour, i + 1, j + 1, 100 * k->gain);
    }
  for (int k = 0; k < n; k += skip) {
    snprintf(text, sizeof text, "%d", k + 1);
    svg_text(out, left - 8, top + side * (k + 0.5) + 4, "end", "s", text);
    svg_text(out, left + side * (k + 0.5), top + size + 18, "middle", "s", text);
  }
  svg_text(out, left + size / 2, top + size + 40, "middle", "s", "target layer");
  text_buffer_format(out, "<text class=\"s\" text-anchor=\"middle\" transform=\"translate(18 %.1f) rotate(-90)\">source layer</text>\n", top + size / 2);
  for (int k = 0; k < 41; k++) {
    svg_diverging(1 - k / 20.0, colour);
    text_buffer_format(out, "<rect x=\"%.1f\" y=\"%.2f\" width=\"16\" height=\"%.2f\" fill=\"%s\"/>\n", left + size + 24, top + size / 41 * k, size / 41 + 0.3, colour);
  }
  for (int k = -1; k <= 1; k++) {
    snprintf(text, sizeof text, k ? "%+.1f" : "%.0f", 100 * most * k);
    svg_text(out, left + size + 46, top + size * (1 - k) / 2 + (k == 1 ? 10 : k ? 0 : 4), "start", "s", text);
  }
  svg_close(out);
  return finish(f, error);
}

static xt_status configurations_table(xt_report *r, const xt_group *g, const xt_site_result *site, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  static const char *const columns[] = {"target layer", "count", "correct", "vanilla correct", "won", "lost", "gain", "low", "high", "p", "holm", "bh"};
  Table *t;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "configurations-%s-%s", report_slug(r, g), report_site_slug(r, site->site)), "source layer", &t, error));
  t->data = true;
  t->title = table_format(t, "%s, %s: every configuration against the untouched model (layers from 0)", g->title, site->site);
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) table_column(t, "", columns[c]);
  for (int c = 0; c < a->cells; c++) {
    const xt_configuration *k = &site->configurations[c];
    if (k->count == 0) continue;
    Row *row = table_row(t, table_format(t, "%d", c / a->layers));
    if (!row) break;
    const Cell cells[] = {cell_value(CELL_COUNT, c % a->layers), cell_value(CELL_COUNT, (double)k->count), cell_value(CELL_COUNT, (double)k->correct),
                          cell_value(CELL_COUNT, (double)k->vanilla_correct), cell_value(CELL_COUNT, (double)k->won), cell_value(CELL_COUNT, (double)k->lost),
                          cell_value(CELL_GAIN, k->gain), cell_value(CELL_GAIN, k->low), cell_value(CELL_GAIN, k->high), cell_value(CELL_P, k->p),
                          cell_value(CELL_P, k->holm), cell_value(CELL_P, k->bh)};
    memcpy(row->cells, cells, sizeof cells);
  }
  return table_check(t, error);
}

xt_status report_figures(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  const AnalysisGroup *groups[GROUPS_MOST];
  const size_t count = report_groups(&r->main, false, groups);
  TRY(draw_figure2(r, error));
  TRY(figure2_table(r, error));
  TRY(draw_figure4(r, groups, count, error));
  for (size_t g = 0; g < a->count; g++)
    for (size_t s = 0; s < a->groups[g].group.site_count; s++) {
      const xt_group *group = &a->groups[g].group;
      const xt_site_result *site = &group->sites[s];
      if (site->configuration_count == 0) continue;
      bool main = false;
      for (size_t k = 0; k < count; k++) main = main || (&groups[k]->group == group && report_site(group) == site);
      TRY(draw_figure3(r, group, site, main, error));
      TRY(figure3_table(r, group, site, error));
      TRY(figure4_table(r, group, site, error));
      TRY(draw_heatmap(r, group, site, error));
      TRY(configurations_table(r, group, site, error));
    }
  return XT_STATUS_OK;
}
