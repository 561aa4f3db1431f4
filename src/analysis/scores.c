/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracies, win / tie / lose, averages over configurations, layer-wise gains, strategies, text metrics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/statistics.h"
#include "base/mem.h"
#include "xtransplant/langid.h"

static const xt_estimate none = {NAN, NAN, 0};

void scores_fill_levels(const xt_group *g, const xt_estimate *languages, xt_scores *out) {
  out->languages = languages;
  for (int level = 0; level < XT_LEVEL_COUNT; level++) {
    double sum = 0, variance = 0;
    size_t n = 0;
    for (size_t l = 0; l < g->language_count; l++) {
      if (g->languages[l].level != level || languages[l].count == 0) continue;
      sum += languages[l].value;
      variance += languages[l].error * languages[l].error;
      n++;
    }
    out->levels[level] = n ? (xt_estimate){sum / (double)n, sqrt(variance) / (double)n, n} : none;
  }
}

static size_t count_in(const uint64_t *bits, const uint64_t *among, size_t first, size_t count) {
  size_t n = 0;
  if (count == 0) return 0;
  for (size_t w = first / BITS_WORD; w <= (first + count - 1) / BITS_WORD; w++)
    n += bits_count_word(bits[w] & (among ? among[w] : ~(uint64_t)0) & bits_range(w, first, count));
  return n;
}

xt_status scores_of_bits(xt_analysis *a, const AnalysisGroup *g, const uint64_t *correct, const uint64_t *present, xt_scores *out, xt_error *error) {
  xt_estimate *languages;
  TRY(arena_alloc(&a->arena, &languages, g->group.language_count, sizeof *languages, error));
  for (size_t l = 0; l < g->group.language_count; l++) {
    const xt_group_language *language = &g->group.languages[l];
    languages[l] = estimate_proportion(count_in(correct, present, language->first, language->count), count_in(present, NULL, language->first, language->count));
  }
  out->overall = estimate_proportion(count_in(correct, present, 0, g->group.instances), count_in(present, NULL, 0, g->group.instances));
  scores_fill_levels(&g->group, languages, out);
  return XT_STATUS_OK;
}

/* ---- means of a value an instance has ---------------------------------------------------------- */

/* Sums over the instances of a language; NaN values do not count. */
static xt_estimate mean_over(const double *values, size_t first, size_t count) {
  double sum = 0, squares = 0;
  size_t n = 0;
  for (size_t i = first; i < first + count; i++) {
    if (isnan(values[i])) continue;
    sum += values[i];
    squares += values[i] * values[i];
    n++;
  }
  return estimate_mean(sum, squares, n);
}

static xt_status scores_of_values(xt_analysis *a, const xt_group *g, const double *values, xt_scores *out, xt_error *error) {
  xt_estimate *languages;
  TRY(arena_alloc(&a->arena, &languages, g->language_count, sizeof *languages, error));
  for (size_t l = 0; l < g->language_count; l++) languages[l] = mean_over(values, g->languages[l].first, g->languages[l].count);
  out->overall = mean_over(values, 0, g->instances);
  scores_fill_levels(g, languages, out);
  return XT_STATUS_OK;
}

/* ---- configurations --------------------------------------------------------------------------- */

static void tally_add(xt_tally *tally, size_t with, size_t without) {
  if (with > without) tally->win++;
  else if (with < without) tally->lose++;
  else tally->tie++;
}

static xt_status configurations(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s, xt_site_result *out, xt_error *error) {
  const size_t words = bits_words(g->group.instances), cells = (size_t)a->cells, languages = g->group.language_count;
  xt_configuration *all;
  xt_tally *tallies;
  int32_t *correct, *count, *vanilla;
  TRY(arena_alloc(&a->arena, &all, cells, sizeof *all, error));
  TRY(arena_alloc(&a->arena, &tallies, languages, sizeof *tallies, error));
  TRY(arena_alloc(&a->arena, &correct, languages * cells, sizeof *correct, error));
  TRY(arena_alloc(&a->arena, &count, languages * cells, sizeof *count, error));
  TRY(arena_alloc(&a->arena, &vanilla, languages * cells, sizeof *vanilla, error));
  out->best = -1;
  for (size_t c = 0; c < cells; c++) {
    const uint64_t *right = s->correct + c * words, *there = s->present + c * words;
    xt_configuration *k = &all[c];
    *k = (xt_configuration){.gain = NAN, .low = NAN, .high = NAN, .p = NAN, .holm = NAN, .bh = NAN};
    for (size_t l = 0; l < languages; l++) {
      const xt_group_language *language = &g->group.languages[l];
      const size_t at = l * cells + c;
      correct[at] = (int32_t)count_in(right, NULL, language->first, language->count);
      count[at] = (int32_t)count_in(there, NULL, language->first, language->count);
      vanilla[at] = (int32_t)count_in(g->vanilla, there, language->first, language->count);
      k->correct += (size_t)correct[at];
      k->count += (size_t)count[at];
      k->vanilla_correct += (size_t)vanilla[at];
      if (count[at]) tally_add(&tallies[l], (size_t)correct[at], (size_t)vanilla[at]);
    }
    if (k->count == 0) continue;
    size_t both = 0;
    for (size_t w = 0; w < words; w++) both += bits_count_word(right[w] & g->vanilla[w]);
    k->won = k->correct - both;
    k->lost = k->vanilla_correct - both;
    k->gain = ((double)k->correct - (double)k->vanilla_correct) / (double)k->count;
    tally_add(&out->all, k->correct, k->vanilla_correct);
    out->configuration_count++;
    if (out->best < 0 || k->gain > all[out->best].gain) out->best = (int)c;
  }
  out->configurations = all;
  out->languages = tallies;
  out->language_correct = correct;
  out->language_count = count;
  out->language_vanilla = vanilla;
  return XT_STATUS_OK;
}

