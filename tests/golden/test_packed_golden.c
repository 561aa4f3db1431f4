/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised matrices of safetensors files (tools/make_packed_goldens.py): every byte of what they
 * stand for is that of the code that packed them, models run on them as transformers does, and
 * damaged ones are refused by name. */
#include <jansson.h>

#include "backend/gpu/gpu.h"
#include "base/hash.h"
#include "files/model_config.h"
#include "files_support.h"
#include "xtransplant/xt.h"

#define GOLDEN XT_SOURCE_DIR "/tests/golden/packed/"

#define NONE DTYPE_COUNT

/* Each with the type of the blocks that its matrices stay in. */
static const struct {
  const char *name;
  Dtype blocks;
} models[] = {{"gptq4-order", NONE},
              {"gptq4-v2", DTYPE_G4_F16},
              {"gptq3", DTYPE_G4_F16},
              {"gptq2", NONE},
              {"gptq8", DTYPE_G8_F16},
              {"awq", NONE},
              {"awq-32", DTYPE_G4_F16},
              {"fp8-blocks", NONE},
              {"fp8", DTYPE_F8_F32},
              {"compressed-words", NONE},
              {"compressed-words-32", DTYPE_G4_BF16},
              {"compressed-int8", NONE},
              {"compressed-int8-bf16", DTYPE_G8_BF16},
              {"compressed-fp8", DTYPE_F8_BF16}};
#define MODELS (sizeof models / sizeof *models)

static const char *golden_path(const char *name, const char *file, char path[300]) {
  snprintf(path, 300, GOLDEN "%s%s%s", name, file ? "/" : "", file ? file : "");
  return path;
}

static json_t *read_reference(const char *name) {
  char path[300];
  json_error_t error;
  json_t *root = json_load_file(golden_path(name, "reference.json", path), 0, &error);
  assert_non_null(root);
  return root;
}

/* In uneven pieces of rows. */
static void expand(const Tensor *t, uint8_t *to) {
  const int rows = (int)t->shape[0], cols = (int)t->shape[1];
  for (int first = 0, count = 3; first < rows; first += count, count = 29) {
    if (count > rows - first) count = rows - first;
    packed_expand(t->packed, t->dtype, first, count,
                  to + dtype_bytes(t->dtype, (size_t)first * (size_t)cols));
  }
}

/* Blocks, if the matrix can have them, stand for the same values. */
static void check_blocks(const char *folder, const Tensor *t, const uint8_t *bytes) {
  const Dtype type = t->packed->block_type;
  const size_t cols = (size_t)t->shape[1], rows = (size_t)t->shape[0];
  if (type == DTYPE_COUNT) return;
  const size_t stride = dtype_bytes(type, cols);
  uint8_t *blocks = malloc(rows * stride);
  float *got = malloc(cols * sizeof *got), *want = malloc(cols * sizeof *want);
  assert_true(blocks && got && want);
  packed_blocks(t->packed, type, 0, 5, blocks);
  packed_blocks(t->packed, type, 5, (int)rows - 5, blocks + 5 * stride);
  for (size_t r = 0; r < rows; r++) {
    dtype_widen(type, blocks + r * stride, cols, got);
    dtype_widen(t->dtype, bytes + dtype_bytes(t->dtype, r * cols), cols, want);
    if (memcmp(got, want, cols * sizeof *got) != 0)
      fail_msg("%s: %s: row %zu has other values in blocks", folder, t->name, r);
  }
  free(blocks);
  free(got);
  free(want);
}

static void check_tensor(const char *folder, const Tensor *t, const char *wanted) {
  uint8_t *bytes = malloc(t->bytes), digest[HASH_BYTES];
  char text[HASH_TEXT_SIZE];
  Hash hash;
  assert_non_null(bytes);
  expand(t, bytes);
  hash_init(&hash);
  hash_raw(&hash, bytes, t->bytes);
  hash_finish(&hash, digest);
  hash_hex(digest, HASH_BYTES, text);
  if (strcmp(text, wanted) != 0) fail_msg("%s: %s has other values", folder, t->name);
  check_blocks(folder, t, bytes);
  free(bytes);
}

