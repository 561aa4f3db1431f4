/* SPDX-License-Identifier: Apache-2.0 */
/* What a decoding step asks of the backend: a recording op table around the CPU's counts calls,
 * transfers and waits. On a device each transfer costs microseconds and each wait an idle moment,
 * so their number may not grow with layers, rows or instances. */
#include "engine/session.h"
#include "models.h"

enum { STEPS_MOST = 64, ROWS = 5 };

/* Calls since the last step. */
typedef struct Calls {
  int uploads, downloads, ops;
} Calls;

static const BackendOps *inner;
static Calls calls, steps[STEPS_MOST];
static int step_count, fails_after; /* fails_after: `status` calls that are well; -1: all */

static void record_upload(Backend *b, Dev to, const void *from, size_t bytes) {
  calls.uploads++;
  inner->upload(b, to, from, bytes);
}
static void record_download(Backend *b, void *to, Dev from, size_t bytes) {
  calls.downloads++;
  inner->download(b, to, from, bytes);
}
static xt_status record_status(Backend *b, xt_error *error) {
  if (fails_after >= 0 && fails_after-- == 0) {
    fails_after = 0; /* sticky */
    return err_set(error, XT_STATUS_MEMORY, NULL, NULL, -1, "the device is out of memory");
  }
  return inner->status(b, error);
}
static void record_matmul(Backend *b, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  calls.ops++;
  inner->matmul(b, y, x, w, bias, m);
}
static void record_attend(Backend *b, const AttendArgs *args) {
  calls.ops++;
  inner->attend(b, args);
}
static void record_mix(Backend *b, const MixArgs *args) {
  calls.ops++;
  inner->mix(b, args);
}
static void record_choose(Backend *b, const ChooseArgs *args) {
  calls.ops++;
  inner->choose(b, args);
}
static void record_copy_rows(Backend *b, Dev to, IndexList to_rows, Dev from, IndexList from_rows,
                             int m, int width) {
  calls.ops++;
  inner->copy_rows(b, to, to_rows, from, from_rows, m, width);
}

static BackendOps recording;

/* Called between two steps, and between prompts. */
static bool mark(void *user) {
  (void)user;
  assert_true(step_count < STEPS_MOST);
  steps[step_count++] = calls;
  calls = (Calls){0};
  return false;
}

static void record(const char *path, xt_model **model, xt_session **session) {
  xt_error error;
  ASSERT_OK(xt_model_open(path, &(xt_model_options){.threads = 1}, model, &error));
  ASSERT_OK(xt_session_create(*model, session, &error));
  inner = (*session)->backend->ops;
  recording = *inner;
  recording.upload = record_upload, recording.download = record_download,
  recording.status = record_status, recording.matmul = record_matmul;
  recording.attend = record_attend, recording.mix = record_mix, recording.choose = record_choose,
  recording.copy_rows = record_copy_rows;
  (*session)->backend->ops = &recording;
  calls = (Calls){0};
  step_count = 0;
  fails_after = -1;
}

/* `settings`: the text of its generation_config.json, or NULL. */
static void model_with(int layers, const char *settings, xt_model **model, xt_session **session) {
  xt_error error;
  char path[128], file[160];
  if (!models_folder[0]) models_make("tiny-mistral", "f32", path);
  snprintf(path, sizeof path, "%s/layers-%d%s", models_folder, layers, settings ? "-set" : "");
  /* with a sliding window */
  const xt_synth_options options = {.shape = "tiny-mistral", .layers = layers, .seed = 3};
  if (access(path, F_OK) != 0) ASSERT_OK(xt_model_synthesize(&options, path, &error));
  if (settings) {
    snprintf(file, sizeof file, "%s/generation_config.json", path);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs(settings, out);
    fclose(out);
  }
  record(path, model, session);
}
static void model_of(int layers, xt_model **model, xt_session **session) {
  model_with(layers, NULL, model, session);
}

static const int32_t prompts[ROWS][8] = {{1, 5, 9, 33, 20, 8, 14, 2},
                                         {1, 5, 9, 33, 7, 8},
                                         {4},
                                         {1, 5, 9, 33, 20, 8, 14, 3},
                                         {60, 61, 62}};
static const size_t lengths[ROWS] = {8, 6, 1, 8, 3};

/* The last `count` steps have at most four uploads, one download, and as many ops for each
 * layer. */
static Calls check_steps(int count) {
  assert_true(step_count >= count);
  const Calls last = steps[step_count - 1];
  for (int s = step_count - count; s < step_count; s++) {
    assert_true(steps[s].uploads >= 1 && steps[s].uploads <= 4);
    assert_int_equal(steps[s].downloads, 1);
  }
  return last;
}

static xt_status ignore(void *user, const xt_sweep_response *r, xt_error *error) {
  (void)user, (void)r, (void)error;
  return XT_STATUS_OK;
}

static const int layer_counts[] = {2, 8};

