/* SPDX-License-Identifier: Apache-2.0 */
/* What a regular expression may cost: steps at a place, time over a whole text, stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support.h"
#include "text/pattern.h"

/* The matches of a regular expression in `count` times `unit`, and `tail`. *status is of the last
 * search; *first: the first match's length. */
static size_t search(const char *regex, const char *unit, size_t count, const char *tail,
                     xt_status *status, size_t *first) {
  Pattern pattern;
  xt_error error = {0};
  const size_t size = strlen(unit), length = count * size + strlen(tail);
  char *text = malloc(length + 1);
  size_t start, end, matches = 0;
  bool found = true;
  assert_non_null(text);
  for (size_t i = 0; i < count; i++) memcpy(text + i * size, unit, size);
  memcpy(text + count * size, tail, strlen(tail) + 1);
  ASSERT_OK(pattern_regex(&pattern, regex, strlen(regex), "tokenizer.json", "pattern", &error));
  PatternSearch search = {.pattern = &pattern, .text = text, .length = length};
  while (found && (*status = pattern_next(&search, &found, &start, &end, &error)) == XT_STATUS_OK &&
         found)
    if (matches++ == 0) *first = end - start;
  pattern_search_free(&search);
  pattern_free(&pattern);
  free(text);
  return matches;
}

/* Every place in the text takes as many steps as there is text left, and no place too many. */
static void test_total_work(void **state) {
  (void)state;
  static const char *const regexes[] = {"(?:a|b)*?c", "a*[cd]", "(?=a*[cd])a", "(?:aa?)*?c"};
  for (size_t i = 0; i < sizeof regexes / sizeof *regexes; i++) {
    xt_status status;
    size_t first;
    const clock_t begun = clock();
    search(regexes[i], "a", 200000, "", &status, &first);
    const double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
    assert_int_equal(status, XT_STATUS_UNSUPPORTED);
    if (seconds > 20) fail_msg("%s: %.1f s", regexes[i], seconds);
  }
}

/* Long matches, long stretches without one, and matches across the places that are tried
 * together. */
static void test_long_texts(void **state) {
  (void)state;
  xt_status status;
  size_t first;
  assert_int_equal(search("\\s+", " ", 3000000, "x", &status, &first), 1);
  assert_int_equal(status, XT_STATUS_OK);
  assert_int_equal(first, 3000000);
  assert_int_equal(search("x", "ab", 2000000, "x", &status, &first), 1);
  assert_int_equal(status, XT_STATUS_OK);
  for (size_t n = 1020; n < 1030; n++) {
    assert_int_equal(search("b+", "a", n, "bbb", &status, &first), 1);
    assert_int_equal(first, 3);
    assert_int_equal(search("(?<=a)b|b$", "a", n, "bb", &status, &first), 2);
    assert_int_equal(search("$", "a", n, "", &status, &first), 1);
    assert_int_equal(search("(?:a|b)+", "a", n, "b", &status, &first), 1);
    assert_int_equal(first, n + 1);
  }
}

/* More stack than the JIT has: its own, then the interpreter's, which has an end, too. */
static void test_stack(void **state) {
  (void)state;
  xt_status status;
  size_t first;
  for (size_t n = 1000; n <= 1000000; n *= 10) {
    const size_t matches = search("(?:(a)|(ab))+c", "a", n, "c", &status, &first);
    assert_int_equal(matches, status == XT_STATUS_OK);
    if (n <= 10000) assert_int_equal(status, XT_STATUS_OK);
    if (status == XT_STATUS_OK)
      assert_int_equal(first, n + 1);
    else
      assert_int_equal(status, XT_STATUS_UNSUPPORTED);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_total_work),
                                     cmocka_unit_test(test_long_texts),
                                     cmocka_unit_test(test_stack)};
  return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
