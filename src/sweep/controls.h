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

/* Rows of g->taps with what is made. */
static inline size_t sweep_made_rows(const Group *g) {
  return (size_t)g->config->controls.made * (size_t)g->session->model->config.layers *
         (size_t)g->count;
}

/* The row of g->taps with the value that a site, which is no plan, reads at a layer for an
 * instance. */
int32_t sweep_value_index(const Group *g, int instance, int site, int layer);

/* Makes of `value` a vector of random direction that is as long as it (sweep.h:
 * xt_control_input.seed), for the tap and layer it was read at. */
void sweep_random_value(uint64_t seed, xt_tap read, size_t layer, float *value, size_t width);
/* The mean of vectors, summed in this order. */
void sweep_mean_value(const float *const *values, size_t count, float *out, size_t width);
/* The layer that a layer of a plan's write stands for. */
static inline int sweep_plan_layer(xt_layer_base base, int layer, int source, int target) {
  return layer + (base == XT_LAYER_SOURCE ? source : base == XT_LAYER_TARGET ? target : 0);
}

/* Puts the values that are made into g->taps, behind the taps, which have been recorded. */
xt_status sweep_make_values(Group *g, xt_error *error);

#endif
