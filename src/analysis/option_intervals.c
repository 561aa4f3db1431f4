/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracies by the options' likelihoods with bootstrap intervals, and their differences from the
 * untouched run and from controls, which are paired by question and configuration. */
#include <math.h>
#include <stdlib.h>

#include "analysis/totals.h"
#include "base/mem.h"

typedef struct Maker {
  xt_analysis *a;
  const AnalysisGroup *g;
  const Bootstrap *b;
  Arena arena;
  Paired p; /* of XT_OPTION_RULES */
  double *samples;
} Maker;

static xt_status maker_alloc(Maker *m, xt_error *error) {
  TRY(paired_create(m->g, XT_OPTION_RULES, &m->arena, &m->p, error));
  return ARENA_ALLOC(&m->arena, &m->samples, (size_t)m->b->samples, error);
}

/* The marks of a configuration, or of the untouched runs (`s` NULL), as numbers. Returns how many
 * runs are scored. */
static size_t values_of(const Maker *m, const AnalysisSite *s, size_t cell, double *out) {
  const size_t n = m->g->group.instances;
  size_t runs = 0;
  for (size_t i = 0; i < n; i++) {
    const AnalysisInstance *k = &m->g->instances[i];
    const uint8_t marks = !k->scored   ? 0
                          : !s         ? k->vanilla_options
                          : s->options ? s->options[i * (size_t)m->a->cells + cell]
                                       : 0;
    const bool scored = marks & OPTIONS_SCORED;
    for (size_t r = 0; r < XT_OPTION_RULES; r++)
      out[r * n + i] = scored ? marks >> r & 1 : (double)NAN;
    runs += scored;
  }
  return runs;
}

static void begin(Maker *m, xt_option_intervals *out) {
  *out = (xt_option_intervals){0};
  paired_clear(&m->p);
}

static xt_status finish(const Maker *m, xt_option_intervals *out, xt_error *error) {
  for (size_t r = 0; r < XT_OPTION_RULES; r++) {
    TRY(totals_interval(m->a, &m->p.means, m->b, r, m->samples, &out->means[r], error));
    TRY(totals_interval(m->a, &m->p.over_untouched, m->b, r, m->samples, &out->over_untouched[r],
                        error));
    TRY(totals_interval(m->a, &m->p.over_control, m->b, r, m->samples, &out->over_control[r],
                        error));
  }
  return XT_STATUS_OK;
}

/* Over the configurations [first, end) of a site; `transplant` NULL: it is no control. */
static xt_status cell_intervals(Maker *m, const AnalysisSite *s, const AnalysisSite *transplant,
                                size_t first, size_t end, xt_option_intervals *out,
                                xt_error *error) {
  begin(m, out);
  for (size_t c = first; c < end; c++) {
    const size_t runs = values_of(m, s, c, m->p.own);
    if (!runs) continue;
    out->runs += runs;
    out->configurations++;
    paired_add(&m->p);
    if (!transplant) continue;
    values_of(m, transplant, c, m->p.other);
    totals_add(&m->p.over_control, m->p.other, m->p.own);
  }
  return finish(m, out, error);
}

/* The configuration with the largest acc_norm, the first of several; -1: none. */
static int best_cell(const Maker *m, const AnalysisSite *s) {
  const size_t n = m->g->group.instances;
  int best = -1;
  double most = 0;
  for (int c = 0; c < m->a->cells && s->options; c++) {
    double right = 0;
    const size_t runs = values_of(m, s, (size_t)c, m->p.own);
    for (size_t i = 0; i < n; i++)
      if (m->p.own[XT_OPTION_ACC_NORM * n + i] > 0) right++;
    if (!runs || (best >= 0 && right / (double)runs <= most)) continue;
    best = c;
    most = right / (double)runs;
  }
  return best;
}

static xt_status site_intervals(Maker *m, const AnalysisSite *s, xt_site_result *out,
                                xt_error *error) {
  const AnalysisSite *transplant =
      out->transplant ? analysis_find_site(m->g, out->transplant) : NULL;
  const int best = out->best_options = best_cell(m, s);
  TRY(cell_intervals(m, s, transplant, 0, s->options ? (size_t)m->a->cells : 0, &out->options,
                     error));
  return cell_intervals(m, s, transplant, best < 0 ? 0 : (size_t)best, (size_t)(best + 1),
                        &out->best_option_intervals, error);
}

static bool has_options(const AnalysisGroup *g) {
  bool has = false;
  for (size_t i = 0; i < g->group.instances; i++) has = has || g->instances[i].vanilla_options;
  for (size_t s = 0; s < g->site_count; s++) has = has || g->sites[s].options;
  return has;
}

xt_status analysis_option_intervals(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Bootstrap b = {0};
  Maker m = {.a = a, .g = g, .b = &b};
  xt_status status = XT_STATUS_OK;
  if (has_options(g)) TRY_DONE(bootstrap_draw(a, g, &b, error));
  TRY_DONE(maker_alloc(&m, error));
  begin(&m, &g->group.untouched_options);
  g->group.untouched_options.runs = values_of(&m, NULL, 0, m.p.untouched);
  totals_add(&m.p.means, m.p.untouched, NULL);
  TRY_DONE(finish(&m, &g->group.untouched_options, error));
  for (size_t s = 0; s < g->site_count; s++)
    TRY_DONE(
        site_intervals(&m, &g->sites[s], (xt_site_result *)(uintptr_t)&g->group.sites[s], error));
done:
  bootstrap_free(&b);
  arena_free(&m.arena);
  return status;
}
