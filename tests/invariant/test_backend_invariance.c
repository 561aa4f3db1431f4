/* SPDX-License-Identifier: Apache-2.0 */
/* The numerics promise of the op table: a row's bits depend on its own inputs only, whatever rows
 * stand beside it and however many threads work; and the kernel sets agree. */
#include "backend_support.h"

static const int row_counts[] = {1, 2, 5, 6, 7, 37, 64, 200, 1024};
enum { COUNTS = 9, MOST = 1024 };

#define EACH_SET(name)                                              \
  for (size_t set_ = 0; set_ < KERNEL_SETS - 1;                     \
       set_++) /* not the reference: it is slow and has no tiles */ \
    for (const char *name = kernel_sets[set_]; name; name = NULL)

static void assert_same(const char *what, const char *set, int m, int threads, const float *got,
                        const float *want, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (bits_of(got[i]) != bits_of(want[i]))
      fail_msg("%s, %s: %d rows on %d threads change element %zu from %a to %a", what, set, m,
               threads, i, (double)want[i], (double)got[i]);
}

/* Calls run(b, m, first) -> floats for rows first..first+m-1, and compares with all rows at once on
 * one thread. `first` moves, so that a row meets every place of a tile. */
typedef float *(*RunRows)(Backend *b, const void *data, int m, int first);
static void rows_and_threads(const char *what, RunRows run, const void *data, size_t width,
                             xt_compute compute) {
  EACH_SET(set) {
    Backend *one = backend_or_null(set, 1, compute);
    if (!one) continue;
    float *all = run(one, data, MOST, 0);
    for (int threads = 1; threads <= 3; threads++) {
      Backend *b = backend_or_null(set, threads, compute);
      for (int i = 0; i < COUNTS; i++) {
        const int m = row_counts[i], first = (MOST - m) * (i + threads) % (MOST - m + 1);
        float *some = run(b, data, m, first);
        assert_same(what, set, m, threads, some, all + (size_t)first * width, (size_t)m * width);
        free(some);
      }
      b->ops->destroy(b);
    }
    free(all);
    one->ops->destroy(one);
  }
}

/* ---- matmul ---------------------------------------------------------------------------------- */

typedef struct Product {
  MatrixSource w;
  const float *x, *bias;
} Product;

static float *product_rows(Backend *b, const void *data, int m, int first) {
  const Product *p = data;
  const size_t n = (size_t)p->w.rows, k = (size_t)p->w.cols;
  Weight *w;
  assert_int_equal(b->ops->weight_create(b, &p->w, 1, &w, NULL), XT_STATUS_OK);
  Dev x = to_device(b, p->x + (size_t)first * k, (size_t)m * k),
      y = to_device(b, NULL, (size_t)m * n);
  Dev bias = p->bias ? to_device(b, p->bias, n) : (Dev){0};
  b->ops->matmul(b, y, x, w, bias, m);
  float *got = to_host(b, y, (size_t)m * n);
  b->ops->release(b, x), b->ops->release(b, y), b->ops->release(b, bias),
      b->ops->weight_release(b, w);
  return got;
}

static void products(xt_compute compute) {
  static const int shapes[][2] = {{64, 64}, {77, 513}, {49, 1201}};
  for (size_t s = 0; s < 3; s++)
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
      const int n = shapes[s][0], k = shapes[s][1];
      float *x = random_floats((size_t)(MOST * k), 1), *bias = random_floats((size_t)n, 2);
      const Product p = {random_matrix((Dtype)type, n, k, 3, NULL), x, s ? bias : NULL};
      rows_and_threads("matmul", product_rows, &p, (size_t)n, compute);
      free(x), free(bias), free((void *)(uintptr_t)p.w.data);
    }
}
static void test_matmul(void **state) {
  (void)state;
  products(XT_COMPUTE_F32);
}
static void test_matmul_bf16(void **state) {
  (void)state;
  products(XT_COMPUTE_BF16);
}

