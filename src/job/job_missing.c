/* SPDX-License-Identifier: Apache-2.0 */
/* What the store lacks, and the work of running it. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "job/job_controls.h"
#include "job/job_samples.h"
#include "job/job_track.h"
#include "store/store_parts.h"
#include "sweep/prompt_tokens.h"
#include "sweep/row_writes.h"

int job_set_size(const LayerSet *set, int layers) {
  int n = 0;
  for (int l = 0; l < layers; l++) n += set->has[l];
  return n;
}

/* ---- what is missing ------------------------------------------------------------------------- */

static void note_missing(xt_job *job, Todo *todo, size_t site, const bool *have) {
  const int layers = job->identity.layers;
  for (int i = 0; i < layers; i++)
    for (int j = 0; j < layers; j++) {
      if (!job->all.sources.has[i] || !job->all.targets.has[j]) continue;
      if (have[i * layers + j]) {
        job->present++;
        continue;
      }
      todo->sites |= 1u << site;
      todo->sources.has[i] = todo->targets.has[j] = true;
    }
}

/* The smallest set that gives the untouched run too. */
static void ask_for_one(const xt_job *job, Todo *todo) {
  const int layers = job->identity.layers;
  int i = 0, j = 0;
  while (i < layers - 1 && !job->all.sources.has[i]) i++;
  while (j < layers - 1 && !job->all.targets.has[j]) j++;
  todo->sites = 1;
  todo->sources.has[i] = todo->targets.has[j] = true;
}

static xt_status find_one(xt_job *job, xt_store *store, size_t index, bool *have, xt_error *error) {
  Todo *todo = &job->todo[index];
  uint32_t *samples = &job->samples_missing[index];
  const size_t layers = (size_t)job->identity.layers;
  int64_t number;
  bool vanilla = false, source = false;
  TRY(xt_store_find_question(store, job->questions[index], &number, error));
  TRY(job_check_tracked(job, store, index, number, error));
  if (number < 0) {
    *todo = job->all;
    *samples = (uint32_t)job->options.samples;
    return XT_STATUS_OK;
  }
  if (job->options.samples) TRY(job_count_samples(job, store, number, samples, error));
  for (size_t s = 0; s < job->options.site_count; s++) {
    memset(have, 0, layers * layers * sizeof *have);
    TRY(xt_store_find_responses(store, number, job->sites[s], (int)layers, have,
                                s == 0 ? &vanilla : NULL, error));
    note_missing(job, todo, s, have);
  }
  TRY(xt_store_find_source(store, number, &source, error));
  todo->source = !source;
  job->present += vanilla;
  if (!vanilla && !todo->sites) ask_for_one(job, todo);
  return XT_STATUS_OK;
}

static void count_work(xt_job *job, size_t index) {
  const int layers = job->identity.layers;
  Todo *todo = &job->todo[index];
  /* a source prompt that fills the model's positions can be the source of transplants, but
   * generates nothing */
  if (job->instances[index].source_count + (size_t)job->options.max_new_tokens >
      (size_t)job->positions + 1)
    todo->source = 0;
  job->sources_to_run += todo->source;
  job->samples_to_run += job->samples_missing[index];
  if (!todo->sites) return;
  job->questions_to_run++;
  job->to_run += 1 + (uint64_t)job_site_count(todo) *
                         (uint64_t)job_set_size(&todo->sources, layers) *
                         (uint64_t)job_set_size(&todo->targets, layers);
}

static xt_status find_missing(xt_job *job, xt_store *store, xt_error *error) {
  const size_t layers = (size_t)job->identity.layers;
  bool *have;
  TRY(MEM_ALLOC(&have, layers * layers, error));
  xt_status status = store ? job_find_edited(job, store, error) : XT_STATUS_OK;
  for (size_t i = 0; i < job->count && !status; i++) {
    job->todo[i] = store ? (Todo){0} : job->all;
    job->samples_missing[i] = store ? 0 : (uint32_t)job->options.samples;
    if (store) status = find_one(job, store, i, have, error);
    if (!status) count_work(job, i);
  }
  free(have);
  return status;
}

xt_status xt_job_plan(xt_job *job, xt_store *store, const char *hash, xt_error *error) {
  job->planned = NULL;
  job->present = job->to_run = job->questions_to_run = job->sources_to_run = job->samples_to_run =
      0;
  job->edited_count = 0;
  if (store && (!hash || strlen(hash) >= sizeof job->hash))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "hash", -1, "is no model's");
  if (hash) strcpy(job->hash, hash);
  if (store) TRY(store_check_identity(store, &job->identity, error));
  TRY(find_missing(job, store, error));
  job->planned = store;
  return XT_STATUS_OK;
}

/* ---- what it takes --------------------------------------------------------------------------- */

