/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a response is right, by each task's rule: lines of our own, judged in Python
 * (tools/make_scoring_lines.py). */
#include "scoring_lines.h"

static void judge(const char *task, size_t least) {
  char path[600];
  snprintf(path, sizeof path, XT_SOURCE_DIR "/tests/golden/scoring/%s.jsonl", task);
  assert_true(check_scores(task, path) >= least);
}

static void xnli_scores(void **state) {
  (void)state;
  judge("xnli", 300);
}
static void xcopa_scores(void **state) {
  (void)state;
  judge("xcopa", 80);
}
static void opinion_scores(void **state) {
  (void)state;
  judge("globalopinionqa", 100);
}
static void culture_scores(void **state) {
  (void)state;
  judge("culturalbench", 100);
}
static void xquad_scores(void **state) {
  (void)state;
  judge("xquad", 70);
}
static void mkqa_scores(void **state) {
  (void)state;
  judge("mkqa", 70);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(xnli_scores),    cmocka_unit_test(xcopa_scores),
      cmocka_unit_test(opinion_scores), cmocka_unit_test(culture_scores),
      cmocka_unit_test(xquad_scores),   cmocka_unit_test(mkqa_scores),
  };
  return cmocka_run_group_tests_name("scoring", tests, NULL, NULL);
}