/* ---- attention ------------------------------------------------------------------------------- */

typedef struct Attention {
  int heads, kv_heads, head_dim, prefix, tail, window;
  bool causal;
  const float *q, *kv, *own;
} Attention;
enum { SLOTS = 50 };

static float *attend_rows(Backend *b, const void *data, int m, int first) {
  const Attention *a = data;
  const size_t kvw = (size_t)(a->kv_heads * a->head_dim), qw = (size_t)(a->heads * a->head_dim);
  const KvShape shape = {1, a->kv_heads, a->head_dim};
  KvPrefix *prefix;
  KvTail *tail = NULL;
  const int32_t slots_of_layers[1] = {SLOTS};
  assert_int_equal(b->ops->prefix_create(b, shape, &(int){a->prefix}, 1, &prefix, NULL),
                   XT_STATUS_OK);
  Dev kv = to_device(b, a->kv, (size_t)a->prefix * 2 * kvw),
      q = to_device(b, a->q + (size_t)first * qw, (size_t)m * qw);
  Dev out = to_device(b, NULL, (size_t)m * qw), own = to_device(b, a->own, SLOTS * 2 * kvw);
  b->ops->prefix_store(b, prefix, 0, kv, dev_at(kv, kvw), (int)(2 * kvw), a->prefix, 0);
  int32_t all_slots[SLOTS], *slots = malloc(sizeof *slots * (size_t)(m * SLOTS));
  int32_t *range = malloc(sizeof *range * 4 * (size_t)m);
  for (int i = 0; i < SLOTS; i++) all_slots[i] = i;
  if (a->tail) {
    assert_int_equal(b->ops->tail_create(b, shape, slots_of_layers, &tail, NULL), XT_STATUS_OK);
    const IndexList list = to_indices(b, all_slots, SLOTS);
    b->ops->tail_store(b, tail, 0, own, dev_at(own, kvw), (int)(2 * kvw), SLOTS, list);
    b->ops->release(b, list.at);
  }
  for (int r = 0; r < m; r++) {
    const int id = first + r, end = a->causal ? id + 1 : id % 5 == 4 ? 0 : a->prefix - id % 7;
    range[r] = a->window && end > a->window ? end - a->window : 0;
    range[m + r] = end;
    range[3 * m + r] = a->tail ? 1 + id % a->tail : 0;
    range[2 * m + r] = a->window && range[3 * m + r] > 3 ? range[3 * m + r] - 3 : 0;
    for (int i = 0; i < SLOTS; i++) slots[r * SLOTS + i] = (id * 7 + i) % SLOTS;
  }
  const size_t n = (size_t)m;
  const IndexList ranges = to_indices(b, range, 4 * n), list = to_indices(b, slots, n * SLOTS);
  const IndexList none = {{0}};
  const AttendSpan span = {.rows = m, .prefix = prefix};
  const AttendArgs args = {.layer = 0,
                           .rows = m,
                           .heads = a->heads,
                           .scale = 0.3f,
                           .q = q,
                           .ld_q = (int)qw,
                           .out = out,
                           .spans = &span,
                           .span_count = 1,
                           .prefix_begin = a->window ? ranges : none,
                           .prefix_end = index_at(ranges, n),
                           .tail = tail,
                           .tail_slots = list,
                           .tail_ld = SLOTS,
                           .tail_begin = a->window ? index_at(ranges, 2 * n) : none,
                           .tail_end = index_at(ranges, 3 * n)};
  b->ops->attend(b, &args);
  b->ops->release(b, ranges.at), b->ops->release(b, list.at);
  float *got = to_host(b, out, (size_t)m * qw);
  free(slots), free(range);
  b->ops->release(b, kv), b->ops->release(b, q), b->ops->release(b, out), b->ops->release(b, own);
  b->ops->prefix_release(b, prefix), b->ops->tail_release(b, tail);
  return got;
}

