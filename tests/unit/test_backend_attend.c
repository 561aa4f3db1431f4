/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of every set of kernels against plain sums in double: causal prompts, shared prefixes,
 * private tails, sliding windows, grouped heads, odd sizes. */
#include "backend_support.h"

typedef struct Case {
  int rows, heads, kv_heads, head_dim;
  int prefix;  /* positions stored; 0: no prefix */
  int tail;    /* most private positions of a row; 0: no tail */
  bool causal; /* row r sees r + 1 positions of the prefix */
  int window;  /* > 0: sees at most so many, the latest */
  float cap;   /* of the scores; 0: none */
  bool slopes; /* a bias by position, one slope a head */
} Case;

typedef struct Setup {
  Case c;
  size_t kv_width, q_width;
  float *q, *k, *v, *tk, *tv;
  int32_t *begin, *end, *slots, *tail_begin, *tail_end;
} Setup;

enum { LAYERS = 2, LAYER = 1, SLOTS = 97, LD_EXTRA = 3 };
static const float SCALE = 0.37f, SLOPES[] = {0.25f, -0.5f, 0.0625f, 0.003f};

static Setup make(Case c) {
  Setup s = {.c = c,
             .kv_width = (size_t)(c.kv_heads * c.head_dim),
             .q_width = (size_t)(c.heads * c.head_dim)};
  const size_t rows = (size_t)c.rows, ld = (size_t)c.tail + 1;
  s.q = random_floats(rows * (s.q_width + LD_EXTRA), 1);
  s.k = random_floats((size_t)c.prefix * s.kv_width, 2);
  s.v = random_floats((size_t)c.prefix * s.kv_width, 3);
  s.tk = random_floats(SLOTS * s.kv_width, 4);
  s.tv = random_floats(SLOTS * s.kv_width, 5);
  s.begin = calloc(rows, sizeof *s.begin);
  s.end = calloc(rows, sizeof *s.end);
  s.slots = calloc(rows * ld, sizeof *s.slots);
  s.tail_begin = calloc(rows, sizeof *s.tail_begin);
  s.tail_end = calloc(rows, sizeof *s.tail_end);
  Rng rng = {6};
  for (int r = 0; r < c.rows; r++) {
    s.end[r] = c.causal ? r + 1 : c.prefix - (int)(rng_next(&rng) % 3) * (c.prefix / 3);
    if (r % 11 == 5) s.end[r] = 0; /* sees none of the prefix */
    s.tail_end[r] = c.tail ? (int)(rng_next(&rng) % (uint64_t)(c.tail + 1)) : 0;
    if (s.end[r] == 0 && s.tail_end[r] == 0 && c.tail) s.tail_end[r] = 1;
    if (c.window) {
      s.begin[r] = s.end[r] > c.window ? s.end[r] - c.window : 0;
      s.tail_begin[r] = s.tail_end[r] > c.window ? s.tail_end[r] - c.window : 0;
    }
    for (int i = 0; i < c.tail; i++)
      s.slots[(size_t)r * ld + (size_t)i] = (int32_t)(rng_next(&rng) % SLOTS);
  }
  return s;
}

static void clear(Setup *s) {
  free(s->q), free(s->k), free(s->v), free(s->tk), free(s->tv);
  free(s->begin), free(s->end), free(s->slots), free(s->tail_begin), free(s->tail_end);
}

