/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer on small vocabularies written here, so that each rule is seen at work by itself. */
#include <pthread.h>
#include <unistd.h>

#include "small_tokenizers.h"

static void merges_by_rank_then_leftmost(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(JSON(LETTERS, "\"b c\",\"a b\",[\"a\",\"bc\"],\"a a\"", "", ""));
  expect_ids(t, "abc", false, "5"); /* b c is first, then a + bc */
  expect_ids(t, "ab", false, "3");
  expect_ids(t, "aaa", false, "6 0"); /* equal rank: leftmost */
  expect_ids(t, "aaabc", false, "6 5");
  expect_ids(t, "", false, "");
  expect_ids(t, "xay", false, "0"); /* no unknown token: dropped */
  assert_int_equal(xt_tokenizer_vocab_size(t), 7);
  assert_int_equal(xt_tokenizer_token_id(t, "abc"), 5);
  assert_int_equal(xt_tokenizer_token_id(t, "nope"), -1);
  assert_int_equal(xt_tokenizer_bos(t), -1);
  xt_tokenizer_close(t);
  t = open_json(JSON(LETTERS, "\"a b\"", ",\"ignore_merges\":true", ""));
  expect_ids(t, "abc", false, "5"); /* the word itself, though no merge makes it */
  expect_ids(t, "abcc", false, "3 2 2");
  xt_tokenizer_close(t);
}

static void escaped_tokens(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(JSON("\"\\u00e9\":0,\"a\\n\":1,\"\\ud83e\\udd99\":2,\"\\\"\\/"
                                   "\":3,\"\\\"\":4,\"/\":5,\"{[,\\\\\":6",
                                   "[\"\\\"\",\"\\u002f\"]", "", ""));
  expect_ids(t, "\xC3\xA9\xF0\x9F\xA6\x99\"/", false, "0 2 3");
  assert_int_equal(xt_tokenizer_token_id(t, "a\n"), 1);
  assert_int_equal(xt_tokenizer_token_id(t, "{[,\\"), 6);
  xt_tokenizer_close(t);
}

static void unknown_characters(void **state) {
  (void)state;
  xt_tokenizer *t =
      open_json(JSON("\"u\":0,\"a\":1", "", ",\"unk_token\":\"u\",\"fuse_unk\":true", ""));
  expect_ids(t, "xxaxx", false, "0 1 0");
  xt_tokenizer_close(t);
  t = open_json(JSON("\"u\":0,\"a\":1", "", ",\"unk_token\":\"u\"", ""));
  expect_ids(t, "xxax", false, "0 0 1 0");
  xt_tokenizer_close(t);
  /* Bytes where all of a character's are there, else unknown. */
  t = open_json(JSON("\"u\":0,\"<0xC3>\":1,\"<0xA9>\":2,\"a\":3", "",
                     ",\"unk_token\":\"u\",\"byte_fallback\":true", ""));
  expect_ids(t, "a\xC3\xA9\xC3\xA8", false, "3 1 2 0");
  xt_tokenizer_close(t);
}

#define END_TOKEN \
  ",\"added_tokens\":[{\"id\":6,\"content\":\"</s>\",\"special\":true,\"normalized\":false}]"

static void spaces_and_marks(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(JSON(MARKED, MARKED_MERGES, "", METASPACE("first") END_TOKEN));
  expect_ids(t, "a b", false, "2 4");
  expect_ids(t, " a", false, "2");         /* has its mark already */
  expect_ids(t, "a</s>b", false, "2 6 3"); /* only the beginning of all */
  expect_ids(t, "</s>a", false, "6 1");
  xt_tokenizer_close(t);
  t = open_json(JSON(MARKED, MARKED_MERGES, "", METASPACE("always") END_TOKEN));
  expect_ids(t, "a</s>b", false, "2 6 4");
  xt_tokenizer_close(t);
  t = open_json(JSON(MARKED, MARKED_MERGES, "", METASPACE("never") END_TOKEN));
  expect_ids(t, "a b</s>b", false, "1 4 6 3");
  xt_tokenizer_close(t);
  t = open_json(JSON(MARKED, MARKED_MERGES, "",
                     ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
                     "\"Prepend\",\"prepend\":\"" MARK
                     "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK
                     "\"}]}" END_TOKEN));
  expect_ids(t, " a", false, "0 2"); /* one more in front, whatever stands there */
  expect_ids(t, "a</s>b", false, "2 6 4");
  expect_ids(t, "</s>", false, "6");
  xt_tokenizer_close(t);
}

