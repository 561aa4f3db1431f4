/* SPDX-License-Identifier: Apache-2.0 */
/* Figures over layers: the paper's figures 3 (9, 10) and 4, and the tables of their numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/levels.h"
#include "base/mem.h"
#include "report/report_parts.h"
#include "report/svg.h"

#define FIGURE_WIDTH 960
#define FIGURE_HEIGHT 372
#define SERIES_COLOURS 6

/* ---- figure 3 -------------------------------------------------------------------------------- */

/* Two panels side by side over the same range of y. */
static Plot panel(const xt_report *r, int layers, bool right, double low, double high) {
  return (Plot){.left = right ? 520 : 60,
                .top = 52,
                .width = 370,
                .height = 240,
                .x_low = r->first_layer,
                .x_high = r->first_layer + (layers > 1 ? layers - 1 : 1),
                .y_low = low,
                .y_high = high};
}

static void legend(TextBuffer *out, double *x, double y, const char *line, const char *text) {
  svg_line(out, *x, y - 4, *x + 22, y - 4, line);
  svg_text(out, *x + 28, y, "start", "t", text);
  *x += 44 + 7.2 * (double)strlen(text);
}

/* Colours by level of resources: High, Mid, Low, none. */
static const char *language_colour(const xt_group_language *language) {
  static const char *const colours[] = {"0", "4", "2", "3"};
  return colours[language->level < 0 ? 3 : language->level];
}

static double last_value(const double *values, int count) {
  while (count > 0 && isnan(values[count - 1])) count--;
  return count ? values[count - 1] : NAN;
}

/* A line per language, with its name at the end, and one over all instances. */
static xt_status gain_curves(TextBuffer *out, const Plot *plot, const xt_group *g,
                             const xt_layer_result *layers, int count, xt_error *error) {
  PlotLabel *labels;
  double *values;
  size_t named = 0;
  xt_status status = MEM_ALLOC(&labels, g->language_count, error);
  if (status) return status;
  status = MEM_ALLOC(&values, (size_t)count, error);
  for (size_t l = 0; l < g->language_count && !status; l++) {
    const xt_group_language *language = &g->languages[l];
    for (int k = 0; k < count; k++) values[k] = layers[k].language_gains[l].value;
    plot_curve(out, plot, values, count, "c", language_colour(language), language->name);
    const double end = last_value(values, count);
    if (!isnan(end))
      labels[named++] = (PlotLabel){plot_y(plot, end), language->name, language_colour(language)};
  }
  if (!status) {
    for (int k = 0; k < count; k++) values[k] = layers[k].gain.value;
    plot_curve(out, plot, values, count, "w", "", "all instances");
    status = plot_labels(out, plot, labels, named, error);
    free(values);
  }
  free(labels);
  return status;
}

static void figure3_range(const xt_group *g, const xt_site_result *site, int layers, double *low,
                          double *high) {
  for (int layer = 0; layer < layers; layer++)
    for (size_t l = 0; l < g->language_count; l++) {
      report_include(site->sources[layer].language_gains[l].value, low, high);
      report_include(site->targets[layer].language_gains[l].value, low, high);
    }
}

static xt_status draw_figure3(xt_report *r, const xt_group *g, const xt_site_result *site,
                              bool main, xt_error *error) {
  static const char *const lines[] = {"c k0", "c k4", "c k2", "c k3"};
  const xt_analysis *a = r->main.analysis;
  double low = 0, high = 0, x = 60;
  ReportFigure *f;
  figure3_range(g, site, a->layers, &low, &high);
  const double step = plot_round(&low, &high, 6);
  const char *note = report_format(
      r,
      "Mean over the other layer, in points of accuracy. Thin lines are single languages, and the "
      "thick line is over all instances.%s "
      "%s",
      site->configuration_count < a->cells ? " Dots lead over layers that were not run." : "",
      report_layers_note(r));
  TRY(report_figure_add(
      r, report_format(r, "figure3-%s-%s", report_slug(r, g), report_site_slug(r, site->site)),
      main ? "layers" : "layers-more",
      report_format(r, "Figure %s. %s, %s: average gain by layer",
                    report_numbered(&r->main, "3", "9", "10"), report_group_title(r, g),
                    report_site_title(site->site)),
      note, &f, error));
  TextBuffer *out = &f->svg;
  svg_open(out, FIGURE_WIDTH, FIGURE_HEIGHT, f->title);
  for (int right = 0; right < 2; right++) {
    const Plot plot = panel(r, a->layers, right, low, high);
    plot_axes(out, &plot, step, right ? "by target layer" : "by source layer",
              report_layer_column(r, right ? "target layer" : "source layer"), "gain, points");
    TRY(gain_curves(out, &plot, g, right ? site->targets : site->sources, a->layers, error));
  }
  legend(out, &x, FIGURE_HEIGHT - 12, "w k", "all instances");
  for (int level = 0; level <= XT_LEVEL_COUNT; level++)
    for (size_t l = 0; l < g->language_count; l++)
      if (g->languages[l].level == (level == XT_LEVEL_COUNT ? -1 : level)) {
        legend(out, &x, FIGURE_HEIGHT - 12, lines[level],
               level == XT_LEVEL_COUNT ? "other" : level_name(level));
        break;
      }
  svg_close(out);
  return report_figure_check(f, error);
}