static float *run(Backend *b, const Setup *s) {
  const Case c = s->c;
  const KvShape shape = {LAYERS, c.kv_heads, c.head_dim};
  const size_t rows = (size_t)c.rows, q_floats = rows * (s->q_width + LD_EXTRA);
  KvPrefix *prefix = NULL;
  KvTail *tail = NULL;
  xt_error error;
  Dev q = to_device(b, s->q, q_floats), out = to_device(b, NULL, rows * s->q_width);
  if (c.prefix) {
    ASSERT_OK(b->ops->prefix_create(b, shape, &(int){c.prefix}, 1, &prefix, &error));
    Dev k = to_device(b, s->k, (size_t)c.prefix * s->kv_width),
        v = to_device(b, s->v, (size_t)c.prefix * s->kv_width);
    const int half = c.prefix / 2; /* in two pieces */
    b->ops->prefix_store(b, prefix, LAYER, k, v, (int)s->kv_width, half, 0);
    b->ops->prefix_store(b, prefix, LAYER, dev_at(k, (size_t)half * s->kv_width),
                         dev_at(v, (size_t)half * s->kv_width), (int)s->kv_width, c.prefix - half,
                         half);
    b->ops->release(b, k), b->ops->release(b, v);
  }
  if (c.tail) {
    int32_t slots[SLOTS];
    for (int i = 0; i < SLOTS; i++) slots[i] = i;
    const int32_t counts[LAYERS] = {5, SLOTS};
    ASSERT_OK(b->ops->tail_create(b, shape, counts, &tail, &error));
    Dev k = to_device(b, s->tk, SLOTS * s->kv_width), v = to_device(b, s->tv, SLOTS * s->kv_width);
    const IndexList list = to_indices(b, slots, SLOTS);
    b->ops->tail_store(b, tail, LAYER, k, v, (int)s->kv_width, SLOTS, list);
    b->ops->release(b, k), b->ops->release(b, v), b->ops->release(b, list.at);
  }
  const size_t ld = (size_t)c.tail + 1;
  const IndexList lists[] = {to_indices(b, s->begin, rows), to_indices(b, s->end, rows),
                             to_indices(b, s->slots, rows * ld), to_indices(b, s->tail_begin, rows),
                             to_indices(b, s->tail_end, rows)};
  const IndexList none = {{0}};
  const AttendSpan span = {.rows = c.rows, .prefix = prefix};
  const AttendArgs args = {.layer = LAYER,
                           .rows = c.rows,
                           .heads = c.heads,
                           .scale = SCALE,
                           .cap = c.cap,
                           .slopes = c.slopes ? SLOPES : NULL,
                           .q = q,
                           .ld_q = (int)s->q_width + LD_EXTRA,
                           .out = out,
                           .spans = &span,
                           .span_count = 1,
                           .prefix_begin = c.window ? lists[0] : none,
                           .prefix_end = prefix ? lists[1] : none,
                           .tail = tail,
                           .tail_slots = lists[2],
                           .tail_ld = c.tail + 1,
                           .tail_begin = c.window ? lists[3] : none,
                           .tail_end = lists[4]};
  b->ops->attend(b, &args);
  float *got = to_host(b, out, rows * s->q_width);
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) b->ops->release(b, lists[i].at);
  b->ops->release(b, q), b->ops->release(b, out), b->ops->prefix_release(b, prefix),
      b->ops->tail_release(b, tail);
  return got;
}

/* Key and value of the i-th of a row's positions, NULL after the last. */
static const float *position(const Setup *s, int r, int i, size_t head, bool value, int *place) {
  const int shared = s->c.prefix ? s->end[r] - s->begin[r] : 0;
  const size_t at = head * (size_t)s->c.head_dim;
  *place =
      i < shared ? s->begin[r] + i : (s->c.prefix ? s->end[r] : 0) + s->tail_begin[r] + i - shared;
  if (i < shared) return (value ? s->v : s->k) + (size_t)(s->begin[r] + i) * s->kv_width + at;
  i += s->tail_begin[r] - shared;
  if (!s->c.tail || i >= s->tail_end[r]) return NULL;
  return (value ? s->tv : s->tk) + (size_t)s->slots[r * (s->c.tail + 1) + i] * s->kv_width + at;
}

