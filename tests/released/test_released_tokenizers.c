/* SPDX-License-Identifier: Apache-2.0 */
/* Real models' vocabularies: ids and texts against what Hugging Face's fast tokenizers gave
 * (tools/make_tokenizer_goldens.py), what sentencepiece gave where the two agree, and llama.cpp's
 * vectors. All must be equal. */
#include "released.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tokenizer_lines.h"

/* The tokenizer_config.json of the directories the goldens were made from. */
#define SPECIAL(key, text)                                     \
  "\"" key "\":{\"__type\":\"AddedToken\",\"content\":\"" text \
  "\",\"lstrip\":false,\"normalized\":true,"                   \
  "\"rstrip\":false,\"single_word\":false}"
static const struct {
  const char *name, *config; /* config NULL: the vocabulary has its own */
} models[] = {
    {"llama-2", "{\"tokenizer_class\":\"LlamaTokenizer\"}"},
    {"mistral-v0.3",
     "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false,\"add_prefix_space\":true}"},
    {"chinese-alpaca-2",
     "{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":true,\"add_bos_token\":true,"
     "\"add_eos_token\":false," SPECIAL("bos_token", "<s>") "," SPECIAL(
         "eos_token", "</s>") "," SPECIAL("unk_token", "<unk>") "}"},
    {"qwen2", NULL}};

static const char *config_of(const char *name) {
  size_t m = 0;
  while (m < 4 && strcmp(models[m].name, name) != 0) m++;
  assert_true(m < 4);
  return models[m].config;
}

/* Opens one of the four, from a directory of links beside a tokenizer_config.json of our own (NULL:
 * the vocabulary's). */
static xt_tokenizer *open_model(const char *name, const char *config) {
  static const char *const files[] = {"tokenizer.model", "vocab.json", "merges.txt",
                                      "tokenizer_config.json"};
  char directory[] = "/tmp/xt-golden-XXXXXX", from[1200], to[600];
  /* a relative path would lead the links astray */
  char *vocabularies = realpath(released_path("data/tokenizers"), NULL);
  xt_tokenizer *tokenizer = NULL;
  xt_error error;
  assert_non_null(vocabularies);
  assert_non_null(mkdtemp(directory));
  for (int i = 0; i < 4; i++) {
    snprintf(from, sizeof from, "%s/%s/%s", vocabularies, name, files[i]);
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
  free(vocabularies);
  ASSERT_OK(status);
  return tokenizer;
}

static void released(const char *name, const char *file) {
  char path[600];
  NEEDS_RELEASED(file);
  xt_tokenizer *t = open_model(name, config_of(name));
  check_file(t, TOKENIZER_GOLDENS "/released.jsonl", name);
  xt_tokenizer_close(t);
  snprintf(path, sizeof path, "%s/%s.jsonl", released_path("goldens/tokenizer"), name);
  if (access(path, R_OK) != 0) return;
  /* Made from the bare vocabulary: every text gets a space in front, also one that has one
   * (legacy). */
  t = open_model(name, models[0].config);
  check_file(t, path, name);
  xt_tokenizer_close(t);
}
static void llama_2(void **state) {
  (void)state;
  released("llama-2", "data/tokenizers/llama-2/tokenizer.model");
}
static void mistral(void **state) {
  (void)state;
  released("mistral-v0.3", "data/tokenizers/mistral-v0.3/tokenizer.model");
}
static void chinese_alpaca_2(void **state) {
  (void)state;
  released("chinese-alpaca-2", "data/tokenizers/chinese-alpaca-2/tokenizer.model");
}
static void qwen2(void **state) {
  (void)state;
  released("qwen2", "data/tokenizers/qwen2/vocab.json");
}

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
  snprintf(path, sizeof path, "data/tokenizers/vectors/ggml-vocab-%s.inp", name);
  NEEDS_RELEASED(path);
  char *texts = read_all(released_path(path)), *text = texts;
  snprintf(path, sizeof path, "data/tokenizers/vectors/ggml-vocab-%s.out", name);
  char *lines = read_all(released_path(path)), *line = lines;
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
        fail_msg("text %zu, id %zu: %d, expected %.*s", checked, i, ids[i], (int)(rest - line),
                 line);
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
static void vectors_llama(void **state) {
  (void)state;
  vectors("llama-2", "llama-spm");
}
static void vectors_qwen2(void **state) {
  (void)state;
  vectors("qwen2", "qwen2");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(llama_2),          cmocka_unit_test(mistral),
      cmocka_unit_test(chinese_alpaca_2), cmocka_unit_test(qwen2),
      cmocka_unit_test(vectors_llama),    cmocka_unit_test(vectors_qwen2),
  };
  return cmocka_run_group_tests_name("released vocabularies", tests, NULL, NULL);
}
