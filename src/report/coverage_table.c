/* SPDX-License-Identifier: Apache-2.0 */
/* The share of the questions, responses and measurements that all other tables are computed
 * from. */
#include <math.h>
#include <string.h>

#include "report/report_parts.h"

#define QUESTION_COLUMNS 5
#define SITE_COLUMNS 5

/* Sites of all rows, in their order. Returns their number. */
static size_t list_sites(const xt_coverage *c, const char **out, size_t most) {
  size_t n = 0;
  for (size_t i = 0; i < xt_coverage_count(c); i++) {
    const xt_coverage_row *row = xt_coverage_get(c, i);
    for (size_t s = 0; s < row->site_count && n < most; s++) {
      bool known = false;
      for (size_t k = 0; k < n; k++) known = known || strcmp(out[k], row->sites[s].site) == 0;
      if (!known) out[n++] = row->sites[s].site;
    }
  }
  return n;
}

static Cell count_cell(uint64_t n) { return cell_value(CELL_COUNT, (double)n); }

/* Calls `fill` for each row under its task's heading. */
static void add_rows(Table *t, const xt_coverage *c, const char *const *sites, size_t site_count,
                     void (*fill)(Table *t, TableRow *out, const xt_coverage_row *row,
                                  const char *const *sites, size_t site_count)) {
  for (size_t i = 0, first = 0; i < xt_coverage_count(c); i++) {
    const xt_coverage_row *row = xt_coverage_get(c, i);
    char title[160];
    if (row->lang) continue;
    table_section(t, table_format(t, "%s", xt_coverage_title(row, title, sizeof title)));
    for (size_t l = first; l <= i; l++) {
      const char *lang = xt_coverage_get(c, l)->lang;
      TableRow *out = table_row(t, !lang     ? "all"
                                   : lang[0] ? table_format(t, "%s", lang)
                                             : "no language");
      if (out) fill(t, out, xt_coverage_get(c, l), sites, site_count);
    }
    first = i + 1;
  }
}

/* ---- as people read it ----------------------------------------------------------------------- */

static Cell share_cell(Table *t, uint64_t present, uint64_t planned) {
  if (planned == 0) return (Cell){0};
  return cell_text(present == planned ? table_format(t, "all %llu", (unsigned long long)planned)
                                      : table_format(t, "%llu of %llu", (unsigned long long)present,
                                                     (unsigned long long)planned));
}

static void fill_shares(Table *t, TableRow *out, const xt_coverage_row *row,
                        const char *const *sites, size_t site_count) {
  out->cells[0] = row->dataset ? share_cell(t, row->planned, row->dataset) : cell_text("?");
  out->cells[1] = share_cell(t, row->present, row->planned);
  out->cells[2] = share_cell(t, row->scored, row->present);
  for (size_t k = 0; k < site_count; k++)
    for (size_t s = 0; s < row->site_count; s++)
      if (strcmp(row->sites[s].site, sites[k]) == 0)
        out->cells[3 + k] = share_cell(t, row->sites[s].present, row->sites[s].planned);
}

static xt_status share_table(xt_report *r, const char *const *sites, size_t site_count,
                             xt_error *error) {
  const xt_coverage *c = r->main.analysis->coverage;
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "coverage", "Language", &t, error));
  t->title = xt_coverage_is_whole(c) ? "Coverage. All that was planned is there"
                                     : "Coverage. NOT ALL THAT WAS PLANNED IS THERE";
  t->note =
      "Questions: how many of the dataset were planned, how many of these are present, and how "
      "many of these are scored (they have a gold answer and an untouched response). Then, of "
      "the planned responses, those that are present.";
  static const char *const columns[] = {"planned", "present", "scored"};
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
    table_column(t, "questions", columns[i]);
  for (size_t k = 0; k < site_count; k++) table_column(t, "responses", sites[k]);
  add_rows(t, c, sites, site_count, fill_shares);
  return table_check(t, error);
}

/* ---- as numbers ------------------------------------------------------------------------------ */

static void fill_counts(Table *t, TableRow *out, const xt_coverage_row *row,
                        const char *const *sites, size_t site_count) {
  const uint64_t questions[QUESTION_COLUMNS] = {row->dataset, row->too_long, row->planned,
                                                row->present, row->scored};
  (void)t;
  for (int i = row->dataset ? 0 : 1; i < QUESTION_COLUMNS; i++)
    out->cells[i] = count_cell(questions[i]);
  for (size_t k = 0; k < site_count; k++)
    for (size_t s = 0; s < row->site_count; s++) {
      const xt_coverage_site *site = &row->sites[s];
      const uint64_t counts[SITE_COLUMNS] = {site->planned, site->present, site->standalone,
                                             site->conditional, site->language};
      if (strcmp(site->site, sites[k]) != 0) continue;
      for (size_t i = 0; i < SITE_COLUMNS; i++)
        out->cells[QUESTION_COLUMNS + SITE_COLUMNS * k + i] = count_cell(counts[i]);
    }
}

static xt_status count_table(xt_report *r, const char *const *sites, size_t site_count,
                             xt_error *error) {
  static const char *const question_columns[QUESTION_COLUMNS] = {"dataset", "too long", "planned",
                                                                 "present", "scored"};
  static const char *const site_columns[SITE_COLUMNS] = {"planned", "present", "perplexity",
                                                         "conditional", "language"};
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "coverage-counts", "Language", &t, error));
  t->title = "Coverage in numbers";
  t->note = "Questions and, at each site, responses: planned, present, and those of the present "
            "ones whose perplexity (standalone, conditional) and language were measured.";
  t->data = true;
  for (int i = 0; i < QUESTION_COLUMNS; i++) table_column(t, "questions", question_columns[i]);
  for (size_t k = 0; k < site_count; k++)
    for (int i = 0; i < SITE_COLUMNS; i++) table_column(t, sites[k], site_columns[i]);
  add_rows(t, r->main.analysis->coverage, sites, site_count, fill_counts);
  return table_check(t, error);
}

xt_status report_coverage_table(xt_report *r, xt_error *error) {
  const char *sites[32];
  const size_t site_count =
      list_sites(r->main.analysis->coverage, sites, sizeof sites / sizeof *sites);
  TRY(share_table(r, sites, site_count, error));
  return count_table(r, sites, site_count, error);
}
