/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations against the untouched model: tests by question, bootstrap intervals, and the gain
 * of the best on fresh questions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/statistics.h"
#include "base/mem.h"
#include "base/parallel.h"

/* Cells that are sampled before the best of them is kept, so that memory does not depend on their
 * number. */
#define BLOCK 256

typedef struct Intervals {
  const xt_analysis *a;
  const AnalysisGroup *g;
  const AnalysisSite *s;
  const Bootstrap *b;
  const uint8_t *left; /* [samples][questions]: 1 where the sample leaves the question out */
  xt_configuration *configurations;
  double *tails; /* [cells]: interval_tail of each */
  size_t first;  /* of the current BLOCK cells */
  double *gains; /* [BLOCK][samples]: of accuracy, in the sample; NaN: no responses */
  double *fresh; /* [BLOCK][samples]: on the questions that the sample leaves out */
  double *best_gains, *best_fresh; /* [samples]: of the best cell so far; NaN: none */
  double **samples;                /* [threads][samples], then [questions] */
  int16_t **sums;                  /* [threads][2][questions]: won - lost, and number of
                                      instances */
  xt_error *errors;                /* [threads] */
  xt_status *statuses;
} Intervals;

static double share(int64_t gained, int64_t count) {
  return count ? (double)gained / (double)count : (double)NAN;
}

static int64_t weighted(const uint8_t *weights, const int16_t *values, size_t count) {
  int32_t sum = 0; /* of at most 255 * (instances), far below its range */
  for (size_t i = 0; i < count; i++) sum += weights[i] * values[i];
  return sum;
}

/* For each question: won - lost, and the number of instances. */
static void sum_questions(const Intervals *k, size_t cell, int16_t *gained, int16_t *there) {
  const size_t words = bits_words(k->g->group.instances);
  const uint64_t *right = k->s->correct + cell * words, *present = k->s->present + cell * words;
  memset(gained, 0, 2 * k->g->questions * sizeof *gained);
  for (size_t i = 0; i < k->g->group.instances; i++) {
    if (!bits_get(present, i)) continue;
    const uint32_t q = k->g->instances[i].question;
    gained[q] = (int16_t)(gained[q] + bits_get(right, i) - bits_get(k->g->vanilla, i));
    there[q]++;
  }
}

static xt_status cell_intervals(Intervals *k, size_t cell, int thread, xt_error *error) {
  const Bootstrap *b = k->b;
  xt_configuration *c = &k->configurations[cell];
  int16_t *gained = k->sums[thread], *there = gained + b->questions;
  double *samples = k->samples[thread], *differences = samples + b->samples;
  size_t drawn = 0;
  sum_questions(k, cell, gained, there);
  for (int i = 0; i < b->samples; i++) {
    const uint8_t *weights = b->weights + (size_t)i * b->questions,
                  *left = k->left + (size_t)i * b->questions;
    const size_t at = (cell - k->first) * (size_t)b->samples + (size_t)i;
    k->gains[at] =
        share(weighted(weights, gained, b->questions), weighted(weights, there, b->questions));
    k->fresh[at] = share(weighted(left, gained, b->questions), weighted(left, there, b->questions));
    if (!isnan(k->gains[at])) samples[drawn++] = k->gains[at];
  }
  c->low = quantile_of(samples, drawn, k->tails[cell]);
  c->high = quantile_of(samples, drawn, 1 - k->tails[cell]);
  c->mcnemar = xt_mcnemar_exact(c->won, c->lost);
  for (size_t q = 0; q < b->questions; q++) differences[q] = gained[q];
  return xt_sign_flip(differences, b->questions, k->a->options.permutations, k->a->options.seed,
                      &c->p, error);
}

static void cell_body(void *context, size_t item, int thread) {
  Intervals *k = context;
  const size_t cell = k->first + item;
  if (k->configurations[cell].count && k->statuses[thread] == XT_STATUS_OK)
    k->statuses[thread] = cell_intervals(k, cell, thread, &k->errors[thread]);
}

