/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and texts against what Hugging Face's fast tokenizers gave (tools/make_tokenizer_goldens.py),
 * with small vocabularies of our own in each form that real models come in. All must be equal. */
#include "support.h"

#include <jansson.h>

#include "text/tokenizer_parts.h"
#include "tokenizer_lines.h"

/* The vocabulary in the folder `name`, read from its file `source`; GGUF files are given by name. */
static void small(const char *name, const char *source) {
  const bool gguf = strcmp(source, "GGUF") == 0;
  char path[600];
  xt_tokenizer *t;
  xt_error error;
  snprintf(path, sizeof path, "%s/%s%s", TOKENIZER_GOLDENS, name, gguf ? "/vocabulary.gguf" : "");
  ASSERT_OK(xt_tokenizer_open(path, &t, &error));
  assert_string_equal(xt_tokenizer_source(t), source);
  snprintf(path, sizeof path, "%s/%s.jsonl", TOKENIZER_GOLDENS, name);
  check_file(t, path, name);
  xt_tokenizer_close(t);
}
static void tiny_bytes(void **state) {
  (void)state;
  small("tiny-bytes", "tokenizer.json");
}
static void tiny_pieces(void **state) {
  (void)state;
  small("tiny-pieces", "tokenizer.json");
}
static void llama2_model(void **state) {
  (void)state;
  small("llama2-model", "tokenizer.model");
}
static void llama2_json(void **state) {
  (void)state;
  small("llama2-json", "tokenizer.json");
}
static void mistral_model(void **state) {
  (void)state;
  small("mistral-model", "tokenizer.model");
}
static void mistral_json(void **state) {
  (void)state;
  small("mistral-json", "tokenizer.json");
}
static void extended_model(void **state) {
  (void)state;
  small("extended-model", "tokenizer.model");
}
static void qwen2_bpe(void **state) {
  (void)state;
  small("qwen2-bpe", "vocab.json");
}
static void qwen2_json(void **state) {
  (void)state;
  small("qwen2-json", "tokenizer.json");
}
static void own_json(void **state) {
  (void)state;
  small("own-json", "tokenizer.json");
}

static void unigram_gguf(void **state) {
  (void)state;
  small("unigram-mapped-gguf", "GGUF");
  small("unigram-bytes-gguf", "GGUF");
}

/* ---- single components ----------------------------------------------------------------------- */

static void check_normalizer(const json_t *spec, const json_t *in, const char *want) {
  Normalizer normalizer = {0};
  TextBuffer out = {0}, scratch = {0};
  xt_error error;
  ASSERT_OK(tokenizer_read_normalizer(&normalizer, spec, "golden", &error));
  ASSERT_OK(normalizer_apply(&normalizer, json_string_value(in), json_string_length(in), &out,
                             &scratch, &error));
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
  ASSERT_OK(pretokenizer_apply(&pre, json_string_value(in), json_string_length(in), true, &out,
                               &scratch, &error));
  assert_int_equal(out.count, json_array_size(want));
  for (size_t i = 0; i < out.count; i++) {
    const json_t *word = json_array_get(want, i);
    assert_int_equal(out.words[i].length, json_string_length(word));
    assert_memory_equal(out.text.data + out.words[i].start, json_string_value(word),
                        out.words[i].length);
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
  FILE *file = fopen(TOKENIZER_GOLDENS "/components.jsonl", "rb");
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
    if (strcmp(kind, "normalizer") == 0)
      check_normalizer(spec, in, json_string_value(out));
    else if (strcmp(kind, "pre_tokenizer") == 0)
      check_pretokenizer(spec, in, out);
    else
      check_decoder(spec, in, json_string_value(out));
    free(text);
    json_decref(item);
  }
  assert_true(number > 40);
  free(line);
  fclose(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(components),   cmocka_unit_test(tiny_bytes),
      cmocka_unit_test(tiny_pieces),  cmocka_unit_test(llama2_model),
      cmocka_unit_test(llama2_json),  cmocka_unit_test(mistral_model),
      cmocka_unit_test(mistral_json), cmocka_unit_test(extended_model),
      cmocka_unit_test(qwen2_bpe),    cmocka_unit_test(qwen2_json),
      cmocka_unit_test(own_json),     cmocka_unit_test(unigram_gguf),
  };
  return cmocka_run_group_tests_name("tokenizer goldens", tests, NULL, NULL);
}
