/* SPDX-License-Identifier: Apache-2.0 */
#include "train/row_work.h"

#include "base/parallel.h"

#define COLUMNS 64   /* of one item that sums rows */
#define FLOATS 16384 /* enough work to wake a thread for */

typedef struct Work {
  const CpuBackend *b;
  float *to, *factors;
  const float *x, *y, *weight;
  const int32_t *ids, *at;
  double *losses;
  Activation activation;
  size_t width;
  int rows, step; /* rows of one item */
  float eps;
  void (*row)(const struct Work *, size_t r);
} Work;

static void some_rows(void *context, size_t item, int thread) {
  const Work *w = context;
  (void)thread;
  const int first = (int)item * w->step,
            end = w->rows - first < w->step ? w->rows : first + w->step;
  for (int r = first; r < end; r++) w->row(w, (size_t)r);
}

static void for_each_row(Work *w) {
  if (w->rows <= 0) return;
  w->step = (int)(FLOATS / w->width) + 1;
  parallel_for(w->b->base.pool, (size_t)((w->rows - 1) / w->step + 1), some_rows, w);
}

static void for_each_column(Work *w, void (*body)(void *, size_t, int)) {
  const bool small = w->width * (size_t)w->rows < FLOATS;
  parallel_for(small ? NULL : w->b->base.pool, (w->width + COLUMNS - 1) / COLUMNS, body, w);
}

static size_t columns_of(const Work *w, size_t item) {
  return w->width - item * COLUMNS < COLUMNS ? w->width - item * COLUMNS : COLUMNS;
}

static void sum_columns(void *context, size_t item, int thread) {
  const Work *w = context;
  (void)thread;
  float *sums = w->to + item * COLUMNS;
  const size_t n = columns_of(w, item);
  for (size_t r = 0; r < (size_t)w->rows; r++)
    w->b->kernels->add(sums, w->x + r * w->width + item * COLUMNS, n);
}
void row_sums(const CpuBackend *b, float *sums, const float *x, size_t width, int rows) {
  Work w = {.b = b, .to = sums, .x = x, .width = width, .rows = rows};
  for_each_column(&w, sum_columns);
}

static void norm_back_row(const Work *w, size_t r) {
  const size_t at = r * w->width;
  w->factors[r] =
      w->b->kernels->norm_back(w->to + at, w->y + at, w->x + at, w->weight, w->width, w->eps);
}
void row_norm_back(const CpuBackend *b, float *dx, const float *dy, const float *x,
                   const float *weight, float *factors, size_t width, int rows, float eps) {
  Work w = {.b = b,
            .to = dx,
            .y = dy,
            .x = x,
            .weight = weight,
            .factors = factors,
            .width = width,
            .rows = rows,
            .eps = eps,
            .row = norm_back_row};
  for_each_row(&w);
}

static void norm_weight_columns(void *context, size_t item, int thread) {
  const Work *w = context;
  (void)thread;
  const size_t n = columns_of(w, item);
  float sums[COLUMNS] = {0};
  for (size_t r = 0; r < (size_t)w->rows; r++) {
    const float *x = w->x + r * w->width + item * COLUMNS,
                *dy = w->y + r * w->width + item * COLUMNS, factor = w->factors[r];
    for (size_t i = 0; i < n; i++) sums[i] += dy[i] * x[i] * factor;
  }
  w->b->kernels->add(w->to + item * COLUMNS, sums, n);
}
void row_norm_weight(const CpuBackend *b, float *dweight, const float *dy, const float *x,
                     const float *factors, size_t width, int rows) {
  Work w = {.b = b,
            .to = dweight,
            .y = dy,
            .x = x,
            .factors = (float *)(uintptr_t)factors,
            .width = width,
            .rows = rows};
  for_each_column(&w, norm_weight_columns);
}

static void activate_back_row(const Work *w, size_t r) {
  float *d = w->to + r * 2 * w->width;
  const float *gate = w->x + r * 2 * w->width;
  w->b->kernels->activate_back(w->activation, d, d + w->width, w->y + r * w->width, gate,
                               gate + w->width, w->width);
}
void row_activate_back(const CpuBackend *b, Activation activation, float *d_gate_up,
                       const float *d_act, const float *gate_up, size_t width, int rows) {
  Work w = {.b = b,
            .to = d_gate_up,
            .y = d_act,
            .x = gate_up,
            .activation = activation,
            .width = width,
            .rows = rows,
            .row = activate_back_row};
  for_each_row(&w);
}

static void cross_entropy_row(const Work *w, size_t r) {
  w->losses[r] =
      w->b->kernels->cross_entropy(w->to + r * w->width, (int32_t)w->width, w->ids[w->at[r]]);
}
void row_cross_entropy(const CpuBackend *b, float *logits, size_t width, const int32_t *targets,
                       const int32_t *at, double *losses, int rows) {
  Work w = {.b = b,
            .to = logits,
            .ids = targets,
            .at = at,
            .losses = losses,
            .width = width,
            .rows = rows,
            .row = cross_entropy_row};
  for_each_row(&w);
}

static void scatter_columns(void *context, size_t item, int thread) {
  const Work *w = context;
  (void)thread;
  const size_t n = columns_of(w, item);
  for (size_t r = 0; r < (size_t)w->rows; r++)
    w->b->kernels->add(w->to + (size_t)w->ids[r] * w->width + item * COLUMNS,
                       w->x + r * w->width + item * COLUMNS, n);
}
void row_scatter(const CpuBackend *b, float *table, const float *x, const int32_t *ids,
                 size_t width, int rows) {
  Work w = {.b = b, .to = table, .x = x, .ids = ids, .width = width, .rows = rows};
  for_each_column(&w, scatter_columns);
}