/* Updates the best configuration of each sample; the first of several is kept. */
static void keep_best(const Intervals *k, size_t count) {
  const size_t samples = (size_t)k->b->samples;
  for (size_t c = 0; c < count; c++) {
    if (!k->configurations[k->first + c].count) continue;
    for (size_t i = 0; i < samples; i++) {
      const double gain = k->gains[c * samples + i];
      if (isnan(gain) || gain <= k->best_gains[i]) continue;
      k->best_gains[i] = gain;
      k->best_fresh[i] = k->fresh[c * samples + i];
    }
  }
}

/* The gain of each sample's best configuration on the questions that the sample left out; NaN if
 * there are none. */
static double mean_fresh(const Intervals *k) {
  double sum = 0;
  size_t count = 0;
  for (int i = 0; i < k->b->samples; i++) {
    if (isnan(k->best_fresh[i])) continue;
    sum += k->best_fresh[i];
    count++;
  }
  return count ? sum / (double)count : (double)NAN;
}

/* Most configurations have the same instances, so that the last one's tail is used for the next. */
static xt_status find_tails(Intervals *k, size_t cells, xt_error *error) {
  const size_t n = k->g->group.instances, words = bits_words(n);
  Extent last = {0, 0};
  double *weights = NULL, tail = NAN;
  uint8_t *seen = NULL;
  xt_status status;
  TRY_DONE(MEM_ALLOC(&weights, n, error));
  TRY_DONE(MEM_ALLOC(&seen, k->g->questions + k->g->strata, error));
  for (size_t c = 0; c < cells; c++) {
    if (!k->configurations[c].count) continue;
    for (size_t i = 0; i < n; i++) weights[i] = bits_get(k->s->present + c * words, i);
    const Extent extent = extent_of(k->g, weights, 0, n, seen);
    if (extent.questions != last.questions || extent.strata != last.strata)
      tail = interval_tail(k->a->options.confidence, extent.questions, extent.strata);
    last = extent;
    k->tails[c] = tail;
  }
done:
  free(weights);
  free(seen);
  return status;
}

static xt_status intervals_alloc(Intervals *k, size_t cells, size_t threads, xt_error *error) {
  const size_t samples = (size_t)k->b->samples, questions = k->b->questions,
               block = cells < BLOCK ? cells : BLOCK;
  TRY(MEM_ALLOC(&k->tails, cells, error));
  TRY(MEM_ALLOC(&k->gains, block * samples, error));
  TRY(MEM_ALLOC(&k->fresh, block * samples, error));
  TRY(MEM_ALLOC(&k->best_gains, samples, error));
  TRY(MEM_ALLOC(&k->best_fresh, samples, error));
  TRY(MEM_ALLOC(&k->samples, threads, error));
  TRY(MEM_ALLOC(&k->sums, threads, error));
  TRY(MEM_ALLOC(&k->errors, threads, error));
  TRY(MEM_ALLOC(&k->statuses, threads, error));
  for (size_t i = 0; i < samples; i++) k->best_gains[i] = k->best_fresh[i] = NAN;
  for (size_t t = 0; t < threads; t++) {
    TRY(MEM_ALLOC(&k->samples[t], samples + questions, error));
    TRY(MEM_ALLOC(&k->sums[t], 2 * questions, error));
  }
  return XT_STATUS_OK;
}

static void intervals_free(Intervals *k, size_t threads) {
  for (size_t t = 0; t < threads; t++) {
    if (k->samples) free(k->samples[t]);
    if (k->sums) free(k->sums[t]);
  }
  free(k->tails);
  free(k->gains);
  free(k->fresh);
  free(k->best_gains);
  free(k->best_fresh);
  free(k->samples);
  free(k->sums);
  free(k->errors);
  free(k->statuses);
}

