/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts that run together: to the bit what each gives by itself, however many positions a backend
 * works on at a time; and no more work, in no more products, than what they do not share. */
#include "engine/session.h"
#include "engine_fixture.h"

#define MANY_PROMPTS 60
#define LONGEST 24
#define TRUNK 9 /* tokens that all but the last prompts begin with */

typedef struct Crowd {
  int32_t ids[MANY_PROMPTS][LONGEST];
  size_t lengths[MANY_PROMPTS];
  xt_request requests[MANY_PROMPTS];
  xt_intervention changes[MANY_PROMPTS];
} Crowd;

/* Prompts with a common beginning, which part where a group of theirs does and then each by itself; some
 * are the beginning of others, some equal others, and some begin anew. */
static void make_crowd(Crowd *c) {
  for (int p = 0; p < MANY_PROMPTS; p++) {
    c->lengths[p] = (size_t)(TRUNK + 1 + p % 14);
    for (int t = 0; t < LONGEST; t++)
      c->ids[p][t] = t < TRUNK       ? 30 + 3 * t
                     : t < TRUNK + 4 ? 40 + p % 5
                     : t < TRUNK + 8 ? 60 + p % 15 + t
                                     : 90 + p + t;
    if (p >= MANY_PROMPTS - 4) c->ids[p][0] = 7 + p % 2;
    if (p % 20 == 19) {
      memcpy(c->ids[p], c->ids[p - 1], sizeof *c->ids);
      c->lengths[p] = c->lengths[p - 1];
    }
    c->requests[p] = (xt_request){.ids = c->ids[p], .count = c->lengths[p]};
  }
}

/* Every third prompt is changed, at an inner token or at all. */
static void change_crowd(Crowd *c, const Fixture *f) {
  for (int p = 0; p < MANY_PROMPTS; p += 3) {
    c->changes[p] = put(f, 0, (xt_site){.read = XT_TAP_FFN, .write = XT_TAP_FFN}, p % f->layers,
                        p / 3 % f->layers);
    c->changes[p].rule = XT_RULE_ADD;
    c->changes[p].alpha = 0.5f;
    c->changes[p].position = p % 2 ? XT_POSITION_ALL : TRUNK - 2 + p % 5;
    if (c->changes[p].position >= (int)c->lengths[p]) c->changes[p].position = XT_POSITION_LAST;
    c->requests[p].interventions = &c->changes[p];
    c->requests[p].intervention_count = 1;
  }
}

static bool same_inner(const Crowd *c, int a, int b, size_t count) {
  return memcmp(c->ids[a], c->ids[b], count * sizeof **c->ids) == 0;
}

/* Inner positions of all prompts, each counted once if several have it. */
static int different_positions(const Crowd *c) {
  int count = 0;
  for (int p = 0; p < MANY_PROMPTS; p++)
    for (size_t t = 0; t + 1 < c->lengths[p]; t++) {
      bool known = false;
      for (int q = 0; q < p && !known; q++)
        known = t + 1 < c->lengths[q] && same_inner(c, p, q, t + 1);
      count += !known;
    }
  return count;
}

/* ---- the same bits --------------------------------------------------------------------------- */

static void same_taps(const xt_taps *a, const xt_taps *b, const xt_model_info *info) {
  const size_t width = (size_t)info->width * sizeof(float);
  for (int l = 0; l < info->layers; l++)
    for (int tap = 0; tap <= XT_TAP_HEADS; tap++)
      assert_memory_equal(
          xt_taps_get(a, (xt_tap)tap, l), xt_taps_get(b, (xt_tap)tap, l),
          tap == XT_TAP_HEADS ? (size_t)(info->heads * info->head_dim) * sizeof(float) : width);
  assert_memory_equal(xt_taps_embed(a), xt_taps_embed(b), width);
  assert_memory_equal(xt_taps_logits(a), xt_taps_logits(b), (size_t)info->vocab * sizeof(float));
}

static void check_same(const Fixture *f, const Crowd *c, xt_generation *alone, xt_taps **taps) {
  xt_error error;
  xt_model_info info;
  static xt_generation out[MANY_PROMPTS];
  xt_taps *all[MANY_PROMPTS];
  const xt_generate_options o = {.max_new_tokens = 3};
  xt_model_get_info(f->model, &info);
  ASSERT_OK(xt_session_generate(f->session, c->requests, MANY_PROMPTS, &o, out, &error));
  ASSERT_OK(xt_session_capture_all(f->session, c->requests, MANY_PROMPTS, all, &error));
  for (int p = 0; p < MANY_PROMPTS; p++) {
    models_same(&alone[p], &out[p]);
    same_taps(taps[p], all[p], &info);
    xt_generation_deinit(&out[p]);
    xt_taps_free(all[p]);
  }
}

