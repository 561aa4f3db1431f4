/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the engine: interventions at any position, prompts that begin alike, progress,
 * rotary angles by length, requests that are refused. */
#include "engine_fixture.h"
/* A change at a generated token is the same as one at the last token of the prompt with what came
 * before it. Each position is changed in turn; the other requests of the call have changes
 * elsewhere or none. */
static void test_generated_positions(void **state) {
  (void)state;
  enum { NEW = 8, AT = 4 };
  const xt_generate_options o = {
      .max_new_tokens = NEW, .repetition_penalty = 1, .ignore_eos = true};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_intervention ivs[AT];
    xt_request requests[AT + 1];
    xt_generation out[AT + 1];
    xt_error error;
    int changed = 0;
    for (int k = 0; k <= AT; k++) {
      requests[k] = (xt_request){.ids = prompts[1], .count = lengths[1]};
      if (k == AT) break;
      ivs[k] = put(&f, 0, (xt_site){.read = XT_TAP_BLOCK, .write = XT_TAP_BLOCK}, 1, k);
      ivs[k].position = (int)lengths[1] + k;
      requests[k].interventions = &ivs[k];
      requests[k].intervention_count = 1;
    }
    ASSERT_OK(xt_session_generate(f.session, requests, AT + 1, &o, out, &error));
    for (int k = 0; k < AT; k++) {
      int32_t longer[64];
      const size_t count = lengths[1] + (size_t)k + 1;
      memcpy(longer, prompts[1], lengths[1] * sizeof *longer);
      memcpy(longer + lengths[1], out[AT].ids, ((size_t)k + 1) * sizeof *longer);
      /* before it, the untouched run's */
      assert_memory_equal(out[k].ids, out[AT].ids, ((size_t)k + 1) * sizeof *longer);
      ivs[k].position = XT_POSITION_LAST;
      const xt_request request = {
          .ids = longer, .count = count, .interventions = &ivs[k], .intervention_count = 1};
      xt_generation same;
      ASSERT_OK(xt_session_generate(f.session, &request, 1, &o, &same, &error));
      assert_memory_equal(out[k].ids + k + 1, same.ids, (size_t)(NEW - k - 1) * sizeof *longer);
      changed += memcmp(out[k].ids, out[AT].ids, NEW * sizeof *longer) != 0;
      xt_generation_deinit(&same);
    }
    assert_true(changed > 0);
    for (int k = 0; k <= AT; k++) xt_generation_deinit(&out[k]);
    fixture_close(&f);
  }
}

/* Changes inside the prompt: only prompts with the very same ones may share their beginning. */
static void test_inner_changes_are_not_shared(void **state) {
  (void)state;
  enum { VALUES = 24, MANY_INNER = VALUES + 24 };
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_intervention ivs[MANY_INNER];
    xt_request requests[MANY_INNER];
    static xt_generation out[MANY_INNER];
    xt_error error;
    for (int r = 0; r < MANY_INNER; r++) { /* other values at one place, then one value at other
                                              places */
      const bool values = r < VALUES;
      const xt_tap read = r / 2 % 2 ? XT_TAP_FFN : XT_TAP_ATTN;
      ivs[r] = put(&f, values ? r % 2 : 0,
                   (xt_site){.read = values ? read : XT_TAP_FFN, .write = XT_TAP_FFN},
                   values ? r / 4 : 2, values ? 1 : r % 6);
      ivs[r].position = values ? 3 : 3 + 7 * (r / 6 - VALUES / 6);
      requests[r] = (xt_request){.ids = prompts[1],
                                 .count = lengths[1],
                                 .interventions = &ivs[r],
                                 .intervention_count = 1};
    }
    ASSERT_OK(xt_session_generate(f.session, requests, MANY_INNER, NULL, out, &error));
    for (int r = 0; r < MANY_INNER; r++) {
      xt_generation alone;
      ASSERT_OK(xt_session_generate(f.session, &requests[r], 1, NULL, &alone, &error));
      models_same(&alone, &out[r]);
      xt_generation_deinit(&alone);
      xt_generation_deinit(&out[r]);
    }
    fixture_close(&f);
  }
}

/* Prompts that begin alike, one of which goes on from the other's keys and values, and an
 * intervention behind or before the place where they part: each generates what it does alone. */
