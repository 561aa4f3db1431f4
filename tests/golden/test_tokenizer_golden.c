/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and texts against what Hugging Face's fast tokenizers gave (tools/make_tokenizer_goldens.py), what
 * sentencepiece gave where the two agree (../shared/goldens), and llama.cpp's vectors. All must be equal. */
#include "support.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text/tokenizer_parts.h"

#define DATA XT_SOURCE_DIR "/tests/golden/data/tokenizer"
#define VOCABULARIES SHARED_DIR "/data/tokenizers"

/* The tokenizer_config.json of the directories the goldens were made from. */
#define SPECIAL(key, text)                                                                               \
  "\"" key "\":{\"__type\":\"AddedToken\",\"content\":\"" text "\",\"lstrip\":false,\"normalized\":true," \
  "\"rstrip\":false,\"single_word\":false}"
static const struct {
  const char *name, *config; /* config NULL: the vocabulary has its own */
} models[] = {
    {"llama-2", "{\"tokenizer_class\":\"LlamaTokenizer\"}"},
    {"mistral-v0.3", "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false,\"add_prefix_space\":true}"},
    {"chinese-alpaca-2", "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":true,\"add_bos_token\":true,"
                         "\"add_eos_token\":false," SPECIAL("bos_token", "<s>") "," SPECIAL("eos_token", "</s>") ","
                         SPECIAL("unk_token", "<unk>") "}"},
    {"qwen2", NULL}};

static const char *config_of(const char *name) {
  size_t m = 0;
  while (m < 4 && strcmp(models[m].name, name) != 0) m++;
  assert_true(m < 4);
  return models[m].config;
}

/* Opens one of the four, from a directory of links beside a tokenizer_config.json of our own (NULL: the
 * vocabulary's). */
static xt_tokenizer *open_model(const char *name, const char *config) {
  static const char *const files[] = {"tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json"};
  char directory[] = "/tmp/xt-golden-XXXXXX", from[600], to[600];
  xt_tokenizer *tokenizer = NULL;
  xt_error error;
  assert_non_null(mkdtemp(directory));
  for (int i = 0; i < 4; i++) {
    snprintf(from, sizeof from, "%s/%s/%s", VOCABULARIES, name, files[i]);
    snprintf(to, sizeof to, "%s/%s", directory, files[i]);
    if (i == 3 && config) {
      FILE *out = fopen(to, "wb");
      assert_non_null(out);
      fputs(config, out);
      fclose(out);
    } else if (access(from, R_OK) == 0) {
      assert_int_equal(symlink(from, to), 0);
    }
  }
  const xt_status status = xt_tokenizer_open(directory, &tokenizer, &error);
  for (int i = 0; i < 4; i++) {
    snprintf(to, sizeof to, "%s/%s", directory, files[i]);
    unlink(to);
  }
  rmdir(directory);
  ASSERT_OK(status);
  return tokenizer;
}

static void check_ids(const xt_tokenizer *t, const json_t *text, bool special, const json_t *want, size_t line) {
  xt_error error;
  int32_t *ids;
  size_t count;
  ASSERT_OK(xt_tokenizer_encode(t, json_string_value(text), json_string_length(text), special, &ids, &count, &error));
  bool same = count == json_array_size(want);
  for (size_t i = 0; same && i < count; i++) same = ids[i] == json_integer_value(json_array_get(want, i));
  if (!same) {
    for (size_t i = 0; i < count && i < 40; i++) print_message("%d ", ids[i]);
    fail_msg("line %zu: other ids for \"%.200s\"", line, json_string_value(text));
  }
  free(ids);
}

static void check_text(const xt_tokenizer *t, const json_t *list, bool skip, const json_t *want, size_t line) {
  xt_error error;
  const size_t count = json_array_size(list);
  int32_t *ids = calloc(count + 1, sizeof *ids);
  char *text;
  size_t length;
  assert_non_null(ids);
  for (size_t i = 0; i < count; i++) ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
  ASSERT_OK(xt_tokenizer_decode(t, ids, count, skip, &text, &length, &error));
  if (length != json_string_length(want) || memcmp(text, json_string_value(want), length) != 0)
    fail_msg("line %zu: \"%s\", expected \"%s\"", line, text, json_string_value(want));
  free(text);
  free(ids);
}

