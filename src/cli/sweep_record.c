/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_record.h"

#include <stdlib.h>
#include <string.h>

/* ---- plans ------------------------------------------------------------------------------------ */

static bool same_part(const xt_question *a, const xt_question *b) {
  return strcmp(a->lang, b->lang) == 0 && strcmp(a->source_lang, b->source_lang) == 0 && strcmp(a->task, b->task) == 0;
}

/* How many questions of this one's task and languages the dataset has, whatever --limit and --shard leave of them. */
static size_t count_part(const xt_dataset *dataset, const xt_question *of) {
  size_t n = 0;
  for (size_t i = 0; i < xt_dataset_count(dataset); i++) n += same_part(xt_dataset_get(dataset, i), of);
  return n;
}

static size_t list_layers(const LayerSet *set, int layers, int *out) {
  size_t n = 0;
  for (int l = 0; l < layers; l++)
    if (set->has[l]) out[n++] = l;
  return n;
}

/* One plan a task and pair of languages. `dataset`: all questions that there are; NULL: not known. `part` has room for all questions; those that were planned are taken out of `left`. */
static xt_status add_plan(const SweepJob *job, const xt_dataset *dataset, xt_store *store, int layers, const xt_question **left, size_t *left_count,
                          const xt_question **part, xt_error *error) {
  int sources[JOB_LAYERS_MAX], targets[JOB_LAYERS_MAX];
  const xt_question *first = left[0];
  size_t count = 0, others = 0;
  for (size_t i = 0; i < *left_count; i++) {
    const xt_question *q = left[i];
    if (same_part(q, first)) part[count++] = q;
    else left[others++] = q;
  }
  *left_count = others;
  const size_t whole = dataset ? count_part(dataset, first) : 0;
  size_t too_long = 0;
  for (size_t i = 0; i < job->too_long_count; i++) too_long += same_part(job->too_long[i], first);
  const xt_store_plan plan = {.task = first->task, .lang = first->lang, .source_lang = first->source_lang, .cot = job->arguments->cot,
                              .dataset = whole, .too_long = too_long, .questions = part, .question_count = count,
                              .sites = job->sites.at, .site_count = (size_t)job->sites.count,
                              .source_layers = sources, .source_layer_count = list_layers(&job->all.sources, layers, sources),
                              .target_layers = targets, .target_layer_count = list_layers(&job->all.targets, layers, targets)};
  return xt_store_add_plan(store, &plan, error);
}

xt_status job_add_plans(const SweepJob *job, xt_store *store, int layers, xt_error *error) {
  const xt_question **left = calloc(job->count + 1, sizeof *left), **part = calloc(job->count + 1, sizeof *part);
  xt_status status = left && part ? XT_STATUS_OK : error_memory(error);
  if (!status) memcpy(left, job->questions, job->count * sizeof *left);
  for (size_t count = job->count; count && !status;)
    status = add_plan(job, job->arguments->limit ? job->whole : job->dataset, store, layers, left, &count, part, error);
  free(left);
  free(part);
  return status;
}

/* ---- edited questions ------------------------------------------------------------------------- */

typedef struct Edited {
  SweepJob *job;
  size_t first, capacity; /* first: index of the first question */
} Edited;

static xt_status note_edited(void *user, size_t index, int64_t number, xt_error *error) {
  Edited *e = user;
  SweepJob *job = e->job;
  if (job->edited_count == e->capacity) {
    e->capacity = e->capacity ? 2 * e->capacity : 16;
    int64_t *more = realloc(job->edited, e->capacity * sizeof *more);
    if (!more) return error_memory(error);
    job->edited = more;
  }
  if (job->edited_count == 0) e->first = index;
  job->edited[job->edited_count++] = number;
  return XT_STATUS_OK;
}

xt_status job_find_edited(SweepJob *job, xt_store *store, xt_error *error) {
  const SweepArguments *a = job->arguments;
  Edited e = {.job = job};
  const xt_status status = xt_store_find_edited(store, job->questions, job->count, note_edited, &e, error);
  if (status || job->edited_count == 0 || a->replace) return status;
  const xt_question *q = job->questions[e.first];
  char others[48] = "";
  if (job->edited_count > 1) snprintf(others, sizeof others, ", and %zu more like it", job->edited_count - 1);
  return error_set(error, XT_STATUS_INPUT, a->output, NULL, -1,
                   "has question %.60s (%.20s %.20s)%s with another prompt or gold answer than %.200s. sweep --replace drops the old ones with their responses; "
                   "or give another results file",
                   q->id, q->task, q->lang, others, a->pairs ? a->pairs : a->data ? a->data : "the questions given");
}

