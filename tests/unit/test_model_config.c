/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "files/model_config.h"
#include "files_support.h"

#define SIZES                                                                                      \
  "\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":8," \
  "\"vocab_size\":320"
#define KV_HEADS "\"num_key_value_heads\":4,"
#define LLAMA "\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"," SIZES
#define MISTRAL "\"architectures\":[\"MistralForCausalLM\"],\"model_type\":\"mistral\"," SIZES
#define QWEN2 "\"architectures\":[\"Qwen2ForCausalLM\"],\"model_type\":\"qwen2\"," KV_HEADS SIZES

static xt_status load(const char *config, const char *generation, ModelConfig *out,
                      xt_error *error) {
  const Folder folder = folder_make();
  if (config) folder_text(&folder, "config.json", config);
  if (generation) folder_text(&folder, "generation_config.json", generation);
  const xt_status status = model_config_load(folder.path, out, error);
  folder_remove(&folder);
  return status;
}

static ModelConfig good(const char *config, const char *generation) {
  ModelConfig out;
  xt_error error;
  ASSERT_OK(load(config, generation, &out, &error));
  return out;
}

static void defaults_are_those_of_transformers(void **state) {
  (void)state;
  ModelConfig c = good("{" LLAMA "}", NULL);
  assert_string_equal(c.architecture, "LlamaForCausalLM");
  assert_int_equal(c.kv_heads, 8);
  assert_int_equal(c.head_dim, 8);
  assert_int_equal(c.max_positions, 2048);
  assert_true(c.rotary[0].theta == 10000 && c.norm_eps == 1e-6 && c.repetition_penalty == 1);
  assert_int_equal(c.rotary[0].scaling, ROPE_SCALING_NONE);
  assert_false(c.tied_embeddings || c.qkv_bias || c.out_bias || c.mlp_bias);
  assert_int_equal(c.sliding_window, 0);
  assert_int_equal(c.bos, 1);
  assert_int_equal(c.eos_count, 1);
  assert_int_equal(c.eos[0], 2);
  assert_int_equal(c.activation, ACTIVATION_SILU);
  assert_string_equal(c.dtype, "");
  c = good("{" MISTRAL "}", NULL);
  assert_int_equal(c.kv_heads, 8);
  assert_int_equal(c.max_positions, 131072);
  assert_int_equal(c.sliding_window, 4096);
  c = good("{" QWEN2 "}", NULL);
  assert_int_equal(c.kv_heads, 4);
  assert_int_equal(c.max_positions, 32768);
  assert_int_equal(c.sliding_window, 0);
  assert_int_equal(c.bos, -1);
  assert_int_equal(c.eos_count, 0);
  c = good("{\"model_type\":\"mistral\",\"num_key_value_heads\":null,\"head_dim\":32,\"sliding_"
           "window\":null," SIZES "}",
           NULL);
  assert_string_equal(c.architecture, "MistralForCausalLM"); /* from model_type */
  assert_int_equal(c.kv_heads, 8);
  assert_int_equal(c.head_dim, 32);
  assert_int_equal(c.sliding_window, 0);
}

