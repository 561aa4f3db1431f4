/* SPDX-License-Identifier: Apache-2.0 */
#include "backend/gpu/gpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text_buffer.h"

static const GpuDriver *const drivers[] = {&gpu_cuda, &gpu_opencl};
#define DRIVERS (sizeof drivers / sizeof *drivers)

typedef struct GpuState {
  pthread_mutex_t lock;
  int users;
  xt_error lost;   /* what ended the device for all users; status OK: nothing did */
  void *halves[2]; /* of the stage */
  int half;        /* the last one that was asked for */
  bool staging;    /* somebody uses it */
} GpuState;

/* What a driver has, and which of it cannot be used. */
static int list_of(const GpuDriver *driver, GpuInfo *out, int most, char why[256]) {
  const int count = driver->list(out, most, why);
  for (int i = 0; i < count; i++)
    if (out[i].items < GPU_ITEMS)
      snprintf(out[i].unfit, sizeof out[i].unfit,
               "its work-groups have at most %d items, and the kernels' have %d", out[i].items,
               GPU_ITEMS);
  return count;
}

int gpu_devices(GpuInfo out[GPU_DEVICES_MAX], char why[256]) {
  int count = 0;
  why[0] = 0;
  for (size_t d = 0; d < DRIVERS; d++) {
    char reason[256] = "";
    count += list_of(drivers[d], out + count, GPU_DEVICES_MAX - count, reason);
    const size_t used = strlen(why);
    if (reason[0] && used + 3 < 256)
      snprintf(why + used, 256 - used, "%s%.100s", used ? "; " : "", reason);
  }
  return count;
}

void gpu_missing(char why[256]) {
  why[0] = 0;
  for (size_t d = 0; d < DRIVERS; d++) {
    GpuInfo found[GPU_DEVICES_MAX];
    char reason[256];
    if (drivers[d]->missing && drivers[d]->list(found, GPU_DEVICES_MAX, reason) > 0)
      drivers[d]->missing(why);
  }
}

/* "opencl:1" as a driver and an index. */
static const GpuDriver *find_driver(const char *name, int *index) {
  for (size_t d = 0; d < DRIVERS; d++) {
    const size_t length = strlen(drivers[d]->name);
    if (strncmp(name, drivers[d]->name, length) != 0) continue;
    *index = 0;
    if (name[length] == 0) return drivers[d];
    if (name[length] != ':' || !name[length + 1] || strlen(name + length + 1) > 4) continue;
    for (const char *at = name + length + 1; *at; at++) {
      if (*at < '0' || *at > '9') return NULL;
      *index = *index * 10 + (*at - '0');
    }
    return drivers[d];
  }
  return NULL;
}

/* `why`: what its driver says where it has no device at all; "": nothing. */
static xt_status no_such_device(const char *name, const char *why, xt_error *error) {
  GpuInfo found[GPU_DEVICES_MAX];
  char all[256];
  TextBuffer list = {0};
  const int count = gpu_devices(found, all);
  for (int i = 0; i < count; i++)
    text_buffer_format(&list, "%s%s (%.60s)", i ? ", " : "", found[i].id, found[i].name);
  const xt_status status =
      count == 0 ? err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                           "there is no device \"%.40s\": %.200s", name, all)
                 : err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                           "there is no device \"%.40s\"%s%.200s; there are cpu, %.400s", name,
                           why[0] ? ": " : "", why, list.failed ? "" : list.data);
  text_buffer_free(&list);
  return status;
}

