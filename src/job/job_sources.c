/* SPDX-License-Identifier: Apache-2.0 */
#include "job/job_sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/ids.h"

static int compare_sources(const xt_job *job, size_t a, size_t b) {
  const xt_instance *x = &job->instances[a], *y = &job->instances[b];
  return ids_compare(x->source, x->source_count, y->source, y->source_count);
}

typedef struct Place {
  const xt_job *job;
  size_t index;
} Place;

static int by_source(const void *a, const void *b) {
  const Place *x = a, *y = b;
  const int order = compare_sources(x->job, x->index, y->index);
  return order ? order : (x->index > y->index) - (x->index < y->index);
}

xt_status source_runs_init(SourceRuns *r, xt_job *job, xt_error *error) {
  Place *places = calloc(job->count + 1, sizeof *places);
  size_t count = 0;
  *r = (SourceRuns){.job = job,
                    .first = calloc(job->count + 1, sizeof *r->first),
                    .generations = calloc(job->count + 1, sizeof *r->generations)};
  if (!places || !r->first || !r->generations) {
    free(places);
    source_runs_deinit(r);
    return err_memory(error, 0);
  }
  /* of an earlier run */
  for (size_t i = 0; i < job->count; i++) job->instances[i].run_source = false;
  for (size_t i = 0; i < job->count; i++)
    if (job->todo[i].source) places[count++] = (Place){job, i};
  qsort(places, count, sizeof *places, by_source);
  for (size_t i = 0; i < count; i++) {
    const size_t index = places[i].index;
    r->first[index] = i && compare_sources(job, index, places[i - 1].index) == 0
                          ? r->first[places[i - 1].index]
                          : index;
    job->instances[index].run_source = job->todo[index].sites && r->first[index] == index;
  }
  free(places);
  return XT_STATUS_OK;
}

void source_runs_deinit(SourceRuns *r) {
  for (size_t i = 0; r->generations && i < r->job->count; i++)
    xt_generation_deinit(&r->generations[i]);
  free(r->generations);
  free(r->first);
  *r = (SourceRuns){0};
}

xt_status source_runs_store_known(const SourceRuns *r, xt_store *store, size_t at, size_t n,
                                  const int64_t *numbers, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < n && !status; k++) {
    const xt_generation *known = &r->generations[r->first[at + k]];
    if (r->job->todo[at + k].source && known->ids)
      status = xt_store_add_source(store, numbers[k], known, error);
  }
  return status;
}

static void *copy_of(const void *from, size_t bytes) {
  void *to = malloc(bytes ? bytes : 1);
  return to ? memcpy(to, from, bytes) : NULL;
}

xt_status source_runs_take(SourceRuns *r, xt_store *store, size_t index, const xt_generation *g,
                           size_t at, size_t n, const int64_t *numbers, xt_error *error) {
  xt_generation *kept = &r->generations[index];
  *kept = (xt_generation){.count = g->count,
                          .stopped = g->stopped,
                          .ids = copy_of(g->ids, g->count * sizeof *g->ids),
                          .margins = copy_of(g->margins, g->count * sizeof *g->margins),
                          .entropies = copy_of(g->entropies, g->count * sizeof *g->entropies),
                          .logprobs = copy_of(g->logprobs, g->count * sizeof *g->logprobs)};
  if (!kept->ids || !kept->margins || !kept->entropies || !kept->logprobs) {
    xt_generation_deinit(kept);
    return err_memory(error, 0);
  }
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < n && !status; k++)
    if (r->job->todo[at + k].source && r->first[at + k] == index)
      status = xt_store_add_source(store, numbers[k], kept, error);
  return status;
}

xt_status source_runs_alone(SourceRuns *r, xt_session *session, size_t at, size_t n,
                            bool (*cancel)(void *user), void *user, xt_error *error) {
  const xt_job *job = r->job;
  const xt_job_options *o = &job->options;
  const xt_generate_options how = {.max_new_tokens = o->max_new_tokens,
                                   .repetition_penalty = o->repetition_penalty,
                                   .ignore_eos = o->ignore_eos,
                                   .cancel = cancel,
                                   .user = user};
  xt_request *requests = calloc(n, sizeof *requests);
  xt_generation *out = calloc(n, sizeof *out);
  size_t count = 0;
  xt_status status = requests && out ? XT_STATUS_OK : err_memory(error, 0);
  for (size_t k = at; k < at + n && !status; k++)
    if (job->todo[k].source && r->first[k] == k)
      requests[count++] =
          (xt_request){.ids = job->instances[k].source, .count = job->instances[k].source_count};
  if (!status && count) status = xt_session_generate(session, requests, count, &how, out, error);
  count = 0;
  for (size_t k = at; k < at + n && !status; k++)
    if (job->todo[k].source && r->first[k] == k) r->generations[k] = out[count++];
  free(requests);
  free(out);
  return status;
}
