/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged tokenizer files: each one gives an error that names the file, or still is a tokenizer
 * that works; never a crash, a leak or a hang (run under the sanitizers). */
#include "tokenizer_files.h"

#include "base/rng.h"
#include "xtransplant/tokenizer.h"

#define DATA XT_SOURCE_DIR "/tests/golden/data/tokenizer"

static char *read_all(const char *path, size_t *size) {
  FILE *in = fopen(path, "rb");
  assert_non_null(in);
  char *data = malloc(1 << 16);
  assert_non_null(data);
  *size = fread(data, 1, 1 << 16, in);
  assert_true(*size > 0 && *size < 1 << 16);
  fclose(in);
  return data;
}

/* Opens a folder of files. An error has to be a complaint about a file; a success has to work. */
static xt_status open_damaged(const NamedFile *files) {
  static const char text[] = "the quick  fox's 123 \xE7\x8B\x90\xE7\x8B\xB8</s> x\n<|endoftext|>";
  static const int32_t odd[] = {0, 5, 258, 259, 100000, -1};
  char directory[40];
  xt_tokenizer *t = NULL;
  xt_error error = {0};
  files_write(directory, files);
  const xt_status status = xt_tokenizer_open(directory, &t, &error);
  if (status == XT_STATUS_OK) {
    int32_t *ids = NULL;
    size_t count = 0, length;
    char *decoded = NULL;
    /* A damaged pattern may run away: that is an error of the call, not of the file. */
    if (xt_tokenizer_encode(t, text, sizeof text - 1, true, &ids, &count, &error) == XT_STATUS_OK)
      assert_int_equal(xt_tokenizer_decode(t, ids, count, true, &decoded, &length, &error),
                       XT_STATUS_OK);
    free(decoded);
    free(ids);
    assert_int_equal(xt_tokenizer_decode(t, odd, 6, false, &decoded, &length, &error),
                     XT_STATUS_OK);
    free(decoded);
  } else {
    if (status != XT_STATUS_INPUT && status != XT_STATUS_UNSUPPORTED)
      fail_msg("status %d: %s", (int)status, error.message);
    assert_null(t);
    assert_int_equal(strncmp(error.file, directory, strlen(directory)), 0);
    assert_true(error.message[0] != 0);
  }
  xt_tokenizer_close(t);
  files_remove(directory);
  return status;
}

/* Every `step`-th truncation of file `which`: none of them is complete. Then random flips of a bit
 * and random changes of a byte. */
static void damage(const NamedFile *original, size_t which, size_t step, int changes,
                   bool cut_is_error) {
  NamedFile files[5] = {{0}};
  size_t count = 0;
  for (; original[count].name; count++) files[count] = original[count];
  assert_int_equal(open_damaged(files), XT_STATUS_OK);
  const size_t size = files[which].size;
  for (size_t cut = 0; cut < size; cut += step) {
    files[which].size = cut;
    const xt_status status = open_damaged(files);
    if (cut_is_error && status == XT_STATUS_OK)
      fail_msg("%s cut at %zu was accepted", files[which].name, cut);
  }
  files[which].size = size;
  char *copy = malloc(size);
  assert_non_null(copy);
  Rng rng = {20240607};
  files[which].data = copy;
  size_t refused = 0;
  for (int i = 0; i < changes; i++) {
    memcpy(copy, original[which].data, size);
    const size_t at = rng_next(&rng) % size;
    if (i % 2)
      copy[at] = (char)(copy[at] ^ (1 << (rng_next(&rng) % 8)));
    else
      copy[at] = (char)rng_next(&rng);
    refused += open_damaged(files) != XT_STATUS_OK;
  }
  assert_true(refused > 0);
  free(copy);
}

static void damage_json(const char *name) {
  char path[300];
  size_t size;
  snprintf(path, sizeof path, "%s/%s/tokenizer.json", DATA, name);
  char *json = read_all(path, &size);
  const NamedFile files[] = {{"tokenizer.json", json, size}, {0}};
  damage(files, 0, 61, 400, true);
  free(json);
}
static void json_bytes(void **state) {
  (void)state;
  damage_json("tiny-bytes");
}
static void json_pieces(void **state) {
  (void)state;
  damage_json("tiny-pieces");
}

static void make_model(ModelFile *m, uint8_t kind) {
  static const char *const pieces[] = {
      "\xE2\x96\x81", "t", "h", "e", "th", "the", "\xE2\x96\x81the", "\xE7\x8B\x90", "q", "x"};
  *m = (ModelFile){0};
  model_piece(m, "<unk>", 0, 2);
  model_piece(m, "<s>", 0, 3);
  model_piece(m, "</s>", 0, 3);
  for (unsigned b = 0; b < 256; b++) {
    char text[8];
    snprintf(text, sizeof text, "<0x%02X>", b);
    model_piece(m, text, 0, 6);
  }
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
    model_piece(m, pieces[i], -(float)i, 1);
  model_trainer(m, kind);
}

