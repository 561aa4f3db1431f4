/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/option_values.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sweep/controls.h"

bool option_site_is_plain(const xt_site *s) {
  return s->from == XT_FROM_SOURCE &&
         (s->control == XT_CONTROL_NONE || s->control == XT_CONTROL_SELF);
}

/* What the job has for a run's site and the question. */
static const xt_control_input *input_of(const OptionValues *v, const OptionRun *run) {
  return &v->job->controls[v->question * v->job->options.site_count + run->job_site];
}

/* ---- values ---------------------------------------------------------------------------------- */

static xt_status capture(const OptionValues *v, const int32_t *ids, size_t count, xt_taps **taps,
                         xt_error *error) {
  if (*taps) return XT_STATUS_OK;
  return xt_session_capture(v->session, &(xt_request){.ids = ids, .count = count}, taps, error);
}

/* The mean of the values of several prompts, at each layer, of `size` floats. */
static xt_status mean_of(const OptionValues *v, const xt_control_input *in, xt_tap tap, size_t size,
                         float *out, xt_error *error) {
  xt_taps *taps[XT_LABEL_SIZE] = {0}; /* a label has fewer languages than letters */
  const float *values[XT_LABEL_SIZE];
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < in->source_count && !status; k++)
    status = capture(v, in->sources[k].ids, in->sources[k].count, &taps[k], error);
  for (int l = 0; l < v->session->model->config.layers && !status; l++) {
    for (size_t k = 0; k < in->source_count; k++) values[k] = xt_taps_get(taps[k], tap, l);
    sweep_mean_value(values, in->source_count, out + (size_t)l * size, size);
  }
  for (size_t k = 0; k < in->source_count; k++) xt_taps_free(taps[k]);
  return status;
}

/* As sweep_make_values. */
static xt_status make(OptionValues *v, const xt_site *site, xt_tap tap, const xt_control_input *in,
                      float *out, xt_error *error) {
  const size_t layers = (size_t)v->session->model->config.layers;
  const TapShape shape = sweep_tap_shape(&v->session->model->config, tap);
  const size_t size = shape.parts * shape.width;
  if (site->from == XT_FROM_VECTOR || site->control == XT_CONTROL_MEAN) {
    const float *given = site->from == XT_FROM_VECTOR ? in->values : in->means[tap];
    memcpy(out, given, layers * size * sizeof *out);
  } else if (site->from == XT_FROM_LANGS) {
    TRY(mean_of(v, in, tap, size, out, error));
  } else {
    TRY(capture(v, v->source.ids, v->source.count, &v->taps, error));
    memcpy(out, xt_taps_get(v->taps, tap, 0), layers * size * sizeof *out);
  }
  for (size_t l = 0; l < layers && site->control == XT_CONTROL_RANDOM; l++)
    sweep_random_values(in->seed, tap, l, out + l * size, shape.parts, shape.width);
  return XT_STATUS_OK;
}

/* Random ones in place of a plan's vectors. */
static xt_status draw_vectors(const OptionValues *v, const xt_control_input *in, float **out,
                              xt_error *error) {
  const ModelConfig *c = &v->session->model->config;
  const size_t layers = (size_t)c->layers, width = (size_t)c->width;
  TRY(MEM_ALLOC(out, in->write_count * layers * width, error));
  for (size_t k = 0; k < in->write_count; k++) {
    const xt_plan_write *w = &in->writes[k];
    float *own = *out + k * layers * width;
    if (w->vector) memcpy(own, w->vector, layers * width * sizeof *own);
    for (size_t l = 0; l < layers && w->vector; l++)
      sweep_random_values(in->seed, w->site.read, l, own + l * width, 1, width);
  }
  return XT_STATUS_OK;
}

/* What a plan takes besides the values that a control has made. */
static xt_status prepare_plan(OptionValues *v, const xt_site *site, const xt_control_input *in,
                              OptionMade *made, xt_error *error) {
  if (site->control == XT_CONTROL_RANDOM && !made->vectors)
    TRY(draw_vectors(v, in, &made->vectors, error));
  for (size_t k = 0; k < in->write_count; k++)
    if (in->writes[k].site.control == XT_CONTROL_SELF || site->control == XT_CONTROL_SELF)
      TRY(capture(v, v->target.ids, v->target.count, &v->own, error));
    else if (sweep_takes_source(&in->writes[k]) && site->control == XT_CONTROL_NONE)
      TRY(capture(v, v->source.ids, v->source.count, &v->taps, error));
  return XT_STATUS_OK;
}

