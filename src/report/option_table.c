/* SPDX-License-Identifier: Apache-2.0 */
/* The table of options scored by likelihood. A store without such numbers has none. */
#include <string.h>

#include "report/report_parts.h"

static void option_row(Table *t, const char *label, const xt_option_row *o) {
  TableRow *row = table_row(t, label);
  if (!row) return;
  const Cell cells[] = {
      cell_value(CELL_COUNT, (double)o->runs), cell_value(CELL_SHARE, o->generated),
      cell_value(CELL_SHARE, o->acc),          cell_value(CELL_SHARE, o->acc_norm),
      cell_value(CELL_SHARE, o->calibrated),   cell_value(CELL_SHARE, o->calibrated_norm)};
  for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) row->cells[c] = cells[c];
}

static xt_status add_table(xt_report *r, Table **out, xt_error *error) {
  static const char *const names[] = {"Runs",     "Generated",  "acc",
                                      "acc_norm", "Calibrated", "Calibrated norm"};
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "options", "Task, run", &t, error));
  t->title = "Options by likelihood";
  t->note = table_format(
      t,
      "Accuracies over the runs whose options were scored, of a site over all its configurations, "
      "then of the one with the largest acc_norm, which is chosen on the same questions. "
      "Generated: by the generated text. acc: of the option with the largest log-probability of "
      "its whole text; acc_norm: divided by its characters. Calibrated: after subtraction of each "
      "option's mean over the questions of the same configuration and language.%s",
      report_layers_note(r));
  for (size_t c = 0; c < sizeof names / sizeof *names; c++) table_column(t, "", names[c]);
  *out = t;
  return XT_STATUS_OK;
}

xt_status report_option_table(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *t = NULL;
  for (size_t i = 0; i < a->option_count; i++) {
    const xt_option_row *o = &a->options_scored[i];
    const xt_task *task = xt_task_find(o->task);
    const char *title = task ? task->title : o->task;
    if (!t) TRY(add_table(r, &t, error));
    if (strcmp(o->site, "vanilla") == 0)
      option_row(t, table_format(t, "%s, untouched", title), o);
    else if (o->source_layer < 0)
      option_row(t, table_format(t, "%s, %s", title, o->site), o);
    else
      option_row(t,
                 table_format(t, "%s, %s, layer %d into %d", title, o->site,
                              o->source_layer + r->first_layer, o->target_layer + r->first_layer),
                 o);
  }
  return t ? table_check(t, error) : XT_STATUS_OK;
}
