/* SPDX-License-Identifier: Apache-2.0 */
/* Bootstrap intervals of the means of effects, and of their differences from the untouched run and
 * from controls, which are paired by question and configuration. */
#include <math.h>
#include <stdlib.h>

#include "analysis/effect_means.h"
#include "analysis/totals.h"
#include "base/mem.h"

typedef struct Maker {
  xt_analysis *a;
  const AnalysisGroup *g;
  const Bootstrap *b;
  Arena arena;
  Batch batch;
  Paired p;                /* of EFFECT_VALUES */
  double *samples, *spans; /* [samples] */
} Maker;

static xt_status maker_alloc(Maker *m, xt_error *error) {
  TRY(paired_create(m->g, EFFECT_VALUES, &m->arena, &m->p, error));
  TRY(ARENA_ALLOC(&m->arena, &m->samples, (size_t)m->b->samples, error));
  TRY(ARENA_ALLOC(&m->arena, &m->spans, (size_t)m->b->samples, error));
  return effects_batch(m->g, &m->arena, &m->batch, error);
}

/* The ratio of two means over the same responses, unless the interval of the lower one contains 0 or
 * there is none. */
static xt_status normalise(const Maker *m, const Totals *t, xt_interval *out, xt_error *error) {
  const size_t n = m->g->group.instances;
  const Measured moved = totals_of(t, XT_MEASURE_NORMALISED), span = totals_of(t, EFFECT_SPAN);
  xt_interval below;
  size_t known = 0;
  uint8_t *seen;
  TRY(totals_interval(m->a, t, m->b, EFFECT_SPAN, m->samples, &below, error));
  if (!(below.low > 0 || below.high < 0)) return XT_STATUS_OK;
  TRY(bootstrap_means(m->g, m->b, span, 0, n, m->spans, error));
  TRY(bootstrap_means(m->g, m->b, moved, 0, n, m->samples, error));
  for (int k = 0; k < m->b->samples; k++) {
    const double ratio = m->samples[k] / m->spans[k];
    if (isfinite(ratio)) m->samples[known++] = ratio;
  }
  out->value = totals_mean(moved, n) / below.value + 0.0; /* no minus zero */
  TRY(MEM_ALLOC(&seen, m->g->questions + m->g->strata, error));
  samples_interval(m->a, m->samples, known, extent_of(m->g, span.weights, 0, n, seen), &out->low,
                   &out->high);
  free(seen);
  return XT_STATUS_OK;
}

static xt_status intervals(const Maker *m, const Totals *t, bool differences, xt_interval *out,
                           xt_error *error) {
  for (size_t k = 0; k < XT_MEASURE_COUNT; k++) {
    out[k] = (xt_interval){NAN, NAN, NAN};
    if (k != XT_MEASURE_NORMALISED)
      TRY(totals_interval(m->a, t, m->b, k, m->samples, &out[k], error));
    else if (!differences)
      TRY(normalise(m, t, &out[k], error));
  }
  return XT_STATUS_OK;
}

static xt_status finish(const Maker *m, xt_effect_intervals *out, xt_error *error) {
  TRY(intervals(m, &m->p.means, false, out->means, error));
  TRY(intervals(m, &m->p.over_untouched, true, out->over_untouched, error));
  return intervals(m, &m->p.over_control, true, out->over_control, error);
}

/* Of the untouched runs, or of the source prompts. */
static xt_status run_intervals(Maker *m, bool source, xt_effect_intervals *out, xt_error *error) {
  paired_clear(&m->p);
  effects_of_run(&m->batch, source);
  effects_values(&m->batch, m->p.own);
  totals_add(&m->p.means, m->p.own, NULL);
  if (source) totals_add(&m->p.over_untouched, m->p.own, m->p.untouched);
  return finish(m, out, error);
}

/* Over the configurations [first, end) of a site; `transplant` NULL: it is no control. */
static xt_status cell_intervals(Maker *m, const AnalysisSite *s, const AnalysisSite *transplant,
                                size_t first, size_t end, xt_effect_intervals *out,
                                xt_error *error) {
  paired_clear(&m->p);
  for (size_t c = first; c < end; c++) {
    effects_of_cell(&m->batch, s, c);
    effects_values(&m->batch, m->p.own);
    paired_add(&m->p);
    if (!transplant) continue;
    effects_of_cell(&m->batch, transplant, c);
    effects_values(&m->batch, m->p.other);
    totals_add(&m->p.over_control, m->p.other, m->p.own);
  }
  return finish(m, out, error);
}

static int best_cell(const xt_analysis *a, const xt_site_result *site) {
  int best = -1;
  for (int c = 0; c < a->cells && site->effects; c++)
    if (isfinite(site->effects[c].gold) &&
        (best < 0 || site->effects[c].gold > site->effects[best].gold))
      best = c;
  return best;
}

static xt_status site_intervals(Maker *m, const AnalysisSite *s, xt_site_result *out,
                                xt_error *error) {
  const AnalysisSite *transplant =
      out->transplant ? analysis_find_site(m->g, out->transplant) : NULL;
  const int best = out->best_effects = best_cell(m->a, out);
  TRY(cell_intervals(m, s, transplant, 0, s->effects ? (size_t)m->a->cells : 0,
                     &out->effect_intervals, error));
  return cell_intervals(m, s, transplant, best < 0 ? 0 : (size_t)best, (size_t)(best + 1),
                        &out->best_effect_intervals, error);
}

static bool has_effects(const AnalysisGroup *g) {
  bool has = false;
  for (size_t i = 0; i < g->group.instances; i++)
    has = has || g->instances[i].vanilla_effects || g->instances[i].source_effects;
  for (size_t s = 0; s < g->site_count; s++) has = has || g->sites[s].effects;
  return has;
}

xt_status analysis_effect_intervals(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Bootstrap b = {0};
  Maker m = {.a = a, .g = g, .b = &b};
  xt_status status;
  if (has_effects(g)) TRY_DONE(bootstrap_draw(a, g, &b, error));
  TRY_DONE(maker_alloc(&m, error));
  effects_of_run(&m.batch, false);
  effects_values(&m.batch, m.p.untouched);
  TRY_DONE(run_intervals(&m, false, &g->group.untouched_effect_intervals, error));
  TRY_DONE(run_intervals(&m, true, &g->group.source_effect_intervals, error));
  for (size_t s = 0; s < g->site_count; s++)
    TRY_DONE(
        site_intervals(&m, &g->sites[s], (xt_site_result *)(uintptr_t)&g->group.sites[s], error));
done:
  bootstrap_free(&b);
  arena_free(&m.arena);
  return status;
}
