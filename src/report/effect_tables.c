/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of continuous effects: what the first token's distribution says of transplants. A store
 * without such numbers has no such tables. */
#include <math.h>

#include "report/report_parts.h"

static bool has_effects(const xt_group *g) {
  for (size_t s = 0; s < g->site_count; s++)
    if (g->sites[s].effects) return true;
  return false;
}

/* Whether the first token is one of the answers' often enough to say something about them. */
static bool is_told(const xt_effect_result *e) { return e->tracked >= XT_TRACKED_LEAST; }

static Cell told(CellKind kind, double value, bool is) {
  return is ? cell_value(kind, value) : (Cell){0};
}

static void effect_row(Table *t, const char *label, const xt_group *g, const xt_effect_result *e) {
  TableRow *row = table_row(t, label);
  if (!row || e->count == 0) return;
  const bool is = is_told(e);
  const Cell cells[] = {told(CELL_NUMBER, e->logit_difference, is),
                        told(CELL_NUMBER, e->normalised,
                             is && is_told(&g->untouched_effects) && is_told(&g->source_effects)),
                        cell_value(CELL_SHARE, e->gold),
                        cell_value(CELL_SHARE, e->tracked),
                        cell_value(CELL_NUMBER, e->kl_untouched),
                        cell_value(CELL_NUMBER, e->kl_source),
                        told(CELL_SHARE, e->choice, is),
                        told(CELL_SHARE, e->calibrated, is)};
  for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) row->cells[c] = cells[c];
}

/* The configuration with the largest probability of the gold answer; -1: there is none. */
static int best_cell(const xt_group *g, const xt_site_result *site) {
  int best = -1;
  for (int c = 0; c < g->layers * g->layers && site->effects; c++)
    if (isfinite(site->effects[c].gold) &&
        (best < 0 || site->effects[c].gold > site->effects[best].gold))
      best = c;
  return best;
}

static void site_rows(xt_report *r, Table *t, const xt_group *g, const xt_site_result *site) {
  if (!site->effects) return;
  const int best = best_cell(g, site);
  effect_row(t, table_format(t, "%s, %s", report_group_title(r, g), site->site), g,
             &site->mean_effects);
  if (best >= 0)
    effect_row(t,
               table_format(t, "%s, %s, layer %d into %d", report_group_title(r, g), site->site,
                            best / g->layers + r->first_layer, best % g->layers + r->first_layer),
               g, &site->effects[best]);
}

static xt_status add_table(xt_report *r, Table **out, xt_error *error) {
  static const char *const names[] = {"Logit difference", "Normalised", "P(gold)",   "P(tracked)",
                                      "KL untouched",     "KL source",  "Likeliest", "Calibrated"};
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "effects", "Task, run", &t, error));
  t->title = "Continuous effects on the first token";
  t->note = table_format(
      t,
      "Means over scored questions, of a site over all its configurations, then of the one with "
      "the largest P(gold), which is chosen on the same questions. Logit difference: "
      "log-probability of the gold answer's first token minus that of the best other answer, in "
      "nats. Normalised: 0 is the untouched run, 1 the source prompt. P(tracked): probability that "
      "the first token is that of any answer; where it is below %.0f%%, the model begins "
      "otherwise, "
      "and what compares the answers is left blank (normalised: also where it is so untouched or "
      "of "
      "the source prompt). KL: divergence of the "
      "untouched run's or the source prompt's distribution from the run's, in nats. Likeliest: "
      "accuracy of the option whose first token is likeliest; calibrated: after division by the "
      "option's mean probability over the questions of the language. %s",
      100 * XT_TRACKED_LEAST, report_layers_note(r));
  for (size_t c = 0; c < sizeof names / sizeof *names; c++) table_column(t, "", names[c]);
  *out = t;
  return XT_STATUS_OK;
}

xt_status report_effect_tables(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *t = NULL;
  for (size_t i = 0; i < a->count; i++) {
    const xt_group *g = &a->groups[i].group;
    if (!has_effects(g)) continue;
    if (!t) TRY(add_table(r, &t, error));
    effect_row(t, table_format(t, "%s, untouched", report_group_title(r, g)), g,
               &g->untouched_effects);
    effect_row(t, table_format(t, "%s, source prompt", report_group_title(r, g)), g,
               &g->source_effects);
    for (size_t s = 0; s < g->site_count; s++) site_rows(r, t, g, &g->sites[s]);
  }
  return t ? table_check(t, error) : XT_STATUS_OK;
}
