/* SPDX-License-Identifier: Apache-2.0 */
/* Attention on every GPU against the processor's kernels, bit for bit. */
#include "gpu_sides.h"

typedef struct Case {
  int rows, heads, kv_heads, head_dim, prefix, tail;
  bool causal;
  int window;
  float cap;
  bool slopes;
} Case;

enum { LAYERS = 2, LAYER = 1, SLOTS = 97 };
static const float SLOPES[] = {0.25f, -0.5f, 0.0f, 0.003f};

typedef struct Lists {
  int32_t *begin, *end, *slots, *tail_begin, *tail_end;
} Lists;

static Lists make_lists(Case c) {
  const size_t rows = (size_t)c.rows, ld = (size_t)c.tail + 1;
  Lists l = {calloc(rows, 4), calloc(rows, 4), calloc(rows * ld, 4), calloc(rows, 4),
             calloc(rows, 4)};
  Rng rng = {6};
  for (int r = 0; r < c.rows; r++) {
    l.end[r] = c.causal ? r + 1 : c.prefix - (int)(rng_next(&rng) % 3) * (c.prefix / 3);
    if (r % 11 == 5) l.end[r] = 0; /* sees none of the prefix */
    l.tail_end[r] = c.tail ? (int)(rng_next(&rng) % (uint64_t)(c.tail + 1)) : 0;
    if (r == c.rows - 1) l.tail_end[r] = c.tail;
    if (c.window) {
      l.begin[r] = l.end[r] > c.window ? l.end[r] - c.window : 0;
      l.tail_begin[r] = l.tail_end[r] > c.window ? l.tail_end[r] - c.window : 0;
    }
    for (int i = 0; i < c.tail; i++)
      l.slots[(size_t)r * ld + (size_t)i] = (int32_t)(rng_next(&rng) % SLOTS);
  }
  return l;
}

/* The first `length` of the positions, which are stored in two pieces whose rows lie two floats
 * further apart than they are wide, and a longer prefix that begins with a copy of them. */
static void make_prefixes(Backend *b, KvShape shape, int length, Dev keys, KvPrefix **prefix,
                          KvPrefix **copy) {
  xt_error error;
  const int ld = shape.kv_heads * shape.head_dim + 2, half = length / 2;
  const Dev rest = dev_at(keys, (size_t)half * (size_t)ld);
  KvPrefix *made[2];
  ASSERT_OK(b->ops->prefix_create(b, shape, (const int[]){length, length + 21}, 2, made, &error));
  *prefix = made[0], *copy = made[1];
  b->ops->prefix_store(b, *prefix, LAYER, keys, dev_at(keys, 2), ld, half, 0);
  b->ops->prefix_store(b, *prefix, LAYER, rest, dev_at(rest, 1), ld, length - half, half);
  b->ops->prefix_copy(b, *copy, *prefix, length);
}

/* The rows in spans: of the prefix, of a copy of it that is longer, and, where the rows have
 * private positions, of none. Between one row of queries and the next lie `apart` floats. */
static float *attend(Backend *b, Case c, size_t apart, const Lists *l) {
  const KvShape shape = {LAYERS, c.kv_heads, c.head_dim};
  const size_t rows = (size_t)c.rows, kv = (size_t)c.kv_heads * (size_t)c.head_dim,
               width = (size_t)c.heads * (size_t)c.head_dim;
  float *q = random_floats(rows * (width + apart), 1),
        *k = random_floats(((size_t)c.prefix + SLOTS) * (kv + 2), 2);
  KvPrefix *prefix = NULL, *copy = NULL;
  KvTail *tail = NULL;
  xt_error error;
  Dev dq = to_device(b, q, rows * (width + apart)), out = to_device(b, NULL, rows * width);
  Dev dk = to_device(b, k, ((size_t)c.prefix + SLOTS) * (kv + 2));
  const IndexList none = {{0}}, begin = to_indices(b, l->begin, rows),
                  end = to_indices(b, l->end, rows), tail_end = to_indices(b, l->tail_end, rows);
  const IndexList tail_begin = to_indices(b, l->tail_begin, rows),
                  slots = to_indices(b, l->slots, rows * ((size_t)c.tail + 1));
  IndexList stored = none;
  if (c.prefix) make_prefixes(b, shape, c.prefix, dk, &prefix, &copy);
  if (c.tail) {
    int32_t places[SLOTS];
    const int32_t counts[LAYERS] = {5, SLOTS};
    for (int i = 0; i < SLOTS; i++) places[i] = (i * 5 + 3) % SLOTS;
    stored = to_indices(b, places, SLOTS);
    ASSERT_OK(b->ops->tail_create(b, shape, counts, &tail, &error));
    b->ops->tail_store(b, tail, LAYER, dev_at(dk, 1), dk, (int)kv + 2, SLOTS, stored);
  }
  const int third = c.rows / 3;
  const AttendSpan spans[] = {{0, third, prefix},
                              {third, third, copy},
                              {2 * third, c.rows - 2 * third, tail && third ? NULL : prefix}};
  b->ops->attend(b, &(AttendArgs){.layer = LAYER,
                                  .rows = c.rows,
                                  .heads = c.heads,
                                  .scale = 0.37f,
                                  .cap = c.cap,
                                  .slopes = c.slopes ? SLOPES : NULL,
                                  .q = dq,
                                  .ld_q = (int)(width + apart),
                                  .out = out,
                                  .spans = spans,
                                  .span_count = 3,
                                  .prefix_begin = c.window ? begin : none,
                                  .prefix_end = prefix ? end : none,
                                  .tail = tail,
                                  .tail_slots = tail ? slots : none,
                                  .tail_ld = c.tail + 1,
                                  .tail_begin = c.window ? tail_begin : none,
                                  .tail_end = tail ? tail_end : none});
  float *got = to_host(b, out, rows * width);
  const Dev used[] = {dq,          out,      dk,       begin.at, end.at, tail_begin.at,
                      tail_end.at, slots.at, stored.at};
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) b->ops->release(b, used[i]);
  b->ops->prefix_release(b, prefix), b->ops->prefix_release(b, copy), b->ops->tail_release(b, tail);
  free(q), free(k);
  return got;
}

