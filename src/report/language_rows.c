/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of languages, and the rows of scores and comparisons under them. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "analysis/levels.h"
#include "report/report_parts.h"

/* ---- languages as columns -------------------------------------------------------------------- */

void report_language_columns(Table *t, const xt_group *g) {
  for (int level = 0; level < XT_LEVEL_COUNT; level++) {
    bool any = false;
    for (size_t l = 0; l < g->language_count; l++)
      if (g->languages[l].level == level) {
        table_column(t, level_name(level), g->languages[l].name);
        any = true;
      }
    if (any) table_column(t, level_name(level), "Avg.");
  }
  for (size_t l = 0; l < g->language_count; l++)
    if (g->languages[l].level < 0)
      table_column(t, "Other", g->languages[l].name[0] ? g->languages[l].name : "?");
  table_column(t, "All", "instances");
}

void report_language_cells(TableRow *row, CellKind kind, const xt_group *g,
                           const xt_scores *scores) {
  size_t at = 0;
  if (!row) return;
  for (int level = 0; level < XT_LEVEL_COUNT; level++) {
    bool any = false;
    for (size_t l = 0; l < g->language_count; l++)
      if (g->languages[l].level == level) {
        row->cells[at++] = cell_estimate(kind, scores->languages[l]);
        any = true;
      }
    if (any) row->cells[at++] = cell_estimate(kind, scores->levels[level]);
  }
  for (size_t l = 0; l < g->language_count; l++)
    if (g->languages[l].level < 0) row->cells[at++] = cell_estimate(kind, scores->languages[l]);
  row->cells[at] = cell_estimate(kind, scores->overall);
}

/* ---- comparisons ----------------------------------------------------------------------------- */

/* The rows of a comparison: a member of each difference, by its offset in the structure. */
static const struct {
  const char *ending;
  CellKind kind;
  size_t offset;
} comparison_rows[] = {
    {"", CELL_GAIN, offsetof(xt_difference, gain)},
    {": low", CELL_GAIN, offsetof(xt_difference, low)},
    {": high", CELL_GAIN, offsetof(xt_difference, high)},
    {": p", CELL_P, offsetof(xt_difference, p)},
    {": p (McNemar)", CELL_P, offsetof(xt_difference, mcnemar)},
    {": p (Holm)", CELL_P, offsetof(xt_difference, holm)},
    {": q (BH)", CELL_P, offsetof(xt_difference, bh)},
};

static Cell difference_cell(const xt_difference *d, size_t which) {
  double value;
  memcpy(&value, (const char *)d + comparison_rows[which].offset, sizeof value);
  return d->count ? cell_value(comparison_rows[which].kind, value) : (Cell){0};
}

void report_comparison_rows(Table *t, const xt_group *g, const char *label,
                            const xt_comparison *c) {
  for (size_t which = 0; which < sizeof comparison_rows / sizeof *comparison_rows; which++) {
    TableRow *row = table_row(t, table_format(t, "%s%s", label, comparison_rows[which].ending));
    size_t at = 0;
    if (!row) return;
    for (int level = 0; level < XT_LEVEL_COUNT; level++) {
      bool any = false;
      for (size_t l = 0; l < g->language_count; l++)
        if (g->languages[l].level == level) {
          row->cells[at++] = difference_cell(&c->languages[l], which);
          any = true;
        }
      if (any) row->cells[at++] = difference_cell(&c->levels[level], which);
    }
    for (size_t l = 0; l < g->language_count; l++)
      if (g->languages[l].level < 0) row->cells[at++] = difference_cell(&c->languages[l], which);
    row->cells[at] = difference_cell(&c->overall, which);
  }
}

const char *report_comparison_note(Table *t, const xt_analysis *a) {
  return table_format(
      t,
      "Differences are over the instances that both have, with their %.0f%% bootstrap interval "
      "over questions. p: sign-flip test by question; McNemar's "
      "exact test takes instances as independent. Holm and BH adjust p over all comparisons with "
      "the same baseline in the store, of all tasks and "
      "sites: those of languages, of averages and of all instances each by themselves.",
      100 * a->options.confidence);
}

/* ---- numbers of tables ----------------------------------------------------------------------- */

const char *report_numbered(const ReportStore *store, const char *llama, const char *mistral,
                            const char *qwen) {
  char lower[64];
  size_t n = 0;
  for (const char *c = store->model; *c && n + 1 < sizeof lower; c++)
    lower[n++] = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
  lower[n] = 0;
  return strstr(lower, "mistral") ? mistral : strstr(lower, "qwen") ? qwen : llama;
}
