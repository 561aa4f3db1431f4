/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing two systems on the instances that both answered: the coarse strategy and those of
 * `select` against the untouched model, by language and level. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/statistics.h"
#include "base/mem.h"

static const xt_difference nothing = {
    .gain = NAN, .low = NAN, .high = NAN, .p = NAN, .mcnemar = NAN, .holm = NAN, .bh = NAN};

typedef struct Pair {
  xt_analysis *a;
  const AnalysisGroup *g;
  const Bootstrap *b;
  const double *gained, *there; /* [instances]: the difference; and whether both answered */
  double *samples;              /* [languages + 1][samples] */
  double *by_question;          /* [questions] */
  uint8_t *seen;                /* [questions + strata] */
} Pair;

static void pair_free(Pair *k) {
  free(k->samples);
  free(k->by_question);
  free(k->seen);
}

static xt_status pair_alloc(Pair *k, xt_error *error) {
  const AnalysisGroup *g = k->g;
  TRY(MEM_ALLOC(&k->samples, (g->group.language_count + 1) * (size_t)k->b->samples, error));
  TRY(MEM_ALLOC(&k->by_question, g->questions, error));
  return MEM_ALLOC(&k->seen, g->questions + g->strata, error);
}

/* Counts over [first, first + count), and adds the differences of each question, times `share`.
 * Returns the sum of the differences. */
static double count_range(Pair *k, size_t first, size_t count, double share, xt_difference *d) {
  double sum = 0;
  for (size_t i = first; i < first + count; i++) {
    d->count += k->there[i] > 0;
    d->won += k->gained[i] > 0;
    d->lost += k->gained[i] < 0;
    k->by_question[k->g->instances[i].question] += share * k->gained[i];
    sum += k->gained[i];
  }
  return sum;
}

static xt_status test(Pair *k, xt_difference *d, xt_error *error) {
  d->mcnemar = xt_mcnemar_exact(d->won, d->lost);
  return xt_sign_flip(k->by_question, k->g->questions, k->a->options.permutations,
                      k->a->options.seed, &d->p, error);
}

static void clear_questions(Pair *k) {
  memset(k->by_question, 0, k->g->questions * sizeof *k->by_question);
}

/* A language, or all languages. Leaves the sampled gains in `samples`, in the order of the
 * samples. */
static xt_status compare_range(Pair *k, size_t first, size_t count, double *samples,
                               xt_difference *out, xt_error *error) {
  const size_t number = (size_t)k->b->samples;
  double *sorted;
  *out = nothing;
  clear_questions(k);
  const double sum = count_range(k, first, count, 1, out);
  if (out->count == 0) return XT_STATUS_OK;
  out->gain = sum / (double)out->count;
  TRY(test(k, out, error));
  TRY(bootstrap_means(k->g, k->b, (Measured){k->gained, k->there}, first, count, samples, error));
  TRY(MEM_ALLOC(&sorted, number, error));
  memcpy(sorted, samples, number * sizeof *sorted);
  const Extent extent = extent_of(k->g, k->there, first, count, k->seen);
  samples_interval(k->a, sorted, number, extent, &out->low, &out->high);
  out->questions = extent.questions;
  free(sorted);
  return XT_STATUS_OK;
}

static bool in_level(const Pair *k, const xt_difference *languages, size_t l, int level) {
  return k->g->group.languages[l].level == level && languages[l].count;
}

/* The comparison over only a level's instances. */
static xt_status level_extent(Pair *k, const xt_difference *languages, int level, Extent *out,
                              xt_error *error) {
  double *weights;
  TRY(MEM_ALLOC(&weights, k->g->group.instances, error));
  for (size_t l = 0; l < k->g->group.language_count; l++) {
    const xt_group_language *language = &k->g->group.languages[l];
    if (in_level(k, languages, l, level))
      memcpy(weights + language->first, k->there + language->first,
             language->count * sizeof *weights);
  }
  *out = extent_of(k->g, weights, 0, k->g->group.instances, k->seen);
  free(weights);
  return XT_STATUS_OK;
}

/* Mean of the languages' gains. If all have the same number of instances, the differences are whole
 * numbers, which are tested exactly. */