static void attention_case(Case c) {
  Lists l = make_lists(c);
  char what[120];
  /* scores are made by four numbers where all distances are multiples of four */
  for (size_t apart = 3; apart <= 4; apart++) {
    float *got[2] = {attend(cpu, c, apart, &l), attend(gpu, c, apart, &l)};
    snprintf(what, sizeof what,
             "attention of %d rows %zu apart, %d heads of %d, over %d and %d positions", c.rows,
             apart, c.heads, c.head_dim, c.prefix, c.tail);
    same(what, got, (size_t)(c.rows * c.heads * c.head_dim));
  }
  free(l.begin), free(l.end), free(l.slots), free(l.tail_begin), free(l.tail_end);
}

static void test_attention(void **state) {
  NEEDS_GPU();
  /* the first: more positions than the lanes of softmax and the items of finish take at once */
  static const Case cases[] = {{2, 1, 1, 2, 40, 70, false, 0, 0, false},
                               {3, 2, 1, 4, 9, 0, true, 0, 0, false},
                               {2, 2, 2, 5, 0, 3, false, 0, 0, false},
                               {6, 4, 2, 8, 7, 5, false, 0, 0, false},
                               {5, 4, 2, 6, 12, 4, false, 3, 0.7f, true},
                               {1, 1, 1, 1, 1, 0, true, 0, 0, false},
                               {50, 6, 2, 20, 53, 0, true, 0, 0, false},
                               {120, 4, 4, 64, 120, 0, true, 0, 0, false},
                               {70, 7, 1, 33, 70, 0, true, 13, 0, false},
                               {3, 2, 1, 48, 1200, 0, false, 0, 0, false},
                               {3, 2, 1, 16, 1200, 0, false, 300, 0, false},
                               {2, 75, 1, 8, 30, 0, false, 0, 0, false},
                               {5, 4, 2, 16, 0, 20, false, 0, 0, false},
                               {4, 4, 1, 40, 0, 300, false, 0, 0, false},
                               {4, 4, 1, 16, 0, 100, false, 70, 0, false},
                               {64, 8, 2, 64, 130, 20, false, 0, 0, false},
                               {33, 4, 4, 24, 17, 70, false, 0, 0, false},
                               {33, 4, 2, 24, 600, 70, false, 40, 0, false},
                               {70, 4, 1, 33, 70, 0, true, 13, 0.7f, true},
                               {33, 4, 2, 24, 600, 70, false, 40, 0, true},
                               {64, 4, 4, 64, 130, 20, false, 0, 0.7f, false},
                               {1500, 2, 2, 16, 40, 3, false, 0, 0, false},
                               {4096, 2, 1, 8, 20, 2, false, 0, 0, false},
                               {4096, 4, 2, 5, 33, 9, false, 7, 0.7f, true},
                               {3, 2, 1, 7, 4096, 0, false, 0, 0, false},
                               {3, 4, 2, 12, 4096, 2, false, 900, 0.7f, true}};
  for (size_t i = 0; i < (tiny ? 5 : sizeof cases / sizeof *cases); i++) attention_case(cases[i]);
}

