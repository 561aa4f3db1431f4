/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracies, win / tie / lose, averages over configurations, layer-wise gains, text metrics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/blank.h"
#include "analysis/statistics.h"
#include "base/mem.h"
#include "xtransplant/langid.h"

static size_t count_in(const uint64_t *bits, const uint64_t *among, size_t first, size_t count) {
  size_t n = 0;
  if (count == 0) return 0;
  for (size_t w = first / BITS_WORD; w <= (first + count - 1) / BITS_WORD; w++)
    n += bits_count_word(bits[w] & (among ? among[w] : ~(uint64_t)0) & bits_range(w, first, count));
  return n;
}

/* A number per instance, or NaN. */
static xt_status scores_of_values(xt_analysis *a, const AnalysisGroup *g, double *values,
                                  xt_scores *out, xt_error *error) {
  const size_t n = g->group.instances;
  double *weights;
  TRY(MEM_ALLOC(&weights, n, error));
  for (size_t i = 0; i < n; i++) {
    weights[i] = !isnan(values[i]);
    if (isnan(values[i])) values[i] = 0;
  }
  const xt_status status = scores_of(a, g, (Measured){values, weights}, false, out, error);
  free(weights);
  return status;
}

/* ---- configurations -------------------------------------------------------------------------- */

static void tally_add(xt_tally *tally, size_t with, size_t without) {
  if (with > without)
    tally->win++;
  else if (with < without)
    tally->lose++;
  else
    tally->tie++;
}