static void test_shared_beginnings(void **state) {
  (void)state;
  enum { N = 8 };
  xt_error error;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    int32_t ids[N][40];
    size_t counts[N] = {24, 24, 24, 12, 31, 5, 24, 24};
    xt_request requests[N];
    xt_generation together[N];
    xt_intervention ivs[N] = {
        {.write = XT_TAP_BLOCK, .layer = 1, .value = xt_taps_get(f.taps[1], XT_TAP_BLOCK, 1)}};
    for (int r = 0; r < N; r++) {
      for (size_t i = 0; i < counts[r]; i++)
        ids[r][i] = i < lengths[0] ? prompts[0][i] : (int32_t)(40 + i);
      requests[r] = (xt_request){.ids = ids[r], .count = counts[r]};
      ivs[r] = ivs[0];
    }
    ids[1][20] = 77; /* parts from request 0 near the end */
    ids[2][2] = 9;   /* near the beginning */
    ivs[6].position = 12, ivs[7].position = 3, ivs[0].position = XT_POSITION_LAST;
    for (int r = 0; r < N; r += r ? 1 : 6)
      requests[r].interventions = &ivs[r], requests[r].intervention_count = 1;
    ASSERT_OK(xt_session_generate(f.session, requests, N, NULL, together, &error));
    for (int r = 0; r < N; r++) {
      xt_generation alone;
      ASSERT_OK(xt_session_generate(f.session, &requests[r], 1, NULL, &alone, &error));
      models_same(&alone, &together[r]);
      xt_generation_deinit(&alone), xt_generation_deinit(&together[r]);
    }
    fixture_close(&f);
  }
}

/* A change of all positions is the same change at each of them, and is shared by none but its
 * equals. */
static void test_all_positions(void **state) {
  (void)state;
  enum { NEW = 8, EACH = 40, N = 4 };
  const xt_generate_options o = {.max_new_tokens = NEW, .ignore_eos = true};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_intervention all[2], each[2 * EACH];
    xt_generation together[N], listed;
    xt_error error;
    const size_t reach = lengths[1] + NEW - 1;
    assert_true(reach <= EACH);
    for (int k = 0; k < 2; k++) {
      all[k] = put(&f, 0, (xt_site){.read = XT_TAP_FFN, .write = XT_TAP_BLOCK}, 2, 1);
      all[k].position = XT_POSITION_ALL, all[k].rule = XT_RULE_ADD, all[k].alpha = k ? 0.25f : 0.5f;
      for (size_t p = 0; p < reach; p++)
        each[2 * p + (size_t)k] = all[k], each[2 * p + (size_t)k].position = (int)p;
    }
    const xt_request changed = {
        .ids = prompts[1], .count = lengths[1], .interventions = all, .intervention_count = 2};
    xt_request requests[N] = {changed, changed, changed, changed};
    requests[1].intervention_count = 1;
    requests[2].intervention_count = 0;
    ASSERT_OK(xt_session_generate(f.session, requests, N, &o, together, &error));
    const xt_request by_one = {.ids = prompts[1],
                               .count = lengths[1],
                               .interventions = each,
                               .intervention_count = 2 * reach};
    ASSERT_OK(xt_session_generate(f.session, &by_one, 1, &o, &listed, &error));
    models_same(&listed, &together[0]);
    models_same(&listed, &together[3]);
    assert_memory_not_equal(together[0].margins, together[1].margins, NEW * sizeof(float));
    assert_memory_not_equal(together[1].margins, together[2].margins, NEW * sizeof(float));
    xt_taps *by_all, *by_each;
    xt_request captured = by_one;
    captured.intervention_count = 2 * lengths[1]; /* a capture goes no further */
    ASSERT_OK(xt_session_capture(f.session, &changed, &by_all, &error));
    ASSERT_OK(xt_session_capture(f.session, &captured, &by_each, &error));
    xt_model_info info;
    xt_model_get_info(f.model, &info);
    assert_memory_equal(xt_taps_logits(by_all), xt_taps_logits(by_each),
                        (size_t)info.vocab * sizeof(float));
    for (int l = 0; l < info.layers; l++) /* [layers, width] lies as one piece */
      assert_ptr_equal(xt_taps_get(by_all, XT_TAP_FFN, l),
                       xt_taps_get(by_all, XT_TAP_FFN, 0) + l * info.width);
    xt_taps_free(by_all), xt_taps_free(by_each);
    xt_generation_deinit(&listed);
    for (int r = 0; r < N; r++) xt_generation_deinit(&together[r]);
    fixture_close(&f);
  }
}

