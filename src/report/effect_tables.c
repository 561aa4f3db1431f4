/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of continuous effects: what the first token's distribution says of transplants, and how
 * that differs from the untouched run and from controls. A store without such numbers has no such
 * tables. */
#include <math.h>

#include "report/report_parts.h"

typedef struct Shown {
  xt_effect_measure measure;
  const char *name;
  CellKind kind, difference; /* of a mean, and of a difference */
  bool compares;             /* answers with one another: blank where they are hardly ever begun */
  bool over_untouched, over_control; /* has columns of its difference */
} Shown;

static const Shown shown[] = {
    {XT_MEASURE_LOGIT_DIFFERENCE, "Logit difference", CELL_NUMBER, CELL_NUMBER, true, true, true},
    {XT_MEASURE_NORMALISED, "Normalised", CELL_NUMBER, CELL_NUMBER, true, false, false},
    {XT_MEASURE_GOLD, "P(gold)", CELL_SHARE, CELL_GAIN, false, true, true},
    {XT_MEASURE_TRACKED, "P(tracked)", CELL_SHARE, CELL_GAIN, false, true, true},
    {XT_MEASURE_KL_UNTOUCHED, "KL untouched", CELL_NUMBER, CELL_NUMBER, false, false, true},
    {XT_MEASURE_KL_SOURCE, "KL source", CELL_NUMBER, CELL_NUMBER, false, true, true},
    {XT_MEASURE_CHOICE, "Likeliest", CELL_SHARE, CELL_GAIN, true, true, true},
    {XT_MEASURE_CALIBRATED, "Calibrated", CELL_SHARE, CELL_GAIN, true, true, true}};
#define SHOWN (sizeof shown / sizeof *shown)

static bool has_effects(const xt_group *g) {
  for (size_t s = 0; s < g->site_count; s++)
    if (g->sites[s].effects) return true;
  return false;
}

/* Whether the first token is one of the answers' often enough to say something about them. */
static bool is_told(const xt_effect_result *e) { return e && e->tracked >= XT_TRACKED_LEAST; }

/* ---- rows ------------------------------------------------------------------------------------ */

/* One line of both tables. */
typedef struct Line {
  const xt_group *group;
  const xt_effect_result *of, *transplant; /* transplant: NULL where it is no control */
  const xt_effect_intervals *intervals;
  int configurations; /* 0: it is no site */
} Line;

/* Questions without gold answers have means of what needs none, without intervals. */
static Cell mean_cell(const Line *k, const Shown *what) {
  if (k->group->scored) return cell_interval(what->kind, k->intervals->means[what->measure]);
  const double value = what->measure == XT_MEASURE_KL_UNTOUCHED ? k->of->kl_untouched
                       : what->measure == XT_MEASURE_KL_SOURCE  ? k->of->kl_source
                                                                : (double)NAN;
  return cell_interval(what->kind, (xt_interval){value, NAN, NAN});
}

static void mean_row(Table *t, const char *label, const Line *k) {
  TableRow *row = table_row(t, label);
  if (!row || k->of->count == 0) return;
  const bool told = is_told(k->of), span = told && is_told(&k->group->untouched_effects) &&
                                           is_told(&k->group->source_effects);
  if (k->configurations) row->cells[0] = cell_value(CELL_COUNT, k->configurations);
  for (size_t c = 0; c < SHOWN; c++)
    if (!shown[c].compares || (shown[c].measure == XT_MEASURE_NORMALISED ? span : told))
      row->cells[1 + c] = mean_cell(k, &shown[c]);
}

/* Differences are blank where they compare answers that either side hardly ever begins. */
static void difference_row(Table *t, const char *label, const Line *k) {
  TableRow *row = table_row(t, label);
  if (!row || k->of->count == 0) return;
  Cell *cell = row->cells;
  for (int control = 0; control < 2; control++) {
    const bool told =
        is_told(k->of) && is_told(control ? k->transplant : &k->group->untouched_effects);
    const xt_interval *from = control ? k->intervals->over_control : k->intervals->over_untouched;
    for (size_t c = 0; c < SHOWN; c++) {
      if (!(control ? shown[c].over_control : shown[c].over_untouched)) continue;
      if (told || !shown[c].compares)
        *cell = cell_interval(shown[c].difference, from[shown[c].measure]);
      cell++;
    }
  }
}

static int configurations_of(const xt_group *g, const xt_site_result *site) {
  int count = 0;
  for (int c = 0; c < g->layers * g->layers; c++) count += site->effects[c].count > 0;
  return count;
}

typedef void Row(Table *t, const char *label, const Line *line);

