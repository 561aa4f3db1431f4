/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/site_maps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/bits.h"
#include "analysis/effect_means.h"
#include "base/arena_text.h"
#include "base/mem.h"

typedef struct Maker {
  xt_analysis *a;
  const AnalysisGroup *g;
  AnalysisSite *s;
  const AnalysisSite *transplant; /* that this one is a control of; NULL: none */
  size_t capacity;
} Maker;

/* ---- of single responses: a value, NaN where there is none ----------------------------------- */

static double right_in(const Maker *m, const AnalysisSite *s, size_t i, size_t c) {
  const size_t words = bits_words(m->g->group.instances);
  return !bits_get(s->present + c * words, i)  ? (double)NAN
         : bits_get(s->correct + c * words, i) ? 1
                                               : 0;
}

static double accuracy(const Maker *m, size_t i, size_t c) { return right_in(m, m->s, i, c); }

static double gain(const Maker *m, size_t i, size_t c) {
  return accuracy(m, i, c) - (m->g->instances[i].vanilla_correct ? 1 : 0);
}

static double over_control(const Maker *m, size_t i, size_t c) {
  return m->transplant ? right_in(m, m->transplant, i, c) - accuracy(m, i, c) : (double)NAN;
}

static double changed(const Maker *m, size_t i, size_t c) {
  const uint32_t text = m->s->texts[i * (size_t)m->a->cells + c],
                 untouched = m->g->instances[i].vanilla_text;
  return text == TEXT_ABSENT || untouched == TEXT_ABSENT ? (double)NAN : text != untouched;
}

static const AnalysisText *text_of(const Maker *m, size_t i, size_t c) {
  const uint32_t text = m->s->texts[i * (size_t)m->a->cells + c];
  return text == TEXT_ABSENT ? NULL : &m->a->texts[text];
}

static double language(const Maker *m, size_t i, size_t c) {
  const AnalysisText *t = text_of(m, i, c);
  return t && t->language ? analysis_text_consistent(&m->g->group, &m->g->instances[i], t)
                          : (double)NAN;
}

static double perplexity(const Maker *m, size_t i, size_t c) {
  const AnalysisText *t = text_of(m, i, c);
  return t ? exp(t->nll) : (double)NAN;
}

static double certainty(const Maker *m, const float *values, size_t i, size_t c) {
  const size_t at = i * (size_t)m->a->cells + c;
  return text_of(m, i, c) && isfinite(values[at]) ? (double)values[at] : (double)NAN;
}

/* By the options' likelihoods, and by the text of the same responses. */
static double by_rule(const Maker *m, xt_option_rule rule, size_t i, size_t c) {
  const uint8_t marks = m->s->options ? m->s->options[i * (size_t)m->a->cells + c] : 0;
  return marks & OPTIONS_SCORED ? marks >> rule & 1 : (double)NAN;
}

static double by_text(const Maker *m, size_t i, size_t c) {
  return by_rule(m, XT_OPTION_GENERATED, i, c);
}

static double acc(const Maker *m, size_t i, size_t c) { return by_rule(m, XT_OPTION_ACC, i, c); }

static double acc_norm(const Maker *m, size_t i, size_t c) {
  return by_rule(m, XT_OPTION_ACC_NORM, i, c);
}

static double acc_calibrated(const Maker *m, size_t i, size_t c) {
  return by_rule(m, XT_OPTION_CALIBRATED, i, c);
}

static double norm_calibrated(const Maker *m, size_t i, size_t c) {
  return by_rule(m, XT_OPTION_CALIBRATED_NORM, i, c);
}

static double margin(const Maker *m, size_t i, size_t c) {
  return certainty(m, m->s->margins, i, c);
}

static double entropy(const Maker *m, size_t i, size_t c) {
  return certainty(m, m->s->entropies, i, c);
}

/* ---- of first tokens' numbers ---------------------------------------------------------------- */

typedef struct Ratio {
  double sum, weight;
} Ratio;

