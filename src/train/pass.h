/* SPDX-License-Identifier: Apache-2.0 */
/* The forward and backward pass of a whole model, for the tokens of several sequences.
 *
 * Short names: T tokens of all sequences, C width, F feed-forward, V vocabulary. Sequences follow
 * one another without padding; a token sees only its own sequence. All arrays are float32 and
 * row-major. Gradients are sums over tokens, not means. The bits depend only on the batch, not on
 * the number of threads. It runs only on the CPU: gradients are plain memory, and the CPU backend's
 * ops are called with addresses (cpu_dev). */
#ifndef TRAIN_PASS_H
#define TRAIN_PASS_H

#include "backend/cpu/cpu.h"
#include "train/params.h"

/* Borrowed for the call. */
typedef struct TokenBatch {
  int tokens, sequences;
  const int32_t *ids;       /* [T] */
  const int32_t *positions; /* [T] within its sequence */
  const int32_t *targets;   /* [T] the token that follows; -1: not part of the loss */
  const int32_t *starts;    /* [sequences + 1] first token of each sequence; the last is T */
} TokenBatch;

typedef struct PassOptions {
  int tokens;     /* most of a batch */
  int length;     /* most of a sequence */
  bool recompute; /* save only each layer's input, and run the layer again in the backward pass:
                     the same bits, less memory */
} PassOptions;

typedef struct Pass Pass;

/* `params` and `backend` are borrowed. The caller frees *out with pass_free. */
xt_status pass_create(const Params *params, CpuBackend *backend, const PassOptions *options,
                      Pass **out, xt_error *error);
void pass_free(Pass *pass);

/* Computes the summed loss of the batch's targets in nats, and their number in *counted. Adds the
 * gradient to `gradients`, which has the layout of the parameters; NULL: no gradient is
 * computed. */
double pass_run(Pass *pass, const float *weights, float *gradients, const TokenBatch *batch,
                size_t *counted);

/* Multiplications and additions of matrix products so far. */
double pass_flops(const Pass *pass);

/* Bytes that pass_create takes. */
size_t pass_bytes(const ModelConfig *config, const PassOptions *options);

#endif