/* Every line of a JSONL file whose "tokenizer" is `name` (or that has none). Returns how many. */
static size_t check_file(const xt_tokenizer *t, const char *path, const char *name) {
  FILE *in = fopen(path, "rb");
  char *line = NULL;
  size_t capacity = 0, number = 0, checked = 0;
  assert_non_null(in);
  while (getline(&line, &capacity, in) > 0) {
    json_t *item = json_loads(line, JSON_ALLOW_NUL, NULL);
    const char *tokenizer = json_string_value(json_object_get(item, "tokenizer"));
    const json_t *text = json_object_get(item, "text"), *decoded = json_object_get(item, "decoded");
    const json_t *ids = json_object_get(item, "ids");
    number++;
    assert_non_null(item);
    if (!tokenizer || strcmp(tokenizer, name) == 0) {
      checked++;
      if (text) check_ids(t, text, json_is_true(json_object_get(item, "special")), ids, number);
      if (decoded) check_text(t, ids, !json_is_false(json_object_get(item, "skip")), decoded, number);
    }
    json_decref(item);
  }
  free(line);
  fclose(in);
  assert_true(checked > 0);
  return checked;
}

static void tiny(const char *name) {
  char path[600];
  xt_tokenizer *t;
  xt_error error;
  snprintf(path, sizeof path, "%s/%s", DATA, name);
  ASSERT_OK(xt_tokenizer_open(path, &t, &error));
  assert_string_equal(xt_tokenizer_source(t), "tokenizer.json");
  snprintf(path, sizeof path, "%s/%s.jsonl", DATA, name);
  check_file(t, path, name);
  xt_tokenizer_close(t);
}
static void tiny_bytes(void **state) { (void)state; tiny("tiny-bytes"); }
static void tiny_pieces(void **state) { (void)state; tiny("tiny-pieces"); }

static void shared(const char *name, const char *file) {
  char path[600];
  SKIP_WITHOUT_FILE(file);
  xt_tokenizer *t = open_model(name, config_of(name));
  check_file(t, DATA "/shared.jsonl", name);
  xt_tokenizer_close(t);
  snprintf(path, sizeof path, "%s/goldens/tokenizer/%s.jsonl", SHARED_DIR, name);
  if (access(path, R_OK) != 0) return;
  /* Made from the bare vocabulary: every text gets a space in front, also one that has one (legacy). */
  t = open_model(name, models[0].config);
  check_file(t, path, name);
  xt_tokenizer_close(t);
}
static void llama_2(void **state) { (void)state; shared("llama-2", VOCABULARIES "/llama-2/tokenizer.model"); }
static void mistral(void **state) { (void)state; shared("mistral-v0.3", VOCABULARIES "/mistral-v0.3/tokenizer.model"); }
static void chinese_alpaca_2(void **state) {
  (void)state;
  shared("chinese-alpaca-2", VOCABULARIES "/chinese-alpaca-2/tokenizer.model");
}
static void qwen2(void **state) { (void)state; shared("qwen2", VOCABULARIES "/qwen2/vocab.json"); }

static char *read_all(const char *path) {
  FILE *in = fopen(path, "rb");
  assert_non_null(in);
  char *text = calloc(1, 1 << 16);
  assert_non_null(text);
  const size_t size = fread(text, 1, (1 << 16) - 1, in);
  assert_true(size < (1 << 16) - 1);
  fclose(in);
  return text;
}

/* llama.cpp made its vectors without special tokens and without looking for them in the text
 * (parse_special = false); no text spells one, so the ids are ours without BOS. */
static void vectors(const char *model, const char *name) {
  static const char separator[] = "\n__ggml_vocab_test__\n";
  char path[600];
  snprintf(path, sizeof path, "%s/vectors/ggml-vocab-%s.inp", VOCABULARIES, name);
  SKIP_WITHOUT_FILE(path);
  char *texts = read_all(path), *text = texts;
  snprintf(path, sizeof path, "%s/vectors/ggml-vocab-%s.out", VOCABULARIES, name);
  char *lines = read_all(path), *line = lines;
  xt_tokenizer *t = open_model(model, config_of(model));
  xt_error error;
  size_t checked = 0;
  for (char *end; (end = strstr(text, separator)); text = end + sizeof separator - 1, checked++) {
    int32_t *ids;
    size_t count;
    char *rest = line + strcspn(line, "\n");
    ASSERT_OK(xt_tokenizer_encode(t, text, (size_t)(end - text), false, &ids, &count, &error));
    for (size_t i = 0; i < count; i++) {
      char *after;
      const long want = strtol(line, &after, 10);
      if (after == line || after > rest || want != ids[i])
        fail_msg("text %zu, id %zu: %d, expected %.*s", checked, i, ids[i], (int)(rest - line), line);
      line = after;
    }
    while (line < rest && *line == ' ') line++;
    if (line != rest) fail_msg("text %zu: ids missing: %.*s", checked, (int)(rest - line), line);
    line = rest + 1;
    free(ids);
  }
  assert_true(checked > 40);
  xt_tokenizer_close(t);
  free(texts);
  free(lines);
}
static void vectors_llama(void **state) { (void)state; vectors("llama-2", "llama-spm"); }
static void vectors_qwen2(void **state) { (void)state; vectors("qwen2", "qwen2"); }

