/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a generation_config.json that change greedy decoding, against what transformers
 * gives under them (tools/make_generation_goldens.py): alone, together, and in a batch with the
 * other prompts. */
#include <jansson.h>

#include "files_support.h"
#include "xtransplant/xt.h"

#define GOLDEN XT_SOURCE_DIR "/tests/golden/"
#define PROMPTS 5

typedef struct Golden {
  json_t *root;
  int max_new;
  int32_t ids[PROMPTS][64];
  xt_request requests[PROMPTS];
  Folder folder;
} Golden;

static void copy_file(const Folder *to, const char *name) {
  char path[300];
  size_t size;
  snprintf(path, sizeof path, GOLDEN "models/llama2/%s", name);
  uint8_t *bytes = read_whole(path, &size);
  folder_write(to, name, bytes, size);
  free(bytes);
}

static void golden_open(Golden *g) {
  json_error_t error;
  g->root = json_load_file(GOLDEN "generation.json", 0, &error);
  assert_non_null(g->root);
  assert_string_equal(json_string_value(json_object_get(g->root, "model")), "llama2");
  g->max_new = (int)json_integer_value(json_object_get(g->root, "max_new_tokens"));
  const json_t *prompts = json_object_get(g->root, "prompts");
  assert_int_equal(json_array_size(prompts), PROMPTS);
  for (size_t p = 0; p < PROMPTS; p++) {
    const json_t *ids = json_array_get(prompts, p);
    for (size_t i = 0; i < json_array_size(ids); i++)
      g->ids[p][i] = (int32_t)json_integer_value(json_array_get(ids, i));
    g->requests[p] = (xt_request){.ids = g->ids[p], .count = json_array_size(ids)};
  }
  g->folder = folder_make();
  copy_file(&g->folder, "config.json");
  copy_file(&g->folder, "model.safetensors");
}

static void open_with(const Golden *g, const json_t *settings, xt_model **model,
                      xt_session **session) {
  xt_error error;
  char *text = json_dumps(settings, 0);
  folder_text(&g->folder, "generation_config.json", text);
  free(text);
  ASSERT_OK(xt_model_open(g->folder.path, NULL, model, &error));
  ASSERT_OK(xt_session_create(*model, session, &error));
}

static void same(const xt_generation *a, const xt_generation *b) {
  assert_int_equal(a->count, b->count);
  assert_memory_equal(a->ids, b->ids, a->count * sizeof *a->ids);
  assert_memory_equal(a->margins, b->margins, a->count * sizeof *a->margins);
  assert_memory_equal(a->entropies, b->entropies, a->count * sizeof *a->entropies);
  assert_memory_equal(a->logprobs, b->logprobs, a->count * sizeof *a->logprobs);
}

static void compare(const xt_generation *g, const json_t *entry) {
  const json_t *ids = json_object_get(entry, "ids");
  char *settings = json_dumps(json_object_get(entry, "settings"), 0);
  for (size_t i = 0; i < g->count && i < json_array_size(ids); i++)
    if (json_integer_value(json_array_get(ids, i)) != g->ids[i])
      fail_msg("%s: token %zu is %d", settings, i, g->ids[i]);
  if (json_array_size(ids) != g->count) fail_msg("%s: %zu tokens", settings, g->count);
  for (size_t i = 0; i < g->count; i++)
    assert_true(g->margins[i] >= 0 && g->entropies[i] >= 0 && g->logprobs[i] <= 0);
  free(settings);
}

static void test_settings(void **state) {
  (void)state;
  Golden g = {0};
  golden_open(&g);
  const json_t *cases = json_object_get(g.root, "cases"), *settings = NULL;
  const size_t count = json_array_size(cases);
  xt_model *model = NULL;
  xt_session *session = NULL;
  xt_generation together[PROMPTS] = {0};
  xt_error error;
  const xt_generate_options o = {.max_new_tokens = g.max_new};
  assert_true(count > 80);
  for (size_t c = 0; c < count; c++) {
    const json_t *entry = json_array_get(cases, c), *wanted = json_object_get(entry, "settings");
    const size_t p = (size_t)json_integer_value(json_object_get(entry, "prompt"));
    xt_generation alone;
    if (!settings || !json_equal(settings, wanted)) {
      for (int k = 0; k < PROMPTS; k++) xt_generation_deinit(&together[k]);
      xt_session_free(session);
      xt_model_close(model);
      open_with(&g, settings = wanted, &model, &session);
      ASSERT_OK(xt_session_generate(session, g.requests, PROMPTS, &o, together, &error));
    }
    compare(&together[p], entry);
    ASSERT_OK(xt_session_generate(session, &g.requests[p], 1, &o, &alone, &error));
    same(&together[p], &alone);
    xt_generation_deinit(&alone);
  }
  for (int k = 0; k < PROMPTS; k++) xt_generation_deinit(&together[k]);
  xt_session_free(session);
  xt_model_close(model);
  folder_remove(&g.folder);
  json_decref(g.root);
}

/* Where a token is the only possible one, that is what its numbers say; where none is, token 0 is
 * chosen. Drawing keeps to it. */
static void test_only_possibility(void **state) {
  (void)state;
  Golden g = {0};
  golden_open(&g);
  xt_error error;
  xt_model *model;
  xt_session *session;
  xt_generation out;
  json_t *settings =
      json_pack("{s:i, s:i, s:[]}", "eos_token_id", 2, "forced_eos_token_id", 7, "suppress_tokens");
  json_t *never = json_object_get(settings, "suppress_tokens");
  open_with(&g, settings, &model, &session);
  for (int drawn = 0; drawn < 2; drawn++) {
    const xt_generate_options o = {.max_new_tokens = 4, .temperature = drawn};
    ASSERT_OK(xt_session_generate(session, g.requests, 1, &o, &out, &error));
    assert_int_equal(out.count, 4);
    assert_int_equal(out.ids[3], 7);
    assert_true(out.margins[3] >= 1e30f && out.entropies[3] == 0 && out.logprobs[3] == 0 &&
                out.margins[2] < 100);
    xt_generation_deinit(&out);
  }
  xt_session_free(session);
  xt_model_close(model);
  for (int i = 0; i < 301; i++)
    if (i != 40) json_array_append_new(never, json_integer(i));
  json_object_del(settings, "forced_eos_token_id");
  open_with(&g, settings, &model, &session);
  ASSERT_OK(xt_session_generate(session, g.requests, 1, &(xt_generate_options){.max_new_tokens = 2},
                                &out, &error));
  assert_true(out.ids[0] == 40 && out.ids[1] == 40 && out.margins[0] > 1e29f &&
              out.entropies[0] < 1e-30f && out.logprobs[0] == 0);
  xt_generation_deinit(&out);
  xt_session_free(session);
  xt_model_close(model);
  json_array_append_new(never, json_integer(40));
  open_with(&g, settings, &model, &session);
  ASSERT_OK(xt_session_generate(session, g.requests, 1, &(xt_generate_options){.max_new_tokens = 2},
                                &out, &error));
  assert_true(out.ids[0] == 0 && out.ids[1] == 0);
  xt_generation_deinit(&out);
  xt_session_free(session);
  xt_model_close(model);
  json_decref(settings);
  folder_remove(&g.folder);
  json_decref(g.root);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_settings),
                                     cmocka_unit_test(test_only_possibility)};
  return cmocka_run_group_tests_name("generation settings", tests, NULL, NULL);
}
