/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmarks as data, what makes their prompts, and their scoring rules that the goldens do not
 * cover. */
#include "support.h"

#include "base/text_buffer.h"
#include "tasks/csv.h"
#include "tasks/prompt_set.h"
#include "tasks/python_literal.h"
#include "tasks/sample.h"
#include "tasks/task_table.h"
#include "xtransplant/tasks.h"

/* ---- tables ---------------------------------------------------------------------------------- */

static size_t count_of(const char *const *list) {
  size_t n = 0;
  while (list[n]) n++;
  return n;
}

/* Languages and cultures, levels, site and direction as in the paper's tables. */
static void test_table(void **state) {
  (void)state;
  static const struct {
    const char *name, *site;
    size_t languages, levels[4];
    xt_task_kind kind;
    xt_direction direction;
  } want[] = {
      {"xnli", "attn", 14, {0, 6, 4, 4}, XT_TASK_CHOICE, XT_DIRECTION_TO_LANGUAGE},
      {"xquad", "ffn", 12, {0, 5, 4, 3}, XT_TASK_GENERATION, XT_DIRECTION_TO_LANGUAGE},
      {"globalopinionqa", "ffn", 20, {0, 7, 6, 7}, XT_TASK_CHOICE, XT_DIRECTION_FROM_LANGUAGE},
      {"xcopa", "attn", 9, {0, 2, 3, 4}, XT_TASK_CHOICE, XT_DIRECTION_TO_LANGUAGE},
      {"mkqa", "ffn", 17, {0, 7, 5, 5}, XT_TASK_GENERATION, XT_DIRECTION_TO_LANGUAGE},
      {"culturalbench", "ffn", 16, {0, 7, 5, 4}, XT_TASK_CHOICE, XT_DIRECTION_FROM_LANGUAGE},
  };
  assert_null(xt_task_get(6));
  assert_int_equal(count_of(xt_task_names()), 6);
  for (size_t i = 0; i < 6; i++) {
    const xt_task *task = xt_task_find(want[i].name);
    size_t levels[4] = {0};
    assert_non_null(task);
    assert_ptr_equal(task, xt_task_get(i));
    assert_string_equal(xt_task_names()[i], want[i].name);
    assert_string_equal(task->site, want[i].site);
    assert_int_equal(task->kind, want[i].kind);
    assert_int_equal(task->direction, want[i].direction);
    assert_int_equal(count_of(task->languages), want[i].languages);
    for (size_t k = 0; task->languages[k]; k++) {
      levels[xt_language_level(task->languages[k])]++;
      if (!xt_task_template(task, task->languages[k]))
        fail_msg("%s has no template in %s", task->name, task->languages[k]);
      if (!xt_language_cot(task->languages[k]))
        fail_msg("%s has no reasoning prompt", task->languages[k]);
    }
    assert_memory_equal(levels, want[i].levels, sizeof levels);
  }
  assert_null(xt_task_find("xnl"));
  assert_null(xt_task_template(xt_task_find("xcopa"), "de"));
}

/* What is left of a target prompt without its culture, in each wording, also within a chat. */
static void test_culture_names(void **state) {
  (void)state;
  static const struct {
    const char *task, *prompt, *name;
  } of[] = {
      {"globalopinionqa",
       "Human: How would someone from S. Africa (Non-national sample) answer the following "
       "question:\nHow would someone from here answer?\nHere",
       "S. Africa (Non-national sample)"},
      {"globalopinionqa",
       "<s>[INST] How would a person from Bolivia answer this question? Choose one of the "
       "options.\n\nIs it?",
       "Bolivia"},
      /* the question's text is no such line */
      {"globalopinionqa",
       "How would someone from afar greet?\nHow would someone from Egypt answer the following "
       "question:\nIs it?",
       "Egypt"},
      {"globalopinionqa", "What do people in Egypt say?\nIs it?", ""},
      {"culturalbench", "Choose the right answer to this question about the U.S..\n\nWho?",
       "the U.S."},
      {"local-facts", "Ainu, language code =", ""},
      {"xquad", "How would someone from Egypt answer the following question:\nIs it?", ""},
  };
  for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
    size_t length;
    const size_t at = task_culture_name(xt_task_find(of[i].task), of[i].prompt, &length);
    if (length != strlen(of[i].name) || memcmp(of[i].prompt + at, of[i].name, length) != 0)
      fail_msg("'%.*s' instead of '%s'", (int)length, of[i].prompt + at, of[i].name);
  }
}

