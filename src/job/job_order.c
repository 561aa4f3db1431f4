/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which questions are run. What runs together runs once what its prompts have in common,
 * and that may be more in one of two orders: the dataset's, by language, where neighbouring questions
 * are about the same text, or by question, where a question has the same source prompt, or the same
 * target prompt, in every language. */
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "job/job.h"
#include "sweep/prompt_tokens.h"

typedef struct Place {
  const int32_t *ids; /* of one of its prompts */
  size_t count, index;
  size_t first; /* the first question that has a prompt of it */
} Place;

static int by_index(const Place *x, const Place *y) {
  return (x->index > y->index) - (x->index < y->index);
}
static int by_prompt(const void *a, const void *b) {
  const Place *x = a, *y = b;
  const int order = ids_compare(x->ids, x->count, y->ids, y->count);
  return order ? order : by_index(x, y);
}
static int in_order(const void *a, const void *b) { return by_index(a, b); }
static int by_first(const void *a, const void *b) {
  const Place *x = a, *y = b;
  if (x->first != y->first) return x->first < y->first ? -1 : 1;
  return by_index(x, y);
}

/* Lowers `first` of each place to the first question with the same source, or target, prompt. */
static void find_first(const xt_job *job, bool target, Place *places) {
  for (size_t i = 0; i < job->count; i++) {
    const xt_instance *in = &job->instances[i];
    places[i].ids = target ? in->target : in->source;
    places[i].count = target ? in->target_count : in->source_count;
  }
  qsort(places, job->count, sizeof *places, by_prompt);
  for (size_t i = 0, same = 0; i < job->count; i++) {
    const Place *p = &places[same];
    if (ids_compare(p->ids, p->count, places[i].ids, places[i].count) != 0) same = i;
    if (places[same].index < places[i].first) places[i].first = places[same].index;
  }
  qsort(places, job->count, sizeof *places, in_order);
}

/* What is run if each question shares with the one before it. */
static size_t all_tokens(const xt_instance *instances, size_t count) {
  size_t tokens = 0;
  for (size_t i = 0; i < count; i++)
    tokens += more_prompt_tokens(i ? &instances[i - 1] : NULL, &instances[i]);
  return tokens;
}

xt_status job_order(xt_job *job, xt_error *error) {
  const size_t count = job->count;
  Place *places;
  const xt_question **questions = NULL;
  xt_instance *instances = NULL;
  xt_status status;
  TRY(MEM_ALLOC(&places, count, error));
  TRY_DONE(MEM_ALLOC(&questions, count, error));
  TRY_DONE(MEM_ALLOC(&instances, count, error));
  for (size_t i = 0; i < count; i++) places[i].index = places[i].first = i;
  find_first(job, false, places);
  find_first(job, true, places);
  qsort(places, count, sizeof *places, by_first);
  for (size_t i = 0; i < count; i++) {
    questions[i] = job->questions[places[i].index];
    instances[i] = job->instances[places[i].index];
  }
  if (all_tokens(instances, count) < all_tokens(job->instances, count)) {
    memcpy(job->questions, questions, count * sizeof *questions);
    memcpy(job->instances, instances, count * sizeof *instances);
  }
done:
  free(instances);
  free(questions);
  free(places);
  return status;
}
