/* SPDX-License-Identifier: Apache-2.0 */
/* How far a sweep is, token by token. Its work is counted in operations: that of the prompts is known beforehand; that of the
 * responses depends on how many of them agree, and is taken to go on as it was so far. */
#ifndef CLI_SWEEP_PROGRESS_H
#define CLI_SWEEP_PROGRESS_H

#include "progress.h"
#include "xtransplant/sweep.h"

/* What is to be done in all. */
typedef struct SweepWork {
  uint64_t responses, instances;
  double prompt_flops;
  double least_flops, most_flops; /* of the responses: where all that can agree does; where no two do */
} SweepWork;

typedef struct SweepProgress {
  Progress line;
  SweepWork work;
  uint64_t instances;       /* done */
  xt_sweep_progress before; /* sums of the library's calls that are over */
  xt_sweep_progress now;    /* of the one under way */
} SweepProgress;

void sweep_progress_begin(SweepProgress *progress, int mode, bool quiet, const SweepWork *work);
/* For xt_sweep_options' progress. */
void sweep_progress_show(SweepProgress *progress, const xt_sweep_progress *now);
/* A call is over. */
void sweep_progress_next(SweepProgress *progress);

#endif
