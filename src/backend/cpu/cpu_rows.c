/* SPDX-License-Identifier: Apache-2.0 */
/* Row-wise operations: rows are dealt to threads when there is work enough. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "files/dtype.h"
#include "base/mem.h"
#include "base/parallel.h"

/* The number of floats from which on another thread is worth waking. */
#define CPU_PARALLEL_FLOATS 16384

typedef struct RowLoop {
  const Kernels *kernels;
  float *y;
  const float *x, *other; /* rope: cos_sin */
  const Table *table;
  const int32_t *ids; /* rope: positions */
  const NormArgs *norm;
  const RopeArgs *rope;
  int m, step; /* rows of one item */
  int width;
  const ActivateArgs *activate;
  void (*row)(const struct RowLoop *, int r);
} RowLoop;

static void some_rows(void *context, size_t item, int thread) {
  const RowLoop *rows = context;
  (void)thread;
  const int first = (int)item * rows->step,
            end = rows->m - first < rows->step ? rows->m : first + rows->step;
  for (int r = first; r < end; r++) rows->row(rows, r);
}

static void for_each_row(Backend *b, RowLoop *rows, int floats_per_row) {
  if (rows->m <= 0) return;
  rows->kernels = cpu_of(b)->kernels;
  rows->step = CPU_PARALLEL_FLOATS / (floats_per_row > 0 ? floats_per_row : 1) + 1;
  parallel_for(b->pool, (size_t)((rows->m - 1) / rows->step + 1), some_rows, rows);
}

xt_status cpu_table_create(Backend *b, const MatrixSource *source, Table **out, xt_error *error) {
  (void)b;
  *out = NULL;
  TRY(cpu_check_parts(source, 1, error));
  Table *table;
  TRY(MEM_ALLOC(&table, 1, error));
  table->source = *source;
  *out = table;
  return XT_STATUS_OK;
}

void cpu_table_release(Backend *b, Table *table) {
  (void)b;
  free(table);
}

static void embed_row(const RowLoop *a, int r) {
  const MatrixSource *s = &a->table->source;
  const char *from =
      (const char *)s->data + (size_t)a->ids[r] * dtype_bytes(s->dtype, (size_t)s->cols);
  float *to = a->y + (size_t)r * (size_t)s->cols;
  if (dtype_is_quantised(s->dtype))
    dtype_widen(s->dtype, from, (size_t)s->cols, to);
  else
    a->kernels->widen(to, from, s->dtype, (size_t)s->cols);
}
void cpu_embed(Backend *b, Dev y, const Table *table, IndexList ids, int m) {
  RowLoop a = {.y = cpu_floats(y), .table = table, .ids = cpu_ints(ids), .m = m, .row = embed_row};
  for_each_row(b, &a, table->source.cols);
}

static void norm_row(const RowLoop *a, int r) {
  const NormArgs *n = a->norm;
  const size_t width = (size_t)n->width;
  for (size_t g = 0; g < (size_t)n->groups; g++) {
    float *y = a->y + (size_t)r * (size_t)n->ld_y + g * width;
    const float *x = a->x + (size_t)r * (size_t)n->ld_x + g * width;
    const size_t own = n->weight_of_group ? g * width : 0;
    const float *weight = cpu_floats(n->weight) + own;
    if (n->kind == NORM_RMS)
      a->kernels->norm(y, x, weight, width, n->eps);
    else
      a->kernels->layer_norm(y, x, weight, dev_is_none(n->bias) ? NULL : cpu_floats(n->bias) + own,
                             width, n->eps);
  }
}
void cpu_norm(Backend *b, const NormArgs *args) {
  RowLoop a = {.y = cpu_floats(args->y),
               .x = cpu_floats(args->x),
               .norm = args,
               .m = args->rows,
               .row = norm_row};
  for_each_row(b, &a, args->groups * args->width);
}

static void rope_row(const RowLoop *a, int r) {
  const RopeArgs *p = a->rope;
  float *x = a->y + (size_t)r * (size_t)p->ld;
  const float *cos_sin = a->other + (size_t)a->ids[r] * (size_t)p->width;
  (p->style == ROPE_HALVES ? a->kernels->rope : a->kernels->rope_pairs)(x, p->heads, p->head_dim,
                                                                        p->width, cos_sin);
}
void cpu_rope(Backend *b, const RopeArgs *args) {
  RowLoop a = {.y = cpu_floats(args->x),
               .other = cpu_floats(args->cos_sin),
               .ids = cpu_ints(args->positions),
               .rope = args,
               .m = args->rows,
               .row = rope_row};
  for_each_row(b, &a, args->heads * args->head_dim);
}

static void activate_row(const RowLoop *a, int r) {
  const size_t f = (size_t)a->width;
  const ActivateArgs *p = a->activate;
  const float *x = a->x + (size_t)r * (p->gated ? 2 : 1) * f;
  a->kernels->activate(p->kind, &p->xielu, a->y + (size_t)r * f, x, p->gated ? x + f : NULL, f);
}
void cpu_activate(Backend *b, const ActivateArgs *args) {
  RowLoop a = {.y = cpu_floats(args->y),
               .x = cpu_floats(args->x),
               .m = args->rows,
               .width = args->width,
               .activate = args,
               .row = activate_row};
  for_each_row(b, &a, 2 * args->width);
}

