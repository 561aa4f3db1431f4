/* SPDX-License-Identifier: Apache-2.0 */
/* What a decoding step asks of a GPU's driver: launches, writes and reads, counted between the calls
 * of `cancel`. None of them grows with the number of prompts. XT_TEST_GPU names a device. */
#include "engine/session.h"
#include "models.h"

#include "backend/gpu/gpu_backend.h"

enum { STEPS_MOST = 64, PROMPTS = 6, TOKENS = 4 };

typedef struct Calls {
  int launches, writes, reads;
} Calls;

static GpuDriver counting;
static const GpuDriver *counted;
static Calls calls, steps[STEPS_MOST];
static int step_count;
static char device[24];
static int logit_rows; /* whose logits are computed together; 0: as many as the device says */

static xt_status count_launch(GpuDevice *d, const GpuLaunch *launch, xt_error *error) {
  calls.launches++;
  return counted->launch(d, launch, error);
}
static xt_status count_write(GpuDevice *d, GpuBuffer *to, size_t offset, const void *from,
                             size_t bytes, xt_error *error) {
  calls.writes++;
  return counted->write(d, to, offset, from, bytes, error);
}
static xt_status count_read(GpuDevice *d, void *to, const GpuBuffer *from, size_t offset,
                            size_t bytes, xt_error *error) {
  calls.reads++;
  return counted->read(d, to, from, offset, bytes, error);
}

static bool mark(void *user) {
  (void)user;
  assert_true(step_count < STEPS_MOST);
  steps[step_count++] = calls;
  calls = (Calls){0};
  return false;
}

static int find_device(void **state) {
  (void)state;
  GpuInfo found[GPU_DEVICES_MAX];
  char why[256];
  const char *name = getenv("XT_TEST_GPU");
  if (gpu_devices(found, why) == 0)
    print_message("# no device: %s\n", why);
  else
    snprintf(device, sizeof device, "%s", name ? name : found[0].id);
  return 0;
}

static void open_session(xt_model **model, xt_session **session) {
  xt_error error;
  char path[128];
  models_make("tiny-mistral", "f32", path); /* with a sliding window */
  ASSERT_OK(
      xt_model_open(path, &(xt_model_options){.threads = 1, .device = device}, model, &error));
  ASSERT_OK(xt_session_create(*model, session, &error));
  GpuDevice *d = gpu_of((*session)->backend)->device;
  counted = d->driver;
  counting = *counted;
  counting.launch = count_launch, counting.write = count_write, counting.read = count_read;
  d->driver = &counting;
  if (logit_rows) (*session)->backend->limits.logit_rows = logit_rows;
  step_count = 0;
  calls = (Calls){0};
}

/* Of different lengths, one of them without inner positions. */
static const int32_t ids[] = {1, 5, 9, 33, 20, 8, 14, 2, 60, 61, 62, 7};
static const size_t begins[PROMPTS] = {0, 3, 2, 5, 1, 4}, lengths[PROMPTS] = {8, 6, 9, 1, 7, 3};

static xt_status ignore(void *user, const xt_sweep_response *r, xt_error *error) {
  (void)user, (void)r, (void)error;
  return XT_STATUS_OK;
}

static void sweep(xt_session *session, int instances) {
  static const int layers[] = {0, 1};
  xt_error error;
  xt_site site;
  xt_instance list[PROMPTS];
  ASSERT_OK(xt_site_parse("ffn", &site, &error));
  for (int i = 0; i < instances; i++)
    list[i] = (xt_instance){.source = ids + begins[i],
                            .source_count = lengths[i],
                            .target = ids + begins[instances - 1 - i],
                            .target_count = lengths[instances - 1 - i]};
  const xt_sweep_options o = {.sites = &site,
                              .site_count = 1,
                              .source_layers = layers,
                              .source_layer_count = 2,
                              .target_layers = layers,
                              .target_layer_count = 2,
                              .max_new_tokens = TOKENS,
                              .ignore_eos = true,
                              .cancel = mark};
  ASSERT_OK(xt_session_sweep(session, list, (size_t)instances, &o, ignore, NULL, NULL, &error));
}

static void generate(xt_session *session, int prompts) {
  xt_error error;
  xt_request requests[PROMPTS] = {{0}};
  xt_generation out[PROMPTS];
  for (int i = 0; i < prompts; i++)
    requests[i] = (xt_request){.ids = ids + begins[i], .count = lengths[i]};
  const xt_generate_options o = {.max_new_tokens = TOKENS, .ignore_eos = true, .cancel = mark};
  ASSERT_OK(xt_session_generate(session, requests, (size_t)prompts, &o, out, &error));
  for (int i = 0; i < prompts; i++) xt_generation_deinit(&out[i]);
}

/* The calls of the last step, with so many prompts. */
static Calls last_step(void (*run)(xt_session *, int), int prompts) {
  xt_model *model;
  xt_session *session;
  open_session(&model, &session);
  run(session, prompts);
  mark(NULL);
  gpu_of(session->backend)->device->driver = counted;
  xt_session_free(session), xt_model_close(model);
  assert_true(step_count >= TOKENS);
  return steps[step_count - 2];
}

static void check_steps(void (*run)(xt_session *, int)) {
  static const int prompts[] = {1, 2, PROMPTS};
  Calls found[3];
  for (int k = 0; k < 3; k++) {
    found[k] = last_step(run, prompts[k]);
    if (getenv("XT_TEST_VERBOSE"))
      print_message("%d prompts: %d launches, %d writes, %d reads\n", prompts[k], found[k].launches,
                    found[k].writes, found[k].reads);
    assert_true(found[k].writes >= 1 && found[k].writes <= 4);
    /* the choices, with the sums from which the host finishes their entropies */
    assert_int_equal(found[k].reads, 1);
    if (logit_rows == 0) assert_int_equal(found[k].launches, found[0].launches);
  }
}

static void skip_gpu(void) {
  print_message("# needs an OpenCL device\n");
  skip();
}

static void test_sweep(void **state) {
  (void)state;
  if (!device[0]) skip_gpu();
  check_steps(sweep);
}
static void test_generation(void **state) {
  (void)state;
  if (!device[0]) skip_gpu();
  check_steps(generate);
}

/* Rows whose logits do not fit at once are chosen in parts, and read together. */
static void test_parts(void **state) {
  (void)state;
  if (!device[0]) skip_gpu();
  logit_rows = 2;
  check_steps(sweep);
  check_steps(generate);
  logit_rows = 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sweep),
                                     cmocka_unit_test(test_generation),
                                     cmocka_unit_test(test_parts)};
  return cmocka_run_group_tests_name("gpu steps", tests, find_device, NULL);
}