/* More rows of heads that share keys, positions, and numbers of a head than a tile has. */
static void test_tiles(void **state) {
  NEEDS_GPU();
  static const Case cases[] = {{51, 3, 1, 52, 50, 0, false, 0, 0, false},
                               {228, 4, 2, 144, 150, 3, false, 0, 0.7f, false},
                               {150, 8, 2, 50, 300, 0, true, 90, 0, false},
                               {75, 2, 1, 65, 600, 20, false, 40, 0, false}};
  EACH_TILE_SIZE(size) {
    take_tiles(size);
    for (size_t i = 0; i < (tiny ? 1 : sizeof cases / sizeof *cases); i++) attention_case(cases[i]);
  }
}

/* More prefixes than one launch lists, each of its own length and with rows of its own. */
static void test_many_prefixes(void **state) {
  NEEDS_GPU();
  enum { PROMPTS = 40, HEADS = 2, DIM = 8, WIDTH = HEADS * DIM, LONGEST = PROMPTS + 3 };
  AttendSpan spans[PROMPTS];
  int lengths[PROMPTS], rows = 0;
  int32_t ends[3 * PROMPTS];
  if (tiny) skip();
  for (int s = 0; s < PROMPTS; s++) {
    lengths[s] = 3 + s * 7 % PROMPTS;
    spans[s] = (AttendSpan){.first = rows, .rows = 1 + s % 3};
    for (int r = 0; r < spans[s].rows; r++) ends[rows++] = lengths[s] - r;
  }
  float *k = random_floats((LONGEST + PROMPTS) * WIDTH, 1),
        *q = random_floats((size_t)rows * WIDTH, 2), *got[2];
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    xt_error error;
    KvPrefix *prefixes[PROMPTS];
    Dev dk = to_device(b, k, (LONGEST + PROMPTS) * WIDTH),
        dq = to_device(b, q, (size_t)rows * WIDTH), out = to_device(b, NULL, (size_t)rows * WIDTH);
    const IndexList end = to_indices(b, ends, (size_t)rows);
    ASSERT_OK(b->ops->prefix_create(b, (KvShape){LAYERS, HEADS, DIM}, lengths, PROMPTS, prefixes,
                                    &error));
    for (int s = 0; s < PROMPTS; s++) {
      const Dev at = dev_at(dk, (size_t)s * WIDTH);
      b->ops->prefix_store(b, prefixes[s], LAYER, at, at, WIDTH, lengths[s], 0);
      spans[s].prefix = prefixes[s];
    }
    b->ops->attend(b, &(AttendArgs){.layer = LAYER,
                                    .rows = rows,
                                    .heads = HEADS,
                                    .scale = 0.37f,
                                    .q = dq,
                                    .ld_q = WIDTH,
                                    .out = out,
                                    .spans = spans,
                                    .span_count = PROMPTS,
                                    .prefix_end = end});
    got[side] = to_host(b, out, (size_t)rows * WIDTH);
    for (int s = 0; s < PROMPTS; s++) b->ops->prefix_release(b, prefixes[s]);
    b->ops->release(b, dk), b->ops->release(b, dq), b->ops->release(b, out),
        b->ops->release(b, end.at);
  }
  same("attention over 40 prefixes", got, (size_t)rows * WIDTH);
  free(k), free(q);
}

static GpuDriver counting;
static const GpuDriver *counted;
static int launches;
static xt_status count_launch(GpuDevice *d, const GpuLaunch *launch, xt_error *error) {
  launches++;
  return counted->launch(d, launch, error);
}

/* Three launches for all prefixes and one for the rows of all; scores that do not fit the room are
 * made in parts, and change no bit. */
static void test_attention_launches(void **state) {
  NEEDS_GPU();
  GpuBackend *b = gpu_of(gpu);
  const Case c = {12, 4, 2, 8, 40, 5, false, 0, 0, false};
  const size_t before = b->score_bytes, n = (size_t)(c.rows * c.heads * c.head_dim);
  Lists l = make_lists(c);
  counted = b->device->driver;
  counting = *counted;
  counting.launch = count_launch;
  b->device->driver = &counting;
  for (int small = 0; small < 2; small++) {
    b->score_bytes = small ? 1 : before;
    launches = 0;
    float *got[2] = {attend(cpu, c, 3, &l), attend(gpu, c, 3, &l)};
    /* 4 for keys and values; the eight rows that see two prefixes, one at a time or together; one
     * for all twelve */
    assert_int_equal(launches, 4 + 3 * (small ? 8 : 1) + 1);
    same("attention in parts", got, n);
  }
  b->device->driver = counted;
  b->score_bytes = before;
  free(l.begin), free(l.end), free(l.slots), free(l.tail_begin), free(l.tail_end);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention), cmocka_unit_test(test_tiles),
                                     cmocka_unit_test(test_many_prefixes),
                                     cmocka_unit_test(test_attention_launches)};
  return cmocka_run_group_tests_name("gpu attention", tests, set_up, tear_down);
}
