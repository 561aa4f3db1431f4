/* SPDX-License-Identifier: Apache-2.0 */
/* Row-wise operations: rows are dealt to threads when there is work enough. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/half.h"
#include "base/mem.h"
#include "base/parallel.h"

/* Floats that pay for waking a thread. */
#define CPU_PARALLEL_FLOATS 16384

typedef struct Rows {
  const Kernels *kernels;
  float *y;
  const float *x, *other; /* norm: weight; rope: cos_sin */
  const Table *table;
  const int32_t *ids;
  int m, step; /* rows of one item */
  int width, heads, ld;
  float eps;
  void (*row)(const struct Rows *, int r);
} Rows;

static void some_rows(void *context, size_t item, int thread) {
  const Rows *rows = context;
  (void)thread;
  const int first = (int)item * rows->step, end = rows->m - first < rows->step ? rows->m : first + rows->step;
  for (int r = first; r < end; r++) rows->row(rows, r);
}

static void deal(Backend *b, Rows *rows, int floats_a_row) {
  if (rows->m <= 0) return;
  rows->kernels = cpu_of(b)->kernels;
  rows->step = CPU_PARALLEL_FLOATS / (floats_a_row > 0 ? floats_a_row : 1) + 1;
  parallel_for(b->pool, (size_t)((rows->m - 1) / rows->step + 1), some_rows, rows);
}

xt_status cpu_table_create(Backend *b, const MatrixSource *source, Table **out, xt_error *error) {
  (void)b;
  *out = NULL;
  TRY(cpu_check_parts(source, 1, error));
  Table *table;
  TRY(mem_alloc(&table, 1, sizeof *table, error));
  table->source = *source;
  *out = table;
  return XT_STATUS_OK;
}

void cpu_table_release(Backend *b, Table *table) {
  (void)b;
  free(table);
}

static void embed_row(const Rows *a, int r) {
  const MatrixSource *s = &a->table->source;
  const size_t at = (size_t)a->ids[r] * (size_t)s->cols * half_size(s->dtype);
  a->kernels->widen(a->y + (size_t)r * (size_t)s->cols, (const char *)s->data + at, s->dtype, (size_t)s->cols);
}
void cpu_embed(Backend *b, Dev y, const Table *table, const int32_t *ids, int m) {
  Rows a = {.y = cpu_floats(y), .table = table, .ids = ids, .m = m, .row = embed_row};
  deal(b, &a, table->source.cols);
}

static void norm_row(const Rows *a, int r) {
  const size_t at = (size_t)r * (size_t)a->width;
  a->kernels->norm(a->y + at, a->x + at, a->other, (size_t)a->width, a->eps);
}
void cpu_norm(Backend *b, Dev y, Dev x, Dev weight, int m, int c, float eps) {
  Rows a = {.y = cpu_floats(y), .x = cpu_floats(x), .other = cpu_floats(weight), .m = m, .width = c, .eps = eps,
            .row = norm_row};
  deal(b, &a, c);
}

static void rope_row(const Rows *a, int r) {
  a->kernels->rope(a->y + (size_t)r * (size_t)a->ld, a->heads, a->width,
                   a->other + (size_t)a->ids[r] * (size_t)a->width);
}
void cpu_rope(Backend *b, Dev x, int ld, int m, int heads, int head_dim, const int32_t *positions, Dev cos_sin) {
  Rows a = {.y = cpu_floats(x), .other = cpu_floats(cos_sin), .ids = positions, .m = m, .width = head_dim,
            .heads = heads, .ld = ld, .row = rope_row};
  deal(b, &a, heads * head_dim);
}

static void silu_row(const Rows *a, int r) {
  const size_t f = (size_t)a->width;
  const float *gate = a->x + (size_t)r * 2 * f;
  a->kernels->silu_mul(a->y + (size_t)r * f, gate, gate + f, f);
}
void cpu_silu_mul(Backend *b, Dev y, Dev gate_up, int m, int f) {
  Rows a = {.y = cpu_floats(y), .x = cpu_floats(gate_up), .m = m, .width = f, .row = silu_row};
  deal(b, &a, 2 * f);
}

typedef struct Add {
  const Kernels *kernels;
  float *x;
  const float *y;
  size_t n;
} Add;

static void add_some(void *context, size_t item, int thread) {
  const Add *a = context;
  (void)thread;
  const size_t first = item * CPU_PARALLEL_FLOATS;
  const size_t n = a->n - first < CPU_PARALLEL_FLOATS ? a->n - first : CPU_PARALLEL_FLOATS;
  a->kernels->add(a->x + first, a->y + first, n);
}
void cpu_add(Backend *b, Dev x, Dev y, size_t floats) {
  Add a = {cpu_of(b)->kernels, cpu_floats(x), cpu_floats(y), floats};
  parallel_for(b->pool, (floats + CPU_PARALLEL_FLOATS - 1) / CPU_PARALLEL_FLOATS, add_some, &a);
}

void cpu_mix(Backend *b, Dev x, Dev v, int c, float keep, float gain) {
  if (c <= 0) return;
  if (keep == 0.0f && gain == 1.0f) memmove(cpu_floats(x), cpu_floats(v), (size_t)c * sizeof(float));
  else cpu_of(b)->kernels->mix(cpu_floats(x), cpu_floats(v), (size_t)c, keep, gain);
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
  c->kernels->choose(logits, a->vocab, a->entropy || a->logprob || a->wanted_logprob, &token);
  if (a->best) a->best[item] = token.best;
  if (a->margin) a->margin[item] = token.margin;
  if (a->entropy) a->entropy[item] = token.entropy;
  if (a->logprob) a->logprob[item] = token.logprob;
  if (a->wanted_logprob) a->wanted_logprob[item] = logits[a->wanted[item]] - logits[token.best] + token.logprob;
}
void cpu_choose(Backend *b, const ChooseArgs *args) {
  if (args->rows <= 0 || args->vocab <= 0) return;
  Choose c = {cpu_of(b)->kernels, args};
  parallel_for(b->pool, (size_t)args->rows, choose_row, &c);
}
