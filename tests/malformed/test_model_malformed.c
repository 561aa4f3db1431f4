/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged model directories, through the same calls as the program's: inspect, open, generate.
 * Crafted damage has its file, field and offset written down; generated damage (files cut short,
 * bits flipped) must end in an error that names a file of the directory, or in a model that
 * runs. */
#include "files_support.h"
#include "models.h"

#define GOLDEN XT_SOURCE_DIR "/tests/golden/models"

static bool brief(void) { return getenv("XT_TEST_BRIEF") != NULL; }

/* ---- a directory to damage ------------------------------------------------------------------- */

static char **list_files(const char *directory) {
  char **names = calloc(64, sizeof *names);
  DIR *list = opendir(directory);
  assert_true(names && list);
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
    const bool dump = entry->d_name[0] == 'p' && entry->d_name[1] >= '0' && entry->d_name[1] <= '9';
    if (entry->d_name[0] == '.' || dump || strcmp(entry->d_name, "reference.json") == 0) continue;
    assert_true(count < 63);
    names[count++] = strdup(entry->d_name);
  }
  closedir(list);
  return names;
}

/* A folder of links to a model's files. */
static Folder link_model(const char *model) {
  const Folder folder = folder_make();
  char **names = list_files(model);
  for (size_t i = 0; names[i]; i++) {
    char from[600], to[600];
    snprintf(from, sizeof from, "%s/%s", model, names[i]);
    assert_int_equal(symlink(from, folder_file(&folder, names[i], to, sizeof to)), 0);
    free(names[i]);
  }
  free(names);
  return folder;
}

/* The link becomes a file of its own. */
static void replace(const Folder *folder, const char *name, const void *data, size_t size) {
  char path[600];
  unlink(folder_file(folder, name, path, sizeof path));
  folder_write(folder, name, data, size);
}

static uint8_t *read_file(const Folder *folder, const char *name, size_t *size) {
  char path[600];
  return read_whole(folder_file(folder, name, path, sizeof path), size);
}

/* ---- what the program does with it ----------------------------------------------------------- */

static xt_status use_model(const char *path, xt_error *error) {
  static const int32_t ids[] = {1, 20, 33, 47, 5};
  const xt_model_options options = {.threads = 1};
  const xt_request request = {.ids = ids, .count = 5};
  xt_model *model = NULL;
  xt_session *session = NULL;
  xt_generation out = {0};
  xt_status status = xt_model_inspect(path, &options, &model, error);
  xt_model_close(model);
  if (status) return status;
  status = xt_model_open(path, &options, &model, error);
  if (!status) status = xt_session_create(model, &session, error);
  if (!status)
    status =
        xt_session_generate(session, &request, 1,
                            &(xt_generate_options){.max_new_tokens = 2, .lens = true}, &out, error);
  for (size_t i = 0; !status && i < out.count; i++) {
    xt_model_info info;
    xt_model_get_info(model, &info);
    assert_in_range(out.ids[i], 0, info.vocab - 1);
  }
  xt_generation_deinit(&out);
  xt_session_free(session);
  xt_model_close(model);
  return status;
}

static bool ends_well(const Folder *folder, const char *what, size_t place) {
  xt_error error = {0};
  char line[1400];
  const xt_status status = use_model(folder->path, &error);
  if (!status) return true;
  xt_error_format(&error, line, sizeof line);
  const bool about_data = status == XT_STATUS_INPUT || status == XT_STATUS_UNSUPPORTED;
  /* A changed number may leave a model that is well-formed, and too large or too short for the
   * request. */
  if (!about_data && status != XT_STATUS_ARGUMENT)
    fail_msg("%s at %zu: status %d: %s", what, place, (int)status, line);
  if (about_data && strncmp(error.file, folder->path, strlen(folder->path)) != 0)
    fail_msg("%s at %zu: names no file: %s", what, place, line);
  if (!error.message[0] || strpbrk(error.message, "\n"))
    fail_msg("%s at %zu: not one line: %s", what, place, line);
  return false;
}

/* `cuts` lengths, those of `least` bytes and more being errors, and `flips` bits spread over the
 * file; where `dense` bytes at its begin hold the structure, half of them lie there. */