static void sentencepiece(void **state) {
  (void)state;
  ModelFile model;
  make_model(&model, 2);
  const NamedFile files[] = {{"tokenizer.model", (const char *)model.data, model.size}, {0}};
  damage(files, 0, 13, 600, true);
}

static const char vocab[] =
    "{\"t\":0,\"h\":1,\"e\":2,\"\xC4\xA0\":3,\"th\":4,\"the\":5,\"\xC4\xA0the\":6,\"q\":7}";
static const char merges[] = "#version: 0.2\nt h\nth e\n\xC4\xA0 the\n";
static const char config[] =
    "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"eos_token\":{\"__type\":\"AddedToken\",\"content\":"
    "\"<|endoftext|>\"},"
    "\"added_tokens_decoder\":{\"8\":{\"content\":\"<|endoftext|>\",\"special\":true,\"lstrip\":"
    "false}},"
    "\"additional_special_tokens\":[\"<|a|>\"],\"add_prefix_space\":false}";
static const char map[] =
    "{\"eos_token\":\"</s>\",\"bos_token\":{\"content\":\"<s>\",\"normalized\":true}}";
static const char added[] = "{\"<pad>\":8,\"</s>\":9}";

static void vocab_json(void **state) {
  (void)state;
  const NamedFile files[] = {
      {"vocab.json", vocab, sizeof vocab - 1}, {"merges.txt", merges, sizeof merges - 1}, {0}};
  damage(files, 0, 1, 300, true);
}

static void merges_txt(void **state) {
  (void)state;
  const NamedFile files[] = {
      {"vocab.json", vocab, sizeof vocab - 1}, {"merges.txt", merges, sizeof merges - 1}, {0}};
  damage(files, 1, 1, 300, false); /* whole lines may be missing */
}

static void small_files(void **state) {
  (void)state;
  const NamedFile with_config[] = {{"vocab.json", vocab, sizeof vocab - 1},
                                   {"merges.txt", merges, sizeof merges - 1},
                                   {"tokenizer_config.json", config, sizeof config - 1},
                                   {0}};
  damage(with_config, 2, 3, 300, true);
  const NamedFile with_map[] = {{"vocab.json", vocab, sizeof vocab - 1},
                                {"merges.txt", merges, sizeof merges - 1},
                                {"special_tokens_map.json", map, sizeof map - 1},
                                {"added_tokens.json", added, sizeof added - 1},
                                {0}};
  damage(with_map, 2, 1, 200, true);
  damage(with_map, 3, 1, 200, true);
}

/* ---- particular damage, with the place the error has to name --------------------------------- */

#define BPE(inside, rest) "{\"model\":{\"type\":\"BPE\"," inside "}" rest "}"
#define AB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]"

