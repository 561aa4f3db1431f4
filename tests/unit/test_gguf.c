/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files: their tokenizers, and models that are refused. */
#include "gguf_support.h"
#include "xtransplant/xt.h"

static void ids_of(const xt_tokenizer *t, const char *text, const int32_t *want, size_t n) {
  int32_t *ids;
  size_t count;
  xt_error error;
  ASSERT_OK(xt_tokenizer_encode(t, text, strlen(text), true, &ids, &count, &error));
  for (size_t i = 0; i < count && i < n; i++)
    if (ids[i] != want[i])
      fail_msg("\"%s\": id %zu is %d, expected %d", text, i, (int)ids[i], (int)want[i]);
  assert_int_equal(count, n);
  free(ids);
}
#define IDS(t, text, ...)                         \
  ids_of(t, text, (const int32_t[]){__VA_ARGS__}, \
         sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static xt_tokenizer *open_vocabulary(const Folder *folder, GgufBytes *b) {
  char path[200];
  xt_tokenizer *t;
  xt_error error;
  gguf_save(b, folder, "v.gguf");
  ASSERT_OK(xt_tokenizer_open(folder_file(folder, "v.gguf", path, sizeof path), &t, &error));
  assert_string_equal(xt_tokenizer_source(t), "GGUF");
  return t;
}

static void put_numbers(GgufBytes *b, const char *key, GgufType type, const int32_t *values,
                        size_t count) {
  gguf_put_key(b, key, true, GGUF_ARRAY);
  gguf_number(&b->keys, type, 4);
  gguf_number(&b->keys, count, 8);
  for (size_t i = 0; i < count; i++) {
    const float real = (float)values[i];
    uint32_t bits = (uint32_t)values[i];
    if (type == GGUF_F32) memcpy(&bits, &real, sizeof bits);
    gguf_number(&b->keys, bits, 4);
  }
}

#define MARK "\xE2\x96\x81"

/* Scores rank merges; digits' bytes stand in for what there is no token of; Gemma takes the order
 * of the tokens, and no space. */
static void sentencepiece_tokenizers(void **state) {
  (void)state;
  static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x31>", "a",      "b",
                                       "c",     MARK,  "ab",   "bc",     MARK "a", "<turn>"};
  static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 1, 4},
                       scores[] = {0, 0, 0, 0, -20, -21, -22, -23, -2, -1, -3, 0};
  const Folder folder = folder_make();
  for (int gemma = 0; gemma < 2; gemma++) {
    GgufBytes b = {.architecture = gemma ? "gemma3" : "llama"};
    gguf_put_global_text(&b, "tokenizer.ggml.model", "llama");
    gguf_put_texts(&b, "tokenizer.ggml.tokens", tokens, 12);
    put_numbers(&b, "tokenizer.ggml.scores", GGUF_F32, scores, 12);
    put_numbers(&b, "tokenizer.ggml.token_type", GGUF_I32, types, 12);
    gguf_put_global(&b, "tokenizer.ggml.bos_token_id", 1);
    gguf_put_global(&b, "tokenizer.ggml.eos_token_id", 2);
    gguf_put_global(&b, "tokenizer.ggml.unknown_token_id", 0);
    xt_tokenizer *t = open_vocabulary(&folder, &b);
    if (gemma)
      IDS(t, "abc a", 1, 8, 6, 10); /* "ab" comes before "bc" in the file */
    else
      IDS(t, "abc a", 1, 10, 9, 10); /* "bc" scores above "ab", and a mark is put in front */
    if (gemma)
      IDS(t, "1</s><turn>b", 1, 3, 2, 11, 5);
    else
      IDS(t, "1</s><turn>b", 1, 7, 3, 2, 11, 5);
    xt_tokenizer_close(t);
  }
  folder_remove(&folder);
}

/* `pre` says how words are cut: each digit by itself, up to three together, or all. */
static void byte_level_tokenizers(void **state) {
  (void)state;
  static const char *const tokens[] = {"1",
                                       "2",
                                       "12",
                                       "121",
                                       "\xC4\xA0",
                                       ("\xC4\xA0"
                                        "1"),
                                       "<end>",
                                       "1212"},
                           *const merges[] = {"1 2", "12 1", "\xC4\xA0 1", "12 12"};
  static const int32_t types[] = {1, 1, 1, 1, 1, 1, 3, 1};
  static const struct {
    const char *pre;
    size_t count;
    int32_t ids[8];
  } cases[] = {{"gpt-2", 3, {7, 6, 5}},
               {"smollm", 7, {0, 1, 0, 1, 6, 4, 0}},
               {"qwen2", 7, {0, 1, 0, 1, 6, 4, 0}},
               {"llama-bpe", 6, {6, 3, 1, 6, 4, 0}}};
  const Folder folder = folder_make();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    GgufBytes b = {.architecture = "llama"};
    gguf_put_global_text(&b, "tokenizer.ggml.model", "gpt2");
    gguf_put_global_text(&b, "tokenizer.ggml.pre", cases[i].pre);
    gguf_put_texts(&b, "tokenizer.ggml.tokens", tokens, 8);
    gguf_put_texts(&b, "tokenizer.ggml.merges", merges, 4);
    put_numbers(&b, "tokenizer.ggml.token_type", GGUF_I32, types, 8);
    gguf_put_global(&b, "tokenizer.ggml.bos_token_id", 6);
    xt_tokenizer *t = open_vocabulary(&folder, &b);
    ids_of(t, "1212<end> 1", cases[i].ids, cases[i].count);
    xt_tokenizer_close(t);
  }
  folder_remove(&folder);
}