typedef struct Followed {
  double last;
  int told, stop_after;
} Followed;
static void follow(void *user, double requests) {
  Followed *f = user;
  assert_true(requests > f->last);
  f->last = requests;
  f->told++;
}
static bool enough(void *user) {
  return ((Followed *)user)->told == ((Followed *)user)->stop_after;
}

/* Progress rises to the number of requests, a step at a time, and cancel stops between two. */
static void test_progress(void **state) {
  (void)state;
  enum { N = 3, NEW = 5 };
  Fixture f = fixture_open(0, NULL);
  xt_request requests[N];
  xt_generation out[N];
  xt_error error;
  Followed followed = {.stop_after = -1};
  for (int r = 0; r < N; r++) requests[r] = (xt_request){.ids = prompts[r], .count = lengths[r]};
  xt_generate_options o = {.max_new_tokens = NEW,
                           .ignore_eos = true,
                           .progress = follow,
                           .cancel = enough,
                           .user = &followed};
  ASSERT_OK(xt_session_generate(f.session, requests, N, &o, out, &error));
  assert_int_equal(followed.told, NEW);
  assert_true(followed.last == N);
  for (int r = 0; r < N; r++) xt_generation_deinit(&out[r]);
  followed = (Followed){.stop_after = 2};
  assert_int_equal(xt_session_generate(f.session, requests, N, &o, out, &error),
                   XT_STATUS_CANCELLED);
  assert_int_equal(followed.told, 2);
  assert_null(out[0].ids);
  fixture_close(&f);
}

/* Blending with 1 replaces, with 0 changes nothing; adding 0 times changes nothing. */
/* Ends request r after r + 2 tokens, and sees each of them once. */
static bool end_at(void *user, size_t request, const int32_t *ids, size_t count) {
  size_t *seen = user;
  assert_int_equal(count, ++seen[request]);
  assert_in_range(ids[count - 1], 0, 100000);
  return count == request + 2;
}

/* A response that is ended early is the beginning of the whole one; the others go on. */
static void test_stop(void **state) {
  (void)state;
  enum { N = 3, NEW = 4 };
  Fixture f = fixture_open(0, NULL);
  xt_request requests[N];
  xt_generation whole[N], out[N];
  xt_error error;
  size_t seen[N] = {0};
  for (int r = 0; r < N; r++) requests[r] = (xt_request){.ids = prompts[r], .count = lengths[r]};
  xt_generate_options o = {.max_new_tokens = NEW, .ignore_eos = true};
  ASSERT_OK(xt_session_generate(f.session, requests, N, &o, whole, &error));
  o.stop = end_at;
  o.user = seen;
  ASSERT_OK(xt_session_generate(f.session, requests, N, &o, out, &error));
  for (size_t r = 0; r < N; r++) {
    assert_int_equal(out[r].count, r + 2);
    assert_int_equal(seen[r], r + 2);
    assert_false(out[r].stopped);
    assert_memory_equal(out[r].ids, whole[r].ids, out[r].count * sizeof *out[r].ids);
    assert_memory_equal(out[r].logprobs, whole[r].logprobs, out[r].count * sizeof *out[r].logprobs);
    xt_generation_deinit(&whole[r]);
    xt_generation_deinit(&out[r]);
  }
  fixture_close(&f);
}

static void test_rules(void **state) {
  (void)state;
  Fixture f = fixture_open(0, NULL);
  xt_generation untouched = generate_one(&f, 1, NULL, 0, NULL);
  xt_intervention iv = put(&f, 0, (xt_site){.read = XT_TAP_FFN, .write = XT_TAP_FFN}, 2, 1);
  xt_generation replaced = generate_one(&f, 1, &iv, 1, NULL);
  iv.rule = XT_RULE_BLEND;
  iv.alpha = 1;
  xt_generation blended = generate_one(&f, 1, &iv, 1, NULL);
  iv.alpha = 0;
  xt_generation kept = generate_one(&f, 1, &iv, 1, NULL);
  iv.rule = XT_RULE_ADD;
  xt_generation added = generate_one(&f, 1, &iv, 1, NULL);
  models_same(&replaced, &blended);
  models_same(&untouched, &kept);
  models_same(&untouched, &added);
  xt_generation *const all[] = {&untouched, &replaced, &blended, &kept, &added};
  for (size_t i = 0; i < 5; i++) xt_generation_deinit(all[i]);
  fixture_close(&f);
}