static void test_values(void **state) {
  (void)state;
  static const struct {
    const char *name;
    Dtype dtype;
  } types[] = {{"float16", DTYPE_F16}, {"bfloat16", DTYPE_BF16}, {"float32", DTYPE_F32}};
  for (size_t i = 0; i < MODELS; i++) {
    json_t *root = read_reference(models[i].name), *wanted;
    const char *type = json_string_value(json_object_get(root, "dtype")), *tensor;
    char path[300];
    xt_error error;
    ModelConfig config;
    Checkpoint *checkpoint;
    Dtype dtype = DTYPE_COUNT;
    for (int k = 0; k < 3; k++)
      if (strcmp(types[k].name, type) == 0) dtype = types[k].dtype;
    ASSERT_OK(model_config_load(golden_path(models[i].name, NULL, path), &config, &error));
    ASSERT_OK(checkpoint_open(path, &checkpoint, &error));
    const size_t stored = checkpoint_count(checkpoint);
    ASSERT_OK(checkpoint_unpack(checkpoint, &config.packing, &error));
    assert_int_equal(checkpoint_count(checkpoint), stored);
    assert_int_equal(json_object_size(json_object_get(root, "sha256")), 7);
    json_object_foreach(json_object_get(root, "sha256"), tensor, wanted) {
      const Tensor *t = checkpoint_find(checkpoint, tensor);
      assert_true(t && t->packed && t->dtype == dtype);
      assert_int_equal(t->packed->block_type, models[i].blocks);
      check_tensor(models[i].name, t, json_string_value(wanted));
    }
    assert_null(checkpoint_find(checkpoint, "model.norm.weight")->packed);
    checkpoint_close(checkpoint);
    json_decref(root);
  }
}

/* The tokens of the reference; matrices stay in their blocks. */
static void check_tokens(size_t which, const xt_model_options *options) {
  json_t *root = read_reference(models[which].name);
  const json_t *prompt = json_object_get(root, "prompt"), *ids = json_object_get(root, "ids");
  int32_t tokens[16];
  char path[300];
  const xt_generate_options how = {.max_new_tokens = (int)json_array_size(ids)};
  const xt_request request = {.ids = tokens, .count = json_array_size(prompt)};
  for (size_t k = 0; k < request.count; k++)
    tokens[k] = (int32_t)json_integer_value(json_array_get(prompt, k));
  xt_error error;
  xt_model *model;
  xt_session *session;
  xt_generation out;
  xt_model_info info;
  ASSERT_OK(xt_model_open(golden_path(models[which].name, NULL, path), options, &model, &error));
  ASSERT_OK(xt_session_create(model, &session, &error));
  ASSERT_OK(xt_session_generate(session, &request, 1, &how, &out, &error));
  assert_int_equal(out.count, json_array_size(ids));
  for (size_t k = 0; k < out.count; k++)
    assert_int_equal(out.ids[k], json_integer_value(json_array_get(ids, k)));
  xt_model_get_info(model, &info);
  assert_true(info.quantisation[0] != 0);
  if (!options->cpu_kernels && models[which].blocks != NONE) {
    /* 8192 values in matrices; the rest is float32, a device's copy of the embedding among it */
    const double values = 8192, rest = (double)info.weight_bytes -
                                       (double)dtype_bytes(models[which].blocks, (size_t)values);
    assert_true(rest >= 0 && rest < (options->device ? 17000 : 9000));
  }
  xt_generation_deinit(&out);
  xt_session_free(session);
  xt_model_close(model);
  json_decref(root);
}