static void refused_tokenizer(const Folder *folder, GgufBytes *b, const char *message) {
  char path[200];
  xt_tokenizer *t;
  xt_error error;
  gguf_save(b, folder, "v.gguf");
  const xt_status status =
      xt_tokenizer_open(folder_file(folder, "v.gguf", path, sizeof path), &t, &error);
  if (!status || !strstr(error.message, message))
    fail_msg("expected \"%s\", got \"%s\"", message, status ? error.message : "success");
}

static void refused_tokenizers(void **state) {
  (void)state;
  static const char *const tokens[] = {"a", "b"}, *const merges[] = {"a b"};
  const Folder folder = folder_make();
  GgufBytes none = {.architecture = "llama"};
  refused_tokenizer(&folder, &none, "has no tokenizer");
  for (int i = 0; i < 5; i++) {
    static const char *const messages[] = {"\"rwkv\" is not handled", "\"unheard-of\" is not known",
                                           "not two tokens that make a third",
                                           "has not one for each of the 2 tokens",
                                           "is 9, but there are 2 tokens"};
    GgufBytes b = {.architecture = "llama"};
    gguf_put_global_text(&b, "tokenizer.ggml.model", i == 0 ? "rwkv" : "gpt2");
    if (i == 1) gguf_put_global_text(&b, "tokenizer.ggml.pre", "unheard-of");
    gguf_put_texts(&b, "tokenizer.ggml.tokens", tokens, 2);
    gguf_put_texts(&b, "tokenizer.ggml.merges", merges, i == 2 ? 1 : 0);
    if (i == 3) put_numbers(&b, "tokenizer.ggml.token_type", GGUF_I32, (const int32_t[]){1}, 1);
    if (i == 4) gguf_put_global(&b, "tokenizer.ggml.bos_token_id", 9);
    refused_tokenizer(&folder, &b, messages[i]);
  }
  for (int i = 0; i < 4; i++) { /* Unigram: no scores, a table that is none, one that breaks off */
    static const char *const messages[] = {"is missing", "is no array of bytes",
                                           "is not a compiled table", "is not a compiled table"};
    GgufBytes b = {.architecture = "llama"};
    gguf_put_global_text(&b, "tokenizer.ggml.model", "t5");
    gguf_put_texts(&b, "tokenizer.ggml.tokens", tokens, 2);
    if (i) put_numbers(&b, "tokenizer.ggml.scores", GGUF_F32, (const int32_t[]){-1, -2}, 2);
    if (i == 1) gguf_put_global(&b, "tokenizer.ggml.precompiled_charsmap", 4);
    if (i > 1) {
      gguf_put_key(&b, "tokenizer.ggml.precompiled_charsmap", true, GGUF_ARRAY);
      gguf_number(&b.keys, i == 2 ? GGUF_U8 : GGUF_I8, 4);
      gguf_number(&b.keys, 6, 8);
      gguf_number(&b.keys, i == 2 ? 8 : 3, 4); /* the bytes of a trie; two follow */
      gguf_number(&b.keys, 0, 2);
    }
    refused_tokenizer(&folder, &b, messages[i]);
  }
  folder_remove(&folder);
}

/* A model's errors name the file's own keys. */
static void refused_models(void **state) {
  (void)state;
  const Folder folder = folder_make();
  char path[200];
  xt_error error;
  ModelConfig config;
  static const float row[8] = {0};
  static const char *const fields[] = {"general.architecture", "llama.embedding_length",
                                       "token_embd.weight"};
  for (int i = 0; i < 3; i++) {
    GgufBytes b = {.architecture = i == 0 ? "bert" : "llama"};
    gguf_put_int(&b, "block_count", 1);
    if (i > 1) gguf_put_int(&b, "embedding_length", 8);
    if (i > 1) gguf_put_int(&b, "feed_forward_length", 8);
    if (i > 1) gguf_put_int(&b, "attention.head_count", 2);
    gguf_add_tensor(&b, "x", 0, 1, (const int64_t[]){8}, row, sizeof row);
    gguf_save(&b, &folder, "m.gguf");
    assert_int_not_equal(
        model_config_load(folder_file(&folder, "m.gguf", path, sizeof path), &config, &error),
        XT_STATUS_OK);
    assert_string_equal(error.field, fields[i]);
  }
  folder_remove(&folder);
}

