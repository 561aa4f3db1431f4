/* SPDX-License-Identifier: Apache-2.0 */
/* What strategies close of the gap between the untouched runs and the upper bound, once what noise
 * would explain of the bound is taken away (xt_gap). */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/bits.h"
#include "analysis/gold_masks.h"
#include "analysis/select_gather.h"
#include "base/mem.h"

/* ---- candidates of bounds -------------------------------------------------------------------- */

/* The candidates that bounds are over. Strategies that choose among every layer into the first, or
 * some of these, have the same bound, so that they can be compared. */
typedef enum Reference {
  REFERENCE_TARGET_FIRST = 0,
  REFERENCE_SOURCE_LAST,
  REFERENCE_ALL,
  REFERENCE_COUNT
} Reference;

static Reference reference_of(const xt_select_options *o) {
  if (o->strategy == XT_STRATEGY_COARSE) return REFERENCE_TARGET_FIRST;
  return o->candidates == XT_CANDIDATES_ALL           ? REFERENCE_ALL
         : o->candidates == XT_CANDIDATES_SOURCE_LAST ? REFERENCE_SOURCE_LAST
                                                      : REFERENCE_TARGET_FIRST;
}

static bool reference_has(Reference r, int layers, int source, int target) {
  return r == REFERENCE_ALL || (r == REFERENCE_TARGET_FIRST && target == 0) ||
         (r == REFERENCE_SOURCE_LAST && source == layers - 1);
}

/* Of one site and its candidates, [instances]. */
typedef struct Found {
  bool wanted;
  bool *complete; /* scored, and every candidate is present */
  double *hit;    /* 1 if some candidate is right, else 0 */
  double *noise;  /* c of an instance that is wrong untouched; NaN: it has no other questions */
} Found;

typedef struct Gaps {
  xt_analysis *a;
  AnalysisGroup *g;
  const Bootstrap *b;
  Found *found; /* [sites][REFERENCE_COUNT] */
  GoldMasks golds;
  const xt_group_language *language;
  uint64_t *vanilla, *any, *mask; /* [words of golds] */
  size_t *stamp; /* [texts]: the instance and reference for which a text was last looked at */
  size_t stamps;
} Gaps;

/* ---- what the candidates would hit by noise -------------------------------------------------- */

static xt_status add_text(Gaps *k, const AnalysisInstance *instance, uint32_t text,
                          xt_error *error) {
  if (k->stamp[text] == k->stamps) return XT_STATUS_OK;
  k->stamp[text] = k->stamps;
  TRY(gold_masks_of_text(&k->golds, k->a, k->g, instance, text, k->mask, error));
  for (size_t w = 0; w < k->golds.words; w++) k->any[w] |= k->mask[w];
  return XT_STATUS_OK;
}

/* c of instance i; k->vanilla has the gold answers that its untouched response hits. */
static xt_status noise_of(Gaps *k, const AnalysisSite *s, Reference r, size_t i, double *out,
                          xt_error *error) {
  const size_t own = k->golds.own[i - k->language->first], layers = (size_t)k->a->layers;
  const uint32_t *texts = s->texts + i * (size_t)k->a->cells;
  const size_t others = k->golds.scored - 1 - gold_masks_count(&k->golds, own, k->vanilla);
  *out = NAN;
  if (others == 0) return XT_STATUS_OK;
  memset(k->any, 0, k->golds.words * sizeof *k->any);
  k->stamps++;
  for (size_t c = 0; c < (size_t)k->a->cells; c++)
    if (reference_has(r, k->a->layers, (int)(c / layers), (int)(c % layers)))
      TRY(add_text(k, &k->g->instances[i], texts[c], error));
  for (size_t w = 0; w < k->golds.words; w++) k->any[w] &= ~k->vanilla[w];
  *out = (double)gold_masks_count(&k->golds, own, k->any) / (double)others;
  return XT_STATUS_OK;
}