/* ---- layers ----------------------------------------------------------------------------------- */

typedef struct Cells { /* the configurations of one layer: first, first + step, ... */
  size_t first, step;
} Cells;

static Cells cells_of(const xt_analysis *a, bool source, int layer) {
  const size_t n = (size_t)a->layers, at = (size_t)layer;
  return source ? (Cells){at * n, 1} : (Cells){at, n};
}

/* Per scored instance, the mean over `count` configurations of being right, as a gain less the untouched run's; NaN where
 * none is there. */
static void instance_means(const AnalysisGroup *g, const AnalysisSite *s, Cells cells, size_t count, bool gain, double *out) {
  const size_t n = g->group.instances, words = bits_words(n);
  for (size_t i = 0; i < n; i++) {
    size_t right = 0, there = 0;
    const size_t w = i / BITS_WORD, shift = i % BITS_WORD;
    for (size_t k = 0; k < count; k++) {
      const size_t c = cells.first + k * cells.step;
      right += s->correct[c * words + w] >> shift & 1;
      there += s->present[c * words + w] >> shift & 1;
    }
    out[i] = there ? (double)right / (double)there - (gain && g->instances[i].vanilla_correct ? 1 : 0) : NAN;
  }
}

static xt_status layer_gains(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s, bool source, double *values, xt_layer_result **out,
                             xt_error *error) {
  xt_scores scores;
  TRY(arena_alloc(&a->arena, out, (size_t)a->layers, sizeof **out, error));
  for (int layer = 0; layer < a->layers; layer++) {
    xt_layer_result *result = &(*out)[layer];
    *result = (xt_layer_result){.bound_low = NAN, .bound_high = NAN, .chance = NAN, .chance_low = NAN, .chance_high = NAN};
    instance_means(g, s, cells_of(a, source, layer), (size_t)a->layers, true, values);
    TRY(scores_of_values(a, &g->group, values, &scores, error));
    result->gain = scores.overall;
    result->language_gains = scores.languages;
  }
  return XT_STATUS_OK;
}

/* ---- strategies ------------------------------------------------------------------------------- */

static xt_status strategies(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s, xt_site_result *out, xt_error *error) {
  const size_t words = bits_words(g->group.instances);
  xt_strategy_result *results;
  uint64_t *correct = NULL, *present = NULL;
  xt_status status = XT_STATUS_OK;
  TRY(arena_alloc(&a->arena, &results, a->strategy_count, sizeof *results, error));
  TRY_DONE(mem_alloc(&correct, words, sizeof *correct, error));
  TRY_DONE(mem_alloc(&present, words, sizeof *present, error));
  for (size_t k = 0; k < a->strategy_count; k++) {
    bool any = false;
    memset(correct, 0, words * sizeof *correct);
    memset(present, 0, words * sizeof *present);
    for (size_t i = 0; i < s->selection_count; i++) {
      const AnalysisSelection *choice = &s->selections[i];
      const bool kept = choice->cell == ANALYSIS_VANILLA;
      const uint64_t *right = kept ? g->vanilla : s->correct + (size_t)choice->cell * words;
      const uint64_t *there = kept ? g->scored : s->present + (size_t)choice->cell * words;
      if (choice->strategy != a->strategies[k] || !bits_get(there, choice->instance)) continue;
      any = true;
      bits_set(present, choice->instance);
      if (bits_get(right, choice->instance)) bits_set(correct, choice->instance);
    }
    if (!any) continue;
    xt_strategy_result *result = &results[out->strategy_count++];
    result->name = a->strategies[k];
    TRY_DONE(scores_of_bits(a, g, correct, present, &result->scores, error));
  }
  out->strategies = results;
done:
  free(correct);
  free(present);
  return status;
}

/* ---- text metrics ----------------------------------------------------------------------------- */

typedef struct TextSums {
  double perplexity, perplexity_squares;
  size_t perplexity_count, consistent, language_count;
} TextSums;

