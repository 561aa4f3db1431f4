/* SPDX-License-Identifier: Apache-2.0 */
/* What strategies close of the gap to the upper bound without noise, on stores in which that is
 * known. */
#include <math.h>

#include "base/rng.h"
#include "made_selections.h"

#define LAYERS 6

/* ---- the gap --------------------------------------------------------------------------------- */

/* Four questions, whose figures are worked out by hand. */
static void test_gap(void **state) {
  (void)state;
  static const struct {
    const char *gold, *vanilla, *first, *second;
  } questions[] = {{"alpha", "alpha", "alpha", "none"},
                   {"beta", "none", "beta", "none"},         /* b 1, c 0 */
                   {"gamma", "none", "none", "alpha delta"}, /* b 0, c 2/3 */
                   {"delta", "none", "none", "delta beta"}}; /* b 1, c 1/3 */
  Made m;
  made_open(&m, "gap.db", "xquad");
  for (int i = 0; i < 4; i++) {
    const int64_t q = add_question(&m, i, "sw", questions[i].gold);
    add_response(&m, q, -1, -1, questions[i].vanilla, 1, 1, -1);
    for (int l = 0; l < LAYERS; l++)
      add_response(&m, q, l, 0, l ? questions[i].second : questions[i].first, 1, 1, -1);
  }
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_COARSE});
  const xt_gap gap = result_of(&m, "coarse", NULL).gap;
  assert_int_equal(gap.count, 4);
  assert_int_equal(gap.questions, 4);
  assert_close(gap.vanilla, 0.25);
  assert_close(gap.selected, 0.5);
  assert_close(gap.bound, 0.75);
  assert_close(gap.noise, 0.5);
  assert_close(gap.gap, 0.375);
  assert_close(gap.corrected, 0.625);
  assert_close(gap.closed, 2.0 / 3);
  assert_close(gap.responses, 1);
  made_close(&m);
}

/* Candidates that are noise have a high bound, and leave no gap; ones that are right in half of the
 * questions leave that half. */
static void test_gap_of_noise(void **state) {
  (void)state;
  for (int known = 0; known < 2; known++) {
    Made m;
    Rng rng = {7};
    made_open(&m, known ? "known.db" : "noise.db", "globalopinionqa");
    for (int i = 0; i < 240; i++) {
      char gold[2] = {(char)('A' + rng_next(&rng) % 4), 0}, text[4] = "(A)";
      const int64_t q = add_question(&m, i, "sw", gold);
      text[1] = (char)('A' + rng_next(&rng) % 4);
      add_response(&m, q, -1, -1, text, 1, 1, -1);
      for (int l = 0; l < LAYERS; l++) {
        text[1] = l == 1 && known && i % 2 ? gold[0] : (char)('A' + rng_next(&rng) % 4);
        if (l > 1) text[1] = 'Z'; /* two candidates that answer */
        add_response(&m, q, l, 0, text, 1, 1, -1);
      }
    }
    select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_VOTE});
    const xt_gap gap = result_of(&m, "vote:target-first", NULL).gap;
    assert_true(gap.bound > 0.5);
    if (known) {
      /* half of those that are wrong untouched */
      assert_true(fabs(gap.gap - 0.75 / 2) < 0.1 && gap.gap_low > 0.2);
    } else if (!(gap.gap_low < 0 && gap.gap_high > 0 && fabs(gap.bound - gap.noise) < 0.06)) {
      fail_msg("gap %.3f [%.3f, %.3f]", gap.gap, gap.gap_low, gap.gap_high);
    } else {
      assert_true(isnan(gap.closed_low));
    }
    made_close(&m);
  }
}

/* Every number has a name once, and the value of the member with that name. */
static void test_gap_fields(void **state) {
  (void)state;
  const xt_gap gap = {.vanilla = 1,
                      .selected = 2,
                      .bound = 3,
                      .noise = 4,
                      .corrected = 5,
                      .gap = 6,
                      .gap_low = 7,
                      .gap_high = 8,
                      .closed = 9,
                      .closed_low = 10,
                      .closed_high = 11,
                      .responses = 12,
                      .tokens = 13};
  static const char *const names[] = {
      "vanilla",  "selected", "bound",      "noise",       "corrected", "gap",    "gap_low",
      "gap_high", "closed",   "closed_low", "closed_high", "responses", "tokens", NULL};
  double value;
  size_t n = 0;
  for (const char *name; (name = xt_gap_field(&gap, n, &value)); n++) {
    assert_string_equal(name, names[n]);
    assert_close(value, (double)n + 1);
  }
  assert_null(names[n]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gap), cmocka_unit_test(test_gap_fields),
                                     cmocka_unit_test(test_gap_of_noise)};
  return cmocka_run_group_tests_name("gaps", tests, NULL, NULL);
}