static void find_complete(const Gaps *k, const AnalysisSite *s, Reference r, Found *f) {
  const size_t n = k->g->group.instances, words = bits_words(n), layers = (size_t)k->a->layers;
  for (size_t i = 0; i < n; i++) f->complete[i] = bits_get(k->g->scored, i);
  for (size_t c = 0; c < (size_t)k->a->cells; c++) {
    if (!reference_has(r, k->a->layers, (int)(c / layers), (int)(c % layers))) continue;
    for (size_t i = 0; i < n; i++) {
      f->complete[i] = f->complete[i] && bits_get(s->present + c * words, i);
      if (bits_get(s->correct + c * words, i)) f->hit[i] = 1;
    }
  }
}

static xt_status language_noise(Gaps *k, xt_error *error) {
  for (size_t i = k->language->first; i < k->language->first + k->language->count; i++) {
    const AnalysisInstance *instance = &k->g->instances[i];
    if (!instance->scored || instance->vanilla_correct) continue;
    TRY(gold_masks_of_text(&k->golds, k->a, k->g, instance, instance->vanilla_text, k->vanilla,
                           error));
    for (size_t s = 0; s < k->g->site_count; s++)
      for (Reference r = 0; r < REFERENCE_COUNT; r++) {
        Found *f = &k->found[s * REFERENCE_COUNT + r];
        if (f->wanted && f->complete[i])
          TRY(noise_of(k, &k->g->sites[s], r, i, &f->noise[i], error));
      }
  }
  return XT_STATUS_OK;
}

static xt_status find_noise(Gaps *k, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t l = 0; l < k->g->group.language_count && k->g->group.benchmark && !status; l++) {
    uint64_t *masks = NULL;
    k->language = &k->g->group.languages[l];
    status = gold_masks_init(&k->golds, k->g, k->language, error);
    if (!status) status = MEM_ALLOC(&masks, 3 * k->golds.words, error);
    k->vanilla = masks;
    if (!status) {
      k->any = masks + k->golds.words;
      k->mask = masks + 2 * k->golds.words;
      status = language_noise(k, error);
    }
    free(masks);
    gold_masks_deinit(&k->golds);
  }
  return status;
}

/* Which sites and references strategies need, with what is found of them. */
static xt_status find_candidates(Gaps *k, xt_error *error) {
  const size_t n = k->g->group.instances;
  for (size_t s = 0; s < k->g->site_count; s++)
    for (size_t i = 0; i < k->g->group.sites[s].strategy_count; i++) {
      xt_select_options o;
      if (!strategy_parse(k->g->group.sites[s].strategies[i].name, &o)) continue;
      const Reference r = reference_of(&o);
      Found *f = &k->found[s * REFERENCE_COUNT + r];
      if (f->wanted) continue;
      f->wanted = true;
      TRY(MEM_ALLOC(&f->complete, n, error));
      TRY(MEM_ALLOC(&f->hit, n, error));
      TRY(MEM_ALLOC(&f->noise, n, error));
      for (size_t at = 0; at < n; at++) f->noise[at] = NAN;
      find_complete(k, &k->g->sites[s], r, f);
    }
  return XT_STATUS_OK;
}

/* ---- one strategy ---------------------------------------------------------------------------- */

/* Weighted means, [instances] each: of `gained` (chosen minus untouched) and `untouched` over
 * `there`; of `above` (b - c) over `room` (1 - c). */
typedef struct Sums {
  double *there, *gained, *untouched, *above, *room;
} Sums;

static double ratio(const double *sums, const double *weights, size_t n) {
  double sum = 0, weight = 0;
  for (size_t i = 0; i < n; i++) {
    sum += sums[i];
    weight += weights[i];
  }
  return weight > 0 ? sum / weight : (double)NAN;
}

static void fill_sums(const Gaps *k, const Found *f, const uint64_t *present, const uint64_t *right,
                      Sums *t, xt_gap *out) {
  const size_t n = k->g->group.instances;
  double noise = 0;
  size_t wrong = 0;
  for (size_t i = 0; i < n; i++) {
    if (!f->complete[i] || !bits_get(present, i)) continue;
    const bool vanilla = bits_get(k->g->vanilla, i);
    out->count++;
    t->there[i] = 1;
    t->untouched[i] = vanilla;
    t->gained[i] = (double)bits_get(right, i) - (double)vanilla;
    out->selected += bits_get(right, i);
    out->bound += vanilla || f->hit[i] > 0;
    if (vanilla || isnan(f->noise[i])) continue;
    t->above[i] = f->hit[i] - f->noise[i];
    t->room[i] = 1 - f->noise[i];
    noise += f->noise[i];
    wrong++;
  }
  if (out->count == 0) return;
  const double count = (double)out->count, missing = 1 - ratio(t->untouched, t->there, n);
  out->vanilla = 1 - missing;
  out->selected /= count;
  out->bound /= count;
  out->noise = wrong ? out->vanilla + missing * noise / (double)wrong : (double)NAN;
  out->gap = missing * ratio(t->above, t->room, n);
  out->corrected = out->vanilla + out->gap;
  out->closed = out->gap > 0 ? ratio(t->gained, t->there, n) / out->gap : (double)NAN;
}

