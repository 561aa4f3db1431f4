/* SPDX-License-Identifier: Apache-2.0 */
/* Two sessions of one model on a GPU, of which one fails: only a device that is lost takes the other
 * with it. Memory that is all but full. XT_TEST_GPU names a device. */
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
static size_t asked[16], most = SIZE_MAX; /* bytes of buffers: what was asked for, what is there */
static int asked_count;
static xt_status buffer(GpuDevice *d, GpuBuffer *buffer, xt_error *error) {
  if (asked_count < 16) asked[asked_count++] = buffer->bytes;
  if (buffer->bytes > most) return err_set(error, XT_STATUS_MEMORY, NULL, NULL, -1, "too much");
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

static xt_status launch_nothing(GpuDevice *d, const GpuLaunch *launch, xt_error *error) {
  (void)d, (void)launch, (void)error;
  return XT_STATUS_OK;
}

/* Room is asked for in plenty, then as it is needed; the memory that is timed is halved until it
 * fits. */
static void test_little_memory(void **state) {
  NEEDS_GPU();
  GpuBackend *b = gpu_of(gpu);
  const bool processor = b->device->info.processor;
  GpuRoom room = {0};
  double flops, bytes;
  xt_error error;
  real = b->device->driver;
  failing = *real;
  failing.buffer = buffer, failing.launch = launch_nothing;
  b->device->driver = &failing;
  b->device->info.processor = false;
  most = 1000;
  asked_count = 0;
  assert_true(gpu_room(b, &room, 1000));
  assert_int_equal(asked[0], 1250);
  assert_true(room.bytes == 1000 && room.buffer->bytes == 1000);
  assert_true(gpu_room(b, &room, 1000));
  assert_int_equal(asked_count, 2);
  gpu_buffer_free(b->device, room.buffer);
  most = 40 << 20;
  asked_count = 0;
  ASSERT_OK(gpu->ops->peak(gpu, &flops, &bytes, &error));
  for (int i = 0; i < 5; i++) assert_int_equal(asked[i], (size_t)512 << (20 - i));
  assert_int_equal(asked_count, 5);
  most = (16 << 20) - 1;
  asked_count = 0;
  assert_int_equal(gpu->ops->peak(gpu, &flops, &bytes, &error), XT_STATUS_MEMORY);
  assert_int_equal(asked_count, 6);
  ASSERT_OK(gpu->ops->status(gpu, &error));
  /* less than is needed: what is there says so */
  most = 999;
  room = (GpuRoom){0};
  assert_false(gpu_room(b, &room, 1000));
  assert_true(!room.buffer && !room.bytes);
  assert_int_equal(gpu->ops->status(gpu, &error), XT_STATUS_MEMORY);
  b->user.failure = (xt_error){0};
  b->device->info.processor = processor;
  b->device->driver = real;
  most = SIZE_MAX;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_little_memory),
                                     cmocka_unit_test(test_sessions)};
  return cmocka_run_group_tests_name("gpu sessions", tests, set_up, tear_down);
}