/* All floats of a buffer, a chunk at a time: x += y, or, with y NULL, x is scaled and capped. */
typedef struct Floats {
  const Kernels *kernels;
  float *x;
  const float *y;
  size_t n;
  float factor, cap;
} Floats;

static void some_floats(void *context, size_t item, int thread) {
  const Floats *a = context;
  (void)thread;
  const size_t first = item * CPU_PARALLEL_FLOATS;
  const size_t n = a->n - first < CPU_PARALLEL_FLOATS ? a->n - first : CPU_PARALLEL_FLOATS;
  if (a->y)
    a->kernels->add(a->x + first, a->y + first, n);
  else
    a->kernels->scale(a->x + first, n, a->factor, a->cap);
}

static void for_each_float(Backend *b, Floats a) {
  a.kernels = cpu_of(b)->kernels;
  parallel_for(b->pool, (a.n + CPU_PARALLEL_FLOATS - 1) / CPU_PARALLEL_FLOATS, some_floats, &a);
}

void cpu_add(Backend *b, Dev x, Dev y, size_t floats) {
  for_each_float(b, (Floats){.x = cpu_floats(x), .y = cpu_floats(y), .n = floats});
}

void cpu_scale(Backend *b, Dev x, size_t floats, float factor, float cap) {
  for_each_float(b, (Floats){.x = cpu_floats(x), .n = floats, .factor = factor, .cap = cap});
}

void cpu_mix(Backend *b, const MixArgs *a) {
  const MixEdit *edits = (const MixEdit *)cpu_ints(a->edits);
  const size_t width = (size_t)a->width;
  for (int e = 0; e < a->count; e++) {
    if (edits[e].row < a->first || edits[e].row >= a->first + a->rows) continue;
    float *x = cpu_floats(a->x) + (size_t)(edits[e].row - a->first) * width;
    const float *v = cpu_floats(a->values) + (size_t)edits[e].value * width;
    if (edits[e].keep == 0.0f && edits[e].gain == 1.0f)
      memmove(x, v, width * sizeof *x);
    else
      cpu_of(b)->kernels->mix(x, v, width, edits[e].keep, edits[e].gain);
  }
}

typedef struct Choose {
  const Kernels *kernels;
  const ChooseArgs *args;
} Choose;

static void choose_row(void *context, size_t item, int thread) {
  const Choose *c = context;
  const ChooseArgs *a = c->args;
  (void)thread;
  cpu_penalize(a, (int)item);
  ChosenToken token;
  const float *logits = cpu_floats(a->logits) + item * (size_t)a->vocab;
  c->kernels->choose(logits, a->vocab, true, &token);
  const float wanted = index_is_none(a->wanted)
                           ? 0
                           : logits[cpu_ints(a->wanted)[item]] - logits[token.best] + token.logprob;
  ((Choice *)cpu_floats(a->out))[item] =
      (Choice){token.best, token.margin, token.entropy, token.logprob, wanted};
}
void cpu_choose(Backend *b, const ChooseArgs *args) {
  if (args->rows <= 0 || args->vocab <= 0) return;
  Choose c = {cpu_of(b)->kernels, args};
  parallel_for(b->pool, (size_t)args->rows, choose_row, &c);
}

typedef struct Compare {
  const Kernels *kernels; /* NULL: plain sums in double */
  const CompareArgs *args;
} Compare;

static float plain_divergence(const float *q, const float *s, const float *x, float best,
                              size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += (double)q[i] * ((double)s[i] - ((double)x[i] - (double)best));
  return (float)sum;
}

static void compare_row(void *context, size_t item, int thread) {
  const Compare *c = context;
  const CompareArgs *a = c->args;
  const int blocks = compare_blocks(a->vocab);
  const size_t vocab = (size_t)a->vocab;
  const float *x = cpu_floats(a->logits) + item * vocab;
  const float best = x[((const Choice *)cpu_floats(a->chosen))[item].best];
  const int32_t *against = cpu_ints(a->against) + item * BACKEND_COMPARED;
  float *out = cpu_floats(a->out) + item * (size_t)compare_width(a->vocab, a->asked);
  (void)thread;
  for (int k = 0; k < BACKEND_COMPARED; k++) {
    const float *q =
        against[k] < 0 ? NULL : cpu_floats(a->distributions) + 2 * (size_t)against[k] * vocab;
    for (int b = 0; b < blocks; b++) {
      const size_t at = (size_t)b * BACKEND_COMPARE_BLOCK,
                   n = vocab - at < BACKEND_COMPARE_BLOCK ? vocab - at : BACKEND_COMPARE_BLOCK;
      *out++ = !q ? 0
                  : (c->kernels ? c->kernels->diverge : plain_divergence)(q + at, q + vocab + at,
                                                                          x + at, best, n);
    }
  }
  for (int k = 0; k < a->asked; k++)
    *out++ = x[cpu_ints(a->ids)[item * (size_t)a->asked + (size_t)k]] - best;
}

void cpu_compare(Backend *b, const CompareArgs *args) {
  if (args->rows <= 0 || args->vocab <= 0) return;
  Compare c = {cpu_of(b)->kernels, args};
  parallel_for(b->pool, (size_t)args->rows, compare_row, &c);
}
