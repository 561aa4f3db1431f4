/* SPDX-License-Identifier: Apache-2.0 */
/* Rows compared with distributions on a GPU, against the processor's kernels, bit for bit. */
#include "gpu_sides.h"

static void compare_case(int rows, int vocab, int asked) {
  const size_t n = (size_t)rows * (size_t)vocab, m = (size_t)rows,
               out_floats = m * (size_t)compare_width(vocab, asked);
  float *logits = random_floats(n, 3), *with = random_floats(4 * (size_t)vocab, 4), *got[2];
  Choice *chosen = calloc(m, sizeof *chosen);
  int32_t *ids = calloc(m * (size_t)asked + 1, 4), *against = calloc(2 * m, 4);
  for (int r = 0; r < rows; r++) {
    chosen[r].best = r * 11 % vocab;
    against[2 * r] = r % 3 - 1, against[2 * r + 1] = r % 2;
    for (int k = 0; k < asked; k++) ids[r * asked + k] = (r + 7 * k) % vocab;
  }
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    xt_error error;
    Dev x = to_place(b, 1, logits, n), c = to_place(b, 5, (float *)chosen, m * CHOICE_WORDS),
        d = to_place(b, 3, with, 4 * (size_t)vocab), out = to_place(b, 2, NULL, out_floats);
    const IndexList l = list_at(b, 4, ids, m * (size_t)asked + 1),
                    a = list_at(b, 6, against, 2 * m);
    b->ops->compare(b, &(CompareArgs){.rows = rows,
                                      .vocab = vocab,
                                      .asked = asked,
                                      .logits = x,
                                      .chosen = c,
                                      .ids = l,
                                      .against = a,
                                      .distributions = d,
                                      .out = out});
    got[side] = to_host(b, out, out_floats);
    ASSERT_OK(b->ops->status(b, &error));
    const Dev used[] = {x, c, d, out, l.at, a.at};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) b->ops->release(b, used[i]);
  }
  same("comparison", got, out_floats);
  free(logits), free(with), free(chosen), free(ids), free(against);
}

static void test_compare(void **state) {
  NEEDS_GPU();
  compare_case(1, 1, 0);
  compare_case(3, 17, 2);
  compare_case(2, 1050, 70);
  if (tiny) return;
  compare_case(70, 5000, 5);
  compare_case(5, 32001, 30);
  compare_case(4096, 50, 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_compare)};
  return cmocka_run_group_tests_name("gpu comparison", tests, set_up, tear_down);
}
