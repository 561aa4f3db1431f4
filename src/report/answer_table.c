/* SPDX-License-Identifier: Apache-2.0 */
/* The table of answers to questions without a gold answer, one by one. */
#include <math.h>

#include "report/report_parts.h"

static void answer_row(const xt_report *r, Table *t, const char *label, const xt_group *g,
                       const xt_answer_effect *mean, const xt_answer_effect *cells, size_t answer) {
  TableRow *row = table_row(t, label);
  const int count = g->layers * g->layers;
  int most = -1;
  if (!row) return;
  row->cells[0] = cell_value(CELL_COUNT, (double)mean[answer].count);
  row->cells[1] = cell_value(CELL_NUMBER, mean[answer].logprob);
  if (!cells) return;
  row->cells[2] = cell_value(CELL_NUMBER, mean[answer].change);
  for (int c = 0; c < count; c++) {
    const double change = cells[(size_t)c * g->answer_count + answer].change;
    if (isfinite(change) &&
        (most < 0 || fabs(change) > fabs(cells[(size_t)most * g->answer_count + answer].change)))
      most = c;
  }
  if (most < 0) return;
  row->cells[3] = cell_value(CELL_NUMBER, cells[(size_t)most * g->answer_count + answer].change);
  row->cells[4] = cell_value(CELL_COUNT, most / g->layers + r->first_layer);
  row->cells[5] = cell_value(CELL_COUNT, most % g->layers + r->first_layer);
}

static void answer_rows(xt_report *r, Table *t, const xt_group *g) {
  const char *name = report_group_title(r, g);
  for (size_t k = 0; k < g->answer_count; k++) {
    const xt_answer_effect *untouched = &g->untouched_answers[k];
    const char *answer =
        table_format(t, "%s %s", untouched->option ? "option" : "word", untouched->answer);
    answer_row(r, t, table_format(t, "%s, %s, untouched", name, answer), g, g->untouched_answers,
               NULL, k);
    answer_row(r, t, table_format(t, "%s, %s, source prompt", name, answer), g, g->source_answers,
               NULL, k);
    for (size_t s = 0; s < g->site_count; s++)
      if (g->sites[s].answers)
        answer_row(r, t, table_format(t, "%s, %s, %s", name, answer, g->sites[s].site), g,
                   g->sites[s].mean_answers, g->sites[s].answers, k);
  }
}

xt_status report_answer_table(xt_report *r, xt_error *error) {
  static const char *const columns[][2] = {{"", "Responses"},
                                           {"", "Log-probability"},
                                           {"", "Change"},
                                           {"Largest change", "nats"},
                                           {"Largest change", "source layer"},
                                           {"Largest change", "target layer"}};
  const xt_analysis *a = r->main.analysis;
  Table *t = NULL;
  for (size_t i = a->count; i < a->count + a->unscored; i++) {
    const xt_group *g = &a->groups[i].group;
    if (g->answer_count == 0) continue;
    if (!t) {
      TRY(table_add(&r->tables, &r->arena, "effects-answers", "Task, answer, run", &t, error));
      t->title = "Answers to questions without a gold answer";
      t->note = table_format(
          t,
          "Of each option and tracked word the log-probability, in nats, that the first token is "
          "one of its tokens: a mean over questions and, of a site, over all its configurations; "
          "its change from the untouched run of the same question, and the configuration that "
          "changes it most. No gold answer is used. %s",
          report_layers_note(r));
      for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        table_column(t, columns[c][0], columns[c][1]);
    }
    answer_rows(r, t, g);
  }
  return t ? table_check(t, error) : XT_STATUS_OK;
}
