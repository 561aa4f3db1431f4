/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks as their makers publish them, broken: each way gives one error, and no folder is
 * left. */
#include <glob.h>
#include <zlib.h>

#include "base/rng.h"
#include "task_files.h"
#include "xtransplant/tasks.h"

typedef struct Published {
  const char *task, *lang, *error; /* error NULL: a set is made */
  File files[FILES_MOST];
} Published;

#define SQUAD(qas) "{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": [" qas "]}]}]}"
#define QA "{\"id\": \"1\", \"question\": \"q\", \"answers\": [{\"text\": \"a\"}]}"
#define COPA(label)                                                                        \
  "{\"premise\": \"p\", \"choice1\": \"a\", \"choice2\": \"b\", \"question\": \"cause\", " \
  "\"label\": " label "}\n"
#define MKQA(text)                                                                             \
  "{\"example_id\": 7, \"queries\": {\"de\": \"q\", \"zh_cn\": \"z\"}, \"answers\": {\"de\": " \
  "[" text "], \"zh_cn\": [{\"text\": \"x\"}]}}\n"
#define NLI "language\tgold_label\tsentence1\tsentence2\tpairID\n"
#define OPINION "question,selections,options,source\n"
#define BENCH                                                                                     \
  "question_idx,prompt_question,prompt_option_a,prompt_option_b,prompt_option_c,prompt_option_d," \
  "answer,country\n"