static void rope_in_all_its_spellings(void **state) {
  (void)state;
#define LLAMA3                                                                               \
  "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,\"original_max_position_" \
  "embeddings\":8192"
  ModelConfig c = good(
      "{" LLAMA ",\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\"," LLAMA3 "}}",
      NULL);
  assert_int_equal(c.rotary[0].scaling, ROPE_SCALING_LLAMA3);
  assert_true(c.rotary[0].theta == 500000 && c.rotary[0].factor == 8 && c.rotary[0].low_freq == 1 &&
              c.rotary[0].high_freq == 4);
  assert_int_equal(c.rotary[0].original_positions, 8192);
  c = good("{" LLAMA ",\"rope_parameters\":{\"rope_theta\":500000,\"rope_type\":\"llama3\"," LLAMA3
           "}}",
           NULL);
  assert_true(c.rotary[0].theta == 500000 && c.rotary[0].scaling == ROPE_SCALING_LLAMA3);
  c = good("{" LLAMA ",\"rope_parameters\":{\"rope_theta\":1000000.0,\"rope_type\":\"default\"}}",
           NULL);
  assert_true(c.rotary[0].theta == 1000000 && c.rotary[0].scaling == ROPE_SCALING_NONE);
  c = good("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}", NULL);
  assert_true(c.rotary[0].scaling == ROPE_SCALING_LINEAR && c.rotary[0].factor == 2);
  c = good("{" LLAMA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0}}", NULL);
  assert_true(c.rotary[0].scaling == ROPE_SCALING_DYNAMIC && c.rotary[0].factor == 4 &&
              c.unbounded && c.rotary[0].original_positions == 2048);
  c = good("{" QWEN2 ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4.0,\"original_max_position_"
           "embeddings\":32768}}",
           NULL);
  assert_true(c.rotary[0].scaling == ROPE_SCALING_YARN && c.rotary[0].beta_fast == 32 &&
              c.rotary[0].beta_slow == 1);
  assert_true(c.rotary[0].attention_factor == 0 && c.rotary[0].original_positions == 32768);
  assert_true(!c.unbounded);
  c = good("{\"model_type\":\"phi3\",\"max_position_embeddings\":8192,\"rope_scaling\":{\"type\":"
           "\"su\",\"short_factor\":[1,1,1,1],\"long_factor\":[1,2,3,4]}," SIZES "}",
           NULL);
  assert_true(c.rotary[0].scaling == ROPE_SCALING_LONGROPE &&
              c.rotary[0].original_positions == 4096 && c.rotary[0].factor == 2 && c.begins_anew);
  assert_true(c.rotary[0].long_factor[3] == 4 && c.rotary[0].short_factor[3] == 1);
  c = good("{" LLAMA ",\"rope_scaling\":null}", NULL);
  assert_int_equal(c.rotary[0].scaling, ROPE_SCALING_NONE);
}

static void windows(void **state) {
  (void)state;
  ModelConfig c =
      good("{" QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":16,\"max_window_layers\":3}",
           NULL);
  assert_int_equal(c.sliding_window, 16);
  assert_true(!c.kinds[0].sliding && !c.kinds[2].sliding && c.kinds[3].sliding);
  c = good("{" QWEN2 ",\"use_sliding_window\":false,\"sliding_window\":16,\"max_window_layers\":3}",
           NULL);
  assert_int_equal(c.sliding_window, 0);
  c = good("{" QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":16,\"max_window_layers\":4}",
           NULL);
  assert_int_equal(c.sliding_window, 0); /* no layer is left to slide */
  c = good("{" QWEN2
           ",\"use_sliding_window\":true,\"sliding_window\":16,\"layer_types\":[\"full_attention\","
           "\"sliding_attention\",\"sliding_attention\",\"sliding_attention\"]}",
           NULL);
  assert_int_equal(c.sliding_window, 16);
  assert_true(!c.kinds[0].sliding && c.kinds[1].sliding && c.kinds[3].sliding);
  c = good("{" QWEN2
           ",\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\",\"full_attention\","
           "\"sliding_attention\",\"full_attention\"]}",
           NULL);
  assert_true(c.kinds[0].sliding && !c.kinds[1].sliding && c.kinds[2].sliding &&
              !c.kinds[3].sliding);
  c = good("{" MISTRAL ",\"sliding_window\":7}", NULL);
  assert_int_equal(c.sliding_window, 7);
  assert_true(c.kinds[0].sliding && c.kinds[3].sliding);
}