static Ratio difference(const EffectSums *e) { return (Ratio){e->own, (double)e->owns}; }
static Ratio normalised(const EffectSums *e) {
  return (Ratio){e->difference - e->untouched, e->source - e->untouched};
}
static Ratio gold(const EffectSums *e) { return (Ratio){e->gold, (double)e->golds}; }
static Ratio logprob_gold(const EffectSums *e) { return (Ratio){e->log_gold, (double)e->golds}; }
static Ratio kl_untouched(const EffectSums *e) { return (Ratio){e->kl[0], (double)e->count}; }
static Ratio kl_source(const EffectSums *e) { return (Ratio){e->kl[1], (double)e->count}; }
static Ratio choice(const EffectSums *e) { return (Ratio){e->right, (double)e->choices}; }
static Ratio calibrated(const EffectSums *e) { return (Ratio){e->calibrated, (double)e->choices}; }
static Ratio tracked(const EffectSums *e) { return (Ratio){e->tracked, (double)e->answers}; }

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct Measure {
  const char *id, *title, *unit;
  MapScale scale;
  /* one of them */
  double (*response)(const Maker *m, size_t i, size_t c);
  Ratio (*effects)(const EffectSums *e);
} Measure;

static const Measure measures[] = {
    {"gain", "Gain over the untouched model", "points", MAP_POINTS, gain, NULL},
    {"accuracy", "Accuracy", "%", MAP_SHARE, accuracy, NULL},
    {"control", "Gain of the transplant over this control", "points", MAP_POINTS, over_control,
     NULL},
    {"changed", "Share of responses that changed", "%", MAP_SHARE, changed, NULL},
    {"language", "Share in the language asked for", "%", MAP_SHARE, language, NULL},
    {"perplexity", "Perplexity of the responses", "", MAP_LOGARITHM, perplexity, NULL},
    {"margin", "Margin, the smallest of a response", "", MAP_NUMBER, margin, NULL},
    {"entropy", "Entropy of the first token", "nats", MAP_NUMBER, entropy, NULL},
    {"logit_difference", "Logit difference, gold minus the best other answer", "nats", MAP_SIGNED,
     NULL, difference},
    {"normalised", "Logit difference, 0: untouched, 1: source prompt", "", MAP_SIGNED, NULL,
     normalised},
    {"gold", "Probability of the gold answer", "%", MAP_SHARE, NULL, gold},
    {"logprob_gold", "Log-probability of the gold answer", "nats", MAP_NUMBER, NULL, logprob_gold},
    {"kl_untouched", "KL divergence from the untouched run", "nats", MAP_NUMBER, NULL,
     kl_untouched},
    {"kl_source", "KL divergence from the source prompt", "nats", MAP_NUMBER, NULL, kl_source},
    {"choice", "Accuracy by the likeliest first token of an option", "%", MAP_SHARE, NULL, choice},
    {"calibrated", "Accuracy by the likeliest first token, calibrated", "%", MAP_SHARE, NULL,
     calibrated},
    {"tracked", "Probability of all tracked answers together", "%", MAP_SHARE, NULL, tracked},
    {"options_generated", "Accuracy by the generated text, where options are scored", "%",
     MAP_SHARE, by_text, NULL},
    {"options_acc", "Accuracy by the options' likelihood (acc)", "%", MAP_SHARE, acc, NULL},
    {"options_acc_norm", "Accuracy by the options' likelihood by character (acc_norm)", "%",
     MAP_SHARE, acc_norm, NULL},
    {"options_calibrated", "Accuracy by the options' likelihood (acc), calibrated", "%", MAP_SHARE,
     acc_calibrated, NULL},
    {"options_calibrated_norm",
     "Accuracy by the options' likelihood by character (acc_norm), calibrated", "%", MAP_SHARE,
     norm_calibrated, NULL},
};

double site_map_value(const SiteMap *map, size_t cells, size_t first, size_t end, size_t c) {
  double sum = 0, weight = 0;
  for (size_t l = first; l < end; l++) {
    sum += map->sums[l * cells + c];
    weight += map->weights[l * cells + c];
  }
  return fpclassify(weight) == FP_ZERO ? (double)NAN : sum / weight + 0.0; /* no minus zero */
}

/* ---- making them ----------------------------------------------------------------------------- */

