/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of controls: what transplants gain, and what remains of it when the source's content, its
 * language or all of it is taken away. A store without controls has no such tables. */
#include <string.h>

#include "report/report_parts.h"

static bool has_controls(const xt_group *g, const xt_site_result *site) {
  for (size_t s = 0; s < g->site_count; s++)
    if (g->sites[s].transplant && strcmp(g->sites[s].transplant, site->site) == 0) return true;
  return false;
}

/* A site with controls, then these. */
static void each_site(xt_report *r, Table *t, const xt_group *g,
                      void (*row)(xt_report *r, Table *t, const xt_group *g,
                                  const xt_site_result *site)) {
  for (size_t s = 0; s < g->site_count; s++) {
    if (!has_controls(g, &g->sites[s])) continue;
    row(r, t, g, &g->sites[s]);
    for (size_t c = 0; c < g->site_count; c++)
      if (g->sites[c].transplant && strcmp(g->sites[c].transplant, g->sites[s].site) == 0)
        row(r, t, g, &g->sites[c]);
  }
}

static bool any_controls(const xt_group *g) {
  for (size_t s = 0; s < g->site_count; s++)
    if (g->sites[s].transplant) return true;
  return false;
}

/* ---- all tasks ------------------------------------------------------------------------------- */

static const char *const differences[] = {"gain", "low", "high", "p", "Holm"};
#define DIFFERENCE_CELLS (sizeof differences / sizeof *differences)
static const char *const means[] = {"Layer pairs", "Accuracy", "Transplant there"};
#define MEAN_CELLS (sizeof means / sizeof *means)

static void difference_cells(Cell *cells, const xt_difference *d) {
  if (d->count == 0) return;
  const Cell out[DIFFERENCE_CELLS] = {cell_value(CELL_GAIN, d->gain), cell_value(CELL_GAIN, d->low),
                                      cell_value(CELL_GAIN, d->high), cell_value(CELL_P, d->p),
                                      cell_value(CELL_P, d->holm)};
  memcpy(cells, out, sizeof out);
}

/* Of a control, both accuracies over what it shares with its transplants. */
static void overall_row(xt_report *r, Table *t, const xt_group *g, const xt_site_result *site) {
  const xt_scores *own = site->transplant ? &site->shared_mean : &site->mean;
  TableRow *row = table_row(t, table_format(t, "%s, %s", report_group_title(r, g), site->site));
  if (!row) return;
  row->cells[0] = cell_value(CELL_COUNT, site->transplant ? site->shared_configurations
                                                          : site->configuration_count);
  row->cells[1] = cell_estimate(CELL_SHARE, own->overall);
  if (site->transplant) row->cells[2] = cell_estimate(CELL_SHARE, site->transplant_mean.overall);
  difference_cells(row->cells + MEAN_CELLS, &site->mean_gain.overall);
  difference_cells(row->cells + MEAN_CELLS + DIFFERENCE_CELLS, &site->over_control.overall);
  difference_cells(row->cells + MEAN_CELLS + 2 * DIFFERENCE_CELLS,
                   &site->coarse_over_control.overall);
}

static xt_status overall_table(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  static const char *const groups[] = {"Over the untouched model", "Transplant over this control",
                                       "The same, coarse layers"};
  Table *t = NULL;
  for (size_t g = 0; g < a->count; g++) {
    if (!any_controls(&a->groups[g].group)) continue;
    if (!t) {
      TRY(table_add(&r->tables, &r->arena, "controls", "Task, site", &t, error));
      t->title = "Transplants and their controls";
      t->note = table_format(
          t,
          "Accuracy in per cent, a mean over configurations, which are pairs of layers. A row of "
          "a control has only what the transplant has too, and the transplant's accuracy over the "
          "same. A control writes something else at the same places. self: the target prompt's own "
          "value at the source layer; shuffled: "
          "that of another question's source prompt; random: a vector of random direction, as long "
          "as the value; mean: that of up to 32 other questions' source prompts. What a transplant "
          "gains over shuffled is due to the question's content; what shuffled or mean gain over "
          "self, to the source's language; what all have alike, to the disturbance. Differences "
          "are paired by question and configuration, with their %.0f%% bootstrap interval over "
          "questions; p: sign-flip test by question. Holm: p adjusted over the mean gains of all "
          "sites in the store, or over all gains over controls, coarse ones included. Coarse "
          "layers: the paper's choice.",
          100 * a->options.confidence);
      for (size_t c = 0; c < MEAN_CELLS; c++) table_column(t, "", means[c]);
      for (size_t c = 0; c < sizeof groups / sizeof *groups; c++)
        for (size_t d = 0; d < DIFFERENCE_CELLS; d++) table_column(t, groups[c], differences[d]);
    }
    each_site(r, t, &a->groups[g].group, overall_row);
  }
  return t ? table_check(t, error) : XT_STATUS_OK;
}

/* ---- a task by language ---------------------------------------------------------------------- */

static void language_rows(xt_report *r, Table *t, const xt_group *g, const xt_site_result *site) {
  const bool control = site->transplant != NULL;
  (void)r;
  report_language_cells(table_row(t, site->site), CELL_SHARE, g,
                        control ? &site->shared_mean : &site->mean);
  report_comparison_rows(t, g, table_format(t, "%s − Vanilla", site->site), &site->mean_gain);
  if (!control) return;
  report_language_cells(
      table_row(t, table_format(t, "%s where %s is", site->transplant, site->site)), CELL_SHARE, g,
      &site->transplant_mean);
  report_comparison_rows(t, g, table_format(t, "%s − %s", site->transplant, site->site),
                         &site->over_control);
  if (site->coarse_over_control.overall.count)
    report_comparison_rows(t, g, table_format(t, "Coarse: %s − %s", site->transplant, site->site),
                           &site->coarse_over_control);
}

static xt_status language_table(xt_report *r, const xt_group *g, xt_error *error) {
  Table *t;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "controls-%s", report_slug(r, g)),
                report_group_title(r, g), &t, error));
  t->data = true;
  t->title =
      table_format(t, "%s: transplants and their controls, by language", report_group_title(r, g));
  t->note =
      table_format(t,
                   "Accuracy in per cent, a mean over configurations; of a control, and of "
                   "the transplant in the row where it is, over those that both have. The "
                   "test called McNemar is the sign test of the instances' mean differences. %s",
                   report_comparison_note(t, r->main.analysis));
  report_language_columns(t, g);
  report_language_cells(table_row(t, "Vanilla"), CELL_SHARE, g, &g->vanilla);
  each_site(r, t, g, language_rows);
  return table_check(t, error);
}

xt_status report_control_tables(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  TRY(overall_table(r, error));
  for (size_t g = 0; g < a->count; g++)
    if (any_controls(&a->groups[g].group)) TRY(language_table(r, &a->groups[g].group, error));
  return XT_STATUS_OK;
}
