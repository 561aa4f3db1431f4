/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a sweep that share nothing with others: those that change the inner tokens of their
 * prompt, whose keys and values are therefore their own. Each is a request of its own. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/generate.h"
#include "model/flops.h"
#include "sweep/row_writes.h"

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
  RowQuestion *questions; /* with effects */
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

/* Where the writes of a row are appended. */
typedef struct Writing {
  const Chunk *chunk;
  xt_intervention *list;
  size_t count;
} Writing;

static void add_write(void *user, const xt_intervention *put, int32_t value) {
  Writing *w = user;
  const Chunk *k = w->chunk;
  const ModelConfig *c = &k->group->session->model->config;
  xt_intervention *one = &w->list[w->count++];
  *one = *put;
  one->value = put->write == XT_TAP_HEADS ? k->heads + (size_t)value * (size_t)c->head_dim
                                          : k->taps + (size_t)value * (size_t)c->width;
}

/* Makes the request of row n. */
static void make_request(Chunk *k, int n) {
  const Group *g = k->group;
  const Alone *row = &k->rows[n];
  const xt_instance *in = &g->instances[row->instance];
  Writing w = {.chunk = k, .list = k->interventions + (size_t)n * (size_t)g->config->edits_most};
  sweep_each_write(g, row->instance, row->site, row->source, row->target, add_write, &w);
  k->requests[n] = (xt_request){.ids = in->target,
                                .count = in->target_count,
                                .interventions = w.list,
                                .intervention_count = w.count};
  if (g->config->options->effects) k->questions[n] = sweep_question(g, row->instance);
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
  const Compared compared = {.references = &g->references, .questions = k->questions};
  if (!k->count) return XT_STATUS_OK;
  xt_status status = sweep_pause(g, 0, error);
  if (!status)
    status = generate_compared(g->session, k->requests, (size_t)k->count, &options,
                               o->effects ? &compared : NULL, k->generations, error);
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
    for (int t = 0; t < c->target_count && c->alone[s]; t++)
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
  TRY_DONE(ARENA_ALLOC(&g->arena, &k.questions, most, error));
  TRY_DONE(ARENA_ALLOC(&g->arena, &k.interventions, most * (size_t)g->config->edits_most, error));
  for (int w = 0; w < g->count && !status; w++) status = run_instance(&k, w, error);
  if (!status) status = run_chunk(&k, error);
done:
  return status;
}
