/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks that are broken: each way gives one error that names file, place and what is wrong,
 * and leaves nothing. */
#include "task_files.h"
#include "tasks/python_literal.h"
#include "xtransplant/tasks.h"

typedef struct Released {
  const char *task, *lang, *error; /* error NULL: is read */
  File files[FILES_MOST];
} Released;

static const Released released[] = {
    {"xcopa",
     "it",
     NULL,
     {{"split/it.json", "\"p\"\n\"q\"\n", 0},
      {"split/en.json", "\"a\"\n\"b\"", 0},
      {"ans/it.json", "\"1\"\r\n\"2\"\r\n", 0}}},
    {"xcopa",
     "it",
     NULL,
     {{"split/it.json", "\"p\"\n", 0},
      {"en/it.json", "\"a\"\n", 0},
      {"ans/it.json", "\"1\"\n", 0}}},
    {"culturalbench",
     "de",
     NULL,
     {{"split/de.json", "{\"input_text\": \"p\"}\n", 0},
      {"translated/de.json", "\"a\"\n", 0},
      {"ans/de.json", "\"C\"\n", 0}}},
    {"xcopa",
     "it",
     "split/it.json: has 2 lines, and split/en.json, whose lines belong to them, has 1",
     {{"split/it.json", "\"p\"\n\"q\"\n", 0},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/it.json", "\"1\"\n\"2\"\n", 0}}},
    {"xcopa",
     "it",
     "split/it.json: has 1 lines, and ans/it.json, whose lines belong to them, has 2",
     {{"split/it.json", "\"p\"\n", 0},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/it.json", "\"1\"\n\"2\"\n", 0}}},
    {"xcopa",
     "it",
     "ans/it.json: line 1: '3' is not one of XCOPA's options, 1, 2",
     {{"split/it.json", "\"p\"\n", 0},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/it.json", "\"3\"\n", 0}}},
    {"culturalbench",
     "de",
     "ans/de.json: line 1: 'Berlin' is not one of CulturalBench's options, A to Z",
     {{"split/de.json", "\"p\"\n", 0},
      {"translated/de.json", "\"a\"\n", 0},
      {"ans/de.json", "\"Berlin\"\n", 0}}},
    {"xcopa",
     "it",
     "split/en.json: cannot open: No such file or directory",
     {{"split/it.json", "\"p\"\n", 0}, {"ans/it.json", "\"1\"\n", 0}}},
    {"xcopa",
     "it",
     "split/it.json: line 2: at byte 6: is not valid UTF-8 (byte 0xC3)",
     {{"split/it.json", "\"p\"\n\"q\xC3\"\n", 0},
      {"split/en.json", "\"a\"\n\"b\"\n", 0},
      {"ans/it.json", "\"1\"\n\"1\"\n", 0}}},
    {"xcopa",
     "it",
     "split/it.json: line 1: at byte 1: is a NUL byte; expected UTF-8 text",
     {{"split/it.json", "\"\0\"\n", 4},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/it.json", "\"1\"\n", 0}}},
    {"xcopa",
     "it",
     "split/it.json: line 2: a prompt is empty",
     {{"split/it.json", "\"p\"\n\"\"\n", 0},
      {"split/en.json", "\"a\"\n\"b\"\n", 0},
      {"ans/it.json", "\"1\"\n\"1\"\n", 0}}},
    {"xcopa",
     "it",
     "split/it.json: line 1: a prompt holds a NUL character",
     {{"split/it.json", "\"p\\u0000\"\n", 0},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/it.json", "\"1\"\n", 0}}},
    {"xcopa",
     "it",
     "ans/it.json: line 1: an answer is a number, expected a string, an integer or an array of "
     "them",
     {{"split/it.json", "\"p\"\n", 0},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/it.json", "1.5\n", 0}}},
    {"xcopa",
     "it",
     "split/it.json: has no lines",
     {{"split/it.json", "", 0}, {"split/en.json", "", 0}, {"ans/it.json", "", 0}}},
    {"xnli",
     "de",
     "ans/de.json: line 1: '4' is not one of XNLI's options, 1, 2, 3",
     {{"split/de.json", "\"p\"\n", 0},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/de.json", "\"4\"\n", 0},
      {"ans_lang/de.json", "{\"1\": \"a\", \"2\": \"b\", \"3\": \"c\"}", 0}}},
    {"xnli",
     "de",
     "ans_lang/de.json: 2: is not a word: expected a JSON string that is not empty",
     {{"split/de.json", "\"p\"\n", 0},
      {"split/en.json", "\"a\"\n", 0},
      {"ans/de.json", "\"1\"\n", 0},
      {"ans_lang/de.json", "{\"1\": \"a\", \"2\": \"\"}", 0}}},
    {"globalopinionqa",
     "de",
     "split/de.json: line 1: \"label\" is nothing of 0, expected an array of 1 to 26 probabilities",
     {{"split/de.json", "{\"input_text\": \"p\"}\n", 0}, {"translated/de.json", "\"a\"\n", 0}}},
    {"globalopinionqa",
     "de",
     "split/de.json: line 1: item 1 of \"label\" is a string, expected a number",
     {{"split/de.json", "{\"input_text\": \"p\", \"label\": [1, \"2\"]}\n", 0},
      {"translated/de.json", "\"a\"\n", 0}}},
    {"globalopinionqa",
     "de",
     "translated/de.json: cannot open: No such file or directory",
     {{"split/de.json", "{\"input_text\": \"p\", \"label\": [1]}\n", 0}}},
};

