/* SPDX-License-Identifier: Apache-2.0 */
/* Numbering the questions of a group, and computing standard errors and bootstrap samples by
 * question. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/same_question.h"
#include "analysis/statistics.h"
#include "base/mem.h"

/* ---- the same question ----------------------------------------------------------------------- */

static size_t language_of(const AnalysisGroup *g, size_t instance) {
  size_t l = 0;
  while (l + 1 < g->group.language_count && g->group.languages[l + 1].first <= instance) l++;
  return l;
}

/* Numbers the questions, and counts those of scored instances. */
static xt_status number_questions(xt_analysis *a, AnalysisGroup *g, const size_t *first,
                                  xt_error *error) {
  const size_t n = g->group.instances;
  uint8_t *scored;
  TRY(ARENA_ALLOC(&a->arena, &g->stratum, n, error));
  TRY(MEM_ALLOC(&scored, n, error));
  g->questions = 0;
  g->group.parallel = false;
  for (size_t i = 0; i < n; i++) {
    const size_t root = first[i];
    AnalysisInstance *instance = &g->instances[i];
    instance->question = root == i ? (uint32_t)g->questions++ : g->instances[root].question;
    if (root == i) g->stratum[instance->question] = (uint32_t)language_of(g, i);
    g->group.parallel = g->group.parallel || root != i;
    if (instance->scored && !scored[instance->question]) {
      scored[instance->question] = 1;
      g->group.questions++;
    }
  }
  free(scored);
  g->strata = g->group.parallel ? 1 : g->group.language_count;
  if (g->group.parallel) memset(g->stratum, 0, g->questions * sizeof *g->stratum);
  return XT_STATUS_OK;
}

static xt_question question_of(const AnalysisGroup *g, const AnalysisInstance *i) {
  return (xt_question){.id = i->id,
                       .task = g->group.benchmark ? g->group.benchmark->name : "",
                       .lang = i->lang,
                       .source_lang = i->source_lang,
                       .source = i->source,
                       .target = i->target};
}

xt_status analysis_questions(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  const size_t n = g->group.instances;
  size_t *first = NULL;
  Asked *asked = NULL;
  xt_status status;
  TRY_DONE(MEM_ALLOC(&first, n, error));
  TRY_DONE(MEM_ALLOC(&asked, n, error));
  for (size_t i = 0; i < n; i++) {
    const xt_question q = question_of(g, &g->instances[i]);
    asked[i] = asked_of(&q);
  }
  TRY_DONE(asked_join(asked, n, first, error));
  status = number_questions(a, g, first, error);
done:
  free(first);
  free(asked);
  return status;
}

/* ---- errors ---------------------------------------------------------------------------------- */

typedef struct Spread {   /* of one mean, question by question */
  double *u;              /* [questions]: the contribution of each, linearised */
  uint8_t *touched;       /* [questions]: has an instance in the mean */
  double *sums, *squares; /* [strata] */
  size_t *counts;         /* [strata] */
} Spread;

static void spread_free(Spread *s) {
  free(s->u);
  free(s->touched);
  free(s->sums);
  free(s->squares);
  free(s->counts);
}

static xt_status spread_alloc(const AnalysisGroup *g, Spread *s, xt_error *error) {
  TRY(MEM_ALLOC(&s->u, g->questions, error));
  TRY(MEM_ALLOC(&s->touched, g->questions, error));
  TRY(MEM_ALLOC(&s->sums, g->strata, error));
  TRY(MEM_ALLOC(&s->squares, g->strata, error));
  return MEM_ALLOC(&s->counts, g->strata, error);
}

static void spread_clear(const AnalysisGroup *g, Spread *s) {
  memset(s->u, 0, g->questions * sizeof *s->u);
  memset(s->touched, 0, g->questions * sizeof *s->touched);
}

/* Adds `share` of the mean over [first, first + count). */
static double spread_add(const AnalysisGroup *g, Measured m, size_t first, size_t count,
                         double share, Spread *s, double *weight) {
  double sum = 0;
  *weight = 0;
  for (size_t i = first; i < first + count; i++) {
    sum += m.sums[i];
    *weight += m.weights[i];
  }
  if (*weight <= 0) return NAN;
  const double mean = sum / *weight;
  for (size_t i = first; i < first + count; i++) {
    if (m.weights[i] <= 0) continue;
    s->u[g->instances[i].question] += share * (m.sums[i] - mean * m.weights[i]) / *weight;
    s->touched[g->instances[i].question] = 1;
  }
  return mean;
}

#define ROUNDING 1e-12 /* errors below are those of sums that should be 0 */