static void site_rows(const xt_report *r, Table *t, const xt_group *g, const xt_site_result *site,
                      const char *name, Row *row) {
  if (!site->effects) return;
  const int best = site->best_effects;
  const xt_site_result *of = site->transplant ? report_find_site(g, site->transplant) : NULL;
  const bool control = of && of->effects;
  row(t, table_format(t, "%s, %s", name, site->site),
      &(Line){g, &site->mean_effects, control ? &of->mean_effects : NULL, &site->effect_intervals,
              configurations_of(g, site)});
  if (best >= 0)
    row(t,
        table_format(t, "%s, %s, layer %d into %d", name, site->site,
                     best / g->layers + r->first_layer, best % g->layers + r->first_layer),
        &(Line){g, &site->effects[best], control ? &of->effects[best] : NULL,
                &site->best_effect_intervals, 1});
}

static void group_rows(xt_report *r, Table *t, const xt_group *g, bool untouched, Row *row) {
  const char *title = report_group_title(r, g),
             *name = g->scored ? title : table_format(t, "%s (no gold answers)", title);
  if (untouched)
    row(t, table_format(t, "%s, untouched", name),
        &(Line){g, &g->untouched_effects, NULL, &g->untouched_effect_intervals, 0});
  row(t, table_format(t, "%s, source prompt", name),
      &(Line){g, &g->source_effects, NULL, &g->source_effect_intervals, 0});
  for (size_t s = 0; s < g->site_count; s++) site_rows(r, t, g, &g->sites[s], name, row);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static xt_status add_means(xt_report *r, Table **out, xt_error *error) {
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "effects", "Task, run", &t, error));
  t->title = "Continuous effects on the first token";
  t->note = table_format(
      t,
      "Means over scored questions with their %.0f%% bootstrap intervals over questions, of a site "
      "over all its layer pairs, then of the one with the largest P(gold), which is chosen on the "
      "same questions. Logit difference: log-probability of the gold answer's first token minus "
      "that of the best other answer, in nats. Normalised: 0 is the untouched run, 1 the source "
      "prompt; blank where the interval of what lies between them contains 0. P(tracked): "
      "probability that the first token is that of any answer; where it is below %.0f%%, the model "
      "begins otherwise, and what compares the answers is left blank (normalised: also where it is "
      "so untouched or of the source prompt). KL: divergence of the untouched run's or the source "
      "prompt's distribution from the run's, in nats. Likeliest: accuracy of the option whose "
      "first token is likeliest; calibrated: after division by the option's mean probability over "
      "the questions of the language. %s",
      100 * r->main.analysis->options.confidence, 100 * XT_TRACKED_LEAST, report_layers_note(r));
  table_column(t, "", "Layer pairs");
  for (size_t c = 0; c < SHOWN; c++) table_interval_column(t, "", shown[c].name);
  *out = t;
  return XT_STATUS_OK;
}

static xt_status add_differences(xt_report *r, Table **out, xt_error *error) {
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "effects-differences", "Task, run", &t, error));
  t->title = "Continuous effects: differences";
  t->note = table_format(
      t,
      "Differences of what the table of effects shows, in its units, with their %.0f%% bootstrap "
      "intervals over questions: from the untouched run, paired by question; and of a control's "
      "transplant from it, over the responses that both have, paired by question and layer pair. "
      "Blank where P(tracked) of either side is below %.0f%%. %s",
      100 * r->main.analysis->options.confidence, 100 * XT_TRACKED_LEAST, report_layers_note(r));
  for (size_t c = 0; c < SHOWN; c++)
    if (shown[c].over_untouched) table_interval_column(t, "Over the untouched run", shown[c].name);
  for (size_t c = 0; c < SHOWN; c++)
    if (shown[c].over_control)
      table_interval_column(t, "Transplant over this control", shown[c].name);
  *out = t;
  return XT_STATUS_OK;
}

xt_status report_effect_tables(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *means = NULL, *differences = NULL;
  for (size_t i = 0; i < a->count + a->unscored; i++) {
    const xt_group *g = &a->groups[i].group;
    if (!has_effects(g)) continue;
    if (!means) TRY(add_means(r, &means, error));
    group_rows(r, means, g, true, mean_row);
    if (i == a->count)
      means->note =
          table_format(means, "%s %s", means->note,
                       "Rows without gold answers are over all questions: of these columns "
                       "only the divergences need no gold answer, and the others are empty.");
  }
  for (size_t i = 0; i < a->count && means; i++) {
    const xt_group *g = &a->groups[i].group;
    if (!has_effects(g)) continue;
    if (!differences) TRY(add_differences(r, &differences, error));
    group_rows(r, differences, g, false, difference_row);
  }
  if (means) TRY(table_check(means, error));
  if (differences) TRY(table_check(differences, error));
  return report_answer_table(r, error);
}
