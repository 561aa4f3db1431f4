/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep/controls.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* Languages of a label. */
static int label_parts(const char *label) {
  int n = 1;
  for (; *label; label++) n += *label == '.';
  return n;
}

int sweep_more_prompts(const xt_site *s) {
  if (s->control == XT_CONTROL_SHUFFLED) return 1;
  const bool own = s->control == XT_CONTROL_NONE || s->control == XT_CONTROL_RANDOM;
  return own && s->from == XT_FROM_LANGS ? label_parts(s->label) : 0;
}

static xt_prompt_ids more_of_site(const xt_site *site, const xt_control_input *in, int k) {
  if (site->control != XT_CONTROL_SHUFFLED) return in->sources[k];
  return (xt_prompt_ids){in->ids, in->count};
}

xt_prompt_ids sweep_more_prompt(const SweepConfig *c, size_t instance, int k) {
  int s = 0;
  for (int n; k >= (n = sweep_more_prompts(&c->options->sites[s])); s++) k -= n;
  return more_of_site(&c->options->sites[s], sweep_control_input(c, instance, s), k);
}

/* Whether a site needs an xt_control_input. */
static bool needs_input(const xt_site *site) {
  return site->control > XT_CONTROL_SELF ||
         (site->control == XT_CONTROL_NONE && site->from != XT_FROM_SOURCE);
}

static xt_status check_write(const xt_model *m, const xt_plan_write *w, xt_error *error) {
  const int layers = m->config.layers;
  const bool fixed = (w->source_base || (w->source >= 0 && w->source < layers)) &&
                     (w->target_base || (w->target >= 0 && w->target < layers));
  TRY(site_check(&w->site, error));
  TRY(site_check_heads(&w->site, &m->config, error));
  if (w->site.from == XT_FROM_LANGS || w->site.from == XT_FROM_PLAN ||
      w->site.control > XT_CONTROL_SELF || (w->site.from == XT_FROM_VECTOR) != (w->vector != NULL))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "plans", -1,
                   "write something other than the source's or target's value or a vector");
  if ((unsigned)w->source_base > XT_LAYER_TARGET || (unsigned)w->target_base > XT_LAYER_TARGET ||
      !fixed || w->source < -layers || w->source > layers || w->target < -layers ||
      w->target > layers)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "plans", -1,
                   "have a layer that is out of range: the model has layers 0 to %d", layers - 1);
  if (w->site.write == XT_TAP_MID && m->config.parallel)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "plans", -1,
                   "write at mid, which %s does not have", m->config.architecture);
  return XT_STATUS_OK;
}

static xt_status check_writes(const xt_model *m, const xt_control_input *in, size_t instance,
                              xt_error *error) {
  if (!in->writes || !in->write_count || in->write_count > XT_PLAN_WRITES_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1,
                   "have no writes for the plan of instance %zu, or more than %d", instance,
                   XT_PLAN_WRITES_MOST);
  for (size_t k = 0; k < in->write_count; k++) TRY(check_write(m, &in->writes[k], error));
  return XT_STATUS_OK;
}

static xt_status check_input(const xt_model *m, const xt_site *site, const xt_control_input *in,
                             size_t instance, bool values, xt_error *error) {
  const int more = sweep_more_prompts(site);
  const bool vector = site->from == XT_FROM_VECTOR;
  if (site->from == XT_FROM_PLAN) return check_writes(m, in, instance, error);
  if (site->control != XT_CONTROL_SHUFFLED && more && in->source_count != (size_t)more)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1,
                   "have %zu source prompts for instance %zu, and the site names %d languages",
                   in->source_count, instance, more);
  for (int k = 0; k < more; k++) {
    const xt_prompt_ids one = more_of_site(site, in, k);
    const xt_request other = {.ids = one.ids, .count = one.count};
    TRY(request_check(m, &other, instance, 1, error));
  }
  if ((site->control == XT_CONTROL_MEAN || vector) && values && !in->values)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1,
                   "have no values for the %s of instance %zu", vector ? "vector" : "mean",
                   instance);
  return XT_STATUS_OK;
}

xt_status sweep_check_controls(const xt_model *m, const xt_sweep_options *o, size_t count,
                               bool values, xt_error *error) {
  char name[XT_SITE_NAME_SIZE];
  for (size_t s = 0; s < o->site_count; s++) {
    if (!needs_input(&o->sites[s])) continue;
    if (!o->controls)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1, "are missing for %s",
                     xt_site_format(o->sites[s], name));
    for (size_t i = 0; i < count; i++)
      TRY(check_input(m, &o->sites[s], &o->controls[i * o->site_count + s], i, values, error));
  }
  return XT_STATUS_OK;
}

uint64_t sweep_control_tokens(const SweepConfig *c, size_t instance) {
  uint64_t tokens = 0;
  for (int k = 0; k < c->controls.prompts; k++) tokens += sweep_more_prompt(c, instance, k).count;
  return tokens;
}

/* What is made instead of read has no prompt: -1 for the first such site, -2 for the second, and so
 * on. */