static xt_status configurations(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s,
                                xt_site_result *out, xt_error *error) {
  const size_t words = bits_words(g->group.instances), cells = (size_t)a->cells,
               languages = g->group.language_count;
  xt_configuration *all;
  xt_tally *tallies;
  int32_t *correct, *count, *vanilla;
  TRY(analysis_claim(a, cells,
                     sizeof *all + languages * (sizeof *correct + sizeof *count + sizeof *vanilla),
                     error));
  TRY(ARENA_ALLOC(&a->arena, &all, cells, error));
  TRY(ARENA_ALLOC(&a->arena, &tallies, languages, error));
  TRY(ARENA_ALLOC(&a->arena, &correct, languages * cells, error));
  TRY(ARENA_ALLOC(&a->arena, &count, languages * cells, error));
  TRY(ARENA_ALLOC(&a->arena, &vanilla, languages * cells, error));
  out->best = -1;
  for (size_t c = 0; c < cells; c++) {
    const uint64_t *right = s->correct + c * words, *there = s->present + c * words;
    xt_configuration *k = &all[c];
    *k = (xt_configuration){.gain = NAN,
                            .low = NAN,
                            .high = NAN,
                            .p = NAN,
                            .mcnemar = NAN,
                            .holm = NAN,
                            .bh = NAN,
                            .holm_all = NAN,
                            .bh_all = NAN};
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

/* ---- layers ---------------------------------------------------------------------------------- */

typedef struct Cells { /* the configurations of one layer: first, first + step, ... */
  size_t first, step;
} Cells;

static Cells cells_of(const xt_analysis *a, bool source, int layer) {
  const size_t n = (size_t)a->layers, at = (size_t)layer;
  return source ? (Cells){at * n, 1} : (Cells){at, n};
}

/* For each scored instance, the share of right responses among `count` configurations, minus the
 * untouched run's result if it is a gain; NaN if there are no responses. */
static void instance_means(const AnalysisGroup *g, const AnalysisSite *s, Cells cells, size_t count,
                           bool gain, double *out) {
  const size_t n = g->group.instances, words = bits_words(n);
  for (size_t i = 0; i < n; i++) {
    size_t right = 0, there = 0;
    const size_t w = i / BITS_WORD, shift = i % BITS_WORD;
    for (size_t k = 0; k < count; k++) {
      const size_t c = cells.first + k * cells.step;
      right += s->correct[c * words + w] >> shift & 1;
      there += s->present[c * words + w] >> shift & 1;
    }
    out[i] = there
                 ? (double)right / (double)there - (gain && g->instances[i].vanilla_correct ? 1 : 0)
                 : NAN;
  }
}

static xt_status layer_gains(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s,
                             bool source, double *values, xt_layer_result **out, xt_error *error) {
  xt_scores scores;
  TRY(ARENA_ALLOC(&a->arena, out, (size_t)a->layers, error));
  for (int layer = 0; layer < a->layers; layer++) {
    xt_layer_result *result = &(*out)[layer];
    *result = (xt_layer_result){.bound_low = NAN,
                                .bound_high = NAN,
                                .chance = NAN,
                                .chance_low = NAN,
                                .chance_high = NAN,
                                .above = NAN,
                                .above_low = NAN,
                                .above_high = NAN};
    instance_means(g, s, cells_of(a, source, layer), (size_t)a->layers, true, values);
    TRY(scores_of_values(a, g, values, &scores, error));
    result->gain = scores.overall;
    result->language_gains = scores.languages;
  }
  return XT_STATUS_OK;
}

/* ---- text metrics ---------------------------------------------------------------------------- */

/* For each instance, over its responses. */
typedef struct TextSums {
  double *perplexity, *nll, *measured; /* [instances]: sums of e^nll and nll, and over how many
                                          responses */
  double *consistent, *looked;         /* [instances]: responses in the language, of those whose
                                          language was identified */
  double *all;                         /* e^nll of every response */
  size_t count, capacity;
} TextSums;

static xt_status text_sums_alloc(TextSums *t, size_t instances, xt_error *error) {
  double **const arrays[] = {&t->perplexity, &t->nll, &t->measured, &t->consistent, &t->looked};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    TRY(MEM_ALLOC(arrays[i], instances, error));
  return XT_STATUS_OK;
}

static void text_sums_free(TextSums *t) {
  free(t->perplexity);
  free(t->nll);
  free(t->measured);
  free(t->consistent);
  free(t->looked);
  free(t->all);
}

bool analysis_text_consistent(const xt_group *g, const AnalysisInstance *instance,
                              const AnalysisText *t) {
  const bool english = g->benchmark && g->benchmark->direction == XT_DIRECTION_FROM_LANGUAGE;
  return !text_is_blank(t->text ? t->text : "", t->text ? t->length : 0) && t->language[0] &&
         xt_language_is(t->language, english ? "en" : instance->lang);
}

static xt_status add_text(const xt_analysis *a, const AnalysisGroup *g, size_t instance,
                          uint32_t text, TextSums *sums, xt_error *error) {
  if (text == TEXT_ABSENT) return XT_STATUS_OK;
  const AnalysisText *t = &a->texts[text];
  if (t->language) {
    sums->looked[instance]++;
    sums->consistent[instance] += analysis_text_consistent(&g->group, &g->instances[instance], t);
  }
  if (isnan(t->nll)) return XT_STATUS_OK;
  TRY(MEM_GROW(&sums->all, &sums->capacity, sums->count + 1, error));
  sums->all[sums->count++] = exp(t->nll);
  sums->perplexity[instance] += exp(t->nll);
  sums->nll[instance] += t->nll;
  sums->measured[instance]++;
  return XT_STATUS_OK;
}

static xt_status summarize_texts(xt_analysis *a, const AnalysisGroup *g, TextSums *sums,
                                 xt_text_summary *out, xt_error *error) {
  xt_scores scores;
  TRY(scores_of(a, g, (Measured){sums->perplexity, sums->measured}, false, &scores, error));
  out->perplexity = scores.overall;
  TRY(scores_of(a, g, (Measured){sums->nll, sums->measured}, false, &scores, error));
  out->geometric = scores.overall;
  out->geometric.value = exp(scores.overall.value);
  out->geometric.error = scores.overall.error * out->geometric.value; /* delta method */
  out->median = quantile_of(sums->all, sums->count, 0.5);
  TRY(scores_of(a, g, (Measured){sums->consistent, sums->looked}, true, &scores, error));
  out->consistency = scores.overall;
  return XT_STATUS_OK;
}

/* `site` NULL: the untouched runs. *responses (may be NULL): their number. */
static xt_status summarize(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *site,
                           xt_text_summary *out, size_t *responses, xt_error *error) {
  const size_t cells = site ? (size_t)a->cells : 1;
  TextSums sums = {0};
  xt_status status;
  TRY_DONE(text_sums_alloc(&sums, g->group.instances, error));
  for (size_t i = 0; i < g->group.instances; i++)
    for (size_t c = 0; c < cells; c++) {
      const uint32_t text = site ? site->texts[i * cells + c] : g->instances[i].vanilla_text;
      if (responses) *responses += text != TEXT_ABSENT;
      TRY_DONE(add_text(a, g, i, text, &sums, error));
    }
  TRY_DONE(summarize_texts(a, g, &sums, out, error));
done:
  text_sums_free(&sums);
  return status;
}

/* The share of a site's responses that differ from the untouched one. */
static xt_status find_changed(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s,
                              xt_estimate *out, xt_error *error) {
  const size_t n = g->group.instances, cells = (size_t)a->cells;
  double *changed;
  xt_scores scores;
  TRY(MEM_ALLOC(&changed, 2 * n, error));
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < cells; c++) {
      const uint32_t text = s->texts[i * cells + c], untouched = g->instances[i].vanilla_text;
      if (text == TEXT_ABSENT || untouched == TEXT_ABSENT) continue;
      changed[i] += text != untouched;
      changed[n + i]++;
    }
  const xt_status status = scores_of(a, g, (Measured){changed, changed + n}, true, &scores, error);
  *out = scores.overall;
  free(changed);
  return status;
}

static xt_status summarize_site(xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s,
                                xt_site_result *out, xt_error *error) {
  TRY(summarize(a, g, s, &out->texts, &out->responses, error));
  return find_changed(a, g, s, &out->changed, error);
}

xt_status analysis_texts(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  xt_site_result *sites;
  TRY(analysis_questions(a, g, error));
  TRY(ARENA_ALLOC(&a->arena, &sites, g->site_count, error));
  for (size_t s = 0; s < g->site_count; s++) {
    sites[s] = (xt_site_result){.site = g->sites[s].name, .best = -1, .best_fresh = NAN};
    TRY(summarize_site(a, g, &g->sites[s], &sites[s], error));
  }
  g->group.sites = sites;
  g->group.site_count = g->site_count;
  return summarize(a, g, NULL, &g->group.texts, NULL, error);
}

xt_status analysis_scores(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  double *values;
  xt_site_result *sites;
  xt_status status = XT_STATUS_OK;
  TRY(ARENA_ALLOC(&a->arena, &sites, g->site_count, error));
  g->group.sites = sites;
  g->group.site_count = g->site_count;
  TRY(analysis_questions(a, g, error));
  TRY(scores_of_bits(a, g, g->vanilla, g->scored, &g->group.vanilla, error));
  TRY(summarize(a, g, NULL, &g->group.texts, NULL, error));
  TRY(MEM_ALLOC(&values, g->group.instances, error));
  for (size_t i = 0; i < g->site_count; i++) {
    AnalysisSite *s = &g->sites[i];
    xt_layer_result *sources, *targets;
    sites[i] = (xt_site_result){.site = s->name, .best_fresh = NAN};
    TRY_DONE(configurations(a, g, s, &sites[i], error));
    instance_means(g, s, (Cells){0, 1}, (size_t)a->cells, false, values);
    TRY_DONE(scores_of_values(a, g, values, &sites[i].mean, error));
    TRY_DONE(layer_gains(a, g, s, true, values, &sources, error));
    TRY_DONE(layer_gains(a, g, s, false, values, &targets, error));
    sites[i].sources = sources;
    sites[i].targets = targets;
    TRY_DONE(summarize_site(a, g, s, &sites[i], error));
  }
done:
  free(values);
  return status;
}
