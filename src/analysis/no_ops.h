/* SPDX-License-Identifier: Apache-2.0 */
/* Transplants that put back what is there: the source prompt is the target prompt, and a layer's
 * value goes into its own place. Their response has to be the untouched one, so that they check a
 * store, or a published table, by themselves. */
#ifndef ANALYSIS_NO_OPS_H
#define ANALYSIS_NO_OPS_H

#include "analysis/analysis_parts.h"

typedef struct NoOps {
  size_t questions;      /* whose source prompt is their target prompt */
  size_t other_prompts;  /* in the language of their source, with another prompt there: no no-ops */
  size_t responses;      /* of those questions with a layer's value in its own place */
  size_t differ;         /* of them, other than the untouched response */
  const char *lang, *id; /* of the first that differs; NULL: none does */
  int layer;
} NoOps;

/* Of one site of a group; nothing is compared where the site reads one tap and writes another. */
NoOps analysis_no_ops(const xt_analysis *analysis, const AnalysisGroup *group,
                      const AnalysisSite *site);

#endif