static void damage(const char *model, const char *name, size_t dense, size_t cuts, size_t flips,
                   size_t least) {
  const Folder folder = link_model(model);
  size_t size;
  uint8_t *bytes = read_file(&folder, name, &size);
  uint64_t state = 88172645463325252u;
  size_t refused = 0;
  if (brief()) {
    cuts /= 4;
    flips /= 4;
  }
  replace(&folder, name, bytes, size);
  assert_true(ends_well(&folder, name, size));
  for (size_t i = 0; i < cuts; i++) {
    const size_t length = i % 2 && dense < size ? dense * i / cuts : size * i / cuts;
    replace(&folder, name, bytes, length);
    if (ends_well(&folder, "cut", length) && length >= least)
      fail_msg("%s cut to %zu bytes was accepted", name, length);
  }
  for (size_t i = 0; i < flips; i++) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const size_t at = state / 8 % (i % 2 && dense < size ? dense : size);
    bytes[at] ^= (uint8_t)(1u << state % 8);
    replace(&folder, name, bytes, size);
    refused += !ends_well(&folder, "bit flipped", at);
    bytes[at] ^= (uint8_t)(1u << state % 8);
  }
  assert_true(refused > 0);
  free(bytes);
  folder_remove(&folder);
}

static void safetensors(void **state) {
  (void)state;
  damage(GOLDEN "/llama2", "model.safetensors", 2500, 60, 200, 0);
}
static void shard(void **state) {
  (void)state;
  damage(GOLDEN "/llama3", "model-00002-of-00003.safetensors", 1200, 40, 120, 0);
}
static void shard_index(void **state) {
  (void)state;
  damage(GOLDEN "/llama3", "model.safetensors.index.json", SIZE_MAX, 60, 200, 0);
}
static void torch_bin(void **state) {
  (void)state;
  damage(GOLDEN "/llama-bin", "pytorch_model.bin", 4000, 60, 200, 0);
}
static void torch_shard(void **state) {
  (void)state;
  damage(GOLDEN "/llama-bin-sharded", "pytorch_model-00001-of-00002.bin", 3000, 40, 120, 0);
}
/* Only the last newline may be missing. */
static void config(void **state) {
  (void)state;
  damage(GOLDEN "/qwen2", "config.json", SIZE_MAX, 80, 400, 0);
  damage(GOLDEN "/llama3", "config.json", SIZE_MAX, 80, 400, 0);
}
/* An empty one is as none. */
static void generation_config(void **state) {
  (void)state;
  damage(GOLDEN "/qwen2", "generation_config.json", SIZE_MAX, 60, 200, 1);
}
static void tokenizer(void **state) {
  (void)state;
  char path[128];
  damage(models_make("tiny-llama", "bf16", path), "tokenizer.json", 1400, 60, 200, 0);
}

/* ---- crafted damage -------------------------------------------------------------------------- */

static void expect(const Folder *folder, xt_status status, const char *file, const char *field,
                   long long offset, const char *text) {
  xt_error error = {0};
  char path[600], line[1400];
  const xt_status got = use_model(folder->path, &error);
  folder_file(folder, file, path, sizeof path);
  if (!file[0]) path[strlen(folder->path)] = 0;
  if (got != status || strcmp(error.file, path) != 0 || strcmp(error.field, field) != 0 ||
      error.offset != offset || !strstr(error.message, text))
    fail_msg("wanted status %d, %s: %s: at %lld: ..%s..; got %d, %s", (int)status, path, field,
             offset, text, (int)got, got ? xt_error_format(&error, line, sizeof line) : "success");
}

/* A model of one file with its bytes at hand. */
typedef struct Open {
  Folder folder;
  uint8_t *bytes;
  size_t size;
} Open;

static Open open_tiny(const char *dtype) {
  char path[128];
  Open o = {.folder = link_model(models_make("tiny-qwen2", dtype, path))};
  o.bytes = read_file(&o.folder, "model.safetensors", &o.size);
  return o;
}

static void open_free(Open *o) {
  free(o->bytes);
  folder_remove(&o->folder);
}