static const Published published[] = {
    {"xquad", "de", NULL, {{"raw/xquad.de.json", SQUAD(QA), 0}}},
    {"xcopa",
     "it",
     NULL,
     {{"raw/it/test.it.jsonl", COPA("1"), 0}, {"raw/data-gmt/it/test.it.jsonl", COPA("1"), 0}}},
    {"xcopa", "it", NULL, {{"raw/data/it/test.it.jsonl", "\xEF\xBB\xBF" COPA("0"), 0}}},
    {"mkqa", "zh", NULL, {{"raw/mkqa.jsonl", MKQA("{\"text\": \"t\"}"), 0}}},
    {"xnli",
     "de",
     NULL,
     {{"raw/xnli.test.tsv", NLI "de\tneutral\t\"a\tb\t7\nfr\t-\ta\tb\t8\n", 0}}},
    {"xnli",
     "de",
     NULL,
     {{"raw/xnli.test.jsonl",
       "{\"language\": \"de\", \"gold_label\": \"neutral\", \"sentence1\": \"a\", \"sentence2\": "
       "\"b\", \"pairID\": \"7\"}\n",
       0}}},
    {"globalopinionqa",
     "de",
     NULL,
     {{"raw/global_opinions.csv",
       OPINION "\"a, \"\"b\"\"?\",\"defaultdict(<class 'list'>, {'Germany': [0.9, 0.1]})\",\"['x', "
               "1]\",WVS\n",
       0}}},
    {"culturalbench",
     "de",
     NULL,
     {{"raw/CulturalBench-Easy.csv", BENCH "7,q?,a,b,c,,C,Germany\n8,q,a,b,c,d,E,Peru\n", 0}}},
    {"xquad",
     "de",
     "raw/xquad.de.json: cannot open: No such file or directory",
     {{"raw/xquad.en.json", "", 0}}},
    {"xquad",
     "de",
     "raw/xquad.de.json: data: is nothing, expected SQuAD's array of articles",
     {{"raw/xquad.de.json", "{}", 0}}},
    {"xquad",
     "de",
     "raw/xquad.de.json: answers: of question 1 (from 0) is an array, expected an array with an "
     "answer",
     {{"raw/xquad.de.json", SQUAD(QA ", {\"id\": \"2\", \"question\": \"q\", \"answers\": []}"),
       0}}},
    {"xquad",
     "de",
     "raw/xquad.de.json: question: of question 0 (from 0) is an integer, expected a string that is "
     "not empty",
     {{"raw/xquad.de.json", SQUAD("{\"id\": \"1\", \"question\": 3}"), 0}}},
    {"xquad",
     "de",
     "raw/xquad.de.json: at byte 9: not valid JSON (line 1, column 9): unexpected token near end "
     "of file",
     {{"raw/xquad.de.json", "{\"data\": ", 0}}},
    {"xquad",
     "de",
     "raw: has no question in 'de' that XQuAD can ask",
     {{"raw/xquad.de.json", "{\"data\": []}", 0}}},
    {"xcopa",
     "it",
     "raw/it/test.it.jsonl: line 1: \"label\" is not 0 or 1",
     {{"raw/it/test.it.jsonl", COPA("2"), 0}}},
    {"xcopa",
     "it",
     "raw/it/test.it.jsonl: line 1: \"label\" is not 0 or 1",
     {{"raw/it/test.it.jsonl", COPA("\"0\""), 0}}},
    {"xcopa",
     "it",
     "raw/it/test.it.jsonl: line 2: \"choice2\" is nothing, expected a string",
     {{"raw/it/test.it.jsonl", COPA("0") "{\"premise\": \"p\", \"choice1\": \"a\"}\n", 0}}},
    {"xcopa",
     "it",
     "raw: has no it/test.it.jsonl, nor has its folder data",
     {{"raw/it/val.it.jsonl", COPA("0"), 0}}},
    {"xcopa",
     "it",
     "raw/data-gmt/it/test.it.jsonl: has 2 lines, and the language's own file has 1",
     {{"raw/it/test.it.jsonl", COPA("1"), 0},
      {"raw/data-gmt/it/test.it.jsonl", COPA("1") COPA("1"), 0}}},
    {"xcopa",
     "en",
     "raw: has no en/test.en.jsonl: XCOPA has no English file. Take a translation of another "
     "(--english zh), put one there, or leave English out with --lang",
     {{"raw/it/test.it.jsonl", COPA("1"), 0}}},
    {"mkqa",
     "de",
     "raw: has no mkqa.jsonl nor mkqa.jsonl.gz nor dataset/mkqa.jsonl.gz",
     {{"raw/x", "", 0}}},
    {"mkqa",
     "de",
     "raw: has no question in 'de' that MKQA can ask",
     {{"raw/mkqa.jsonl", MKQA("{\"type\": \"unanswerable\", \"text\": null}"), 0}}},
    {"mkqa",
     "fr",
     "raw/mkqa.jsonl: line 1: \"answers\" has no array \"fr\"",
     {{"raw/mkqa.jsonl", MKQA(""), 0}}},
    {"mkqa",
     "de",
     "raw/mkqa.jsonl: line 2: has no objects \"queries\" and \"answers\"; expected a line of "
     "mkqa.jsonl",
     {{"raw/mkqa.jsonl", MKQA("{\"text\": \"t\"}") "[]\n", 0}}},
    {"mkqa",
     "de",
     "raw/mkqa.jsonl.gz: at byte 10: broken gzip: it ends too early",
     {{"raw/mkqa.jsonl.gz", "\x1F\x8B\x08\0\0\0\0\0\0\x03", 10}}},
    {"mkqa",
     "de",
     "raw/mkqa.jsonl.gz: at byte 4: broken gzip: unknown compression method",
     {{"raw/mkqa.jsonl.gz", "\x1F\x8B\x07\0\0\0\0\0\0\x03", 10}}},
    {"xnli",
     "de",
     "raw/xnli.test.tsv: line 3, gold_label: is '-', expected entailment, neutral or contradiction",
     {{"raw/xnli.test.tsv", NLI "de\tneutral\ta\tb\t7\nde\t-\ta\tb\t8\n", 0}}},
    {"xnli",
     "de",
     "raw/xnli.test.tsv: line 2: has 4 fields, and the first line names 5 columns",
     {{"raw/xnli.test.tsv", NLI "de\tneutral\ta\tb\n", 0}}},
    {"xnli",
     "de",
     "raw/xnli.test.tsv: line 2, sentence2: is empty",
     {{"raw/xnli.test.tsv", NLI "de\tneutral\ta\t\t7\n", 0}}},
    {"xnli",
     "de",
     "raw/xnli.test.tsv: pairID: there is no such column; the first line has language, gold_label, "
     "sentence1, sentence2",
     {{"raw/xnli.test.tsv", "language\tgold_label\tsentence1\tsentence2\n", 0}}},
    {"xnli",
     "de",
     "raw/xnli.test.tsv: is empty; expected a table whose first line names the columns",
     {{"raw/xnli.test.tsv", "\n\n", 0}}},
    {"xnli",
     "de",
     "raw/xnli.test.tsv: line 3: at byte 64: is not valid UTF-8 (byte 0xFF)",
     {{"raw/xnli.test.tsv", NLI "de\tneutral\ta\tb\t7\n\xFF", 0}}},
    {"globalopinionqa",
     "de",
     "raw/global_opinions.csv: line 3: a quote is opened here and never closed",
     {{"raw/global_opinions.csv", OPINION "\n\"a\n\n", 0}}},
    {"globalopinionqa",
     "de",
     "raw/global_opinions.csv: line 2: a quote stands within a field that does not begin with one",
     {{"raw/global_opinions.csv", OPINION "a\"b,,,\n", 0}}},
    {"globalopinionqa",
     "de",
     "raw/global_opinions.csv: line 3: text follows a closing quote; a quote within a field is "
     "written twice",
     {{"raw/global_opinions.csv", OPINION "\"a\n\"b,,,\n", 0}}},
    {"globalopinionqa",
     "de",
     "raw/global_opinions.csv: line 2, options: is not a Python literal: a string that does not "
     "end, at byte 3 of the field",
     {{"raw/global_opinions.csv", OPINION "a,{},['x,WVS\n", 0}}},
    {"globalopinionqa",
     "de",
     "raw/global_opinions.csv: line 2, selections: is an array, expected a dict of countries",
     {{"raw/global_opinions.csv", OPINION "a,[],['x'],WVS\n", 0}}},
    {"globalopinionqa",
     "de",
     "raw: has no question in 'de' that GlobalOpinionQA can ask",
     {{"raw/global_opinions.csv", OPINION "a,\"{'Germany': [0.79, 0.21]}\",\"['x', 'y']\",WVS\n",
       0}}},
    /* another number of options */
    {"globalopinionqa",
     "de",
     "raw: has no question in 'de' that GlobalOpinionQA can ask",
     {{"raw/global_opinions.csv", OPINION "a,{'Germany': [0.9]},\"['x', 'y']\",WVS\n", 0}}},
    {"culturalbench",
     "de",
     "raw/CulturalBench-Easy.csv: line 2, answer: is 'D', which is none of the options that are "
     "there, A to D",
     {{"raw/CulturalBench-Easy.csv", BENCH "7,q?,a,b,c,,D,Germany\n", 0}}},
    {"culturalbench",
     "de",
     "raw/CulturalBench-Easy.csv: line 2, answer: is 'AB', which is none of the options that are "
     "there, A to D",
     {{"raw/CulturalBench-Easy.csv", BENCH "7,q?,a,b,c,d,AB,Germany\n", 0}}},
    {"culturalbench",
     "de",
     "raw/CulturalBench-Easy.csv: line 2, prompt_question: is empty",
     {{"raw/CulturalBench-Easy.csv", BENCH "7,,a,b,c,d,A,Germany\n", 0}}},
};

