/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations against the untouched model: exact paired tests with their corrections, bootstrap intervals, and what
 * the best of them is worth.
 *
 * A bootstrap sample draws as many instances as there are, with replacement, within each language, since a benchmark's
 * number of questions a language is by design. How often each was drawn is kept as bit planes, so that a weighted
 * count over any set of instances is a few population counts a word. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/statistics.h"
#include "base/mem.h"
#include "base/parallel.h"

#define WEIGHT_MOST ((1 << BOOTSTRAP_PLANES) - 1)

/* The instances of each language that are scored, in order; the draws are among them. */
xt_status bootstrap_draw(const xt_analysis *a, const AnalysisGroup *g, Bootstrap *out, xt_error *error) {
  const size_t n = g->group.instances;
  Rng rng = {a->options.seed};
  size_t *scored = NULL;
  uint8_t *weights = NULL;
  xt_status status;
  *out = (Bootstrap){.samples = a->options.bootstrap, .words = bits_words(n)};
  TRY_DONE(mem_alloc(&out->planes, (size_t)out->samples * BOOTSTRAP_PLANES * out->words, sizeof *out->planes, error));
  TRY_DONE(mem_alloc(&scored, n, sizeof *scored, error));
  TRY_DONE(mem_alloc(&weights, n, sizeof *weights, error));
  for (int b = 0; b < out->samples; b++) {
    uint64_t *planes = out->planes + (size_t)b * BOOTSTRAP_PLANES * out->words;
    memset(weights, 0, n);
    for (size_t l = 0; l < g->group.language_count; l++) {
      const xt_group_language *language = &g->group.languages[l];
      size_t count = 0;
      for (size_t i = language->first; i < language->first + language->count; i++)
        if (g->instances[i].scored) scored[count++] = i;
      for (size_t k = 0; k < count; k++) {
        uint8_t *weight = &weights[scored[rng_below(&rng, count)]];
        if (*weight < WEIGHT_MOST) ++*weight; /* 32 draws of one instance: less than one in 10^34 */
      }
    }
    for (size_t i = 0; i < n; i++)
      for (size_t p = 0; p < BOOTSTRAP_PLANES; p++)
        if (weights[i] >> p & 1) bits_set(planes + p * out->words, i);
  }
done:
  free(scored);
  free(weights);
  return status;
}

void bootstrap_free(Bootstrap *b) {
  free(b->planes);
  *b = (Bootstrap){0};
}

size_t bootstrap_weight(const Bootstrap *b, int sample, const uint64_t *bits) {
  const uint64_t *planes = b->planes + (size_t)sample * BOOTSTRAP_PLANES * b->words;
  size_t weight = 0;
  for (size_t p = 0; p < BOOTSTRAP_PLANES; p++)
    for (size_t w = 0; w < b->words; w++) weight += bits_count_word(planes[p * b->words + w] & bits[w]) << p;
  return weight;
}

/* ---- intervals -------------------------------------------------------------------------------- */

typedef struct Intervals {
  const xt_analysis *a;
  const AnalysisGroup *g;
  const AnalysisSite *s;
  const Bootstrap *b;
  xt_configuration *configurations;
  double *gains;    /* [cells][samples]: of accuracy, in the sample; NaN: none of it is there */
  double *fresh;    /* [cells][samples]: on the instances that the sample leaves out */
  double **samples; /* [threads][samples] */
  uint64_t **sets;  /* [threads][2 * words] */
} Intervals;

static double share(size_t won, size_t lost, size_t count) { return count ? ((double)won - (double)lost) / (double)count : NAN; }

/* Instances that no plane of the sample has. */
static uint64_t left_out(const Bootstrap *b, int sample, size_t word) {
  const uint64_t *planes = b->planes + (size_t)sample * BOOTSTRAP_PLANES * b->words;
  uint64_t drawn = 0;
  for (size_t p = 0; p < BOOTSTRAP_PLANES; p++) drawn |= planes[p * b->words + word];
  return ~drawn;
}

