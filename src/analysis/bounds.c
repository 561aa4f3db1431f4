/* SPDX-License-Identifier: Apache-2.0 */
/* Instance-aware upper bounds: for each fixed source or target layer, an instance counts if any candidate is right.
 *
 * Such a bound grows with the number of candidates even where they are guesses. What guessing gives is estimated by
 * permuting the gold answers among the instances of a language: every response stays as it is, and is scored against
 * another question's answer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/statistics.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "tasks/gold_match.h"

static size_t cell_at(const xt_analysis *a, bool source, size_t layer, size_t other) {
  const size_t n = (size_t)a->layers;
  return source ? layer * n + other : other * n + layer;
}

static xt_layer_result *layer_results(const xt_site_result *site, bool source) { return (xt_layer_result *)(uintptr_t)(source ? site->sources : site->targets); }

/* ---- the bounds and their bootstrap ------------------------------------------------------------ */

static xt_status layer_bound(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s, const Bootstrap *b, bool source, size_t layer, uint64_t *any,
                             double *samples, xt_layer_result *out, xt_error *error) {
  const size_t words = bits_words(g->group.instances);
  uint64_t *right = any, *there = any + words;
  size_t candidates = 0, instances = 0;
  memset(any, 0, 2 * words * sizeof *any);
  for (size_t other = 0; other < (size_t)a->layers; other++) {
    const size_t c = cell_at(a, source, layer, other) * words;
    for (size_t w = 0; w < words; w++) {
      right[w] |= s->correct[c + w];
      there[w] |= s->present[c + w];
      candidates += bits_count_word(s->present[c + w]);
    }
  }
  for (size_t w = 0; w < words; w++) instances += bits_count_word(there[w]);
  TRY(scores_of_bits(a, g, right, there, &out->bound, error));
  out->candidates = instances ? (double)candidates / (double)instances : 0;
  size_t drawn = 0;
  for (int k = 0; k < b->samples; k++) {
    const size_t weight = bootstrap_weight(b, k, there);
    if (weight) samples[drawn++] = (double)bootstrap_weight(b, k, right) / (double)weight;
  }
  const double tail = (1 - a->options.confidence) / 2;
  out->bound_low = quantile_of(samples, drawn, tail);
  out->bound_high = quantile_of(samples, drawn, 1 - tail);
  return XT_STATUS_OK;
}

xt_status analysis_bounds(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  uint64_t *any = NULL;
  double *samples = NULL;
  Bootstrap b = {0};
  xt_status status;
  TRY_DONE(bootstrap_draw(a, g, &b, error));
  TRY_DONE(mem_alloc(&any, 2 * bits_words(g->group.instances), sizeof *any, error));
  TRY_DONE(mem_alloc(&samples, (size_t)b.samples, sizeof *samples, error));
  for (size_t i = 0; i < g->site_count; i++)
    for (int source = 0; source < 2; source++)
      for (size_t layer = 0; layer < (size_t)a->layers; layer++)
        TRY_DONE(layer_bound(a, g, &g->sites[i], &b, source, layer, any, samples, &layer_results(&g->group.sites[i], source)[layer], error));
done:
  bootstrap_free(&b);
  free(any);
  free(samples);
  return status;
}

/* ---- permuted gold answers -------------------------------------------------------------------- */

#define PERMUTATION_WORDS 8 /* most permutations: 512 */

/* One language's gold answers, each once, and which of them every instance has in every permutation. */
typedef struct Golds {
  GoldMatch *matches;  /* [distinct] */
  size_t distinct;
  size_t *own;         /* [instances of the language]: the distinct gold of each scored instance */
  uint16_t *permuted;  /* [permutations][instances of the language] */
} Golds;

typedef struct Chance {
  const xt_analysis *a;
  const AnalysisGroup *g;
  const xt_group_language *language;
  Golds golds;
  size_t permutations, layers;
  /* [threads]: hits[site][source or target][layer][permutation], followed by those of the untouched run */
  uint32_t **hits;
  uint64_t **masks;   /* [threads][texts of an instance][PERMUTATION_WORDS] */
  uint32_t **seen;    /* [threads][texts of the analysis]: 1 + the index of the text's mask; valid where `stamp` holds the instance's number */
  uint32_t **stamp;
  xt_error *errors;   /* [threads] */
  xt_status *statuses;
} Chance;

static size_t hit_at(const Chance *k, size_t site, bool source, size_t layer) { return ((site * 2 + source) * k->layers + layer) * k->permutations; }