static xt_status intervals(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s,
                           const Bootstrap *b, const uint8_t *left, xt_site_result *out,
                           xt_error *error) {
  const size_t cells = (size_t)a->cells, threads = (size_t)a->options.threads;
  Intervals k = {.a = a,
                 .g = g,
                 .s = s,
                 .b = b,
                 .left = left,
                 .configurations = (xt_configuration *)(uintptr_t)out->configurations};
  xt_status status;
  TRY_DONE(intervals_alloc(&k, cells, threads, error));
  TRY_DONE(find_tails(&k, cells, error));
  for (; k.first < cells; k.first += BLOCK) {
    const size_t count = cells - k.first < BLOCK ? cells - k.first : BLOCK;
    parallel_for_once(a->options.threads, count, cell_body, &k);
    keep_best(&k, count);
  }
  for (size_t t = 0; t < threads; t++)
    if (k.statuses[t]) {
      if (error) *error = k.errors[t];
      status = k.statuses[t];
      goto done;
    }
  out->best_fresh = mean_fresh(&k);
done:
  intervals_free(&k, threads);
  return status;
}

xt_status analysis_significance(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Bootstrap b = {0};
  uint8_t *left = NULL;
  xt_status status;
  const size_t samples = (size_t)a->options.bootstrap; /* each has a weight and a mark of every
                                                          question */
  TRY_DONE(analysis_claim(a, g->questions, 2 * samples, error));
  analysis_release(a, g->questions, 2 * samples);
  TRY_DONE(bootstrap_draw(a, g, &b, error));
  TRY_DONE(MEM_ALLOC(&left, (size_t)b.samples * b.questions, error));
  for (size_t i = 0; i < (size_t)b.samples * b.questions; i++) left[i] = b.weights[i] == 0;
  for (size_t i = 0; i < g->site_count; i++)
    TRY_DONE(intervals(a, g, &g->sites[i], &b, left,
                       (xt_site_result *)(uintptr_t)&g->group.sites[i], error));
  TRY_DONE(analysis_comparisons(a, g, &b, error));
  TRY_DONE(analysis_gaps(a, g, &b, error));
  TRY_DONE(analysis_controls(a, g, &b, error));
  TRY_DONE(analysis_baselines(a, g, &b, error));
done:
  bootstrap_free(&b);
  free(left);
  return status;
}

/* ---- corrections ----------------------------------------------------------------------------- */

typedef struct Test { /* a p-value, and the place for the adjusted one */
  double p, *holm, *bh;
} Test;

typedef struct Family {
  Test *tests;
  size_t count, capacity;
} Family;

static xt_status family_add(Family *f, double p, const double *holm, const double *bh,
                            xt_error *error) {
  if (isnan(p)) return XT_STATUS_OK;
  TRY(MEM_GROW(&f->tests, &f->capacity, f->count + 1, error));
  f->tests[f->count++] = (Test){p, (double *)(uintptr_t)holm, (double *)(uintptr_t)bh};
  return XT_STATUS_OK;
}

/* Adjusts, and empties the family. */
static xt_status family_adjust(Family *f, xt_error *error) {
  double *p;
  xt_status status;
  TRY(MEM_ALLOC(&p, f->count, error));
  for (int step = 0; step < 2; step++) {
    for (size_t i = 0; i < f->count; i++) p[i] = f->tests[i].p;
    TRY_DONE((step ? xt_adjust_bh : xt_adjust_holm)(p, f->count, error));
    for (size_t i = 0; i < f->count; i++) *(step ? f->tests[i].bh : f->tests[i].holm) = p[i];
  }
  f->count = 0;
done:
  free(p);
  return status;
}