static void test_released(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof released / sizeof *released; i++) {
    const Released *r = &released[i];
    const xt_dataset_options options = {.languages = &r->lang, .language_count = 1};
    xt_dataset *d = NULL;
    xt_error error;
    write_files(r->files);
    if (r->error) {
      expect_error(xt_dataset_open(xt_task_find(r->task), root, &options, &d, &error), &error,
                   r->error);
      assert_null(d);
    } else {
      ASSERT_OK(xt_dataset_open(xt_task_find(r->task), root, &options, &d, &error));
      assert_string_equal(xt_dataset_get(d, 0)->source, "a");
    }
    xt_dataset_close(d);
    remove_files();
  }
}

/* The options of a call. */
static void test_options(void **state) {
  (void)state;
  static const File files[FILES_MOST] = {{"split/de.json", "\"p\"\n", 0}};
  const char *de = "de", *two[] = {"de", "de"}, *none = "xx";
  xt_dataset *d;
  xt_error error;
  write_files(files);
  xt_dataset_options o = {.languages = &de, .language_count = 1, .pivot = "zh"};
  expect_error(xt_dataset_open(xt_task_find("xquad"), root, &o, &d, &error), &error,
               "split/xquad.de.json: cannot open: No such file or directory");
  expect_error(xt_dataset_open(xt_task_find("culturalbench"), root, &o, &d, &error), &error,
               "pivot: CulturalBench goes from each language into English; its pivot is en");
  o.pivot = "pl";
  expect_error(xt_dataset_open(xt_task_find("xquad"), root, &o, &d, &error), &error,
               "pivot: 'pl' is not a language of XQuAD; it has ar de el en es hi ro ru th tr vi "
               "zh");
  o = (xt_dataset_options){.languages = two, .language_count = 2};
  expect_error(xt_dataset_open(xt_task_find("xquad"), root, &o, &d, &error), &error,
               "lang: names de twice");
  o = (xt_dataset_options){.languages = &none, .language_count = 1};
  expect_error(xt_dataset_open(xt_task_find("xcopa"), root, &o, &d, &error), &error,
               "lang: 'xx' is not a language of XCOPA; it has en ht id it sw ta tr vi zh");
  remove_files();
}

static void test_literal(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t at;
    const char *what;
  } want[] = {
      {"", 0, "neither a list, a dict, a string nor a number"},
      {"[1", 2, "a comma or the list's end is missing"},
      {"[1 2]", 3, "a comma or the list's end is missing"},
      {"{1: 2}", 1, "a dict's key that is no string"},
      {"{'a' 2}", 5, "a colon is missing"},
      {"'a", 2, "a string that does not end"},
      {"'\\x4", 4, "too few hexadecimal digits"},
      {"'\\ud800'", 7, "an escape that is no character"},
      {"'\\q'", 3, "an escape that Python's repr does not write"},
      {"[1] x", 4, "more text follows"},
      {"1e999", 0, "a number out of range"},
      {"1-2", 0, "not a number"},
      {"defaultdict(list)", 12, "a defaultdict without its dict"},
      {"defaultdict(<class 'list'>, {}", 30, "a defaultdict that does not end"},
      {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 32, "nested too deep"},
  };
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    json_t *value;
    size_t at;
    const char *what;
    assert_int_equal(python_literal_read(want[i].text, &value, &at, &what), XT_STATUS_INPUT);
    assert_null(value);
    if (at != want[i].at || strcmp(what, want[i].what) != 0)
      fail_msg("%s: %s at %zu", want[i].text, what, at);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_released),
                                     cmocka_unit_test(test_options),
                                     cmocka_unit_test(test_literal)};
  return cmocka_run_group_tests_name("broken benchmarks", tests, NULL, NULL);
}