/* In which permutations a text is right for an instance. */
static xt_status text_mask(const Chance *k, const AnalysisInstance *instance, size_t at, uint32_t text, uint64_t *mask, xt_error *error) {
  const AnalysisText *t = &k->a->texts[text];
  bool *right = NULL;
  memset(mask, 0, PERMUTATION_WORDS * sizeof *mask);
  if (!t->text) return XT_STATUS_OK;
  TRY(mem_alloc(&right, k->golds.distinct, sizeof *right, error));
  const xt_status status = gold_match_all(k->g->group.benchmark, instance->choices, instance->choice_count, t->text, t->length, k->golds.matches,
                                          k->golds.distinct, right, error);
  for (size_t r = 0; r < k->permutations && !status; r++)
    if (right[k->golds.permuted[r * k->language->count + at]]) bits_set(mask, r);
  free(right);
  return status;
}

static xt_status instance_chance(Chance *k, size_t at, int thread, xt_error *error) {
  const xt_analysis *a = k->a;
  const size_t i = k->language->first + at, cells = (size_t)a->cells, n = (size_t)a->layers;
  const AnalysisInstance *instance = &k->g->instances[i];
  uint64_t *masks = k->masks[thread];
  uint32_t *seen = k->seen[thread], *stamp = k->stamp[thread], count = 0;
  if (!instance->scored) return XT_STATUS_OK;
  TRY(text_mask(k, instance, at, instance->vanilla_text, masks, error));
  for (size_t r = 0; r < k->permutations; r++)
    k->hits[thread][hit_at(k, k->g->site_count, false, 0) + r] += bits_get(masks, r);
  for (size_t site = 0; site < k->g->site_count; site++) {
    const uint32_t *texts = k->g->sites[site].texts + i * cells;
    for (size_t c = 0; c < cells; c++) {
      if (texts[c] == TEXT_ABSENT || stamp[texts[c]] == i + 1) continue;
      stamp[texts[c]] = (uint32_t)(i + 1);
      seen[texts[c]] = count;
      TRY(text_mask(k, instance, at, texts[c], masks + PERMUTATION_WORDS * count++, error));
    }
    for (int source = 0; source < 2; source++)
      for (size_t layer = 0; layer < n; layer++) {
        uint64_t any[PERMUTATION_WORDS] = {0};
        for (size_t other = 0; other < n; other++) {
          const uint32_t text = texts[cell_at(a, source, layer, other)];
          if (text == TEXT_ABSENT) continue;
          for (size_t w = 0; w < PERMUTATION_WORDS; w++) any[w] |= masks[PERMUTATION_WORDS * seen[text] + w];
        }
        uint32_t *hits = k->hits[thread] + hit_at(k, site, source, layer);
        for (size_t r = 0; r < k->permutations; r++) hits[r] += bits_get(any, r);
      }
  }
  return XT_STATUS_OK;
}

static void chance_body(void *context, size_t item, int thread) {
  Chance *k = context;
  if (k->statuses[thread] == XT_STATUS_OK) k->statuses[thread] = instance_chance(k, item, thread, &k->errors[thread]);
}

static xt_status find_golds(Chance *k, Rng *rng, xt_error *error) {
  const xt_group_language *language = k->language;
  const AnalysisInstance *instances = k->g->instances + language->first;
  Golds *golds = &k->golds;
  size_t scored = 0, *order = NULL;
  xt_status status;
  TRY_DONE(mem_alloc(&golds->matches, language->count, sizeof *golds->matches, error));
  TRY_DONE(mem_alloc(&golds->own, language->count, sizeof *golds->own, error));
  TRY_DONE(mem_alloc(&golds->permuted, language->count * k->permutations, sizeof *golds->permuted, error));
  TRY_DONE(mem_alloc(&order, language->count, sizeof *order, error));
  for (size_t i = 0; i < language->count; i++) {
    size_t known = 0;
    if (!instances[i].scored) continue;
    while (known < golds->distinct && strcmp(golds->matches[known].gold, instances[i].gold) != 0) known++;
    if (known == golds->distinct) TRY_DONE(gold_match_init(k->g->group.benchmark, instances[i].gold, &golds->matches[golds->distinct++], error));
    golds->own[i] = known;
    order[scored++] = i;
  }
  for (size_t r = 0; r < k->permutations; r++) {
    size_t *shuffled;
    TRY_DONE(mem_alloc(&shuffled, scored, sizeof *shuffled, error));
    for (size_t i = 0; i < scored; i++) shuffled[i] = golds->own[order[i]];
    for (size_t i = scored; i-- > 1;) { /* Fisher and Yates */
      const size_t j = rng_below(rng, i + 1), kept = shuffled[i];
      shuffled[i] = shuffled[j];
      shuffled[j] = kept;
    }
    for (size_t i = 0; i < scored; i++) golds->permuted[r * language->count + order[i]] = (uint16_t)shuffled[i];
    free(shuffled);
  }
done:
  free(order);
  return status;
}