/* ---- source prompts --------------------------------------------------------------------------- */

static int compare_sources(const SweepJob *job, size_t a, size_t b) {
  const xt_instance *x = &job->instances[a], *y = &job->instances[b];
  if (x->source_count != y->source_count) return x->source_count < y->source_count ? -1 : 1;
  return memcmp(x->source, y->source, x->source_count * sizeof *x->source);
}

typedef struct Place {
  const SweepJob *job;
  size_t index;
} Place;

static int by_source(const void *a, const void *b) {
  const Place *x = a, *y = b;
  const int order = compare_sources(x->job, x->index, y->index);
  return order ? order : (x->index > y->index) - (x->index < y->index);
}

xt_status source_runs_init(SourceRuns *r, SweepJob *job, xt_error *error) {
  Place *places = calloc(job->count + 1, sizeof *places);
  size_t count = 0;
  *r = (SourceRuns){.job = job, .first = calloc(job->count + 1, sizeof *r->first), .generations = calloc(job->count + 1, sizeof *r->generations)};
  if (!places || !r->first || !r->generations) {
    free(places);
    source_runs_deinit(r);
    return error_memory(error);
  }
  for (size_t i = 0; i < job->count; i++)
    if (job->todo[i].source) places[count++] = (Place){job, i};
  qsort(places, count, sizeof *places, by_source);
  for (size_t i = 0; i < count; i++) {
    const size_t index = places[i].index;
    r->first[index] = i && compare_sources(job, index, places[i - 1].index) == 0 ? r->first[places[i - 1].index] : index;
    job->instances[index].run_source = job->todo[index].sites && r->first[index] == index;
  }
  free(places);
  return XT_STATUS_OK;
}

void source_runs_deinit(SourceRuns *r) {
  for (size_t i = 0; r->generations && i < r->job->count; i++) xt_generation_deinit(&r->generations[i]);
  free(r->generations);
  free(r->first);
  *r = (SourceRuns){0};
}

xt_status source_runs_store_known(const SourceRuns *r, xt_store *store, size_t at, size_t n, const int64_t *numbers, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < n && !status; k++) {
    const xt_generation *known = &r->generations[r->first[at + k]];
    if (r->job->todo[at + k].source && known->ids) status = xt_store_add_source(store, numbers[k], known, error);
  }
  return status;
}

static void *copy_of(const void *from, size_t bytes) {
  void *to = malloc(bytes ? bytes : 1);
  return to ? memcpy(to, from, bytes) : NULL;
}

xt_status source_runs_take(SourceRuns *r, xt_store *store, size_t index, const xt_generation *g, size_t at, size_t n, const int64_t *numbers,
                           xt_error *error) {
  xt_generation *kept = &r->generations[index];
  *kept = (xt_generation){.count = g->count, .stopped = g->stopped, .ids = copy_of(g->ids, g->count * sizeof *g->ids),
                          .margins = copy_of(g->margins, g->count * sizeof *g->margins),
                          .entropies = copy_of(g->entropies, g->count * sizeof *g->entropies),
                          .logprobs = copy_of(g->logprobs, g->count * sizeof *g->logprobs)};
  if (!kept->ids || !kept->margins || !kept->entropies || !kept->logprobs) {
    xt_generation_deinit(kept);
    return error_memory(error);
  }
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < n && !status; k++)
    if (r->job->todo[at + k].source && r->first[at + k] == index) status = xt_store_add_source(store, numbers[k], kept, error);
  return status;
}

xt_status source_runs_alone(SourceRuns *r, const LoadedModel *model, size_t at, size_t n, bool (*cancel)(void *user), void *user, xt_error *error) {
  const SweepJob *job = r->job;
  const xt_generate_options how = {.max_new_tokens = job->arguments->max_new_tokens, .repetition_penalty = job->arguments->penalty, .cancel = cancel,
                                   .user = user};
  xt_request *requests = calloc(n, sizeof *requests);
  xt_generation *out = calloc(n, sizeof *out);
  size_t count = 0;
  xt_status status = requests && out ? XT_STATUS_OK : error_memory(error);
  for (size_t k = at; k < at + n && !status; k++)
    if (job->todo[k].source && r->first[k] == k) requests[count++] = (xt_request){.ids = job->instances[k].source, .count = job->instances[k].source_count};
  if (!status && count) status = xt_session_generate(model->session, requests, count, &how, out, error);
  count = 0;
  for (size_t k = at; k < at + n && !status; k++)
    if (job->todo[k].source && r->first[k] == k) r->generations[k] = out[count++];
  free(requests);
  free(out);
  return status;
}
