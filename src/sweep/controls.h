/* SPDX-License-Identifier: Apache-2.0 */
/* The values that the rows of a group write: taps of prompts, or values made for controls. */
#ifndef SWEEP_CONTROLS_H
#define SWEEP_CONTROLS_H

#include "sweep/runner.h"

/* Checks that each instance has what the controls of the sites need; a plan needs no `values`. */
xt_status sweep_check_controls(const xt_model *model, const xt_sweep_options *options, size_t count,
                               bool values, xt_error *error);

/* What a site has for an instance; NULL: no site needs anything. */
static inline const xt_control_input *sweep_control_input(const SweepConfig *c, size_t instance,
                                                          int site) {
  if (!c->options->controls) return NULL;
  return &c->options->controls[instance * (size_t)c->site_count + (size_t)site];
}

/* The k-th of the prompts besides an instance's own, in order of the sites that need them. */
xt_prompt_ids sweep_more_prompt(const SweepConfig *config, size_t instance, int k);

/* Tokens of the prompts that controls add to an instance's own. */
uint64_t sweep_control_tokens(const SweepConfig *config, size_t instance);

/* Fills g->value_prompt, once the prompts have their indices. */
void sweep_value_prompts(Group *g);

/* What a tap has at one place: so many vectors, one behind another. */
typedef struct TapShape {
  size_t parts, width;
} TapShape;

static inline TapShape sweep_tap_shape(const ModelConfig *c, xt_tap tap) {
  if (tap == XT_TAP_HEADS) return (TapShape){(size_t)c->heads, (size_t)c->head_dim};
  return (TapShape){1, (size_t)c->width};
}

/* Whether a write of a plan takes the value of the source prompt. A control of the plan stands for
 * that. */
static inline bool sweep_takes_source(const xt_plan_write *write) {
  return write->site.from == XT_FROM_SOURCE && write->site.control == XT_CONTROL_NONE;
}

/* The taps, bit t of tap t, that a site, or a plan's writes, take of the source prompt. */
unsigned sweep_source_taps(const xt_site *site, const xt_control_input *input);

/* Counts the values that are made for the sites, whose inputs sweep_check_controls has checked. */
void sweep_count_made(SweepConfig *config, size_t instances);

/* Rows of g->taps with what is made. */
static inline size_t sweep_made_rows(const Group *g) {
  return (size_t)g->config->controls.made * (size_t)g->session->model->config.layers *
         (size_t)g->count;
}

/* Where the values of a tap are: that of layer l in row first + l * step of g->taps, of XT_TAP_HEADS
 * of g->heads, whose rows are [heads, head_dim]. */
typedef struct ValueRows {
  int32_t first, step;
} ValueRows;

ValueRows sweep_prompt_rows(const Group *g, xt_tap tap, int prompt);
/* Of what a site reads for an instance; of a plan, of what its writes take of the source prompt. */
ValueRows sweep_value_rows(const Group *g, int instance, int site, xt_tap tap);

/* Makes of `count` vectors of `width`, one behind another, vectors of random direction that are as
 * long as each (sweep.h: xt_control_input.seed), for the tap and layer they were read at. */
void sweep_random_values(uint64_t seed, xt_tap read, size_t layer, float *values, size_t count,
                         size_t width);
/* The mean of vectors, summed in this order. */
void sweep_mean_value(const float *const *values, size_t count, float *out, size_t width);
/* The layer that a layer of a plan's write stands for. */
static inline int sweep_plan_layer(xt_layer_base base, int layer, int source, int target) {
  return layer + (base == XT_LAYER_SOURCE ? source : base == XT_LAYER_TARGET ? target : 0);
}

/* Puts the values that are made behind the taps, which have been recorded. */
xt_status sweep_make_values(Group *g, xt_error *error);

#endif