/* A stratum of one question has no spread: its deviation is taken from the overall mean. */
static double spread_error(const AnalysisGroup *g, Spread *s, size_t *questions) {
  double variance = 0;
  *questions = 0;
  memset(s->sums, 0, g->strata * sizeof *s->sums);
  memset(s->squares, 0, g->strata * sizeof *s->squares);
  memset(s->counts, 0, g->strata * sizeof *s->counts);
  for (size_t q = 0; q < g->questions; q++) {
    if (!s->touched[q]) continue;
    s->sums[g->stratum[q]] += s->u[q];
    s->counts[g->stratum[q]]++;
    ++*questions;
  }
  for (size_t q = 0; q < g->questions; q++) {
    const size_t h = g->stratum[q];
    if (!s->touched[q]) continue;
    const double from = s->counts[h] > 1 ? s->u[q] - s->sums[h] / (double)s->counts[h] : s->u[q];
    s->squares[h] += from * from;
  }
  for (size_t h = 0; h < g->strata; h++) {
    const double n = (double)s->counts[h];
    variance += s->counts[h] > 1 ? n / (n - 1) * s->squares[h] : s->squares[h];
  }
  if (*questions < 2) return NAN;
  return sqrt(variance) < ROUNDING ? 0 : sqrt(variance);
}

static void estimate_finish(const xt_analysis *a, size_t questions, bool proportion,
                            xt_estimate *e) {
  if (!proportion || e->count == 0 || isnan(e->value)) return;
  const double spread = e->value * (1 - e->value), n = e->error > 0 && spread > 0
                                                           ? 1 + spread / (e->error * e->error)
                                                           : (double)questions;
  wilson_interval(e->value, n, a->options.confidence, &e->low, &e->high);
}

#define ALL_LEVELS XT_LEVEL_COUNT

static bool in_mean(const AnalysisGroup *g, const xt_estimate *languages, size_t l, int level) {
  return languages[l].count && (level == ALL_LEVELS || g->group.languages[l].level == level);
}

/* Unweighted, over a level's languages. */
static xt_estimate mean_of_languages(const AnalysisGroup *g, Measured m,
                                     const xt_estimate *languages, int level, Spread *s,
                                     size_t *questions) {
  double sum = 0, weight;
  size_t n = 0;
  bool known = true;
  *questions = 0;
  for (size_t l = 0; l < g->group.language_count; l++) n += in_mean(g, languages, l, level);
  if (n == 0) return (xt_estimate){NAN, NAN, 0, 0, 0};
  spread_clear(g, s);
  for (size_t l = 0; l < g->group.language_count; l++) {
    const xt_group_language *language = &g->group.languages[l];
    if (!in_mean(g, languages, l, level)) continue;
    sum += spread_add(g, m, language->first, language->count, 1 / (double)n, s, &weight);
    known = known && !isnan(languages[l].error);
  }
  const double error = spread_error(g, s, questions);
  return (xt_estimate){sum / (double)n, known ? error : (double)NAN, n, 0, 0};
}

xt_status scores_of(xt_analysis *a, const AnalysisGroup *g, Measured m, bool proportion,
                    xt_scores *out, xt_error *error) {
  xt_estimate *languages;
  Spread s = {0};
  size_t questions;
  double weight;
  xt_status status;
  TRY_DONE(ARENA_ALLOC(&a->arena, &languages, g->group.language_count, error));
  TRY_DONE(spread_alloc(g, &s, error));
  for (size_t l = 0; l <= g->group.language_count; l++) {
    const bool all = l == g->group.language_count;
    xt_estimate *e = all ? &out->overall : &languages[l];
    spread_clear(g, &s);
    e->value = spread_add(g, m, all ? 0 : g->group.languages[l].first,
                          all ? g->group.instances : g->group.languages[l].count, 1, &s, &weight);
    e->error = spread_error(g, &s, &questions);
    e->count = (size_t)weight;
    e->low = e->high = 0;
    estimate_finish(a, questions, proportion, e);
  }
  out->languages = languages;
  for (int level = 0; level <= ALL_LEVELS; level++) {
    xt_estimate *e = level == ALL_LEVELS ? &out->average : &out->levels[level];
    *e = mean_of_languages(g, m, languages, level, &s, &questions);
    estimate_finish(a, questions, proportion, e);
  }
done:
  spread_free(&s);
  return status;
}

xt_status scores_of_bits(xt_analysis *a, const AnalysisGroup *g, const uint64_t *correct,
                         const uint64_t *present, xt_scores *out, xt_error *error) {
  const size_t n = g->group.instances;
  double *values;
  TRY(MEM_ALLOC(&values, 2 * n, error));
  for (size_t i = 0; i < n; i++) {
    values[n + i] = bits_get(present, i);
    values[i] = bits_get(correct, i) && bits_get(present, i);
  }
  const xt_status status = scores_of(a, g, (Measured){values, values + n}, true, out, error);
  free(values);
  return status;
}

