/* SPDX-License-Identifier: Apache-2.0 */
/* What the numbers of first tokens cost a sweep. */
#ifndef CLI_VERBS_BENCH_EFFECTS_H
#define CLI_VERBS_BENCH_EFFECTS_H

#include "shell/cli.h"

typedef struct EffectsBench {
  const LoadedModel *model;
  const xt_instance *instances; /* [count] without tracked tokens */
  size_t count;
  xt_sweep_options options; /* without effects */
  int tracked;              /* tokens of an instance */
  int rounds;               /* each is a sweep without and one with them */
  bool json, quiet;
} EffectsBench;

/* Times the sweep without and with effects in alternation, by the processor time of all threads,
 * which other programs on the machine change less than the clock's, and prints both. */
xt_status bench_effects(const EffectsBench *bench, xt_error *error);

#endif
