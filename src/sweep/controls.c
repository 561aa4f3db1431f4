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
  return site->control > XT_CONTROL_SELF || site->from == XT_FROM_PLAN ||
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

unsigned sweep_source_taps(const xt_site *site, const xt_control_input *in) {
  unsigned taps = 0;
  if (site->from != XT_FROM_PLAN) return 1u << sweep_read_tap(site);
  for (size_t k = 0; k < in->write_count; k++)
    if (sweep_takes_source(&in->writes[k])) taps |= 1u << sweep_read_tap(&in->writes[k].site);
  return taps;
}

/* Whether an instance has what the control `mean` writes. */
static bool has_means(const xt_site *site, const xt_control_input *in) {
  const unsigned taps = sweep_source_taps(site, in);
  for (xt_tap tap = 0; tap <= XT_TAP_HEADS; tap++)
    if (taps >> tap & 1 && !in->means[tap]) return false;
  return true;
}

static xt_status check_input(const xt_model *m, const xt_site *site, const xt_control_input *in,
                             size_t instance, bool values, xt_error *error) {
  const int more = sweep_more_prompts(site);
  if (site->from == XT_FROM_PLAN) TRY(check_writes(m, in, instance, error));
  const bool mean = site->control == XT_CONTROL_MEAN && values && !has_means(site, in),
             vector = site->from == XT_FROM_VECTOR && values && !in->values;
  if (site->control != XT_CONTROL_SHUFFLED && more && in->source_count != (size_t)more)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1,
                   "have %zu source prompts for instance %zu, and the site names %d languages",
                   in->source_count, instance, more);
  for (int k = 0; k < more; k++) {
    const xt_prompt_ids one = more_of_site(site, in, k);
    const xt_request other = {.ids = one.ids, .count = one.count};
    TRY(request_check(m, &other, instance, 1, error));
  }
  if (mean || vector)
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

void sweep_value_prompts(Group *g) {
  const int sites = g->config->site_count;
  for (int w = 0; w < g->count; w++) {
    const int *more = g->more_prompts + w * g->config->controls.prompts;
    for (int s = 0; s < sites; s++) {
      const xt_site *site = &g->config->options->sites[s];
      g->value_prompt[w * sites + s] = sweep_is_made(site)                    ? -1
                                       : site->control == XT_CONTROL_SELF     ? g->target_prompt[w]
                                       : site->control == XT_CONTROL_SHUFFLED ? *more
                                                                              : g->source_prompt[w];
      more += sweep_more_prompts(site);
    }
  }
}

/* ---- where values are ------------------------------------------------------------------------ */

void sweep_count_made(SweepConfig *config, size_t count) {
  SweepControls *c = &config->controls;
  for (int s = 0; s < config->site_count; s++) {
    const xt_site *site = &config->options->sites[s];
    unsigned taps = 0;
    for (size_t i = 0; i < count && sweep_is_made(site); i++)
      taps |= sweep_source_taps(site, sweep_control_input(config, i, s));
    for (xt_tap tap = 0; tap <= XT_TAP_HEADS; tap++)
      if (taps >> tap & 1) c->at[s][tap] = tap == XT_TAP_HEADS ? ++c->made_heads : ++c->made;
  }
}

ValueRows sweep_prompt_rows(const Group *g, xt_tap tap, int prompt) {
  const int first = tap == XT_TAP_HEADS ? prompt : sweep_tap_index(g, tap, 0, prompt);
  return (ValueRows){first, g->prompt_count};
}

/* Of what is made for a site's tap, for the group's first instance. */
static ValueRows made_rows(const Group *g, int site, xt_tap tap) {
  const int layers = g->session->model->config.layers,
            before = tap == XT_TAP_HEADS ? layers * g->prompt_count : (int)sweep_tap_rows(g),
            made = g->config->controls.at[site][tap] - 1;
  return (ValueRows){before + made * layers * g->count, g->count};
}

ValueRows sweep_value_rows(const Group *g, int instance, int site, xt_tap tap) {
  const int prompt = g->value_prompt[instance * g->config->site_count + site];
  if (prompt >= 0) return sweep_prompt_rows(g, tap, prompt);
  ValueRows rows = made_rows(g, site, tap);
  rows.first += instance;
  return rows;
}

