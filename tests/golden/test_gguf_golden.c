/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files against transformers: one whose matrices have a quantised type each, and every
 * architecture that GGUF files hold, as files made of the models of tests/golden/models. */
#include "gguf_cases.h"
#include "gguf_support.h"
#include "backend/gpu/gpu.h"
#include "model/arch.h"

#define GOLDEN XT_SOURCE_DIR "/tests/golden/"

static void mixed(void **state) {
  (void)state;
  cases_check(GOLDEN "gguf/mixed.json", GOLDEN "gguf/mixed.gguf", NULL);
}

/* The plain loops, and those without vector instructions. */
static void mixed_other_kernels(void **state) {
  (void)state;
  cases_check(GOLDEN "gguf/mixed.json", GOLDEN "gguf/mixed.gguf",
              &(xt_model_options){.cpu_kernels = "reference"});
  cases_check(GOLDEN "gguf/mixed.json", GOLDEN "gguf/mixed.gguf",
              &(xt_model_options){.cpu_kernels = "portable"});
}

/* ---- models of tests/golden/models as GGUF files, as llama.cpp's converter writes them ------- */

/* Its name of the architecture; NULL: GGUF has no such. */
static const char *gguf_architecture(ModelFamily family) {
  static const char *const names[FAMILY_COUNT] = {
      [FAMILY_LLAMA] = "llama",     [FAMILY_MISTRAL] = "llama",      [FAMILY_QWEN2] = "qwen2",
      [FAMILY_MIXTRAL] = "llama",   [FAMILY_QWEN3_MOE] = "qwen3moe", [FAMILY_QWEN3] = "qwen3",
      [FAMILY_GEMMA2] = "gemma2",   [FAMILY_GEMMA3] = "gemma3",      [FAMILY_COHERE] = "command-r",
      [FAMILY_COHERE2] = "cohere2", [FAMILY_OLMO2] = "olmo2",        [FAMILY_OLMO3] = "olmo2",
      [FAMILY_SMOLLM3] = "smollm3", [FAMILY_GRANITE] = "granite",    [FAMILY_GLM4] = "glm4",
      [FAMILY_EXAONE4] = "exaone4", [FAMILY_PHI3] = "phi3"};
  return names[family];
}

/* What a file cannot say: windows of llama's and Qwen's, rules of Gemma's and SmolLM3's layers that
 * are not the usual, dynamic scaling, experts whose weights do not add up to 1. */
static bool can_be_said(const char *name) {
  static const char *const not [] = {"mistral-window", "qwen2-window",  "qwen3",
                                     "gemma2",         "gemma3",        "smollm3",
                                     "ministral",      "llama-dynamic", "qwen3-moe"};
  for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
    if (strcmp(name, not [i]) == 0) return false;
  return true;
}

static void put_values(GgufBytes *b, const ModelConfig *c) {
  const Rotary *rotary = &c->rotary[0];
  gguf_put_int(b, "block_count", c->layers);
  gguf_put_int(b, "context_length", c->max_positions);
  gguf_put_int(b, "embedding_length", c->width);
  gguf_put_int(b, "feed_forward_length", c->feed_forward);
  if (c->experts) {
    gguf_put_int(b, "expert_count", c->experts);
    gguf_put_int(b, "expert_used_count", c->experts_used);
    gguf_put_int(b, "expert_feed_forward_length", c->feed_forward);
  }
  gguf_put_int(b, "attention.head_count", c->heads);
  gguf_put_int(b, "attention.head_count_kv", c->kv_heads);
  gguf_put_int(b, "attention.key_length", c->head_dim);
  gguf_put_int(b, "attention.value_length", c->head_dim);
  gguf_put_int(b, "rope.dimension_count", c->rope_width);
  gguf_put_real(
      b, c->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
      c->norm_eps);
  gguf_put_real(b, "rope.freq_base", rotary->theta);
  if (c->sliding_window) {
    gguf_put_int(b, "attention.sliding_window", c->sliding_window);
    gguf_put_flags(b, "attention.sliding_window_pattern", c->kinds, c->layers);
  }
  if (c->score_cap > 0) gguf_put_real(b, "attn_logit_softcapping", (double)c->score_cap);
  if (c->logit_cap > 0) gguf_put_real(b, "final_logit_softcapping", (double)c->logit_cap);
  if (c->family == FAMILY_COHERE || c->family == FAMILY_COHERE2)
    gguf_put_real(b, "logit_scale", (double)c->logit_scale);
  if (c->family == FAMILY_GRANITE) {
    gguf_put_real(b, "logit_scale", 1 / (double)c->logit_scale);
    gguf_put_real(b, "embedding_scale", (double)c->embedding_scale);
    gguf_put_real(b, "residual_scale", (double)c->residual_scale);
    gguf_put_real(b, "attention.scale", (double)c->score_scale);
  }
  if (rotary->scaling == ROPE_SCALING_LINEAR || rotary->scaling == ROPE_SCALING_YARN) {
    gguf_put_text(b, "rope.scaling.type",
                  rotary->scaling == ROPE_SCALING_LINEAR ? "linear" : "yarn");
    gguf_put_real(b, "rope.scaling.factor", rotary->factor);
  }
  if (rotary->scaling == ROPE_SCALING_YARN) {
    gguf_put_int(b, "rope.scaling.original_context_length", rotary->original_positions);
    if (rotary->attention_factor > 0)
      gguf_put_real(b, "rope.scaling.attn_factor", rotary->attention_factor);
  }
  if (rotary->scaling == ROPE_SCALING_LONGROPE) {
    gguf_put_int(b, "rope.scaling.original_context_length", rotary->original_positions);
    gguf_put_real(b, "rope.scaling.attn_factor",
                  sqrt(1 + log(rotary->factor) / log((double)rotary->original_positions)));
  }
  if (c->bos >= 0) gguf_put_global(b, "tokenizer.ggml.bos_token_id", (uint32_t)c->bos);
  if (c->eos_count > 0) gguf_put_global(b, "tokenizer.ggml.eos_token_id", (uint32_t)c->eos[0]);
  if (c->eos_count > 1) gguf_put_global(b, "tokenizer.ggml.eot_token_id", (uint32_t)c->eos[1]);
  if (c->eos_count > 2) gguf_put_global(b, "tokenizer.ggml.eom_token_id", (uint32_t)c->eos[2]);
}