static void test_sweep_steps(void **state) {
  (void)state;
  Calls found[2];
  for (int k = 0; k < 2; k++) {
    xt_model *model;
    xt_session *session;
    xt_error error;
    static const int sources[] = {0, 1}, targets[] = {0, 1};
    xt_site sites[3];
    xt_instance instances[ROWS];
    model_of(layer_counts[k], &model, &session);
    for (int s = 0; s < 3; s++)
      ASSERT_OK(xt_site_parse(((const char *[]){"attn", "ffn", "block"})[s], &sites[s], &error));
    for (int i = 0; i < ROWS; i++)
      instances[i] = (xt_instance){.source = prompts[i],
                                   .source_count = lengths[i],
                                   .target = prompts[(i + 1) % ROWS],
                                   .target_count = lengths[(i + 1) % ROWS],
                                   .run_source = true};
    const xt_sweep_options o = {.sites = sites,
                                .site_count = 3,
                                .source_layers = sources,
                                .source_layer_count = 2,
                                .target_layers = targets,
                                .target_layer_count = 2,
                                .max_new_tokens = 6,
                                .ignore_eos = true,
                                .repetition_penalty = 1.3,
                                .cancel = mark};
    ASSERT_OK(xt_session_sweep(session, instances, ROWS, &o, ignore, NULL, NULL, &error));
    found[k] = check_steps(5);
    xt_session_free(session), xt_model_close(model);
  }
  assert_int_equal(found[0].uploads, found[1].uploads);
  const int a_layer = (found[1].ops - found[0].ops) / (layer_counts[1] - layer_counts[0]);
  assert_true(a_layer >= 5 && a_layer <= 6); /* four products, attention, perhaps rows that part */
}

static void test_generation_steps(void **state) {
  (void)state;
  Calls found[2];
  for (int k = 0; k < 2; k++) {
    xt_model *model;
    xt_session *session;
    xt_error error;
    xt_model_info info;
    xt_request requests[ROWS];
    xt_generation out[ROWS];
    model_of(layer_counts[k], &model, &session);
    xt_model_get_info(model, &info);
    float *value = calloc((size_t)info.width, sizeof *value);
    xt_intervention ivs[ROWS];
    for (int r = 0; r < ROWS; r++) { /* all at a generated token, so that a step has edits of
                                        every row */
      ivs[r] = (xt_intervention){.write = XT_TAP_MID,
                                 .layer = 1,
                                 .position = (int)lengths[r] + 2,
                                 .rule = XT_RULE_ADD,
                                 .alpha = 1,
                                 .value = value};
      requests[r] = (xt_request){.ids = prompts[r],
                                 .count = lengths[r],
                                 .interventions = &ivs[r],
                                 .intervention_count = 1};
    }
    const xt_generate_options o = {
        .max_new_tokens = 6, .ignore_eos = true, .repetition_penalty = 1.3, .cancel = mark};
    ASSERT_OK(xt_session_generate(session, requests, ROWS, &o, out, &error));
    mark(NULL);
    /* of all rows in one call of mix */
    assert_int_equal(steps[step_count - 3].ops, steps[step_count - 2].ops + 1);
    found[k] = check_steps(6);
    for (int r = 0; r < ROWS; r++) xt_generation_deinit(&out[r]);
    free(value);
    xt_session_free(session), xt_model_close(model);
  }
  assert_int_equal(found[0].uploads, found[1].uploads);
  assert_int_equal(found[1].ops - found[0].ops, 5 * (layer_counts[1] - layer_counts[0]));
}

/* An op that fails in the middle is an error of the call that meets it, and of every call after
 * it. */
static void test_failures(void **state) {
  (void)state;
  static const int after[] = {0, 2, 5, 7};
  for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
    xt_model *model;
    xt_session *session;
    xt_error error;
    xt_generation out;
    xt_taps *taps;
    const xt_request request = {.ids = prompts[0], .count = lengths[0]};
    model_of(2, &model, &session);
    fails_after = after[i];
    xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};
    const xt_instance instance = {.source = prompts[1],
                                  .source_count = lengths[1],
                                  .target = prompts[0],
                                  .target_count = lengths[0]};
    const xt_sweep_options o = {
        .sites = &site, .site_count = 1, .max_new_tokens = 8, .ignore_eos = true};
    assert_int_equal(xt_session_sweep(session, &instance, 1, &o, ignore, NULL, NULL, &error),
                     XT_STATUS_MEMORY);
    assert_non_null(strstr(error.message, "out of memory"));
    assert_int_equal(xt_session_generate(session, &request, 1, NULL, &out, &error),
                     XT_STATUS_MEMORY);
    assert_null(out.ids);
    assert_int_equal(xt_session_capture(session, &request, &taps, &error), XT_STATUS_MEMORY);
    assert_null(taps);
    xt_session_free(session), xt_model_close(model);
  }
}

/* The last step of five rows; `at_once`: rows that a layer's half, and rows of logits that a choice,
 * works on at a time. */
