/* SPDX-License-Identifier: Apache-2.0 */
/* What the sweep's own files share.
 *
 * Words. A *row* is one configuration of one instance: it parts from the untouched run at its target
 * layer j. A *node* is a distinct sequence of generated tokens: below the layers where they part, all
 * rows that have generated the same tokens are one row of the batch, the node. A *pass* is a set of rows
 * decoded together; a *group* is the instances whose rows share passes. */
#ifndef SWEEP_RUNNER_H
#define SWEEP_RUNNER_H

#include "base/arena.h"
#include "engine/session.h"
#include "xtransplant/sweep.h"

#define SWEEP_DEFAULT_ROWS 4096
#define SWEEP_LEAST_ROWS 256      /* below which a batch is not cut to save time: it would be less than efficient */
#define SWEEP_PASS_SECONDS 60.0
#define SWEEP_GUESSED_SPEED 20e9  /* operations a second of one thread, before any is measured */

/* Options with the defaults filled in and the layer lists made explicit. */
typedef struct SweepConfig {
  const xt_sweep_options *options;
  int *sources, *targets; /* sorted ascending */
  int source_count, target_count, site_count;
  int max_new;
  float penalty;
  double pass_seconds;
  double speed; /* operations a second as sweep_row_flops counts them; 0: passes are not cut by time */
} SweepConfig;

xt_status sweep_config_init(SweepConfig *config, Arena *arena, const xt_model *model, const xt_sweep_options *options, xt_error *error);

/* The instances from `first` on that make the next group, and how many target layers a pass takes. */
typedef struct SweepGroup {
  size_t first;
  int instances;
  int targets_a_pass;
  uint64_t bytes; /* at most, weights included */
} SweepGroup;

xt_status sweep_plan_group(const xt_model *model, const SweepConfig *config, const xt_instance *instances, size_t count,
                           size_t first, SweepGroup *group, xt_error *error);

/* Operations of a row of which nothing is shared. */
double sweep_row_flops(const xt_model *model, const SweepConfig *config);

static inline int sweep_rows_a_target(const SweepConfig *c) { return c->source_count * c->site_count; }

/* Whether a write at this tap comes after the layer's feed-forward module has read its input; the row then joins the batch after
 * that module. In a parallel layer the module reads the layer's input, which no write changes. */
static inline bool sweep_joins_late(const ModelConfig *config, xt_tap write) {
  return config->parallel || write == XT_TAP_FFN || write == XT_TAP_BLOCK;
}

/* The most nodes that a pass of `rows` rows, the untouched ones included, can need: those where no two rows have the same tokens. */
static inline size_t sweep_nodes(int instances, size_t rows, int max_new) {
  return 2 * (size_t)instances + rows * (size_t)(max_new - 1);
}

#endif
