/* SPDX-License-Identifier: Apache-2.0 */
/* A table of transplants that should change nothing but did; a store without such transplants has
 * no such table. */
#include "analysis/no_ops.h"
#include "report/report_parts.h"

static void add_row(Table *t, xt_report *r, const AnalysisGroup *g, const AnalysisSite *s,
                    const NoOps *found) {
  TableRow *row =
      table_row(t, report_format(r, "%s, %s", report_group_title(r, &g->group), s->name));
  if (!row) return;
  row->cells[0] = cell_value(CELL_COUNT, (double)found->questions);
  row->cells[1] = cell_value(CELL_COUNT, (double)found->responses);
  row->cells[2] = cell_value(CELL_COUNT, (double)found->differ);
  row->cells[3] = cell_text(
      report_format(r, "%s %s, layer %d", found->lang, found->id, found->layer + r->first_layer));
  row->cells[4] = cell_value(CELL_COUNT, (double)found->other_prompts);
}

xt_status report_no_op_table(xt_report *r, xt_error *error) {
  static const char *const columns[] = {"Questions", "Responses", "Differ", "First",
                                        "Other prompts"};
  const xt_analysis *a = r->main.analysis;
  Table *t = NULL;
  for (size_t i = 0; i < a->count; i++)
    for (size_t k = 0; k < a->groups[i].site_count; k++) {
      const AnalysisGroup *g = &a->groups[i];
      const NoOps found = analysis_no_ops(a, g, &g->sites[k]);
      if (!found.differ) continue;
      if (!t) {
        TRY(table_add(&r->tables, &r->arena, "no-ops", "Task, site", &t, error));
        t->title = "Results that cannot be: transplants that put back what is there, and responses "
                   "that changed";
        t->note = table_format(
            t,
            "Where source and target prompt are the same and a layer's value goes into its own "
            "place, the response has to be the untouched one; so has the "
            "coarse row of English to equal vanilla's. These do not: the rows come from other "
            "prompts, another model or other code than they say, or (rarely, "
            "where two tokens are all but equally likely) from two kinds of machine. Other "
            "prompts: questions with source and target in one language that "
            "are not the same prompt. %s",
            report_layers_note(r));
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
          table_column(t, "", columns[c]);
      }
      add_row(t, r, g, &g->sites[k], &found);
    }
  return t ? table_check(t, error) : XT_STATUS_OK;
}