/* On two threads, on one, and with the plain loops. */
static void test_tokens(void **state) {
  (void)state;
  for (size_t i = 0; i < MODELS; i++) {
    check_tokens(i, &(xt_model_options){.threads = 2});
    check_tokens(i, &(xt_model_options){.threads = 1});
    check_tokens(i, &(xt_model_options){.threads = 1, .cpu_kernels = "reference"});
  }
}

static uint64_t weight_bytes(xt_status (*open)(const char *, const xt_model_options *, xt_model **,
                                               xt_error *),
                             const char *path, xt_compute compute) {
  xt_model *model;
  xt_model_info info;
  xt_error error;
  ASSERT_OK(open(path, &(xt_model_options){.compute = compute}, &model, &error));
  xt_model_get_info(model, &info);
  xt_model_close(model);
  return info.weight_bytes;
}

/* What `inspect` says, and what is refused before loading where memory is short, is what the loaded
 * weights take, whether they stay packed or are rounded. */
static void test_memory_is_foreseen(void **state) {
  (void)state;
  for (size_t i = 0; i < MODELS; i++)
    for (int compute = XT_COMPUTE_F32; compute <= XT_COMPUTE_BF16; compute++) {
      char path[300];
      golden_path(models[i].name, NULL, path);
      const uint64_t foreseen = weight_bytes(xt_model_inspect, path, (xt_compute)compute),
                     loaded = weight_bytes(xt_model_open, path, (xt_compute)compute);
      assert_in_range(loaded, compute == XT_COMPUTE_F32 ? foreseen : 0, foreseen + 300);
    }
}

static void test_tokens_on_a_gpu(void **state) {
  (void)state;
  GpuInfo found[GPU_DEVICES_MAX];
  char why[256];
  if (gpu_devices(found, why) == 0) {
    print_message("# needs an OpenCL device: %s\n", why);
    skip();
  }
  for (size_t i = 0; i < MODELS; i++)
    check_tokens(i, &(xt_model_options){.threads = 1, .device = found[0].id});
}

