/* SPDX-License-Identifier: Apache-2.0 */
/* What strategies choose on made-up stores (made_store.h). */
#ifndef MADE_SELECTIONS_H
#define MADE_SELECTIONS_H

#include <math.h>

#include "made_store.h"

static inline void select_all(Made *m, xt_select_options o) {
  xt_error error;
  xt_select_counts counts;
  o.candidates = XT_CANDIDATES_TARGET_FIRST;
  ASSERT_OK(xt_store_select(m->store, &o, &counts, &error));
  assert_int_equal(counts.incomplete, 0);
}

/* The strategy's result in the only group of a store with choices. */
static inline xt_strategy_result result_of(Made *m, const char *strategy, double *vanilla) {
  xt_error error;
  xt_analysis *a;
  xt_strategy_result out = {0};
  ASSERT_OK(xt_analysis_create(m->store, &(xt_analysis_options){.bootstrap = 200, .threads = 1}, &a,
                               &error));
  assert_int_equal(xt_analysis_count(a), 1);
  const xt_group *g = xt_analysis_get(a, 0);
  for (size_t s = 0; s < g->site_count; s++)
    for (size_t k = 0; k < g->sites[s].strategy_count; k++)
      if (strcmp(g->sites[s].strategies[k].name, strategy) == 0) out = g->sites[s].strategies[k];
  assert_non_null(out.name);
  out.name = strategy;
  if (vanilla) *vanilla = g->vanilla.overall.value;
  xt_analysis_free(a);
  return out;
}

static inline void assert_close(double got, double wanted) {
  if (!(fabs(got - wanted) < 1e-12)) fail_msg("%.15g instead of %.15g", got, wanted);
}

#endif
