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

static void mean_row(Table *t, const char *label, const Line *k) {
  TableRow *row = table_row(t, label);
  if (!row || k->of->count == 0) return;
  const bool told = is_told(k->of), span = told && is_told(&k->group->untouched_effects) &&
                                           is_told(&k->group->source_effects);
  if (k->configurations) row->cells[0] = cell_value(CELL_COUNT, k->configurations);
  for (size_t c = 0; c < SHOWN; c++)
    if (!shown[c].compares || (shown[c].measure == XT_MEASURE_NORMALISED ? span : told))
      row->cells[1 + c] = cell_interval(shown[c].kind, k->intervals->means[shown[c].measure]);
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
    if (cell == row->cells + t->column_count) return; /* no controls */
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

/* The rows of a group; `name` is its title. */
static void group_rows(const xt_report *r, Table *t, const xt_group *g, const char *name,
                       bool untouched, Row *row) {
  if (untouched)
    row(t, table_format(t, "%s, untouched", name),
        &(Line){g, &g->untouched_effects, NULL, &g->untouched_effect_intervals, 0});
  row(t, table_format(t, "%s, source prompt", name),
      &(Line){g, &g->source_effects, NULL, &g->source_effect_intervals, 0});
  for (size_t s = 0; s < g->site_count; s++) site_rows(r, t, g, &g->sites[s], name, row);
}

/* ---- questions without gold answers ---------------------------------------------------------- */

static const char *without_gold(Table *t, xt_report *r, const xt_group *g) {
  return table_format(t, "%s (no gold answers)", report_group_title(r, g));
}

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

static xt_status answer_table(xt_report *r, xt_error *error) {
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
    if (!has_effects(g) || g->answer_count == 0) continue;
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

static bool has_controls(const xt_analysis *a) {
  for (size_t i = 0; i < a->count; i++)
    for (size_t s = 0; s < a->groups[i].group.site_count; s++) {
      const xt_site_result *site = &a->groups[i].group.sites[s];
      if (site->transplant && site->effects) return true;
    }
  return false;
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
    if (shown[c].over_untouched) table_interval_column(t, "Over untouched", shown[c].name);
  for (size_t c = 0; c < SHOWN && has_controls(r->main.analysis); c++)
    if (shown[c].over_control) table_interval_column(t, "Over the control", shown[c].name);
  *out = t;
  return XT_STATUS_OK;
}

/* A row for each run of all groups. */
static void all_rows(xt_report *r, Table *t, bool untouched, Row *row) {
  const xt_analysis *a = r->main.analysis;
  for (size_t i = 0; i < a->count + a->unscored; i++) {
    const xt_group *g = &a->groups[i].group;
    if (has_effects(g))
      group_rows(r, t, g, i < a->count ? report_group_title(r, g) : without_gold(t, r, g),
                 untouched, row);
  }
}

xt_status report_effect_tables(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Table *means = NULL, *differences = NULL;
  bool any = false, unscored = false;
  for (size_t i = 0; i < a->count + a->unscored; i++) {
    const bool has = has_effects(&a->groups[i].group);
    any = any || has;
    unscored = unscored || (has && i >= a->count);
  }
  if (!any) return XT_STATUS_OK;
  TRY(add_means(r, &means, error));
  if (unscored)
    means->note =
        table_format(means, "%s %s", means->note,
                     "Rows without gold answers are over all questions: of these columns only "
                     "P(tracked) and the divergences need no gold answer, and the others are "
                     "empty.");
  all_rows(r, means, true, mean_row);
  TRY(table_check(means, error));
  TRY(add_differences(r, &differences, error));
  all_rows(r, differences, false, difference_row);
  TRY(table_check(differences, error));
  return answer_table(r, error);
}
