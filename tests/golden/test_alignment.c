/* SPDX-License-Identifier: Apache-2.0 */
/* What is learned from parallel prompts: least squares against numpy
 * (tools/make_alignment_goldens.py), and alignments of a model's activations against plain sums. */
#include <jansson.h>
#include <math.h>

#include "analysis/least_squares.h"
#include "models.h"

static float *floats_of(const json_t *array) {
  const size_t n = json_array_size(array);
  float *out = calloc(n, sizeof *out);
  assert_non_null(out);
  for (size_t i = 0; i < n; i++) out[i] = (float)json_number_value(json_array_get(array, i));
  return out;
}

static void test_least_squares(void **state) {
  (void)state;
  json_error_t why;
  json_t *cases = json_load_file(XT_SOURCE_DIR "/tests/golden/least_squares.json", 0, &why);
  xt_error error;
  size_t i;
  const json_t *one;
  assert_non_null(cases);
  assert_int_equal(json_array_size(cases), 3);
  json_array_foreach(cases, i, one) {
    const size_t rows = (size_t)json_integer_value(json_object_get(one, "rows")),
                 width = (size_t)json_integer_value(json_object_get(one, "width")),
                 to = (size_t)json_integer_value(json_object_get(one, "to"));
    float *x = floats_of(json_object_get(one, "x")), *y = floats_of(json_object_get(one, "y")),
          *map = calloc(to * width, sizeof *map);
    const json_t *wanted = json_object_get(one, "map");
    ASSERT_OK(least_squares(x, y, rows, width, to, json_number_value(json_object_get(one, "ridge")),
                            map, &error));
    for (size_t k = 0; k < to * width; k++) {
      const double value = json_number_value(json_array_get(wanted, k));
      /* the map is rounded to float */
      if (!(fabs((double)map[k] - value) < 1e-6 * (1 + fabs(value))))
        fail_msg("case %zu, %zu: %.9g instead of %.9g", i, k, (double)map[k], value);
    }
    free(x);
    free(y);
    free(map);
  }
  json_decref(cases);
}

/* Of a random model: the difference is that of the means; and, with as many dimensions as the width
 * and next to no penalty, the map takes each target's activation to its source's. */
static void test_alignment(void **state) {
  (void)state;
  enum { COUNT = 5, LAYER = 2 };
  static const int32_t ids[COUNT + 1][2] = {{5, 9}, {12, 31}, {7, 44}, {3, 21}, {40, 8}, {17, 2}};
  const float *sources[COUNT], *targets[COUNT];
  xt_taps *taps[COUNT + 1];
  xt_model *model;
  xt_session *session;
  xt_alignment *a;
  xt_model_info info;
  xt_error error;
  models_open("tiny-llama", "f32", NULL, &model, &session);
  xt_model_get_info(model, &info);
  for (int i = 0; i <= COUNT; i++)
    ASSERT_OK(
        xt_session_capture(session, &(xt_request){.ids = ids[i], .count = 2}, &taps[i], &error));
  for (int i = 0; i < COUNT; i++) {
    sources[i] = xt_taps_get(taps[i], XT_TAP_BLOCK, LAYER);
    targets[i] = xt_taps_get(taps[i + 1], XT_TAP_BLOCK, LAYER);
  }
  const size_t width = (size_t)info.width;
  ASSERT_OK(xt_alignment_create(sources, targets, COUNT, width, true, 1e-9, &a, &error));
  double *mean = calloc(width, sizeof *mean);
  float *mapped = calloc(width, sizeof *mapped);
  for (int i = 0; i < COUNT; i++) {
    const float *s = sources[i], *t = targets[i];
    double scale = 0;
    xt_alignment_map(a, t, mapped);
    for (size_t k = 0; k < width; k++) scale = fmax(scale, fabs((double)s[k]));
    for (size_t k = 0; k < width; k++) {
      mean[k] += ((double)s[k] - (double)t[k]) / COUNT;
      assert_true(fabs((double)mapped[k] - (double)s[k]) < 1e-3 * scale);
    }
  }
  for (size_t k = 0; k < width; k++)
    assert_true(fabs(mean[k] - (double)xt_alignment_difference(a)[k]) < 1e-6);
  free(mean);
  free(mapped);
  xt_alignment_free(a);
  assert_int_equal(xt_alignment_create(sources, targets, 0, width, false, 0, &a, &error),
                   XT_STATUS_ARGUMENT);
  assert_int_equal(xt_alignment_create(sources, targets, 1, width, true, 0, &a, &error),
                   XT_STATUS_ARGUMENT);
  assert_string_equal(error.field, "ridge");
  for (int i = 0; i <= COUNT; i++) xt_taps_free(taps[i]);
  xt_session_free(session);
  xt_model_close(model);
}

/* The bootstrap of one number is that number; of many it holds their mean, and widens with spread. */
static void test_bootstrap_ratio(void **state) {
  (void)state;
  double sums[40], weights[40], low, high;
  xt_error error;
  for (int i = 0; i < 40; i++) {
    sums[i] = 0.5;
    weights[i] = 2;
  }
  ASSERT_OK(xt_bootstrap_ratio(sums, weights, 40, 500, 1, 0.95, &low, &high, &error));
  assert_true(fabs(low - 0.25) < 1e-12 && fabs(high - 0.25) < 1e-12);
  for (int i = 0; i < 40; i++) sums[i] = i % 2;
  ASSERT_OK(xt_bootstrap_ratio(sums, weights, 40, 2000, 1, 0.95, &low, &high, &error));
  /* 0.25 +- 2.02 * 0.25 / sqrt(39) */
  assert_true(fabs(low - 0.169) < 0.02 && fabs(high - 0.331) < 0.02);
  ASSERT_OK(xt_bootstrap_ratio(sums, weights, 1, 500, 1, 0.95, &low, &high, &error));
  assert_true(isnan(low) && isnan(high));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_least_squares),
                                     cmocka_unit_test(test_alignment),
                                     cmocka_unit_test(test_bootstrap_ratio)};
  return cmocka_run_group_tests_name("alignment", tests, NULL, NULL);
}