static void attention(Attention a) {
  const size_t qw = (size_t)(a.heads * a.head_dim), kvw = (size_t)(a.kv_heads * a.head_dim);
  float *q = random_floats(MOST * qw, 1), *kv = random_floats((size_t)a.prefix * 2 * kvw, 2);
  float *own = random_floats(SLOTS * 2 * kvw, 3);
  a.q = q, a.kv = kv, a.own = own;
  rows_and_threads("attend", attend_rows, &a, qw, XT_COMPUTE_F32);
  free(q), free(kv), free(own);
}
static void test_attend(void **state) {
  (void)state;
  attention((Attention){.heads = 4, .kv_heads = 2, .head_dim = 16, .prefix = 130, .tail = 20});
  attention((Attention){
      .heads = 3, .kv_heads = 3, .head_dim = 20, .prefix = 700, .tail = 9, .window = 600});
  attention((Attention){.heads = 2, .kv_heads = 1, .head_dim = 20, .prefix = MOST, .causal = true});
  attention((Attention){
      .heads = 2, .kv_heads = 1, .head_dim = 16, .prefix = MOST, .causal = true, .window = 100});
}

/* Positions outside a row's range, and the cache's capacity, leave no trace in its bits. */
static void test_attend_hidden_positions(void **state) {
  (void)state;
  enum { D = 24, P = 700, BEGIN = 530, END = 640 };
  EACH_SET(set) {
    Backend *b = backend_or_null(set, 2, XT_COMPUTE_F32);
    if (!b) continue;
    float *kv = random_floats(2 * P * D, 1), *q = random_floats(2 * D, 2), *first = NULL;
    for (int pass = 0; pass < 3; pass++) {
      const KvShape shape = {1, 1, D};
      KvPrefix *p;
      assert_int_equal(b->ops->prefix_create(b, shape, &(int){pass == 2 ? 3 * P : P}, 1, &p, NULL),
                       XT_STATUS_OK);
      for (int i = 0; pass && i < P; i++)
        for (int c = 0; (i < BEGIN || i >= END) && c < 2 * D; c++)
          kv[i * 2 * D + c] = (float)(1000 * pass);
      Dev dkv = to_device(b, kv, 2 * P * D), dq = to_device(b, q, 2 * D),
          out = to_device(b, NULL, 2 * D);
      b->ops->prefix_store(b, p, 0, dkv, dev_at(dkv, D), 2 * D, P, 0);
      /* A second row that sees everything shares the tile from the second pass on. */
      const int32_t begin[2] = {BEGIN, 0}, end[2] = {END, P};
      const IndexList begins = to_indices(b, begin, 2), ends = to_indices(b, end, 2);
      const AttendSpan span = {.rows = pass ? 2 : 1, .prefix = p};
      const AttendArgs args = {.rows = span.rows,
                               .heads = 1,
                               .scale = 0.2f,
                               .q = dq,
                               .ld_q = D,
                               .out = out,
                               .spans = &span,
                               .span_count = 1,
                               .prefix_begin = begins,
                               .prefix_end = ends};
      b->ops->attend(b, &args);
      b->ops->release(b, begins.at), b->ops->release(b, ends.at);
      float *got = to_host(b, out, D);
      if (first)
        assert_same("hidden positions", set, pass, 2, got, first, D), free(got);
      else
        first = got;
      b->ops->release(b, dkv), b->ops->release(b, dq), b->ops->release(b, out),
          b->ops->prefix_release(b, p);
    }
    free(kv), free(q), free(first), b->ops->destroy(b);
  }
}

/* ---- rows ------------------------------------------------------------------------------------ */

enum { WIDTH = 332 };
typedef struct RowData {
  const float *x, *other;
} RowData;