static xt_status build(const Published *p, size_t count, const char *templates,
                       const char *translations, xt_error *error) {
  char raw[60], out[60], more[2][80];
  snprintf(raw, sizeof raw, "%s/raw", root);
  snprintf(out, sizeof out, "%s/out", root);
  if (templates) snprintf(more[0], sizeof more[0], "%s/%s", root, templates);
  if (translations) snprintf(more[1], sizeof more[1], "%s/%s", root, translations);
  const xt_pilotset_options options = {.languages = &p->lang,
                                       .language_count = 1,
                                       .seed = 1,
                                       .count = count,
                                       .templates = templates ? more[0] : NULL,
                                       .translations = translations ? more[1] : NULL};
  const xt_status status =
      xt_pilotset_build(xt_task_find(p->task), raw, out, &options, NULL, error);
  assert_int_equal(access(out, F_OK), status ? -1 : 0); /* whole, or not at all */
  char partial[90];
  glob_t left;
  snprintf(partial, sizeof partial, "%s.*", out);
  assert_int_equal(glob(partial, 0, NULL, &left), GLOB_NOMATCH);
  globfree(&left);
  return status;
}

/* A task that only pairs can be of has no files to read. */
static void test_unpublished(void **state) {
  (void)state;
  xt_error error;
  xt_dataset *d;
  const xt_task *facts = xt_task_find("facts");
  assert_int_equal(xt_dataset_open(facts, "/tmp", NULL, &d, &error), XT_STATUS_ARGUMENT);
  assert_string_equal(error.message,
                      "facts is not published as a benchmark; its questions are read as pairs");
  assert_int_equal(xt_pilotset_build(facts, "/tmp", "/tmp/xt-none", NULL, NULL, &error),
                   XT_STATUS_ARGUMENT);
}

