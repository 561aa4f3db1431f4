/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep/controls.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

static xt_status check_input(const xt_model *m, const xt_site *site, const xt_control_input *in,
                             size_t instance, bool values, xt_error *error) {
  const xt_request other = {.ids = in->ids, .count = in->count};
  if (site->control == XT_CONTROL_SHUFFLED) return request_check(m, &other, instance, 1, error);
  if (site->control == XT_CONTROL_MEAN && values && !in->values)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1,
                   "have no values for the mean of instance %zu", instance);
  return XT_STATUS_OK;
}

xt_status sweep_check_controls(const xt_model *m, const xt_sweep_options *o, size_t count,
                               bool values, xt_error *error) {
  for (size_t s = 0; s < o->site_count; s++) {
    const xt_control control = o->sites[s].control;
    if ((unsigned)control >= XT_CONTROL_COUNT)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1, "have no control %d",
                     (int)control);
    if (control == XT_CONTROL_NONE || control == XT_CONTROL_SELF) continue;
    if (!o->controls)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1,
                     "are missing, and a site has the control %s", xt_control_name(control));
    for (size_t i = 0; i < count; i++)
      TRY(check_input(m, &o->sites[s], &o->controls[i * o->site_count + s], i, values, error));
  }
  return XT_STATUS_OK;
}

uint64_t sweep_control_tokens(const SweepConfig *c, size_t instance) {
  uint64_t tokens = 0;
  for (int s = 0; s < c->site_count; s++)
    if (c->options->sites[s].control == XT_CONTROL_SHUFFLED)
      tokens += sweep_control_input(c, instance, s)->count;
  return tokens;
}

/* What is made instead of read has no prompt: -1 for the first such site, -2 for the second, and so
 * on. */
void sweep_value_prompts(Group *g) {
  const int sites = g->config->site_count;
  for (int w = 0; w < g->count; w++) {
    int made = 0;
    for (int s = 0; s < sites; s++) {
      const xt_control control = g->config->options->sites[s].control;
      int *prompt = &g->value_prompt[w * sites + s];
      if (sweep_is_made(control))
        *prompt = -++made;
      else if (control == XT_CONTROL_SELF)
        *prompt = g->target_prompt[w];
      else if (control == XT_CONTROL_NONE)
        *prompt = g->source_prompt[w];
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

/* A vector of random direction, `norm` long (sweep.h: xt_control_input.seed). `place`: of the tap
 * and layer, whose stream begins with number `place`, from 0, of the seed's. */
static void random_value(uint64_t seed, uint64_t place, double norm, float *out, size_t width) {
  Rng rng = {seed + place * RNG_STEP};
  rng.state = rng_next(&rng);
  for (size_t c = 0; c < width; c++) out[c] = (float)(__builtin_popcountll(rng_next(&rng)) - 32);
  const double length = norm_of(out, width);
  for (size_t c = 0; c < width && length > 0; c++)
    out[c] = (float)((double)out[c] * (norm / length));
}

/* Values of one site: [layers][instances][width]. `taps` [layers][prompts][width]: of its tap. */
static void make_site(const Group *g, int s, const float *taps, float *out) {
  const ModelConfig *c = &g->session->model->config;
  const xt_site *site = &g->config->options->sites[s];
  const size_t width = (size_t)c->width, prompts = (size_t)g->prompt_count;
  for (size_t l = 0; l < (size_t)c->layers; l++)
    for (int w = 0; w < g->count; w++, out += width) {
      const xt_control_input *in = sweep_control_input(g->config, g->first + (size_t)w, s);
      const size_t from = l * prompts + (size_t)g->source_prompt[w];
      if (site->control == XT_CONTROL_MEAN)
        memcpy(out, in->values + l * width, width * sizeof *out);
      else
        random_value(in->seed, XT_TAP_COUNT * l + (size_t)site->read,
                     norm_of(taps + from * width, width), out, width);
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
  for (int s = 0, made = 0; s < g->config->site_count; s++) {
    const xt_site *site = &g->config->options->sites[s];
    if (!sweep_is_made(site->control)) continue;
    const Dev from = dev_at(g->taps, (size_t)sweep_tap_index(g, site->read, 0, 0) * width);
    if (site->control == XT_CONTROL_RANDOM) be->ops->download(be, taps, from, read * sizeof *taps);
    make_site(g, s, taps, values);
    be->ops->upload(be, dev_at(g->taps, (size_t)made_index(g, made++, 0, 0) * width), values,
                    all * sizeof *values);
  }
done:
  free(values);
  free(taps);
  return status;
}
