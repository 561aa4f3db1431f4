/* SPDX-License-Identifier: Apache-2.0 */
/* What instances that run together save: positions at which their prompts begin alike are run once. */
#ifndef SWEEP_PROMPT_TOKENS_H
#define SWEEP_PROMPT_TOKENS_H

#include "base/ids.h"
#include "xtransplant/sweep.h"

/* The prompt tokens that `in` adds to a run of instances of which `before` is the last; NULL: none.
 * What it shares with earlier ones is not looked for. */
static inline size_t more_prompt_tokens(const xt_instance *before, const xt_instance *in) {
  const size_t all = in->source_count + in->target_count;
  if (!before) return all;
  return all - ids_common(in->source, in->source_count, before->source, before->source_count) -
         ids_common(in->target, in->target_count, before->target, before->target_count);
}

#endif
