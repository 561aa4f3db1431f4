/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/gold_masks.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/bits.h"
#include "base/mem.h"

xt_status gold_masks_init(GoldMasks *m, const AnalysisGroup *g, const xt_group_language *language,
                          xt_error *error) {
  const AnalysisInstance *instances = g->instances + language->first;
  *m = (GoldMasks){0};
  TRY(MEM_ALLOC(&m->matches, language->count, error));
  TRY(MEM_ALLOC(&m->counts, language->count, error));
  TRY(MEM_ALLOC(&m->own, language->count, error));
  for (size_t i = 0; i < language->count; i++) {
    size_t known = 0;
    if (!instances[i].scored) continue;
    while (known < m->distinct && strcmp(m->matches[known].gold, instances[i].gold) != 0) known++;
    if (known == m->distinct)
      TRY(gold_match_init(g->group.benchmark, instances[i].gold, &m->matches[m->distinct++],
                          error));
    m->own[i] = known;
    m->counts[known]++;
    m->scored++;
  }
  m->words = bits_words(m->distinct);
  return XT_STATUS_OK;
}

void gold_masks_deinit(GoldMasks *m) {
  for (size_t i = 0; i < m->distinct; i++) gold_match_deinit(&m->matches[i]);
  free(m->matches);
  free(m->counts);
  free(m->own);
  *m = (GoldMasks){0};
}

xt_status gold_masks_of_text(const GoldMasks *m, const xt_analysis *a, const AnalysisGroup *g,
                             const AnalysisInstance *instance, uint32_t text, uint64_t *mask,
                             xt_error *error) {
  const AnalysisText *t = &a->texts[text];
  bool *right = NULL;
  memset(mask, 0, m->words * sizeof *mask);
  if (!t->text) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&right, m->distinct, error));
  const xt_status status =
      gold_match_all(g->group.benchmark, instance->choices, instance->choice_count, t->text,
                     t->length, m->matches, m->distinct, right, error);
  for (size_t d = 0; d < m->distinct && !status; d++)
    if (right[d]) bits_set(mask, d);
  free(right);
  return status;
}

size_t gold_masks_count(const GoldMasks *m, size_t own, const uint64_t *mask) {
  size_t hits = 0;
  for (size_t d = 0; d < m->distinct; d++)
    if (bits_get(mask, d)) hits += m->counts[d] - (d == own);
  return hits;
}