static void families_differ_by_data(void **state) {
  (void)state;
  ModelConfig c = good("{\"model_type\":\"qwen3\",\"num_key_value_heads\":4," SIZES "}", NULL);
  assert_int_equal(c.family, FAMILY_QWEN3);
  assert_int_equal(c.head_dim, 128);
  assert_true(c.qk_norm == QK_NORM_HEAD && c.pre_norm && !c.post_norm && !c.qkv_bias);
  c = good("{\"model_type\":\"gemma2\",\"head_dim\":16," SIZES "}", NULL);
  assert_true(c.pre_norm && c.post_norm && c.norm_adds_one && c.tied_embeddings &&
              c.activation == ACTIVATION_GELU_TANH);
  assert_true(c.score_cap == 50 && c.logit_cap == 30 && c.score_scale == 0.0625f &&
              c.embedding_scale == 8);
  assert_true(c.kinds[0].sliding && !c.kinds[1].sliding && c.kinds[2].sliding &&
              !c.kinds[3].sliding);
  c = good("{\"model_type\":\"gemma3_text\",\"rope_local_base_freq\":5000.0,\"rope_scaling\":{"
           "\"rope_type\":\"linear\",\"factor\":8.0}," SIZES "}",
           NULL);
  assert_true(c.rotary[0].theta == 1000000 && c.rotary[0].scaling == ROPE_SCALING_LINEAR &&
              c.rotary[0].factor == 8);
  assert_true(c.rotary[1].theta == 5000 && c.rotary[1].scaling == ROPE_SCALING_NONE);
  assert_true(c.kinds[0].rotary == 1 && c.kinds[3].rotary == 1 && c.score_cap == 0);
  c = good("{\"model_type\":\"gemma3_text\",\"rope_parameters\":{\"full_attention\":{\"rope_type\":"
           "\"linear\",\"factor\":4.0,\"rope_theta\":900},"
           "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":700}}," SIZES "}",
           NULL);
  assert_true(c.rotary[0].theta == 900 && c.rotary[0].factor == 4 && c.rotary[1].theta == 700);
  c = good("{\"model_type\":\"cohere\",\"use_qk_norm\":true," SIZES "}", NULL);
  assert_true(c.parallel && c.norm == NORM_LAYER && c.rope_style == ROPE_PAIRS &&
              c.qk_norm == QK_NORM_OWN_HEAD && c.logit_scale == 0.0625f);
  c = good("{\"model_type\":\"cohere2\"," SIZES "}", NULL);
  assert_true(c.kinds[0].rotary == 0 && c.kinds[3].rotary == -1 && !c.kinds[3].sliding);
  c = good("{\"model_type\":\"olmo2\"," SIZES "}", NULL);
  assert_true(!c.pre_norm && c.post_norm && c.qk_norm == QK_NORM_WHOLE && c.norm_eps == 1e-5);
  c = good("{\"model_type\":\"smollm3\",\"no_rope_layers\":[1,0,1,1]," SIZES "}", NULL);
  assert_true(c.kinds[0].rotary == 0 && c.kinds[1].rotary == -1 && c.kinds[3].rotary == 0 &&
              c.kv_heads == 4);
  c = good("{\"model_type\":\"granite\",\"embedding_multiplier\":12,\"residual_multiplier\":0.25,"
           "\"attention_multiplier\":0.5,\"logits_scaling\":4," SIZES "}",
           NULL);
  assert_true(c.embedding_scale == 12 && c.residual_scale == 0.25f && c.score_scale == 0.5f &&
              c.logit_scale == 0.25f);
  c = good("{\"model_type\":\"glm4\",\"head_dim\":16,\"num_key_value_heads\":2," SIZES "}", NULL);
  assert_true(c.rope_width == 8 && c.fused_gate_up && !c.fused_qkv && c.qkv_bias && !c.out_bias);
  c = good("{\"model_type\":\"exaone4\",\"num_key_value_heads\":8,\"sliding_window\":null," SIZES
           "}",
           NULL);
  assert_true(c.kinds[3].rotary == 0 && !c.kinds[0].sliding);
  c = good("{\"model_type\":\"phi3\"," SIZES "}", NULL);
  assert_true(c.fused_qkv && c.fused_gate_up && c.sliding_window == 0);
}

#define MIXTURE "{\"model_type\":\"qwen3_moe\",\"moe_intermediate_size\":24," SIZES
static void mixtures_of_experts(void **state) {
  (void)state;
  ModelConfig c = good("{\"model_type\":\"mixtral\",\"num_local_experts\":6," SIZES "}", NULL);
  assert_true(c.experts == 6 && c.experts_used == 2 && c.expert_shares && !c.sliding_window);
  c = good(MIXTURE "}", NULL);
  assert_true(c.experts == 128 && c.experts_used == 8 && !c.expert_shares && c.feed_forward == 24);
  c = good(MIXTURE ",\"num_experts\":8,\"norm_topk_prob\":true,\"use_sliding_window\":true}", NULL);
  assert_true(c.experts == 8 && c.expert_shares && c.kinds[0].sliding);
}

