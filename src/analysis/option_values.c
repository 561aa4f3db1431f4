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

/* The mean of the values of several prompts, at each layer. */
static xt_status mean_of(const OptionValues *v, const xt_control_input *in, xt_tap tap, float *out,
                         xt_error *error) {
  const ModelConfig *c = &v->session->model->config;
  const size_t width = (size_t)c->width;
  xt_taps *taps[XT_LABEL_SIZE] = {0}; /* a label has fewer languages than letters */
  const float *values[XT_LABEL_SIZE];
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < in->source_count && !status; k++)
    status = capture(v, in->sources[k].ids, in->sources[k].count, &taps[k], error);
  for (int l = 0; l < c->layers && !status; l++) {
    for (size_t k = 0; k < in->source_count; k++) values[k] = xt_taps_get(taps[k], tap, l);
    sweep_mean_value(values, in->source_count, out + (size_t)l * width, width);
  }
  for (size_t k = 0; k < in->source_count; k++) xt_taps_free(taps[k]);
  return status;
}

/* As sweep_make_values. */
static xt_status make(OptionValues *v, const xt_site *site, const xt_control_input *in, float *out,
                      xt_error *error) {
  const ModelConfig *c = &v->session->model->config;
  const size_t width = (size_t)c->width, layers = (size_t)c->layers;
  if (site->from == XT_FROM_VECTOR || site->control == XT_CONTROL_MEAN) {
    memcpy(out, in->values, layers * width * sizeof *out);
  } else if (site->from == XT_FROM_LANGS) {
    TRY(mean_of(v, in, site->read, out, error));
  } else {
    TRY(capture(v, v->source.ids, v->source.count, &v->taps, error));
    for (size_t l = 0; l < layers; l++)
      memcpy(out + l * width, xt_taps_get(v->taps, site->read, (int)l), width * sizeof *out);
  }
  for (size_t l = 0; l < layers && site->control == XT_CONTROL_RANDOM; l++)
    sweep_random_value(in->seed, site->read, l, out + l * width, width);
  return XT_STATUS_OK;
}

static xt_status prepare_plan(OptionValues *v, const xt_control_input *in, xt_error *error) {
  for (size_t k = 0; k < in->write_count; k++) {
    const xt_plan_write *w = &in->writes[k];
    if (w->site.control == XT_CONTROL_SELF)
      TRY(capture(v, v->target.ids, v->target.count, &v->own, error));
    else if (!w->vector)
      TRY(capture(v, v->source.ids, v->source.count, &v->taps, error));
  }
  return XT_STATUS_OK;
}

xt_status option_values_prepare(OptionValues *v, const OptionRun *run, xt_error *error) {
  const xt_site *site = &run->site;
  if (run->untouched) return XT_STATUS_OK;
  if (site->control == XT_CONTROL_SELF)
    return capture(v, v->target.ids, v->target.count, &v->own, error);
  if (!run->of_job) return capture(v, v->source.ids, v->source.count, &v->taps, error);
  const ModelConfig *c = &v->session->model->config;
  const xt_control_input *in = input_of(v, run);
  OptionMade *made = &v->made[run->job_site];
  if (site->from == XT_FROM_PLAN) return prepare_plan(v, in, error);
  if (site->control == XT_CONTROL_SHUFFLED)
    return capture(v, in->ids, in->count, &made->taps, error);
  if (made->values) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&made->values, (size_t)c->layers * (size_t)c->width, error));
  return make(v, site, in, made->values, error);
}

void option_values_deinit(OptionValues *v) {
  for (size_t s = 0; s < XT_SWEEP_SITES_MOST; s++) {
    free(v->made[s].values);
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
  const float *values; /* [layers][width]; NULL: those of `taps` */
  const xt_taps *taps;
  xt_tap read;
  xt_intervention *list;
  size_t count;
} Listing;

static void add_write(void *user, const xt_intervention *put, int source_layer) {
  Listing *w = user;
  const ModelConfig *c = w->config;
  if (w->list) {
    xt_intervention *one = &w->list[w->count];
    *one = *put;
    if (put->write == XT_TAP_HEADS)
      one->value = xt_taps_get(w->taps, XT_TAP_HEADS, source_layer) +
                   (size_t)put->head * (size_t)c->head_dim;
    else
      one->value = w->values ? w->values + (size_t)source_layer * (size_t)c->width
                             : xt_taps_get(w->taps, w->read, source_layer);
  }
  w->count++;
}

/* Those of a plan whose layers the model has. */
static void list_plan(Listing *w, const OptionValues *v, const OptionRun *run,
                      const xt_control_input *in) {
  const ModelConfig *c = w->config;
  for (size_t k = 0; k < in->write_count; k++) {
    const xt_plan_write *write = &in->writes[k];
    const bool self = write->site.control == XT_CONTROL_SELF;
    const int from = sweep_plan_layer(write->source_base, write->source, run->source, run->target),
              to = sweep_plan_layer(write->target_base, write->target, run->source, run->target);
    w->values = self ? NULL : write->vector;
    w->taps = self ? v->own : v->taps;
    w->read = write->site.read;
    if (from >= 0 && to >= 0)
      xt_site_each_write(&write->site, c->layers, c->heads, from, to, add_write, w);
  }
}

size_t option_values_list(const OptionValues *v, const OptionRun *run, xt_intervention *list) {
  const ModelConfig *c = &v->session->model->config;
  Listing w = {.config = c, .taps = v->taps, .read = run->site.read, .list = list};
  if (run->untouched) return 0;
  if (run->site.from == XT_FROM_PLAN) {
    list_plan(&w, v, run, input_of(v, run));
    return w.count;
  }
  if (run->site.control == XT_CONTROL_SELF)
    w.taps = v->own;
  else if (run->of_job) {
    w.values = v->made[run->job_site].values;
    w.taps = v->made[run->job_site].taps;
  }
  xt_site_each_write(&run->site, c->layers, c->heads, run->source, run->target, add_write, &w);
  return w.count;
}
