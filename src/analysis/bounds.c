/* SPDX-License-Identifier: Apache-2.0 */
/* Instance-aware upper bounds: for each fixed source or target layer, an instance counts if any of
 * its N candidates is right. Instances that lack a candidate are left out, because fewer candidates
 * give a different, smaller bound.
 *
 * Such a bound grows with the number of candidates even if they are guesses. The bound by chance is
 * that of the same responses, scored against the gold answers of the other questions of the
 * language, each in turn. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/gold_masks.h"
#include "analysis/statistics.h"
#include "base/mem.h"
#include "base/parallel.h"

static size_t cell_at(const xt_analysis *a, bool source, size_t layer, size_t other) {
  const size_t n = (size_t)a->layers;
  return source ? layer * n + other : other * n + layer;
}

static xt_layer_result *layer_results(const xt_site_result *site, bool source) {
  return (xt_layer_result *)(uintptr_t)(source ? site->sources : site->targets);
}

/* ---- chance: the gold answers of the other questions ----------------------------------------- */

typedef struct Chance {
  xt_analysis *a;
  const AnalysisGroup *g;
  const xt_group_language *language;
  GoldMasks golds;
  size_t layers;
  double *values;   /* [sites][source or target][layers][instances], then [instances] of the
                           untouched run; NaN: none */
  uint64_t **masks; /* [threads][texts of an instance, and 1][words] */
  uint32_t **seen;  /* [threads][texts of the analysis]: the text's mask, if `stamp` is the
                           instance */
  uint32_t **stamp;
  xt_error *errors; /* [threads] */
  xt_status *statuses;
} Chance;

static double *values_of(const Chance *k, size_t site, bool source, size_t layer) {
  return k->values + ((site * 2 + source) * k->layers + layer) * k->g->group.instances;
}

/* The share of the other instances' gold answers that are in a mask. */
static double share_of(const Chance *k, size_t own, const uint64_t *mask) {
  return k->golds.scored > 1
             ? (double)gold_masks_count(&k->golds, own, mask) / (double)(k->golds.scored - 1)
             : (double)NAN;
}

/* The mask of a text, which is made once for each text of an instance. */
static xt_status find_mask(Chance *k, size_t instance, uint32_t text, int thread, size_t *made,
                           const uint64_t **out, xt_error *error) {
  uint32_t *seen = k->seen[thread], *stamp = k->stamp[thread];
  uint64_t *masks = k->masks[thread];
  if (stamp[text] != instance + 1) {
    TRY(gold_masks_of_text(&k->golds, k->a, k->g, &k->g->instances[instance], text,
                           masks + *made * k->golds.words, error));
    stamp[text] = (uint32_t)(instance + 1);
    seen[text] = (uint32_t)(*made)++;
  }
  *out = masks + seen[text] * k->golds.words;
  return XT_STATUS_OK;
}

static xt_status layer_chance(Chance *k, size_t i, size_t own, size_t site, bool source,
                              size_t layer, uint64_t *any, int thread, size_t *made,
                              xt_error *error) {
  const xt_analysis *a = k->a;
  const uint32_t *texts = k->g->sites[site].texts + i * (size_t)a->cells;
  const uint64_t *mask;
  for (size_t other = 0; other < k->layers; other++)
    if (texts[cell_at(a, source, layer, other)] == TEXT_ABSENT) return XT_STATUS_OK;
  memset(any, 0, k->golds.words * sizeof *any);
  for (size_t other = 0; other < k->layers; other++) {
    TRY(find_mask(k, i, texts[cell_at(a, source, layer, other)], thread, made, &mask, error));
    for (size_t w = 0; w < k->golds.words; w++) any[w] |= mask[w];
  }
  values_of(k, site, source, layer)[i] = share_of(k, own, any);
  return XT_STATUS_OK;
}

static xt_status instance_chance(Chance *k, size_t at, int thread, xt_error *error) {
  const size_t i = k->language->first + at, own = k->golds.own[at];
  const AnalysisInstance *instance = &k->g->instances[i];
  uint64_t *any = k->masks[thread] + (k->g->site_count * (size_t)k->a->cells + 1) * k->golds.words;
  const uint64_t *mask;
  size_t made = 0;
  if (!instance->scored) return XT_STATUS_OK;
  TRY(find_mask(k, i, instance->vanilla_text, thread, &made, &mask, error));
  values_of(k, k->g->site_count, false, 0)[i] = share_of(k, own, mask);
  for (size_t site = 0; site < k->g->site_count; site++)
    for (int source = 0; source < 2; source++)
      for (size_t layer = 0; layer < k->layers; layer++)
        TRY(layer_chance(k, i, own, site, source, layer, any, thread, &made, error));
  return XT_STATUS_OK;
}