/* ---- making them ----------------------------------------------------------------------------- */

static double norm_of(const float *value, size_t width) {
  double sum = 0;
  for (size_t c = 0; c < width; c++) sum += (double)value[c] * (double)value[c];
  return sqrt(sum);
}

void sweep_random_values(uint64_t seed, xt_tap read, size_t layer, float *values, size_t count,
                         size_t width) {
  /* the stream of the tap and layer begins with number `place`, from 0, of the seed's */
  const uint64_t place = XT_TAP_COUNT * layer + (read == XT_TAP_HEADS ? XT_TAP_ATTN : (size_t)read);
  Rng rng = {seed + place * RNG_STEP};
  rng.state = rng_next(&rng);
  for (float *value = values; value < values + count * width; value += width) {
    const double norm = norm_of(value, width);
    for (size_t c = 0; c < width; c++)
      value[c] = (float)(__builtin_popcountll(rng_next(&rng)) - 32);
    const double length = norm_of(value, width);
    for (size_t c = 0; c < width && length > 0; c++)
      value[c] = (float)((double)value[c] * (norm / length));
  }
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

/* Values of one site and tap: [layers][instances][parts][width]. `taps` [layers][prompts][parts]
 * [width]: of prompts. `more`: where an instance's prompts for the site begin among its others. */
static void make_site(const Group *g, int s, xt_tap tap, int more, const float *taps, float *out) {
  const xt_site *site = &g->config->options->sites[s];
  const TapShape shape = sweep_tap_shape(&g->session->model->config, tap);
  const size_t size = shape.parts * shape.width, prompts = (size_t)g->prompt_count,
               layers = (size_t)g->session->model->config.layers;
  for (size_t l = 0; l < layers; l++, taps += prompts * size)
    for (int w = 0; w < g->count; w++, out += size) {
      const xt_control_input *in = sweep_control_input(g->config, g->first + (size_t)w, s);
      const float *given = site->from == XT_FROM_VECTOR       ? in->values
                           : site->control == XT_CONTROL_MEAN ? in->means[tap]
                                                              : NULL;
      if (given)
        memcpy(out, given + l * size, size * sizeof *out);
      else if (site->from == XT_FROM_LANGS)
        mean_of_prompts(taps, g->more_prompts + w * g->config->controls.prompts + more,
                        sweep_more_prompts(site), out, size);
      else
        memcpy(out, taps + (size_t)g->source_prompt[w] * size, size * sizeof *out);
      if (site->control == XT_CONTROL_RANDOM)
        sweep_random_values(in->seed, tap, l, out, shape.parts, shape.width);
    }
}

/* Makes the values of one site and tap, and puts them behind the taps. */
static xt_status make_values(Group *g, int s, xt_tap tap, int more, xt_error *error) {
  Backend *be = g->session->backend;
  const TapShape shape = sweep_tap_shape(&g->session->model->config, tap);
  const Dev rows = tap == XT_TAP_HEADS ? g->heads : g->taps;
  const size_t size = shape.parts * shape.width, layers = (size_t)g->session->model->config.layers,
               all = layers * (size_t)g->count * size,
               read = layers * (size_t)g->prompt_count * size;
  float *values = NULL, *taps = NULL;
  xt_status status;
  TRY_DONE(MEM_ALLOC(&values, all, error));
  TRY_DONE(MEM_ALLOC(&taps, read, error));
  be->ops->download(be, taps, dev_at(rows, (size_t)sweep_prompt_rows(g, tap, 0).first * size),
                    read * sizeof *taps);
  make_site(g, s, tap, more, taps, values);
  be->ops->upload(be, dev_at(rows, (size_t)made_rows(g, s, tap).first * size), values,
                  all * sizeof *values);
done:
  free(values);
  free(taps);
  return status;
}

xt_status sweep_make_values(Group *g, xt_error *error) {
  const SweepControls *controls = &g->config->controls;
  for (int s = 0, more = 0; s < g->config->site_count; s++) {
    for (xt_tap tap = 0; tap <= XT_TAP_HEADS; tap++)
      if (controls->at[s][tap]) TRY(make_values(g, s, tap, more, error));
    more += sweep_more_prompts(&g->config->options->sites[s]);
  }
  return XT_STATUS_OK;
}