static xt_status figure3_table(xt_report *r, const xt_group *g, const xt_site_result *site,
                               xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *t;
  TRY(table_add(
      &r->tables, &r->arena,
      report_format(r, "figure3-%s-%s", report_slug(r, g), report_site_slug(r, site->site)),
      report_layer_column(r, "layer"), &t, error));
  t->data = true;
  t->title = table_format(t, "Figure 3: %s, %s, mean gain by layer", g->title, site->site);
  for (int target = 0; target < 2; target++) {
    table_column(t, target ? "target" : "source", "all");
    for (size_t l = 0; l < g->language_count; l++)
      table_column(t, target ? "target" : "source", g->languages[l].name);
  }
  for (int layer = 0; layer < a->layers; layer++) {
    TableRow *row = table_row(t, table_format(t, "%d", layer + r->first_layer));
    for (size_t target = 0; target < 2 && row; target++) {
      const xt_layer_result *result = target ? &site->targets[layer] : &site->sources[layer];
      Cell *cells = row->cells + target * (g->language_count + 1);
      cells[0] = cell_estimate(CELL_GAIN, result->gain);
      for (size_t l = 0; l < g->language_count; l++)
        cells[1 + l] = cell_estimate(CELL_GAIN, result->language_gains[l]);
    }
  }
  return table_check(t, error);
}

/* `main`: the paper has the figure; others are folded on the page. */
xt_status report_figure3(xt_report *r, const xt_group *g, const xt_site_result *site, bool main,
                         xt_error *error) {
  TRY(draw_figure3(r, g, site, main, error));
  return figure3_table(r, g, site, error);
}

/* ---- figure 4 -------------------------------------------------------------------------------- */

/* The meaning of a colour: a task, or a task of one of several models. */
typedef struct Series {
  const AnalysisGroup *group;
  const xt_site_result *site; /* NULL: there is none */
  const char *title;
} Series;

/* The band, or the curves over it. `values`: [4][layers]. */
static void bound_curves(TextBuffer *out, const Plot *plot, const Series *series, bool right,
                         size_t number, bool band, double *values) {
  const int count = series->group->group.layers;
  const xt_layer_result *layers = right ? series->site->targets : series->site->sources;
  double *low = values + count, *high = low + count, *chance = high + count;
  char colour[8];
  for (int k = 0; k < count; k++) {
    const bool there = layers[k].complete && count > 1;
    values[k] = there ? layers[k].bound.overall.value : NAN;
    low[k] = there ? layers[k].bound_low : NAN;
    high[k] = there ? layers[k].bound_high : NAN;
    chance[k] = there ? layers[k].chance : NAN;
  }
  snprintf(colour, sizeof colour, "%zu", number % SERIES_COLOURS);
  if (band) {
    plot_band(out, plot, low, high, count, colour);
    return;
  }
  plot_curve(out, plot, values, count, "w", colour, series->title);
  plot_curve(out, plot, chance, count, "c dash", colour, "by chance");
}

/* The range of all that is drawn, and the largest number of layers; false: nothing is drawn. */
static bool figure4_range(const Series *series, size_t count, double *low, double *high,
                          int *layers) {
  for (size_t g = 0; g < count; g++) {
    const xt_site_result *site = series[g].site;
    const int n = series[g].group->group.layers;
    *layers = n > *layers ? n : *layers;
    for (int k = 0; site && k < n; k++)
      for (int target = 0; target < 2; target++) {
        const xt_layer_result *layer = target ? &site->targets[k] : &site->sources[k];
        if (layer->complete == 0 || n == 1) continue;
        report_include(layer->bound_high, low, high);
        report_include(layer->bound_low, low, high);
        report_include(layer->chance, low, high);
        report_include(series[g].group->group.vanilla.overall.value, low, high);
      }
  }
  return *high > *low;
}

static void figure4_panel(xt_report *r, TextBuffer *out, const Series *series, size_t count,
                          const Plot *plot, double step, bool right, double *values) {
  plot_axes(out, plot, step, right ? "fixed target layer" : "fixed source layer",
            report_layer_column(r, right ? "target layer" : "source layer"), "accuracy, %");
  for (size_t k = 0; k < 2 * count; k++) { /* all bands are below all curves */
    const size_t g = k % count;
    char class[32];
    if (!series[g].site) continue;
    bound_curves(out, plot, &series[g], right, g, k < count, values);
    if (k < count) continue;
    snprintf(class, sizeof class, "d k%zu", g % SERIES_COLOURS);
    const double y = plot_y(plot, series[g].group->group.vanilla.overall.value);
    svg_line(out, plot->left, y, plot->left + plot->width, y, class);
  }
}