void sweep_value_prompts(Group *g) {
  const int sites = g->config->site_count;
  for (int w = 0; w < g->count; w++) {
    const int *more = g->more_prompts + w * g->config->controls.prompts;
    int made = 0;
    for (int s = 0; s < sites; s++) {
      const xt_site *site = &g->config->options->sites[s];
      g->value_prompt[w * sites + s] = sweep_is_made(site)                    ? -++made
                                       : site->control == XT_CONTROL_SELF     ? g->target_prompt[w]
                                       : site->control == XT_CONTROL_SHUFFLED ? *more
                                                                              : g->source_prompt[w];
      more += sweep_more_prompts(site);
    }
  }
}

static int32_t made_index(const Group *g, int made, int layer, int instance) {
  const int layers = g->session->model->config.layers;
  return (int32_t)sweep_tap_rows(g) + (made * layers + layer) * g->count + instance;
}

int32_t sweep_value_index(const Group *g, int instance, int site, int layer) {
  const int prompt = g->value_prompt[instance * g->config->site_count + site];
  return prompt < 0 ? made_index(g, -1 - prompt, layer, instance)
                    : sweep_tap_index(g, g->config->options->sites[site].read, layer, prompt);
}

static double norm_of(const float *value, size_t width) {
  double sum = 0;
  for (size_t c = 0; c < width; c++) sum += (double)value[c] * (double)value[c];
  return sqrt(sum);
}

void sweep_random_value(uint64_t seed, xt_tap read, size_t layer, float *value, size_t width) {
  /* the stream of the tap and layer begins with number `place`, from 0, of the seed's */
  const uint64_t place = XT_TAP_COUNT * layer + (size_t)read;
  const double norm = norm_of(value, width);
  Rng rng = {seed + place * RNG_STEP};
  rng.state = rng_next(&rng);
  for (size_t c = 0; c < width; c++) value[c] = (float)(__builtin_popcountll(rng_next(&rng)) - 32);
  const double length = norm_of(value, width);
  for (size_t c = 0; c < width && length > 0; c++)
    value[c] = (float)((double)value[c] * (norm / length));
}

void sweep_mean_value(const float *const *values, size_t count, float *out, size_t width) {
  for (size_t c = 0; c < width; c++) {
    double sum = 0;
    for (size_t k = 0; k < count; k++) sum += (double)values[k][c];
    out[c] = (float)(sum / (double)count);
  }
}

/* The mean of rows of `taps` [prompts][width] of an instance, for a site with several languages. */
static void mean_of_prompts(const float *taps, const int *prompts, int count, float *out,
                            size_t width) {
  const float *values[XT_LABEL_SIZE]; /* a label has fewer languages than letters */
  for (int k = 0; k < count; k++) values[k] = taps + (size_t)prompts[k] * width;
  sweep_mean_value(values, (size_t)count, out, width);
}

/* Values of one site: [layers][instances][width]. `taps` [layers][prompts][width]: of its tap.
 * `more`: where an instance's prompts for the site begin among its others. */
static void make_site(const Group *g, int s, int more, const float *taps, float *out) {
  const ModelConfig *c = &g->session->model->config;
  const xt_site *site = &g->config->options->sites[s];
  const size_t width = (size_t)c->width, prompts = (size_t)g->prompt_count;
  for (size_t l = 0; l < (size_t)c->layers; l++, taps += prompts * width)
    for (int w = 0; w < g->count; w++, out += width) {
      const xt_control_input *in = sweep_control_input(g->config, g->first + (size_t)w, s);
      if (site->from == XT_FROM_VECTOR || site->control == XT_CONTROL_MEAN)
        memcpy(out, in->values + l * width, width * sizeof *out);
      else if (site->from == XT_FROM_LANGS)
        mean_of_prompts(taps, g->more_prompts + w * g->config->controls.prompts + more,
                        sweep_more_prompts(site), out, width);
      else
        memcpy(out, taps + (size_t)g->source_prompt[w] * width, width * sizeof *out);
      if (site->control == XT_CONTROL_RANDOM)
        sweep_random_value(in->seed, site->read, l, out, width);
    }
}

xt_status sweep_make_values(Group *g, xt_error *error) {
  Backend *be = g->session->backend;
  const ModelConfig *c = &g->session->model->config;
  const size_t width = (size_t)c->width, layers = (size_t)c->layers,
               all = layers * (size_t)g->count * width,
               read = layers * (size_t)g->prompt_count * width;
  float *values = NULL, *taps = NULL;
  xt_status status;
  if (!g->config->controls.made) return XT_STATUS_OK;
  TRY_DONE(MEM_ALLOC(&values, all, error));
  TRY_DONE(MEM_ALLOC(&taps, read, error));
  for (int s = 0, made = 0, more = 0; s < g->config->site_count; s++) {
    const xt_site *site = &g->config->options->sites[s];
    if (sweep_is_made(site)) {
      be->ops->download(be, taps,
                        dev_at(g->taps, (size_t)sweep_tap_index(g, site->read, 0, 0) * width),
                        read * sizeof *taps);
      make_site(g, s, more, taps, values);
      be->ops->upload(be, dev_at(g->taps, (size_t)made_index(g, made++, 0, 0) * width), values,
                      all * sizeof *values);
    }
    more += sweep_more_prompts(site);
  }
done:
  free(values);
  free(taps);
  return status;
}