/* A vocabulary with a merge across the beginning of a word: words are not cut apart. */
static void merge_across_words(void **state) {
  (void)state;
  xt_tokenizer *t =
      open_json(JSON("\"" MARK "\":0,\"a\":1,\"a" MARK "\":2,\"b\":3,\"a" MARK "b\":4",
                     "\"a " MARK "\",\"a" MARK " b\"", "", METASPACE("never")));
  expect_ids(t, "a b a", false, "4 0 1");
  xt_tokenizer_close(t);
}

#define ADDED(content, flags) ",\"added_tokens\":[{\"id\":9,\"content\":\"" content "\"" flags "}]"
#define SPACED "\" \":0,\"a\":1,\"x\":2"

static void added_tokens(void **state) {
  (void)state;
  xt_tokenizer *t =
      open_json(JSON(SPACED, "", "", ADDED("xx", ",\"lstrip\":true,\"rstrip\":true")));
  expect_ids(t, "a  xx a", false, "1 3 1"); /* a new token takes the next id, not the file's */
  expect_ids(t, "xxx", false, "3 2");
  assert_int_equal(xt_tokenizer_vocab_size(t), 4);
  xt_tokenizer_close(t);
  t = open_json(JSON(SPACED, "", "", ADDED("x", ",\"single_word\":true")));
  expect_ids(t, "ax x a", false, "1 2 0 2 0 1");
  xt_tokenizer_close(t);
  /* Longest first; a token written in normal form is looked for after normalising. */
  t = open_json(
      JSON(SPACED, "", "",
           ",\"added_tokens\":[{\"id\":3,\"content\":\"xa\"},{\"id\":4,\"content\":\"xaa\"}]"));
  expect_ids(t, "xaaxa", false, "4 3");
  xt_tokenizer_close(t);
  t = open_json(
      JSON(SPACED, "", "",
           ADDED("XA", ",\"normalized\":true") ",\"normalizer\":{\"type\":\"Lowercase\"}"));
  expect_ids(t, "AxaXA", false, "1 3 3");
  xt_tokenizer_close(t);
  t = open_json(
      JSON(SPACED, "", "",
           ADDED("XA", ",\"normalized\":false") ",\"normalizer\":{\"type\":\"Lowercase\"}"));
  expect_ids(t, "xaXA", false, "2 1 3");
  xt_tokenizer_close(t);
}

#define LLAMA_DECODER                                                                          \
  ",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"      \
  "\"String\":\"" MARK "\"},\"content\":\" "                                                   \
  "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \"," \
  "\"start\":1,\"stop\":0}]}"