/* ---- bootstrap ------------------------------------------------------------------------------- */

/* Draws among the questions of each stratum that have a scored instance. */
xt_status bootstrap_draw(const xt_analysis *a, const AnalysisGroup *g, Bootstrap *out,
                         xt_error *error) {
  Rng rng = {a->options.seed};
  size_t *pool = NULL, *first = NULL; /* by stratum */
  uint8_t *scored = NULL;
  xt_status status;
  *out = (Bootstrap){.samples = a->options.bootstrap, .questions = g->questions};
  TRY_DONE(MEM_ALLOC(&out->weights, (size_t)out->samples * g->questions, error));
  TRY_DONE(MEM_ALLOC(&pool, g->questions, error));
  TRY_DONE(MEM_ALLOC(&first, g->strata + 1, error));
  TRY_DONE(MEM_ALLOC(&scored, g->questions, error));
  for (size_t i = 0; i < g->group.instances; i++)
    if (g->instances[i].scored) scored[g->instances[i].question] = 1;
  size_t at = 0;
  for (size_t h = 0; h < g->strata; h++) {
    first[h] = at;
    for (size_t q = 0; q < g->questions; q++)
      if (scored[q] && g->stratum[q] == h) pool[at++] = q;
  }
  first[g->strata] = at;
  for (int b = 0; b < out->samples; b++) {
    uint8_t *weights = out->weights + (size_t)b * g->questions;
    for (size_t h = 0; h < g->strata; h++) {
      const size_t count = first[h + 1] - first[h];
      for (size_t k = 0; k < count; k++) {
        uint8_t *weight = &weights[pool[first[h] + rng_below(&rng, count)]];
        if (*weight < UINT8_MAX) ++*weight; /* 256 draws of one question do not occur */
      }
    }
  }
done:
  free(pool);
  free(first);
  free(scored);
  return status;
}

void bootstrap_free(Bootstrap *b) {
  free(b->weights);
  *b = (Bootstrap){0};
}

Extent extent_of(const AnalysisGroup *g, const double *weights, size_t first, size_t count,
                 uint8_t *seen) {
  Extent out = {0, 0};
  memset(seen, 0, g->questions + g->strata);
  for (size_t i = first; i < first + count; i++) {
    const uint32_t q = g->instances[i].question;
    if (weights[i] <= 0 || seen[q]) continue;
    seen[q] = 1;
    out.questions++;
    out.strata += !seen[g->questions + g->stratum[q]];
    seen[g->questions + g->stratum[q]] = 1;
  }
  return out;
}

xt_status bootstrap_means(const AnalysisGroup *g, const Bootstrap *b, Measured m, size_t first,
                          size_t count, double *out, xt_error *error) {
  double *sums = NULL, *weights = NULL;
  size_t low = g->questions, high = 0; /* number of questions */
  xt_status status;
  TRY_DONE(MEM_ALLOC(&sums, g->questions, error));
  TRY_DONE(MEM_ALLOC(&weights, g->questions, error));
  for (size_t i = first; i < first + count; i++) {
    const size_t q = g->instances[i].question;
    if (m.weights[i] <= 0) continue;
    sums[q] += m.sums[i];
    weights[q] += m.weights[i];
    low = q < low ? q : low;
    high = q + 1 > high ? q + 1 : high;
  }
  for (int k = 0; k < b->samples; k++) {
    const uint8_t *drawn = b->weights + (size_t)k * b->questions;
    double sum = 0, weight = 0;
    for (size_t q = low; q < high; q++) {
      sum += drawn[q] * sums[q];
      weight += drawn[q] * weights[q];
    }
    out[k] = weight > 0 ? sum / weight : (double)NAN;
  }
done:
  free(sums);
  free(weights);
  return status;
}

void samples_interval(const xt_analysis *a, double *samples, size_t count, Extent extent,
                      double *low, double *high) {
  const double tail = interval_tail(a->options.confidence, extent.questions, extent.strata);
  size_t known = 0;
  for (size_t k = 0; k < count; k++)
    if (!isnan(samples[k])) samples[known++] = samples[k];
  *low = quantile_of(samples, known, tail);
  *high = quantile_of(samples, known, 1 - tail);
}

xt_status bootstrap_interval(const xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                             Measured m, size_t first, size_t count, double *samples, double *low,
                             double *high, xt_error *error) {
  uint8_t *seen;
  TRY(bootstrap_means(g, b, m, first, count, samples, error));
  TRY(MEM_ALLOC(&seen, g->questions + g->strata, error));
  samples_interval(a, samples, (size_t)b->samples, extent_of(g, m.weights, first, count, seen), low,
                   high);
  free(seen);
  return XT_STATUS_OK;
}
