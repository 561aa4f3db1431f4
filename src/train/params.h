/* SPDX-License-Identifier: Apache-2.0 */
/* All parameters of a model in one array of float32, so that weights, gradients and the optimiser's
 * moments are arrays with the same layout. q, k, v of a layer follow one another, and so do gate
 * and up: each group is one matrix. */
#ifndef TRAIN_PARAMS_H
#define TRAIN_PARAMS_H

#include "files/checkpoint.h"
#include "files/model_config.h"
#include "model/arch.h"

typedef struct Param {
  ArchRole role;
  int layer;        /* -1: one of the model's own */
  size_t at, count; /* floats */
  ArchShape shape;
} Param;

typedef struct Params {
  const ModelConfig *config; /* borrowed */
  Param *list;               /* in the order of the layout */
  size_t count, total;       /* parameters' arrays; floats */
  size_t *index;             /* [(layers + 1) * ARCH_ROLE_COUNT] offsets, PARAM_ABSENT */
} Params;

#define PARAM_ABSENT SIZE_MAX

xt_status params_create(const ModelConfig *config, Params *out, xt_error *error);
void params_free(Params *params);

/* First float of a parameter, or PARAM_ABSENT if the model does not have it; `layer` is ignored for
 * parameters outside the layers. */
size_t params_at(const Params *params, ArchRole role, int layer);

/* Reads all parameters from weight files, and checks names, shapes and that values are finite.
 * Messages use `directory`. */
xt_status params_read(const Params *params, const Checkpoint *checkpoint, const char *directory,
                      float *weights, xt_error *error);

/* Random ones: matrices normal with deviation 0.02, those that write to the residual stream (o,
 * down) smaller by sqrt(2 layers) (Radford et al. 2019), norms 1 (stored as 0 where they stand for
 * 1 + w), biases 0. The same seed gives the same bits. */
void params_randomize(const Params *params, uint64_t seed, float *weights);

#endif
