/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep's part of bench. */
#ifndef CLI_VERBS_BENCH_SWEEP_H
#define CLI_VERBS_BENCH_SWEEP_H

#include "shell/cli.h"

typedef struct SweepBench {
  const LoadedModel *model;
  const SiteList *sites;
  const char *source_layers, *target_layers; /* layer lists */
  int prompt_tokens, new_tokens, instances;
  int tracked, rounds; /* bench_effects; tracked 0: not that */
  bool json, quiet;
} SweepBench;

/* Measures a sweep over random prompts with what sharing its responses allow, and with none, and
 * prints both beside the machine's peak; or, with tracked tokens, what these cost. */
xt_status bench_sweep(const SweepBench *bench, xt_error *error);

#endif
