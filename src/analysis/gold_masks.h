/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a language's gold answers a response would be right for: what bounds by chance are made
 * of. */
#ifndef ANALYSIS_GOLD_MASKS_H
#define ANALYSIS_GOLD_MASKS_H

#include "analysis/analysis_parts.h"
#include "tasks/gold_match.h"

/* One language's gold answers, each once. Masks are bits of them, [words]. */
typedef struct GoldMasks {
  GoldMatch *matches; /* [distinct] */
  size_t *counts;     /* [distinct]: number of scored instances that have it */
  size_t distinct, scored, words;
  size_t *own; /* [instances of the language]: which of them each scored instance has */
} GoldMasks;

/* The caller frees what it holds with gold_masks_deinit, also after a failure. */
xt_status gold_masks_init(GoldMasks *masks, const AnalysisGroup *group,
                          const xt_group_language *language, xt_error *error);
void gold_masks_deinit(GoldMasks *masks);

/* The gold answers for which a text would be right, as a response to `instance`. */
xt_status gold_masks_of_text(const GoldMasks *masks, const xt_analysis *a, const AnalysisGroup *g,
                             const AnalysisInstance *instance, uint32_t text, uint64_t *mask,
                             xt_error *error);
/* The number of the other scored instances whose gold answer is in a mask. own: GoldMasks.own. */
size_t gold_masks_count(const GoldMasks *masks, size_t own, const uint64_t *mask);

#endif
