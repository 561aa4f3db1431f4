/* SPDX-License-Identifier: Apache-2.0 */
/* Two sessions of one model on a GPU, of which one fails: only a device that is lost takes the other
 * with it. XT_TEST_GPU names a device. */
#include "engine/session.h"
#include "gpu_sides.h"
#include "models.h"

static GpuDriver failing; /* the device's own, until it is told to fail */
static const GpuDriver *real;
static xt_status launches_give, buffers_give; /* OK: what the device gives */

static xt_status launch(GpuDevice *d, const GpuLaunch *launch, xt_error *error) {
  if (!launches_give) return real->launch(d, launch, error);
  return err_set(error, launches_give, NULL, NULL, -1, "a launch failed");
}
static xt_status buffer(GpuDevice *d, GpuBuffer *buffer, xt_error *error) {
  if (!buffers_give) return real->buffer(d, buffer, error);
  return err_set(error, buffers_give, NULL, NULL, -1, "no room");
}

static const int32_t ids[] = {1, 5, 9, 33, 20, 8};

/* The sum of what is generated, or how it failed. */
static xt_status generate(xt_session *session, double *sum) {
  const xt_request request = {.ids = ids, .count = 6};
  xt_generation out;
  xt_error error;
  const xt_status status = xt_session_generate(
      session, &request, 1, &(xt_generate_options){.max_new_tokens = 4}, &out, &error);
  *sum = 0;
  for (size_t t = 0; t < out.count; t++) *sum += (double)out.ids[t] + (double)out.entropies[t];
  xt_generation_deinit(&out);
  return status;
}

static void test_sessions(void **state) {
  NEEDS_GPU();
  xt_model *model;
  xt_session *one, *two, *three;
  xt_error error;
  double wanted, sum;
  models_open("tiny-llama", "f32", &(xt_model_options){.threads = 1, .device = gpu->device}, &model,
              &one);
  ASSERT_OK(xt_session_create(model, &two, &error));
  GpuDevice *d = gpu_of(one->backend)->device;
  real = d->driver;
  failing = *real;
  failing.launch = launch, failing.buffer = buffer;
  d->driver = &failing;
  ASSERT_OK(generate(two, &wanted));
  /* one has no room, for a launch or for attention's scores: its next calls say so, too */
  launches_give = XT_STATUS_MEMORY;
  assert_int_equal(generate(one, &sum), XT_STATUS_MEMORY);
  launches_give = XT_STATUS_OK;
  assert_int_equal(generate(one, &sum), XT_STATUS_MEMORY);
  ASSERT_OK(generate(two, &sum));
  assert_true(sum == wanted);
  xt_session_free(one);
  ASSERT_OK(xt_session_create(model, &one, &error));
  GpuBackend *b = gpu_of(one->backend);
  GpuRoom room = {0};
  buffers_give = XT_STATUS_MEMORY;
  assert_false(gpu_room(b, &room, 100));
  buffers_give = XT_STATUS_OK;
  assert_int_equal(generate(one, &sum), XT_STATUS_MEMORY);
  ASSERT_OK(generate(two, &sum));
  assert_true(sum == wanted);
  /* and a session that is made now is well */
  ASSERT_OK(xt_session_create(model, &three, &error));
  ASSERT_OK(generate(three, &sum));
  assert_true(sum == wanted);
  /* lost: for all, and for those that are made later */
  launches_give = XT_STATUS_IO;
  assert_int_equal(generate(three, &sum), XT_STATUS_IO);
  launches_give = XT_STATUS_OK;
  assert_int_equal(generate(two, &sum), XT_STATUS_IO);
  xt_session_free(one);
  ASSERT_OK(xt_session_create(model, &one, &error));
  assert_int_equal(generate(one, &sum), XT_STATUS_IO);
  d->driver = real;
  xt_session_free(one), xt_session_free(two), xt_session_free(three), xt_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sessions)};
  return cmocka_run_group_tests_name("gpu sessions", tests, set_up, tear_down);
}