static xt_status compare_level(Pair *k, const xt_difference *languages, int level,
                               xt_difference *out, xt_error *error) {
  const size_t number = (size_t)k->b->samples;
  double *mean = k->samples + k->g->group.language_count * number;
  size_t n = 0, size = 0;
  bool equal = true;
  Extent extent;
  *out = nothing;
  for (size_t l = 0; l < k->g->group.language_count; l++) {
    if (!in_level(k, languages, l, level)) continue;
    equal = equal && (n == 0 || languages[l].count == size);
    size = languages[l].count;
    n++;
  }
  if (n == 0) return XT_STATUS_OK;
  clear_questions(k);
  memset(mean, 0, number * sizeof *mean);
  out->gain = 0;
  for (size_t l = 0; l < k->g->group.language_count; l++) {
    if (!in_level(k, languages, l, level)) continue;
    count_range(k, k->g->group.languages[l].first, k->g->group.languages[l].count,
                equal ? 1 : 1 / (double)languages[l].count, out);
    out->gain += languages[l].gain / (double)n;
    /* NaN if one is */
    for (size_t i = 0; i < number; i++) mean[i] += k->samples[l * number + i] / (double)n;
  }
  TRY(test(k, out, error));
  TRY(level_extent(k, languages, level, &extent, error));
  samples_interval(k->a, mean, number, extent, &out->low, &out->high);
  out->questions = extent.questions;
  return XT_STATUS_OK;
}

xt_status comparison_none(xt_analysis *a, const AnalysisGroup *g, xt_comparison *out,
                          xt_error *error) {
  xt_difference *languages;
  TRY(ARENA_ALLOC(&a->arena, &languages, g->group.language_count, error));
  for (size_t l = 0; l < g->group.language_count; l++) languages[l] = nothing;
  *out = (xt_comparison){
      .overall = nothing, .levels = {nothing, nothing, nothing}, .languages = languages};
  return XT_STATUS_OK;
}

xt_status compare_values(xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                         const double *gained, const double *there, xt_comparison *out,
                         xt_error *error) {
  Pair k = {.a = a, .g = g, .b = b, .gained = gained, .there = there};
  xt_status status;
  TRY(comparison_none(a, g, out, error));
  TRY(analysis_claim(a, g->group.language_count + 1, (size_t)b->samples * sizeof *k.samples,
                     error));
  analysis_release(a, g->group.language_count + 1, (size_t)b->samples * sizeof *k.samples);
  TRY_DONE(pair_alloc(&k, error));
  xt_difference *languages = (xt_difference *)(uintptr_t)out->languages;
  for (size_t l = 0; l < g->group.language_count; l++)
    TRY_DONE(compare_range(&k, g->group.languages[l].first, g->group.languages[l].count,
                           k.samples + l * (size_t)b->samples, &languages[l], error));
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    TRY_DONE(compare_level(&k, languages, level, &out->levels[level], error));
  TRY_DONE(compare_range(&k, 0, g->group.instances,
                         k.samples + g->group.language_count * (size_t)b->samples, &out->overall,
                         error));
done:
  pair_free(&k);
  return status;
}

xt_status compare_systems(xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                          const uint64_t *present, const uint64_t *right, const uint64_t *baseline,
                          xt_comparison *out, xt_error *error) {
  const size_t n = g->group.instances;
  double *gained; /* 1, 0, -1; then whether both answered */
  TRY(MEM_ALLOC(&gained, 2 * n, error));
  for (size_t i = 0; i < n; i++) {
    gained[n + i] = bits_get(present, i);
    gained[i] =
        bits_get(present, i) ? (double)bits_get(right, i) - (double)bits_get(baseline, i) : 0;
  }
  const xt_status status = compare_values(a, g, b, gained, gained + n, out, error);
  free(gained);
  return status;
}

/* ---- what is compared ------------------------------------------------------------------------ */

/* The instances that each of several systems answered, and those that it answered right. */
typedef struct System {
  const uint64_t *present, *right;
} System;

static System coarse_of(const xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s) {
  const char *site;
  int source, target;
  if (!g->group.benchmark || !s) return (System){NULL, NULL};
  xt_coarse(g->group.benchmark, a->layers, &site, &source, &target);
  const size_t at = (size_t)(source * a->layers + target) * bits_words(g->group.instances);
  return (System){s->present + at, s->correct + at};
}

