/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of first tokens in a sweep against transformers with hooks
 * (tools/make_effect_goldens.py). */
#include <jansson.h>
#include <math.h>

#include "support.h"
#include "xtransplant/xt.h"

enum { SITES = 4, IDS = 64, TRACKED = 8 };
static const char *const names[SITES] = {"attn", "ffn", "block", "attn-released"};

typedef struct Golden {
  const json_t *entry;
  size_t compared;
} Golden;

/* Logits of about 10 in float32 by two programs: a few units of their last places. */
static void same_numbers(const char *what, const float *got, size_t count, const json_t *want) {
  assert_int_equal(json_array_size(want), count);
  for (size_t k = 0; k < count; k++) {
    const double number = json_number_value(json_array_get(want, k));
    if (!(fabs((double)got[k] - number) <= 2e-5 * (1 + fabs(number))))
      fail_msg("%s: number %zu is %.9g, not %.9g", what, k, (double)got[k], number);
  }
}

static xt_status compare(void *user, const xt_sweep_response *r, xt_error *error) {
  (void)error;
  Golden *g = user;
  const xt_generation *out = r->generation;
  size_t i;
  const json_t *one;
  if (r->site < 0) {
    same_numbers("untouched", out->effects, out->effect_count,
                 json_object_get(g->entry, "of_untouched"));
    same_numbers("source", r->source_effects, out->effect_count,
                 json_object_get(g->entry, "of_source"));
    return XT_STATUS_OK;
  }
  json_array_foreach(json_object_get(g->entry, "cases"), i, one) {
    if (strcmp(json_string_value(json_object_get(one, "site")), names[r->site]) != 0 ||
        json_integer_value(json_object_get(one, "source_layer")) != r->source_layer ||
        json_integer_value(json_object_get(one, "target_layer")) != r->target_layer)
      continue;
    same_numbers(names[r->site], out->effects, out->effect_count, json_object_get(one, "numbers"));
    g->compared++;
  }
  return XT_STATUS_OK;
}

static size_t read_ids(const json_t *entry, const char *name, int32_t *out) {
  const json_t *ids = json_object_get(entry, name);
  const size_t count = json_array_size(ids);
  assert_true(count > 0 && count <= IDS);
  for (size_t i = 0; i < count; i++) out[i] = (int32_t)json_integer_value(json_array_get(ids, i));
  return count;
}

static void check_entry(const json_t *entry) {
  Golden g = {.entry = entry};
  xt_error error;
  xt_model *model;
  xt_session *session;
  xt_site sites[SITES];
  int32_t ids[3][IDS];
  char path[512];
  snprintf(path, sizeof path, XT_SOURCE_DIR "/tests/golden/models/%s",
           json_string_value(json_object_get(entry, "model")));
  ASSERT_OK(xt_model_open(path, NULL, &model, &error));
  ASSERT_OK(xt_session_create(model, &session, &error));
  for (int s = 0; s < SITES; s++) ASSERT_OK(xt_site_parse(names[s], &sites[s], &error));
  const xt_instance instance = {.source = ids[0],
                                .source_count = read_ids(entry, "source", ids[0]),
                                .target = ids[1],
                                .target_count = read_ids(entry, "target", ids[1]),
                                .tracked = ids[2],
                                .tracked_count = read_ids(entry, "tracked", ids[2])};
  /* a model whose modules are parallel has no write at mid, and none of these sites writes there */
  const xt_sweep_options o = {.sites = sites,
                              .site_count = SITES,
                              .max_new_tokens = 1,
                              .repetition_penalty =
                                  json_number_value(json_object_get(entry, "penalty")),
                              .effects = true};
  ASSERT_OK(xt_session_sweep(session, &instance, 1, &o, compare, &g, NULL, &error));
  assert_int_equal(g.compared, json_array_size(json_object_get(entry, "cases")));
  xt_session_free(session);
  xt_model_close(model);
}

static void test_effects(void **state) {
  (void)state;
  json_error_t error;
  json_t *root = json_load_file(XT_SOURCE_DIR "/tests/golden/effects.json", 0, &error);
  assert_int_equal(json_array_size(root), 6);
  for (size_t k = 0; k < json_array_size(root); k++) check_entry(json_array_get(root, k));
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_effects)};
  return cmocka_run_group_tests_name("effect goldens", tests, NULL, NULL);
}