/* The tensor's values as the converter writes them: norms that stand for 1 + w with the 1, q and k
 * of llama's with rows in pairs. */
static float *converted(const ModelConfig *c, ArchRole role, const Tensor *t, size_t *count) {
  const bool turns = role == ARCH_Q || role == ARCH_K || role == ARCH_Q_BIAS || role == ARCH_K_BIAS;
  const bool paired = turns && (c->family == FAMILY_LLAMA || c->family == FAMILY_MISTRAL ||
                                c->family == FAMILY_GRANITE || c->family == FAMILY_MIXTRAL);
  const size_t cols = t->dims == 2 ? (size_t)t->shape[1] : 1, rows = (size_t)t->shape[0],
               head = (size_t)c->head_dim;
  *count = rows * cols;
  float *values = malloc(*count * sizeof *values), *out = malloc(*count * sizeof *out);
  assert_true(values && out);
  dtype_widen(t->dtype, t->data, *count, values);
  for (size_t r = 0; r < rows; r++) {
    const size_t k = r % head,
                 to = paired ? r - k + (k < head / 2 ? 2 * k : 2 * (k - head / 2) + 1) : r;
    memcpy(out + to * cols, values + r * cols, cols * sizeof *out);
  }
  for (size_t i = 0; c->norm_adds_one && arch_role_is_norm(role) && i < *count; i++) out[i] += 1.0f;
  free(values);
  return out;
}

/* Factors of the frequencies by which Llama 3 is scaled, as the converter computes them. */
static void put_factors(GgufBytes *b, const ModelConfig *c) {
  const Rotary *r = &c->rotary[0];
  float factors[ROPE_FACTORS_MAX];
  const int64_t pairs = c->rope_width / 2;
  if (r->scaling == ROPE_SCALING_LONGROPE) {
    gguf_add_tensor(b, "rope_factors_short.weight", 0, 1, &pairs, r->short_factor,
                    (size_t)pairs * sizeof *factors);
    gguf_add_tensor(b, "rope_factors_long.weight", 0, 1, &pairs, r->long_factor,
                    (size_t)pairs * sizeof *factors);
  }
  if (r->scaling != ROPE_SCALING_LLAMA3) return;
  for (int64_t i = 0; i < pairs; i++) {
    const double wave = 2 * 3.14159265358979323846 * pow(r->theta, (double)(2 * i) / c->rope_width),
                 length = r->original_positions;
    const double smooth = (length / wave - r->low_freq) / (r->high_freq - r->low_freq);
    const double mixed_factor = 1 / ((1 - smooth) / r->factor + smooth);
    factors[i] = (float)(wave < length / r->high_freq  ? 1
                         : wave > length / r->low_freq ? r->factor
                                                       : mixed_factor);
  }
  gguf_add_tensor(b, "rope_freqs.weight", 0, 1, &pairs, factors, (size_t)pairs * sizeof *factors);
}

