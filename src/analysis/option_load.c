/* SPDX-License-Identifier: Apache-2.0 */
/* The accuracies by the options' likelihoods that reports show, of a store that has any. */
#include "analysis/analysis_parts.h"
#include "base/mem.h"
#include "xtransplant/metrics.h"

static bool is_better(const xt_option_row *a, const xt_option_row *b) {
  return a->acc_norm > b->acc_norm;
}

/* Of a site its mean, and then the configuration with the largest acc_norm, the first of equal
 * ones. */
static xt_status keep(void *user, const xt_option_row *row, xt_error *error) {
  xt_analysis *a = user;
  if (row->lang) return XT_STATUS_OK;
  xt_option_row *last = a->option_count ? &a->options_scored[a->option_count - 1] : NULL;
  const bool one = row->source_layer >= 0, after_one = last && last->source_layer >= 0;
  if (one && after_one && !is_better(row, last)) return XT_STATUS_OK;
  if (!(one && after_one)) {
    TRY(MEM_GROW(&a->options_scored, &a->option_capacity, a->option_count + 1, error));
    last = &a->options_scored[a->option_count++];
  }
  *last = *row;
  TRY(analysis_text_copy(a, row->task, &last->task, error));
  return analysis_text_copy(a, row->site, &last->site, error);
}

xt_status analysis_options_scored(xt_analysis *a, xt_store *store, xt_error *error) {
  return xt_store_summarize_options(store, keep, a, error);
}