static void check_row(const Backend *b, const Setup *s, const float *got, int r, int h) {
  const int d = s->c.head_dim;
  const size_t kv = (size_t)(h / (s->c.heads / s->c.kv_heads));
  const float *q = s->q + (size_t)r * (s->q_width + LD_EXTRA) + (size_t)(h * d);
  double score[2048], largest = -(double)INFINITY, sum = 0, reach = 0;
  int n = 0, place;
  for (const float *k; (k = position(s, r, n, kv, false, &place)); n++) {
    double size = 0;
    score[n] = 0;
    for (int i = 0; i < d; i++)
      score[n] += (double)q[i] * (double)k[i], size += fabs((double)q[i] * (double)k[i]);
    score[n] *= (double)SCALE;
    reach = fmax(reach, size * (double)SCALE);
    if (s->c.cap != 0) score[n] = (double)s->c.cap * tanh(score[n] / (double)s->c.cap);
    if (s->c.slopes)
      score[n] += (double)SLOPES[h] * place, reach = fmax(reach, fabs((double)SLOPES[h] * place));
    largest = fmax(largest, score[n]);
  }
  for (int i = 0; i < n; i++) sum += score[i] = exp(score[i] - largest);
  for (int i = 0; i < d; i++) {
    double want = 0;
    for (int j = 0; j < n; j++)
      want += score[j] / sum * (double)position(s, r, j, kv, true, &place)[i];
    /* Values are at most 1 and weights add up to 1, so the error is the weights' relative one: of
     * the scores (d products of `reach` in all, scale, cap, slope, maximum), exp, the sums of n,
     * the merge. Twice, for weight and sum. */
    const double bound = 2 * 0x1p-24 * ((d + 8) * (reach + 1) + n + 16);
    const double off = fabs((double)got[(size_t)r * s->q_width + (size_t)(h * d + i)] - want);
    if (!(off <= bound))
      fail_msg("%s: row %d head %d element %d is off by %g > %g", b->ops->name, r, h, i, off,
               bound);
  }
}

static void run_case(Case c) {
  for (size_t set = 0; set < KERNEL_SETS; set++) {
    Backend *b = backend_or_null(kernel_sets[set], 2, XT_COMPUTE_F32);
    if (!b) continue;
    Setup s = make(c);
    float *got = run(b, &s);
    for (int r = 0; r < c.rows; r++)
      for (int h = 0; h < c.heads; h++) check_row(b, &s, got, r, h);
    free(got), clear(&s), b->ops->destroy(b);
  }
}

static void test_causal(void **state) {
  (void)state;
  run_case((Case){1, 1, 1, 1, 1, 0, true, 0, 0, false});
  run_case((Case){37, 4, 2, 8, 37, 0, true, 0, 0, false});
  run_case((Case){50, 6, 2, 20, 53, 0, true, 0, 0, false});
  run_case((Case){120, 4, 4, 64, 120, 0, true, 0, 0, false});
  run_case((Case){70, 7, 1, 33, 70, 0, true, 13, 0, false});
}

static void test_shared_prefix(void **state) {
  (void)state;
  run_case((Case){9, 4, 2, 16, 100, 0, false, 0, 0, false});
  run_case((Case){3, 2, 1, 48, 1200, 0, false, 0, 0, false}); /* more than one block of positions */
  run_case((Case){3, 2, 1, 16, 1200, 0, false, 300, 0, false});
  run_case((Case){2, 75, 1, 8, 30, 0, false, 0, 0, false}); /* one row's heads in two parts */
}

static void test_tail(void **state) {
  (void)state;
  run_case((Case){5, 4, 2, 16, 0, 20, false, 0, 0, false});
  run_case((Case){5, 3, 3, 7, 0, 1, false, 0, 0, false});
  run_case((Case){4, 4, 1, 40, 0, 300, false, 0, 0, false}); /* several blocks of a tail */
  run_case((Case){4, 4, 1, 16, 0, 100, false, 70, 0, false});
}

static void test_both(void **state) {
  (void)state;
  run_case((Case){64, 8, 2, 64, 130, 20, false, 0, 0, false});
  run_case((Case){33, 4, 4, 24, 17, 70, false, 0, 0, false});
  run_case((Case){33, 4, 2, 24, 600, 70, false, 40, 0, false});
}