static float *row_ops(Backend *b, const void *data, int m, int first) {
  const RowData *d = data;
  const size_t n = (size_t)m * WIDTH;
  int32_t *positions = malloc(sizeof *positions * (size_t)m);
  for (int r = 0; r < m; r++) positions[r] = (first + r) % 11;
  const IndexList list = to_indices(b, positions, (size_t)m);
  Dev x = to_device(b, d->x + (size_t)first * WIDTH, n), w = to_device(b, d->other, 11 * WIDTH);
  Dev y = to_device(b, NULL, n), z = to_device(b, NULL, n / 2);
  for (int kind = NORM_RMS; kind <= NORM_LAYER; kind++) {
    b->ops->norm(b, &(NormArgs){.kind = (NormKind)kind,
                                .y = y,
                                .x = kind ? y : x,
                                .weight = w,
                                .rows = m,
                                .groups = 1 + kind,
                                .width = WIDTH / (1 + kind),
                                .ld_y = WIDTH,
                                .ld_x = WIDTH,
                                .eps = 1e-6f});
    b->ops->rope(b, &(RopeArgs){.style = (RopeStyle)kind,
                                .x = y,
                                .ld = WIDTH,
                                .rows = m,
                                .heads = 4,
                                .head_dim = WIDTH / 4 - 1,
                                .width = WIDTH / 4 - 1 - 2 * kind,
                                .positions = list,
                                .cos_sin = w});
  }
  b->ops->add(b, y, x, n);
  b->ops->scale(b, y, n, 1.5f, 2);
  float *got = to_host(b, y, n);
  for (int act = 0; act < ACTIVATION_COUNT; act++) {
    b->ops->activate(b, &(ActivateArgs){.kind = (Activation)act,
                                        .gated = true,
                                        .y = z,
                                        .x = y,
                                        .rows = m,
                                        .width = WIDTH / 2,
                                        .xielu = {0.8f, 1.1f, 0.5f, -1e-6f}});
    float *zs = to_host(b, z, n / 2);
    for (size_t i = 0; i < n; i++) got[i] += zs[i / 2];
    free(zs);
  }
  free(positions);
  b->ops->release(b, x), b->ops->release(b, w), b->ops->release(b, y), b->ops->release(b, z),
      b->ops->release(b, list.at);
  return got;
}
static void test_row_ops(void **state) {
  (void)state;
  float *x = random_floats(MOST * WIDTH, 1), *other = random_floats(11 * WIDTH, 2);
  const RowData d = {x, other};
  rows_and_threads("row ops", row_ops, &d, WIDTH, XT_COMPUTE_F32);
  free(x), free(other);
}

static float *choose_rows(Backend *b, const void *data, int m, int first) {
  const RowData *d = data;
  Dev x = to_device(b, d->x + (size_t)first * WIDTH, (size_t)m * WIDTH);
  Dev out = to_device(b, NULL, (size_t)m * CHOICE_WORDS);
  Choice *choices = malloc((size_t)m * sizeof *choices);
  float *got = malloc(4 * sizeof *got * (size_t)m);
  b->ops->choose(b,
                 &(ChooseArgs){.rows = m, .vocab = WIDTH, .logits = x, .penalty = 1, .out = out});
  b->ops->download(b, choices, out, (size_t)m * sizeof *choices);
  for (int r = 0; r < m; r++) {
    got[4 * r] = (float)choices[r].best;
    got[4 * r + 1] = choices[r].margin, got[4 * r + 2] = choices[r].entropy,
                got[4 * r + 3] = choices[r].logprob;
  }
  free(choices), b->ops->release(b, x), b->ops->release(b, out);
  return got;
}
static void test_choose(void **state) {
  (void)state;
  float *x = random_floats(MOST * WIDTH, 4);
  const RowData d = {x, NULL};
  rows_and_threads("choose", choose_rows, &d, 4, XT_COMPUTE_F32);
  free(x);
}

