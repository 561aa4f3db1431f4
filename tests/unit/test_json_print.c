/* SPDX-License-Identifier: Apache-2.0 */
/* What the program prints as JSON without values is what jansson prints of values, byte for byte. */
#include "shell/json_print.h"

#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { REALS = 20000, TEXTS = 3000, TEXT_MAX = 40 };

static char *printed, *wanted;
static size_t printed_size, wanted_size;
static int stdout_was;
static FILE *caught, *want;

static void begin(void) {
  fflush(stdout);
  stdout_was = dup(STDOUT_FILENO);
  caught = tmpfile();
  want = open_memstream(&wanted, &wanted_size);
  assert_non_null(caught);
  assert_non_null(want);
  dup2(fileno(caught), STDOUT_FILENO);
}

static void expect(json_t *value) {
  json_dumpf(value, want, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
  fputc('\n', want);
  json_decref(value);
  putchar('\n');
}

static void end(void) {
  fflush(stdout);
  dup2(stdout_was, STDOUT_FILENO);
  close(stdout_was);
  fclose(want);

  if (fseek(caught, 0, SEEK_END) == 0) printed_size = (size_t)ftell(caught);
  rewind(caught);
  printed = malloc(printed_size + 1);
  assert_int_equal(fread(printed, 1, printed_size, caught), printed_size);
  fclose(caught);
  const char *at = wanted;
  for (size_t i = 0; i < printed_size && i < wanted_size && printed[i] == wanted[i]; i++)
    if (wanted[i] == '\n') at = wanted + i + 1;
  if (printed_size != wanted_size || memcmp(printed, wanted, wanted_size) != 0)
    fail_msg("printed %.60s\nexpected %.60s", printed + (at - wanted), at);
  free(printed);
  free(wanted);
}

static void test_reals(void **state) {
  (void)state;
  static const double chosen[] = {0,          -0.0,       1,     -2,       100000, 123456789,
                                  1234567890, 1e15,       1e16,  1e17,     1e20,   -1e-5,
                                  1e-4,       1.5e-300,   1e300, 0.1,      2e10,   5e-7,
                                  1e9,        9999999999, 1e-10, 4.9e-324, 1e100,  3.25e-100};
  uint64_t bits = 1;
  begin();
  for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
    print_json_real(chosen[i]);
    expect(json_real(chosen[i]));
  }
  for (int i = 0; i < REALS; i++) {
    double value;
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    memcpy(&value, &bits, sizeof value);
    if (i % 2) value = (double)(bits >> 40) * 1e-5;
    if (!isfinite(value)) continue;
    print_json_real(value);
    expect(json_real(value));
  }
  print_json_real((double)NAN);
  expect(json_null());
  print_json_real(-(double)INFINITY);
  expect(json_null());
  end();
}

static void test_ints(void **state) {
  (void)state;
  static const int chosen[] = {0, 1, -1, 9, 10, 32000, -100, 2147483647, -2147483647 - 1};
  begin();
  for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
    print_json_int(chosen[i]);
    expect(json_integer(chosen[i]));
  }
  end();
}

static void test_texts(void **state) {
  (void)state;
  static const char *const parts[] = {"a",    "word", "\"",           "\\", "/",    "\n",   "\t",
                                      "\r",   "\b",   "\f",           "\v", "\x1f", "\x7f", "ελ",
                                      "日本", "😀",    "\xe2\x80\xa8", " "};
  uint64_t bits = 1;
  begin();
  print_json_text(NULL, 0);
  expect(json_null());
  print_json_text("a\0b", 3);
  expect(json_stringn("a\0b", 3));
  for (int i = 0; i < TEXTS; i++) {
    char text[6 * TEXT_MAX] = "";
    for (int n = i % TEXT_MAX; n > 0; n--) {
      bits = bits * 6364136223846793005u + 1442695040888963407u;
      strcat(text, parts[(bits >> 33) % (sizeof parts / sizeof *parts)]);
    }
    print_json_text(text, strlen(text));
    expect(json_string(text));
  }
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_reals), cmocka_unit_test(test_ints),
                                     cmocka_unit_test(test_texts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
