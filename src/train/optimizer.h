/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW with warm-up, decay and clipping, as transformers' Trainer sets it up: weight decay acts
 * only on matrices, the schedule is that of get_linear_schedule_with_warmup or
 * get_cosine_schedule_with_warmup (the first step of a warm-up has a rate of 0), and clipping that
 * of torch.nn.utils.clip_grad_norm_. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include "backend/cpu/cpu.h"
#include "train/params.h"
#include "xtransplant/train.h"

typedef struct OptimizerSettings {
  double rate, beta1, beta2, eps, weight_decay;
  double clip; /* largest norm of the mean gradient; 0: no limit */
  xt_train_schedule schedule;
  uint64_t warmup, total; /* steps */
} OptimizerSettings;

/* The learning rate of a step, from 0. */
double optimizer_rate(const OptimizerSettings *settings, uint64_t step);

/* Parameters and moments, each params->total floats, owned by the caller. */
typedef struct OptimizerState {
  float *weights, *first, *second;
  uint64_t steps; /* done */
} OptimizerState;

/* Makes one step with `gradients`, which are sums over `counted` tokens. Returns the norm of the
 * mean gradient before clipping; if it is not finite, nothing is changed. */
double optimizer_step(const OptimizerSettings *settings, const CpuBackend *backend,
                      const Params *params, OptimizerState *state, const float *gradients,
                      size_t counted);

#endif
