/* SPDX-License-Identifier: Apache-2.0 */
/* The page's numbers of first tokens: for each response of a site its logit difference (d), the
 * probability of the gold answer (g) and both divergences (k, l); for each instance the logit
 * differences of the untouched run (x) and of the source prompt (y). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/effect_means.h"
#include "base/mem.h"
#include "report/page_parts.h"
#include "report/report_parts.h"

int report_page_effects_kind(const xt_site_result *site) {
  return !site->effects                                  ? 0
         : isfinite(site->mean_effects.logit_difference) ? 2
         : isfinite(site->mean_effects.gold)             ? 1
                                                         : -1;
}

enum { KINDS = 4, DIFFERENCE = 0, GOLD, KL_UNTOUCHED, KL_SOURCE };

typedef struct Numbers {
  const AnalysisGroup *group;
  const Answers *answers; /* [instances] */
  float *of[KINDS];       /* [instances][cells] */
  xt_status (*add)(const PagePack *out, const char *name, const float *values, size_t count,
                   xt_error *error);
} Numbers;

static void set_numbers(const Numbers *p, size_t i, const float *from, size_t at) {
  double scores[XT_TRACKED_MOST];
  for (int k = 0; k < KINDS; k++) p->of[k][at] = NAN;
  if (!from) return;
  effects_scores(&p->group->instances[i], &p->answers[i], from, scores);
  p->of[DIFFERENCE][at] = (float)effects_difference(&p->answers[i], scores);
  p->of[GOLD][at] = (float)effects_gold(&p->answers[i], scores);
  p->of[KL_UNTOUCHED][at] = from[XT_EFFECT_KL_UNTOUCHED];
  p->of[KL_SOURCE][at] = from[XT_EFFECT_KL_SOURCE];
}

static xt_status add_site(const Numbers *p, const xt_analysis *a, size_t index, size_t site,
                          const PagePack *out, xt_error *error) {
  const AnalysisSite *s = &p->group->sites[site];
  const size_t n = p->group->group.instances, cells = (size_t)a->cells;
  char name[48];
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < cells; c++)
      set_numbers(p, i, effects_of(p->group, s, i, c), i * cells + c);
  for (int k = 0; k < KINDS; k++) {
    snprintf(name, sizeof name, "%c%zu-%zu", "dgkl"[k], index, site);
    TRY(p->add(out, name, p->of[k], n * cells, error));
  }
  return XT_STATUS_OK;
}

static xt_status add_all(const Numbers *p, const xt_analysis *a, size_t index, const PagePack *out,
                         xt_error *error) {
  const size_t n = p->group->group.instances;
  char name[48];
  for (int source = 0; source < 2; source++) {
    for (size_t i = 0; i < n; i++)
      set_numbers(p, i,
                  source ? p->group->instances[i].source_effects
                         : p->group->instances[i].vanilla_effects,
                  i);
    snprintf(name, sizeof name, "%c%zu", "xy"[source], index);
    TRY(p->add(out, name, p->of[DIFFERENCE], n, error));
  }
  for (size_t s = 0; s < p->group->site_count; s++)
    if (p->group->sites[s].effects) TRY(add_site(p, a, index, s, out, error));
  return XT_STATUS_OK;
}

xt_status report_page_effects(const xt_analysis *a, size_t index, const PagePack *out,
                              xt_status (*add)(const PagePack *out, const char *name,
                                               const float *values, size_t count, xt_error *error),
                              xt_error *error) {
  const AnalysisGroup *g = &a->groups[index];
  const size_t n = g->group.instances;
  Numbers p = {.group = g, .add = add};
  Answers *answers = NULL;
  Arena arena = {0};
  bool any = false;
  for (size_t s = 0; s < g->site_count; s++) any = any || g->sites[s].effects;
  if (!any) return XT_STATUS_OK;
  xt_status status = MEM_ALLOC(&answers, n, error);
  for (size_t i = 0; i < n && !status; i++)
    status = effects_answers(&g->instances[i], effects_has_options(&g->instances[i]), &arena,
                             &answers[i], error);
  for (int k = 0; k < KINDS && !status; k++)
    status = MEM_ALLOC(&p.of[k], n * (size_t)a->cells, error);
  p.answers = answers;
  if (!status) status = add_all(&p, a, index, out, error);
  for (int k = 0; k < KINDS; k++) free(p.of[k]);
  arena_free(&arena);
  free(answers);
  return status;
}