static void families_with_keys_of_their_own(void **state) {
  (void)state;
  ModelConfig c = good("{\"model_type\":\"bloom\",\"n_embed\":48,\"n_layer\":3,\"n_head\":6,\"num_"
                       "attention_heads\":8,\"vocab_size\":320,"
                       /* the class's own names go before the usual ones */
                       "\"layer_norm_epsilon\":0.001,\"seq_length\":77}",
                       NULL);
  assert_true(c.layers == 3 && c.width == 48 && c.heads == 6 && c.feed_forward == 192 &&
              c.norm_eps == 0.001 && c.max_positions == 77);
  assert_true(c.unbounded && c.alibi && c.embed_norm && c.tied_embeddings && c.norm_bias &&
              c.no_gate && c.qkv_bias && c.out_bias && c.mlp_bias);
  assert_true(c.kinds[0].rotary == -1 && c.activation == ACTIVATION_GELU_TANH && c.qkv_by_head);
  c = good("{\"model_type\":\"bloom\"," SIZES "}", NULL);
  assert_true(c.layers == 4 && c.heads == 8 && c.width == 64);
  c = good("{\"model_type\":\"xglm\",\"d_model\":48,\"ffn_dim\":100,\"num_layers\":2,\"attention_"
           "heads\":4,\"vocab_size\":320}",
           NULL);
  assert_true(c.sinusoids && c.feed_forward == 100 && c.embedding_scale == sqrtf(48) &&
              c.activation == ACTIVATION_GELU && c.kinds[1].rotary == -1);
  c = good("{\"model_type\":\"gpt_neox\",\"rotary_emb_base\":500,\"rotary_pct\":0.5," SIZES "}",
           NULL);
  assert_true(c.parallel && !c.shared_norm && c.rope_width == 4 && c.rotary[0].theta == 500 &&
              c.qkv_bias && c.mlp_bias && c.fused_qkv);
  c = good(
      "{\"model_type\":\"gpt_neox\",\"use_parallel_residual\":false,\"attention_bias\":false," SIZES
      "}",
      NULL);
  assert_true(!c.parallel && c.mlp_bias && !c.qkv_bias && !c.out_bias && c.rope_width == 2);
  c = good("{\"model_type\":\"hunyuan_v1_dense\",\"head_dim\":16,\"rope_scaling\":{\"type\":"
           "\"dynamic\",\"alpha\":50.0}," SIZES "}",
           NULL);
  assert_true(c.qk_norm_late && c.rotary[0].scaling == ROPE_SCALING_NONE &&
              fabs(c.rotary[0].theta - 10000 * pow(50, 16.0 / 14)) < 1e-6);
  c = good("{\"model_type\":\"ministral3\",\"head_dim\":16,\"rope_parameters\":{\"rope_type\":"
           "\"default\",\"llama_4_scaling_beta\":0.25,"
           "\"original_max_position_embeddings\":8}," SIZES "}",
           NULL);
  assert_true(c.queries_apart && c.rotary[1].query_beta == 0.25 &&
              c.rotary[1].original_positions == 8 && c.rotary[0].query_beta == 0);
  c = good("{\"model_type\":\"apertus\",\"rope_theta\":900.0,\"rope_scaling\":{\"rope_type\":"
           "\"default\"}," SIZES "}",
           NULL);
  assert_true(c.activation == ACTIVATION_XIELU && c.no_gate && c.qk_norm == QK_NORM_HEAD);
}

static void tokens_and_penalty(void **state) {
  (void)state;
  ModelConfig c =
      good("{" LLAMA ",\"eos_token_id\":5,\"bos_token_id\":null}",
           "{\"eos_token_id\":[7,9],"
           "\"repetition_penalty\":1.05,\"temperature\":0.7,\"top_k\":20,\"do_sample\":true}");
  assert_int_equal(c.eos_count, 2);
  assert_int_equal(c.eos[0], 7);
  assert_int_equal(c.eos[1], 9);
  assert_int_equal(c.bos, -1);
  assert_true(c.repetition_penalty == 1.05);
  c = good("{" LLAMA ",\"eos_token_id\":[5,6,7]}", "{\"temperature\":1}");
  assert_int_equal(c.eos_count, 3);
  c = good("{" LLAMA ",\"eos_token_id\":[5,6,7]}", "{\"eos_token_id\":3}");
  assert_int_equal(c.eos_count, 1); /* the list is replaced, not overlaid */
  c = good("{" LLAMA ",\"torch_dtype\":\"float16\"}", NULL);
  assert_string_equal(c.dtype, "float16");
  c = good("{" LLAMA ",\"torch_dtype\":\"float16\",\"dtype\":\"bfloat16\"}", NULL);
  assert_string_equal(c.dtype, "bfloat16");
}