static void chance_body(void *context, size_t item, int thread) {
  Chance *k = context;
  if (k->statuses[thread] == XT_STATUS_OK)
    k->statuses[thread] = instance_chance(k, item, thread, &k->errors[thread]);
}

/* The masks of an instance and of its untouched run, and one for unions. */
static size_t masks_most(const Chance *k) { return k->g->site_count * (size_t)k->a->cells + 2; }

static xt_status alloc_masks(Chance *k, size_t threads, xt_error *error) {
  TRY(analysis_claim(k->a, threads * masks_most(k), k->golds.words * sizeof **k->masks, error));
  /* they are freed after the language */
  analysis_release(k->a, threads * masks_most(k), k->golds.words * sizeof **k->masks);
  for (size_t t = 0; t < threads; t++) {
    free(k->masks[t]);
    k->masks[t] = NULL;
    TRY(MEM_ALLOC(&k->masks[t], masks_most(k) * k->golds.words, error));
  }
  return XT_STATUS_OK;
}

static xt_status chance_of_languages(Chance *k, size_t threads, xt_error *error) {
  for (size_t l = 0; l < k->g->group.language_count; l++) {
    k->language = &k->g->group.languages[l];
    xt_status status = gold_masks_init(&k->golds, k->g, k->language, error);
    if (!status) status = alloc_masks(k, threads, error);
    if (!status) parallel_for_once((int)threads, k->language->count, chance_body, k);
    gold_masks_deinit(&k->golds);
    if (status) return status;
    for (size_t t = 0; t < threads; t++)
      if (k->statuses[t]) {
        if (error) *error = k->errors[t];
        return k->statuses[t];
      }
  }
  return XT_STATUS_OK;
}

/* Fills *out with k->values. */
static xt_status find_chance(xt_analysis *a, const AnalysisGroup *g, double **out,
                             xt_error *error) {
  const size_t threads = (size_t)a->options.threads,
               count = (g->site_count * 2 * (size_t)a->layers + 1) * g->group.instances;
  Chance k = {.a = a, .g = g, .layers = (size_t)a->layers};
  xt_status status;
  TRY_DONE(MEM_ALLOC(&k.values, count, error));
  for (size_t i = 0; i < count; i++) k.values[i] = NAN;
  TRY_DONE(MEM_ALLOC(&k.masks, threads, error));
  TRY_DONE(MEM_ALLOC(&k.seen, threads, error));
  TRY_DONE(MEM_ALLOC(&k.stamp, threads, error));
  TRY_DONE(MEM_ALLOC(&k.errors, threads, error));
  TRY_DONE(MEM_ALLOC(&k.statuses, threads, error));
  for (size_t t = 0; t < threads; t++) {
    TRY_DONE(MEM_ALLOC(&k.seen[t], a->text_count, error));
    TRY_DONE(MEM_ALLOC(&k.stamp[t], a->text_count, error));
  }
  if (g->group.benchmark) TRY_DONE(chance_of_languages(&k, threads, error));
done:
  for (size_t t = 0; t < threads; t++) {
    if (k.masks) free(k.masks[t]);
    if (k.seen) free(k.seen[t]);
    if (k.stamp) free(k.stamp[t]);
  }
  free(k.masks);
  free(k.seen);
  free(k.stamp);
  free(k.errors);
  free(k.statuses);
  *out = k.values;
  return status;
}

/* ---- the bounds ------------------------------------------------------------------------------ */

typedef struct Bounds {
  xt_analysis *a;
  const AnalysisGroup *g;
  const Bootstrap *b;
  double *chance;                        /* of find_chance */
  uint64_t *right, *complete;            /* [words of instances] */
  double *sums, *above, *weights, *both; /* [instances]; both: those that also have a chance */
  double *samples;
} Bounds;

/* Intervals of `chance` and of `right` - `chance`, over the instances in `complete` that have a
 * chance. */
static xt_status above_chance(Bounds *k, const double *chance, xt_scores *scores,
                              double interval[2], double *above, double above_interval[2],
                              xt_error *error) {
  const size_t n = k->g->group.instances;
  double sum = 0, weight = 0;
  for (size_t i = 0; i < n; i++) {
    k->both[i] = bits_get(k->complete, i) && !isnan(chance[i]);
    k->sums[i] = k->both[i] > 0 ? chance[i] : 0;
    k->above[i] = k->both[i] > 0 ? bits_get(k->right, i) - chance[i] : 0;
    sum += k->above[i];
    weight += k->both[i];
  }
  *above = weight > 0 ? sum / weight : (double)NAN;
  TRY(scores_of(k->a, k->g, (Measured){k->sums, k->both}, false, scores, error));
  if (interval)
    TRY(bootstrap_interval(k->a, k->g, k->b, (Measured){k->sums, k->both}, 0, n, k->samples,
                           &interval[0], &interval[1], error));
  return bootstrap_interval(k->a, k->g, k->b, (Measured){k->above, k->both}, 0, n, k->samples,
                            &above_interval[0], &above_interval[1], error);
}

