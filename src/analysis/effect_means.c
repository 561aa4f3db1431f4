/* SPDX-License-Identifier: Apache-2.0 */
/* Continuous effects: logit differences, probabilities of gold answers, divergences, and accuracies
 * by the first token, calibrated and not (analysis.h has the formulas). */
#include "analysis/effect_means.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- while a store is read ------------------------------------------------------------------- */

xt_status effects_add_instance(xt_analysis *a, const xt_store_row *row, AnalysisInstance *instance,
                               xt_error *error) {
  xt_tracked *list;
  if (!row->tracked) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(&a->arena, &list, row->tracked_count, error));
  for (size_t i = 0; i < row->tracked_count; i++) {
    list[i].id = row->tracked[i].id;
    TRY(analysis_text_copy(a, row->tracked[i].kind, &list[i].kind, error));
    TRY(analysis_text_copy(a, row->tracked[i].answer, &list[i].answer, error));
    TRY(analysis_text_copy(a, row->tracked[i].spelling, &list[i].spelling, error));
  }
  instance->tracked = list;
  instance->tracked_count = row->tracked_count;
  return XT_STATUS_OK;
}

xt_status effects_copy(xt_analysis *a, const xt_store_row *row, const float **out,
                       xt_error *error) {
  const size_t count = XT_EFFECT_TRACKED + row->tracked_count;
  float *numbers;
  if (!row->effects) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(&a->arena, &numbers, count, error));
  memcpy(numbers, row->effects, count * sizeof *numbers);
  *out = numbers;
  return XT_STATUS_OK;
}

