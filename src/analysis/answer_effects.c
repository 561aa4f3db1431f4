/* SPDX-License-Identifier: Apache-2.0 */
/* What transplants do to each tracked answer of questions without a gold answer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/effect_means.h"
#include "base/mem.h"

/* What is known of an instance's options, or of what is no option. */
typedef struct Known {
  Answers answers;
  double *untouched; /* [answers.count]; NULL: no untouched run's numbers */
} Known;

enum { PARTS = 2 }; /* options, and what is no option */

typedef struct AnswerSums {
  const AnalysisGroup *group;
  Arena *arena; /* of what is not kept */
  struct {
    const char *name;
    bool option;
  } names[XT_TRACKED_MOST];
  size_t count;
  Known *known;           /* [instances][PARTS] */
  xt_answer_effect *sums; /* [count] of what is summed up */
} AnswerSums;

/* The index of an answer of the group; `count`: there are too many, and it is left out. */
static size_t index_of(AnswerSums *s, const char *name, bool option) {
  size_t k = 0;
  while (k < s->count && (s->names[k].option != option || strcmp(s->names[k].name, name) != 0)) k++;
  if (k == XT_TRACKED_MOST || k < s->count) return k;
  s->names[k].name = name;
  s->names[k].option = option;
  return s->count++;
}

static xt_status know_part(AnswerSums *s, size_t i, int part, xt_error *error) {
  const AnalysisInstance *k = &s->group->instances[i];
  Known *known = &s->known[i * PARTS + (size_t)part];
  const Answers *m = &known->answers;
  TRY(effects_answers(k, part == 0, s->arena, &known->answers, error));
  for (int n = 0; n < m->count; n++)
    if (n != m->gold) index_of(s, m->names[n], m->options);
  if (!k->vanilla_effects) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(s->arena, &known->untouched, (size_t)m->count + 1, error));
  effects_scores(k, m, k->vanilla_effects, known->untouched);
  return XT_STATUS_OK;
}

static void add_part(AnswerSums *s, size_t i, const Known *known, const float *numbers) {
  double scores[XT_TRACKED_MOST];
  const Answers *m = &known->answers;
  effects_scores(&s->group->instances[i], m, numbers, scores);
  for (int n = 0; n < m->count; n++) {
    const size_t k = n == m->gold ? s->count : index_of(s, m->names[n], m->options);
    if (k == s->count || !isfinite(scores[n])) continue;
    s->sums[k].count++;
    s->sums[k].logprob += scores[n];
    if (!known->untouched) continue;
    s->sums[k].changes++;
    s->sums[k].change += scores[n] - known->untouched[n];
  }
}

static void add_numbers(AnswerSums *s, size_t i, const float *numbers) {
  for (size_t part = 0; part < PARTS && numbers; part++)
    add_part(s, i, &s->known[i * PARTS + part], numbers);
}

static void add_sums(const AnswerSums *s, const xt_answer_effect *from, xt_answer_effect *to) {
  for (size_t k = 0; k < s->count; k++) {
    to[k].count += from[k].count, to[k].changes += from[k].changes;
    to[k].logprob += from[k].logprob, to[k].change += from[k].change;
  }
}

/* Makes sums means. */
static void finish(const AnswerSums *s, xt_answer_effect *out) {
  for (size_t k = 0; k < s->count; k++) {
    const xt_answer_effect sum = out[k];
    out[k].answer = s->names[k].name;
    out[k].option = s->names[k].option;
    out[k].logprob = sum.count ? sum.logprob / (double)sum.count : (double)NAN;
    out[k].change = sum.changes ? sum.change / (double)sum.changes : (double)NAN;
  }
}

static xt_status add_site(xt_analysis *a, AnswerSums *s, AnalysisSite *site, xt_site_result *out,
                          xt_error *error) {
  const size_t cells = (size_t)a->cells, languages = s->group->group.language_count;
  xt_answer_effect *each, *mean;
  if (!site->effects) return XT_STATUS_OK;
  TRY(analysis_claim(a, (languages + 1) * cells + 1, s->count * sizeof *each, error));
  TRY(ARENA_ALLOC(&a->arena, &site->answer_sums, languages * cells * s->count, error));
  TRY(ARENA_ALLOC(&a->arena, &each, cells * s->count, error));
  TRY(ARENA_ALLOC(&a->arena, &mean, s->count, error));
  for (size_t c = 0; c < cells; c++) {
    xt_answer_effect *of = each + c * s->count;
    for (size_t l = 0; l < languages; l++) {
      const xt_group_language *k = &s->group->group.languages[l];
      s->sums = site->answer_sums + (l * cells + c) * s->count;
      for (size_t i = k->first; i < k->first + k->count; i++)
        add_numbers(s, i, effects_of(s->group, site, i, c));
      add_sums(s, s->sums, of);
    }
    add_sums(s, of, mean);
    finish(s, of);
  }
  finish(s, mean);
  out->answers = each;
  out->mean_answers = mean;
  return XT_STATUS_OK;
}

/* The untouched runs, or those of the source prompts. */
static xt_status add_runs(xt_analysis *a, AnswerSums *s, bool source, const xt_answer_effect **out,
                          xt_error *error) {
  xt_answer_effect *mean;
  TRY(ARENA_ALLOC(&a->arena, &mean, s->count, error));
  s->sums = mean;
  for (size_t i = 0; i < s->group->group.instances; i++)
    add_numbers(s, i,
                source ? s->group->instances[i].source_effects
                       : s->group->instances[i].vanilla_effects);
  finish(s, mean);
  *out = mean;
  return XT_STATUS_OK;
}

static xt_status add_all(xt_analysis *a, AnalysisGroup *g, AnswerSums *s, xt_error *error) {
  const size_t n = g->group.instances;
  TRY(ARENA_ALLOC(s->arena, &s->known, n * PARTS, error));
  for (size_t i = 0; i < n; i++)
    for (int part = 0; part < PARTS; part++) TRY(know_part(s, i, part, error));
  if (s->count == 0) return XT_STATUS_OK;
  TRY(add_runs(a, s, false, &g->group.untouched_answers, error));
  TRY(add_runs(a, s, true, &g->group.source_answers, error));
  for (size_t k = 0; k < g->site_count; k++)
    TRY(add_site(a, s, &g->sites[k], (xt_site_result *)(uintptr_t)&g->group.sites[k], error));
  g->group.answer_count = s->count;
  return XT_STATUS_OK;
}

xt_status analysis_answer_effects(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Arena arena = {0};
  AnswerSums s = {.group = g, .arena = &arena};
  const xt_status status = add_all(a, g, &s, error);
  arena_free(&arena);
  return status;
}