const AnalysisSite *analysis_find_site(const AnalysisGroup *g, const char *name) {
  for (size_t s = 0; s < g->site_count; s++)
    if (strcmp(g->sites[s].name, name) == 0) return &g->sites[s];
  return NULL;
}

/* The scores of a site's coarse configuration, and its gain. */
static xt_status coarse_at(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, const char *site,
                           uint64_t *none, xt_scores *scores, xt_comparison *gain,
                           xt_error *error) {
  System coarse = site ? coarse_of(a, g, analysis_find_site(g, site)) : (System){NULL, NULL};
  if (!coarse.present) coarse = (System){none, none};
  TRY(scores_of_bits(a, g, coarse.right, coarse.present, scores, error));
  return compare_systems(a, g, b, coarse.present, coarse.right, g->vanilla, gain, error);
}

void strategy_bits(const AnalysisGroup *g, const AnalysisSite *s, const char *strategy,
                   uint64_t *present, uint64_t *right) {
  const size_t words = bits_words(g->group.instances);
  memset(present, 0, words * sizeof *present);
  memset(right, 0, words * sizeof *right);
  for (size_t i = 0; i < s->selection_count; i++) {
    const AnalysisSelection *choice = &s->selections[i];
    const bool kept = choice->cell == ANALYSIS_VANILLA;
    const uint64_t *from = kept ? g->vanilla : s->correct + (size_t)choice->cell * words;
    const uint64_t *there = kept ? g->scored : s->present + (size_t)choice->cell * words;
    if (choice->strategy != strategy || !bits_get(there, choice->instance)) continue;
    bits_set(present, choice->instance);
    if (bits_get(from, choice->instance)) bits_set(right, choice->instance);
  }
}

/* bits: room for three sets. */
static xt_status compare_strategies(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b,
                                    const AnalysisSite *s, uint64_t *bits, xt_site_result *out,
                                    xt_error *error) {
  const size_t words = bits_words(g->group.instances);
  const System coarse = coarse_of(a, g, s);
  xt_strategy_result *results;
  uint64_t *present = bits, *right = bits + words, *both = bits + 2 * words;
  TRY(ARENA_ALLOC(&a->arena, &results, a->strategy_count, error));
  out->strategies = results;
  for (size_t k = 0; k < a->strategy_count; k++) {
    xt_strategy_result *result = &results[out->strategy_count];
    strategy_bits(g, s, a->strategies[k], present, right);
    bool any = false;
    for (size_t w = 0; w < words; w++) any = any || present[w];
    if (!any) continue;
    out->strategy_count++;
    result->name = a->strategies[k];
    TRY(scores_of_bits(a, g, right, present, &result->scores, error));
    TRY(compare_systems(a, g, b, present, right, g->vanilla, &result->vanilla, error));
    for (size_t w = 0; w < words; w++)
      both[w] = coarse.present ? present[w] & coarse.present[w] : 0;
    TRY(compare_systems(a, g, b, both, right, coarse.right ? coarse.right : g->vanilla,
                        &result->coarse, error));
  }
  return XT_STATUS_OK;
}

xt_status analysis_comparisons(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b,
                               xt_error *error) {
  const char *site = NULL;
  int source, target;
  uint64_t *bits;
  TRY(MEM_ALLOC(&bits, 3 * bits_words(g->group.instances), error));
  if (g->group.benchmark) xt_coarse(g->group.benchmark, a->layers, &site, &source, &target);
  const char *released = site && strcmp(site, "attn") == 0 ? "attn-released" : NULL;
  xt_status status = coarse_at(a, g, b, site, bits, &g->group.coarse, &g->group.coarse_gain, error);
  if (!status)
    status = coarse_at(a, g, b, released, bits, &g->group.coarse_released,
                       &g->group.coarse_released_gain, error);
  for (size_t s = 0; s < g->site_count && !status; s++)
    status = compare_strategies(a, g, b, &g->sites[s], bits,
                                (xt_site_result *)(uintptr_t)&g->group.sites[s], error);
  free(bits);
  return status;
}