static void test_prompts_do_not_matter(void **state) {
  (void)state;
  ON_ONE_THREAD();
  static const int work_rows[] = {512, 1, 7, 64};
  static Crowd c;
  static xt_generation alone[MANY_PROMPTS];
  xt_taps *taps[MANY_PROMPTS];
  xt_error error;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    const xt_generate_options o = {.max_new_tokens = 3};
    make_crowd(&c);
    change_crowd(&c, &f);
    for (int p = 0; p < MANY_PROMPTS; p++) {
      ASSERT_OK(xt_session_generate(f.session, &c.requests[p], 1, &o, &alone[p], &error));
      ASSERT_OK(xt_session_capture(f.session, &c.requests[p], &taps[p], &error));
    }
    for (size_t w = 0; w < sizeof work_rows / sizeof *work_rows; w++) {
      xt_session_free(f.session); /* its buffers have the size of the limits */
      ASSERT_OK(xt_session_create(f.model, &f.session, &error));
      f.session->backend->limits.work_rows = work_rows[w];
      if (f.session->backend->limits.logit_rows > work_rows[w])
        f.session->backend->limits.logit_rows = work_rows[w];
      check_same(&f, &c, alone, taps);
    }
    for (int p = 0; p < MANY_PROMPTS; p++) {
      xt_generation_deinit(&alone[p]);
      xt_taps_free(taps[p]);
    }
    fixture_close(&f);
  }
}

/* Prompts on both sides of the length from which on rotary angles depend on it, and in other architectures,
 * begin alike and run together. */
static void test_lengths_do_not_matter(void **state) {
  (void)state;
  ON_ONE_THREAD();
  static const char *const models[] = {"llama-dynamic", "phi3-longrope", "mixtral", "neox",
                                       "gemma3"};
  enum { COUNT = 16 };
  static int32_t ids[COUNT][60];
  xt_request requests[COUNT];
  xt_taps *all[COUNT];
  xt_error error;
  for (int p = 0; p < COUNT; p++) {
    for (int t = 0; t < 60; t++) ids[p][t] = t < 12 + p ? 5 + t % 40 : 7 + (p + t) % 40;
    requests[p] = (xt_request){.ids = ids[p], .count = (size_t)(15 + (p % 2 ? 2 * p : 0) + p / 3)};
  }
  for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
    char path[200];
    xt_model *model;
    xt_session *session;
    xt_model_info info;
    snprintf(path, sizeof path, "%s/tests/golden/models/%s", XT_SOURCE_DIR, models[m]);
    ASSERT_OK(xt_model_open(path, &(xt_model_options){.threads = 1}, &model, &error));
    ASSERT_OK(xt_session_create(model, &session, &error));
    xt_model_get_info(model, &info);
    ASSERT_OK(xt_session_capture_all(session, requests, COUNT, all, &error));
    for (int p = 0; p < COUNT; p++) {
      xt_taps *alone;
      ASSERT_OK(xt_session_capture(session, &requests[p], &alone, &error));
      same_taps(alone, all[p], &info);
      xt_taps_free(alone);
      xt_taps_free(all[p]);
    }
    xt_session_free(session);
    xt_model_close(model);
  }
}

/* ---- the work -------------------------------------------------------------------------------- */

static const BackendOps *inner;
static BackendOps counting;
static int products, product_rows, attended;

static void count_matmul(Backend *b, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  products++;
  product_rows += m;
  inner->matmul(b, y, x, w, bias, m);
}
static void count_attend(Backend *b, const AttendArgs *args) {
  attended += args->rows;
  inner->attend(b, args);
}

static void count_from_here(xt_session *session) {
  inner = session->backend->ops;
  counting = *inner;
  counting.matmul = count_matmul;
  counting.attend = count_attend;
  session->backend->ops = &counting;
  products = product_rows = attended = 0;
}

enum { LAYER_PRODUCTS = 4 }; /* q, k and v; out; gate and up; down */

/* Inner positions run in pieces of work_rows, with one product of each kind in a layer, but for the
 * last layer, where keys and values are all; then the last tokens do, each prompt's once. */
static void check_work(int positions, int last_tokens, int last_pieces, int work, int layers,
                       int logit_pieces) {
  const int pieces = (positions + work - 1) / work, all = LAYER_PRODUCTS * layers;
  assert_int_equal(products,
                   pieces * (all - LAYER_PRODUCTS + 1) + last_pieces * all + logit_pieces);
  assert_int_equal(product_rows, positions * (all - LAYER_PRODUCTS + 1) + last_tokens * (all + 1));
  assert_int_equal(attended, positions * (layers - 1) + last_tokens * layers);
}

