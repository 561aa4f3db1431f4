/* SPDX-License-Identifier: Apache-2.0 */
/* Teacher-forced log-probabilities against Hugging Face transformers (tools/make_score_goldens.py),
 * and against generation: the same tokens, the same bits. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>

#include "models.h"

#define MODELS XT_SOURCE_DIR "/tests/golden/models"
#define GOLDENS XT_SOURCE_DIR "/tests/golden/score"
/* Of logits, which are below 20 here: how far float32 may be from float64 (MAX_DOUBLE_DIFFERENCE of
 * tools/make_goldens.py). */
#define TOLERANCE (5e-6 * 20)

typedef struct Case {
  int32_t ids[128];
  float logprobs[128], golden[128];
  size_t count, first;
} Case;

static size_t read_cases(const char *path, Case *cases, size_t most) {
  json_error_t wrong;
  json_t *root = json_load_file(path, 0, &wrong), *list = json_object_get(root, "sequences");
  const size_t n = json_array_size(list);
  assert_true(n > 0 && n <= most);
  for (size_t i = 0; i < n; i++) {
    const json_t *one = json_array_get(list, i), *ids = json_object_get(one, "ids"),
                 *values = json_object_get(one, "logprobs");
    cases[i].count = json_array_size(ids);
    cases[i].first = (size_t)json_integer_value(json_object_get(one, "first"));
    assert_true(cases[i].count <= 128 &&
                json_array_size(values) == cases[i].count - cases[i].first);
    for (size_t k = 0; k < cases[i].count; k++)
      cases[i].ids[k] = (int32_t)json_integer_value(json_array_get(ids, k));
    for (size_t k = 0; k < json_array_size(values); k++)
      cases[i].golden[k] = (float)json_number_value(json_array_get(values, k));
  }
  json_decref(root);
  return n;
}

static void score(xt_session *session, Case *cases, size_t n) {
  xt_error error;
  xt_score_request requests[64];
  for (size_t i = 0; i < n; i++)
    requests[i] = (xt_score_request){.ids = cases[i].ids,
                                     .count = cases[i].count,
                                     .first = cases[i].first,
                                     .logprobs = cases[i].logprobs};
  ASSERT_OK(xt_session_score(session, requests, n, NULL, NULL, &error));
}

static void check_model(const char *name) {
  xt_error error;
  xt_model *model;
  xt_session *session;
  char path[600];
  Case cases[16], alone[16];
  snprintf(path, sizeof path, "%s/%s", MODELS, name);
  ASSERT_OK(xt_model_open(path, NULL, &model, &error));
  ASSERT_OK(xt_session_create(model, &session, &error));
  snprintf(path, sizeof path, "%s/%s.json", GOLDENS, name);
  const size_t n = read_cases(path, cases, 16);
  memcpy(alone, cases, sizeof cases);
  score(session, cases, n);
  for (size_t i = 0; i < n; i++) {
    const size_t bytes = (cases[i].count - cases[i].first) * sizeof(float);
    for (size_t k = 0; k < cases[i].count - cases[i].first; k++)
      if (!(fabs((double)(cases[i].logprobs[k] - cases[i].golden[k])) <= TOLERANCE))
        fail_msg("%s, sequence %zu, token %zu: %.7g, transformers %.7g", name, i,
                 cases[i].first + k, (double)cases[i].logprobs[k], (double)cases[i].golden[k]);
    score(session, &alone[i], 1);
    assert_memory_equal(alone[i].logprobs, cases[i].logprobs, bytes);
  }
  xt_session_free(session);
  xt_model_close(model);
}

static void test_transformers(void **state) {
  (void)state;
  DIR *folder = opendir(MODELS);
  int count = 0;
  assert_non_null(folder);
  for (const struct dirent *entry; (entry = readdir(folder));)
    if (entry->d_name[0] != '.') {
      check_model(entry->d_name);
      count++;
    }
  closedir(folder);
  assert_true(count >= 8);
}

static const char *const shapes[] = {"tiny-llama", "tiny-mistral", "tiny-qwen2"};
static const int32_t prompt[] = {1, 80, 109, 108, 35, 112, 110, 120, 120, 35, 122, 100, 35, 78};

/* What generation chose, scored as given, has the same log-probabilities to the bit; whatever else
 * is scored beside it, in how many waves, by how many threads. */