static void add_text(const xt_analysis *a, const xt_group *g, const AnalysisInstance *instance, uint32_t text, TextSums *sums) {
  if (text == TEXT_ABSENT) return;
  const AnalysisText *t = &a->texts[text];
  if (!isnan(t->perplexity)) {
    sums->perplexity += t->perplexity;
    sums->perplexity_squares += t->perplexity * t->perplexity;
    sums->perplexity_count++;
  }
  if (t->language) {
    const char *wanted = g->benchmark && g->benchmark->direction == XT_DIRECTION_FROM_LANGUAGE ? "en" : instance->lang;
    sums->language_count++;
    if (xt_language_is(t->language, wanted)) sums->consistent++;
  }
}

static void text_estimates(const TextSums *sums, xt_estimate *perplexity, xt_estimate *consistency) {
  *perplexity = estimate_mean(sums->perplexity, sums->perplexity_squares, sums->perplexity_count);
  *consistency = estimate_proportion(sums->consistent, sums->language_count);
}

static void vanilla_texts(const xt_analysis *a, AnalysisGroup *g) {
  TextSums sums = {0};
  for (size_t i = 0; i < g->group.instances; i++) add_text(a, &g->group, &g->instances[i], g->instances[i].vanilla_text, &sums);
  text_estimates(&sums, &g->group.perplexity, &g->group.consistency);
}

static void site_texts(const xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s, xt_site_result *out) {
  TextSums sums = {0};
  size_t changed = 0, compared = 0;
  const size_t cells = (size_t)a->cells;
  for (size_t i = 0; i < g->group.instances; i++) {
    const uint32_t untouched = g->instances[i].vanilla_text;
    for (size_t c = 0; c < cells; c++) {
      const uint32_t text = s->texts[i * cells + c];
      if (text == TEXT_ABSENT) continue;
      out->responses++;
      compared += untouched != TEXT_ABSENT;
      changed += untouched != TEXT_ABSENT && text != untouched;
      add_text(a, &g->group, &g->instances[i], text, &sums);
    }
  }
  out->changed = estimate_proportion(changed, compared);
  text_estimates(&sums, &out->perplexity, &out->consistency);
}

xt_status analysis_texts(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  xt_site_result *sites;
  TRY(arena_alloc(&a->arena, &sites, g->site_count, sizeof *sites, error));
  for (size_t s = 0; s < g->site_count; s++) {
    sites[s] = (xt_site_result){.site = g->sites[s].name, .best = -1, .best_fresh = NAN};
    site_texts(a, g, &g->sites[s], &sites[s]);
  }
  g->group.sites = sites;
  g->group.site_count = g->site_count;
  vanilla_texts(a, g);
  return XT_STATUS_OK;
}

static xt_status coarse(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  const size_t words = bits_words(g->group.instances);
  const char *site;
  int source, target;
  xt_estimate *languages;
  g->group.coarse = (xt_scores){.overall = none, .levels = {none, none, none}};
  TRY(arena_alloc(&a->arena, &languages, g->group.language_count, sizeof *languages, error));
  for (size_t l = 0; l < g->group.language_count; l++) languages[l] = none;
  g->group.coarse.languages = languages;
  if (!g->group.benchmark) return XT_STATUS_OK;
  xt_coarse(g->group.benchmark, a->layers, &site, &source, &target);
  for (size_t s = 0; s < g->site_count; s++) {
    const size_t cell = (size_t)(source * a->layers + target) * words;
    if (strcmp(g->sites[s].name, site) == 0) TRY(scores_of_bits(a, g, g->sites[s].correct + cell, g->sites[s].present + cell, &g->group.coarse, error));
  }
  return XT_STATUS_OK;
}

xt_status analysis_scores(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  double *values;
  xt_site_result *sites;
  xt_status status = XT_STATUS_OK;
  TRY(arena_alloc(&a->arena, &sites, g->site_count, sizeof *sites, error));
  g->group.sites = sites;
  g->group.site_count = g->site_count;
  g->group.vanilla_chance = NAN;
  TRY(scores_of_bits(a, g, g->vanilla, g->scored, &g->group.vanilla, error));
  TRY(coarse(a, g, error));
  vanilla_texts(a, g);
  TRY(mem_alloc(&values, g->group.instances, sizeof *values, error));
  for (size_t i = 0; i < g->site_count; i++) {
    AnalysisSite *s = &g->sites[i];
    xt_layer_result *sources, *targets;
    sites[i] = (xt_site_result){.site = s->name, .best_fresh = NAN};
    TRY_DONE(configurations(a, g, s, &sites[i], error));
    instance_means(g, s, (Cells){0, 1}, (size_t)a->cells, false, values);
    TRY_DONE(scores_of_values(a, &g->group, values, &sites[i].mean, error));
    TRY_DONE(layer_gains(a, g, s, true, values, &sources, error));
    TRY_DONE(layer_gains(a, g, s, false, values, &targets, error));
    sites[i].sources = sources;
    sites[i].targets = targets;
    TRY_DONE(strategies(a, g, s, &sites[i], error));
    site_texts(a, g, s, &sites[i]);
  }
done:
  free(values);
  return status;
}