static void decoding(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(
      JSON("\"" MARK "a\":0,\"<0xE4>\":1,\"<0xBD>\":2,\"<0xA0>\":3,\"b\":4,\"</s>\":5", "", "",
           ",\"added_tokens\":[{\"id\":5,\"content\":\"</s>\",\"special\":true}]" LLAMA_DECODER));
  EXPECT_TEXT(t, true, "a a", 0, 0);
  EXPECT_TEXT(t, true, "\xE4\xBD\xA0 a", 1, 2, 3, 0);
  EXPECT_TEXT(t, true,
              "\xEF\xBF\xBD\xEF\xBF\xBD"
              "b",
              1, 2, 4); /* one for each bad byte token */
  EXPECT_TEXT(t, true, "b", 5, 4, 5);
  EXPECT_TEXT(t, false, "</s>b</s>", 5, 4, 5);
  EXPECT_TEXT(t, true, "b", 99, 4, -1, INT32_MAX, INT32_MIN);
  expect_text(t, NULL, 0, true, "");
  xt_tokenizer_close(t);
  t = open_json(JSON("\"\xC3\xA4\xC2\xBD\":0,\"\xC5\x82\":1,\"\xC4\xA0"
                     "a\":2",
                     "", "", ",\"decoder\":{\"type\":\"ByteLevel\"}"));
  EXPECT_TEXT(t, true, "\xE4\xBD\xA0 a", 0, 1, 2);
  EXPECT_TEXT(t, true, "\xEF\xBF\xBD a", 0, 2); /* one for the whole unfinished character */
  EXPECT_TEXT(t, true, "\xEF\xBF\xBD", 1);
  xt_tokenizer_close(t);
  t = open_json(JSON(LETTERS, "", "", "")); /* no decoder: joined with spaces */
  EXPECT_TEXT(t, true, "a b", 0, 1);
  xt_tokenizer_close(t);
}

#define TEMPLATE                                                                                  \
  ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"   \
  "\"c\",\"type_id\":0}},"                                                                        \
  "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"b\",\"type_id\":0}}]," \
  "\"special_tokens\":"                                                                           \
  "{\"c\":{\"id\":\"c\",\"ids\":[2],\"tokens\":[\"c\"]},\"b\":{\"id\":\"b\",\"ids\":[1],"         \
  "\"tokens\":[\"b\"]}}}"

static void begin_and_end_tokens(void **state) {
  (void)state;
  const char *json = JSON(LETTERS, "", "", TEMPLATE);
  xt_tokenizer *t = open_json(json);
  expect_ids(t, "a", true, "2 0 1");
  expect_ids(t, "a", false, "0");
  expect_ids(t, "", true, "2 1");
  assert_int_equal(xt_tokenizer_bos(t), 2);
  xt_tokenizer_close(t);
  /* Llama's class has its own way. */
  const char *config =
      "{\"tokenizer_class\":\"LlamaTokenizerFast\",\"bos_token\":\"b\",\"eos_token\":\"c\","
      "\"unk_token\":\"a\",\"add_eos_token\":true}";
  const NamedFile files[] = {{"tokenizer.json", json, strlen(json)},
                             {"tokenizer_config.json", config, strlen(config)},
                             {0}};
  t = open_files(files);
  expect_ids(t, "ab", true, "1 0 1 2");
  assert_int_equal(xt_tokenizer_bos(t), 1);
  EXPECT_TEXT(t, true, "aa", 1, 6, 2, 0); /* the class made them special: all but "aa" go */
  xt_tokenizer_close(t);
}

/* <unk> <s> </s>, a mark, letters, and pieces that all score 0: the longer left part goes first. */
static void sentencepiece_ties(void **state) {
  (void)state;
  ModelFile model = {0};
  model_piece(&model, "<unk>", 0, 2);
  model_piece(&model, "<s>", 0, 3);
  model_piece(&model, "</s>", 0, 3);
  model_piece(&model, MARK, -9, 1); /* 3 */
  model_piece(&model, "x", -9, 1);  /* 4 */
  model_piece(&model, "y", -9, 1);  /* 5 */
  model_piece(&model, "z", -9, 1);  /* 6 */
  model_piece(&model, "xy", 0, 1);  /* 7 */
  model_piece(&model, "yz", 0, 1);  /* 8 */
  model_piece(&model, "xyz", 0, 1); /* 9 */
  model_piece(&model, "yzx", 0, 1); /* 10: y z joins as early as x y, and stands further right */
  model_piece(&model, "<0xC3>", 0, 6);
  model_piece(&model, "<0xA9>", 0, 6);
  model_piece(&model, "w", -9, 1); /* 13 */
  model_piece(&model, "zw", 0, 1); /* 14 */
  model_trainer(&model, 2);
  const NamedFile files[] = {{"tokenizer.model", (const char *)model.data, model.size}, {0}};
  xt_tokenizer *t = open_files(files);
  assert_string_equal(xt_tokenizer_source(t), "tokenizer.model");
  expect_ids(t, "xyzw", false, "3 9 13"); /* xy + z before z + w */
  expect_ids(t, "xyz", true, "1 3 9");
  expect_ids(t, "yzx", false, "3 10");
  expect_ids(t, "xyzx", false, "3 9 4");
  expect_ids(t, "x</s>\xC3\xA9", false, "3 4 2 3 11 12");
  expect_ids(t, "??", false, "3 0"); /* fused */
  EXPECT_TEXT(t, true, "x \xC3\xA9", 1, 3, 4, 3, 11, 12, 2);
  xt_tokenizer_close(t);
}