static xt_status begin_map(Maker *m, SiteMap **out, xt_error *error) {
  const size_t places = m->g->group.language_count * (size_t)m->a->cells;
  AnalysisSite *s = m->s;
  TRY(MEM_GROW(&s->maps, &m->capacity, s->map_count + 1, error));
  SiteMap *map = *out = &s->maps[s->map_count];
  *map = (SiteMap){0};
  TRY(analysis_claim(m->a, 2 * places, sizeof *map->sums, error));
  TRY(ARENA_ALLOC(&m->a->arena, &map->sums, places, error));
  return ARENA_ALLOC(&m->a->arena, &map->weights, places, error);
}

static void fill_from_responses(const Maker *m, const Measure *measure, SiteMap *map) {
  const size_t cells = (size_t)m->a->cells;
  for (size_t l = 0; l < m->g->group.language_count; l++) {
    const xt_group_language *k = &m->g->group.languages[l];
    for (size_t i = k->first; i < k->first + k->count; i++)
      for (size_t c = 0; c < cells; c++) {
        const double value = measure->response(m, i, c);
        if (isnan(value)) continue;
        map->sums[l * cells + c] += value;
        map->weights[l * cells + c]++;
      }
  }
}

/* What a measure has for each language and cell. False: it has nothing. */
static bool fill_map(const Maker *m, const Measure *measure, SiteMap *map) {
  const size_t places = m->g->group.language_count * (size_t)m->a->cells;
  bool any = false;
  if (measure->response) fill_from_responses(m, measure, map);
  for (size_t k = 0; k < places; k++) {
    if (!measure->response) {
      const Ratio r = measure->effects(&m->s->effect_sums[k]);
      map->sums[k] = r.sum;
      map->weights[k] = r.weight;
    }
    any = any || fpclassify(map->weights[k]) != FP_ZERO;
  }
  return any;
}

static xt_status add_map(Maker *m, const Measure *measure, xt_error *error) {
  SiteMap *map;
  if (measure->effects && !m->s->effect_sums) return XT_STATUS_OK;
  TRY(begin_map(m, &map, error));
  map->id = measure->id;
  map->title = measure->title;
  map->unit = measure->unit;
  map->scale = measure->scale;
  m->s->map_count += fill_map(m, measure, map);
  return XT_STATUS_OK;
}

/* ---- log-probabilities of tracked answers ---------------------------------------------------- */

/* A map for each: "label" and "text" of an option, by the option's label, and each "word". What is
 * gold is in the table above. */
typedef struct Tracks {
  const xt_tracked **list; /* the first of each */
  size_t count, capacity;
} Tracks;

static bool is_same_track(const xt_tracked *x, const xt_tracked *y) {
  return strcmp(x->kind, y->kind) == 0 && strcmp(x->answer, y->answer) == 0;
}

static xt_status find_tracks(const AnalysisGroup *g, Tracks *out, xt_error *error) {
  for (size_t i = 0; i < g->group.instances; i++)
    for (size_t t = 0; t < g->instances[i].tracked_count; t++) {
      const xt_tracked *one = &g->instances[i].tracked[t];
      size_t k = 0;
      if (strcmp(one->kind, "gold") == 0) continue;
      while (k < out->count && !is_same_track(out->list[k], one)) k++;
      if (k < out->count) continue;
      TRY(MEM_GROW(&out->list, &out->capacity, out->count + 1, error));
      out->list[out->count++] = one;
    }
  return XT_STATUS_OK;
}

/* Which of an instance's tokens are of a track, each once. */
static void tokens_of(const AnalysisInstance *k, const xt_tracked *track, int *of) {
  for (size_t t = 0; t < k->tracked_count; t++) {
    of[t] = is_same_track(track, &k->tracked[t]) ? 0 : -1;
    for (size_t other = 0; other < t && of[t] == 0; other++)
      if (of[other] == 0 && k->tracked[other].id == k->tracked[t].id) of[t] = -1;
  }
}

