/* SPDX-License-Identifier: Apache-2.0 */
/* How a model's activations differ between two languages, learned from parallel prompts: what other
 * published interventions write. docs/BASELINES.md gives the formulas and their sources. */
#ifndef XTRANSPLANT_ALIGN_H
#define XTRANSPLANT_ALIGN_H

#include "xtransplant/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_alignment xt_alignment;

/* Learns from `count` pairs of activations, s = sources[i] and t = targets[i], [width] each, such as
 * one layer's at the last tokens of parallel prompts (xt_session_capture): the mean difference and,
 * with `map`, the linear map from target to source that minimises the sum of
 * |W t - s|^2 + ridge * m |W|^2, m being the mean of |t|^2; `ridge` is then above 0. Nothing of them
 * is kept. The caller frees *out with xt_alignment_free. XT_STATUS_ARGUMENT: there are no pairs, or
 * no ridge. */
XT_API xt_status xt_alignment_create(const float *const *sources, const float *const *targets,
                                     size_t count, size_t width, bool map, double ridge,
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