/* Where a tensor's data begins in the file. */
static long long place_of(const Open *o, const char *tensor) {
  Checkpoint *checkpoint;
  xt_error error;
  ASSERT_OK(checkpoint_open(o->folder.path, &checkpoint, &error));
  const Tensor *t = checkpoint_find(checkpoint, tensor);
  assert_non_null(t);
  const long long place = tensor_offset(t);
  checkpoint_close(checkpoint);
  return place;
}

/* A weight that is no number, of every kind of tensor and in every dtype: named with its place. */
static void not_finite(void **state) {
  (void)state;
  static const char *const tensors[] = {"model.embed_tokens.weight",
                                        "model.norm.weight",
                                        "model.layers.0.input_layernorm.weight",
                                        "model.layers.5.self_attn.k_proj.weight",
                                        "model.layers.2.self_attn.v_proj.bias",
                                        "model.layers.3.self_attn.o_proj.weight",
                                        "model.layers.4.mlp.up_proj.weight",
                                        "model.layers.5.mlp.down_proj.weight"};
  static const struct {
    const char *dtype;
    size_t size;
    uint32_t bits[2];
  } kinds[] = {{"f32", 4, {0x7fc00000, 0xff800000}},
               {"f16", 2, {0x7e00, 0x7c00}},
               {"bf16", 2, {0xffc0, 0x7f80}}};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    Open o = open_tiny(kinds[k].dtype);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
      const long long at = place_of(&o, tensors[i]) + (long long)(kinds[k].size * (3 + i));
      uint8_t kept[4];
      memcpy(kept, o.bytes + at, 4);
      for (size_t b = 0; b < kinds[k].size; b++)
        o.bytes[(size_t)at + b] = (uint8_t)(kinds[k].bits[i % 2] >> (8 * b));
      replace(&o.folder, "model.safetensors", o.bytes, o.size);
      expect(&o.folder, XT_STATUS_INPUT, "model.safetensors", tensors[i], at, "finite");
      memcpy(o.bytes + at, kept, 4);
    }
    open_free(&o);
  }
}

/* The untied embedding, which stays in the file and is only looked up. */
static void embedding_not_finite(void **state) {
  (void)state;
  char path[128];
  Open o = {.folder = link_model(models_make("tiny-llama", "bf16", path))};
  o.bytes = read_file(&o.folder, "model.safetensors", &o.size);
  const long long at = place_of(&o, "model.embed_tokens.weight") + 2 * 64 * 300;
  memcpy(o.bytes + at, "\xc0\x7f", 2);
  replace(&o.folder, "model.safetensors", o.bytes, o.size);
  expect(&o.folder, XT_STATUS_INPUT, "model.safetensors", "model.embed_tokens.weight", at,
         "row 300, column 0 is NaN or infinite");
  open_free(&o);
}

/* Swaps `from` for `to`, of the same length, in a text file or a header. */
static void swap(const Folder *folder, const char *name, const char *from, const char *to) {
  size_t size;
  uint8_t *bytes = read_file(folder, name, &size);
  assert_int_equal(strlen(from), strlen(to));
  bool found = false;
  for (size_t i = 0; i + strlen(from) <= size && !found; i++)
    if (memcmp(bytes + i, from, strlen(from)) == 0) {
      memcpy(bytes + i, to, strlen(to));
      found = true;
    }
  if (!found) fail_msg("%s has no %s", name, from);
  replace(folder, name, bytes, size);
  free(bytes);
}