static void test_levels(void **state) {
  (void)state;
  static const char *const of[] = {"ar de en es fr ja zh zh-CN", "hi it ko pt ru sv tr vi",
                                   "am bg el fi he ht hu id ms nl no pl ro sw ta th tl uk ur"};
  static const char *const names[] = {"High", "Mid", "Low"};
  for (size_t i = 0; i < 3; i++) {
    char list[80], *save = NULL;
    snprintf(list, sizeof list, "%s", of[i]);
    for (const char *lang = strtok_r(list, " ", &save); lang; lang = strtok_r(NULL, " ", &save))
      assert_string_equal(xt_level_name(xt_language_level(lang)), names[i]);
  }
  assert_int_equal(xt_language_level("xx"), XT_LEVEL_UNKNOWN);
  assert_int_equal(xt_language_level(""), XT_LEVEL_UNKNOWN);
  assert_string_equal(xt_level_name(XT_LEVEL_UNKNOWN), "");
  assert_string_equal(xt_language_cot("en"), " Let's think step by step.");
  assert_null(xt_language_cot("xx"));
}

/* Every template of ours has the fields of its task's questions and nothing else, as a file's have
 * to. */
static void test_templates_complete(void **state) {
  (void)state;
  xt_error error;
  for (size_t i = 0; i < 6; i++) {
    const xt_task *task = xt_task_get(i);
    char path[] = "/tmp/xt-templates-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    FILE *out = fdopen(file, "w");
    json_t *object = json_object();
    for (size_t k = 0; task->languages[k]; k++)
      json_object_set_new(object, task->languages[k],
                          json_string(xt_task_template(task, task->languages[k])));
    assert_int_equal(json_dumpf(object, out, 0), 0);
    fclose(out);
    json_decref(object);
    PromptSet set;
    ASSERT_OK(prompt_set_open(task_entry(task), path, &set, &error));
    prompt_set_close(&set);
    remove(path);
  }
}

static void test_option_words(void **state) {
  (void)state;
  xt_error error;
  PromptSet set;
  const xt_task *task = xt_task_find("xnli");
  ASSERT_OK(prompt_set_open(task_entry(task), NULL, &set, &error));
  for (size_t k = 0; task->languages[k]; k++) {
    json_t *words;
    ASSERT_OK(prompt_set_words(&set, task->languages[k], &words, &error));
    for (int a = 1; a <= 3; a++)
      for (int b = 1; b <= 3; b++) { /* a word within another would count for both */
        char one[4], two[4];
        snprintf(one, sizeof one, "%d", a & 3);
        snprintf(two, sizeof two, "%d", b & 3);
        if (a != b)
          assert_null(strstr(json_string_value(json_object_get(words, one)),
                             json_string_value(json_object_get(words, two))));
      }
    json_decref(words);
  }
  prompt_set_close(&set);
}

static void test_fill(void **state) {
  (void)state;
  xt_error error;
  PromptSet set = {.entry = task_entry(xt_task_find("xquad")), .path = "t"};
  set.file = json_pack("{s:s}", "en", "{context}{{question}} { } {question}\n{x");
  json_t *fields = json_pack("{s:s, s:s}", "context", "{question}", "question", "why?");
  TextBuffer out = {0};
  ASSERT_OK(prompt_set_fill(&set, "en", fields, &out, &error));
  /* what is filled in is not looked at again */
  assert_string_equal(out.data, "{question}{why?} { } why?\n{x");
  assert_int_equal(prompt_set_fill(&set, "de", fields, &out, &error), XT_STATUS_INPUT);
  text_buffer_free(&out);
  json_decref(fields);
  prompt_set_close(&set);
}

/* ---- scoring --------------------------------------------------------------------------------- */

static void check_score(const char *name, const char *lang, const char *response, const char *gold,
                        bool want) {
  const xt_task *task = xt_task_find(name);
  xt_choice *choices;
  size_t count;
  bool correct;
  xt_error error;
  ASSERT_OK(xt_task_choices(task, NULL, lang, &choices, &count, &error));
  ASSERT_OK(
      xt_task_score(task, choices, count, response, strlen(response), gold, &correct, &error));
  xt_choices_free(choices, count);
  if (correct != want)
    fail_msg("%s: '%s' for '%s' is %s", name, response, gold, correct ? "right" : "wrong");
}

