/* SPDX-License-Identifier: Apache-2.0 */
/* Self-checks of the engine that need no reference: on every architecture, bit for bit. */
#include "engine_fixture.h"

/* The same prompt at the same layer and tap: nothing changes. */
static void test_identity(void **state) {
  (void)state;
  ON_ONE_THREAD();
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    for (int p = 0; p < PROMPTS; p++) {
      xt_generation untouched = generate_one(&f, p, NULL, 0, NULL);
      assert_true(untouched.count > 0);
      for (int tap = 0; tap < XT_TAP_COUNT; tap++)
        for (int l = 0; l < f.layers; l++) {
          const xt_intervention iv =
              put(&f, p, (xt_site){.read = (xt_tap)tap, .write = (xt_tap)tap}, l, l);
          xt_generation same = generate_one(&f, p, &iv, 1, NULL);
          models_same(&untouched, &same);
          xt_generation_deinit(&same);
        }
      xt_generation_deinit(&untouched);
    }
    fixture_close(&f);
  }
}

/* What is written is what the tap then holds; and most transplants do change the response. */
static void test_transplant_takes_effect(void **state) {
  (void)state;
  ON_ONE_THREAD();
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_error error;
    xt_generation untouched = generate_one(&f, 1, NULL, 0, NULL);
    int changed = 0, total = 0;
    for (int tap = 0; tap < XT_TAP_COUNT; tap++)
      for (int j = 0; j < f.layers; j++, total++) {
        const xt_intervention iv =
            put(&f, 0, (xt_site){.read = (xt_tap)tap, .write = (xt_tap)tap}, 2, j);
        const xt_request request = {
            .ids = prompts[1], .count = lengths[1], .interventions = &iv, .intervention_count = 1};
        xt_taps *taps;
        ASSERT_OK(xt_session_capture(f.session, &request, &taps, &error));
        assert_memory_equal(xt_taps_get(taps, (xt_tap)tap, j), iv.value, 56 * sizeof(float));
        xt_taps_free(taps);
        xt_generation out = generate_one(&f, 1, &iv, 1, NULL);
        changed += out.count != untouched.count ||
                   memcmp(out.ids, untouched.ids, out.count * sizeof *out.ids) != 0;
        xt_generation_deinit(&out);
      }
    assert_true(changed * 2 > total);
    xt_generation_deinit(&untouched);
    fixture_close(&f);
  }
}

/* block at the last layer: the first token is the logit lens of the source at layer i. */
static void test_block_at_last_layer_is_lens(void **state) {
  (void)state;
  ON_ONE_THREAD();
  const xt_generate_options lens = {.lens = true, .repetition_penalty = 1};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_generation source = generate_one(&f, 0, NULL, 0, &lens);
    for (int i = 0; i < f.layers; i++) {
      const xt_intervention iv =
          put(&f, 0, (xt_site){.read = XT_TAP_BLOCK, .write = XT_TAP_BLOCK}, i, f.layers - 1);
      xt_generation out = generate_one(&f, 1, &iv, 1, &lens);
      assert_int_equal(out.ids[0], source.lens_ids[i]);
      assert_memory_equal(&out.logprobs[0], &source.lens_logprobs[i], sizeof(float));
      xt_generation_deinit(&out);
    }
    xt_generation_deinit(&source);
    fixture_close(&f);
  }
}

/* Below the target layer every tap is the untouched one; above it, not. */
static void test_taps_below_are_unchanged(void **state) {
  (void)state;
  ON_ONE_THREAD();
  xt_error error;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_model_info info;
    xt_model_get_info(f.model, &info);
    const size_t bytes = (size_t)info.width * sizeof(float);
    for (int j = 0; j < f.layers; j++) {
      const xt_intervention iv =
          put(&f, 0, (xt_site){.read = XT_TAP_ATTN, .write = XT_TAP_ATTN}, 3, j);
      const xt_request request = {
          .ids = prompts[1], .count = lengths[1], .interventions = &iv, .intervention_count = 1};
      xt_taps *taps;
      ASSERT_OK(xt_session_capture(f.session, &request, &taps, &error));
      for (int l = 0; l < f.layers; l++)
        for (int tap = 0; tap < XT_TAP_COUNT; tap++) {
          const int same = memcmp(xt_taps_get(taps, (xt_tap)tap, l),
                                  xt_taps_get(f.taps[1], (xt_tap)tap, l), bytes) == 0;
          assert_int_equal(same, l < j);
        }
      xt_taps_free(taps);
    }
    fixture_close(&f);
  }
}

#define MANY 1024
/* Request r of a mixed batch: prompt, site, layers, rule and position vary. */
static void mixed_request(const Fixture *f, size_t r, xt_intervention ivs[2], xt_request *out) {
  const int target = (int)(r % PROMPTS), source = (int)(r / 3 % PROMPTS);
  const xt_site site = {.read = (xt_tap)(r / 2 % 4), .write = (xt_tap)(r / 5 % 4)};
  ivs[0] = put(f, source, site, (int)(r % (size_t)f->layers), (int)(r / 7 % (size_t)f->layers));
  ivs[1] = put(f, (source + 1) % PROMPTS, site, 0, (int)(r / 11 % (size_t)f->layers));
  ivs[1].rule = r % 2 ? XT_RULE_ADD : XT_RULE_BLEND;
  ivs[1].alpha = 0.25f * (float)(r % 5);
  /* an inner prompt token */
  if (r % 13 == 0 && target == 1) ivs[1].position = 4;
  /* a generated token */
  if (r % 17 == 0) ivs[1].position = (int)lengths[target] + (int)(r % 5);
  *out = (xt_request){.ids = prompts[target],
                      .count = lengths[target],
                      .interventions = ivs,
                      .intervention_count = r % 4 == 3 ? 0 : 1 + r % 2};
}

