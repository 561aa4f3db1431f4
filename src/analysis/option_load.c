/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs of each instance are right by their options' likelihoods, of a store that has any. */
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/option_marks.h"
#include "base/mem.h"

typedef struct Place {
  int64_t number; /* of a question in the store */
  AnalysisGroup *group;
  size_t instance;
} Place;

typedef struct Places {
  xt_analysis *a;
  Place *list; /* in order of number */
  size_t count;
} Places;

static int by_number(const void *a, const void *b) {
  const int64_t x = ((const Place *)a)->number, y = ((const Place *)b)->number;
  return (x > y) - (x < y);
}

static xt_status find_places(Places *p, xt_error *error) {
  size_t count = 0;
  for (size_t g = 0; g < p->a->count; g++) count += p->a->groups[g].group.instances;
  TRY(MEM_ALLOC(&p->list, count + 1, error));
  for (size_t g = 0; g < p->a->count; g++)
    for (size_t i = 0; i < p->a->groups[g].group.instances; i++)
      p->list[p->count++] = (Place){p->a->groups[g].instances[i].number, &p->a->groups[g], i};
  qsort(p->list, p->count, sizeof *p->list, by_number);
  return XT_STATUS_OK;
}

static xt_status take(void *user, const OptionMarks *run, xt_error *error) {
  const Places *p = user;
  const Place *at =
      bsearch(&(Place){.number = run->question}, p->list, p->count, sizeof *p->list, by_number);
  const size_t cells = (size_t)p->a->cells;
  const uint8_t marks = run->marks | OPTIONS_SCORED;
  if (!at) return XT_STATUS_OK;
  if (run->source_layer < 0) {
    at->group->instances[at->instance].vanilla_options = marks;
    return XT_STATUS_OK;
  }
  AnalysisSite *s = (AnalysisSite *)(uintptr_t)analysis_find_site(at->group, run->site);
  if (!s) return XT_STATUS_OK;
  if (!s->options) {
    TRY(analysis_claim(p->a, at->group->group.instances * cells, 1, error));
    TRY(MEM_ALLOC(&s->options, at->group->group.instances * cells, error));
  }
  s->options[at->instance * cells +
             (size_t)(run->source_layer * p->a->layers + run->target_layer)] = marks;
  return XT_STATUS_OK;
}

xt_status analysis_options_scored(xt_analysis *a, xt_store *store, xt_error *error) {
  Places places = {.a = a};
  xt_status status = find_places(&places, error);
  if (!status) status = option_marks_each(store, take, &places, error);
  free(places.list);
  return status;
}
