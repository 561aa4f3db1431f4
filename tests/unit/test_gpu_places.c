/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of rows on a GPU against the processor's kernels, bit for bit: as many rows as an engine gives,
 * of odd widths, that begin anywhere in their buffers and, where an op has strides, lie apart. What
 * lies around a result stays as it is. XT_TEST_GPU and XT_TEST_TINY: gpu_sides.h. */
#include "gpu_matrices.h"

enum { MOST = 4096, WIDEST = 29, POSITIONS = 50 };
static int rows;

typedef struct Arrays {
  Dev x, y; /* MOST rows of WIDEST; an op reads x and the list, and writes y */
  IndexList list;
} Arrays;
typedef void Op(Backend *b, const Arrays *a, int kind, int variant);

static void norm(Backend *b, const Arrays *a, int kind, int variant) {
  enum { GROUPS = 3, WIDTH = 7, LD_X = GROUPS * WIDTH + 2, LD_Y = LD_X + 3 };
  b->ops->norm(b, &(NormArgs){.kind = (NormKind)kind,
                              .y = dev_at(a->y, 3),
                              .x = dev_at(a->x, 1),
                              .weight = dev_at(a->x, 5),
                              .bias = variant & 1 ? dev_at(a->x, 50) : (Dev){0},
                              .weight_of_group = variant >> 1,
                              .rows = rows,
                              .groups = GROUPS,
                              .width = WIDTH,
                              .ld_y = LD_Y,
                              .ld_x = LD_X,
                              .eps = 1e-5f});
}

static void rope(Backend *b, const Arrays *a, int kind, int variant) {
  enum { HEADS = 3, DIM = 8, LD = HEADS * DIM + 3 };
  b->ops->rope(b, &(RopeArgs){.style = (RopeStyle)kind,
                              .x = dev_at(a->y, 1),
                              .ld = LD,
                              .rows = rows,
                              .heads = HEADS,
                              .head_dim = DIM,
                              .width = variant ? DIM : DIM - 2,
                              .positions = index_at(a->list, 3),
                              .cos_sin = dev_at(a->x, 7)});
}

static void activate(Backend *b, const Arrays *a, int kind, int variant) {
  b->ops->activate(b, &(ActivateArgs){.kind = (Activation)kind,
                                      .gated = variant,
                                      .y = dev_at(a->y, 1),
                                      .x = dev_at(a->x, 3),
                                      .rows = rows,
                                      .width = 13,
                                      .xielu = {0.8f, 0.7f, 0.5f, -1e-6f}});
}

static void single(Backend *b, const Arrays *a, int kind, int variant) {
  const size_t n = (size_t)rows * 27 + 5;
  if (kind)
    b->ops->add(b, dev_at(a->y, variant ? 3 : 2), dev_at(a->x, 1), n);
  else
    b->ops->scale(b, dev_at(a->y, 3), n, 1.7f, variant ? 30 : 0);
}

static void copy_rows(Backend *b, const Arrays *a, int kind, int variant) {
  const IndexList none = {{0}};
  b->ops->copy_rows(b, dev_at(a->y, 2), kind ? index_at(a->list, 1) : none, dev_at(a->x, 1),
                    variant ? index_at(a->list, 4) : none, kind ? POSITIONS - 4 : rows, 23);
}

/* The list's numbers as edits: each row several times, the values small. */
static void mix(Backend *b, const Arrays *a, int kind, int variant) {
  b->ops->mix(b, &(MixArgs){.x = dev_at(a->y, 1),
                            .first = kind,
                            .rows = rows > POSITIONS ? rows : POSITIONS,
                            .width = 19,
                            .values = dev_at(a->x, 3),
                            .edits = index_at(a->list, (size_t)variant + 1),
                            .count = 6 + rows / 8});
}

static void check(const char *what, Op *op, int kind, int variant) {
  const size_t held = (size_t)(rows > POSITIONS ? rows : POSITIONS) + 8, n = held * WIDEST + 64;
  float *x = wild_floats(n, 3), *y = wild_floats(n, 4), *got[2];
  int32_t *list = calloc(held, sizeof *list);
  for (size_t i = 0; i < held; i++) list[i] = (int32_t)(i * 7 % POSITIONS);
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    const Arrays a = {to_device(b, x, n), to_device(b, y, n), to_indices(b, list, held)};
    op(b, &a, kind, variant);
    got[side] = to_host(b, a.y, n);
    b->ops->release(b, a.x), b->ops->release(b, a.y), b->ops->release(b, a.list.at);
  }
  assert_memory_not_equal(got[0], y, n * sizeof *y);
  same(what, got, n);
  free(x), free(y), free(list);
}

static void test_places(void **state) {
  static const struct {
    const char *name;
    Op *op;
    int kinds, variants;
  } ops[] = {{"norm", norm, 2, 4},
             {"rope", rope, 2, 2},
             {"activation", activate, ACTIVATION_COUNT, 2},
             {"single", single, 2, 2},
             {"copy", copy_rows, 2, 2},
             {"edits", mix, 2, 2}};
  static const int counts[] = {1, 2, 15, 64, 257, MOST};
  NEEDS_GPU();
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    for (size_t c = tiny ? 2 : 0; c < (tiny ? 3 : sizeof counts / sizeof *counts); c++)
      for (int kind = 0; kind < ops[i].kinds; kind++)
        for (int variant = 0; variant < ops[i].variants; variant++) {
          rows = counts[c];
          check(ops[i].name, ops[i].op, kind, variant);
        }
}

/* Every stored type, embedded and multiplied. */
static void test_types(void **state) {
  NEEDS_GPU();
  if (tiny) skip();
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
    embed_case(random_matrix((Dtype)type, 300, 21, 3, NULL), MOST);
    product_at(3, (Dtype)type, MOST, 5, 37, true, true);
  }
  for (size_t t = 0; t < QUANTISED_TYPES; t++) {
    const Dtype type = quantised_types[t];
    const int k = (int)dtype_block(type);
    embed_case(random_blocks(type, 7, k, 3), MOST);
    product_at(t % 4, type, MOST, 3, k, t % 2, false);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_places), cmocka_unit_test(test_types)};
  return cmocka_run_group_tests_name("gpu places", tests, set_up, tear_down);
}