/* ---- single components ---- */

static void check_normalizer(const json_t *spec, const json_t *in, const char *want) {
  Normalizer normalizer = {0};
  TextBuffer out = {0}, scratch = {0};
  xt_error error;
  ASSERT_OK(tokenizer_read_normalizer(&normalizer, spec, "golden", &error));
  ASSERT_OK(normalizer_apply(&normalizer, json_string_value(in), json_string_length(in), &out, &scratch, &error));
  assert_string_equal(out.data, want);
  text_buffer_free(&out);
  text_buffer_free(&scratch);
  normalizer_free(&normalizer);
}

static void check_pretokenizer(const json_t *spec, const json_t *in, const json_t *want) {
  const TokenizerConfig config = {0};
  PreTokenizer pre = {0};
  WordList out = {0}, scratch = {0};
  xt_error error;
  ASSERT_OK(tokenizer_read_pretokenizer(&pre, spec, &config, "golden", &error));
  ASSERT_OK(pretokenizer_apply(&pre, json_string_value(in), json_string_length(in), true, &out, &scratch, &error));
  assert_int_equal(out.count, json_array_size(want));
  for (size_t i = 0; i < out.count; i++) {
    const json_t *word = json_array_get(want, i);
    assert_int_equal(out.words[i].length, json_string_length(word));
    assert_memory_equal(out.text.data + out.words[i].start, json_string_value(word), out.words[i].length);
  }
  word_list_free(&out);
  word_list_free(&scratch);
  pretokenizer_free(&pre);
}

static void check_decoder(const json_t *spec, const json_t *in, const char *want) {
  Decoder decoder = {0};
  TokenTexts texts = {0}, scratch = {0};
  xt_error error;
  ASSERT_OK(tokenizer_read_decoder(&decoder, spec, "golden", &error));
  for (size_t i = 0; i < json_array_size(in); i++) {
    text_buffer_add_text(&texts.text, json_string_value(json_array_get(in, i)));
    ASSERT_OK(token_texts_end(&texts, &error));
  }
  ASSERT_OK(decoder_apply(&decoder, &texts, &scratch, &error));
  assert_string_equal(texts.text.data ? texts.text.data : "", want);
  token_texts_free(&texts);
  token_texts_free(&scratch);
  decoder_free(&decoder);
}

static void components(void **state) {
  (void)state;
  FILE *file = fopen(DATA "/components.jsonl", "rb");
  char *line = NULL;
  size_t capacity = 0, number = 0;
  assert_non_null(file);
  while (getline(&line, &capacity, file) > 0) {
    json_t *item = json_loads(line, 0, NULL);
    const json_t *spec = json_object_get(item, "spec"), *in = json_object_get(item, "in");
    const json_t *out = json_object_get(item, "out");
    const char *kind = json_string_value(json_object_get(item, "kind"));
    char *text = json_dumps(item, JSON_COMPACT);
    number++;
    assert_non_null(kind);
    print_message("# %s\n", text);
    if (strcmp(kind, "normalizer") == 0) check_normalizer(spec, in, json_string_value(out));
    else if (strcmp(kind, "pre_tokenizer") == 0) check_pretokenizer(spec, in, out);
    else check_decoder(spec, in, json_string_value(out));
    free(text);
    json_decref(item);
  }
  assert_true(number > 40);
  free(line);
  fclose(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(components),    cmocka_unit_test(tiny_bytes),       cmocka_unit_test(tiny_pieces),   cmocka_unit_test(llama_2),
      cmocka_unit_test(mistral),       cmocka_unit_test(chinese_alpaca_2), cmocka_unit_test(qwen2),
      cmocka_unit_test(vectors_llama), cmocka_unit_test(vectors_qwen2),
  };
  return cmocka_run_group_tests_name("tokenizer goldens", tests, NULL, NULL);
}