/* The matrices of all experts as one tensor. */
static void put_experts(GgufBytes *b, const ModelConfig *c, const ModelConfig *named,
                        const Checkpoint *from, ArchRole role, int layer) {
  char name[ARCH_NAME_SIZE];
  float *all = NULL;
  int64_t shape[3] = {c->experts};
  size_t count = 0;
  for (int e = 0; e < c->experts; e++) {
    arch_expert_name(c, role, layer, e, name);
    const Tensor *t = checkpoint_find(from, name);
    assert_non_null(t);
    float *values = converted(c, role, t, &count);
    if (!all) all = malloc((size_t)c->experts * count * sizeof *all);
    assert_non_null(all);
    memcpy(all + (size_t)e * count, values, count * sizeof *all);
    memcpy(shape + 1, t->shape, 2 * sizeof *shape);
    free(values);
  }
  arch_tensor_name(named, role, layer, name);
  gguf_add_tensor(b, name, 0, 3, shape, all, (size_t)c->experts * count * sizeof *all);
  free(all);
}

static void put_tensors(GgufBytes *b, const ModelConfig *c, const Checkpoint *from) {
  ModelConfig named = *c;
  named.names = NAMES_GGUF;
  put_factors(b, c);
  for (int role = 0; role < ARCH_ROLE_COUNT; role++) {
    if (!arch_has(c, (ArchRole)role)) continue;
    for (int l = 0; l < (arch_role_in_layer((ArchRole)role) ? c->layers : 1); l++) {
      char name[ARCH_NAME_SIZE];
      size_t count;
      if (arch_of_expert(c, (ArchRole)role)) {
        put_experts(b, c, &named, from, (ArchRole)role, l);
        continue;
      }
      arch_tensor_name(c, (ArchRole)role, l, name);
      const Tensor *t = checkpoint_find(from, name);
      assert_non_null(t);
      float *values = converted(c, (ArchRole)role, t, &count);
      arch_tensor_name(&named, (ArchRole)role, l, name);
      gguf_add_tensor(b, name, 0, t->dims, t->shape, values, count * sizeof *values);
      free(values);
    }
  }
}

static void print_failure(void *user, const xt_verify_row *row) {
  (void)user;
  if (!row->pass)
    print_error("%s: largest difference %g, scale %g\n", row->name, row->largest, row->scale);
}

static void check_family(const char *name, const Folder *folder) {
  char from[512], path[512];
  ModelConfig config;
  Checkpoint *checkpoint;
  xt_model *model;
  xt_session *session;
  xt_error error;
  bool passed;
  snprintf(from, sizeof from, GOLDEN "models/%s", name);
  ASSERT_OK(model_config_load(from, &config, &error));
  const char *architecture = gguf_architecture(config.family);
  if (!architecture || !can_be_said(name)) return;
  ASSERT_OK(checkpoint_open(from, &checkpoint, &error));
  GgufBytes b = {.architecture = architecture};
  put_values(&b, &config);
  gguf_put_vocabulary(&b, config.vocab);
  put_tensors(&b, &config, checkpoint);
  gguf_save(&b, folder, "model.gguf");
  checkpoint_close(checkpoint);
  ASSERT_OK(
      xt_model_open(folder_file(folder, "model.gguf", path, sizeof path), NULL, &model, &error));
  xt_model_info info;
  xt_model_get_info(model, &info);
  assert_string_equal(info.architecture,
                      config.family == FAMILY_MISTRAL ? "LlamaForCausalLM" : config.architecture);
  ASSERT_OK(xt_session_create(model, &session, &error));
  ASSERT_OK(xt_session_verify(session, from, print_failure, NULL, &passed, &error));
  if (!passed) fail_msg("%s as a GGUF file does not agree", name);
  xt_session_free(session);
  xt_model_close(model);
}

static void architectures(void **state) {
  (void)state;
  const Folder folder = folder_make();
  DIR *list = opendir(GOLDEN "models");
  assert_non_null(list);
  for (const struct dirent *entry; (entry = readdir(list));)
    if (entry->d_name[0] != '.') check_family(entry->d_name, &folder);
  closedir(list);
  folder_remove(&folder);
}

/* What is said to be needed before loading is what is there after it: one byte less is refused. */
static void memory_on_a_gpu(void **state) {
  (void)state;
  GpuInfo found[GPU_DEVICES_MAX];
  char why[256];
  xt_model *model;
  xt_model_info info;
  xt_error error;
  if (gpu_devices(found, why) == 0) {
    print_message("# needs an OpenCL device: %s\n", why);
    skip();
  }
  xt_model_options options = {.threads = 1, .device = found[0].id};
  ASSERT_OK(xt_model_open(GOLDEN "gguf/mixed.gguf", &options, &model, &error));
  xt_model_get_info(model, &info);
  options.memory_limit = info.weight_bytes + xt_model_session_bytes(model, 1, 1, 1);
  xt_model_close(model);
  ASSERT_OK(xt_model_open(GOLDEN "gguf/mixed.gguf", &options, &model, &error));
  xt_model_close(model);
  options.memory_limit--;
  assert_int_equal(xt_model_open(GOLDEN "gguf/mixed.gguf", &options, &model, &error),
                   XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "to load and run one row"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(memory_on_a_gpu), cmocka_unit_test(mixed),
                                     cmocka_unit_test(mixed_other_kernels),
                                     cmocka_unit_test(architectures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
