/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a sweep that share nothing with others: those that change the inner tokens of their
 * prompt, whose keys and values are therefore their own. Each is a request of its own. */
#include <stdlib.h>

#include "base/mem.h"
#include "model/flops.h"
#include "sweep/controls.h"

typedef struct Alone {
  int instance, site, source, target;
} Alone;

/* Some of the rows, which run together. */
typedef struct Chunk {
  Group *group;
  const float *taps, *heads;
  Alone *rows;
  xt_request *requests;
  xt_intervention *interventions; /* [rows][edits_most] */
  xt_generation *generations;
  int count, most;
  double growing; /* unfinished responses, as sweep_pause counts them */
  xt_status paused;
  xt_error why;
} Chunk;

/* Operations of a row of an instance, its prompt included. */
static double alone_flops(const xt_model *m, const SweepConfig *c, const xt_instance *instance) {
  return flops_layer(&m->config) * m->config.layers * (double)(instance->target_count - 1) +
         sweep_row_flops(m, c);
}

/* Called between steps and between the pieces of a prompt. */
static bool pause(void *user) {
  Chunk *k = user;
  k->paused = sweep_pause(k->group, k->growing, &k->why);
  return k->paused != XT_STATUS_OK;
}

static void grow(void *user, double requests) { ((Chunk *)user)->growing = requests; }

/* Where a site's values are: one prompt's, or, where it is below 0, `made`, [layers][width]. */
typedef struct Values {
  int prompt;
  const float *made;
  size_t stride; /* floats from one layer of `made` to the next */
} Values;

/* Where the writes of a site are appended, and their values are. */
typedef struct Writing {
  const Chunk *chunk;
  xt_request *request;
  const xt_site *site;
  Values values;
} Writing;

static void add_write(void *user, const xt_intervention *put, int source_layer) {
  const Writing *w = user;
  const Chunk *k = w->chunk;
  const ModelConfig *c = &k->group->session->model->config;
  xt_intervention *list = (xt_intervention *)(uintptr_t)w->request->interventions,
                  *one = &list[w->request->intervention_count++];
  const int prompt = w->values.prompt;
  *one = *put;
  if (put->write == XT_TAP_HEADS)
    one->value = k->heads + (size_t)sweep_head_index(k->group, source_layer, prompt, put->head) *
                                (size_t)c->head_dim;
  else if (w->values.made)
    one->value = w->values.made + (size_t)source_layer * w->values.stride;
  else
    one->value = k->taps + (size_t)sweep_tap_index(k->group, w->site->read, source_layer, prompt) *
                               (size_t)c->width;
}

/* Appends what a site writes from layer `source` into layer `target`. */
static void add_writes(const Chunk *k, xt_request *request, const xt_site *site, Values values,
                       int source, int target) {
  const ModelConfig *c = &k->group->session->model->config;
  Writing w = {k, request, site, values};
  xt_site_each_write(site, c->layers, c->heads, source, target, add_write, &w);
}

static int layer_of(xt_layer_base base, int layer, const Alone *row) {
  return layer + (base == XT_LAYER_SOURCE   ? row->source
                  : base == XT_LAYER_TARGET ? row->target
                                            : 0);
}

/* The writes of a plan, those whose layers the model has. */
static void add_plan(const Chunk *k, xt_request *request, const Alone *row) {
  const Group *g = k->group;
  const ModelConfig *c = &g->session->model->config;
  const xt_control_input *in =
      sweep_control_input(g->config, g->first + (size_t)row->instance, row->site);
  for (size_t w = 0; w < in->write_count; w++) {
    const xt_plan_write *write = &in->writes[w];
    const int source = layer_of(write->source_base, write->source, row),
              target = layer_of(write->target_base, write->target, row);
    const bool own = write->site.control == XT_CONTROL_SELF;
    const Values values = {.prompt = (own ? g->target_prompt : g->source_prompt)[row->instance],
                           .made = own ? NULL : write->vector,
                           .stride = (size_t)c->width};
    if (source >= 0 && target >= 0) add_writes(k, request, &write->site, values, source, target);
  }
}