/* Longrope's tensors: both, of Phi-3, with the length from which the second counts. */
static void longrope(void **state) {
  (void)state;
  static const float small[2] = {1, 1.5f}, large[3] = {1, 6}, zero[2] = {1, 0}, embedding[64] = {0};
  static const int64_t pairs = 2, three = 3;
  static const char *const messages[] = {NULL,
                                         "Phi-3's files alone",
                                         "is missing",
                                         "value 1 is no factor",
                                         "expected 2 values",
                                         "Phi-3's files alone"};
  const Folder folder = folder_make();
  for (int i = 0; i < 6; i++) {
    char path[200];
    xt_error error;
    ModelConfig c;
    GgufBytes b = {.architecture = i == 5 ? "llama" : "phi3"};
    gguf_put_int(&b, "block_count", 1);
    gguf_put_int(&b, "context_length", 64);
    gguf_put_int(&b, "embedding_length", 8);
    gguf_put_int(&b, "feed_forward_length", 8);
    gguf_put_int(&b, "attention.head_count", 2);
    gguf_put_real(&b, "attention.layer_norm_rms_epsilon", 1e-5);
    if (i != 2) gguf_put_int(&b, "rope.scaling.original_context_length", 16);
    gguf_put_real(&b, "rope.scaling.attn_factor", 1.25);
    gguf_add_tensor(&b, "token_embd.weight", 0, 2, (const int64_t[]){8, 8}, embedding,
                    sizeof embedding);
    gguf_add_tensor(&b, "rope_factors_short.weight", 0, 1, &pairs, small, sizeof small);
    if (i != 1)
      gguf_add_tensor(&b, "rope_factors_long.weight", 0, 1, i == 4 ? &three : &pairs,
                      i == 3 ? zero : large, i == 4 ? 12 : 8);
    gguf_save(&b, &folder, "m.gguf");
    const xt_status status =
        model_config_load(folder_file(&folder, "m.gguf", path, sizeof path), &c, &error);
    if (messages[i] && (!status || !strstr(error.message, messages[i])))
      fail_msg("%d: expected \"%s\", got \"%s\"", i, messages[i], status ? error.message : "");
    if (messages[i]) continue;
    if (status) fail_msg("%s: %s", error.field, error.message);
    const Rotary *r = &c.rotary[0];
    assert_true(r->scaling == ROPE_SCALING_LONGROPE && r->original_positions == 16 &&
                c.begins_anew);
    assert_true(r->short_factor[1] == 1.5f && r->long_factor[1] == 6 &&
                r->attention_factor == 1.25);
  }
  folder_remove(&folder);
}

/* What the file says, and what only llama.cpp's code does: Gemma's norms hold the 1 already, its
 * scores scale by the head but in the models of 27 billion; a window and its pattern; the ids that
 * end a text. */
static void gemmas_description(void **state) {
  (void)state;
  const Folder folder = folder_make();
  char path[200];
  xt_error error;
  static float embed[64 * 32];
  for (int layers = 2; layers <= 62; layers += 60) {
    GgufBytes b = {.architecture = "gemma3"};
    ModelConfig c;
    gguf_put_int(&b, "block_count", layers);
    gguf_put_int(&b, "embedding_length", 32);
    gguf_put_int(&b, "feed_forward_length", 64);
    gguf_put_int(&b, "attention.head_count", 2);
    gguf_put_int(&b, "attention.head_count_kv", 1);
    gguf_put_int(&b, "attention.key_length", 64);
    gguf_put_int(&b, "attention.sliding_window", 512);
    gguf_put_real(&b, "rope.freq_base", 1e6);
    gguf_put_global(&b, "tokenizer.ggml.bos_token_id", 2);
    gguf_put_global(&b, "tokenizer.ggml.eos_token_id", 1);
    gguf_put_global(&b, "tokenizer.ggml.eot_token_id", 6);
    gguf_add_tensor(&b, "token_embd.weight", 0, 2, (const int64_t[]){64, 32}, embed, sizeof embed);
    gguf_save(&b, &folder, "m.gguf");
    ASSERT_OK(model_config_load(folder_file(&folder, "m.gguf", path, sizeof path), &c, &error));
    assert_string_equal(c.architecture, "Gemma3ForCausalLM");
    assert_false(c.norm_adds_one);
    assert_false(c.rows_in_pairs);
    assert_true(c.tied_embeddings);
    assert_int_equal(c.vocab, 64);
    assert_int_equal(c.head_dim, 64);
    assert_int_equal(c.sliding_window, 512);
    assert_true(c.rotary[0].theta == 1e6 && c.rotary[1].theta == 1e4);
    assert_true(c.kinds[0].sliding && (layers < 6 || !c.kinds[5].sliding));
    assert_float_equal(c.score_scale, layers == 62 ? 0.25f : 0.125f, 1e-7);
    assert_int_equal(c.bos, 2);
    assert_int_equal(c.eos_count, 2);
    assert_true(c.eos[0] == 1 && c.eos[1] == 6);
  }
  folder_remove(&folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sentencepiece_tokenizers), cmocka_unit_test(byte_level_tokenizers),
      cmocka_unit_test(refused_tokenizers),       cmocka_unit_test(longrope),
      cmocka_unit_test(refused_models),           cmocka_unit_test(gemmas_description)};
  return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