/* Finds which instances have all candidates of a layer, and which of them have a right one. */
static void find_complete(Bounds *k, const AnalysisSite *s, bool source, size_t layer,
                          xt_layer_result *out) {
  const size_t words = bits_words(k->g->group.instances);
  size_t candidates = 0, some = 0;
  for (size_t w = 0; w < words; w++) {
    uint64_t any = 0;
    k->right[w] = 0;
    k->complete[w] = ~(uint64_t)0;
    for (size_t other = 0; other < (size_t)k->a->layers; other++) {
      const size_t c = cell_at(k->a, source, layer, other) * words + w;
      k->right[w] |= s->correct[c];
      k->complete[w] &= s->present[c];
      any |= s->present[c];
      candidates += bits_count_word(s->present[c]);
    }
    some += bits_count_word(any);
    out->complete += bits_count_word(k->complete[w]);
  }
  out->candidates = some ? (double)candidates / (double)some : 0;
}

static xt_status layer_bound(Bounds *k, size_t site, bool source, size_t layer,
                             xt_layer_result *out, xt_error *error) {
  const size_t n = k->g->group.instances;
  double chance[2], above[2];
  xt_scores vanilla;
  find_complete(k, &k->g->sites[site], source, layer, out);
  TRY(scores_of_bits(k->a, k->g, k->right, k->complete, &out->bound, error));
  TRY(scores_of_bits(k->a, k->g, k->g->vanilla, k->complete, &vanilla, error));
  out->vanilla = vanilla.overall;
  for (size_t i = 0; i < n; i++) {
    k->weights[i] = bits_get(k->complete, i);
    k->sums[i] = bits_get(k->complete, i) && bits_get(k->right, i);
  }
  TRY(bootstrap_interval(k->a, k->g, k->b, (Measured){k->sums, k->weights}, 0, n, k->samples,
                         &out->bound_low, &out->bound_high, error));
  TRY(above_chance(k, k->chance + ((site * 2 + source) * (size_t)k->a->layers + layer) * n,
                   &out->chance_scores, chance, &out->above, above, error));
  out->chance = out->chance_scores.overall.value;
  out->chance_low = chance[0];
  out->chance_high = chance[1];
  out->above_low = above[0];
  out->above_high = above[1];
  return XT_STATUS_OK;
}

static xt_status vanilla_chance(Bounds *k, xt_group *out, xt_error *error) {
  const size_t words = bits_words(k->g->group.instances);
  double above[2];
  memcpy(k->right, k->g->vanilla, words * sizeof *k->right);
  memcpy(k->complete, k->g->scored, words * sizeof *k->complete);
  TRY(above_chance(k,
                   k->chance + k->g->site_count * 2 * (size_t)k->a->layers * k->g->group.instances,
                   &out->vanilla_chance_scores, NULL, &out->vanilla_above, above, error));
  out->vanilla_chance = out->vanilla_chance_scores.overall.value;
  out->vanilla_above_low = above[0];
  out->vanilla_above_high = above[1];
  return XT_STATUS_OK;
}

xt_status analysis_bounds(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  const size_t n = g->group.instances;
  Bootstrap b = {0};
  Bounds k = {.a = a, .g = g, .b = &b};
  xt_status status;
  TRY_DONE(bootstrap_draw(a, g, &b, error));
  TRY_DONE(find_chance(a, g, &k.chance, error));
  TRY_DONE(MEM_ALLOC(&k.right, 2 * bits_words(n), error));
  TRY_DONE(MEM_ALLOC(&k.sums, 4 * n, error));
  TRY_DONE(MEM_ALLOC(&k.samples, (size_t)b.samples, error));
  k.complete = k.right + bits_words(n);
  k.above = k.sums + n;
  k.weights = k.above + n;
  k.both = k.weights + n;
  TRY_DONE(vanilla_chance(&k, &g->group, error));
  for (size_t i = 0; i < g->site_count; i++)
    for (int source = 0; source < 2; source++)
      for (size_t layer = 0; layer < (size_t)a->layers; layer++)
        TRY_DONE(layer_bound(&k, i, source, layer,
                             &layer_results(&g->group.sites[i], source)[layer], error));
done:
  bootstrap_free(&b);
  free(k.chance);
  free(k.right);
  free(k.sums);
  free(k.samples);
  return status;
}