static void test_generation(void **state) {
  (void)state;
  for (size_t m = 0; m < sizeof shapes / sizeof *shapes; m++) {
    xt_error error;
    xt_model *model;
    xt_session *session;
    xt_generation g;
    Case cases[40];
    memset(cases, 0, sizeof cases);
    const size_t n = 40, given = sizeof prompt / sizeof *prompt;
    models_open(shapes[m], "bf16", NULL, &model, &session);
    const xt_request request = {.ids = prompt, .count = given};
    const xt_generate_options how = {
        .max_new_tokens = 30, .ignore_eos = true, .repetition_penalty = 1};
    ASSERT_OK(xt_session_generate(session, &request, 1, &how, &g, &error));
    for (size_t i = 0; i < n; i++) { /* i tokens differ from the generated ones; others share no
                                        prefix */
      cases[i].count = given + g.count;
      cases[i].first = i % 3 == 2 ? 1 + i : given;
      memcpy(cases[i].ids, prompt, sizeof prompt);
      memcpy(cases[i].ids + given, g.ids, g.count * sizeof *g.ids);
      for (size_t k = 0; k < i && k < g.count; k++)
        cases[i].ids[given + k] = (int32_t)(7 + 3 * i + k) % 200;
    }
    score(session, cases, n);
    assert_memory_equal(cases[0].logprobs, g.logprobs, g.count * sizeof(float));
    xt_session_free(session);
    xt_model_close(model);
    Case again[40];
    memcpy(again, cases, sizeof again);
    for (size_t i = 0; i < n; i++) memset(again[i].logprobs, 0, sizeof again[i].logprobs);
    models_open(shapes[m], "bf16", &(xt_model_options){.threads = 2}, &model, &session);
    for (size_t i = 0; i < n; i += 8) score(session, again + i, n - i < 8 ? n - i : 8);
    for (size_t i = 0; i < n; i++)
      assert_memory_equal(again[i].logprobs, cases[i].logprobs, sizeof cases[i].logprobs);
    xt_generation_deinit(&g);
    xt_session_free(session);
    xt_model_close(model);
  }
}

enum { GIVEN = sizeof prompt / sizeof *prompt, NEW = 12, CASES = 6 };

/* Scores alone what was scored beside others: the same bits. */
static void score_alone(xt_session *session, const xt_score_request *request) {
  float alone[NEW];
  xt_score_request one = *request;
  one.logprobs = alone;
  one.best = NULL;
  xt_error error;
  ASSERT_OK(xt_session_score(session, &one, 1, NULL, NULL, &error));
  assert_memory_equal(alone, request->logprobs, sizeof alone);
}

/* Under interventions in the prompt, at its last token, at scored tokens and at all of them: what
 * generation chose has generation's log-probabilities to the bit and is the most likely token, alone
 * and beside the same tokens under others. */
