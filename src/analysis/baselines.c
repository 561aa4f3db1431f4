/* SPDX-License-Identifier: Apache-2.0 */
/* Baselines that need no transplant: the response to the source prompt, the better of it and the
 * response to the target prompt, and several sampled responses. They show what an upper bound
 * means. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "base/mem.h"

/* ---- the source prompt's own answer ---------------------------------------------------------- */

/* The instance with which a source's response is scored: that of the same question in the source's
 * own language, if the group has it. */
static const AnalysisInstance *scored_as(const AnalysisGroup *g, size_t i) {
  const AnalysisInstance *instance = &g->instances[i];
  if (!g->group.parallel || strcmp(instance->lang, instance->source_lang) == 0) return instance;
  for (size_t l = 0; l < g->group.language_count; l++) {
    const xt_group_language *language = &g->group.languages[l];
    if (strcmp(language->name, instance->source_lang) != 0) continue;
    for (size_t k = language->first; k < language->first + language->count; k++)
      if (g->instances[k].question == instance->question && g->instances[k].gold)
        return &g->instances[k];
  }
  return instance;
}

/* bits: [3][words of instances]: present, right, right or right untouched. */
static xt_status score_sources(const xt_analysis *a, const AnalysisGroup *g, uint64_t *bits,
                               xt_error *error) {
  const size_t words = bits_words(g->group.instances);
  for (size_t i = 0; i < g->group.instances; i++) {
    const AnalysisInstance *instance = &g->instances[i];
    if (!instance->scored || instance->source_text == TEXT_ABSENT ||
        !a->texts[instance->source_text].text)
      continue;
    const AnalysisInstance *as = scored_as(g, i);
    const AnalysisText *text = &a->texts[instance->source_text];
    bool right = false;
    TRY(xt_task_score(g->group.benchmark, as->choices, as->choice_count, text->text, text->length,
                      as->gold, &right, error));
    bits_set(bits, i);
    if (right) bits_set(bits + words, i);
    if (right || instance->vanilla_correct) bits_set(bits + 2 * words, i);
  }
  return XT_STATUS_OK;
}

static xt_status sources(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, xt_error *error) {
  const size_t words = bits_words(g->group.instances);
  uint64_t *bits;
  TRY(MEM_ALLOC(&bits, 3 * words, error));
  xt_status status = g->group.benchmark ? score_sources(a, g, bits, error) : XT_STATUS_OK;
  if (!status) status = scores_of_bits(a, g, bits + words, bits, &g->group.source, error);
  if (!status)
    status = compare_systems(a, g, b, bits, bits + words, g->vanilla, &g->group.source_gain, error);
  if (!status) status = scores_of_bits(a, g, bits + 2 * words, bits, &g->group.oracle, error);
  if (!status)
    status =
        compare_systems(a, g, b, bits, bits + 2 * words, g->vanilla, &g->group.oracle_gain, error);
  free(bits);
  return status;
}

/* ---- pass@n ---------------------------------------------------------------------------------- */

double xt_pass_at(size_t drawn, size_t right, size_t n) {
  if (n == 0 || drawn < n || right > drawn) return NAN;
  double none = 1; /* C(drawn - right, n) / C(drawn, n) */
  for (size_t k = 0; k < n; k++) {
    if (drawn - right < k + 1) return 1;
    none *= (double)(drawn - right - k) / (double)(drawn - k);
  }
  return 1 - none;
}

static xt_status pass_scores(xt_analysis *a, const AnalysisGroup *g, const AnalysisSamples *s,
                             size_t n, double *values, xt_pass_result *out, xt_error *error) {
  const size_t count = g->group.instances;
  for (size_t i = 0; i < count; i++) {
    const bool there = g->instances[i].scored && s->counts[i].drawn >= n;
    values[i] = there ? xt_pass_at(s->counts[i].drawn, s->counts[i].right, n) : 0;
    values[count + i] = there;
  }
  *out = (xt_pass_result){.temperature = s->settings.temperature,
                          .top_p = s->settings.top_p,
                          .seed = s->settings.seed,
                          .n = n};
  return scores_of(a, g, (Measured){values, values + count}, false, &out->scores, error);
}

/* n: 1, 2, 4 and so on, the number of layers, and the largest number of samples of any instance. */
static bool is_asked(const xt_analysis *a, size_t n, size_t most) {
  return (n & (n - 1)) == 0 || n == (size_t)a->layers || n == most;
}

static xt_status passes(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  double *values;
  size_t room = 0;
  xt_pass_result *results;
  for (size_t s = 0; s < g->sample_count; s++)
    room += 66; /* powers of two below 2^64, and two more */
  TRY(ARENA_ALLOC(&a->arena, &results, room, error));
  TRY(MEM_ALLOC(&values, 2 * g->group.instances, error));
  xt_status status = XT_STATUS_OK;
  for (size_t s = 0; s < g->sample_count && !status; s++) {
    size_t most = 0;
    for (size_t i = 0; i < g->group.instances; i++)
      if (g->instances[i].scored && g->samples[s].counts[i].drawn > most)
        most = g->samples[s].counts[i].drawn;
    for (size_t n = 1; n <= most && !status; n++)
      if (is_asked(a, n, most))
        status =
            pass_scores(a, g, &g->samples[s], n, values, &results[g->group.pass_count++], error);
  }
  g->group.passes = results;
  free(values);
  return status;
}

xt_status analysis_baselines(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b,
                             xt_error *error) {
  TRY(sources(a, g, b, error));
  return passes(a, g, error);
}
