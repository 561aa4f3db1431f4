/* SPDX-License-Identifier: Apache-2.0 */
/* Unigram, and the pre-tokenisers and normalisers of other families. */
#include "small_tokenizers.h"

#define UNIGRAM(vocab, rest) \
  "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0]," vocab "]" rest "}"

/* The best sum of scores; the first found of equals; unknown stretches as one. Ids are from
 * tokenizers 0.23.3. */
static void unigram(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(UNIGRAM("[\"a\",-1],[\"b\",-1],[\"ab\",-2],[\"abc\",-2]", "}"));
  expect_ids(t, "ab", false, "3");
  expect_ids(t, "abab", false, "3 3");
  expect_ids(t, "xyab", false, "0 3");
  expect_ids(t, "axxb", false, "1 0 2");
  expect_ids(t, "abc", false, "4");
  expect_ids(t, "", false, "");
  xt_tokenizer_close(t);
  t = open_json(UNIGRAM("[\"" MARK "\",-2],[\"\u65e5\u672c\",-3],[\"" MARK
                        "\u65e5\",-3.5],[\"\u65e5\",-4],[\"\u672c\",-4],[\"\u8a9e\",-4.5],"
                        "[\"\u672c\u8a9e\",-5]",
                        "}" METASPACE("always")));
  expect_ids(t, "\u65E5\u672C\u8A9E", false, "3 7");
  xt_tokenizer_close(t);
  t = open_json(UNIGRAM("[\"a\",-1],[\"<0xC3>\",0],[\"<0xA9>\",0]", ",\"byte_fallback\":true}"));
  expect_ids(t, "a\u00E9a\u00E8", false, "1 2 3 1 0");
  xt_tokenizer_close(t);
  /* a aa and aa a are equally good, but for the last bits of sums of the numbers as serde_json
   * reads them. */
  t = open_json(UNIGRAM(
      "[\"b\",-8.361429219497932],[\"a\",-7.780559528529837],[\"aa\",-7.4064101513638665]", "}"));
  expect_ids(t, "baaa", false, "1 3 2");
  xt_tokenizer_close(t);
}

#define PRE(steps) ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" steps "]}"
#define PLAIN                                                                         \
  "\"a\":0,\"b\":1,\"ab\":2,\".\":3,\"..\":4,\"\u00e0\":5,\"\u00b2\":6,\"\u00c2\":7," \
  "\"\u00c2\u00b2\":8,\"aba\":9,\" \":10"
#define PLAIN_MERGES "\"a b\",\". .\",\"\u00c2 \u00b2\",\"ab a\""

/* Pre-tokenisers and normalisers of other families. */
static void other_parts(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(JSON(PLAIN, PLAIN_MERGES, "", PRE("{\"type\":\"Punctuation\"}")));
  expect_ids(t, "ab..", false, "2 3 3");
  xt_tokenizer_close(t);
  t = open_json(
      JSON(PLAIN, PLAIN_MERGES, "", PRE("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}")));
  expect_ids(t, "ab..", false, "2 4");
  xt_tokenizer_close(t);
  t = open_json(JSON(PLAIN, PLAIN_MERGES, "", PRE("{\"type\":\"FixedLength\",\"length\":2}")));
  expect_ids(t, "aba", false, "2 0");
  xt_tokenizer_close(t);
  t = open_json(
      JSON(PLAIN, PLAIN_MERGES, "", PRE("{\"type\":\"CharDelimiterSplit\",\"delimiter\":\" \"}")));
  expect_ids(t, "ab a", false, "2 0");
  xt_tokenizer_close(t);
  t = open_json(JSON(PLAIN, PLAIN_MERGES, "", PRE("{\"type\":\"BertPreTokenizer\"}")));
  expect_ids(t, "ab .a", false, "2 3 0");
  xt_tokenizer_close(t);
  /* Behind ByteLevel, Digits sees a byte's letter: half of U+00B2 is a number. Falcon has that. */
  t = open_json(
      JSON(PLAIN, PLAIN_MERGES, "",
           PRE("{\"type\":\"ByteLevel\",\"add_prefix_space\":false},{\"type\":\"Digits\"}")));
  expect_ids(t, "\u00B2", false, "7 6");
  xt_tokenizer_close(t);
  t = open_json(JSON(PLAIN, PLAIN_MERGES, "", ",\"normalizer\":{\"type\":\"ByteLevel\"}"));
  expect_ids(t, "\u00B2", false, "8");
  xt_tokenizer_close(t);
  t = open_json(JSON(PLAIN, PLAIN_MERGES, "", ",\"normalizer\":{\"type\":\"Nmt\"}"));
  expect_ids(t, "a\u200Bb\x01", false, "0 10 1");
  xt_tokenizer_close(t);
}

/* The flag of Mistral's tokenizers counts where transformers 5 lets it: "aB" is two words then. */
static void mistral_flag(void **state) {
  (void)state;
  static const char json[] =
      JSON("\"a\":0,\"B\":1,\"aB\":2", "\"a B\"", "",
           PRE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x\"},\"behavior\":\"Isolated\","
               "\"invert\":false},"
               "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"));
  static const char flag[] =
      "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"fix_mistral_regex\":true}";
  static const char *const configs[] = {
      "{\"model_type\":\"mistral\",\"transformers_version\":\"4.52.1\"}",
      "{\"model_type\":\"mistral\",\"transformers_version\":\"5.0.0\"}",
      "{\"model_type\":\"llama\",\"transformers_version\":\"4.52.1\"}"};
  for (int i = 0; i < 3; i++) {
    const NamedFile files[] = {{"tokenizer.json", json, strlen(json)},
                               {"tokenizer_config.json", flag, strlen(flag)},
                               {"config.json", configs[i], strlen(configs[i])},
                               {0}};
    xt_tokenizer *t = open_files(files);
    expect_ids(t, "aB", false, i ? "2" : "0 1");
    xt_tokenizer_close(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(unigram), cmocka_unit_test(other_parts),
                                     cmocka_unit_test(mistral_flag)};
  return cmocka_run_group_tests_name("tokenizer parts", tests, NULL, NULL);
}