static bool fill_track(const Maker *m, const xt_tracked *track, SiteMap *map) {
  const AnalysisGroup *g = m->g;
  const size_t cells = (size_t)m->a->cells;
  int of[XT_TRACKED_MOST];
  bool any = false;
  for (size_t l = 0; l < g->group.language_count; l++)
    for (size_t n = 0; n < g->group.languages[l].count; n++) {
      const size_t i = g->group.languages[l].first + n;
      if (!effects_counted(g, i)) continue;
      tokens_of(&g->instances[i], track, of);
      for (size_t c = 0; c < cells; c++) {
        const float *numbers = effects_of(g, m->s, i, c);
        double score;
        if (!numbers) continue;
        effects_scores(&g->instances[i], &(Answers){.count = 1, .of = of}, numbers, &score);
        if (!isfinite(score)) continue;
        map->sums[l * cells + c] += score;
        map->weights[l * cells + c]++;
        any = true;
      }
    }
  return any;
}

static xt_status join(Maker *m, const char *first, const char *second, const char **out,
                      xt_error *error) {
  char *text;
  TRY(ARENA_ALLOC(&m->a->arena, &text, strlen(first) + strlen(second) + 1, error));
  *out = text;
  stpcpy(stpcpy(text, first), second);
  return XT_STATUS_OK;
}

/* Of an answer, in nats. */
static xt_status name_map(Maker *m, SiteMap *map, const char *id, const char *title,
                          const char *answer, xt_error *error) {
  map->unit = "nats";
  TRY(join(m, id, answer, &map->id, error));
  return join(m, title, answer, &map->title, error);
}

static xt_status add_track(Maker *m, const xt_tracked *track, xt_error *error) {
  static const char *const names[][3] = {
      {"word", "logprob_word_", "Log-probability of the word "},
      {"label", "logprob_label_", "Log-probability of the label of option "},
      {"text", "logprob_text_", "Log-probability of the text of option "}};
  size_t k = 0;
  SiteMap *map;
  while (k < 2 && strcmp(names[k][0], track->kind) != 0) k++;
  TRY(begin_map(m, &map, error));
  TRY(name_map(m, map, names[k][1], names[k][2], track->answer, error));
  map->scale = MAP_NUMBER;
  m->s->map_count += fill_track(m, track, map);
  return XT_STATUS_OK;
}

/* ---- answers of a group without gold answers ------------------------------------------------- */

static xt_status add_answer(Maker *m, size_t k, xt_error *error) {
  const xt_group *g = &m->g->group;
  const xt_answer_effect *answer = &g->untouched_answers[k];
  const size_t places = g->language_count * (size_t)m->a->cells;
  SiteMap *map;
  TRY(begin_map(m, &map, error));
  TRY(name_map(m, map, answer->option ? "change_option_" : "change_word_",
               answer->option ? "Change of the log-probability of option "
                              : "Change of the log-probability of the word ",
               answer->answer, error));
  map->scale = MAP_SIGNED;
  bool any = false;
  for (size_t p = 0; p < places; p++) {
    const xt_answer_effect *sum = &m->s->answer_sums[p * g->answer_count + k];
    map->sums[p] = sum->change;
    map->weights[p] = (double)sum->changes;
    any = any || sum->changes > 0;
  }
  m->s->map_count += any;
  return XT_STATUS_OK;
}

static xt_status make_site(Maker *m, const Tracks *tracks, xt_error *error) {
  for (size_t k = 0; k < sizeof measures / sizeof *measures; k++)
    TRY(add_map(m, &measures[k], error));
  for (size_t k = 0; k < tracks->count && m->s->effects; k++)
    TRY(add_track(m, tracks->list[k], error));
  for (size_t k = 0; k < m->g->group.answer_count && m->s->answer_sums; k++)
    TRY(add_answer(m, k, error));
  return XT_STATUS_OK;
}

xt_status analysis_maps(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Tracks tracks = {0};
  xt_status status = find_tracks(g, &tracks, error);
  for (size_t s = 0; s < g->site_count && !status; s++) {
    const char *transplant = g->group.sites[s].transplant;
    Maker m = {.a = a,
               .g = g,
               .s = &g->sites[s],
               .transplant = transplant ? analysis_find_site(g, transplant) : NULL};
    status = make_site(&m, &tracks, error);
  }
  free(tracks.list);
  return status;
}