/* Lists of token ids, as rules; which ids do not count. */
static void rules_of_generation(void **state) {
  (void)state;
  const ModelConfig c = good(
      "{" LLAMA "}",
      "{\"eos_token_id\":[5,6],\"bad_words_ids\":[[6],[5,6],[7]],\"suppress_tokens\":[9,-1,320,3],"
      "\"begin_suppress_tokens\":[4],\"min_length\":7,\"no_repeat_ngram_size\":3,\"forced_eos_"
      "token_id\":2}");
  const GenerationRules *r = &c.rules;
  static const int32_t words[] = {2, 5, 6, 1, 7}, never[] = {3, 9};
  assert_true(r->any && r->no_repeat_ngram == 3 && r->min_length == 7 && r->min_new_tokens == 0 &&
              r->forced_bos == -1);
  assert_int_equal(r->bad_words.count, 5);
  assert_memory_equal(r->ids + r->bad_words.start, words, sizeof words);
  assert_int_equal(r->suppressed.count, 2);
  assert_memory_equal(r->ids + r->suppressed.start, never, sizeof never);
  assert_true(r->begin_suppressed.count == 1 && r->ids[r->begin_suppressed.start] == 4);
  assert_true(r->forced_eos.count == 1 && r->ids[r->forced_eos.start] == 2);
  assert_true(good("{" LLAMA "}", "{\"min_length\":7,\"min_new_tokens\":0}").rules.any == false);
  assert_true(good("{" LLAMA ",\"min_length\":7}", NULL).rules.min_length == 7);
  assert_false(good("{" LLAMA "}", NULL).rules.any);
  char many[40000] = "{\"suppress_tokens\":[1";
  for (int i = 0; i < GENERATION_IDS_MAX; i++) strcat(many, ",1");
  strcat(many, "]}");
  ModelConfig refused;
  xt_error error;
  assert_int_equal(load("{" LLAMA "}", many, &refused, &error), XT_STATUS_UNSUPPORTED);
  assert_non_null(strstr(error.message, "4096"));
}

/* What transformers takes the settings of a file without generation_config.json from, and what
 * changes nothing. */
static void settings_of_generation(void **state) {
  (void)state;
  ModelConfig c = good("{" LLAMA ",\"repetition_penalty\":1.5}", NULL);
  assert_true(c.repetition_penalty == 1.5);
  c = good("{" LLAMA ",\"repetition_penalty\":1.5}", " \n");
  assert_true(c.repetition_penalty == 1.5);
  c = good("{" LLAMA ",\"repetition_penalty\":1.5,\"num_beams\":4}", "{}");
  assert_true(c.repetition_penalty == 1);
  c = good("{" LLAMA "}", "{\"num_beams\":1,\"min_length\":0,\"bad_words_ids\":null,\"suppress_"
                          "tokens\":[],\"forced_eos_token_id\":null,"
                          "\"guidance_scale\":1.0,\"temperature\":0.3,\"top_k\":5,\"max_length\":4,"
                          "\"length_penalty\":2.0,\"use_cache\":true}");
  assert_true(c.repetition_penalty == 1);
}

static void json_as_python_reads_it(void **state) {
  (void)state;
  const ModelConfig c = good("{" LLAMA ",\"time_step_limit\":[0.0,Infinity,-Infinity],\"x\":NaN,"
                             "\"y\":\"a \\\"NaN\",\"rope_theta\":7,\"rope_theta\":500}",
                             NULL);
  assert_true(c.rotary[0].theta == 500); /* the last of two */
}

static void both_spellings_of_rope(void **state) {
  (void)state;
  const ModelConfig c =
      good("{" LLAMA ",\"rope_theta\":900.0,\"rope_scaling\":{\"rope_type\":\"llama3\"," LLAMA3 "},"
           "\"rope_parameters\":{\"rope_theta\":900,\"rope_type\":\"llama3\"," LLAMA3 "}}",
           NULL);
  assert_true(c.rotary[0].scaling == ROPE_SCALING_LLAMA3 && c.rotary[0].theta == 900);
}

