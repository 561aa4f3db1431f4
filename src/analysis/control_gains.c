/* SPDX-License-Identifier: Apache-2.0 */
/* What transplants gain over their controls: paired by instance and configuration, so that what is
 * compared differs in the written value alone. */
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "base/mem.h"

/* The site that `name` is a control of; NULL: it is none, or the group does not have it. */
static const AnalysisSite *transplant_of(const AnalysisGroup *g, const char *name) {
  xt_site site;
  char base[XT_SITE_NAME_SIZE];
  if (xt_site_parse(name, &site, NULL) != XT_STATUS_OK || site.control == XT_CONTROL_NONE)
    return NULL;
  site.control = XT_CONTROL_NONE;
  site.seed = 0;
  xt_site_format(site, base);
  return analysis_find_site(g, base);
}

/* Which responses of a cell are right and present, [words]; of the untouched model if `s` is
 * NULL. */
static void cell_bits(const AnalysisGroup *g, const AnalysisSite *s, size_t cell,
                      const uint64_t **right, const uint64_t **present) {
  const size_t words = bits_words(g->group.instances);
  *right = s ? s->correct + cell * words : g->vanilla;
  *present = s ? s->present + cell * words : g->scored;
}

/* Two sites side by side. */
typedef struct Sides {
  const AnalysisSite *site, *baseline; /* baseline NULL: the untouched model */
  const AnalysisSite *among; /* only responses that this site has too; NULL: all that both have */
} Sides;

/* Of each instance the mean difference over cells [first, end) that both have; gained, there:
 * [instances]. */
static void mean_differences(const AnalysisGroup *g, const Sides *k, size_t first, size_t end,
                             double *gained, double *there) {
  const size_t n = g->group.instances;
  memset(gained, 0, n * sizeof *gained);
  memset(there, 0, n * sizeof *there);
  for (size_t cell = first; cell < end; cell++) {
    const uint64_t *right, *present, *other_right, *other_present, *unread, *among;
    cell_bits(g, k->site, cell, &right, &present);
    cell_bits(g, k->baseline, cell, &other_right, &other_present);
    cell_bits(g, k->among, cell, &unread, &among);
    for (size_t i = 0; i < n; i++) {
      if (!bits_get(present, i) || !bits_get(other_present, i) || !bits_get(among, i)) continue;
      gained[i] += (double)bits_get(right, i) - (double)bits_get(other_right, i);
      there[i]++;
    }
  }
  for (size_t i = 0; i < n; i++) {
    if (there[i] > 0) gained[i] /= there[i];
    there[i] = there[i] > 0;
  }
}

static xt_status compare_cells(xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                               const Sides *k, size_t first, size_t end, xt_comparison *out,
                               xt_error *error) {
  const size_t n = g->group.instances;
  double *differences;
  TRY(MEM_ALLOC(&differences, 2 * n, error));
  mean_differences(g, k, first, end, differences, differences + n);
  const xt_status status = compare_values(a, g, b, differences, differences + n, out, error);
  free(differences);
  return status;
}

/* The accuracy of `s` over the responses that `other` has too, configuration by configuration;
 * *configurations: of how many there are any. */
static xt_status shared_mean(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s,
                             const AnalysisSite *other, int *configurations, xt_scores *out,
                             xt_error *error) {
  const size_t n = g->group.instances;
  double *means; /* then whether there is one */
  TRY(MEM_ALLOC(&means, 2 * n, error));
  *configurations = 0;
  for (size_t cell = 0; cell < (size_t)a->cells; cell++) {
    const uint64_t *right, *present, *unread, *other_present;
    bool any = false;
    cell_bits(g, s, cell, &right, &present);
    cell_bits(g, other, cell, &unread, &other_present);
    for (size_t i = 0; i < n; i++) {
      if (!bits_get(present, i) || !bits_get(other_present, i)) continue;
      means[i] += bits_get(right, i);
      means[n + i]++;
      any = true;
    }
    *configurations += any;
  }
  for (size_t i = 0; i < n; i++) {
    if (means[n + i] > 0) means[i] /= means[n + i];
    means[n + i] = means[n + i] > 0;
  }
  const xt_status status = scores_of(a, g, (Measured){means, means + n}, false, out, error);
  free(means);
  return status;
}

/* Both accuracies over what a control and its transplant share. */
static xt_status shared_means(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s,
                              const AnalysisSite *transplant, xt_site_result *out,
                              xt_error *error) {
  TRY(shared_mean(a, g, s, transplant, &out->shared_configurations, &out->shared_mean, error));
  return shared_mean(a, g, transplant, s, &out->shared_configurations, &out->transplant_mean,
                     error);
}

static xt_status compare_site(xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                              const AnalysisSite *s, xt_site_result *out, xt_error *error) {
  const size_t cells = (size_t)a->cells;
  const AnalysisSite *transplant = transplant_of(g, s->name);
  const char *site = "";
  int source = 0, target = 0;
  TRY(compare_cells(a, g, b, &(Sides){s, NULL, transplant}, 0, cells, &out->mean_gain, error));
  TRY(comparison_none(a, g, &out->over_control, error));
  TRY(comparison_none(a, g, &out->coarse_over_control, error));
  if (!transplant) return XT_STATUS_OK;
  out->transplant = transplant->name;
  TRY(shared_means(a, g, s, transplant, out, error));
  TRY(compare_cells(a, g, b, &(Sides){transplant, s, NULL}, 0, cells, &out->over_control, error));
  if (g->group.benchmark) xt_coarse(g->group.benchmark, a->layers, &site, &source, &target);
  if (strcmp(site, transplant->name) != 0) return XT_STATUS_OK;
  const size_t cell = (size_t)(source * a->layers + target);
  return compare_cells(a, g, b, &(Sides){transplant, s, NULL}, cell, cell + 1,
                       &out->coarse_over_control, error);
}

xt_status analysis_controls(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, xt_error *error) {
  for (size_t s = 0; s < g->site_count; s++)
    TRY(compare_site(a, g, b, &g->sites[s], (xt_site_result *)(uintptr_t)&g->group.sites[s],
                     error));
  return XT_STATUS_OK;
}