static void test_published(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
    xt_error error;
    write_files(published[i].files);
    const xt_status status = build(&published[i], 1, NULL, NULL, &error);
    if (published[i].error)
      expect_error(status, &error, published[i].error);
    else
      ASSERT_OK(status);
    remove_files();
  }
}

typedef struct Extra {
  const Published *of; /* the raw data */
  size_t count;
  const char *templates, *translations, *error;
} Extra;

#define DE_LINE                                                                            \
  "{\"id\": \"0 Germany\", \"question\": \"f\", \"country\": \"D\", \"options\": [\"x\", " \
  "\"y\"]}\n"

static const Extra extras[] = {
    {&published[0], 1, "{\"de\": \"{context} {question} {}\"}", NULL, NULL},
    {&published[1], 1,
     "{\"it\": {\"cause\": \"{premise}{choice1}{choice2}\", \"effect\": "
     "\"{premise}{choice1}{choice2}\"}, \"en\": \"{premise}{choice1}{choice2}{question}\"}",
     NULL, NULL},
    {&published[6], 1, NULL, DE_LINE, NULL},
    {&published[0], 2, NULL, NULL,
     "count: 2 questions were asked for, and XQuAD has 1 in 'de'; ask for fewer, or for 0 to "
     "have all of them unseen"},
    {&published[0], 1, "[]", NULL,
     "t.json: is an array, expected an object of a template a language: {\"en\": \"...\"}"},
    {&published[0], 1, "{\"de\": 3}", NULL, "t.json: de: is an integer, expected a prompt's text"},
    {&published[0], 1, "{\"de\": \"\"}", NULL,
     "t.json: de: is empty or holds a NUL, expected a prompt's text"},
    {&published[0], 1, "{\"de\": \"{context}\"}", NULL,
     "t.json: de: has no {question}; XQuAD's prompts need it"},
    {&published[0], 1, "{\"de\": \"{context}{question}{answer}\"}", NULL,
     "t.json: de: names {answer}, which XQuAD's questions do not have"},
    {&published[0], 1, "{\"fr\": \"{context}{question}\"}", NULL,
     "t.json: de: there is no template for this language; leave it out with --lang, or add it"},
    {&published[1], 1, "{\"it\": {\"cause\": \"{premise}{choice1}{choice2}\"}}", NULL,
     "t.json: it.effect: is nothing, expected a prompt's text"},
    {&published[4], 1, "{\"de\": \"{premise}{hypothesis}\\n(1) a\\n(2)\\n\"}", NULL,
     "t.json: de: has no line that begins with (2) and names that option; XNLI's prompts need "
     "it"},
    {&published[6], 1, NULL, "{\"id\": \"0\"}\n",
     "tr/de.jsonl: id: no line has '0 Germany'; every question needs its translation"},
    {&published[6], 1, NULL, DE_LINE DE_LINE,
     "tr/de.jsonl: line 2: \"id\": '0 Germany' came before"},
    {&published[6], 1, NULL,
     "{\"id\": \"0 Germany\", \"question\": \"f\", \"country\": \"D\", \"options\": [\"x\"]}\n",
     "tr/de.jsonl: line 1: \"options\" is an array of 1, expected an array of 2 strings"},
    {&published[6], 1, NULL,
     "{\"id\": \"0 Germany\", \"question\": \"f\", \"country\": \"D\", \"options\": [\"x\", "
     "2]}\n",
     "tr/de.jsonl: line 1: item 1 of \"options\" is an integer, expected a string"},
    {&published[6], 1, NULL, "{\"id\": \"0 Germany\", \"question\": \"\"}\n",
     "tr/de.jsonl: line 1: \"question\" is empty"},
    {&published[6], 1, NULL, "3\n", "tr/de.jsonl: line 1: is an integer, expected an object"},
};

/* Templates and translations. Their text is written as t.json, or de.jsonl. */
static void test_extras(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
    const Extra *e = &extras[i];
    File files[FILES_MOST] = {{0}};
    size_t n = 0;
    xt_error error;
    for (; e->of->files[n].name; n++) files[n] = e->of->files[n];
    if (e->templates) files[n++] = (File){"t.json", e->templates, 0};
    if (e->translations) files[n++] = (File){"tr/de.jsonl", e->translations, 0};
    write_files(files);
    const xt_status status = build(e->of, e->count, e->templates ? "t.json" : NULL,
                                   e->translations ? "tr" : NULL, &error);
    if (e->error)
      expect_error(status, &error, e->error);
    else
      ASSERT_OK(status);
    remove_files();
  }
}

