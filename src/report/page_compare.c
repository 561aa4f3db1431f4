/* SPDX-License-Identifier: Apache-2.0 */
/* Which stores the page can compare: the report's own and those beside it, as long as there are not
 * too many responses to be held in one file. */
#include <stdio.h>
#include <string.h>

#include "report/page_parts.h"

#define RESPONSES_MOST ((size_t)4000000) /* of other stores: some 10 bytes each in the page */

static size_t response_count(const ReportStore *store) {
  const xt_analysis *a = store->analysis;
  size_t count = 0;
  for (size_t g = 0; g < a->count + a->unscored; g++)
    count += a->groups[g].group.instances * a->groups[g].site_count * (size_t)a->cells;
  return count;
}

static const char *label_of(xt_report *r, const ReportStore *const *all, size_t count, size_t k) {
  for (size_t o = 0; o < count; o++)
    if (o != k && strcmp(all[o]->model, all[k]->model) == 0)
      return report_format(r, "%s (%s)", all[k]->model, all[k]->file);
  return all[k]->model;
}

void report_page_compared(xt_report *r, Compared *out) {
  const ReportStore *all[COMPARED_MOST] = {&r->main};
  size_t count = 1, responses = 0;
  for (size_t k = 0; k < r->more_count; k++) all[count++] = &r->more[k];
  const ReportStore *const beside[] = {&r->tuned, &r->cot, &r->beside};
  for (size_t k = 0; k < sizeof beside / sizeof *beside; k++)
    if (beside[k]->analysis) all[count++] = beside[k];
  *out = (Compared){0};
  for (size_t k = 0; k < count; k++) {
    const char *label = label_of(r, all, count, k);
    const size_t size = k ? response_count(all[k]) : 0;
    if (k && size == 0) continue; /* nothing but untouched runs */
    if (size > RESPONSES_MOST - responses) {
      out->large[out->large_count++] = label;
      continue;
    }
    responses += size;
    if (out->count) snprintf(out->prefixes[out->count], sizeof *out->prefixes, "%zu.", out->count);
    out->labels[out->count] = label;
    out->stores[out->count++] = all[k];
  }
}
