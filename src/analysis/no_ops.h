/* SPDX-License-Identifier: Apache-2.0 */
/* Transplants that change nothing: the source prompt is the target prompt, and a layer's activation
 * is written into its own place. Their response must be the untouched one, so that they check a
 * store or a published table. */
#ifndef ANALYSIS_NO_OPS_H
#define ANALYSIS_NO_OPS_H

#include "analysis/analysis_parts.h"

typedef struct NoOps {
  size_t questions;      /* whose source prompt is their target prompt */
  size_t other_prompts;  /* whose source and target are in one language but differ: these are not
                            no-ops */
  size_t responses;      /* responses to those questions with a layer's activation in its own
                            place */
  size_t differ;         /* of them, those that differ from the untouched response */
  const char *lang, *id; /* of the first that differs; NULL: none */
  int layer;
} NoOps;

/* Counts for one site of a group; nothing is compared if the site reads one tap and writes
 * another. */
NoOps analysis_no_ops(const xt_analysis *analysis, const AnalysisGroup *group,
                      const AnalysisSite *site);

#endif