static void test_bent_scores(void **state) {
  (void)state;
  for (int slopes = 0; slopes < 2; slopes++)
    for (int cap = slopes ? 0 : 1; cap < 2; cap++) {
      const float most = cap ? 0.7f : 0;
      run_case((Case){37, 4, 2, 8, 37, 0, true, 0, most, slopes});
      run_case((Case){70, 4, 1, 33, 70, 0, true, 13, most, slopes});
      run_case((Case){3, 2, 1, 48, 1200, 0, false, 300, most, slopes});
      run_case((Case){5, 3, 3, 7, 0, 20, false, 0, most, slopes});
      run_case((Case){4, 4, 1, 16, 0, 150, false, 70, most, slopes});
      run_case((Case){33, 4, 2, 24, 600, 70, false, 40, most, slopes});
      run_case((Case){64, 4, 4, 64, 130, 20, false, 0, most, slopes});
    }
}

/* A row that sees nothing gives zeros, not NaN. */
static void test_blind_row(void **state) {
  (void)state;
  for (size_t set = 0; set < KERNEL_SETS; set++) {
    Backend *b = backend_or_null(kernel_sets[set], 1, XT_COMPUTE_F32);
    if (!b) continue;
    Setup s = make((Case){7, 2, 1, 16, 20, 0, false, 0, 0, false}); /* row 5 sees none */
    float *got = run(b, &s);
    for (int i = 0; i < 32; i++) assert_true(got[5 * 32 + i] == 0);
    free(got), clear(&s), b->ops->destroy(b);
  }
}

enum { SPANS = 100, D = 20 };

/* Attends to each span in a call of its own, into `out`. */
static void attend_one_by_one(Backend *b, const AttendArgs *all, Dev out) {
  const size_t width = (size_t)all->ld_q;
  for (int s = 0; s < all->span_count; s++) {
    const size_t first = (size_t)all->spans[s].first;
    const AttendSpan alone = {.rows = all->spans[s].rows, .prefix = all->spans[s].prefix};
    AttendArgs some = *all;
    some.rows = alone.rows, some.q = dev_at(all->q, first * width),
    some.out = dev_at(out, first * width), some.spans = &alone, some.span_count = 1;
    some.prefix_end = index_at(all->prefix_end, first),
    some.tail_slots = index_at(all->tail_slots, first),
    some.tail_end = index_at(all->tail_end, first);
    b->ops->attend(b, &some);
  }
}

/* Rows of many spans in one call give what each span's rows give in a call of their own; one span
 * has no prefix, and no row sees another's. */
static void test_spans(void **state) {
  (void)state;
  for (size_t set = 0; set < KERNEL_SETS; set++) {
    Backend *b = backend_or_null(kernel_sets[set], 2, XT_COMPUTE_F32);
    if (!b) continue;
    enum { ROWS = 2 * SPANS };
    const KvShape shape = {1, 2, D};
    const int32_t slots_of_layers[1] = {ROWS};
    AttendSpan spans[SPANS];
    int32_t ends[ROWS], slots[ROWS], ones[ROWS];
    KvPrefix *prefixes[SPANS] = {0};
    KvTail *tail;
    float *x = random_floats(ROWS * 8 * D, 1);
    Dev kv = to_device(b, x, ROWS * 4 * D), q = to_device(b, x, ROWS * 4 * D),
        out = to_device(b, NULL, ROWS * 4 * D), one = to_device(b, NULL, ROWS * 4 * D);
    assert_int_equal(b->ops->tail_create(b, shape, slots_of_layers, &tail, NULL), XT_STATUS_OK);
    for (int r = 0; r < ROWS; r++) slots[r] = ROWS - 1 - r, ones[r] = 1;
    for (int s = 0, row = 0; s < SPANS; s++) {
      const int rows = s % 4 + (s % 4 == 0 ? 2 : 0), length = 1 + s * 3 % 90;
      spans[s] = (AttendSpan){.first = row, .rows = s == SPANS - 1 ? ROWS - row : rows};
      for (int r = 0; r < spans[s].rows; r++) ends[row + r] = s == 7 ? 0 : length;
      row += spans[s].rows;
      if (s == 7) continue;
      assert_int_equal(b->ops->prefix_create(b, shape, &(int){length}, 1, &prefixes[s], NULL),
                       XT_STATUS_OK);
      b->ops->prefix_store(b, prefixes[s], 0, dev_at(kv, (size_t)s * 2 * D),
                           dev_at(kv, (size_t)s * 2 * D + 90), 4 * D, length, 0);
      spans[s].prefix = prefixes[s];
    }
    const IndexList list_ends = to_indices(b, ends, ROWS), list_slots = to_indices(b, slots, ROWS),
                    list_ones = to_indices(b, ones, ROWS);
    b->ops->tail_store(b, tail, 0, kv, dev_at(kv, 2 * D), 4 * D, ROWS, list_slots);
    const AttendArgs args = {.rows = ROWS,
                             .heads = 4,
                             .scale = 0.3f,
                             .q = q,
                             .ld_q = 4 * D,
                             .out = out,
                             .spans = spans,
                             .span_count = SPANS,
                             .prefix_end = list_ends,
                             .tail = tail,
                             .tail_slots = list_slots,
                             .tail_ld = 1,
                             .tail_end = list_ones};
    b->ops->attend(b, &args);
    attend_one_by_one(b, &args, one);
    float *all = to_host(b, out, ROWS * 4 * D), *each = to_host(b, one, ROWS * 4 * D);
    assert_memory_equal(all, each, ROWS * 4 * D * sizeof *all);
    for (int s = 0; s < SPANS; s++) b->ops->prefix_release(b, prefixes[s]);
    free(x), free(all), free(each), b->ops->tail_release(b, tail);
    b->ops->release(b, kv), b->ops->release(b, q), b->ops->release(b, out), b->ops->release(b, one);
    b->ops->release(b, list_ends.at), b->ops->release(b, list_slots.at),
        b->ops->release(b, list_ones.at);
    b->ops->destroy(b);
  }
}