static const struct {
  const char *json;
  xt_status status;
  const char *field; /* how error.field begins */
  long long offset;
} cases[] = {
    {"", XT_STATUS_INPUT, "", 0},
    {"[]", XT_STATUS_INPUT, "", -1},
    {"{}", XT_STATUS_INPUT, "model", -1},
    {"{\"model\":{\"type\":\"WordPiece\"}}", XT_STATUS_UNSUPPORTED, "model.type", -1},
    {"{\"model\":{\"type\":\"Unigram\"}}", XT_STATUS_INPUT, "model.vocab", -1},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", XT_STATUS_INPUT, "model.vocab[0]",
     -1},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"a\",1]]}}", XT_STATUS_INPUT,
     "model.vocab[1]", -1},
    {"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}", XT_STATUS_INPUT,
     "unk_id", -1},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]]},\"normalizer\":{\"type\":"
     "\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}}",
     XT_STATUS_INPUT, "normalizer.precompiled_charsmap", -1},
    {BPE("\"vocab\":[]", ""), XT_STATUS_INPUT, "model.vocab", -1},
    {BPE("\"vocab\":{\"a\":-1},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", 36},
    {BPE("\"vocab\":{\"a\":4000000000},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", -1},
    {BPE("\"vocab\":{\"a\":1.5},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", -1},
    {BPE("\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", -1},
    {BPE("\"vocab\":{\"a\":00},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", 36},
    {BPE("\"vocab\":{\"\\ud800\":0},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", 33},
    {BPE("\"vocab\":{\"\x01\":0},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", 33},
    {BPE("\"vocab\":{\"\xFF\":0},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", -1},
    {BPE("\"vocab\":{\"a\":0,},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", 38},
    {BPE("\"vocab\":{\"a\":0 \"b\":1},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", 38},
    {BPE("\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]", ""), XT_STATUS_INPUT, "model.vocab", -1},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[\"a a\" 1]", ""), XT_STATUS_INPUT, "model.merges", -1},
    {BPE("\"vocab\":{\"a\":0}", ""), XT_STATUS_INPUT, "model.merges", -1},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[\"aa\"]", ""), XT_STATUS_INPUT, "model.merges", -1},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]", ""), XT_STATUS_INPUT, "model.merges", -1},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]", ""), XT_STATUS_INPUT, "model.merges", -1},
    {BPE("\"vocab\":{\"a\":0},\"merges\":[\"a a\"]", ""), XT_STATUS_INPUT, "model.merges", -1},
    {BPE(AB ",\"dropout\":0.1", ""), XT_STATUS_UNSUPPORTED, "model.dropout", -1},
    {BPE(AB ",\"unk_token\":\"u\"", ""), XT_STATUS_INPUT, "model.unk_token", -1},
    {BPE(AB ",\"end_of_word_suffix\":\"</w>\"", ""), XT_STATUS_UNSUPPORTED, "end_of_word_suffix",
     -1},
    {BPE(AB, ",\"added_tokens\":{}"), XT_STATUS_INPUT, "added_tokens", -1},
    {BPE(AB, ",\"added_tokens\":[{\"id\":3}]"), XT_STATUS_INPUT, "added_tokens[0].content", -1},
    {BPE(AB, ",\"normalizer\":{\"type\":\"BertNormalizer\"}"), XT_STATUS_UNSUPPORTED,
     "normalizer.type", -1},
    {BPE(AB,
         ",\"normalizer\":{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"Regex\":\"(\"}}"),
     XT_STATUS_INPUT, "normalizer.pattern", -1},
    {BPE(AB, ",\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"), XT_STATUS_UNSUPPORTED,
     "pre_tokenizer.type", -1},
    {BPE(AB, ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a)\\\\1\"},"
             "\"behavior\":\"Removed\"}"),
     XT_STATUS_UNSUPPORTED, "pre_tokenizer.pattern", -1},
    {BPE(AB, ",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":"
             "\"Cut\"}"),
     XT_STATUS_INPUT, "pre_tokenizer.behavior", -1},
    {BPE(AB, ",\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), XT_STATUS_INPUT,
     "pre_tokenizer", -1},
    {BPE(AB, ",\"decoder\":{\"type\":\"WordPiece\"}"), XT_STATUS_UNSUPPORTED, "decoder.type", -1},
    {BPE(AB, ",\"decoder\":{\"type\":\"Sequence\"}"), XT_STATUS_INPUT, "decoder", -1},
    {BPE(AB, ",\"decoder\":7"), XT_STATUS_INPUT, "decoder", -1},
    {BPE(AB, ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
             "\"id\":\"x\"}}]}"),
     XT_STATUS_INPUT, "post_processor.special_tokens", -1},
    {BPE(AB, ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}"),
     XT_STATUS_UNSUPPORTED, "post_processor.single", -1},
};

static void named_places(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const NamedFile files[] = {{"tokenizer.json", cases[i].json, strlen(cases[i].json)}, {0}};
    char directory[40], path[80];
    xt_tokenizer *t = NULL;
    xt_error error = {0};
    files_write(directory, files);
    const xt_status status = xt_tokenizer_open(directory, &t, &error);
    files_remove(directory);
    snprintf(path, sizeof path, "%s/tokenizer.json", directory);
    if (status != cases[i].status || strcmp(error.file, path) != 0 ||
        strncmp(error.field, cases[i].field, strlen(cases[i].field)) != 0 ||
        (cases[i].offset >= 0 && error.offset != cases[i].offset)) {
      char line[1400];
      fail_msg("%s: status %d, %s", cases[i].json, (int)status,
               xt_error_format(&error, line, sizeof line));
    }
  }
}

static void wrong_model(void **state) {
  (void)state;
  ModelFile model;
  make_model(&model, 3); /* of words */
  const NamedFile unigram[] = {{"tokenizer.model", (const char *)model.data, model.size}, {0}};
  assert_int_equal(open_damaged(unigram), XT_STATUS_UNSUPPORTED);
  make_model(&model, 2);
  model_piece(&model, "the", 0, 1); /* twice */
  const NamedFile twice[] = {{"tokenizer.model", (const char *)model.data, model.size}, {0}};
  assert_int_equal(open_damaged(twice), XT_STATUS_INPUT);
  make_model(&model, 2);
  /* A length of 2^63 after a field of kind 2. */
  model_put(&model, "\x0A\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
  const NamedFile huge[] = {{"tokenizer.model", (const char *)model.data, model.size}, {0}};
  assert_int_equal(open_damaged(huge), XT_STATUS_INPUT);
  const NamedFile gemma[] = {
      {"tokenizer.model", (const char *)model.data, model.size},
      {"tokenizer_config.json", "{\"tokenizer_class\":\"GemmaTokenizer\"}", 36},
      {0}};
  assert_int_equal(open_damaged(gemma), XT_STATUS_UNSUPPORTED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(json_bytes),    cmocka_unit_test(json_pieces),
      cmocka_unit_test(sentencepiece), cmocka_unit_test(vocab_json),
      cmocka_unit_test(merges_txt),    cmocka_unit_test(small_files),
      cmocka_unit_test(named_places),  cmocka_unit_test(wrong_model),
  };
  return cmocka_run_group_tests_name("damaged tokenizers", tests, NULL, NULL);
}