xt_status job_want(Wanted *w, const xt_job *job, size_t at, size_t count, xt_error *error) {
  const xt_job_options *o = &job->options;
  const Todo *todo = &job->todo[at];
  size_t sites = 0, from = 0, to = 0;
  for (size_t s = 0; s < o->site_count; s++)
    if (todo->sites >> s & 1) w->sites[sites++] = job->sites[s];
  for (int l = 0; l < job->identity.layers; l++) {
    if (todo->sources.has[l]) w->sources[from++] = l;
    if (todo->targets.has[l]) w->targets[to++] = l;
  }
  TRY(job_list_controls(job, todo, at, count, &w->controls, error));
  w->options = (xt_sweep_options){.sites = w->sites,
                                  .site_count = sites,
                                  .source_layers = w->sources,
                                  .source_layer_count = from,
                                  .target_layers = w->targets,
                                  .target_layer_count = to,
                                  .max_new_tokens = o->max_new_tokens,
                                  .ignore_eos = o->ignore_eos,
                                  .repetition_penalty = o->repetition_penalty,
                                  .max_rows = o->max_rows,
                                  .pass_seconds = o->pass_seconds,
                                  .flops_per_second = o->flops_per_second,
                                  .controls = w->controls,
                                  .effects = !o->no_effects};
  return XT_STATUS_OK;
}

size_t job_alike(const xt_job *job, size_t at) {
  size_t n = 1;
  while (at + n < job->count && memcmp(&job->todo[at + n], &job->todo[at], sizeof *job->todo) == 0)
    n++;
  return n;
}

/* Tokens of the prompts that a site needs besides the question's own. */
static size_t control_tokens(const xt_control_input *in) {
  size_t tokens = in->count;
  for (size_t k = 0; k < in->source_count; k++) tokens += in->sources[k].count;
  return tokens;
}

/* The response of a site that shares what is below the lowest layer that it changes. */
static void shared_work(const xt_job *job, int lowest, xt_job_estimate *out) {
  const int layers = job->identity.layers;
  const double layer = job->layer_flops, unembed = job->unembed_flops,
               steps = job->options.max_new_tokens - 1, above = layers - 1 - lowest,
               first = layer * above + unembed;
  if (above < 0) return; /* it changes nothing */
  out->least_flops += first + steps * (layer * above + (above > 0 ? unembed : 0));
  out->most_flops += first + steps * (layer * layers + unembed);
}

/* One that shares nothing. */
static void alone_work(const xt_job *job, size_t question, xt_job_estimate *out) {
  const double steps = job->options.max_new_tokens - 1,
               tokens = (double)job->instances[question].target_count + steps,
               whole = job->layer_flops * job->identity.layers * tokens +
                       job->unembed_flops * (steps + 1);
  out->least_flops += whole;
  out->most_flops += whole;
}

/* The responses of one question. */
static void question_work(const xt_job *job, size_t n, xt_job_estimate *out) {
  const Todo *todo = &job->todo[n];
  const int layers = job->identity.layers;
  const bool follows = n > 0 && job->todo[n - 1].sites;
  size_t tokens = more_prompt_tokens(follows ? &job->instances[n - 1] : NULL, &job->instances[n]);
  for (size_t s = 0; s < job->options.site_count; s++) {
    const xt_site *site = &job->sites[s];
    const xt_control_input *in =
        job->controls ? &job->controls[n * job->options.site_count + s] : NULL;
    if (!(todo->sites >> s & 1)) continue;
    if (in) tokens += control_tokens(in);
    for (int cell = 0; cell < layers * layers; cell++) {
      const int i = cell / layers, j = cell % layers;
      if (!todo->sources.has[i] || !todo->targets.has[j]) continue;
      if (sweep_is_alone(site, in))
        alone_work(job, n, out);
      else
        shared_work(job, sweep_lowest_layer(site, in, layers, i, j), out);
    }
  }
  out->prompt_flops += job->layer_flops * layers * (double)tokens;
}

void job_work(const xt_job *job, xt_job_estimate *out) {
  const int layers = job->identity.layers;
  const double layer = job->layer_flops, unembed = job->unembed_flops,
               steps = job->options.max_new_tokens - 1;
  out->sample_flops = (double)job->samples_to_run * (steps + 1) * (layer * layers + unembed);
  for (size_t n = 0; n < job->count; n++) {
    if (job->samples_missing[n])
      out->sample_flops += layer * layers * (double)job->instances[n].target_count;
    if (job->todo[n].sites) question_work(job, n, out);
  }
}

xt_status xt_job_get_estimate(const xt_job *job, const xt_model *model, double flops_per_second,
                              xt_job_estimate *out, xt_error *error) {
  Wanted wanted;
  *out = (xt_job_estimate){0};
  job_work(job, out);
  for (size_t at = 0, n; at < job->count; at += n) {
    xt_sweep_plan part;
    n = job_alike(job, at);
    if (!job->todo[at].sites) continue;
    TRY(job_want(&wanted, job, at, n, error));
    wanted.options.flops_per_second = flops_per_second;
    const xt_status status =
        xt_sweep_make_plan(model, job->instances + at, n, &wanted.options, &part, error);
    free(wanted.controls);
    TRY(status);
    if (part.instances_together > out->plan.instances_together)
      out->plan.instances_together = part.instances_together;
    if (part.rows_together > out->plan.rows_together) out->plan.rows_together = part.rows_together;
    if (part.bytes > out->plan.bytes) out->plan.bytes = part.bytes;
    out->plan.passes += part.passes;
    out->plan.alone += part.alone;
    out->plan.responses += part.responses;
  }
  return XT_STATUS_OK;
}