static void run_mixed(const Fixture *f, size_t n, const xt_generate_options *o,
                      xt_generation *out) {
  static xt_intervention ivs[MANY][2];
  static xt_request requests[MANY];
  xt_error error;
  for (size_t r = 0; r < n; r++) mixed_request(f, r, ivs[r], &requests[r]);
  ASSERT_OK(xt_session_generate(f->session, requests, n, o, out, &error));
}

/* Alone, or among 1, 36 or 1023 others: the same bits. */
static void test_rows_do_not_matter(void **state) {
  (void)state;
  ON_ONE_THREAD();
  static const size_t sizes[] = {1, 2, 37, MANY};
  static xt_generation many[MANY], some[MANY];
  const xt_generate_options o = {.max_new_tokens = 12};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    run_mixed(&f, MANY, &o, many);
    for (size_t k = 0; k < 3; k++) {
      run_mixed(&f, sizes[k], &o, some);
      for (size_t r = 0; r < sizes[k]; r++) {
        models_same(&many[r], &some[r]);
        xt_generation_deinit(&some[r]);
      }
    }
    for (size_t r = 0; r < MANY; r += 61) { /* each wholly alone */
      xt_intervention ivs[2];
      xt_request request;
      xt_error error;
      mixed_request(&f, r, ivs, &request);
      ASSERT_OK(xt_session_generate(f.session, &request, 1, &o, some, &error));
      models_same(&many[r], some);
      xt_generation_deinit(some);
    }
    for (size_t r = 0; r < MANY; r++) xt_generation_deinit(&many[r]);
    fixture_close(&f);
  }
}

/* Options that must not change a bit: threads, and a memory limit that cuts the rows into waves. */
static void check_same_under(size_t kind, const xt_model_options *a, const xt_model_options *b) {
  static xt_generation x[MANY], y[MANY];
  const size_t n = 200;
  const xt_generate_options o = {.max_new_tokens = 12};
  Fixture f = fixture_open(kind, a), g = fixture_open(kind, b);
  run_mixed(&f, n, &o, x);
  run_mixed(&g, n, &o, y);
  for (size_t r = 0; r < n; r++) {
    models_same(&x[r], &y[r]);
    xt_generation_deinit(&x[r]);
    xt_generation_deinit(&y[r]);
  }
  fixture_close(&f);
  fixture_close(&g);
}

static void test_threads_do_not_matter(void **state) {
  (void)state;
  for (size_t kind = 0; kind < KINDS; kind++)
    check_same_under(kind, &(xt_model_options){.threads = 1}, &(xt_model_options){.threads = 2});
}

static void test_memory_does_not_matter(void **state) {
  (void)state;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_model_info info;
    xt_model_get_info(f.model, &info);
    const uint64_t tight = info.weight_bytes + xt_model_session_bytes(f.model, 60, 9, 12);
    fixture_close(&f);
    check_same_under(kind, NULL, &(xt_model_options){.memory_limit = tight});
  }
}

/* Every kernel set stays close to the plain loops. */
static void test_kernels_agree(void **state) {
  (void)state;
  static const char *const names[] = {"avx512", "avx2", "neon", "portable"};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture plain = fixture_open(kind, &(xt_model_options){.cpu_kernels = "reference"});
    xt_model_info info;
    xt_model_get_info(plain.model, &info);
    for (size_t k = 0; k < 4; k++) {
      char path[128];
      xt_model *model;
      xt_error error;
      const xt_model_options o = {.cpu_kernels = names[k]};
      const xt_status status = xt_model_open(
          models_make(kinds[kind].shape, kinds[kind].dtype, path), &o, &model, &error);
      if (status == XT_STATUS_UNSUPPORTED) continue; /* not on this processor */
      assert_int_equal(status, XT_STATUS_OK);
      xt_model_close(model);
      Fixture f = fixture_open(kind, &o);
      for (int p = 0; p < PROMPTS; p++)
        for (int tap = 0; tap < XT_TAP_COUNT; tap++)
          for (int l = 0; l < f.layers; l++)
            for (int c = 0; c < info.width; c++) {
              const float a = xt_taps_get(plain.taps[p], (xt_tap)tap, l)[c],
                          b = xt_taps_get(f.taps[p], (xt_tap)tap, l)[c];
              /* values lie within about 30; sums of 168 float32 products in another order */
              assert_true(a - b < 2e-4f && b - a < 2e-4f);
            }
      fixture_close(&f);
    }
    fixture_close(&plain);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_identity),
                                     cmocka_unit_test(test_transplant_takes_effect),
                                     cmocka_unit_test(test_block_at_last_layer_is_lens),
                                     cmocka_unit_test(test_taps_below_are_unchanged),
                                     cmocka_unit_test(test_rows_do_not_matter),
                                     cmocka_unit_test(test_threads_do_not_matter),
                                     cmocka_unit_test(test_memory_does_not_matter),
                                     cmocka_unit_test(test_kernels_agree)};
  return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