/* samples: [3][samples]. */
static xt_status gap_intervals(const Gaps *k, const Sums *t, double *samples, xt_gap *out,
                               xt_error *error) {
  const size_t n = k->g->group.instances, count = (size_t)k->b->samples;
  double *gained = samples, *untouched = samples + count, *known = samples + 2 * count;
  uint8_t *seen;
  TRY(bootstrap_means(k->g, k->b, (Measured){t->gained, t->there}, 0, n, gained, error));
  TRY(bootstrap_means(k->g, k->b, (Measured){t->untouched, t->there}, 0, n, untouched, error));
  TRY(bootstrap_means(k->g, k->b, (Measured){t->above, t->room}, 0, n, known, error));
  TRY(MEM_ALLOC(&seen, k->g->questions + k->g->strata, error));
  const Extent extent = extent_of(k->g, t->there, 0, n, seen);
  free(seen);
  out->questions = extent.questions;
  for (size_t i = 0; i < count; i++) {
    const double gap = (1 - untouched[i]) * known[i];
    gained[i] = gap > 0 ? gained[i] / gap : (double)NAN;
    known[i] = gap;
  }
  samples_interval(k->a, known, count, extent, &out->gap_low, &out->gap_high);
  if (out->gap_low > 0)
    samples_interval(k->a, gained, count, extent, &out->closed_low, &out->closed_high);
  return XT_STATUS_OK;
}

/* The tokens of the responses of an instance that a site has among `need`; adds their number. */
static double tokens_of(const Gaps *k, const AnalysisSite *s, const xt_select_need *need, size_t i,
                        double *responses) {
  const int layers = k->a->layers;
  double tokens = 0;
  for (int c = 0; c < k->a->cells && s; c++) {
    const uint32_t text = s->texts[i * (size_t)k->a->cells + (size_t)c];
    if (text == TEXT_ABSENT || !need_has(need, layers, c / layers, c % layers)) continue;
    ++*responses;
    tokens += (double)k->a->texts[text].tokens;
  }
  return tokens;
}

/* The site of the control that strategies read. */
static const AnalysisSite *control_of(const Gaps *k, const char *name) {
  xt_site site;
  char control[XT_SITE_NAME_SIZE];
  if (xt_site_parse(name, &site, NULL) != XT_STATUS_OK) return NULL;
  site.control = XT_CONTROL_SHUFFLED;
  xt_site_format(site, control);
  return analysis_find_site(k->g, control);
}

/* What the choices of a strategy whose cost differs by question took. */
static bool stored_cost(const AnalysisSite *s, const char *strategy, const double *there,
                        double *responses, double *tokens) {
  bool any = false;
  for (size_t i = 0; i < s->selection_count; i++) {
    const AnalysisSelection *c = &s->selections[i];
    if (strcmp(c->strategy, strategy) != 0 || there[c->instance] <= 0 || !c->responses) continue;
    any = true;
    *responses += (double)c->responses;
    *tokens += (double)c->tokens;
  }
  return any;
}

/* The responses, and their tokens, that the strategy needs for a question. */
static void find_cost(const Gaps *k, const AnalysisSite *s, const char *strategy,
                      const xt_select_options *o, const double *there, xt_gap *out) {
  const StrategyReads reads = strategy_reads(o->strategy);
  const AnalysisSite *control = reads.control ? control_of(k, s->name) : NULL;
  const bool stored = stored_cost(s, strategy, there, &out->responses, &out->tokens);
  xt_select_need need;
  xt_select_get_need(o, k->g->group.task, &need);
  for (size_t i = 0; i < k->g->group.instances && !stored; i++) {
    if (there[i] <= 0) continue;
    out->tokens += tokens_of(k, s, &need, i, &out->responses);
    if (reads.control) out->tokens += tokens_of(k, control, &need, i, &out->responses);
    if (!reads.untouched) continue;
    out->responses++;
    out->tokens += (double)k->a->texts[k->g->instances[i].vanilla_text].tokens;
  }
  out->responses /= (double)out->count;
  out->tokens /= (double)out->count;
}