static Calls last_of_generation(xt_model *model, xt_session *session, int at_once,
                                float temperature) {
  xt_error error;
  xt_request requests[ROWS] = {{0}};
  xt_generation out[ROWS];
  session->backend->limits.work_rows = session->backend->limits.logit_rows = at_once;
  for (int r = 0; r < ROWS; r++) requests[r] = (xt_request){.ids = prompts[r], .count = lengths[r]};
  const xt_generate_options o = {
      .max_new_tokens = 4, .ignore_eos = true, .temperature = (double)temperature, .cancel = mark};
  ASSERT_OK(xt_session_generate(session, requests, ROWS, &o, out, &error));
  mark(NULL);
  for (int r = 0; r < ROWS; r++) xt_generation_deinit(&out[r]);
  xt_session_free(session), xt_model_close(model);
  return steps[step_count - 1];
}

/* What costs more transfers than a greedy step of a dense model: backend.h says how many. */
static void test_dear_steps(void **state) {
  (void)state;
  static const int at_once[][2] = {{512, 1}, {2, 3}}; /* and the pieces that makes of five rows */
  for (int k = 0; k < 2; k++) {
    const int rows = at_once[k][0], pieces = at_once[k][1];
    xt_model *model;
    xt_session *session;
    xt_model_info info;
    record(XT_SOURCE_DIR "/tests/golden/models/mixtral", &model, &session);
    xt_model_get_info(model, &info);
    assert_true(info.layers > 1);
    Calls last = last_of_generation(model, session, rows, 0);
    assert_int_equal(last.uploads, 1 + info.layers * pieces);
    assert_int_equal(last.downloads, 1 + info.layers * pieces);
    model_of(2, &model, &session);
    last = last_of_generation(model, session, rows, 0.7f);
    assert_int_equal(last.uploads, 1);
    assert_int_equal(last.downloads, 1 + ROWS);
    model_with(2, "{\"eos_token_id\": 2, \"suppress_tokens\": [61, 9]}", &model, &session);
    last = last_of_generation(model, session, rows, 0);
    assert_int_equal(last.uploads, 1 + pieces);
    assert_int_equal(last.downloads, 1);
    model_of(2, &model, &session);
    last = last_of_generation(model, session, rows, 0);
    assert_int_equal(last.uploads, 1);
    assert_int_equal(last.downloads, 1);
  }
}

typedef struct Sum {
  double value; /* of every number of every response, in no order */
  int tokens;
} Sum;

static xt_status add_response(void *user, const xt_sweep_response *r, xt_error *error) {
  Sum *sum = user;
  (void)error;
  const double place =
      1 + 100 * (double)r->instance + 10 * r->site + 3 * r->source_layer + r->target_layer;
  for (size_t t = 0; t < r->generation->count; t++, sum->tokens++)
    sum->value += place * ((double)r->generation->ids[t] + (double)r->generation->margins[t] +
                           (double)r->generation->entropies[t]);
  return XT_STATUS_OK;
}

/* A backend that works on few rows at a time, or on many, gives the same; its limits are what the
 * buffers are made for. */
static void test_limits(void **state) {
  (void)state;
  static const int limits[][2] = {{512, 256}, {3, 2}, {1, 1}, {2000, 700}};
  Sum sums[4] = {{0, 0}};
  for (int k = 0; k < 4; k++) {
    xt_model *model;
    xt_session *session;
    xt_error error;
    xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};
    xt_instance instances[ROWS];
    model_of(2, &model, &session);
    session->backend->limits.work_rows = limits[k][0];
    session->backend->limits.logit_rows = limits[k][1];
    for (int i = 0; i < ROWS; i++)
      instances[i] = (xt_instance){.source = prompts[i],
                                   .source_count = lengths[i],
                                   .target = prompts[0],
                                   .target_count = lengths[0],
                                   .run_source = true};
    const xt_sweep_options o = {.sites = &site,
                                .site_count = 1,
                                .max_new_tokens = 5,
                                .ignore_eos = true,
                                .repetition_penalty = 1.3};
    ASSERT_OK(xt_session_sweep(session, instances, ROWS, &o, add_response, &sums[k], NULL, &error));
    assert_int_equal(sums[k].tokens, 5 * ROWS * (2 + 2 * 2));
    xt_model_info info;
    xt_model_get_info(model, &info);
    const int held = limits[k][1] < session->forward.rows ? limits[k][1] : session->forward.rows;
    assert_int_equal(session->forward.sizes.total - session->forward.sizes.logits,
                     (held * info.vocab + 15) / 16 * 16);
    xt_session_free(session), xt_model_close(model);
  }
  for (int k = 1; k < 4; k++) assert_true(sums[k].value == sums[0].value);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sweep_steps), cmocka_unit_test(test_generation_steps),
      cmocka_unit_test(test_dear_steps),  cmocka_unit_test(test_failures),
      cmocka_unit_test(test_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
