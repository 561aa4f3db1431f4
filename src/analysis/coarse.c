/* SPDX-License-Identifier: Apache-2.0 */
/* The coarse strategy: one configuration for each kind of task (the paper, section 5). */
#include "analysis/analysis_parts.h"

void xt_coarse(const xt_task *task, int layers, const char **site, int *source_layer,
               int *target_layer) {
  const bool understanding =
      task->kind == XT_TASK_CHOICE && task->direction == XT_DIRECTION_TO_LANGUAGE;
  *site = understanding ? "attn" : "ffn";
  *source_layer = understanding ? layers - 1 : 0;
  *target_layer = 0;
}
