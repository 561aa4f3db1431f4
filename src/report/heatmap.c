/* SPDX-License-Identifier: Apache-2.0 */
/* Heatmaps: the gain of each pair of layers, and the table of every configuration. */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "report/report_parts.h"
#include "report/svg.h"
#include "text/utf8.h"

/* Marks of configurations that are significant after correction for multiple comparisons. */
static void mark(TextBuffer *out, double x, double y, double radius, const xt_configuration *k) {
  if (k->holm < 0.05)
    svg_circle(out, x, y, radius, "f", "");
  else if (k->bh < 0.05)
    svg_circle(out, x, y, radius, "ring k", "");
}

/* The scale of colours, from `most` at the top to -most, a fraction. */
static void draw_scale(TextBuffer *out, double x, double top, double size, double most) {
  char text[32], colour[8];
  for (int k = 0; k < 41; k++) {
    svg_diverging(1 - k / 20.0, colour);
    text_buffer_format(out,
                       "<rect x=\"%.1f\" y=\"%.2f\" width=\"16\" height=\"%.2f\" fill=\"%s\"/>\n",
                       x, top + size / 41 * k, size / 41 + 0.3, colour);
  }
  for (int k = -1; k <= 1; k++) {
    number_print(text, sizeof text, k ? "%+.1f" : "%.0f", 100 * most * k);
    svg_text(out, x + 22, top + size * (1 - k) / 2 + (k == 1 ? 10 : k ? 0 : 4), "start", "s", text);
  }
}

static xt_status draw_heatmap(xt_report *r, const xt_group *g, const xt_site_result *site,
                              xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  const int n = a->layers, skip = n <= 16 ? 1 : n <= 40 ? 4 : 8;
  const double side = n <= 16 ? 28 : 448.0 / n, left = 56, top = 76, size = side * n;
  double most = 0;
  char text[160], colour[8];
  ReportFigure *f;
  for (int c = 0; c < a->cells; c++)
    if (site->configurations[c].count) most = fmax(most, fabs(site->configurations[c].gain));
  TRY(report_figure_add(
      r, report_format(r, "heatmap-%s-%s", report_slug(r, g), report_site_slug(r, site->site)), "",
      report_format(r, "%s, %s: gain of each configuration", report_group_title(r, g),
                    report_site_title(site->site)),
      "", &f, error));
  TextBuffer *out = &f->svg;
  const char *lines[] = {
      f->title,
      "Points of accuracy against the untouched model. A dot: p < 0.05 after Holm's correction,",
      report_format(r, "a ring: q < 0.05 after Benjamini and Hochberg's. %s",
                    report_layers_note(r))};
  double width = left + size + 110;
  for (size_t k = 0; k < 3; k++)
    width = fmax(width, left + 6.6 * (double)utf8_count(lines[k], strlen(lines[k])));
  svg_open(out, width, top + size + 56, f->title);
  for (size_t k = 0; k < 3; k++)
    svg_text(out, left, 22 + 17 * (double)k, "start", k ? "s" : "h", lines[k]);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      const xt_configuration *k = &site->configurations[i * n + j];
      if (k->count == 0) continue;
      svg_diverging(most > 0 ? k->gain / most : 0, colour);
      text_buffer_format(out,
                         "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                         "fill=\"%s\"><title>source %d → "
                         "target %d: %+.1f</title></rect>\n",
                         left + side * j, top + side * i, side - 0.5, side - 0.5, colour,
                         i + r->first_layer, j + r->first_layer, 100 * k->gain);
      mark(out, left + side * (j + 0.5), top + side * (i + 0.5), fmax(side / 10, 1.1), k);
    }
  for (int k = 0; k < n; k += skip) {
    snprintf(text, sizeof text, "%d", k + r->first_layer);
    svg_text(out, left - 8, top + side * (k + 0.5) + 4, "end", "s", text);
    svg_text(out, left + side * (k + 0.5), top + size + 18, "middle", "s", text);
  }
  svg_text(out, left + size / 2, top + size + 40, "middle", "s", "target layer");
  svg_text_up(out, 18, top + size / 2, "s", "source layer");
  draw_scale(out, left + size + 24, top, size, most);
  svg_close(out);
  return report_figure_check(f, error);
}

static xt_status configurations_table(xt_report *r, const xt_group *g, const xt_site_result *site,
                                      xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  static const char *const columns[] = {"target layer", "count",    "correct", "vanilla correct",
                                        "won",          "lost",     "gain",    "low",
                                        "high",         "p",        "mcnemar", "holm",
                                        "bh",           "holm all", "bh all"};
  Table *t;
  TRY(table_add(
      &r->tables, &r->arena,
      report_format(r, "configurations-%s-%s", report_slug(r, g), report_site_slug(r, site->site)),
      report_layer_column(r, "source layer"), &t, error));
  t->data = true;
  t->title = table_format(t, "%s, %s: every configuration against the untouched model", g->title,
                          site->site);
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
    table_column(t, "", c ? columns[c] : report_layer_column(r, columns[c]));
  for (int c = 0; c < a->cells; c++) {
    const xt_configuration *k = &site->configurations[c];
    if (k->count == 0) continue;
    TableRow *row = table_row(t, table_format(t, "%d", c / a->layers + r->first_layer));
    if (!row) break;
    const Cell cells[] = {cell_value(CELL_COUNT, c % a->layers + r->first_layer),
                          cell_value(CELL_COUNT, (double)k->count),
                          cell_value(CELL_COUNT, (double)k->correct),
                          cell_value(CELL_COUNT, (double)k->vanilla_correct),
                          cell_value(CELL_COUNT, (double)k->won),
                          cell_value(CELL_COUNT, (double)k->lost),
                          cell_value(CELL_GAIN, k->gain),
                          cell_value(CELL_GAIN, k->low),
                          cell_value(CELL_GAIN, k->high),
                          cell_value(CELL_P, k->p),
                          cell_value(CELL_P, k->mcnemar),
                          cell_value(CELL_P, k->holm),
                          cell_value(CELL_P, k->bh),
                          cell_value(CELL_P, k->holm_all),
                          cell_value(CELL_P, k->bh_all)};
    memcpy(row->cells, cells, sizeof cells);
  }
  return table_check(t, error);
}

xt_status report_heatmap(xt_report *r, const xt_group *g, const xt_site_result *site,
                         xt_error *error) {
  TRY(draw_heatmap(r, g, site, error));
  return configurations_table(r, g, site, error);
}
