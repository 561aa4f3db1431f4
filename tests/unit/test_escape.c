/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside inside of each format: what comes out has no meaning there but its own. */
#include "support.h"

#include <string.h>

#include "report/escape.h"

static void html(TextBuffer *out, const char *text) { escape_html(out, text); }
static void terminal(TextBuffer *out, const char *text) { escape_terminal(out, text); }
static void csv(TextBuffer *out, const char *text) { escape_csv(out, text); }
static void latex(TextBuffer *out, const char *text) { escape_latex(out, text, false); }
static void latex_number(TextBuffer *out, const char *text) { escape_latex(out, text, true); }

typedef struct Case {
  void (*escape)(TextBuffer *out, const char *text);
  const char *in, *out;
} Case;

static void test_formats(void **state) {
  static const Case cases[] = {
      {html, "<b a=\"x\" c='y'>&", "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;"},
      {html, "a\nb\tc\rd\x01\x1b\x7f", "a\nb\tc␍d␁␛␡"},
      {html, "\xc2\x9b\xe2\x80\xae\xe2\x81\xa6\xef\xbb\xbf\xef\xbf\xbe", "�����"},
      {html, "\xff\xc0\x80\xed\xa0\x80x\xe6\x97", "������x�"},
      {html, "日本 é 😀", "日本 é 😀"},
      {terminal, "a\nb\x1b[31m\xc2\x9b\xe2\x80\xae", "a␊b␛[31m��"},
      {csv, "plain", "plain"},
      {csv, "a,\"b\"\nc", "\"a,\"\"b\"\"\nc\""},
      {csv, "=1+1", "'=1+1"},
      {csv, "@x", "'@x"},
      {csv, "-x,", "\"'-x,\""},
      {csv, "+1.5e-3", "+1.5e-3"},
      {csv, "-.5", "-.5"},
      {csv, "-", "'-"},
      {csv, "-1-1", "'-1-1"},
      {csv, "1=1", "1=1"},
      {latex, "a_b & 50% {x} $y$ #1 ~ ^",
       "a\\_b \\& 50\\% \\{x\\} \\$y\\$ \\#1 \\textasciitilde{} \\textasciicircum{}"},
      {latex, "\\input{x}", "\\textbackslash{}input\\{x\\}"},
      {latex, "[x] *", "{[}x{]} {*}"},
      {latex, "a − b → c ± d² Δ", "a $-$ b $\\rightarrow$ c $\\pm$ d$^2$ $\\Delta$"},
      {latex, "--pairs", "-{}-pairs"},
      {latex, "português Ąx", "português \\xtchar{Ą}{U+0104}x"},
      {latex, "日本x", "\\xtchar{日本}{U+65E5 U+672C}x"},
      {latex, "a\x1b\nb", "a? b"},
      {latex_number, "-1.5", "$-$1.5"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    TextBuffer out = {0};
    cases[i].escape(&out, cases[i].in);
    assert_false(out.failed);
    assert_string_equal(out.data, cases[i].out);
    text_buffer_free(&out);
  }
}

static void test_ids(void **state) {
  char one[ESCAPE_ID_SIZE], two[ESCAPE_ID_SIZE], text[1000];
  (void)state;
  escape_id("configurations-globalopinionqa-attn-released", one);
  assert_string_equal(one, "configurations-globalopinionqa-attn-released");
  const char *const bad[] = {"",    "../../x", "zh/tw", "\"><script>", "日本", "-rf",
                             "a b", "a.b",     "..",    "é",           "a\n"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    escape_id(bad[i], one);
    assert_true(one[0] != 0 && one[0] != '-');
    assert_int_equal(
        one[strspn(one, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")], 0);
    for (size_t k = 0; k < i; k++) {
      escape_id(bad[k], two);
      assert_string_not_equal(one, two);
    }
  }
  memset(text, 'a', sizeof text - 1);
  text[sizeof text - 1] = 0;
  escape_id(text, one);
  text[sizeof text - 2] = 'b';
  escape_id(text, two);
  assert_string_not_equal(one, two);
  assert_true(strlen(one) < ESCAPE_ID_SIZE);
}

static void test_policy(void **state) {
  char hash[ESCAPE_CSP_SIZE];
  (void)state;
  escape_csp_hash("", 0, hash); /* FIPS 180-4's empty message */
  assert_string_equal(hash, "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_formats), cmocka_unit_test(test_ids),
                                     cmocka_unit_test(test_policy)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
