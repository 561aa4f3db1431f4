/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary position embedding angles (Su et al. 2021), with the scalings of Llama 3, linear, dynamic
 * (NTK), YaRN and LongRoPE. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include "files/model_config.h"

/* Writes, for positions first..first+count-1, width/2 cosines then as many sines, with width floats
 * of a head rotated:
 * out [count, width]. Angles in float32, as transformers computes them. Where they depend on the
 * length of the sequence (dynamic, longrope), that is `length`, or with 0 each position's own,
 * position + 1: what transformers takes for a generated token. */
void rope_table(const Rotary *rotary, int width, int first, int count, int length, float *out);

/* Sequences of one class have the same angles at the same positions; 0 is that of all short
 * ones. */
int rope_class(const ModelConfig *config, int length);

/* Positions 0..count-1 as sinusoids (Vaswani et al. 2017, in tensor2tensor's order, as XGLM has
 * them): width/2 sines, then as many cosines, of (position + 2) * 10000^(-k/(width/2 - 1)); a last
 * odd one is 0. out [count, width]. */
void sinusoid_table(int width, int count, float *out);

#endif