typedef struct Bad {
  const char *config, *generation;
  xt_status status;
  const char *field, *text;
} Bad;

#define INPUT XT_STATUS_INPUT
#define UNSUPPORTED XT_STATUS_UNSUPPORTED
static const Bad contradictions[] = {
    {"[]", NULL, INPUT, "", "an array"},
    {"{", NULL, INPUT, "", "not valid JSON"},
    {"{}", NULL, INPUT, "architectures", "LlamaForCausalLM"},
    {"{\"architectures\":[]}", NULL, INPUT, "architectures", "list of names"},
    {"{\"architectures\":[\"GPT2LMHeadModel\"]}", NULL, UNSUPPORTED, "architectures",
     "Qwen2ForCausalLM"},
    {"{\"model_type\":\"gemma\"}", NULL, UNSUPPORTED, "model_type", "LlamaForCausalLM, Mistral"},
    {"{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"qwen2\"," SIZES "}", NULL, INPUT,
     "model_type", "\"llama\""},
    {"{\"model_type\":\"llama\"}", NULL, INPUT, "num_hidden_layers", "missing"},
    {"{\"model_type\":\"llama\",\"num_hidden_layers\":2}", NULL, INPUT, "hidden_size", "missing"},
    {MIXTURE ",\"num_experts\":4}", NULL, INPUT, "num_experts_per_tok", "8 of 4"},
    {MIXTURE ",\"mlp_only_layers\":[1]}", NULL, UNSUPPORTED, "mlp_only_layers", "not handled"},
    {MIXTURE ",\"decoder_sparse_step\":2}", NULL, UNSUPPORTED, "decoder_sparse_step", "not"},
    {"{\"model_type\":\"llama\",\"num_hidden_layers\":0}", NULL, INPUT, "num_hidden_layers",
     "1 to"},
    {"{\"model_type\":\"llama\",\"num_hidden_layers\":-2}", NULL, INPUT, "num_hidden_layers",
     "is -2"},
    {"{\"model_type\":\"llama\",\"num_hidden_layers\":2000000000}", NULL, INPUT,
     "num_hidden_layers", "1024"},
    {"{\"model_type\":\"llama\",\"num_hidden_layers\":2.0}", NULL, INPUT, "num_hidden_layers",
     "an integer"},
    {"{\"model_type\":\"llama\",\"num_hidden_layers\":\"2\"}", NULL, INPUT, "num_hidden_layers",
     "a string"},
    {"{" LLAMA ",\"num_key_value_heads\":3}", NULL, INPUT, "num_key_value_heads",
     "does not divide"},
    {"{\"model_type\":\"qwen2\"," SIZES "}", NULL, INPUT, "num_key_value_heads", "(the default)"},
    {"{\"model_type\":\"llama\",\"hidden_size\":65,\"intermediate_size\":8,\"num_hidden_layers\":"
     "1,"
     "\"num_attention_heads\":8,\"vocab_size\":9}",
     NULL, INPUT, "hidden_size", "not a multiple"},
    {"{" LLAMA ",\"head_dim\":7}", NULL, INPUT, "head_dim", "odd"},
    {"{" LLAMA ",\"rms_norm_eps\":-1}", NULL, INPUT, "rms_norm_eps", "expected 0 to 1"},
    {"{" LLAMA ",\"tie_word_embeddings\":1}", NULL, INPUT, "tie_word_embeddings", "true or false"},
    {"{" LLAMA ",\"hidden_act\":\"relu\"}", NULL, UNSUPPORTED, "hidden_act", "silu"},
    {"{" LLAMA ",\"hidden_act\":\"xielu\"}", NULL, UNSUPPORTED, "hidden_act", "silu"},
    {"{\"model_type\":\"apertus\"," SIZES "}", NULL, INPUT, "rope_parameters", "missing"},
    {"{\"model_type\":\"bloom\",\"apply_residual_connection_post_layernorm\":true," SIZES "}", NULL,
     UNSUPPORTED, "apply_residual_connection_post_layernorm", "not handled"},
    {"{\"model_type\":\"xglm\",\"ffn_dim\":8,\"add_cross_attention\":true," SIZES "}", NULL,
     UNSUPPORTED, "add_cross_attention", "not handled"},
    {"{" LLAMA ",\"quantization_config\":{\"quant_method\":\"hqq\"}}", NULL, UNSUPPORTED,
     "quantization_config", "hqq"},
    {"{" LLAMA ",\"rope_theta\":0}", NULL, INPUT, "rope_theta", "expected 1"},
    {"{" LLAMA ",\"rope_scaling\":3}", NULL, INPUT, "rope_scaling", "an object"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2},\"rope_parameters\":{"
     "\"type\":\"linear\",\"factor\":3}}",
     NULL, INPUT, "rope_scaling", "otherwise than"},
    {"{" LLAMA ",\"rope_theta\":Infinity}", NULL, INPUT, "rope_theta", "a string"},
    {"{" LLAMA ",\"x\":Infinit}", NULL, INPUT, "", "not valid JSON"},
    {"{" LLAMA ",\"sliding_window\":16}", NULL, UNSUPPORTED, "sliding_window", "no window"},
    {"{" MISTRAL ",\"sliding_window\":16,\"layer_types\":[\"sliding_attention\",\"full_"
     "attention\",\"sliding_attention\",\"full_attention\"]}",
     NULL, UNSUPPORTED, "layer_types", "layer 1"},
    {"{" LLAMA "}", "{\"no_repeat_ngram_size\":-2}", INPUT, "no_repeat_ngram_size", "is -2"},
    {"{" LLAMA "}", "{\"bad_words_ids\":[3]}", INPUT, "bad_words_ids", "entry 0 is no list"},
    {"{" LLAMA "}", "{\"bad_words_ids\":[[3],[]]}", INPUT, "bad_words_ids", "entry 1 is no list"},
    {"{" LLAMA "}", "{\"bad_words_ids\":[[3,320]]}", INPUT, "bad_words_ids",
     "token id 320 is outside the vocabulary of 320"},
    {"{" LLAMA "}", "{\"bad_words_ids\":{\"3\":1}}", INPUT, "bad_words_ids", "an object"},
    {"{" LLAMA "}", "{\"suppress_tokens\":3}", INPUT, "suppress_tokens",
     "an integer, expected a list"},
    {"{" LLAMA "}", "{\"begin_suppress_tokens\":[\"3\"]}", INPUT, "begin_suppress_tokens",
     "a string"},
    {"{" LLAMA "}", "{\"min_new_tokens\":1.5}", INPUT, "min_new_tokens", "a number"},
    {"{" LLAMA "}", "{\"min_length\":[3]}", INPUT, "min_length", "an array"},
    {"{" LLAMA "}", "{\"forced_eos_token_id\":[2,-1]}", INPUT, "forced_eos_token_id",
     "-1 is outside"},
    {"{" LLAMA "}", "{\"forced_eos_token_id\":[2,4],\"suppress_tokens\":[4,9,2]}", INPUT,
     "forced_eos_token_id", "suppress_tokens"},
    {"{" LLAMA "}", "{\"forced_bos_token_id\":4,\"suppress_tokens\":[4]}", INPUT,
     "forced_bos_token_id", "suppress_tokens"},
    {"{" LLAMA "}", "{\"forced_bos_token_id\":320}", INPUT, "forced_bos_token_id", "outside"},
    {"{" LLAMA "}", "{\"num_beams\":3}", UNSUPPORTED, "num_beams", "greedy"},
    {"{" LLAMA "}", "{\"sequence_bias\":[[[3],-5.0]]}", UNSUPPORTED, "sequence_bias", "greedy"},
    {"{" LLAMA "}", "{\"guidance_scale\":1.5}", UNSUPPORTED, "guidance_scale", "greedy"},
    {"{" LLAMA "}", "{\"watermarking_config\":{\"bias\":2}}", UNSUPPORTED, "watermarking_config",
     "greedy"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", NULL, INPUT, "factor", "missing"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}", NULL, INPUT, "factor",
     "expected 1"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"rope_type\":\"yarn\",\"factor\":2}}", NULL,
     INPUT, "rope_type", "linear"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"factor\":2}}", NULL, INPUT,
     "short_factor", "a list of 4 numbers"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,1],\"long_"
     "factor\":[1,1,0,1]}}",
     NULL, INPUT, "long_factor", "number 2"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"su\"}}", NULL, UNSUPPORTED, "rope_type", "longrope"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2}}", NULL, INPUT,
     "low_freq_factor", "missing"},
    {"{" LLAMA ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2,\"low_freq_factor\":4,\"high_"
     "freq_factor\":4}}",
     NULL, INPUT, "high_freq_factor", "not above"},
    {"{" LLAMA ",\"partial_rotary_factor\":0.5}", NULL, UNSUPPORTED, "partial_rotary_factor",
     "0.5"},
    {"{" MISTRAL ",\"sliding_window\":0}", NULL, INPUT, "sliding_window", "expected 1"},
    {"{" QWEN2 ",\"layer_types\":[\"full_attention\"]}", NULL, INPUT, "layer_types", "4 layers"},
    {"{" QWEN2
     ",\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\",\"chunked_attention\","
     "\"sliding_attention\",\"full_attention\"]}",
     NULL, UNSUPPORTED, "layer_types", "layer 1"},
    {"{" QWEN2 ",\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\","
     "\"sliding_attention\"]}",
     NULL, INPUT, "layer_types", "no sliding window"},
    {"{\"model_type\":\"smollm3\",\"no_rope_layers\":[1]," SIZES "}", NULL, INPUT, "no_rope_layers",
     "4 layers"},
    {"{\"model_type\":\"gemma2\",\"attn_logit_softcapping\":-3," SIZES "}", NULL, INPUT,
     "attn_logit_softcapping", "is -3"},
    {"{\"model_type\":\"glm4\",\"num_key_value_heads\":2,\"head_dim\":6," SIZES "}", NULL, INPUT,
     "partial_rotary_factor", "need pairs"},
    {"{\"model_type\":\"llama\",\"rope_parameters\":{\"full_attention\":{}}," SIZES "}", NULL,
     UNSUPPORTED, "rope_parameters", "by layer type"},
    {"{" LLAMA ",\"eos_token_id\":320}", NULL, INPUT, "eos_token_id",
     "outside the vocabulary of 320"},
    {"{" LLAMA ",\"eos_token_id\":[]}", NULL, INPUT, "eos_token_id", "empty"},
    {"{" LLAMA ",\"eos_token_id\":[1,\"2\"]}", NULL, INPUT, "eos_token_id", "a string"},
    {"{" LLAMA ",\"eos_token_id\":[1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8]}", NULL, UNSUPPORTED,
     "eos_token_id", "17"},
    {"{" LLAMA ",\"bos_token_id\":-2}", NULL, INPUT, "bos_token_id", "-2"},
    {"{" LLAMA "}", "{\"eos_token_id\":-1}", INPUT, "eos_token_id", "-1"},
    {"{" LLAMA "}", "{\"repetition_penalty\":0}", INPUT, "repetition_penalty", "is 0"},
    {"{" LLAMA "}", "{\"repetition_penalty\":\"x\"}", INPUT, "repetition_penalty", "a string"},
    {"{" LLAMA "}", "3", INPUT, "", "an integer"},
    {NULL, NULL, XT_STATUS_IO, "", "cannot open"},
};

