/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/experts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One expert that a row has chosen. */
typedef struct Route {
  int expert;
  float weight;
} Route;

/* On the host, for up to work_rows rows. */
struct Routes {
  float *logits; /* [rows, experts] */
  Route *chosen; /* [rows, used] of each row, the largest weight first */
  int32_t *row;  /* [rows used] the rows of each expert in turn, in order */
  MixEdit *add;  /* [rows used] likewise: what is added to these rows; behind `row` in one block */
  int *start;    /* [experts + 1] where an expert's begin */
};

xt_status routes_create(Forward *f, xt_error *error) {
  const ModelConfig *c = &f->model->config;
  const size_t rows = (size_t)f->backend->limits.work_rows, experts = (size_t)c->experts,
               count = rows * (size_t)c->experts_used;
  TRY(MEM_ALLOC(&f->routes, 1, error));
  TRY(MEM_ALLOC(&f->routes->logits, rows * experts, error));
  TRY(MEM_ALLOC(&f->routes->chosen, count, error));
  TRY(MEM_ALLOC(&f->routes->row, 5 * count, error));
  return MEM_ALLOC(&f->routes->start, experts + 1, error);
}

void routes_free(struct Routes *r) {
  if (!r) return;
  free(r->logits);
  free(r->chosen);
  free(r->row);
  free(r->start);
  free(r);
}

/* The experts with the largest probabilities, the lowest of equal ones first. The exponentials are
 * taken in double, whose last digits, in which C libraries differ, are rounded off. Changes the
 * logits into probabilities. */
static void choose_experts(const ModelConfig *c, float *logits, Route *chosen) {
  double mass = 0;
  float largest = logits[0], sum = 0;
  for (int e = 1; e < c->experts; e++) largest = logits[e] > largest ? logits[e] : largest;
  for (int e = 0; e < c->experts; e++) mass += exp((double)logits[e] - (double)largest);
  for (int e = 0; e < c->experts; e++)
    logits[e] = (float)(exp((double)logits[e] - (double)largest) / mass);
  for (int k = 0; k < c->experts_used; k++) {
    int best = -1;
    for (int e = 0; e < c->experts; e++) {
      bool taken = false;
      for (int i = 0; i < k; i++) taken |= chosen[i].expert == e;
      if (!taken && (best < 0 || logits[e] > logits[best])) best = e;
    }
    chosen[k] = (Route){best, logits[best]};
    sum += logits[best];
  }
  for (int k = 0; c->expert_shares && k < c->experts_used; k++) chosen[k].weight /= sum;
}

/* Sorts the rows' choices by expert. */
static void sort_routes(const ModelConfig *c, struct Routes *r, int rows) {
  const int count = rows * c->experts_used;
  r->add = (MixEdit *)(r->row + count);
  memset(r->start, 0, ((size_t)c->experts + 1) * sizeof *r->start);
  for (int i = 0; i < count; i++) r->start[r->chosen[i].expert + 1]++;
  for (int e = 0; e < c->experts; e++) r->start[e + 1] += r->start[e];
  for (int e = 0; e < c->experts; e++) {
    int at = r->start[e];
    if (at == r->start[e + 1]) continue;
    for (int i = 0; i < count; i++) {
      if (r->chosen[i].expert != e) continue;
      const int row = i / c->experts_used;
      r->add[at] = (MixEdit){row, at - r->start[e], 1.0f, r->chosen[i].weight};
      r->row[at++] = row;
    }
  }
}

/* Reads the router's logits, and uploads what was chosen. */
static void route(Forward *f, const LayerWeights *w, Dev in, int rows) {
  const ModelConfig *c = &f->model->config;
  struct Routes *r = f->routes;
  Backend *be = f->backend;
  const Dev logits = dev_at(f->block, f->sizes.router);
  const size_t experts = (size_t)c->experts, used = (size_t)c->experts_used;
  be->ops->matmul(be, logits, in, w->router, (Dev){0}, rows);
  be->ops->download(be, r->logits, logits, (size_t)rows * experts * sizeof *r->logits);
  for (size_t row = 0; row < (size_t)rows; row++)
    choose_experts(c, r->logits + row * experts, r->chosen + row * used);
  sort_routes(c, r, rows);
  be->ops->upload(be, dev_at(f->block, f->sizes.routes), r->row,
                  5 * (size_t)rows * used * sizeof *r->row);
}

void experts_run(Forward *f, const LayerWeights *w, Dev branch, Dev in, int rows) {
  const ModelConfig *c = &f->model->config;
  const BackendOps *ops = f->backend->ops;
  Backend *be = f->backend;
  const Dev gathered = dev_at(f->block, f->sizes.gathered),
            answered = dev_at(f->block, f->sizes.answered),
            gate_up = dev_at(f->block, f->sizes.gate_up), act = dev_at(f->block, f->sizes.act),
            zeros = dev_at(f->block, f->sizes.zeros);
  const IndexList row = {dev_at(f->block, f->sizes.routes)},
                  add = index_at(row, (size_t)rows * (size_t)c->experts_used);
  route(f, w, in, rows);
  ops->copy_rows(be, branch, (IndexList){0}, zeros, (IndexList){zeros}, rows, c->width);
  for (int e = 0; e < c->experts; e++) {
    const size_t first = (size_t)f->routes->start[e];
    const int count = f->routes->start[e + 1] - f->routes->start[e];
    if (count == 0) continue;
    ops->copy_rows(be, gathered, (IndexList){0}, in, index_at(row, first), count, c->width);
    ops->matmul(be, gate_up, gathered, w->experts[e].gate_up, (Dev){0}, count);
    ops->activate(be, &(ActivateArgs){.kind = c->activation,
                                      .gated = true,
                                      .y = act,
                                      .x = gate_up,
                                      .rows = count,
                                      .width = c->feed_forward});
    ops->matmul(be, answered, act, w->experts[e].down, (Dev){0}, count);
    ops->mix(be, &(MixArgs){.x = branch,
                            .rows = rows,
                            .width = c->width,
                            .values = answered,
                            .edits = index_at(add, 4 * first),
                            .count = count});
  }
}
