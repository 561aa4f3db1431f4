/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/totals.h"

#include <math.h>

xt_status totals_create(const AnalysisGroup *g, size_t measures, Arena *arena, Totals *out,
                        xt_error *error) {
  *out = (Totals){.group = g, .measures = measures};
  TRY(ARENA_ALLOC(arena, &out->sums, measures * g->group.instances, error));
  return ARENA_ALLOC(arena, &out->weights, measures * g->group.instances, error);
}

void totals_clear(Totals *t) {
  for (size_t k = 0; k < t->measures * t->group->group.instances; k++)
    t->sums[k] = t->weights[k] = 0;
}

void totals_add(Totals *t, const double *values, const double *less) {
  for (size_t k = 0; k < t->measures * t->group->group.instances; k++) {
    const double value = values[k] - (less ? less[k] : 0);
    if (isnan(value)) continue;
    t->sums[k] += value;
    t->weights[k]++;
  }
}

Measured totals_of(const Totals *t, size_t measure) {
  const size_t at = measure * t->group->group.instances;
  return (Measured){t->sums + at, t->weights + at};
}

double totals_mean(Measured of, size_t instances) {
  double sum = 0, weight = 0;
  for (size_t i = 0; i < instances; i++) {
    sum += of.sums[i];
    weight += of.weights[i];
  }
  return weight > 0 ? sum / weight : (double)NAN;
}

xt_status totals_interval(xt_analysis *a, const Totals *t, const Bootstrap *b, size_t measure,
                          double *samples, xt_interval *out, xt_error *error) {
  const size_t n = t->group->group.instances;
  const Measured of = totals_of(t, measure);
  *out = (xt_interval){totals_mean(of, n), NAN, NAN};
  if (isnan(out->value)) return XT_STATUS_OK;
  return bootstrap_interval(a, t->group, b, of, 0, n, samples, &out->low, &out->high, error);
}

xt_status paired_create(const AnalysisGroup *g, size_t measures, Arena *arena, Paired *out,
                        xt_error *error) {
  double **const arrays[] = {&out->own, &out->untouched, &out->other};
  Totals *const totals[] = {&out->means, &out->over_untouched, &out->over_control};
  for (size_t k = 0; k < 3; k++) {
    TRY(ARENA_ALLOC(arena, arrays[k], measures * g->group.instances, error));
    TRY(totals_create(g, measures, arena, totals[k], error));
  }
  return XT_STATUS_OK;
}

void paired_clear(Paired *p) {
  totals_clear(&p->means);
  totals_clear(&p->over_untouched);
  totals_clear(&p->over_control);
}

void paired_add(Paired *p) {
  totals_add(&p->means, p->own, NULL);
  totals_add(&p->over_untouched, p->own, p->untouched);
}