static void test_xcopa_rule(void **state) {
  (void)state;
  check_score("xcopa", "it", "(1)", "1", true);
  check_score("xcopa", "it", " 2\n", "2", true);
  check_score("xcopa", "zh", "答案是（2）。", "2", true);
  check_score("xcopa", "it", "(1) o (2)", "1", false);
  check_score("xcopa", "en", "Option 1 is more likely", "1", false); /* the paper's case of 0.00 */
  check_score("xcopa", "it", "(3) (1)", "1", true);                  /* there is no third option */
  check_score("xcopa", "it", "", "1", false);
}

static void test_culture_rule(void **state) {
  (void)state;
  check_score("culturalbench", "de", "(b) Bier", "B", true);
  check_score("culturalbench", "de", "b", "B", true);
  check_score("culturalbench", "de", "(A) (B)", "B", false);
  check_score("culturalbench", "de", "B.", "B", false);
  check_score("culturalbench", "de", "", "B", false);
}

/* Lower-casing is Unicode's full one, of no language: a final sigma, a dotted I of two
 * characters. */
static void test_mkqa_rule(void **state) {
  (void)state;
  check_score("mkqa", "en", "It was NEW YORK, then.", "new york", true);
  check_score("mkqa", "en", "New  York", "new york", false);
  check_score("mkqa", "tr", "\u0130stanbul", "i\u0307stanbul", true);
  check_score("mkqa", "tr", "istanbul", "\u0130stanbul", false);
  check_score("mkqa", "el", "Ο ΑΧΙΛΛΕΑΣ", "αχιλλεας", true); /* a sigma that ends a word */
  /* a digit is not cased: the sigma is final */
  check_score("mkqa", "el", "ΑΧΙΛΛΕΑΣ1", "αχιλλεασ", false);
  check_score("mkqa", "de", "STRASSE", "straße", false);
  check_score("mkqa", "en", "", "x", false);
}

static void test_choices(void **state) {
  (void)state;
  xt_choice *choices;
  size_t count;
  xt_error error;
  bool correct;
  ASSERT_OK(xt_task_choices(xt_task_find("xcopa"), NULL, "any", &choices, &count, &error));
  assert_int_equal(count, 2);
  assert_string_equal(choices[1].label, "2");
  assert_null(choices[1].text);
  assert_int_equal(
      xt_task_score(xt_task_find("xcopa"), choices, count, "(3)", 3, "3", &correct, &error),
      XT_STATUS_INPUT);
  assert_string_equal(error.message, "'3' is not one of XCOPA's options, 1, 2");
  xt_choices_free(choices, count);
  ASSERT_OK(xt_task_choices(xt_task_find("culturalbench"), NULL, "de", &choices, &count, &error));
  assert_int_equal(count, 0);
  xt_choices_free(choices, count);
}

/* ---- Python's samples ------------------------------------------------------------------------ */

typedef struct Drawn {
  uint64_t seed;
  size_t population, count, first[8], last, sum; /* sum: of (place from 1) * number */
} Drawn;

/* From CPython 3.11: random.seed(seed); random.sample(range(population), count). */
static void test_sample(void **state) {
  (void)state;
  static const Drawn want[] = {
      {666, 1190, 50, {934, 772, 889, 580, 1025, 29, 1121, 1133}, 864, 657000},
      {666, 53, 50, {29, 24, 27, 18, 32, 0, 35, 46}, 42, 34571},          /* from a pool */
      {0, 277, 50, {197, 215, 20, 132, 261, 248, 207, 155}, 211, 181024}, /* the largest pool */
      {0, 278, 50, {197, 215, 20, 132, 261, 248, 207, 155}, 260, 169923}, /* the smallest set */
      {1, 21, 5, {4, 18, 2, 8, 3}, 3, 93},
      {1, 22, 5, {4, 18, 2, 8, 3}, 3, 93},
      {4294967296, 1000, 6, {115, 359, 427, 957, 17, 23}, 23, 6165}, /* a seed of two words */
      {1099511627783, 5010, 3, {4672, 3898, 2054}, 2054, 18630},
      {42, 1, 1, {0}, 0, 0},
      {7, 6, 6, {2, 1, 3, 5, 0, 4}, 4, 57},
      {18446744073709551615u, 100000, 4, {2860, 32607, 44314, 81100}, 81100, 525416},
  };
  xt_error error;
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    size_t out[50], sum = 0;
    const Drawn *w = &want[i];
    ASSERT_OK(sample_draw(w->seed, w->population, w->count, out, &error));
    for (size_t k = 0; k < w->count; k++) sum += (k + 1) * out[k];
    assert_memory_equal(out, w->first, sizeof *out * (w->count < 8 ? w->count : 8));
    assert_int_equal(out[w->count - 1], w->last);
    assert_int_equal(sum, w->sum);
  }
  size_t out[2];
  ASSERT_OK(sample_draw(1, 0, 0, out, &error));
  assert_int_equal(sample_draw(1, 1, 2, out, NULL), XT_STATUS_ARGUMENT);
}

