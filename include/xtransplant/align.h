/* SPDX-License-Identifier: Apache-2.0 */
/* How a model's activations differ between two languages, learned from parallel prompts: what other
 * published interventions write. docs/BASELINES.md gives the formulas and their sources. */
#ifndef XTRANSPLANT_ALIGN_H
#define XTRANSPLANT_ALIGN_H

#include "xtransplant/sweep.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_alignment xt_alignment;

/* Runs the source and target prompts of `count` instances once each, and learns from what `tap` of
 * `layer` has at their last tokens: the mean difference and, with `map`, the linear map from target
 * to source that minimises the sum of |W t - s|^2 + ridge * m |W|^2, m being the mean
 * of |t|^2. The caller frees *out with xt_alignment_free; it may outlive the model. */
XT_API xt_status xt_alignment_create(const xt_model *model, const xt_instance *instances,
                                     size_t count, xt_tap tap, int layer, bool map, double ridge,
                                     xt_alignment **out, xt_error *error);
XT_API void xt_alignment_free(xt_alignment *alignment); /* accepts NULL */

/* The mean over the sources minus the mean over the targets; [width], borrowed. */
XT_API const float *xt_alignment_difference(const xt_alignment *alignment);
/* out := W x; [width] each. Only with `map`. */
XT_API void xt_alignment_map(const xt_alignment *alignment, const float *x, float *out);

#ifdef __cplusplus
}
#endif
#endif