/* A prefix that begins as another is the same, to the bit, whether its beginning is stored or
 * copied. */
static void test_prefix_copy(void **state) {
  (void)state;
  enum { P = 150, ROWS = 3 };
  static const int counts[] = {1, 15, 16, 31, 32, 33, 100, 149};
  for (size_t set = 0; set < KERNEL_SETS; set++) {
    Backend *b = backend_or_null(kernel_sets[set], 1, XT_COMPUTE_F32);
    if (!b) continue;
    const KvShape shape = {2, 2, D};
    static const int32_t ends[ROWS] = {P, 40, P - 1};
    float *x = random_floats(P * 4 * D, 1), *q = random_floats(ROWS * 4 * D, 2),
          *wrong = random_floats(P * 4 * D, 3);
    Dev kv = to_device(b, x, P * 4 * D), dq = to_device(b, q, ROWS * 4 * D),
        out = to_device(b, NULL, ROWS * 4 * D), other = to_device(b, wrong, P * 4 * D);
    const IndexList list = to_indices(b, ends, ROWS);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
      const int n = counts[i];
      KvPrefix *kinds[3]; /* whole; the one that is copied from, which goes on otherwise; the one
                             that is copied to */
      float *got[2];
      for (int k = 0; k < 3; k++)
        assert_int_equal(
            b->ops->prefix_create(b, shape, &(int){k == 1 ? P + 70 : P}, 1, &kinds[k], NULL),
            XT_STATUS_OK);
      for (int l = 0; l < 2; l++) {
        b->ops->prefix_store(b, kinds[0], l, kv, dev_at(kv, 2 * D), 4 * D, P, 0);
        b->ops->prefix_store(b, kinds[1], l, kv, dev_at(kv, 2 * D), 4 * D, n, 0);
        b->ops->prefix_store(b, kinds[1], l, other, dev_at(other, 2 * D), 4 * D, P - n, n);
      }
      b->ops->prefix_copy(b, kinds[2], kinds[1], n);
      const Dev rest = dev_at(kv, (size_t)n * 4 * D);
      for (int l = 0; l < 2; l++)
        b->ops->prefix_store(b, kinds[2], l, rest, dev_at(rest, 2 * D), 4 * D, P - n, n);
      for (int k = 0; k < 2; k++) {
        const AttendSpan span = {.rows = ROWS, .prefix = kinds[2 * k]};
        b->ops->attend(b, &(AttendArgs){.layer = 1,
                                        .rows = ROWS,
                                        .heads = 4,
                                        .scale = 0.3f,
                                        .q = dq,
                                        .ld_q = 4 * D,
                                        .out = out,
                                        .spans = &span,
                                        .span_count = 1,
                                        .prefix_end = list});
        got[k] = to_host(b, out, ROWS * 4 * D);
      }
      assert_memory_equal(got[0], got[1], ROWS * 4 * D * sizeof **got);
      free(got[0]), free(got[1]);
      for (int k = 0; k < 3; k++) b->ops->prefix_release(b, kinds[k]);
    }
    free(x), free(q), free(wrong);
    b->ops->release(b, kv), b->ops->release(b, dq), b->ops->release(b, out),
        b->ops->release(b, other), b->ops->release(b, list.at);
    b->ops->destroy(b);
  }
}

