/* SPDX-License-Identifier: Apache-2.0 */
/* Row-wise operations of training, divided among threads: by rows if each row has its own result,
 * by columns if rows are summed, so that a sum always runs over the rows in order. There are `rows`
 * contiguous rows of `width` floats. */
#ifndef TRAIN_ROW_WORK_H
#define TRAIN_ROW_WORK_H

#include "backend/cpu/cpu.h"

/* sums[width] += x's rows */
void row_sums(const CpuBackend *b, float *sums, const float *x, size_t width, int rows);
/* dx += gradient of the norm's input; factors[rows] = 1/rms */
void row_norm_back(const CpuBackend *b, float *dx, const float *dy, const float *x,
                   const float *weight, float *factors, size_t width, int rows, float eps);
/* dweight[width] += sum over rows of dy x factor */
void row_norm_weight(const CpuBackend *b, float *dweight, const float *dy, const float *x,
                     const float *factors, size_t width, int rows);
/* d_gate_up [rows, 2 width] from d_act [rows, width] and gate_up; see Kernels.activate_back */
void row_activate_back(const CpuBackend *b, Activation activation, float *d_gate_up,
                       const float *d_act, const float *gate_up, size_t width, int rows);
/* Computes the loss of each row i of logits for targets[at[i]] into losses[i]; the row becomes the
 * gradient. */
void row_cross_entropy(const CpuBackend *b, float *logits, size_t width, const int32_t *targets,
                       const int32_t *at, double *losses, int rows);
/* table[ids[r]] += x[r], r in order */
void row_scatter(const CpuBackend *b, float *table, const float *x, const int32_t *ids,
                 size_t width, int rows);

#endif