/* Rows compared with two distributions, which are rows of other data. */
static float *compare_rows(Backend *b, const void *data, int m, int first) {
  const RowData *d = data;
  const int width = compare_width(WIDTH, 1);
  Choice *chosen = calloc((size_t)m, sizeof *chosen);
  int32_t *ids = calloc((size_t)m, 4), *against = calloc(2 * (size_t)m, 4);
  for (int r = 0; r < m; r++) {
    chosen[r].best = (first + r) % WIDTH, ids[r] = (3 * (first + r)) % WIDTH;
    against[2 * r] = (first + r) % 2, against[2 * r + 1] = 1;
  }
  Dev x = to_device(b, d->x + (size_t)first * WIDTH, (size_t)m * WIDTH),
      c = to_device(b, (float *)chosen, (size_t)m * CHOICE_WORDS),
      with = to_device(b, d->other, 4 * WIDTH), out = to_device(b, NULL, (size_t)(m * width));
  const IndexList l = to_indices(b, ids, (size_t)m), a = to_indices(b, against, 2 * (size_t)m);
  b->ops->compare(b, &(CompareArgs){.rows = m,
                                    .vocab = WIDTH,
                                    .asked = 1,
                                    .logits = x,
                                    .chosen = c,
                                    .ids = l,
                                    .against = a,
                                    .distributions = with,
                                    .out = out});
  float *got = to_host(b, out, (size_t)(m * width));
  free(chosen), free(ids), free(against);
  b->ops->release(b, x), b->ops->release(b, c), b->ops->release(b, with), b->ops->release(b, out);
  b->ops->release(b, l.at), b->ops->release(b, a.at);
  return got;
}
static void test_compare(void **state) {
  (void)state;
  float *x = random_floats(MOST * WIDTH, 4), *other = random_floats(11 * WIDTH, 2);
  const RowData d = {x, other};
  rows_and_threads("compare", compare_rows, &d, (size_t)compare_width(WIDTH, 1), XT_COMPUTE_F32);
  free(x), free(other);
}

/* ---- kernel sets ----------------------------------------------------------------------------- */

/* Lanes, chains and e^x are the same on every instruction set. */
static void test_sets_agree(void **state) {
  (void)state;
  static const char *const sets_of_kernels[] = {"avx512", "avx2", "neon", "portable"};
  float *x = random_floats(MOST * WIDTH, 1), *other = random_floats(11 * WIDTH, 2), *want[5] = {0};
  const RowData d = {x, other};
  const Attention seen = {.heads = 4,
                          .kv_heads = 2,
                          .head_dim = 20,
                          .prefix = 130,
                          .tail = 20,
                          .window = 100,
                          .q = x,
                          .kv = x,
                          .own = x + 99};
  const Product p = {random_matrix(DTYPE_BF16, 100, WIDTH, 3, NULL), x, other};
  int sets = 0;
  for (size_t s = 0; s < 4; s++) {
    Backend *b = backend_or_null(sets_of_kernels[s], 2, XT_COMPUTE_F32);
    if (!b) continue;
    float *got[5] = {row_ops(b, &d, 50, 0), choose_rows(b, &d, 50, 0), product_rows(b, &p, 50, 0),
                     attend_rows(b, &seen, 50, 0), compare_rows(b, &d, 50, 0)};
    const size_t n[5] = {50 * WIDTH, 200, 5000, 50 * 80, 50 * (size_t)compare_width(WIDTH, 1)};
    for (int i = 0; i < 5; i++) {
      if (want[i])
        assert_same("sets", sets_of_kernels[s], 50, 2, got[i], want[i], n[i]), free(got[i]);
      else
        want[i] = got[i];
    }
    sets++;
    b->ops->destroy(b);
  }
  free(x), free(other), free((void *)(uintptr_t)p.w.data);
  for (int i = 0; i < 5; i++) free(want[i]);
  if (sets < 2) skip();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_matmul),  cmocka_unit_test(test_matmul_bf16),
      cmocka_unit_test(test_attend),  cmocka_unit_test(test_attend_hidden_positions),
      cmocka_unit_test(test_row_ops), cmocka_unit_test(test_choose),
      cmocka_unit_test(test_compare), cmocka_unit_test(test_sets_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