static xt_status draw_figure4(xt_report *r, const char *id, const char *title, const Series *series,
                              size_t count, xt_error *error) {
  double low = 1, high = 0, *values, x = 60;
  int layers = 1;
  ReportFigure *f;
  if (!figure4_range(series, count, &low, &high, &layers)) return XT_STATUS_OK;
  const double step = plot_round(&low, &high, 6);
  const char *note = report_format(
      r,
      "An instance counts if any of its N candidates is right; instances that lack a candidate are "
      "left out. Bands: bootstrap intervals. Dashed: the same bound by chance, against the gold "
      "answers of other questions. Dotted: the untouched model. %s",
      report_layers_note(r));
  TRY(report_figure_add(r, id, "bounds", title, note, &f, error));
  TRY(MEM_ALLOC(&values, 4 * (size_t)layers, error));
  TextBuffer *out = &f->svg;
  svg_open(out, FIGURE_WIDTH, FIGURE_HEIGHT, f->title);
  for (int right = 0; right < 2; right++) {
    const Plot plot = panel(r, layers, right, low, high);
    figure4_panel(r, out, series, count, &plot, step, right, values);
  }
  free(values);
  for (size_t g = 0; g < count; g++) {
    char class[32];
    snprintf(class, sizeof class, "w k%zu", g % SERIES_COLOURS);
    if (series[g].site)
      legend(out, &x, FIGURE_HEIGHT - 12, class,
             report_format(r, "%s (%s)", series[g].title, series[g].site->site));
  }
  svg_close(out);
  return report_figure_check(f, error);
}

xt_status report_figure4(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                         xt_error *error) {
  Series series[GROUPS_MOST];
  for (size_t g = 0; g < count; g++)
    series[g] = (Series){groups[g], report_site(&groups[g]->group), groups[g]->group.title};
  return draw_figure4(r, "figure4", "Figure 4. Instance-aware upper bounds by fixed layer", series,
                      count, error);
}

/* A figure per task, with a colour per model, as long as there are colours. */
xt_status report_figure4_models(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                                xt_error *error) {
  if (r->more_count == 0 || r->more_count >= SERIES_COLOURS) return XT_STATUS_OK;
  for (size_t g = 0; g < count; g++) {
    Series series[SERIES_COLOURS];
    size_t n = 0;
    for (size_t k = 0; k <= r->more_count; k++) {
      const ReportStore *store = k ? &r->more[k - 1] : &r->main;
      const AnalysisGroup *same = k ? report_same_task(store, false, groups[g]) : groups[g];
      if (same) series[n++] = (Series){same, report_site(&same->group), store->model};
    }
    TRY(draw_figure4(
        r, report_format(r, "figure4-models-%s", report_slug(r, &groups[g]->group)),
        report_format(r, "Figure 4. %s: instance-aware upper bounds by fixed layer, by model",
                      report_group_title(r, &groups[g]->group)),
        series, n, error));
  }
  return XT_STATUS_OK;
}

xt_status report_figure4_table(xt_report *r, const xt_group *g, const xt_site_result *site,
                               const char *prefix, const char *model, xt_error *error) {
  static const char *const columns[] = {"bound",       "low",        "high", "chance", "chance low",
                                        "chance high", "candidates", "High", "Mid",    "Low"};
  enum { COLUMNS = sizeof columns / sizeof *columns };
  Table *t;
  TRY(table_add(
      &r->tables, &r->arena,
      report_format(r, "%s%s-%s", prefix, report_slug(r, g), report_site_slug(r, site->site)),
      report_layer_column(r, "layer"), &t, error));
  t->data = true;
  t->title = table_format(t, "Figure 4: %s, %s, %s, instance-aware upper bounds by layer", model,
                          g->title, site->site);
  for (int target = 0; target < 2; target++)
    for (size_t c = 0; c < COLUMNS; c++) table_column(t, target ? "target" : "source", columns[c]);
  for (int layer = 0; layer < g->layers; layer++) {
    TableRow *row = table_row(t, table_format(t, "%d", layer + r->first_layer));
    for (size_t target = 0; target < 2 && row; target++) {
      const xt_layer_result *k = target ? &site->targets[layer] : &site->sources[layer];
      if (k->bound.overall.count == 0) continue;
      const Cell cells[COLUMNS] = {cell_estimate(CELL_SHARE, k->bound.overall),
                                   cell_value(CELL_SHARE, k->bound_low),
                                   cell_value(CELL_SHARE, k->bound_high),
                                   cell_value(CELL_SHARE, k->chance),
                                   cell_value(CELL_SHARE, k->chance_low),
                                   cell_value(CELL_SHARE, k->chance_high),
                                   cell_value(CELL_NUMBER, k->candidates),
                                   cell_estimate(CELL_SHARE, k->bound.levels[0]),
                                   cell_estimate(CELL_SHARE, k->bound.levels[1]),
                                   cell_estimate(CELL_SHARE, k->bound.levels[2])};
      memcpy(row->cells + target * COLUMNS, cells, sizeof cells);
    }
  }
  return table_check(t, error);
}