xt_status effects_add_response(xt_analysis *a, AnalysisSite *s, size_t at, size_t cell,
                               const xt_store_row *row, xt_error *error) {
  const size_t width = XT_EFFECT_TRACKED + row->tracked_count, old = s->effect_capacity;
  if (!row->effects) return XT_STATUS_OK;
  if (at >= old) {
    TRY(MEM_GROW(&s->effects, &s->effect_capacity, at + 1, error));
    memset(s->effects + old, 0, (s->effect_capacity - old) * sizeof *s->effects);
  }
  if (!s->effects[at]) {
    TRY(analysis_claim(a, (size_t)a->cells, width * sizeof(float), error));
    TRY(ARENA_ALLOC(&a->arena, &s->effects[at], (size_t)a->cells * width, error));
    for (size_t c = 0; c < (size_t)a->cells; c++) s->effects[at][c * width] = -1;
  }
  memcpy(s->effects[at] + cell * width, row->effects, width * sizeof(float));
  return XT_STATUS_OK;
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool is_option(const xt_tracked *t) {
  return strcmp(t->kind, "label") == 0 || strcmp(t->kind, "text") == 0;
}

static int find_answer(Answers *m, const char *name) {
  for (int k = 0; k < m->count; k++)
    if (strcmp(m->names[k], name) == 0) return k;
  m->names[m->count] = name;
  return m->count++;
}

/* Leaves out tokens of several answers, and the second of one answer's equal ones. */
static void leave_out_shared(const AnalysisInstance *k, Answers *m) {
  bool shared[XT_TRACKED_MOST] = {false}, again[XT_TRACKED_MOST] = {false};
  for (size_t i = 0; i < k->tracked_count; i++)
    for (size_t j = 0; j < i; j++) {
      if (k->tracked[i].id != k->tracked[j].id || m->of[i] < 0 || m->of[j] < 0) continue;
      if (m->of[i] != m->of[j]) shared[i] = shared[j] = true;
      again[i] = true;
    }
  for (size_t i = 0; i < k->tracked_count; i++)
    if (shared[i] || again[i]) m->of[i] = -1;
}

bool effects_has_options(const AnalysisInstance *k) {
  bool any = false;
  for (size_t i = 0; i < k->tracked_count; i++) any = any || is_option(&k->tracked[i]);
  return any;
}

xt_status effects_answers(const AnalysisInstance *k, bool options, Arena *arena, Answers *m,
                          xt_error *error) {
  *m = (Answers){.gold = -1, .options = options};
  TRY(ARENA_ALLOC(arena, &m->names, k->tracked_count, error));
  TRY(ARENA_ALLOC(arena, &m->of, k->tracked_count, error));
  for (size_t i = 0; i < k->tracked_count; i++) {
    const xt_tracked *t = &k->tracked[i];
    const bool gold = strcmp(t->kind, "gold") == 0;
    m->of[i] = m->options != is_option(t) ? -1 : find_answer(m, gold ? "" : t->answer);
    if (m->of[i] >= 0 && k->gold && (gold || (m->options && strcmp(t->answer, k->gold) == 0)))
      m->gold = m->of[i];
  }
  leave_out_shared(k, m);
  return XT_STATUS_OK;
}

void effects_scores(const AnalysisInstance *k, const Answers *m, const float *numbers,
                    double *out) {
  for (int i = 0; i < m->count; i++) out[i] = -(double)INFINITY;
  for (size_t i = 0; i < k->tracked_count; i++) {
    if (m->of[i] < 0) continue;
    double *sum = &out[m->of[i]];
    const double more = (double)numbers[XT_EFFECT_TRACKED + i], high = fmax(*sum, more),
                 low = fmin(*sum, more);
    *sum = high + log1p(exp(low - high));
  }
}

double effects_difference(const Answers *m, const double *scores) {
  double best = -(double)INFINITY;
  for (int i = 0; i < m->count; i++)
    if (i != m->gold) best = fmax(best, scores[i]);
  return m->gold >= 0 && isfinite(best) && isfinite(scores[m->gold]) ? scores[m->gold] - best
                                                                     : (double)NAN;
}

double effects_tracked(const Answers *m, const double *scores) {
  double sum = 0;
  for (int i = 0; i < m->count; i++) sum += exp(scores[i]);
  return m->count ? fmin(sum, 1) : (double)NAN; /* stored as halves, they may add up to more */
}

double effects_gold(const Answers *m, const double *scores) {
  return m->gold >= 0 && isfinite(scores[m->gold]) ? exp(scores[m->gold]) : (double)NAN;
}

/* ---- means ----------------------------------------------------------------------------------- */

/* What is the same for every response to an instance. */
typedef struct Known {
  Answers answers;
  double untouched, source; /* logit differences */
} Known;

static double difference_of(const AnalysisInstance *k, const Answers *m, const float *numbers) {
  double scores[XT_TRACKED_MOST];
  if (!numbers) return (double)NAN;
  effects_scores(k, m, numbers, scores);
  return effects_difference(m, scores);
}

static xt_status know(const AnalysisInstance *k, Arena *arena, Known *out, xt_error *error) {
  TRY(effects_answers(k, effects_has_options(k), arena, &out->answers, error));
  out->untouched = difference_of(k, &out->answers, k->vanilla_effects);
  out->source = difference_of(k, &out->answers, k->source_effects);
  return XT_STATUS_OK;
}

static void add_response(EffectSums *s, const AnalysisInstance *k, const Known *known,
                         const float *numbers) {
  double scores[XT_TRACKED_MOST];
  effects_scores(k, &known->answers, numbers, scores);
  const double gold = effects_gold(&known->answers, scores),
               difference = effects_difference(&known->answers, scores),
               tracked = effects_tracked(&known->answers, scores);
  s->count++;
  if (!isnan(tracked)) {
    s->answers++;
    s->tracked += tracked;
  }
  s->kl[0] += (double)numbers[XT_EFFECT_KL_UNTOUCHED];
  s->kl[1] += (double)numbers[XT_EFFECT_KL_SOURCE];
  if (!isnan(gold)) {
    s->golds++;
    s->gold += gold;
    s->log_gold += scores[known->answers.gold];
  }
  if (isnan(difference)) return;
  s->owns++;
  s->own += difference;
  if (isnan(known->untouched) || isnan(known->source)) return;
  s->differences++;
  s->difference += difference;
  s->untouched += known->untouched;
  s->source += known->source;
}

static double ratio(double sum, size_t count) { return count ? sum / (double)count : (double)NAN; }

static xt_effect_result result_of(const EffectSums *s) {
  const double span = s->source - s->untouched, moved = s->difference - s->untouched;
  return (xt_effect_result){.count = s->count,
                            .logit_difference = ratio(s->own, s->owns),
                            .normalised = s->differences && span != 0
                                              ? moved / span + 0.0 /* no minus zero */
                                              : (double)NAN,
                            .gold = ratio(s->gold, s->golds),
                            .kl_untouched = ratio(s->kl[0], s->count),
                            .kl_source = ratio(s->kl[1], s->count),
                            .choice = ratio(s->right, s->choices),
                            .calibrated = ratio(s->calibrated, s->choices),
                            .tracked = ratio(s->tracked, s->answers)};
}

static void add_sums(EffectSums *to, const EffectSums *from) {
  to->count += from->count, to->golds += from->golds, to->differences += from->differences;
  to->choices += from->choices, to->owns += from->owns;
  to->gold += from->gold, to->log_gold += from->log_gold;
  to->kl[0] += from->kl[0], to->kl[1] += from->kl[1];
  to->difference += from->difference, to->untouched += from->untouched;
  to->source += from->source, to->own += from->own;
  to->right += from->right, to->calibrated += from->calibrated;
  to->answers += from->answers, to->tracked += from->tracked;
}

/* ---- calibration ----------------------------------------------------------------------------- */

/* The probabilities of an instance's options, which add up to 1. False: it has none. */
static bool option_shares(const Batch *b, size_t i, double *out) {
  const Answers *m = &b->known[i].answers;
  double most = -(double)INFINITY, mass = 0;
  if (!b->numbers[i] || !m->options || m->gold < 0) return false;
  effects_scores(&b->group->instances[i], m, b->numbers[i], out);
  for (int o = 0; o < m->count; o++) most = fmax(most, out[o]);
  if (!isfinite(most)) return false;
  for (int o = 0; o < m->count; o++) mass += out[o] = exp(out[o] - most);
  for (int o = 0; o < m->count; o++) out[o] /= mass;
  return true;
}

/* The mean share of an option over the language's instances that have it. */
static double mean_share(const char *const *names, const double *sums, const size_t *counts,
                         size_t known, const char *name) {
  for (size_t k = 0; k < known; k++)
    if (strcmp(names[k], name) == 0) return sums[k] / (double)counts[k];
  return 1;
}

static int best_option(const Answers *m, const double *shares, const double *means) {
  int best = 0;
  for (int o = 1; o < m->count; o++) {
    const double x = shares[o] / (means ? means[o] : 1),
                 y = shares[best] / (means ? means[best] : 1);
    if (x > y) best = o;
  }
  return best;
}

typedef void Choice(void *user, size_t instance, bool right, bool calibrated);

/* Of each instance with options in [first, first + count), the runs of one language: whether the
 * likeliest option is right, and the calibrated one. */
static void each_choice(const Batch *b, size_t first, size_t count, Choice *take, void *user) {
  const char *names[XT_TRACKED_MOST];
  double sums[XT_TRACKED_MOST], shares[XT_TRACKED_MOST], means[XT_TRACKED_MOST];
  size_t counts[XT_TRACKED_MOST], known = 0;
  for (size_t i = first; i < first + count; i++) {
    const Answers *m = &b->known[i].answers;
    if (!option_shares(b, i, shares)) continue;
    for (int o = 0; o < m->count; o++) {
      size_t k = 0;
      while (k < known && strcmp(names[k], m->names[o]) != 0) k++;
      if (k == XT_TRACKED_MOST) continue;
      if (k == known) names[known] = m->names[o], sums[known] = 0, counts[known++] = 0;
      sums[k] += shares[o];
      counts[k]++;
    }
  }
  for (size_t i = first; i < first + count; i++) {
    const Answers *m = &b->known[i].answers;
    if (!option_shares(b, i, shares)) continue;
    for (int o = 0; o < m->count; o++)
      means[o] = mean_share(names, sums, counts, known, m->names[o]);
    take(user, i, best_option(m, shares, NULL) == m->gold,
         best_option(m, shares, means) == m->gold);
  }
}

static void count_choice(void *user, size_t instance, bool right, bool calibrated) {
  EffectSums *s = user;
  (void)instance;
  s->choices++;
  s->right += right;
  s->calibrated += calibrated;
}

/* ---- by instance ----------------------------------------------------------------------------- */

static void values_of(const AnalysisInstance *k, const Known *known, const float *numbers,
                      double *const *out) {
  double scores[XT_TRACKED_MOST];
  effects_scores(k, &known->answers, numbers, scores);
  const double difference = effects_difference(&known->answers, scores),
               span = known->source - known->untouched;
  *out[XT_MEASURE_LOGIT_DIFFERENCE] = difference;
  if (!isnan(difference) && !isnan(span)) {
    *out[XT_MEASURE_NORMALISED] = difference - known->untouched;
    *out[EFFECT_SPAN] = span;
  }
  *out[XT_MEASURE_GOLD] = effects_gold(&known->answers, scores);
  *out[XT_MEASURE_TRACKED] = effects_tracked(&known->answers, scores);
  *out[XT_MEASURE_KL_UNTOUCHED] = (double)numbers[XT_EFFECT_KL_UNTOUCHED];
  *out[XT_MEASURE_KL_SOURCE] = (double)numbers[XT_EFFECT_KL_SOURCE];
}

typedef struct Choices {
  double *right, *calibrated;
} Choices;

static void keep_choice(void *user, size_t instance, bool right, bool calibrated) {
  const Choices *k = user;
  k->right[instance] = right;
  k->calibrated[instance] = calibrated;
}

void effects_values(const Batch *b, double *out) {
  const AnalysisGroup *g = b->group;
  const size_t n = g->group.instances;
  Choices choices = {out + XT_MEASURE_CHOICE * n, out + XT_MEASURE_CALIBRATED * n};
  for (size_t i = 0; i < EFFECT_VALUES * n; i++) out[i] = NAN;
  for (size_t i = 0; i < n; i++) {
    double *places[EFFECT_VALUES];
    for (size_t m = 0; m < EFFECT_VALUES; m++) places[m] = out + m * n + i;
    if (b->numbers[i]) values_of(&g->instances[i], &b->known[i], b->numbers[i], places);
  }
  for (size_t l = 0; l < g->group.language_count; l++)
    each_choice(b, g->group.languages[l].first, g->group.languages[l].count, keep_choice, &choices);
}

xt_status effects_batch(const AnalysisGroup *g, Arena *arena, Batch *out, xt_error *error) {
  Known *known;
  *out = (Batch){.group = g};
  TRY(ARENA_ALLOC(arena, &known, g->group.instances, error));
  TRY(ARENA_ALLOC(arena, &out->numbers, g->group.instances, error));
  for (size_t i = 0; i < g->group.instances; i++)
    TRY(know(&g->instances[i], arena, &known[i], error));
  out->known = known;
  return XT_STATUS_OK;
}

void effects_of_cell(Batch *b, const AnalysisSite *s, size_t cell) {
  for (size_t i = 0; i < b->group->group.instances; i++)
    b->numbers[i] = effects_counted(b->group, i) ? effects_of(b->group, s, i, cell) : NULL;
}

void effects_of_run(Batch *b, bool source) {
  for (size_t i = 0; i < b->group->group.instances; i++) {
    const AnalysisInstance *k = &b->group->instances[i];
    b->numbers[i] = !effects_counted(b->group, i) ? NULL
                    : source                      ? k->source_effects
                                                  : k->vanilla_effects;
  }
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* `b->numbers` is filled in. `languages`: where the sums of each language go, `step` apart; NULL:
 * nowhere. */
static xt_effect_result batch_result(const Batch *b, EffectSums *total, EffectSums *languages,
                                     size_t step) {
  const AnalysisGroup *g = b->group;
  EffectSums s = {0};
  for (size_t l = 0; l < g->group.language_count; l++) {
    const xt_group_language *k = &g->group.languages[l];
    EffectSums own = {0};
    for (size_t i = k->first; i < k->first + k->count; i++)
      if (b->numbers[i]) add_response(&own, &g->instances[i], &b->known[i], b->numbers[i]);
    each_choice(b, k->first, k->count, count_choice, &own);
    if (languages) languages[l * step] = own;
    add_sums(&s, &own);
  }
  if (total) add_sums(total, &s);
  return result_of(&s);
}

static xt_status site_effects(xt_analysis *a, Batch *b, AnalysisSite *s, xt_site_result *out,
                              xt_error *error) {
  const size_t count = (size_t)a->cells, places = b->group->group.language_count * count;
  xt_effect_result *cells;
  EffectSums total = {0};
  out->mean_effects = result_of(&total);
  if (!s->effects) return XT_STATUS_OK;
  TRY(analysis_claim(a, places, sizeof *s->effect_sums, error));
  TRY(ARENA_ALLOC(&a->arena, &s->effect_sums, places, error));
  TRY(ARENA_ALLOC(&a->arena, &cells, count, error));
  for (size_t c = 0; c < count; c++) {
    effects_of_cell(b, s, c);
    cells[c] = batch_result(b, &total, s->effect_sums + c, count);
  }
  out->effects = cells;
  out->mean_effects = result_of(&total);
  return XT_STATUS_OK;
}

xt_status analysis_effects(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Arena arena = {0};
  Batch b;
  xt_status status = effects_batch(g, &arena, &b, error);
  for (int source = 0; source < 2 && !status; source++) {
    effects_of_run(&b, source);
    *(source ? &g->group.source_effects : &g->group.untouched_effects) =
        batch_result(&b, NULL, NULL, 0);
  }
  for (size_t s = 0; s < g->site_count && !status; s++)
    status =
        site_effects(a, &b, &g->sites[s], (xt_site_result *)(uintptr_t)&g->group.sites[s], error);
  arena_free(&arena);
  return status;
}