/* The converter gives the first three pieces score 0, whatever the file says. */
static void sentencepiece_first_pieces(void **state) {
  (void)state;
  ModelFile model = {0};
  model_piece(&model, "<unk>", 0, 2);
  model_piece(&model, "<s>", 0, 3);
  model_piece(&model, "wx", -50, 1);
  model_piece(&model, "xw", -1, 1);
  model_piece(&model, "w", -9, 1);
  model_piece(&model, "x", -9, 1);
  model_piece(&model, MARK, -9, 1);
  model_trainer(&model, 2);
  const NamedFile files[] = {{"tokenizer.model", (const char *)model.data, model.size}, {0}};
  xt_tokenizer *t = open_files(files);
  expect_ids(t, "wxw", true, "1 6 2 4");
  xt_tokenizer_close(t);
}

static void vocab_and_merges(void **state) {
  (void)state;
  const char *vocab = "{\"a\":0,\"b\":1,\"\xC4\xA0\":2,\"ab\":3,\"\xC4\xA0"
                      "ab\":4,\"1\":5,\"\xC3\x83\":6,\"\xC2\xA9\":7}";
  const char *merges = "#version: 0.2\na b\n\n\xC4\xA0 ab\n";
  const char *config = "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"model_max_length\":"
                       "1000000000000000019884624838656,\"eos_token\":\"<|e|>\",\"unk_token\":null,"
                       "\"pad_token\":null,"
                       "\"added_tokens_decoder\":{\"8\":{\"content\":\"<|e|>\",\"special\":true,"
                       "\"normalized\":false}}}";
  const NamedFile files[] = {{"vocab.json", vocab, strlen(vocab)},
                             {"merges.txt", merges, strlen(merges)},
                             {"tokenizer_config.json", config, strlen(config)},
                             {0}};
  xt_tokenizer *t = open_files(files);
  assert_string_equal(xt_tokenizer_source(t), "vocab.json");
  expect_ids(t, "ab ab11<|e|>", true, "3 4 5 5 8");
  expect_ids(t, "e\xCC\x81\xC3\xA9", false, "6 7 6 7"); /* NFC first */
  EXPECT_TEXT(t, false, "ab ab<|e|>", 3, 4, 8);
  EXPECT_TEXT(t, true, "ab ab", 3, 4, 8);
  xt_tokenizer_close(t);
}

/* n log n: a quadratic search would take minutes here. */
static void long_words(void **state) {
  (void)state;
  enum { SIZE = 400000 };
  xt_tokenizer *t = open_json(JSON("\"a\":0,\"aa\":1,\"aaaa\":2", "\"a a\",\"aa aa\"", "", ""));
  char *text = malloc(SIZE);
  int32_t *ids;
  size_t count;
  xt_error error;
  assert_non_null(text);
  memset(text, 'a', SIZE);
  ASSERT_OK(xt_tokenizer_encode(t, text, SIZE - 1, true, &ids, &count, &error));
  assert_int_equal(count, SIZE / 4 + 1);
  assert_int_equal(ids[0], 2);
  assert_int_equal(ids[count - 2], 1);
  assert_int_equal(ids[count - 1], 0);
  free(ids);
  free(text);
  xt_tokenizer_close(t);
}

