/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates in the manner of each family, and the parts of their language, against what
 * transformers makes of them (tools/make_chat_goldens.py). */
#include "support.h"

#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "text/jinja.h"
#include "tokenizer_files.h"
#include "xtransplant/tokenizer.h"

static void goldens(void **state) {
  (void)state;
  json_t *root;
  xt_error error;
  ASSERT_OK(json_parse_file(XT_SOURCE_DIR "/tests/golden/chat.json", &root, &error));
  const json_t *cases = json_object_get(root, "cases");
  assert_true(json_array_size(cases) > 100);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *one = json_array_get(cases, i), *template = json_object_get(one, "template"),
                 *want = json_object_get(one, "text");
    json_t *variables = json_deep_copy(json_object_get(root, "special"));
    json_object_set(variables, "messages", json_object_get(one, "messages"));
    json_object_set_new(variables, "tools", json_null());
    json_object_set_new(variables, "documents", json_null());
    json_object_set_new(variables, "add_generation_prompt", json_true());
    TextBuffer out = {0};
    const xt_status status =
        jinja_render(json_string_value(template), json_string_length(template), variables,
                     (time_t)json_integer_value(json_object_get(root, "now")), "f", "chat_template",
                     &out, &error);
    const char *got = status     ? error.message
                      : out.data ? out.data
                                 : "",
               *name = json_string_value(json_object_get(one, "name"));
    if (json_is_null(want) ? !status : status || strcmp(got, json_string_value(want)) != 0)
      fail_msg("%s gave \"%s\", expected \"%s\"", name, got,
               json_is_null(want) ? "an error" : json_string_value(want));
    text_buffer_free(&out);
    json_decref(variables);
  }
  json_decref(root);
}

static void refuse(const char *template, xt_status wanted, const char *part) {
  json_t *variables = json_object();
  TextBuffer out = {0};
  xt_error error;
  const xt_status status =
      jinja_render(template, strlen(template), variables, 0, "f", "chat_template", &out, &error);
  if (status != wanted) fail_msg("%s gave status %d", template, (int)status);
  if (!strstr(error.message, part))
    fail_msg("%s: \"%s\" does not say \"%s\"", template, error.message, part);
  text_buffer_free(&out);
  json_decref(variables);
}

/* By name and line. */
static void refusals(void **state) {
  (void)state;
  refuse("a\n{% include 'x' %}", XT_STATUS_UNSUPPORTED, "line 2: the statement \"include\"");
  refuse("a\n\n{{ 'x' | wordwrap }}", XT_STATUS_UNSUPPORTED, "line 3: the filter \"wordwrap\"");
  refuse("{{ 'x' is callable }}", XT_STATUS_UNSUPPORTED, "the test \"callable\"");
  refuse("{{ cycler(1) }}", XT_STATUS_UNSUPPORTED, "the function \"cycler\"");
  refuse("{{ 'x'.encode() }}", XT_STATUS_UNSUPPORTED, "the method \"encode\"");
  refuse("{% for x in [1] %}", XT_STATUS_INPUT, "\"else\" should be");
  refuse("{{ 'x }}", XT_STATUS_INPUT, "closing quote");
  refuse("{{ x", XT_STATUS_INPUT, "without an end");
  char loops[5200] = "{% for a in range(99999) %}"; /* a body of many steps is the quickest */
  for (int i = 0; i < 1000; i++) strcat(loops, "x{##}");
  refuse(strcat(loops, "{% endfor %}"), XT_STATUS_UNSUPPORTED, "steps");
  refuse("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", XT_STATUS_UNSUPPORTED, "too deep");
  char deep[4003];
  memset(deep, '(', sizeof deep - 1);
  memcpy(deep, "{{", 2);
  deep[sizeof deep - 1] = 0;
  refuse(deep, XT_STATUS_INPUT, "without an end");
  memcpy(deep + sizeof deep - 3, "}}", 2);
  refuse(deep, XT_STATUS_INPUT, "without an end");
}

#define MODEL "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"<s>\":1},\"merges\":[]}}"

static xt_tokenizer *open_with(const char *name, const char *text) {
  const NamedFile files[] = {
      {"tokenizer.json", MODEL, strlen(MODEL)}, {name, text, strlen(text)}, {0}};
  return open_files(files);
}

static void expect_chat(xt_tokenizer *t, const char *system, const char *want) {
  char *text;
  size_t length;
  xt_error error;
  ASSERT_OK(xt_tokenizer_chat(t, system, "hi", 2, 1719835445, &text, &length, &error));
  assert_string_equal(text, want);
  assert_int_equal(length, strlen(want));
  free(text);
  xt_tokenizer_close(t);
}

/* Where templates are found. */
static void places(void **state) {
  (void)state;
  expect_chat(open_with("chat_template.jinja",
                        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}\n"),
              "be", "[system]be[user]hi");
  expect_chat(
      open_with(
          "tokenizer_config.json",
          "{\"bos_token\":\"<s>\",\"chat_template\":\"{{ bos_token }}{{ messages[0].content }}\"}"),
      NULL, "<s>hi");
  expect_chat(open_with("tokenizer_config.json",
                        "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"r\"},{\"name\":"
                        "\"default\",\"template\":\"d{{ "
                        "strftime_now('%Y') }}\"}]}"),
              NULL, "d2024");
  xt_tokenizer *t = open_with("tokenizer_config.json", "{}");
  char *text;
  size_t length;
  xt_error error;
  assert_false(xt_tokenizer_has_chat(t));
  assert_int_equal(xt_tokenizer_chat(t, NULL, "a", 1, 0, &text, &length, &error),
                   XT_STATUS_UNSUPPORTED);
  assert_non_null(strstr(error.message, "no chat template"));
  assert_null(text);
  xt_tokenizer_close(t);
}

int main(void) {
  setenv("TZ", "UTC", 1);
  const struct CMUnitTest tests[] = {cmocka_unit_test(goldens), cmocka_unit_test(refusals),
                                     cmocka_unit_test(places)};
  return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}