static void wrong_parts(void **state) {
  (void)state;
  static const struct {
    const char *file, *from, *to;
    xt_status status;
    const char *where, *field, *text;
    bool placed; /* the error has the tensor's offset */
  } cases[] = {
      {"config.json", "\"hidden_size\": 56", "\"hidden_size\": 84", XT_STATUS_INPUT,
       "model.safetensors", "model.embed_tokens.weight",
       "has shape [320, 56], config.json asks for [320, 84]", true},
      {"config.json", "\"vocab_size\": 320", "\"vocab_size\": 321", XT_STATUS_INPUT,
       "model.safetensors", "model.embed_tokens.weight",
       "has shape [320, 56], config.json asks for [321, 56]", true},
      {"config.json", "\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7", XT_STATUS_INPUT, "",
       "model.layers.6.input_layernorm.weight", "no such tensor", false},
      {"config.json", "\"num_hidden_layers\": 6", "\"num_hidden_layers\": 5", XT_STATUS_INPUT,
       "model.safetensors", "model.layers.5.self_attn.q_proj.weight",
       "more layers than config.json's num_hidden_layers, 5", true},
      {"config.json", "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 7", XT_STATUS_INPUT,
       "model.safetensors", "model.layers.0.self_attn.k_proj.weight", "has shape [8, 56]", true},
      {"config.json", "\"num_attention_heads\": 7", "\"num_attention_heads\": 9", XT_STATUS_INPUT,
       "config.json", "hidden_size", "56 is not a multiple", false},
      {"config.json", "\"intermediate_size\": 152", "\"intermediate_size\": 151", XT_STATUS_INPUT,
       "model.safetensors", "model.layers.0.mlp.gate_proj.weight", "has shape [152, 56]", true},
      {"config.json", "\"silu\"", "\"relu\"", XT_STATUS_UNSUPPORTED, "config.json", "hidden_act",
       "\"relu\" is not handled", false},
      {"config.json", "Qwen2ForCausalLM", "Qwen9ForCausalLM", XT_STATUS_UNSUPPORTED, "config.json",
       "architectures", "known: Llama", false},
      {"config.json", "\"rms_norm_eps\": 1", "\"rms_norm_eps\":-1", XT_STATUS_INPUT, "config.json",
       "rms_norm_eps", "expected 0 to 1", false},
      {"config.json", "\"vocab_size\": 320", "\"vocab_size\":\"32\"", XT_STATUS_INPUT,
       "config.json", "vocab_size", "is a string, expected an integer", false},
      {"model.safetensors", "model.layers.3.mlp.up_proj", "model.layers.3.mlp.xx_proj",
       XT_STATUS_INPUT, "", "model.layers.3.mlp.up_proj.weight", "no such tensor", false},
      {"model.safetensors", "\"F32\",\"shape\":[320,56]", "\"I32\",\"shape\":[320,56]",
       XT_STATUS_UNSUPPORTED, "model.safetensors", "model.embed_tokens.weight", "F32, F16 or BF16",
       true},
      {"model.safetensors", "\"F32\",\"shape\":[320,56]", "\"F32\",\"shape\":[56,320]",
       XT_STATUS_INPUT, "model.safetensors", "model.embed_tokens.weight", "has shape [56, 320]",
       true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Open o = open_tiny("f32");
    const long long at = cases[i].placed ? place_of(&o, cases[i].field) : -1;
    swap(&o.folder, cases[i].file, cases[i].from, cases[i].to);
    expect(&o.folder, cases[i].status, cases[i].where, cases[i].field, at, cases[i].text);
    open_free(&o);
  }
}

static void missing_files(void **state) {
  (void)state;
  char path[600];
  Folder folder = link_model(GOLDEN "/llama3");
  unlink(folder_file(&folder, "model-00002-of-00003.safetensors", path, sizeof path));
  xt_error error = {0};
  assert_int_equal(use_model(folder.path, &error), XT_STATUS_INPUT);
  assert_string_equal(error.file, path);
  assert_non_null(strstr(error.field, "model."));
  assert_non_null(strstr(error.message, "the shard is missing"));
  folder_remove(&folder);
  folder = link_model(GOLDEN "/llama3");
  unlink(folder_file(&folder, "config.json", path, sizeof path));
  assert_int_equal(use_model(folder.path, &error), XT_STATUS_IO);
  assert_string_equal(error.file, path);
  assert_int_equal(mkdir(path, 0777), 0);
  assert_int_equal(use_model(folder.path, &error), XT_STATUS_INPUT);
  assert_string_equal(error.message, "not a regular file");
  rmdir(path);
  folder_remove(&folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(safetensors),       cmocka_unit_test(shard),
      cmocka_unit_test(shard_index),       cmocka_unit_test(torch_bin),
      cmocka_unit_test(torch_shard),       cmocka_unit_test(config),
      cmocka_unit_test(generation_config), cmocka_unit_test(tokenizer),
      cmocka_unit_test(not_finite),        cmocka_unit_test(embedding_not_finite),
      cmocka_unit_test(wrong_parts),       cmocka_unit_test(missing_files),
  };
  return cmocka_run_group_tests_name("damaged models", tests, NULL, NULL);
}