/* Makes the request of row n. */
static void make_request(Chunk *k, int n) {
  const Group *g = k->group;
  const Alone *row = &k->rows[n];
  const xt_instance *in = &g->instances[row->instance];
  const xt_site *site = &g->config->options->sites[row->site];
  const size_t width = (size_t)g->session->model->config.width;
  const int prompt = g->value_prompt[row->instance * g->config->site_count + row->site];
  Values values = {.prompt = prompt};
  k->requests[n] =
      (xt_request){.ids = in->target,
                   .count = in->target_count,
                   .interventions = k->interventions + (size_t)n * (size_t)g->config->edits_most};
  if (site->from == XT_FROM_PLAN) {
    add_plan(k, &k->requests[n], row);
    return;
  }
  if (prompt < 0) {
    values.made = k->taps + (size_t)sweep_value_index(g, row->instance, row->site, 0) * width;
    values.stride = (size_t)g->count * width;
  }
  add_writes(k, &k->requests[n], site, values, row->source, row->target);
}

static xt_status hand_out(Chunk *k, xt_error *error) {
  Group *g = k->group;
  for (int n = 0; n < k->count; n++) {
    const Alone *row = &k->rows[n];
    const xt_generation *out = &k->generations[n];
    const int layers = g->session->model->config.layers;
    const xt_sweep_response response = {.instance = g->first + (size_t)row->instance,
                                        .site = row->site,
                                        .source_layer = row->source,
                                        .target_layer = row->target,
                                        .generation = out};
    const uint64_t row_layers = (out->count - 1) * (uint64_t)layers;
    g->stats->responses++;
    g->stats->tokens += out->count;
    g->stats->row_layers += row_layers;
    g->stats->row_layers_alone += row_layers;
    g->stats->flops += alone_flops(g->session->model, g->config, &g->instances[row->instance]);
    TRY(g->done(g->user, &response, error));
  }
  return XT_STATUS_OK;
}

static xt_status run_chunk(Chunk *k, xt_error *error) {
  Group *g = k->group;
  const xt_sweep_options *o = g->config->options;
  const xt_generate_options options = {.max_new_tokens = g->config->max_new,
                                       .ignore_eos = o->ignore_eos,
                                       .repetition_penalty = o->repetition_penalty,
                                       .cancel = pause,
                                       .progress = grow,
                                       .user = k};
  if (!k->count) return XT_STATUS_OK;
  xt_status status = sweep_pause(g, 0, error);
  if (!status)
    status = xt_session_generate(g->session, k->requests, (size_t)k->count, &options,
                                 k->generations, error);
  g->session->cancel = o->cancel; /* which generating has set */
  g->session->cancel_user = o->user;
  if (k->paused && error) *error = k->why;
  if (!status) status = hand_out(k, error);
  for (int n = 0; n < k->count; n++) xt_generation_deinit(&k->generations[n]);
  k->count = 0;
  k->growing = 0;
  return status;
}

/* Rows that take about as long as a pass may. */
static int chunk_rows(const Group *g) {
  const SweepConfig *c = g->config;
  double longest = 0;
  for (int w = 0; w < g->count; w++) {
    const double flops = alone_flops(g->session->model, c, &g->instances[w]);
    if (flops > longest) longest = flops;
  }
  const double rows = c->speed > 0 ? c->pass_seconds * c->speed / longest : SWEEP_LEAST_ROWS;
  const int most = c->options->max_rows > 0 ? c->options->max_rows : SWEEP_DEFAULT_ROWS;
  return rows < 1 ? 1 : rows < most ? (int)rows : most;
}

static xt_status run_instance(Chunk *k, int instance, xt_error *error) {
  const SweepConfig *c = k->group->config;
  for (int s = 0; s < c->site_count; s++)
    for (int t = 0; t < c->target_count && sweep_is_alone(&c->options->sites[s]); t++)
      for (int i = 0; i < c->source_count; i++) {
        k->rows[k->count] = (Alone){instance, s, c->sources[i], c->targets[t]};
        make_request(k, k->count++);
        if (k->count == k->most) TRY(run_chunk(k, error));
      }
  return XT_STATUS_OK;
}

xt_status sweep_run_alone(Group *g, const float *taps, const float *heads, xt_error *error) {
  Chunk k = {.group = g, .taps = taps, .heads = heads, .most = chunk_rows(g)};
  const size_t most = (size_t)k.most;
  xt_status status = XT_STATUS_OK;
  TRY_DONE(ARENA_ALLOC(&g->arena, &k.rows, most, error));
  TRY_DONE(ARENA_ALLOC(&g->arena, &k.requests, most, error));
  TRY_DONE(ARENA_ALLOC(&g->arena, &k.generations, most, error));
  TRY_DONE(ARENA_ALLOC(&g->arena, &k.interventions, most * (size_t)g->config->edits_most, error));
  for (int w = 0; w < g->count && !status; w++) status = run_instance(&k, w, error);
  if (!status) status = run_chunk(&k, error);
done:
  return status;
}