static void expect_refused(const Fixture *f, const xt_request *request,
                           const xt_generate_options *o, const char *part) {
  xt_error error;
  xt_generation out;
  assert_int_equal(xt_session_generate(f->session, request, 1, o, &out, &error),
                   XT_STATUS_ARGUMENT);
  assert_null(out.ids);
  if (!strstr(error.message, part)) fail_msg("'%s' does not say '%s'", error.message, part);
}

static void test_bad_requests(void **state) {
  (void)state;
  Fixture f = fixture_open(0, NULL);
  static int32_t far[2100];
  static const int32_t unknown[] = {5, 320};
  xt_intervention iv = put(&f, 0, (xt_site){.read = XT_TAP_FFN, .write = XT_TAP_FFN}, 2, 6);
  xt_request request = {
      .ids = prompts[0], .count = lengths[0], .interventions = &iv, .intervention_count = 1};
  expect_refused(&f, &request, NULL, "layers 0 to 5");
  iv.layer = 5;
  iv.position = 24 + 19;
  expect_refused(&f, &request, NULL, "never reached");
  iv.position = -4;
  expect_refused(&f, &request, NULL, "never reached");
  iv.position = 3;
  iv.value = NULL;
  expect_refused(&f, &request, NULL, "no value");
  request = (xt_request){.ids = far, .count = 2040};
  expect_refused(&f, &request, NULL, "the model has 2048");
  request = (xt_request){.ids = unknown, .count = 2};
  expect_refused(&f, &request, NULL, "ids 0 to 319");
  request.count = 0;
  expect_refused(&f, &request, NULL, "no tokens");
  request.count = 1;
  expect_refused(&f, &request, &(xt_generate_options){.max_new_tokens = -1}, "negative");
  fixture_close(&f);
}

/* Rotary angles that go by the length of the sequence: prompts that begin alike, on both sides of
 * the length, are as if each were alone. */
static void test_angles_by_length(void **state) {
  (void)state;
  enum { REQUESTS = 4, LONGEST = 44 };
  static const struct {
    const char *name;
    size_t counts[REQUESTS];
  } cases[] = {{"llama-dynamic", {20, 30, 36, 36}}, {"phi3-longrope", {20, 30, 40, 44}}};
  int32_t ids[LONGEST];
  for (int i = 0; i < LONGEST; i++) ids[i] = 1 + 37 * i % 290;
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    xt_request requests[REQUESTS] = {{0}};
    xt_generation together[REQUESTS], alone;
    const xt_generate_options o = {.max_new_tokens = 6, .ignore_eos = true};
    xt_model *model;
    xt_session *session;
    xt_error error;
    char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/models/%s", XT_SOURCE_DIR, cases[k].name);
    ASSERT_OK(xt_model_open(path, NULL, &model, &error));
    ASSERT_OK(xt_session_create(model, &session, &error));
    for (int r = 0; r < REQUESTS; r++)
      requests[r] = (xt_request){.ids = ids, .count = cases[k].counts[r]};
    ASSERT_OK(xt_session_generate(session, requests, REQUESTS, &o, together, &error));
    for (int r = 0; r < REQUESTS; r++) {
      ASSERT_OK(xt_session_generate(session, &requests[r], 1, &o, &alone, &error));
      models_same(&alone, &together[r]);
      xt_generation_deinit(&alone);
      xt_generation_deinit(&together[r]);
    }
    if (k == 1) { /* 36 positions: 30 tokens and 7 new ones need them all */
      const xt_generate_options most = {.max_new_tokens = 7}, beyond = {.max_new_tokens = 8};
      ASSERT_OK(xt_session_generate(session, &requests[1], 1, &most, &alone, &error));
      xt_generation_deinit(&alone);
      assert_int_equal(xt_session_generate(session, &requests[1], 1, &beyond, &alone, &error),
                       XT_STATUS_ARGUMENT);
      assert_non_null(strstr(error.message, "at most 7 new tokens"));
    }
    xt_session_free(session);
    xt_model_close(model);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_angles_by_length),
                                     cmocka_unit_test(test_generated_positions),
                                     cmocka_unit_test(test_inner_changes_are_not_shared),
                                     cmocka_unit_test(test_shared_beginnings),
                                     cmocka_unit_test(test_all_positions),
                                     cmocka_unit_test(test_progress),
                                     cmocka_unit_test(test_stop),
                                     cmocka_unit_test(test_rules),
                                     cmocka_unit_test(test_bad_requests)};
  return cmocka_run_group_tests_name("interventions", tests, NULL, NULL);
}