static void contradictions_are_refused_by_name(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof contradictions / sizeof *contradictions; i++) {
    ModelConfig out = {.layers = 77};
    xt_error error = {0};
    const xt_status status =
        load(contradictions[i].config, contradictions[i].generation, &out, &error);
    if (status != contradictions[i].status || strcmp(error.field, contradictions[i].field) != 0 ||
        !strstr(error.message, contradictions[i].text))
      fail_msg("%s: status %d, field \"%s\", \"%s\"", contradictions[i].config, status, error.field,
               error.message);
    assert_non_null(
        strstr(error.file, contradictions[i].generation && contradictions[i].generation[0]
                               ? "generation_config.json"
                               : "config.json"));
    assert_int_equal(out.layers, 77); /* left alone */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_are_those_of_transformers),
      cmocka_unit_test(rope_in_all_its_spellings),
      cmocka_unit_test(windows),
      cmocka_unit_test(families_differ_by_data),
      cmocka_unit_test(families_with_keys_of_their_own),
      cmocka_unit_test(mixtures_of_experts),
      cmocka_unit_test(tokens_and_penalty),
      cmocka_unit_test(settings_of_generation),
      cmocka_unit_test(rules_of_generation),
      cmocka_unit_test(json_as_python_reads_it),
      cmocka_unit_test(both_spellings_of_rope),
      cmocka_unit_test(contradictions_are_refused_by_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
