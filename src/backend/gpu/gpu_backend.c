/* SPDX-License-Identifier: Apache-2.0 */
/* The op table on a GPU: making it, and its memory. */
#include "backend/gpu/gpu_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static xt_status alloc(Backend *backend, size_t bytes, Dev *out, xt_error *error) {
  GpuBuffer *buffer;
  *out = (Dev){0};
  TRY(gpu_buffer(gpu_of(backend)->device, bytes, &buffer, error));
  out->buffer = buffer;
  return XT_STATUS_OK;
}

static void release(Backend *backend, Dev d) {
  gpu_choices_forget(gpu_of(backend), d.buffer, 0, SIZE_MAX);
  gpu_buffer_free(gpu_of(backend)->device, d.buffer);
}

static void upload(Backend *backend, Dev to, const void *from, size_t bytes) {
  GpuBackend *b = gpu_of(backend);
  gpu_choices_forget(b, to.buffer, to.offset, bytes);
  gpu_write(&b->user, to.buffer, to.offset, from, bytes);
}

static void download(Backend *backend, void *to, Dev from, size_t bytes) {
  GpuBackend *b = gpu_of(backend);
  gpu_read_choices(b, to, from.buffer, from.offset, bytes);
  if (gpu_status(&b->user, NULL)) memset(to, 0, bytes);
}

static xt_status status_of(Backend *backend, xt_error *error) {
  GpuBackend *b = gpu_of(backend);
  if (b->flag) TRY(gpu_tensor_check(b, error));
  return gpu_finish(&b->user, error);
}

/* ---- what it gives --------------------------------------------------------------------------- */

/* Floats that are read and written for the rate of the memory: 512 MiB, more than caches hold, or as
 * little as 16 MiB. */
enum { PEAK_MOST = 1 << 27, PEAK_LEAST = 1 << 22 };

/* Seconds that a launch takes, the best of three after one that makes the kernel ready. */
static double time_launch(GpuUser *user, const GpuLaunch *launch) {
  double best = 0;
  for (int i = 0; i < 4; i++) {
    gpu_finish(user, NULL);
    const double begin = system_seconds();
    gpu_launch(user, launch);
    gpu_finish(user, NULL);
    const double took = system_seconds() - begin;
    if (i > 0 && (i == 1 || took < best)) best = took;
  }
  return best > 0 ? best : 1e-9;
}

/* So many floats, or half as many, and so on, as there is room for. */
static xt_status room_for_peak(GpuDevice *device, size_t *floats, GpuBuffer **out,
                               xt_error *error) {
  for (;; *floats /= 2) {
    const xt_status status = gpu_buffer(device, *floats * sizeof(float), out, error);
    if (status != XT_STATUS_MEMORY || *floats <= PEAK_LEAST) return status;
  }
}

static xt_status peak(Backend *backend, double *flops, double *bytes, xt_error *error) {
  GpuBackend *b = gpu_of(backend);
  GpuBuffer *buffer;
  xt_status status = XT_STATUS_OK;
  const bool processor = b->device->info.processor;
  size_t floats = processor ? PEAK_LEAST : PEAK_MOST;
  TRY(room_for_peak(b->device, &floats, &buffer, error));
  const GpuSpin spin = {.rounds = processor ? 2000 : 20000};
  const uint32_t groups = (uint32_t)(processor ? 32 : 64 * b->device->info.units);
  const GpuLaunch work = {.kernel = KERNEL_spin,
                          .groups = {groups, 1, 1},
                          .items = 256,
                          .buffers = {buffer},
                          .buffer_count = 1,
                          .args = &spin,
                          .args_size = sizeof spin};
  *flops =
      2.0 * GPU_SPIN_CHAINS * (double)spin.rounds * 256 * groups / time_launch(&b->user, &work);
  /* two reads and a write of each number */
  const GpuAdd halves = {.y = floats / 2, .floats = floats / 2};
  const GpuLaunch sum = {.kernel = KERNEL_add,
                         .groups = {gpu_groups(floats / 2), 1, 1},
                         .items = 256,
                         .buffers = {buffer, buffer},
                         .buffer_count = 2,
                         .args = &halves,
                         .args_size = sizeof halves};
  if (b->flag) TRY_DONE(gpu_tensor_peak(b, flops, error));
  if (bytes) *bytes = 1.5 * (double)(floats * sizeof(float)) / time_launch(&b->user, &sum);
  status = gpu_status(&b->user, error);
done:
  gpu_buffer_free(b->device, buffer);
  return status;
}