/* ---- tables as text -------------------------------------------------------------------------- */

static void test_csv(void **state) {
  (void)state;
  static const char text[] =
      "a,\"b \"\"x\"\"\",c\r\n1,\"two\nlines, one \"\"field\"\"\",\r\n\n,,\n\"\",\"\",\"last\"";
  static const char *const want[][3] = {
      {"1", "two\nlines, one \"field\"", ""}, {"", "", ""}, {"", "", "last"}};
  static const size_t lines[] = {2, 5, 6};
  Csv csv;
  xt_error error;
  bool more;
  size_t column;
  ASSERT_OK(csv_open(&csv, "t.csv", text, sizeof text - 1, ',', true, &error));
  assert_int_equal(csv.columns, 3);
  ASSERT_OK(csv_column(&csv, "b \"x\"", &column, &error));
  assert_int_equal(column, 1);
  assert_int_equal(csv_column(&csv, "d", &column, &error), XT_STATUS_INPUT);
  assert_string_equal(error.message, "there is no such column; the first line has a, b \"x\", c");
  for (size_t i = 0; i < 3; i++) {
    ASSERT_OK(csv_next(&csv, &more, &error));
    assert_true(more);
    assert_int_equal(csv.row_line, lines[i]);
    for (size_t k = 0; k < 3; k++) assert_string_equal(csv_field(&csv, k), want[i][k]);
  }
  ASSERT_OK(csv_next(&csv, &more, &error));
  assert_false(more);
  csv_close(&csv);
  /* XNLI's tables have no quoting */
  static const char tabs[] = "x\ty\n\"a\" b\t\"\n";
  ASSERT_OK(csv_open(&csv, "t.tsv", tabs, sizeof tabs - 1, '\t', false, &error));
  ASSERT_OK(csv_next(&csv, &more, &error));
  assert_string_equal(csv_field(&csv, 0), "\"a\" b");
  assert_string_equal(csv_field(&csv, 1), "\"");
  csv_close(&csv);
}

static void check_literal(const char *text, const char *json) {
  json_t *value;
  size_t at;
  const char *what;
  if (python_literal_read(text, &value, &at, &what) != XT_STATUS_OK)
    fail_msg("%s: %s at %zu", text, what, at);
  char *got = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  assert_string_equal(got, json);
  free(got);
  json_decref(value);
}

static void test_python_literal(void **state) {
  (void)state;
  check_literal("['Yes', \"Don't know\", 'a \"b\" \\'c\\'']",
                "[\"Yes\",\"Don't know\",\"a \\\"b\\\" 'c'\"]");
  check_literal("defaultdict(<class 'list'>, {'A (x)': [0.25, 1, 1e-05], 'B': []})",
                "{\"A (x)\":[0.25,1,1.0000000000000001e-5],\"B\":[]}");
  check_literal(" ( 1 , -2.5, None, nan, True, False,) ", "[1,-2.5,null,null,true,false]");
  check_literal("'\\xe9\\u20ac\\U0001f600\\n\\\\ é'", "\"é€😀\\n\\\\ é\"");
  check_literal("{}", "{}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),          cmocka_unit_test(test_culture_names),
      cmocka_unit_test(test_levels),         cmocka_unit_test(test_templates_complete),
      cmocka_unit_test(test_option_words),   cmocka_unit_test(test_fill),
      cmocka_unit_test(test_xcopa_rule),     cmocka_unit_test(test_culture_rule),
      cmocka_unit_test(test_mkqa_rule),      cmocka_unit_test(test_choices),
      cmocka_unit_test(test_sample),         cmocka_unit_test(test_csv),
      cmocka_unit_test(test_python_literal),
  };
  return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
