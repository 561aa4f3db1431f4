/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of options scored by likelihood, and of what differs from the untouched run and from
 * controls. A store without such numbers has none. */
#include "report/report_parts.h"

static const char *const rules[XT_OPTION_RULES] = {"Generated", "acc", "acc_norm", "Calibrated",
                                                   "Calibrated norm"};

typedef void Row(Table *t, const char *label, const xt_option_intervals *k);

static void mean_row(Table *t, const char *label, const xt_option_intervals *k) {
  TableRow *row = table_row(t, label);
  if (!row) return;
  row->cells[0] = cell_value(CELL_COUNT, (double)k->runs);
  if (k->configurations) row->cells[1] = cell_value(CELL_COUNT, k->configurations);
  for (size_t r = 0; r < XT_OPTION_RULES; r++)
    row->cells[2 + r] = cell_interval(CELL_SHARE, k->means[r]);
}

static void difference_row(Table *t, const char *label, const xt_option_intervals *k) {
  TableRow *row = table_row(t, label);
  if (!row) return;
  for (size_t r = 0; r < XT_OPTION_RULES; r++) {
    row->cells[r] = cell_interval(CELL_GAIN, k->over_untouched[r]);
    if (t->column_count > XT_OPTION_RULES) /* there are controls */
      row->cells[XT_OPTION_RULES + r] = cell_interval(CELL_GAIN, k->over_control[r]);
  }
}

static bool has_options(const xt_group *g) {
  bool has = g->untouched_options.runs > 0;
  for (size_t s = 0; s < g->site_count; s++) has = has || g->sites[s].options.runs > 0;
  return has;
}

static void all_rows(xt_report *r, Table *t, bool untouched, Row *row) {
  const xt_analysis *a = r->main.analysis;
  for (size_t i = 0; i < a->count; i++) {
    const xt_group *g = &a->groups[i].group;
    const char *title = report_group_title(r, g);
    if (untouched && g->untouched_options.runs)
      row(t, table_format(t, "%s, untouched", title), &g->untouched_options);
    for (size_t s = 0; s < g->site_count; s++) {
      const xt_site_result *site = &g->sites[s];
      const int best = site->best_options;
      if (!site->options.runs) continue;
      row(t, table_format(t, "%s, %s", title, site->site), &site->options);
      row(t,
          table_format(t, "%s, %s, layer %d into %d", title, site->site,
                       best / g->layers + r->first_layer, best % g->layers + r->first_layer),
          &site->best_option_intervals);
    }
  }
}

static xt_status add_means(xt_report *r, Table **out, xt_error *error) {
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "options", "Task, run", &t, error));
  t->title = "Options by likelihood";
  t->note = table_format(
      t,
      "Accuracies over the runs whose options were scored, with their %.0f%% bootstrap intervals "
      "over questions, of a site over all its layer pairs, then of the one with the largest "
      "acc_norm, which is chosen on the same questions. Generated: by the generated text. acc: of "
      "the option with the largest log-probability of its whole text; acc_norm: divided by its "
      "characters. Calibrated: after subtraction of each option's mean over the questions of the "
      "same configuration and language. %s",
      100 * r->main.analysis->options.confidence, report_layers_note(r));
  table_column(t, "", "Runs");
  table_column(t, "", "Layer pairs");
  for (size_t k = 0; k < XT_OPTION_RULES; k++) table_interval_column(t, "", rules[k]);
  *out = t;
  return XT_STATUS_OK;
}

static bool has_controls(const xt_analysis *a) {
  for (size_t i = 0; i < a->count; i++)
    for (size_t s = 0; s < a->groups[i].group.site_count; s++) {
      const xt_site_result *site = &a->groups[i].group.sites[s];
      if (site->transplant && site->options.runs) return true;
    }
  return false;
}

static xt_status add_differences(xt_report *r, Table **out, xt_error *error) {
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "options-differences", "Task, run", &t, error));
  t->title = "Options by likelihood: differences";
  t->note = table_format(
      t,
      "Differences of the accuracies in the table of options, in points, with their %.0f%% "
      "bootstrap intervals over questions: from the untouched run, paired by question; and of a "
      "control's transplant from it, over the runs that both have, paired by question and layer "
      "pair. %s",
      100 * r->main.analysis->options.confidence, report_layers_note(r));
  for (size_t k = 0; k < XT_OPTION_RULES; k++) table_interval_column(t, "Over untouched", rules[k]);
  for (size_t k = 0; k < XT_OPTION_RULES && has_controls(r->main.analysis); k++)
    table_interval_column(t, "Over the control", rules[k]);
  *out = t;
  return XT_STATUS_OK;
}

xt_status report_option_table(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *means, *differences;
  bool any = false, sites = false;
  for (size_t i = 0; i < a->count; i++) {
    const xt_group *g = &a->groups[i].group;
    any = any || has_options(g);
    for (size_t s = 0; s < g->site_count; s++) sites = sites || g->sites[s].options.runs > 0;
  }
  if (!any) return XT_STATUS_OK;
  TRY(add_means(r, &means, error));
  all_rows(r, means, true, mean_row);
  TRY(table_check(means, error));
  if (!sites) return XT_STATUS_OK;
  TRY(add_differences(r, &differences, error));
  all_rows(r, differences, false, difference_row);
  return table_check(differences, error);
}
