/* SPDX-License-Identifier: Apache-2.0 */
/* `baseline -o`: what a method writes as a site of a results file, beside those of sweeps. */
#ifndef CLI_VERBS_BASELINE_STORE_H
#define CLI_VERBS_BASELINE_STORE_H

#include "verbs/baseline_questions.h"

typedef struct BaselineSite {
  const char *method;
  xt_site site;        /* what is written, and how */
  const float *values; /* [questions][layers][width]; NULL: the source prompt's own */
  double ridge;        /* 0: none */
  const char *layers;  /* as they were given */
  /* [layers] those that are written in one run; NULL: each target layer of the questions' arguments by
   * itself */
  const bool *together;
  const Questions *questions, *parallel;
} BaselineSite;

/* Runs what the results file lacks, and prints the site's name and how many responses it has.
 * *stopped: it was stopped, and the same continues. */
xt_status baseline_store(const BaselineSite *what, const LoadedModel *model, bool *stopped,
                         xt_error *error);

#endif