static void test_output(void **state) {
  (void)state;
  xt_error error;
  char raw[60], out[120];
  File files[FILES_MOST] = {published[0].files[0], {"out/kept", "x", 0}};
  const char *de = "de";
  const xt_pilotset_options options = {.languages = &de, .language_count = 1};
  write_files(files);
  snprintf(raw, sizeof raw, "%s/raw", root);
  snprintf(out, sizeof out, "%s/out", root);
  expect_error(xt_pilotset_build(xt_task_find("xquad"), raw, out, &options, NULL, &error), &error,
               "out: exists and is not an empty folder; nothing was written");
  snprintf(out, sizeof out, "%s/no/out", root);
  expect_error(xt_pilotset_build(xt_task_find("xquad"), raw, out, &options, NULL, &error), &error,
               "no/out: cannot write: No such file or directory");
  snprintf(out, sizeof out, "%s/out/empty//", root);
  mkdir(out, 0777);
  /* count 0: all are unseen */
  ASSERT_OK(xt_pilotset_build(xt_task_find("xquad"), raw, out, &options, NULL, &error));
  snprintf(out, sizeof out, "%s/out/empty/XQuAD_unseen/ans/xquad.de.json", root);
  assert_int_equal(access(out, F_OK), 0);
  snprintf(out, sizeof out, "%s/out/empty/XQuAD_sample", root);
  assert_int_equal(access(out, F_OK), -1);
  remove_files();
}

/* ---- gzip ------------------------------------------------------------------------------------ */

/* Two members, cut at every byte: none of the parts is a file, and none is read as one. */
static void test_gzip(void **state) {
  (void)state;
  static const char line[] = MKQA("{\"text\": \"t\"}");
  unsigned char packed[1000];
  size_t size = 0, first = 0;
  for (int member = 0; member < 2; member++) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)line,
                  .avail_in = sizeof line - 1,
                  .next_out = packed + size,
                  .avail_out = (uInt)(sizeof packed - size)};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size += z.total_out;
    if (member == 0) first = size;
    deflateEnd(&z);
  }
  Published p = {"mkqa", "de", NULL, {{"raw/mkqa.jsonl.gz", (const char *)packed, 0}}};
  for (size_t cut = 3; cut <= size; cut++) {
    xt_error error;
    p.files[0].size = cut;
    write_files(p.files);
    const xt_status status = build(&p, 1, NULL, NULL, &error);
    if (cut == size || cut == first)
      ASSERT_OK(status);
    else
      assert_int_equal(status, XT_STATUS_INPUT);
    remove_files();
  }
}

/* ---- random damage --------------------------------------------------------------------------- */

static void test_damage(void **state) {
  (void)state;
  Rng rng = {7};
  for (size_t i = 0; i < 8; i++)
    for (int round = 0; round < 60; round++) {
      char data[700];
      Published p = published[i];
      xt_error error = {0};
      const size_t size = strlen(p.files[0].data);
      assert_true(size < sizeof data);
      memcpy(data, p.files[0].data, size + 1);
      for (int k = 0; k < 1 + round % 3; k++)
        data[rng_next(&rng) % size] = (char)(rng_next(&rng) % (round % 2 ? 256 : 128));
      p.files[0].data = data;
      p.files[0].size = round % 5 == 4 ? 1 + rng_next(&rng) % size : size;
      write_files(p.files);
      const xt_status status = build(&p, 0, NULL, NULL, &error);
      if (status != XT_STATUS_OK && status != XT_STATUS_INPUT && status != XT_STATUS_ARGUMENT)
        fail_msg("status %d: %s", (int)status, error.message);
      if (status) assert_true(error.message[0] != 0);
      remove_files();
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_unpublished), cmocka_unit_test(test_published),
      cmocka_unit_test(test_extras),      cmocka_unit_test(test_output),
      cmocka_unit_test(test_gzip),        cmocka_unit_test(test_damage)};
  return cmocka_run_group_tests_name("broken raw benchmarks", tests, NULL, NULL);
}
