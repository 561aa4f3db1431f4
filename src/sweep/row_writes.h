/* SPDX-License-Identifier: Apache-2.0 */
/* What the responses of a site write, and where: one transplant, or those of a plan. */
#ifndef SWEEP_ROW_WRITES_H
#define SWEEP_ROW_WRITES_H

#include "sweep/controls.h"

/* Whether the rows of a site change their prompt's inner tokens, for an instance with this input.
 * They cannot share its prefix. */
bool sweep_is_alone(const xt_site *site, const xt_control_input *input);

/* The lowest layer that a response of a site changes; the number of layers: none. */
int sweep_lowest_layer(const xt_site *site, const xt_control_input *input, int layers, int source,
                       int target);

/* Counts the edits of plans, which sweep_check_controls has checked, into the configuration, and
 * says which of them run by themselves. */
void sweep_measure_plans(SweepConfig *config, size_t instances);

/* Rows of the vectors of an instance's plans. Where the instance before it, if its number is at
 * least `first`, has the same writes, there are none more. */
uint64_t sweep_vector_rows(const SweepConfig *config, int layers, size_t first, size_t instance);

/* Fills g->plan_vectors. */
void sweep_place_vectors(Group *g);
/* Puts the vectors of plans into g->taps, behind what is made. */
xt_status sweep_upload_vectors(const Group *g, xt_error *error);

/* Calls `put` with each intervention of a response, in order, and with the row of g->taps, of
 * XT_TAP_HEADS of g->heads, that has its value. */
void sweep_each_write(const Group *g, int instance, int site, int source, int target,
                      void (*put)(void *user, const xt_intervention *put, int32_t value),
                      void *user);

#endif