static void bad_arguments(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(JSON(LETTERS, "", "", ""));
  int32_t *ids;
  size_t count;
  xt_error error;
  assert_int_equal(xt_tokenizer_encode(t, "ab\xC3(", 4, true, &ids, &count, &error),
                   XT_STATUS_INPUT);
  assert_int_equal(error.offset, 2);
  assert_null(ids);
  assert_int_equal(xt_tokenizer_encode(t, "a\xED\xA0\x80", 4, true, &ids, &count, NULL),
                   XT_STATUS_INPUT);
  assert_int_equal(xt_tokenizer_encode(NULL, "a", 1, true, &ids, &count, &error),
                   XT_STATUS_ARGUMENT);
  /* NUL is text */
  assert_int_equal(xt_tokenizer_encode(t, "a\0b", 3, true, &ids, &count, &error), XT_STATUS_OK);
  assert_int_equal(count, 2);
  free(ids);
  xt_tokenizer_close(t);
  xt_tokenizer_close(NULL);

  char directory[40];
  const NamedFile none[] = {{0}};
  files_write(directory, none);
  assert_int_equal(xt_tokenizer_open(directory, &t, &error), XT_STATUS_INPUT);
  assert_null(t);
  assert_non_null(strstr(error.message, "tokenizer.json"));
  assert_non_null(strstr(error.message, "tokenizer.model"));
  assert_non_null(strstr(error.message, "merges.txt"));
  assert_string_equal(error.file, directory);
  files_remove(directory);
}

/* A pattern that backtracks for ever gives up with an error. */
static void runaway_pattern(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(
      JSON(LETTERS, "", "",
           ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:a|aa)+[cd]\"},"
           "\"behavior\":\"Isolated\",\"invert\":false}"));
  int32_t *ids;
  size_t count;
  xt_error error;
  assert_int_equal(xt_tokenizer_encode(t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabc", 42, true,
                                       &ids, &count, &error),
                   XT_STATUS_UNSUPPORTED);
  xt_tokenizer_close(t);
}

static void *encode_often(void *tokenizer) {
  for (int i = 0; i < 300; i++) {
    int32_t *ids;
    size_t count;
    if (xt_tokenizer_encode(tokenizer, "abc aaabc abc", 13, true, &ids, &count, NULL) !=
        XT_STATUS_OK)
      return tokenizer;
    const bool right = count == 6 && ids[0] == 2 && ids[1] == 5 && ids[2] == 6 && ids[4] == 5;
    free(ids);
    if (!right) return tokenizer;
  }
  return NULL;
}

static void threads(void **state) {
  (void)state;
  xt_tokenizer *t = open_json(
      JSON(LETTERS, "\"b c\",\"a bc\",\"a a\"", "",
           TEMPLATE
           ",\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Split\","
           "\"pattern\":{\"Regex\":\"\\\\p{L}+\"},\"behavior\":\"Isolated\",\"invert\":false}"));
  pthread_t thread[4];
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&thread[i], NULL, encode_often, t), 0);
  for (int i = 0; i < 4; i++) {
    void *failed;
    assert_int_equal(pthread_join(thread[i], &failed), 0);
    assert_null(failed);
  }
  xt_tokenizer_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(merges_by_rank_then_leftmost),
                                     cmocka_unit_test(unknown_characters),
                                     cmocka_unit_test(escaped_tokens),
                                     cmocka_unit_test(merge_across_words),
                                     cmocka_unit_test(sentencepiece_first_pieces),
                                     cmocka_unit_test(spaces_and_marks),
                                     cmocka_unit_test(added_tokens),
                                     cmocka_unit_test(decoding),
                                     cmocka_unit_test(begin_and_end_tokens),
                                     cmocka_unit_test(sentencepiece_ties),
                                     cmocka_unit_test(vocab_and_merges),
                                     cmocka_unit_test(long_words),
                                     cmocka_unit_test(bad_arguments),
                                     cmocka_unit_test(runaway_pattern),
                                     cmocka_unit_test(threads)};
  return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
