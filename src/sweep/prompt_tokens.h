/* SPDX-License-Identifier: Apache-2.0 */
/* What instances that run together save: positions at which their prompts begin alike are run once. */
#ifndef SWEEP_PROMPT_TOKENS_H
#define SWEEP_PROMPT_TOKENS_H

#include "xtransplant/sweep.h"

static inline size_t tokens_not_shared(const int32_t *ids, size_t count, const int32_t *before,
                                       size_t before_count) {
  size_t same = 0;
  while (same < count && same < before_count && ids[same] == before[same]) same++;
  return count - same;
}

/* The prompt tokens that `in` adds to a run of instances of which `before` is the last; NULL: none.
 * What it shares with earlier ones is not looked for. */
static inline size_t more_prompt_tokens(const xt_instance *before, const xt_instance *in) {
  if (!before) return in->source_count + in->target_count;
  return tokens_not_shared(in->source, in->source_count, before->source, before->source_count) +
         tokens_not_shared(in->target, in->target_count, before->target, before->target_count);
}

#endif