xt_status gpu_open(const char *name, const GpuOptions *options, GpuDevice **out, xt_error *error) {
  static const GpuOptions defaults = {0};
  int index;
  GpuInfo found[GPU_DEVICES_MAX];
  char why[256] = "";
  *out = NULL;
  if (!options) options = &defaults;
  const GpuDriver *driver = find_driver(name, &index);
  if (!driver || index >= list_of(driver, found, GPU_DEVICES_MAX, why))
    return no_such_device(name, why, error);
  if (found[index].unfit[0])
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "%s (%s) cannot be used: %s",
                   found[index].id, found[index].name, found[index].unfit);
  if (found[index].lacks[0] && !options->inexact)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "%s (%s) does not promise %s, so that its results could differ from the CPU's; "
                   "--inexact takes it all the same",
                   found[index].id, found[index].name, found[index].lacks);
  if (options->tensor && !driver->tensor_open)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "%s (%s) computes in float32; products in other types are of CUDA devices and, "
                   "in bf16, of the cpu",
                   found[index].id, found[index].name);
  GpuState *state;
  TRY(MEM_ALLOC(&state, 1, error));
  const xt_status status = driver->open(index, options, out, error);
  if (status) {
    free(state);
    return status;
  }
  pthread_mutex_init(&state->lock, NULL);
  state->users = 1;
  (*out)->driver = driver;
  (*out)->state = state;
  (*out)->info = found[index];
  return XT_STATUS_OK;
}

GpuDevice *gpu_share(GpuDevice *device) {
  pthread_mutex_lock(&device->state->lock);
  device->state->users++;
  pthread_mutex_unlock(&device->state->lock);
  return device;
}

void gpu_close(GpuDevice *device) {
  if (!device) return;
  GpuState *state = device->state;
  pthread_mutex_lock(&state->lock);
  const int left = --state->users;
  pthread_mutex_unlock(&state->lock);
  if (left > 0) return;
  pthread_mutex_destroy(&state->lock);
  device->driver->close(device);
  free(state);
}

const GpuInfo *gpu_info(const GpuDevice *device) { return &device->info; }

uint64_t gpu_free_memory(GpuDevice *device) {
  pthread_mutex_lock(&device->state->lock);
  const uint64_t bytes = device->driver->free_memory(device);
  pthread_mutex_unlock(&device->state->lock);
  return bytes;
}

xt_status gpu_buffer(GpuDevice *device, size_t bytes, GpuBuffer **out, xt_error *error) {
  GpuBuffer *buffer;
  *out = NULL;
  if (bytes > device->info.largest)
    return err_set(error, XT_STATUS_MEMORY, NULL, NULL, -1,
                   "%s (%s) has no room for %.2f GiB at once; it gives at most %.2f GiB",
                   device->info.id, device->info.name, (double)bytes / 0x1p30,
                   (double)device->info.largest / 0x1p30);
  TRY(MEM_ALLOC(&buffer, 1, error));
  buffer->bytes = bytes ? bytes : 1;
  pthread_mutex_lock(&device->state->lock);
  const xt_status status = device->driver->buffer(device, buffer, error);
  pthread_mutex_unlock(&device->state->lock);
  if (status)
    free(buffer);
  else
    *out = buffer;
  return status;
}

void gpu_buffer_free(GpuDevice *device, GpuBuffer *buffer) {
  if (!buffer) return;
  pthread_mutex_lock(&device->state->lock);
  device->driver->buffer_free(device, buffer);
  pthread_mutex_unlock(&device->state->lock);
  free(buffer);
}

/* What a user has no room for, or asks too much of, is its own; what else a driver says ends the
 * device. Under the lock. */
static void note_failure(GpuUser *user, const xt_error *error) {
  const bool own = error->status == XT_STATUS_MEMORY || error->status == XT_STATUS_UNSUPPORTED ||
                   error->status == XT_STATUS_INPUT;
  xt_error *failure = own ? &user->failure : &user->device->state->lost;
  if (!failure->status) *failure = *error;
}

/* A command, unless an earlier one failed. */
#define COMMAND(user, call)                                                        \
  do {                                                                             \
    GpuState *state_ = (user)->device->state;                                      \
    pthread_mutex_lock(&state_->lock);                                             \
    xt_error error_;                                                               \
    if (!(user)->failure.status && !state_->lost.status && (call) != XT_STATUS_OK) \
      note_failure((user), &error_);                                               \
    pthread_mutex_unlock(&state_->lock);                                           \
  } while (0)

void gpu_write(GpuUser *user, GpuBuffer *to, size_t offset, const void *from, size_t bytes) {
  GpuDevice *d = user->device;
  if (bytes) COMMAND(user, d->driver->write(d, to, offset, from, bytes, &error_));
}