static xt_status adjust_configurations(const xt_analysis *a, Family *f, xt_error *error) {
  for (int all = 0; all < 2; all++) {
    for (size_t g = 0; g < a->count; g++)
      for (size_t s = 0; s < a->groups[g].group.site_count; s++) {
        for (int c = 0; c < a->cells; c++) {
          const xt_configuration *k = &a->groups[g].group.sites[s].configurations[c];
          TRY(family_add(f, k->p, all ? &k->holm_all : &k->holm, all ? &k->bh_all : &k->bh, error));
        }
        if (!all) TRY(family_adjust(f, error));
      }
    if (all) TRY(family_adjust(f, error));
  }
  return XT_STATUS_OK;
}

enum { PART_LANGUAGES = 0, PART_LEVELS, PART_OVERALL, PART_COUNT };

static xt_status add_comparison(const xt_group *g, const xt_comparison *c, int part, Family *f,
                                xt_error *error) {
  const xt_difference *d = part == PART_LANGUAGES ? c->languages
                           : part == PART_LEVELS  ? c->levels
                                                  : &c->overall;
  const size_t count = part == PART_LANGUAGES ? g->language_count
                       : part == PART_LEVELS  ? XT_LEVEL_COUNT
                                              : 1;
  for (size_t i = 0; i < count; i++) TRY(family_add(f, d[i].p, &d[i].holm, &d[i].bh, error));
  return XT_STATUS_OK;
}

/* What systems are compared with. Comparisons with one kind of baseline are adjusted together. */
enum { WITH_VANILLA = 0, WITH_COARSE, ALL_WITH_VANILLA, ALL_WITH_CONTROLS, BASELINE_COUNT };

/* Those of all configurations of a site together, and the coarse ones with controls. */
static xt_status add_sites(const xt_group *g, int baseline, int part, Family *f, xt_error *error) {
  for (size_t s = 0; s < g->site_count; s++) {
    const xt_site_result *site = &g->sites[s];
    if (baseline == ALL_WITH_VANILLA) TRY(add_comparison(g, &site->mean_gain, part, f, error));
    if (baseline == ALL_WITH_VANILLA) continue;
    TRY(add_comparison(g, &site->over_control, part, f, error));
    TRY(add_comparison(g, &site->coarse_over_control, part, f, error));
  }
  return XT_STATUS_OK;
}

static xt_status add_comparisons(const xt_group *g, int baseline, int part, Family *f,
                                 xt_error *error) {
  if (baseline >= ALL_WITH_VANILLA) return add_sites(g, baseline, part, f, error);
  if (baseline == WITH_VANILLA) {
    TRY(add_comparison(g, &g->coarse_gain, part, f, error));
    TRY(add_comparison(g, &g->coarse_released_gain, part, f, error));
    TRY(add_comparison(g, &g->source_gain, part, f, error));
  }
  for (size_t s = 0; s < g->site_count; s++)
    for (size_t k = 0; k < g->sites[s].strategy_count; k++) {
      const xt_strategy_result *strategy = &g->sites[s].strategies[k];
      TRY(add_comparison(g, baseline == WITH_COARSE ? &strategy->coarse : &strategy->vanilla, part,
                         f, error));
    }
  return XT_STATUS_OK;
}

/* With the baselines before `end`. */
static xt_status adjust_baselines(const xt_analysis *a, int end, Family *f, xt_error *error) {
  for (int baseline = 0; baseline < end; baseline++)
    for (int part = 0; part < PART_COUNT; part++) {
      for (size_t g = 0; g < a->count; g++)
        TRY(add_comparisons(&a->groups[g].group, baseline, part, f, error));
      TRY(family_adjust(f, error));
    }
  return XT_STATUS_OK;
}

xt_status analysis_adjust(xt_analysis *a, xt_error *error) {
  Family f = {0};
  xt_status status;
  TRY_DONE(adjust_configurations(a, &f, error));
  status = adjust_baselines(a, BASELINE_COUNT, &f, error);
done:
  free(f.tests);
  return status;
}

xt_status analysis_adjust_strategies(xt_analysis *a, xt_error *error) {
  Family f = {0};
  const xt_status status = adjust_baselines(a, ALL_WITH_VANILLA, &f, error);
  free(f.tests);
  return status;
}
