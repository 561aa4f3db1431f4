/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optimizer.h"

#include <math.h>

#include "base/parallel.h"

#define PI 3.14159265358979323846
#define PIECE \
  ((size_t)1 << 16) /* floats of one item; the order of the norm's sum follows from
                                   it */
#define MOST_SUMS 4096

double optimizer_rate(const OptimizerSettings *s, uint64_t step) {
  if (step < s->warmup) return s->rate * (double)step / (double)s->warmup;
  const double left = s->total > s->warmup ? (double)(s->total - s->warmup) : 1.0;
  const double done = (double)(step - s->warmup) / left;
  switch (s->schedule) {
    case XT_TRAIN_LINEAR: return done < 1 ? s->rate * (1.0 - done) : 0;
    case XT_TRAIN_COSINE: return done < 1 ? s->rate * 0.5 * (1.0 + cos(PI * done)) : 0;
    case XT_TRAIN_CONSTANT: break;
  }
  return s->rate;
}

typedef struct Sum {
  const CpuBackend *backend;
  const float *gradients;
  size_t total, piece;
  double sums[MOST_SUMS];
} Sum;

static void sum_piece(void *context, size_t item, int thread) {
  Sum *s = context;
  (void)thread;
  const size_t at = item * s->piece, n = s->total - at < s->piece ? s->total - at : s->piece;
  s->sums[item] = s->backend->kernels->sum_squares(s->gradients + at, n);
}

static double norm_of(const CpuBackend *backend, const float *gradients, size_t total) {
  Sum s = {.backend = backend, .gradients = gradients, .total = total, .piece = PIECE};
  while ((total + s.piece - 1) / s.piece > MOST_SUMS) s.piece *= 2;
  const size_t items = (total + s.piece - 1) / s.piece;
  parallel_for(backend->base.pool, items, sum_piece, &s);
  double sum = 0;
  for (size_t i = 0; i < items; i++) sum += s.sums[i];
  return sqrt(sum);
}

typedef struct Update {
  const CpuBackend *backend;
  AdamArgs args; /* of one parameter; each item moves on from it */
} Update;

static void update_piece(void *context, size_t item, int thread) {
  const Update *u = context;
  (void)thread;
  const size_t at = item * PIECE;
  AdamArgs a = u->args;
  a.n = a.n - at < PIECE ? a.n - at : PIECE;
  a.w += at;
  a.m += at;
  a.v += at;
  a.g += at;
  u->backend->kernels->adamw(&a);
}

double optimizer_step(const OptimizerSettings *s, const CpuBackend *backend, const Params *params,
                      OptimizerState *state, const float *gradients, size_t counted) {
  const double mean = 1.0 / (double)(counted ? counted : 1),
               norm = norm_of(backend, gradients, params->total) * mean;
  if (!isfinite(norm)) return norm;
  const double rate = optimizer_rate(s, state->steps), t = (double)(state->steps + 1);
  const double clip = s->clip > 0 ? s->clip / (norm + 1e-6) : 1.0; /* the 1e-6 is torch's */
  for (size_t i = 0; i < params->count; i++) {
    const Param *p = &params->list[i];
    const Update u = {
        .backend = backend,
        .args = {.w = state->weights + p->at,
                 .m = state->first + p->at,
                 .v = state->second + p->at,
                 .g = gradients + p->at,
                 .n = p->count,
                 .factor = (float)(mean * (clip < 1.0 ? clip : 1.0)),
                 .beta1 = (float)s->beta1,
                 .beta2 = (float)s->beta2,
                 .keep = p->shape.dims == 2 ? (float)(1.0 - rate * s->weight_decay) : 1.0f,
                 .step = (float)(rate / (1.0 - pow(s->beta1, t))),
                 .root = (float)(1.0 / sqrt(1.0 - pow(s->beta2, t))),
                 .eps = (float)s->eps}};
    parallel_for(backend->base.pool, (p->count + PIECE - 1) / PIECE, update_piece,
                 (void *)(uintptr_t)&u);
  }
  state->steps++;
  return norm;
}