bool gpu_stage_begin(GpuDevice *d) {
  GpuState *state = d->state;
  pthread_mutex_lock(&state->lock);
  const bool is = d->driver->stage && !state->staging && d->driver->stage(d, state->halves);
  state->staging |= is;
  pthread_mutex_unlock(&state->lock);
  return is;
}

void *gpu_stage_next(GpuUser *user) {
  GpuDevice *d = user->device;
  const int half = d->state->half ^= 1;
  COMMAND(user, d->driver->stage_wait(d, half, &error_));
  return gpu_status(user, NULL) ? NULL : d->state->halves[half];
}

void gpu_stage_end(GpuDevice *d) {
  pthread_mutex_lock(&d->state->lock);
  d->state->staging = false;
  pthread_mutex_unlock(&d->state->lock);
}

void gpu_read(GpuUser *user, void *to, const GpuBuffer *from, size_t offset, size_t bytes) {
  GpuDevice *d = user->device;
  if (bytes) COMMAND(user, d->driver->read(d, to, from, offset, bytes, &error_));
}

void gpu_launch(GpuUser *user, const GpuLaunch *launch) {
  const uint32_t *groups = launch->groups;
  GpuDevice *d = user->device;
  xt_error error;
  if (groups[1] > d->info.grid || groups[2] > d->info.grid) {
    err_set(&error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
            "%s (%s) starts at most %u by %u work-groups of %s, not %u by %u", d->info.id,
            d->info.name, d->info.grid, d->info.grid, gpu_kernel_names[launch->kernel], groups[1],
            groups[2]);
    gpu_fail(user, &error);
  } else if (groups[0] && groups[1] && groups[2])
    COMMAND(user, d->driver->launch(d, launch, &error_));
}

xt_status gpu_tensor_open(GpuDevice *d, const GpuOptions *options, char name[48], xt_error *error) {
  pthread_mutex_lock(&d->state->lock);
  const xt_status status = d->driver->tensor_open(d, options, name, error);
  pthread_mutex_unlock(&d->state->lock);
  return status;
}

xt_status gpu_tensor_find(GpuDevice *d, GpuTensorShape shape, int *count, xt_error *error) {
  pthread_mutex_lock(&d->state->lock);
  const xt_status status = d->driver->tensor_find(d, shape, count, error);
  pthread_mutex_unlock(&d->state->lock);
  return status;
}

xt_status gpu_tensor_pin(GpuDevice *d, GpuTensorShape shape, int which, bool keep,
                         xt_error *error) {
  pthread_mutex_lock(&d->state->lock);
  const xt_status status = d->driver->tensor_pin(d, shape, which, keep, error);
  pthread_mutex_unlock(&d->state->lock);
  return status;
}

bool gpu_tensor_is_pinned(GpuDevice *d, GpuTensorShape shape) {
  pthread_mutex_lock(&d->state->lock);
  const bool is = d->driver->tensor_is_pinned(d, shape);
  pthread_mutex_unlock(&d->state->lock);
  return is;
}

void gpu_tensor_multiply(GpuUser *user, const GpuTensorProduct *product) {
  GpuDevice *d = user->device;
  COMMAND(user, d->driver->tensor_multiply(d, product, &error_));
}

void gpu_fail(GpuUser *user, const xt_error *error) {
  pthread_mutex_lock(&user->device->state->lock);
  note_failure(user, error);
  pthread_mutex_unlock(&user->device->state->lock);
}

xt_status gpu_status(GpuUser *user, xt_error *error) {
  pthread_mutex_lock(&user->device->state->lock);
  const xt_error lost = user->device->state->lost;
  pthread_mutex_unlock(&user->device->state->lock);
  const xt_error *failure = user->failure.status ? &user->failure : &lost;
  if (failure->status && error) *error = *failure;
  return failure->status;
}

xt_status gpu_finish(GpuUser *user, xt_error *error) {
  GpuDevice *d = user->device;
  COMMAND(user, d->driver->finish(d, &error_));
  return gpu_status(user, error);
}