static void test_interventions(void **state) {
  (void)state;
  for (size_t m = 0; m < sizeof shapes / sizeof *shapes; m++) {
    xt_error error;
    xt_model *model;
    xt_session *session;
    xt_taps *taps;
    models_open(shapes[m], "bf16", NULL, &model, &session);
    ASSERT_OK(xt_session_capture(
        session, &(xt_request){.ids = (const int32_t[]){1, 90, 40}, .count = 3}, &taps, &error));
    const float *block = xt_taps_get(taps, XT_TAP_BLOCK, 2),
                *ffn = xt_taps_get(taps, XT_TAP_FFN, 1);
    const xt_intervention changes[] = {
        {XT_TAP_BLOCK, 1, XT_POSITION_LAST, XT_RULE_REPLACE, 0, block, 0},
        {XT_TAP_FFN, 2, 3, XT_RULE_ADD, 8, ffn, 0},
        {XT_TAP_ATTN, 0, XT_POSITION_ALL, XT_RULE_BLEND, 0.4f, ffn, 0},
        {XT_TAP_BLOCK, 2, GIVEN + 4, XT_RULE_REPLACE, 0, block, 0}};
    /* none, each alone, all */
    const struct {
      size_t first, count;
    } lists[CASES] = {{0, 0}, {0, 1}, {1, 1}, {2, 1}, {3, 1}, {0, 4}};
    xt_request requests[CASES];
    xt_generation g[CASES];
    xt_score_request scores[CASES];
    int32_t ids[CASES][GIVEN + NEW], best[CASES][NEW];
    float logprobs[CASES][NEW];
    for (size_t i = 0; i < CASES; i++)
      requests[i] = (xt_request){.ids = prompt,
                                 .count = GIVEN,
                                 .interventions = changes + lists[i].first,
                                 .intervention_count = lists[i].count};
    const xt_generate_options how = {
        .max_new_tokens = NEW, .ignore_eos = true, .repetition_penalty = 1};
    ASSERT_OK(xt_session_generate(session, requests, CASES, &how, g, &error));
    for (size_t i = 0; i < CASES; i++) {
      memcpy(ids[i], prompt, sizeof prompt);
      memcpy(ids[i] + GIVEN, g[i].ids, NEW * sizeof *g[i].ids);
      if (i) assert_memory_not_equal(g[i].logprobs, g[0].logprobs, NEW * sizeof(float));
      scores[i] = (xt_score_request){.ids = ids[i],
                                     .count = GIVEN + NEW,
                                     .first = GIVEN,
                                     .interventions = requests[i].interventions,
                                     .intervention_count = requests[i].intervention_count,
                                     .logprobs = logprobs[i],
                                     .best = best[i]};
    }
    ASSERT_OK(xt_session_score(session, scores, CASES, NULL, NULL, &error));
    for (size_t i = 0; i < CASES; i++) {
      assert_memory_equal(logprobs[i], g[i].logprobs, sizeof logprobs[i]);
      assert_memory_equal(best[i], g[i].ids, sizeof best[i]);
      score_alone(session, &scores[i]);
      xt_generation_deinit(&g[i]);
    }
    xt_taps_free(taps);
    xt_session_free(session);
    xt_model_close(model);
  }
}

static bool never(void *user) {
  ++*(int *)user;
  return true;
}

static void refused(xt_session *session, const int32_t *ids, size_t count, size_t first,
                    const char *part) {
  xt_error error;
  float out[64];
  const xt_score_request request = {.ids = ids, .count = count, .first = first, .logprobs = out};
  assert_int_equal(xt_session_score(session, &request, 1, NULL, NULL, &error), XT_STATUS_ARGUMENT);
  if (!strstr(error.message, part)) fail_msg("'%s' does not say '%s'", error.message, part);
}

static void test_bad_requests(void **state) {
  (void)state;
  xt_error error;
  xt_model *model;
  xt_session *session;
  int asked = 0;
  float out[16];
  models_open("tiny-llama", "bf16", NULL, &model, &session);
  refused(session, prompt, 5, 0, "must come before");
  refused(session, prompt, 5, 6, "cannot be scored");
  refused(session, (const int32_t[]){1, 2, -1}, 3, 1, "token 2 is id -1");
  refused(session, (const int32_t[]){1, 999999, 3}, 3, 1, "id 999999");
  const xt_score_request one = {.ids = prompt, .count = 5, .first = 1, .logprobs = out};
  assert_int_equal(xt_session_score(session, &one, 1, never, &asked, &error), XT_STATUS_CANCELLED);
  assert_int_equal(asked, 1);
  const xt_score_request empty = {.ids = prompt, .count = 5, .first = 5};
  /* nothing to do, so nothing is asked */
  ASSERT_OK(xt_session_score(session, &empty, 1, never, &asked, &error));
  /* the last token is not run: only its probability is asked for */
  const float value[512] = {0};
  const xt_score_request beyond = {
      .ids = prompt,
      .count = 5,
      .first = 2,
      .interventions = &(xt_intervention){XT_TAP_FFN, 0, 4, XT_RULE_REPLACE, 0, value, 0},
      .intervention_count = 1,
      .logprobs = out};
  assert_int_equal(xt_session_score(session, &beyond, 1, NULL, NULL, &error), XT_STATUS_ARGUMENT);
  assert_non_null(
      strstr(error.message, "position 4 is never reached; the run has positions 0 to 3"));
  xt_session_free(session);
  xt_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_transformers), cmocka_unit_test(test_generation),
      cmocka_unit_test(test_interventions), cmocka_unit_test(test_bad_requests)};
  return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