xt_status option_values_prepare(OptionValues *v, const OptionRun *run, xt_error *error) {
  const xt_site *site = &run->site;
  if (run->untouched) return XT_STATUS_OK;
  if (site->control == XT_CONTROL_SELF && site->from != XT_FROM_PLAN)
    return capture(v, v->target.ids, v->target.count, &v->own, error);
  if (!run->of_job) return capture(v, v->source.ids, v->source.count, &v->taps, error);
  const size_t layers = (size_t)v->session->model->config.layers;
  const xt_control_input *in = input_of(v, run);
  OptionMade *made = &v->made[run->job_site];
  const unsigned taps = sweep_is_made(site) ? sweep_source_taps(site, in) : 0;
  if (site->from == XT_FROM_PLAN) TRY(prepare_plan(v, site, in, made, error));
  if (site->control == XT_CONTROL_SHUFFLED)
    return capture(v, in->ids, in->count, &made->taps, error);
  for (xt_tap tap = 0; tap <= XT_TAP_HEADS; tap++) {
    const TapShape shape = sweep_tap_shape(&v->session->model->config, tap);
    if (made->values[tap] || !(taps >> tap & 1)) continue;
    TRY(MEM_ALLOC(&made->values[tap], layers * shape.parts * shape.width, error));
    TRY(make(v, site, tap, in, made->values[tap], error));
  }
  return XT_STATUS_OK;
}

void option_values_deinit(OptionValues *v) {
  for (size_t s = 0; s < XT_SWEEP_SITES_MOST; s++) {
    for (int tap = 0; tap <= XT_TAP_HEADS; tap++) free(v->made[s].values[tap]);
    free(v->made[s].vectors);
    xt_taps_free(v->made[s].taps);
  }
  free(v->source.ids);
  free(v->target.ids);
  xt_taps_free(v->taps);
  xt_taps_free(v->own);
}

/* ---- interventions --------------------------------------------------------------------------- */

/* Where the interventions of a transplant are listed; list NULL: they are counted. */
typedef struct Listing {
  const ModelConfig *config;
  const float *values; /* [layers][width of the tap] */
  xt_intervention *list;
  size_t count;
} Listing;

static void add_write(void *user, const xt_intervention *put, int source_layer) {
  Listing *w = user;
  const ModelConfig *c = w->config;
  if (w->list) {
    xt_intervention *one = &w->list[w->count];
    *one = *put;
    one->value =
        put->write == XT_TAP_HEADS
            ? w->values + (size_t)(source_layer * c->heads + put->head) * (size_t)c->head_dim
            : w->values + (size_t)source_layer * (size_t)c->width;
  }
  w->count++;
}

/* Those of a tap that a site takes of the source prompt, or what its control has in their place. */
static const float *source_values(const OptionValues *v, const OptionRun *run, xt_tap tap) {
  const OptionMade *made = &v->made[run->job_site];
  if (run->site.control == XT_CONTROL_SELF) return xt_taps_get(v->own, tap, 0);
  if (run->of_job && sweep_is_made(&run->site)) return made->values[tap];
  return xt_taps_get(run->site.control == XT_CONTROL_SHUFFLED ? made->taps : v->taps, tap, 0);
}

/* Those that write k of a plan takes. */
static const float *write_values(const OptionValues *v, const OptionRun *run,
                                 const xt_plan_write *write, size_t k) {
  const xt_tap tap = sweep_read_tap(&write->site);
  const ModelConfig *c = &v->session->model->config;
  if (sweep_takes_source(write)) return source_values(v, run, tap);
  if (write->site.control == XT_CONTROL_SELF || run->site.control == XT_CONTROL_SELF)
    return xt_taps_get(v->own, tap, 0);
  if (run->site.control == XT_CONTROL_RANDOM)
    return v->made[run->job_site].vectors + k * (size_t)c->layers * (size_t)c->width;
  return write->vector;
}

/* Those of a plan whose layers the model has. */
static void list_plan(Listing *w, const OptionValues *v, const OptionRun *run,
                      const xt_control_input *in) {
  const ModelConfig *c = w->config;
  for (size_t k = 0; k < in->write_count; k++) {
    const xt_plan_write *write = &in->writes[k];
    const int from = sweep_plan_layer(write->source_base, write->source, run->source, run->target),
              to = sweep_plan_layer(write->target_base, write->target, run->source, run->target);
    w->values = write_values(v, run, write, k);
    if (from >= 0 && to >= 0)
      xt_site_each_write(&write->site, c->layers, c->heads, from, to, add_write, w);
  }
}

size_t option_values_list(const OptionValues *v, const OptionRun *run, xt_intervention *list) {
  const ModelConfig *c = &v->session->model->config;
  Listing w = {.config = c, .list = list};
  if (run->untouched) return 0;
  if (run->site.from == XT_FROM_PLAN) {
    list_plan(&w, v, run, input_of(v, run));
    return w.count;
  }
  w.values = source_values(v, run, sweep_read_tap(&run->site));
  xt_site_each_write(&run->site, c->layers, c->heads, run->source, run->target, add_write, &w);
  return w.count;
}