/* All E4M3 numbers: those of the standard, by their bits. */
static void test_fp8(void **state) {
  (void)state;
  for (int bits = 0; bits < 256; bits++) {
    const float value = dtype_from_fp8((uint8_t)bits);
    const int exponent = bits >> 3 & 15, mantissa = bits & 7;
    if ((bits & 0x7f) == 0x7f) {
      assert_true(value != value);
      continue;
    }
    double size = exponent ? 1 + mantissa / 8.0 : mantissa / 8.0;
    for (int k = exponent ? exponent - 7 : -6; k != 0; k += k > 0 ? -1 : 1) size *= k > 0 ? 2 : 0.5;
    assert_true(value == (float)(bits & 0x80 ? -size : size));
  }
  assert_true(dtype_from_fp8(0x7e) == 448 && dtype_from_fp8(0x01) == 0.001953125f);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void replace_text(uint8_t *bytes, size_t *size, const char *from, const char *to) {
  const size_t length = strlen(from), more = strlen(to);
  for (size_t at = 0; at + length <= *size; at++) {
    if (memcmp(bytes + at, from, length) != 0) continue;
    memmove(bytes + at + more, bytes + at + length, *size - at - length);
    memcpy(bytes + at, to, more);
    *size = *size - length + more;
    return;
  }
  fail_msg("'%s' is not there", from);
}

/* The file `changed` of a golden with one text replaced; in weights both are of one length. */
static Folder damage(const char *name, const char *changed, const char *from, const char *to) {
  static const char *const files[] = {"config.json", "model.safetensors"};
  const Folder folder = folder_make();
  for (int i = 0; i < 2; i++) {
    char path[300];
    size_t size;
    uint8_t *bytes = read_whole(golden_path(name, files[i], path), &size);
    bytes = realloc(bytes, size + 400);
    assert_non_null(bytes);
    if (strcmp(files[i], changed) == 0) replace_text(bytes, &size, from, to);
    folder_write(&folder, files[i], bytes, size);
    free(bytes);
  }
  return folder;
}

static const struct {
  const char *model, *file, *from, *to, *part;
  xt_status status;
} damages[] = {
#define C "config.json"
#define W "model.safetensors"
    {"gptq3", C, "\"bits\": 3", "\"bits\": 5", "5 bits are not handled", XT_STATUS_UNSUPPORTED},
    {"gptq3", C, "\"bits\": 3,", "", "missing", XT_STATUS_INPUT},
    {"gptq3", C, "\"bits\": 3", "\"bits\": 8", "shape", XT_STATUS_INPUT},
    {"gptq3", C, "\"group_size\": -1", "\"group_size\": 0", "is 0", XT_STATUS_INPUT},
    {"gptq3", C, "\"group_size\": -1", "\"group_size\": 8", "of shape [8, 32]", XT_STATUS_INPUT},
    {"gptq3", C, "\"sym\"", "\"dynamic\": {\"a\": {}}, \"sym\"", "single", XT_STATUS_UNSUPPORTED},
    {"gptq3", C, "\"sym\"", "\"is_marlin_format\": true, \"sym\"", "Marlin", XT_STATUS_UNSUPPORTED},
    {"gptq4-v2", C, "gptq_v2", "marlin", "\"marlin\" is not handled", XT_STATUS_UNSUPPORTED},
    {"gptq2", C, "\"gptq\"", "\"hqq\"", "this kind (hqq)", XT_STATUS_UNSUPPORTED},
    {"gptq2", C, "\"quant_method\"", "\"method\"", "quant_method is missing",
     XT_STATUS_UNSUPPORTED},
    {"gptq2", W, "down_proj.scales", "down_proj.scaled", "no tensor", XT_STATUS_INPUT},
    {"gptq2", W, "down_proj.qweight", "down_proj.sweight", "down_proj.weight", XT_STATUS_INPUT},
    {"gptq2", W, "\"I32\",\"shape\":[4,2]", "\"U32\",\"shape\":[4,2]", "must be I32",
     XT_STATUS_INPUT},
    {"gptq2", W, "\"F16\",\"shape\":[4,32]", "\"I16\",\"shape\":[4,32]", "scales may be",
     XT_STATUS_INPUT},
    {"awq", C, "\"gemm\"", "\"gemv\"", "\"gemv\" is not handled", XT_STATUS_UNSUPPORTED},
    {"awq", C, "\"bits\": 4", "\"bits\": 3", "bits", XT_STATUS_INPUT},
    {"awq", C, "\"zero_point\": true", "\"zero_point\": false", "zeros", XT_STATUS_UNSUPPORTED},
    {"fp8", W, "down_proj.weight_scale_inv", "down_proj.weight_scale_abc", "no tensor",
     XT_STATUS_INPUT},
    {"fp8", C, "\"activation_scheme\"", "\"scale_fmt\": \"ue8m0\", \"activation_scheme\"", "ue8m0",
     XT_STATUS_UNSUPPORTED},
    {"fp8", C, "\"quantization_config\"", "\"other\"", "quantization_config",
     XT_STATUS_UNSUPPORTED},
    {"fp8-blocks", C, "   16,", "   5,", "does not divide", XT_STATUS_INPUT},
    {"fp8-blocks", C, "   16,", "   0,", "two whole numbers", XT_STATUS_INPUT},
    {"compressed-words", C, "pack-quantized", "nvfp4-pack-quantized", "is not handled",
     XT_STATUS_UNSUPPORTED},
    {"compressed-words", C, "\"num_bits\": 4", "\"num_bits\": 5", "does not fit", XT_STATUS_INPUT},
    {"compressed-words", C, "\"group_0\": {",
     "\"a\": {\"weights\": {\"num_bits\": 8}}, \"group_0\": {", "different schemes",
     XT_STATUS_UNSUPPORTED},
    {"compressed-words", C, "\"config_groups\"", "\"groups\"", "no group says", XT_STATUS_INPUT},
    {"compressed-words", W, "down_proj.weight_shape", "down_proj.weight_shade", "weight_shape",
     XT_STATUS_INPUT},
    {"compressed-int8", C, "\"type\": \"int\"", "\"type\": \"bit\"", "\"bit\" is not",
     XT_STATUS_UNSUPPORTED},
    {"compressed-int8", C, "\"symmetric\": true", "\"symmetric\": false", "weight_zero_point",
     XT_STATUS_INPUT},
};

static void test_damage(void **state) {
  (void)state;
  int wrong = 0;
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    const Folder folder = damage(damages[i].model, damages[i].file, damages[i].from, damages[i].to);
    xt_error error = {0};
    xt_model *model;
    char line[1400];
    const xt_status status = xt_model_open(folder.path, NULL, &model, &error);
    if (!status) xt_model_close(model);
    const char *text = status ? xt_error_format(&error, line, sizeof line) : "";
    if (status != damages[i].status || !strstr(text, damages[i].part))
      wrong++,
          print_error("%s, %s: status %d, '%s'\n", damages[i].model, damages[i].to, status, text);
    folder_remove(&folder);
  }
  assert_int_equal(wrong, 0);
}