static const xt_gap no_gap = {.vanilla = 0,
                              .selected = 0,
                              .bound = 0,
                              .noise = NAN,
                              .corrected = NAN,
                              .gap = NAN,
                              .gap_low = NAN,
                              .gap_high = NAN,
                              .closed = NAN,
                              .closed_low = NAN,
                              .closed_high = NAN};

static xt_status strategy_gap(const Gaps *k, size_t site, const char *name, xt_gap *out,
                              xt_error *error) {
  const size_t n = k->g->group.instances, words = bits_words(n);
  const AnalysisSite *s = &k->g->sites[site];
  uint64_t *bits = NULL;
  double *numbers = NULL;
  xt_select_options o;
  xt_status status = XT_STATUS_OK;
  *out = no_gap;
  if (!strategy_parse(name, &o)) return XT_STATUS_OK;
  const Found *f = &k->found[site * REFERENCE_COUNT + reference_of(&o)];
  TRY_DONE(MEM_ALLOC(&bits, 2 * words, error));
  TRY_DONE(MEM_ALLOC(&numbers, 5 * n + 3 * (size_t)k->b->samples, error));
  Sums t = {numbers, numbers + n, numbers + 2 * n, numbers + 3 * n, numbers + 4 * n};
  strategy_bits(k->g, s, name, bits, bits + words);
  fill_sums(k, f, bits, bits + words, &t, out);
  if (out->count == 0) goto done;
  find_cost(k, s, name, &o, t.there, out);
  TRY_DONE(gap_intervals(k, &t, numbers + 5 * n, out, error));
done:
  free(bits);
  free(numbers);
  return status;
}

static bool has_strategies(const AnalysisGroup *g) {
  for (size_t s = 0; s < g->site_count; s++)
    if (g->group.sites[s].strategy_count > 0) return true;
  return false;
}

xt_status analysis_gaps(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, xt_error *error) {
  const size_t number = g->site_count * REFERENCE_COUNT;
  if (!has_strategies(g)) return XT_STATUS_OK;
  Gaps k = {.a = a, .g = g, .b = b};
  xt_status status;
  TRY_DONE(MEM_ALLOC(&k.found, number, error));
  TRY_DONE(MEM_ALLOC(&k.stamp, a->text_count, error));
  TRY_DONE(find_candidates(&k, error));
  TRY_DONE(find_noise(&k, error));
  for (size_t s = 0; s < g->site_count; s++)
    for (size_t i = 0; i < g->group.sites[s].strategy_count; i++) {
      xt_strategy_result *r = (xt_strategy_result *)(uintptr_t)&g->group.sites[s].strategies[i];
      TRY_DONE(strategy_gap(&k, s, r->name, &r->gap, error));
    }
done:
  for (size_t i = 0; k.found && i < number; i++) {
    free(k.found[i].complete);
    free(k.found[i].hit);
    free(k.found[i].noise);
  }
  free(k.found);
  free(k.stamp);
  return status;
}

const char *xt_gap_field(const xt_gap *gap, size_t field, double *value) {
#define FIELD(name) \
  { #name, offsetof(xt_gap, name) }
  static const struct {
    const char *name;
    size_t offset;
  } fields[] = {FIELD(vanilla),   FIELD(selected),   FIELD(bound),       FIELD(noise),
                FIELD(corrected), FIELD(gap),        FIELD(gap_low),     FIELD(gap_high),
                FIELD(closed),    FIELD(closed_low), FIELD(closed_high), FIELD(responses),
                FIELD(tokens)};
#undef FIELD
  if (field >= sizeof fields / sizeof *fields) return NULL;
  *value = *(const double *)(const void *)((const char *)gap + fields[field].offset);
  return fields[field].name;
}
