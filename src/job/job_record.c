/* SPDX-License-Identifier: Apache-2.0 */
/* The plan that a job records, and questions that were edited since. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "job/job.h"
#include "tasks/dataset.h"

/* ---- plans ----------------------------------------------------------------------------------- */

static bool same_part(const xt_question *a, const xt_question *b) {
  return strcmp(a->lang, b->lang) == 0 && strcmp(a->source_lang, b->source_lang) == 0 &&
         strcmp(a->task, b->task) == 0;
}

static size_t list_layers(const LayerSet *set, int layers, int *out) {
  size_t n = 0;
  for (int l = 0; l < layers; l++)
    if (set->has[l]) out[n++] = l;
  return n;
}

/* One plan for each task and pair of languages. `part` has room for all questions; planned
 * questions are removed from `left`. */
static xt_status add_plan(const xt_job *job, xt_store *store, const xt_question **left,
                          size_t *left_count, const xt_question **part, xt_error *error) {
  int sources[XT_STORE_LAYERS_MOST], targets[XT_STORE_LAYERS_MOST];
  const int layers = job->identity.layers;
  const xt_question *first = left[0];
  size_t count = 0, others = 0, too_long = 0;
  for (size_t i = 0; i < *left_count; i++) {
    const xt_question *q = left[i];
    if (same_part(q, first))
      part[count++] = q;
    else
      left[others++] = q;
  }
  *left_count = others;
  for (size_t i = 0; i < job->too_long_count; i++) too_long += same_part(job->too_long[i], first);
  const xt_store_plan plan = {.task = first->task,
                              .lang = first->lang,
                              .source_lang = first->source_lang,
                              .cot = job->dataset->cot,
                              .dataset = dataset_whole(job->dataset, first),
                              .too_long = too_long,
                              .questions = part,
                              .question_count = count,
                              .sites = job->sites,
                              .site_count = job->options.site_count,
                              .source_layers = sources,
                              .source_layer_count = list_layers(&job->all.sources, layers, sources),
                              .target_layers = targets,
                              .target_layer_count =
                                  list_layers(&job->all.targets, layers, targets)};
  return xt_store_add_plan(store, &plan, error);
}

xt_status job_add_plans(const xt_job *job, xt_store *store, xt_error *error) {
  const xt_question **left, **part = NULL;
  TRY(MEM_ALLOC(&left, job->count, error));
  xt_status status = MEM_ALLOC(&part, job->count, error);
  if (!status) memcpy(left, job->questions, job->count * sizeof *left);
  for (size_t count = job->count; count && !status;)
    status = add_plan(job, store, left, &count, part, error);
  free(left);
  free(part);
  return status;
}

/* ---- edited questions ------------------------------------------------------------------------ */

typedef struct Edited {
  xt_job *job;
  size_t first; /* index of the first question */
} Edited;

static xt_status note_edited(void *user, size_t index, int64_t number, xt_error *error) {
  Edited *e = user;
  xt_job *job = e->job;
  TRY(MEM_GROW(&job->edited, &job->edited_capacity, job->edited_count + 1, error));
  if (job->edited_count == 0) e->first = index;
  job->edited[job->edited_count++] = number;
  return XT_STATUS_OK;
}

xt_status job_find_edited(xt_job *job, xt_store *store, xt_error *error) {
  Edited e = {.job = job};
  xt_store_info info;
  TRY(xt_store_find_edited(store, job->questions, job->count, note_edited, &e, error));
  if (job->edited_count == 0 || job->options.replace) return XT_STATUS_OK;
  const xt_question *q = job->questions[e.first];
  char others[48] = "";
  if (job->edited_count > 1)
    snprintf(others, sizeof others, ", and %zu more like it", job->edited_count - 1);
  TRY(xt_store_get_info(store, &info, error));
  return err_set(error, XT_STATUS_INPUT, info.path, NULL, -1,
                 "has question %.60s (%.20s %.20s)%s with another prompt or gold answer than "
                 "%.200s. %s drops the old "
                 "ones with their responses; "
                 "or give another results file",
                 q->id, q->task, q->lang, others, job->options.name, job->options.replace_name);
}
