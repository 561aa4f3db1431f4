/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the page share: how its data are packed, and which stores it compares. */
#ifndef REPORT_PAGE_PARTS_H
#define REPORT_PAGE_PARTS_H

#include "report/report_parts.h"

/* Where a store's data go, and the beginning of their names. */
typedef struct PagePack {
  TextBuffer *out;
  const char *prefix;
} PagePack;

/* The numbers of first tokens of group `index` (page_effects.c), packed by `add`: floats, NaN where
 * there is none. */
xt_status report_page_effects(const xt_analysis *a, size_t index, const PagePack *out,
                              xt_status (*add)(const PagePack *out, const char *name,
                                               const float *values, size_t count, xt_error *error),
                              xt_error *error);

#define COMPARED_MOST (REPORT_MORE_MOST + 4)

/* The stores whose maps the page compares, the report's own first. */
typedef struct Compared {
  const ReportStore *stores[COMPARED_MOST];
  const char *labels[COMPARED_MOST]; /* the model's name, with the file's if models share it */
  char prefixes[COMPARED_MOST][24];  /* "", "1.", .. */
  size_t count;
  const char *large[COMPARED_MOST]; /* those left out, because the page would be too large */
  size_t large_count;
} Compared;

void report_page_compared(xt_report *r, Compared *out);

/* 0: no numbers of first tokens; -1: with divergences; 1: and the probability of the gold answer;
 * 2: and logit differences. */
int report_page_effects_kind(const xt_site_result *site);

#endif