static void free_golds(Golds *golds) {
  for (size_t i = 0; i < golds->distinct; i++) gold_match_deinit(&golds->matches[i]);
  free(golds->matches);
  free(golds->own);
  free(golds->permuted);
  *golds = (Golds){0};
}

static void interval(const xt_analysis *a, const Chance *k, size_t at, size_t instances, double *mean, double *low, double *high, double *values) {
  double sum = 0;
  for (size_t r = 0; r < k->permutations; r++) {
    values[r] = (double)k->hits[0][at + r] / (double)instances;
    sum += values[r];
  }
  *mean = sum / (double)k->permutations;
  if (low) *low = quantile_of(values, k->permutations, (1 - a->options.confidence) / 2);
  if (high) *high = quantile_of(values, k->permutations, 1 - (1 - a->options.confidence) / 2);
}

/* Whether chance is worth its time: some layer has several candidates, and golds fit in a number. */
static bool wanted(const xt_analysis *a, const AnalysisGroup *g) {
  if (!g->group.benchmark) return false;
  for (size_t l = 0; l < g->group.language_count; l++)
    if (g->group.languages[l].count > UINT16_MAX) return false;
  for (size_t s = 0; s < g->site_count; s++)
    for (int layer = 0; layer < a->layers; layer++)
      if (g->group.sites[s].sources[layer].candidates > 1 || g->group.sites[s].targets[layer].candidates > 1) return true;
  return false;
}

xt_status analysis_chance(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  const int threads = a->options.threads;
  Chance k = {.a = a, .g = g, .permutations = (size_t)a->options.permutations, .layers = (size_t)a->layers};
  const size_t hits = hit_at(&k, g->site_count, false, 1), most = g->site_count * (size_t)a->cells + 1, slots = (size_t)threads;
  Rng rng = {a->options.seed};
  double *values = NULL;
  xt_status status;
  if (!wanted(a, g)) return XT_STATUS_OK;
  TRY_DONE(mem_alloc(&k.hits, slots, sizeof *k.hits, error));
  TRY_DONE(mem_alloc(&k.masks, slots, sizeof *k.masks, error));
  TRY_DONE(mem_alloc(&k.seen, slots, sizeof *k.seen, error));
  TRY_DONE(mem_alloc(&k.stamp, slots, sizeof *k.stamp, error));
  TRY_DONE(mem_alloc(&k.errors, slots, sizeof *k.errors, error));
  TRY_DONE(mem_alloc(&k.statuses, slots, sizeof *k.statuses, error));
  TRY_DONE(mem_alloc(&values, k.permutations, sizeof *values, error));
  for (size_t t = 0; t < slots; t++) {
    TRY_DONE(mem_alloc(&k.hits[t], hits, sizeof **k.hits, error));
    TRY_DONE(mem_alloc(&k.masks[t], most * PERMUTATION_WORDS, sizeof **k.masks, error));
    TRY_DONE(mem_alloc(&k.seen[t], a->text_count, sizeof **k.seen, error));
    TRY_DONE(mem_alloc(&k.stamp[t], a->text_count, sizeof **k.stamp, error));
  }
  for (size_t l = 0; l < g->group.language_count; l++) {
    k.language = &g->group.languages[l];
    TRY_DONE(find_golds(&k, &rng, error));
    parallel_for_once(threads, k.language->count, chance_body, &k);
    free_golds(&k.golds);
    for (size_t t = 0; t < slots; t++)
      if (k.statuses[t]) {
        if (error) *error = k.errors[t];
        status = k.statuses[t];
        goto done;
      }
  }
  for (size_t t = 1; t < slots; t++)
    for (size_t i = 0; i < hits; i++) k.hits[0][i] += k.hits[t][i];
  interval(a, &k, hit_at(&k, g->site_count, false, 0), g->group.scored, &g->group.vanilla_chance, NULL, NULL, values);
  for (size_t site = 0; site < g->site_count; site++)
    for (int source = 0; source < 2; source++)
      for (size_t layer = 0; layer < k.layers; layer++) {
        xt_layer_result *result = &layer_results(&g->group.sites[site], source)[layer];
        if (result->bound.overall.count)
          interval(a, &k, hit_at(&k, site, source, layer), result->bound.overall.count, &result->chance, &result->chance_low, &result->chance_high, values);
      }
done:
  free_golds(&k.golds);
  for (size_t t = 0; t < slots; t++) {
    if (k.hits) free(k.hits[t]);
    if (k.masks) free(k.masks[t]);
    if (k.seen) free(k.seen[t]);
    if (k.stamp) free(k.stamp[t]);
  }
  free(k.hits);
  free(k.masks);
  free(k.seen);
  free(k.stamp);
  free(k.errors);
  free(k.statuses);
  free(values);
  return status;
}
