/* SPDX-License-Identifier: Apache-2.0 */
/* What the responses of a site write, and where: one transplant, or those of a plan. */
#include "sweep/row_writes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool sweep_is_alone(const xt_site *site, const xt_control_input *in) {
  if (site->from != XT_FROM_PLAN) return site->positions == XT_POSITIONS_ALL;
  for (size_t w = 0; w < in->write_count; w++)
    if (in->writes[w].site.positions == XT_POSITIONS_ALL) return true;
  return false;
}

void sweep_measure_plans(SweepConfig *c, size_t count) {
  const xt_sweep_options *o = c->options;
  for (size_t k = 0; o->controls && k < count * o->site_count; k++) {
    const xt_control_input *in = &o->controls[k];
    const size_t s = k % o->site_count;
    int edits = 0;
    if (o->sites[s].from != XT_FROM_PLAN) continue;
    for (size_t w = 0; w < in->write_count; w++) {
      const int heads = site_heads(&in->writes[w].site);
      c->heads = c->heads || heads;
      edits += (in->writes[w].site.span > 1 ? in->writes[w].site.span : 1) * (heads ? heads : 1);
    }
    if (edits > c->edits_most) c->edits_most = edits;
    if (c->alone[s] || !sweep_is_alone(&o->sites[s], in)) continue;
    c->alone[s] = true;
    c->alone_count++;
  }
}

int sweep_lowest_layer(const xt_site *site, const xt_control_input *in, int layers, int source,
                       int target) {
  int lowest = layers;
  if (site->from != XT_FROM_PLAN) return target;
  for (size_t k = 0; k < in->write_count; k++) {
    const xt_plan_write *w = &in->writes[k];
    const int from = sweep_plan_layer(w->source_base, w->source, source, target),
              to = sweep_plan_layer(w->target_base, w->target, source, target);
    if (from >= 0 && from < layers && to >= 0 && to < lowest) lowest = to;
  }
  return lowest;
}

/* ---- vectors of plans ------------------------------------------------------------------------ */

/* Layers of a write's vector that it can read. */
static int vector_rows(const xt_plan_write *w, int layers) {
  const int span = w->site.span > 1 ? w->site.span : 1;
  if (!w->vector || w->site.control == XT_CONTROL_SELF) return 0;
  if (w->source_base != XT_LAYER_FIXED) return layers;
  return span < layers - w->source ? span : layers - w->source;
}

/* What an instance's plan writes; NULL: the site is none. */
static const xt_control_input *plan_of(const SweepConfig *c, size_t instance, int site) {
  return c->options->sites[site].from == XT_FROM_PLAN ? sweep_control_input(c, instance, site)
                                                      : NULL;
}

/* Whether the plan of an instance writes the vectors of the instance before it, if that is at least
 * `first`. Random ones are of one instance each. */
static bool plan_is_shared(const SweepConfig *c, size_t first, size_t instance, int site) {
  return instance > first && c->options->sites[site].control != XT_CONTROL_RANDOM &&
         plan_of(c, instance, site)->writes == plan_of(c, instance - 1, site)->writes &&
         plan_of(c, instance, site)->write_count == plan_of(c, instance - 1, site)->write_count;
}

static size_t plan_rows(const xt_control_input *plan, int layers) {
  size_t rows = 0;
  for (size_t w = 0; w < plan->write_count; w++)
    rows += (size_t)vector_rows(&plan->writes[w], layers);
  return rows;
}

uint64_t sweep_vector_rows(const SweepConfig *c, int layers, size_t first, size_t instance) {
  uint64_t rows = 0;
  for (int s = 0; s < c->site_count; s++)
    if (plan_of(c, instance, s) && !plan_is_shared(c, first, instance, s))
      rows += plan_rows(plan_of(c, instance, s), layers);
  return rows;
}

void sweep_place_vectors(Group *g) {
  const SweepConfig *c = g->config;
  const size_t sites = (size_t)c->site_count, begin = sweep_tap_rows(g) + sweep_made_rows(g);
  for (size_t w = 0; w < (size_t)g->count; w++)
    for (size_t s = 0; s < sites; s++) {
      const xt_control_input *plan = plan_of(c, g->first + w, (int)s);
      int32_t *at = &g->plan_vectors[w * sites + s];
      if (!plan) continue;
      if (plan_is_shared(c, g->first, g->first + w, (int)s)) {
        *at = at[-(ptrdiff_t)sites];
        continue;
      }
      *at = (int32_t)(begin + g->vector_rows);
      g->vector_rows += plan_rows(plan, g->session->model->config.layers);
    }
}

