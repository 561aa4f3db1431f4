/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions mean what Oniguruma with Unicode 16 takes them to mean. Expected values are from tokenizers 0.23.3
 * (normalizers.Replace). */
#include "support.h"

#include "text/pattern.h"

/* The text with every match replaced by "|", or the error's message. */
static void expect(const char *regex, const char *text, const char *want) {
  Pattern pattern;
  xt_error error;
  char got[512];
  size_t n = 0, from = 0, start = 0, end = 0;
  if (pattern_regex(&pattern, regex, strlen(regex), "f", "p", &error) != XT_STATUS_OK)
    fail_msg("%s: %s", regex, error.message);
  PatternSearch search = {.pattern = &pattern, .text = text, .length = strlen(text)};
  for (bool found = true; found;) {
    ASSERT_OK(pattern_next(&search, &found, &start, &end, &error));
    if (!found) start = end = strlen(text);
    n += (size_t)snprintf(got + n, sizeof got - n, "%.*s%s", (int)(start - from), text + from, found ? "|" : "");
    from = end;
  }
  pattern_search_free(&search);
  pattern_free(&pattern);
  if (strcmp(got, want) != 0) fail_msg("%s on \"%s\" gave \"%s\", expected \"%s\"", regex, text, got, want);
}

static void refuse(const char *regex, xt_status status, const char *part) {
  Pattern pattern;
  xt_error error;
  if (pattern_regex(&pattern, regex, strlen(regex), "f", "p", &error) != status) fail_msg("%s is not refused as it should be", regex);
  if (!strstr(error.message, part)) fail_msg("%s: \"%s\" does not say \"%s\"", regex, error.message, part);
}

static void unicode_16(void **state) {
  (void)state;
  expect(" ?\\p{S}+", "you \U0001FA77!", "you|!");                  /* a symbol since Unicode 15 */
  expect("\\p{L}+", "\U0002EBF0\U00010D50\U00010D70 1", "| 1");     /* letters since 15.1 and 16 */
  expect("\\w+", "\u0939\u093F\u0928\u094D\u0926\u0940 a_b", "| |"); /* marks and connectors belong to words */
  expect("\\b", "e\u0301 a", "|e\u0301| |a|");
  expect("[[:alpha:]]+", "\u0939\u093F\u094D", "|\u094D");
  expect("\\p{Han}+", "\u4E2D\u3001\u6587", "|\u3001|");             /* the comma is of no script */
  expect("\\p{hani}", "\u4E2D", "|");
  expect("\\w", "a\u00B2\u00BD", "|||");                            /* Oniguruma's exception */
  expect("[\\w]", "a\u00B2\u00BD", "|\u00B2\u00BD");
  expect("[[:punct:]]", "a+b.", "a|b|");
  expect("\\p{Punct}", "a+b.", "a+b|");
  expect("\\s", "a\u180E\u00A0", "a\u180E|");
  expect("(?i:\U00010D50)", "\U00010D70\U00010D50", "||");
}

static void classes(void **state) {
  (void)state;
  expect(" ?[^(\\s|[.,!?\u2026\u3002])]+", "na du, hi.", "||,|."); /* BLOOM's */
  expect("[[a-c]&&[b-d]]", "abcd", "a||d");
  expect("[^a-c&&b-d]", "abcd", "|bc|");
  expect("[a-z&&[^aeiou]]+", "hello", "|e|o");
  expect("[&&a]", "a&", "a&");
  expect("[]a]", "a]", "||");
  expect("[^]a]", "ab]", "a|]");
  expect("[a-]", "a-b", "||b");
  expect("[[:^alpha:]]", "a1", "a|");
  expect("(?i:[^k])", "kK\u212Ax", "kK\u212A|");
  expect("(?i:[\\p{Lu}])", "aA1", "||1");
  expect("(?i:\\p{Lu})", "aA1", "a|1");
  expect("\\p{^Lu}|\\h", "AGg", "|G|");
  expect("[\\p{L}&&[^\\p{Han}]]+", "ab\u4E2Dc", "|\u4E2D|");
}

static void syntax(void **state) {
  (void)state;
  expect("a{1,2}+", "aaaaa", "|"); /* repeated, not possessive */
  expect("a{2}?", "aaaa a", "|| |a|");
  expect("a{,2}", "aaaa", "||");
  expect("a{x}", "a{x}", "|");
  expect("a|b(?i)c|d", "C D d bC bc bD", "C D d | | |");
  expect("^", "a\nb\n", "|a\n|b\n");
  expect("$", "a\nb\n", "a|\nb|\n|");
  expect("\\Z", "a\nb\n", "a\nb|\n|");
  expect("(?m:.)", "a\nb", "|||");
  expect("\\R", "\r\n\n\u2028", "|||");
  expect("(?x: \\w + # a word\n)", "ab c", "| |");
  expect("\\x41\\x{42}\\u0043\\0", "ABC", "ABC");
  expect("(?<=a|bc)x", "ax bcx", "a| bc|");
  expect("x*", "axb", "|a|b|");
  expect("\\pL\\Q", "pLQ", "|");
  refuse("(a)\\1", XT_STATUS_UNSUPPORTED, "a reference to a group at its byte 3");
  refuse("\\X", XT_STATUS_UNSUPPORTED, "byte 0");
  refuse("(?~a)", XT_STATUS_UNSUPPORTED, "group");
  refuse("\\p{Script=Han}", XT_STATUS_UNSUPPORTED, "\"Script=Han\"");
  refuse("[[:foo:]]", XT_STATUS_INPUT, "POSIX");
  refuse("[a", XT_STATUS_INPUT, "a class without an end");
  refuse("(a", XT_STATUS_INPUT, "a group without an end");
  refuse("a)", XT_STATUS_INPUT, "a closing bracket too many");
  refuse("[z-a]", XT_STATUS_INPUT, "a range");
  refuse("*", XT_STATUS_INPUT, "a repetition of nothing");
  refuse("(?=a)*", XT_STATUS_INPUT, "no character");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(unicode_16), cmocka_unit_test(classes), cmocka_unit_test(syntax)};
  return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