static void cell_body(void *context, size_t cell, int thread) {
  Intervals *k = context;
  const Bootstrap *b = k->b;
  const size_t words = b->words;
  xt_configuration *configuration = &k->configurations[cell];
  if (configuration->count == 0) return;
  const uint64_t *right = k->s->correct + cell * words, *there = k->s->present + cell * words;
  uint64_t *won = k->sets[thread], *lost = won + words;
  double *samples = k->samples[thread];
  size_t drawn = 0;
  bool all = true; /* with every scored instance there, a sample's size needs no counting */
  for (size_t w = 0; w < words; w++) {
    won[w] = right[w] & ~k->g->vanilla[w];
    lost[w] = k->g->vanilla[w] & there[w] & ~right[w];
    all = all && there[w] == k->g->scored[w];
  }
  for (int i = 0; i < b->samples; i++) {
    const size_t size = all ? configuration->count : bootstrap_weight(b, i, there);
    size_t fresh_won = 0, fresh_lost = 0, fresh = 0;
    for (size_t w = 0; w < words; w++) {
      const uint64_t out = left_out(b, i, w);
      fresh_won += bits_count_word(won[w] & out);
      fresh_lost += bits_count_word(lost[w] & out);
      fresh += bits_count_word(there[w] & out);
    }
    const size_t at = cell * (size_t)b->samples + (size_t)i;
    const size_t sample_won = bootstrap_weight(b, i, won), sample_lost = bootstrap_weight(b, i, lost);
    k->gains[at] = share(sample_won, sample_lost, size);
    k->fresh[at] = share(fresh_won, fresh_lost, fresh);
    if (size) samples[drawn++] = k->gains[at];
  }
  const double tail = (1 - k->a->options.confidence) / 2;
  configuration->low = quantile_of(samples, drawn, tail);
  configuration->high = quantile_of(samples, drawn, 1 - tail);
}

/* In each sample the best configuration, judged on what the sample left out; NaN where there is nothing to judge on. */
static double best_fresh(const Intervals *k, size_t cells) {
  const size_t samples = (size_t)k->b->samples;
  double sum = 0;
  size_t count = 0;
  for (size_t i = 0; i < samples; i++) {
    size_t best = cells;
    for (size_t c = 0; c < cells; c++)
      if (k->configurations[c].count && !isnan(k->gains[c * samples + i]) && (best == cells || k->gains[c * samples + i] > k->gains[best * samples + i])) best = c;
    if (best == cells || isnan(k->fresh[best * samples + i])) continue;
    sum += k->fresh[best * samples + i];
    count++;
  }
  return count ? sum / (double)count : NAN;
}

static xt_status intervals(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s, const Bootstrap *b, xt_site_result *out, xt_error *error) {
  const size_t cells = (size_t)a->cells, threads = (size_t)a->options.threads, samples = (size_t)b->samples;
  Intervals k = {.a = a, .g = g, .s = s, .b = b, .configurations = (xt_configuration *)(uintptr_t)out->configurations};
  xt_status status;
  TRY_DONE(mem_alloc(&k.gains, cells * samples, sizeof *k.gains, error));
  TRY_DONE(mem_alloc(&k.fresh, cells * samples, sizeof *k.fresh, error));
  TRY_DONE(mem_alloc(&k.samples, threads, sizeof *k.samples, error));
  TRY_DONE(mem_alloc(&k.sets, threads, sizeof *k.sets, error));
  for (size_t t = 0; t < threads; t++) {
    TRY_DONE(mem_alloc(&k.samples[t], samples, sizeof **k.samples, error));
    TRY_DONE(mem_alloc(&k.sets[t], 2 * b->words, sizeof **k.sets, error));
  }
  parallel_for_once(a->options.threads, cells, cell_body, &k);
  out->best_fresh = best_fresh(&k, cells);
done:
  for (size_t t = 0; t < threads; t++) {
    if (k.samples) free(k.samples[t]);
    if (k.sets) free(k.sets[t]);
  }
  free(k.gains);
  free(k.fresh);
  free(k.samples);
  free(k.sets);
  return status;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static xt_status tests(const xt_analysis *a, xt_site_result *out, xt_error *error) {
  xt_configuration *all = (xt_configuration *)(uintptr_t)out->configurations;
  double *p;
  size_t count = 0;
  xt_status status;
  TRY(mem_alloc(&p, (size_t)a->cells, sizeof *p, error));
  for (int step = 0; step < 2; step++) { /* Holm, then Benjamini and Hochberg */
    count = 0;
    for (int c = 0; c < a->cells; c++) {
      if (all[c].count == 0) continue;
      all[c].p = xt_mcnemar_exact(all[c].won, all[c].lost);
      p[count++] = all[c].p;
    }
    TRY_DONE((step ? xt_adjust_bh : xt_adjust_holm)(p, count, error));
    count = 0;
    for (int c = 0; c < a->cells; c++) {
      if (all[c].count == 0) continue;
      if (step) all[c].bh = p[count++];
      else all[c].holm = p[count++];
    }
  }
done:
  free(p);
  return status;
}

xt_status analysis_significance(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Bootstrap b = {0};
  xt_status status;
  TRY_DONE(bootstrap_draw(a, g, &b, error));
  for (size_t i = 0; i < g->site_count; i++) {
    xt_site_result *site = (xt_site_result *)(uintptr_t)&g->group.sites[i];
    TRY_DONE(tests(a, site, error));
    TRY_DONE(intervals(a, g, &g->sites[i], &b, site, error));
  }
done:
  bootstrap_free(&b);
  return status;
}