/* ---- making it ------------------------------------------------------------------------------- */

static void destroy(Backend *backend) {
  if (!backend) return;
  GpuBackend *b = gpu_of(backend);
  GpuRoom *const rooms[] = {&b->scores, &b->shared, &b->slopes};
  for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
    gpu_buffer_free(b->device, rooms[i]->buffer);
  gpu_choices_free(b);
  gpu_tensor_end(b);
  free(b->slopes_host);
  gpu_close(b->device);
  free(b);
}

static const BackendOps table = {
    .destroy = destroy,
    .alloc = alloc,
    .release = release,
    .upload = upload,
    .download = download,
    .status = status_of,
    .copy_rows = gpu_copy_rows,
    .weight_create = gpu_weight_create,
    .weight_release = gpu_weight_release,
    .weight_bytes = gpu_weight_bytes,
    .matmul = gpu_matmul,
    .table_create = gpu_table_create,
    .table_release = gpu_table_release,
    .embed = gpu_embed,
    .norm = gpu_norm,
    .rope = gpu_rope,
    .activate = gpu_activate,
    .scale = gpu_scale,
    .add = gpu_add,
    .mix = gpu_mix,
    .prefix_create = gpu_prefix_create,
    .prefix_release = gpu_prefix_release,
    .prefix_store = gpu_prefix_store,
    .prefix_copy = gpu_prefix_copy,
    .tail_create = gpu_tail_create,
    .tail_release = gpu_tail_release,
    .tail_store = gpu_tail_store,
    .attend = gpu_attend,
    .seen_create = gpu_seen_create,
    .seen_release = gpu_seen_release,
    .choose = gpu_choose,
    .compare = gpu_compare,
    .peak = peak,
};

/* A backend that takes over a use of the device. */
static xt_status make(GpuDevice *device, const BackendOptions *options, Backend **out,
                      xt_error *error) {
  GpuBackend *b;
  const GpuInfo *info = &device->info;
  const xt_status status = MEM_ALLOC(&b, 1, error);
  if (status) {
    gpu_close(device);
    return status;
  }
  b->device = b->user.device = device;
  b->ops = table;
  b->ops.name = info->id;
  b->base = (Backend){.ops = &b->ops,
                      .device = info->id,
                      .options = *options,
                      .compute = options->compute,
                      .threads = options->threads};
  if (b->base.threads == 0) b->base.threads = b->base.options.threads = system_processors();
  /* An eighth of the free memory is left for what no plan counts: attention's scores and shared
   * part, and the choice's sums. */
  const uint64_t left = gpu_free_memory(device);
  b->score_bytes = left / 16 < (1u << 30) ? (size_t)(left / 16) : 1u << 30;
  /* Enough rows for the products. On a processor fewer rows are faster, because they stay in its
   * cache. */
  b->base.limits = (BackendLimits){.work_rows = info->processor ? 512 : 4096,
                                   .logit_rows = info->processor ? 256 : 1024,
                                   .memory = left - left / 8,
                                   .largest = info->largest,
                                   .exact = !info->lacks[0] && options->compute == XT_COMPUTE_F32};
  b->tiles = gpu_tiles_of(info);
  if (options->compute != XT_COMPUTE_F32) {
    const GpuOptions wanted = {.cache = options->kernel_cache};
    const xt_status failed = gpu_tensor_begin(b, options->compute, &wanted, error);
    if (failed) destroy(&b->base);
    if (failed) return failed;
  }
  *out = &b->base;
  return XT_STATUS_OK;
}

xt_status backend_gpu_create(const char *device, const BackendOptions *options, Backend **out,
                             xt_error *error) {
  const GpuOptions wanted = {.cache = options->kernel_cache,
                             .inexact = options->inexact,
                             .tensor = options->compute != XT_COMPUTE_F32};
  GpuDevice *opened;
  *out = NULL;
  if (options->kernels)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "kernels \"%.40s\" are the cpu's; %.40s has its own", options->kernels, device);
  TRY(gpu_open(device, &wanted, &opened, error));
  return make(opened, options, out, error);
}

xt_status backend_gpu_share(const Backend *like, Backend **out, xt_error *error) {
  *out = NULL;
  return make(gpu_share(((const GpuBackend *)like)->device), &like->options, out, error);
}
