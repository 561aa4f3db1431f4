/* SPDX-License-Identifier: Apache-2.0 */
/* Controls and ways to write in a sweep against transformers with hooks, which writes the same values
 * (tools/make_control_goldens.py). */
#include <jansson.h>
#include <math.h>

#include "support.h"
#include "xtransplant/xt.h"

#define SITES 48
#define IDS 64

typedef struct Golden {
  const json_t *entry;
  int32_t ids[4][IDS]; /* source, target, other, also */
  size_t counts[4];
  xt_site sites[SITES];
  char names[SITES][XT_SITE_NAME_SIZE];
  size_t site_count, first; /* the first of those that are swept */
  size_t compared;
} Golden;

static void read_ids(Golden *g) {
  static const char *const names[] = {"source", "target", "other", "also"};
  for (int p = 0; p < 4; p++) {
    const json_t *ids = json_object_get(g->entry, names[p]);
    g->counts[p] = json_array_size(ids);
    assert_true(g->counts[p] > 0 && g->counts[p] <= IDS);
    for (size_t i = 0; i < g->counts[p]; i++)
      g->ids[p][i] = (int32_t)json_integer_value(json_array_get(ids, i));
  }
}

static void read_sites(Golden *g) {
  xt_error error;
  size_t i;
  const json_t *one;
  json_array_foreach(json_object_get(g->entry, "cases"), i, one) {
    const char *name = json_string_value(json_object_get(one, "site"));
    size_t s = 0;
    while (s < g->site_count && strcmp(g->names[s], name) != 0) s++;
    if (s < g->site_count) continue;
    assert_true(s < SITES);
    ASSERT_OK(xt_site_parse(name, &g->sites[s], &error));
    strcpy(g->names[g->site_count++], name);
  }
}

static xt_status compare(void *user, const xt_sweep_response *r, xt_error *error) {
  (void)error;
  Golden *g = user;
  size_t i;
  const json_t *one;
  if (r->site < 0) return XT_STATUS_OK;
  json_array_foreach(json_object_get(g->entry, "cases"), i, one) {
    const json_t *ids = json_object_get(one, "ids"), *margins = json_object_get(one, "margins");
    if (strcmp(json_string_value(json_object_get(one, "site")),
               g->names[g->first + (size_t)r->site]) != 0 ||
        json_integer_value(json_object_get(one, "source_layer")) != r->source_layer ||
        json_integer_value(json_object_get(one, "target_layer")) != r->target_layer)
      continue;
    assert_int_equal(json_array_size(ids), r->generation->count);
    for (size_t k = 0; k < r->generation->count; k++) {
      if (json_integer_value(json_array_get(ids, k)) != r->generation->ids[k])
        fail_msg("%s %d %d: token %zu", g->names[g->first + (size_t)r->site], r->source_layer,
                 r->target_layer, k);
      /* five digits are written down, of logits of about 1 */
      assert_true(fabs(json_number_value(json_array_get(margins, k)) -
                       (double)r->generation->margins[k]) < 1e-4);
    }
    g->compared++;
  }
  return XT_STATUS_OK;
}

static size_t tap_size(const xt_model_info *info, xt_tap tap) {
  return (size_t)info->layers *
         (size_t)(tap == XT_TAP_HEADS ? info->heads * info->head_dim : info->width);
}

static float *mean_of(xt_session *session, const Golden *g, xt_tap tap, const xt_model_info *info) {
  float *out = calloc(tap_size(info, tap), sizeof *out);
  xt_error error;
  xt_taps *taps[2];
  for (int k = 0; k < 2; k++) {
    const xt_request request = {.ids = g->ids[2 + k], .count = g->counts[2 + k]};
    ASSERT_OK(xt_session_capture(session, &request, &taps[k], &error));
  }
  for (size_t c = 0; c < tap_size(info, tap); c++)
    out[c] = (float)(((double)xt_taps_get(taps[0], tap, 0)[c] +
                      (double)xt_taps_get(taps[1], tap, 0)[c]) /
                     2);
  for (int k = 0; k < 2; k++) xt_taps_free(taps[k]);
  return out;
}

static size_t all_cases;

static void check_model(const json_t *entry) {
  Golden g = {.entry = entry};
  xt_error error;
  xt_model *model;
  xt_session *session;
  xt_model_info info;
  xt_control_input controls[SITES];
  float *means[XT_TAP_HEADS + 1];
  char path[512];
  snprintf(path, sizeof path, XT_SOURCE_DIR "/tests/golden/models/%s",
           json_string_value(json_object_get(entry, "model")));
  ASSERT_OK(xt_model_open(path, NULL, &model, &error));
  ASSERT_OK(xt_session_create(model, &session, &error));
  xt_model_get_info(model, &info);
  read_ids(&g);
  read_sites(&g);
  for (xt_tap tap = 0; tap <= XT_TAP_HEADS; tap++) means[tap] = mean_of(session, &g, tap, &info);
  for (size_t s = 0; s < g.site_count; s++) {
    controls[s] =
        (xt_control_input){.ids = g.ids[2],
                           .count = g.counts[2],
                           .seed = (uint64_t)json_integer_value(json_object_get(entry, "seed"))};
    memcpy(controls[s].means, means, sizeof means);
  }
  const xt_instance instance = {.source = g.ids[0],
                                .source_count = g.counts[0],
                                .target = g.ids[1],
                                .target_count = g.counts[1]};
  const size_t cases = json_array_size(json_object_get(entry, "cases"));
  xt_sweep_options o = {
      .max_new_tokens = 12,
      .ignore_eos = true,
      .repetition_penalty = 1,
  };
  for (; g.first < g.site_count; g.first += o.site_count) {
    o.sites = g.sites + g.first;
    o.controls = controls + g.first;
    o.site_count =
        g.site_count - g.first < XT_SWEEP_SITES_MOST ? g.site_count - g.first : XT_SWEEP_SITES_MOST;
    ASSERT_OK(xt_session_sweep(session, &instance, 1, &o, compare, &g, NULL, &error));
  }
  assert_int_equal(g.compared, cases);
  assert_true(cases >= 35);
  all_cases += cases;
  for (int tap = 0; tap <= XT_TAP_HEADS; tap++) free(means[tap]);
  xt_session_free(session);
  xt_model_close(model);
}

static void test_controls(void **state) {
  (void)state;
  json_error_t error;
  json_t *root = json_load_file(XT_SOURCE_DIR "/tests/golden/controls.json", 0, &error);
  assert_int_equal(json_array_size(root), 14);
  for (size_t k = 0; k < json_array_size(root); k++) check_model(json_array_get(root, k));
  assert_int_equal(all_cases, 962);
  json_decref(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_controls)};
  return cmocka_run_group_tests_name("control goldens", tests, NULL, NULL);
}
