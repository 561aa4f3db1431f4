/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding angles (Su et al. 2021), with the scalings of Llama 3, linear and YaRN. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include "files/model_config.h"

/* Writes, for positions first..first+count-1, width/2 cosines then as many sines, with width floats of a head rotated:
 * out [count, width].
 * Angles in float32, as transformers computes them. `dynamic` scaling changes nothing up to the
 * model's own positions, and longer prompts are refused. */
void rope_table(const Rotary *rotary, int width, int first, int count, float *out);

#endif