static void test_cache_arguments(void **state) {
  (void)state;
  for (size_t set = 0; set < KERNEL_SETS; set++) {
    Backend *b = backend_or_null(kernel_sets[set], 1, XT_COMPUTE_F32);
    if (!b) continue;
    KvPrefix *p;
    KvTail *t;
    assert_int_equal(b->ops->prefix_create(b, (KvShape){2, 2, 0}, &(int){5}, 1, &p, NULL),
                     XT_STATUS_ARGUMENT);
    const int32_t below[2] = {3, -1}, none[2] = {0, 0}, huge[2] = {INT32_MAX, INT32_MAX};
    assert_int_equal(b->ops->tail_create(b, (KvShape){2, 2, 4}, below, &t, NULL),
                     XT_STATUS_ARGUMENT);
    assert_int_equal(b->ops->tail_create(b, (KvShape){2, 2, 4}, none, &t, NULL), XT_STATUS_OK);
    b->ops->tail_release(b, t);
    assert_int_equal(b->ops->prefix_create(b, (KvShape){1 << 30, 1 << 30, 1 << 20}, &(int){1 << 30},
                                           1, &p, NULL),
                     XT_STATUS_MEMORY);
    assert_int_equal(b->ops->tail_create(b, (KvShape){2, 1 << 20, 1 << 20}, huge, &t, NULL),
                     XT_STATUS_MEMORY);
    b->ops->prefix_release(b, NULL), b->ops->tail_release(b, NULL), b->ops->weight_release(b, NULL);
    b->ops->table_release(b, NULL), b->ops->release(b, (Dev){0}), b->ops->destroy(b);
  }
}

static void test_names(void **state) {
  (void)state;
  Backend *b;
  xt_error error = {0};
  assert_int_equal(
      backend_create("cpu", &(BackendOptions){.kernels = "mmx", .threads = 1}, &b, &error),
      XT_STATUS_UNSUPPORTED);
  assert_non_null(strstr(error.message, "portable"));
  assert_null(b);
  assert_int_equal(backend_create("abacus", &(BackendOptions){0}, &b, &error), XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "abacus"));
  assert_null(b);
  assert_int_equal(backend_create(NULL, &(BackendOptions){.threads = -1}, &b, &error),
                   XT_STATUS_ARGUMENT);
  Backend *like;
  ASSERT_OK(
      backend_create(NULL, &(BackendOptions){.kernels = "portable", .threads = 3}, &like, &error));
  ASSERT_OK(backend_create_alike(like, &b, &error));
  assert_string_equal(b->ops->name, "cpu:portable");
  assert_int_equal(b->threads, 3);
  b->ops->destroy(b), like->ops->destroy(like);
  ASSERT_OK(backend_create(NULL, &(BackendOptions){0}, &b, &error));
  assert_true(b->threads >= 1);
  assert_int_equal(strncmp(b->ops->name, "cpu:", 4), 0);
  b->ops->destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_causal),
      cmocka_unit_test(test_shared_prefix),
      cmocka_unit_test(test_tail),
      cmocka_unit_test(test_both),
      cmocka_unit_test(test_bent_scores),
      cmocka_unit_test(test_spans),
      cmocka_unit_test(test_prefix_copy),
      cmocka_unit_test(test_blind_row),
      cmocka_unit_test(test_cache_arguments),
      cmocka_unit_test(test_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