/* The rows of a write's vector, or under a control of random ones, from row `at` on. */
static xt_status upload_vector(const Group *g, const xt_plan_write *w, size_t rows, size_t at,
                               const uint64_t *random, xt_error *error) {
  Backend *be = g->session->backend;
  const size_t width = (size_t)g->session->model->config.width,
               from = w->source_base ? 0 : (size_t)w->source;
  float *drawn = NULL;
  if (!rows) return XT_STATUS_OK;
  if (random) {
    TRY(MEM_ALLOC(&drawn, rows * width, error));
    memcpy(drawn, w->vector + from * width, rows * width * sizeof *drawn);
    for (size_t r = 0; r < rows; r++)
      sweep_random_values(*random, w->site.read, from + r, drawn + r * width, 1, width);
  }
  be->ops->upload(be, dev_at(g->taps, at * width), drawn ? drawn : w->vector + from * width,
                  rows * width * sizeof *drawn);
  free(drawn);
  return XT_STATUS_OK;
}

xt_status sweep_upload_vectors(const Group *g, xt_error *error) {
  const SweepConfig *c = g->config;
  for (int k = 0; k < g->count * c->site_count; k++) {
    const int site = k % c->site_count;
    const size_t instance = g->first + (size_t)(k / c->site_count);
    const xt_control_input *plan = plan_of(c, instance, site);
    const bool random = c->options->sites[site].control == XT_CONTROL_RANDOM;
    size_t at = (size_t)g->plan_vectors[k];
    if (!plan || plan_is_shared(c, g->first, instance, site)) continue;
    for (size_t w = 0; w < plan->write_count; w++) {
      const size_t rows = (size_t)vector_rows(&plan->writes[w], g->session->model->config.layers);
      TRY(upload_vector(g, &plan->writes[w], rows, at, random ? &plan->seed : NULL, error));
      at += rows;
    }
  }
  return XT_STATUS_OK;
}

/* ---- one response ---------------------------------------------------------------------------- */

/* The interventions of one transplant, and where their values are. */
typedef struct Writing {
  const Group *group;
  ValueRows rows;
  void (*put)(void *user, const xt_intervention *put, int32_t value);
  void *user;
} Writing;

static void put_one(void *user, const xt_intervention *put, int source_layer) {
  const Writing *w = user;
  const int32_t row = w->rows.first + source_layer * w->rows.step;
  w->put(w->user, put,
         put->write == XT_TAP_HEADS ? row * w->group->session->model->config.heads + put->head
                                    : row);
}

/* Where the values of a plan's write are; its vector's rows begin at row `vector`. */
static ValueRows rows_of_write(const Group *g, const xt_plan_write *write, int instance, int site,
                               int32_t vector) {
  const xt_tap tap = sweep_read_tap(&write->site);
  const xt_control control = g->config->options->sites[site].control;
  if (sweep_takes_source(write)) return sweep_value_rows(g, instance, site, tap);
  if (write->site.control == XT_CONTROL_SELF || control == XT_CONTROL_SELF)
    return sweep_prompt_rows(g, tap, g->target_prompt[instance]);
  return (ValueRows){vector - (write->source_base ? 0 : write->source), 1};
}

/* Those of a plan whose layers the model has. `w` says the group and whom to call. */
static void each_of_plan(Writing *w, int instance, int site, int source, int target) {
  const Group *g = w->group;
  const ModelConfig *c = &g->session->model->config;
  const xt_control_input *plan = plan_of(g->config, g->first + (size_t)instance, site);
  int32_t at = g->plan_vectors[instance * g->config->site_count + site];
  for (size_t k = 0; k < plan->write_count; k++) {
    const xt_plan_write *write = &plan->writes[k];
    const int from = sweep_plan_layer(write->source_base, write->source, source, target),
              to = sweep_plan_layer(write->target_base, write->target, source, target);
    w->rows = rows_of_write(g, write, instance, site, at);
    at += vector_rows(write, c->layers);
    if (from >= 0 && to >= 0)
      xt_site_each_write(&write->site, c->layers, c->heads, from, to, put_one, w);
  }
}

void sweep_each_write(const Group *g, int instance, int site, int source, int target,
                      void (*put)(void *user, const xt_intervention *put, int32_t value),
                      void *user) {
  const ModelConfig *c = &g->session->model->config;
  const xt_site *one = &g->config->options->sites[site];
  Writing w = {.group = g, .put = put, .user = user};
  if (one->from == XT_FROM_PLAN) {
    each_of_plan(&w, instance, site, source, target);
    return;
  }
  w.rows = sweep_value_rows(g, instance, site, sweep_read_tap(one));
  xt_site_each_write(one, c->layers, c->heads, source, target, put_one, &w);
}