/* Two groups of modules may say the same. */
static void test_equal_schemes(void **state) {
  (void)state;
  static const char group[] =
      "\"a\": {\"weights\": {\"num_bits\": 4, \"type\": \"int\", \"symmetric\": "
      "false, \"strategy\": \"group\", \"group_size\": 16}}, \"group_0\": {";
  const Folder folder = damage("compressed-words", "config.json", "\"group_0\": {", group);
  xt_error error;
  xt_model *model;
  ASSERT_OK(xt_model_open(folder.path, NULL, &model, &error));
  xt_model_close(model);
  folder_remove(&folder);
}

/* A group that a column names is one of those that there are; a scale that is not finite is told. */
static void test_bad_numbers(void **state) {
  (void)state;
  char path[300];
  xt_error error;
  Checkpoint *checkpoint;
  ASSERT_OK(checkpoint_open(golden_path("gptq4-order", NULL, path), &checkpoint, &error));
  static const char *const parts[] = {"g_idx", "scales"};
  static const uint8_t bad[2][4] = {{9, 0, 0, 0}, {0, 0x7c, 0, 0x7c}};
  for (int i = 0; i < 2; i++) {
    char name[100];
    snprintf(name, sizeof name, "model.layers.0.mlp.up_proj.%s", parts[i]);
    const long long at = tensor_offset(checkpoint_find(checkpoint, name)) + 4;
    const Folder folder = damage("gptq4-order", "config.json", "\"bits\": 4", "\"bits\": 4");
    size_t size;
    xt_model *model;
    uint8_t *bytes =
        read_whole(folder_file(&folder, "model.safetensors", path, sizeof path), &size);
    memcpy(bytes + at, bad[i], 4);
    folder_write(&folder, "model.safetensors", bytes, size);
    free(bytes);
    assert_int_equal(xt_model_open(folder.path, NULL, &model, &error), XT_STATUS_INPUT);
    assert_non_null(strstr(error.message, i ? "finite" : "puts column 1 into group 9 of 2"));
    folder_remove(&folder);
  }
  checkpoint_close(checkpoint);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),
                                     cmocka_unit_test(test_tokens),
                                     cmocka_unit_test(test_memory_is_foreseen),
                                     cmocka_unit_test(test_tokens_on_a_gpu),
                                     cmocka_unit_test(test_fp8),
                                     cmocka_unit_test(test_damage),
                                     cmocka_unit_test(test_bad_numbers),
                                     cmocka_unit_test(test_equal_schemes)};
  return cmocka_run_group_tests_name("packed weights", tests, NULL, NULL);
}