static void test_prompts_share_products(void **state) {
  (void)state;
  ON_ONE_THREAD();
  static const int work_rows[] = {512, 50};
  static Crowd c;
  static xt_generation out[MANY_PROMPTS];
  xt_taps *taps[MANY_PROMPTS];
  xt_error error;
  make_crowd(&c);
  const int positions = different_positions(&c);
  assert_true(positions > 100 && positions < 512); /* of some 900, and in one piece */
  for (int k = 0; k < 2; k++) {
    Fixture f = fixture_open(0, NULL);
    const xt_generate_options one = {.max_new_tokens = 1};
    const int work = work_rows[k], pieces = (MANY_PROMPTS + work - 1) / work;
    xt_session_free(f.session);
    ASSERT_OK(xt_session_create(f.model, &f.session, &error));
    f.session->backend->limits.work_rows = work;
    if (work < f.session->backend->limits.logit_rows) f.session->backend->limits.logit_rows = work;
    count_from_here(f.session);
    ASSERT_OK(xt_session_generate(f.session, c.requests, MANY_PROMPTS, &one, out, &error));
    check_work(positions, MANY_PROMPTS, pieces, work, f.layers, pieces);
    for (int p = 0; p < MANY_PROMPTS; p++) xt_generation_deinit(&out[p]);
    products = product_rows = attended = 0;
    ASSERT_OK(xt_session_capture_all(f.session, c.requests, MANY_PROMPTS, taps, &error));
    check_work(positions, MANY_PROMPTS, pieces, work, f.layers, pieces);
    for (int p = 0; p < MANY_PROMPTS; p++) xt_taps_free(taps[p]);
    fixture_close(&f);
  }
}

/* ---- scoring --------------------------------------------------------------------------------- */

enum { OPTIONS = 5, OPTION_TOKENS = 4 };

/* Options behind one prompt, under no change and under one, are rows only where they differ; what each
 * is given is what it is given alone. */
static void test_options_share_rows(void **state) {
  (void)state;
  ON_ONE_THREAD();
  static const int32_t options[OPTIONS][OPTION_TOKENS] = {
      {50, 51, 52, 53}, {50, 51, 60, 61}, {50, 70, 71, 72}, {50, 51, 52, 54}, {80, 81, 82, 83}};
  /* rows: the prompt's last token, 50, 51, 52, 60, 70, 71, 80, 81, 82 */
  const int rows = 10;
  int32_t ids[OPTIONS][40 + OPTION_TOKENS];
  float logprobs[2][OPTIONS][OPTION_TOKENS], alone[OPTION_TOKENS];
  int32_t best[2][OPTIONS][OPTION_TOKENS], alone_best[OPTION_TOKENS];
  xt_score_request requests[2 * OPTIONS];
  xt_error error;
  Fixture f = fixture_open(0, NULL);
  const size_t given = lengths[0];
  const xt_intervention change =
      put(&f, 1, (xt_site){.read = XT_TAP_FFN, .write = XT_TAP_FFN}, 1, 2);
  for (int k = 0; k < 2 * OPTIONS; k++) {
    const int o = k % OPTIONS, run = k / OPTIONS;
    memcpy(ids[o], prompts[0], given * sizeof **ids);
    memcpy(ids[o] + given, options[o], sizeof options[o]);
    requests[k] = (xt_score_request){.ids = ids[o],
                                     .count = given + OPTION_TOKENS,
                                     .first = given,
                                     .logprobs = logprobs[run][o],
                                     .best = best[run][o],
                                     .interventions = run ? &change : NULL,
                                     .intervention_count = (size_t)run};
  }
  count_from_here(f.session);
  ASSERT_OK(xt_session_score(f.session, requests, 2 * OPTIONS, NULL, NULL, &error));
  check_work((int)given - 1, 2 * rows, 1, 512, f.layers, 1);
  for (int k = 0; k < 2 * OPTIONS; k++) {
    xt_score_request one = requests[k];
    one.logprobs = alone;
    one.best = alone_best;
    ASSERT_OK(xt_session_score(f.session, &one, 1, NULL, NULL, &error));
    assert_memory_equal(alone, requests[k].logprobs, sizeof alone);
    assert_memory_equal(alone_best, requests[k].best, sizeof alone_best);
  }
  assert_memory_not_equal(logprobs[0], logprobs[1], sizeof logprobs[0]);
  fixture_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_prompts_do_not_matter),
      cmocka_unit_test(test_lengths_do_not_matter),
      cmocka_unit_test(test_prompts_share_products),
      cmocka_unit_test(test_options_share_rows),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
