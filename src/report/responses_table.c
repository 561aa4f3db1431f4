/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics for every task, whether or not its responses can be scored. */
#include <math.h>
#include <string.h>

#include "report/report_parts.h"

static void add_group(Table *t, const xt_report *r, const xt_group *g) {
  const xt_analysis *a = r->main.analysis;
  const bool perplexity = a->has_perplexity, language = a->has_language;
  table_section(t, table_format(t, "%s%s%s%s, %zu questions%s", g->title,
                                g->pivot[0] ? ", from " : "", g->pivot, g->cot ? ", CoT" : "",
                                g->instances, g->scored ? "" : ", none of which can be scored"));
  for (size_t s = 0; s <= g->site_count; s++) {
    const xt_site_result *site = s ? &g->sites[s - 1] : NULL;
    TableRow *row = table_row(t, site ? report_site_title(site->site) : "Untouched");
    if (!row) return;
    size_t at = 0;
    size_t untouched = 0;
    for (size_t l = 0; l < xt_coverage_count(a->coverage) && !site; l++) {
      const xt_coverage_row *of = xt_coverage_get(a->coverage, l);
      if (!of->lang && strcmp(of->task, g->task) == 0 && strcmp(of->pivot, g->pivot) == 0 &&
          of->cot == g->cot)
        untouched = (size_t)of->sites[0].present;
    }
    row->cells[at++] = cell_value(CELL_COUNT, (double)(site ? site->responses : untouched));
    if (site) row->cells[at] = cell_estimate(CELL_SHARE, site->changed);
    at++;
    if (language)
      row->cells[at++] =
          cell_estimate(CELL_SHARE, site ? site->texts.consistency : g->texts.consistency);
    if (perplexity)
      row->cells[at] =
          cell_estimate(CELL_NUMBER, site ? site->texts.perplexity : g->texts.perplexity);
  }
}

xt_status report_responses_table(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "responses", "Site", &t, error));
  t->title = "Responses: how many, and how many the transplants changed";
  t->note =
      "Changed: share of responses that differ from the untouched one. Language (the share in "
      "the language that the task asks for) and perplexity are given as far as `metrics` "
      "has measured them.";
  table_column(t, "", "responses");
  table_column(t, "", "changed (%)");
  if (a->has_language) table_column(t, "", "in language (%)");
  if (a->has_perplexity) table_column(t, "", "perplexity");
  for (size_t i = 0; i < a->count + a->unscored; i++) add_group(t, r, &a->groups[i].group);
  return table_check(t, error);
}
