/* SPDX-License-Identifier: Apache-2.0 */
/* Weights as they are stored, [N][K] in their own type, and the products. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_checks.h"
#include "backend/gpu/gpu_backend.h"
#include "base/mem.h"

struct Weight {
  int n, k;
  GpuType type;
  GpuBuffer *data;
};

static GpuType type_of(const MatrixSource *parts, int n_parts) {
  for (int p = 1; p < n_parts; p++)
    if (parts[p].dtype != parts[0].dtype) return GPU_F32;
  return parts->dtype == DTYPE_F16 ? GPU_F16 : parts->dtype == DTYPE_BF16 ? GPU_BF16 : GPU_F32;
}

#define STAGE_BYTES ((size_t)4 << 20)

/* Rows [first, first + count) as they are in the device's memory: in order, in a type that it
 * reads. */
static void stage_rows(char *to, const MatrixSource *s, int first, int count, GpuType type) {
  const size_t cols = (size_t)s->cols, stored = dtype_bytes(s->dtype, cols),
               row = cols * (type == GPU_F32 ? 4 : 2);
  for (int r = first; r < first + count; r++, to += row) {
    const char *from = (const char *)s->data + (size_t)matrix_source_place(s, r) * stored;
    if (type == GPU_F32)
      dtype_widen(s->dtype, from, cols, (float *)(void *)to);
    else
      memcpy(to, from, row);
  }
}

xt_status gpu_matrix(GpuBackend *b, const MatrixSource *parts, int n_parts, GpuType *type,
                     GpuBuffer **out, xt_error *error) {
  *type = type_of(parts, n_parts);
  const size_t row = (size_t)parts->cols * (*type == GPU_F32 ? 4 : 2), most = STAGE_BYTES / row + 1;
  size_t rows = 0, at = 0;
  char *stage;
  for (int p = 0; p < n_parts; p++) rows += (size_t)parts[p].rows;
  TRY(mem_alloc(&stage, most, row, error));
  xt_status status = gpu_buffer(b->device, rows * row, out, error);
  for (int p = 0; p < n_parts && !status; p++)
    for (int first = 0, count; first < parts[p].rows; first += count, at += (size_t)count * row) {
      count = (size_t)(parts[p].rows - first) < most ? parts[p].rows - first : (int)most;
      stage_rows(stage, &parts[p], first, count, *type);
      gpu_write(b->device, *out, at, stage, (size_t)count * row);
    }
  free(stage);
  if (status) return status;
  status = gpu_status(b->device, error);
  if (status) gpu_buffer_free(b->device, *out);
  return status;
}

xt_status gpu_weight_create(Backend *backend, const MatrixSource *parts, int n_parts, Weight **out,
                            xt_error *error) {
  Weight *w;
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  TRY(cpu_find_not_finite(parts, n_parts, 0, INT32_MAX, false, error));
  TRY(mem_alloc(&w, 1, sizeof *w, error));
  for (int p = 0; p < n_parts; p++) w->n += parts[p].rows;
  w->k = parts->cols;
  const xt_status status = gpu_matrix(gpu_of(backend), parts, n_parts, &w->type, &w->data, error);
  if (status)
    free(w);
  else
    *out = w;
  return status;
}

void gpu_weight_release(Backend *backend, Weight *w) {
  if (!w) return;
  gpu_buffer_free(gpu_of(backend)->device, w->data);
  free(w);
}

size_t gpu_weight_bytes(const Weight *w) { return w->data->bytes; }

/* Rows of whole quadruples at aligned places. */
static bool in_quadruples(const GpuProduct *a) {
  const gpu_size bits = a->x | a->w | a->x_z | a->w_z | (gpu_size)a->ldx | (gpu_size)a->ldx_in |
                        (gpu_size)a->ldw | (gpu_size)a->k;
  return bits % 4 == 0;
}

void gpu_multiply(GpuBackend *b, GpuType type, bool few, const GpuProduct *args, int batches,
                  GpuBuffer *y, GpuBuffer *x, GpuBuffer *w, GpuBuffer *bias) {
  static const GpuKernel kernels[3][3][2] = {/* type; large, small, few; single, vector */
#define KINDS(type)                                                                     \
  {                                                                                     \
    {KERNEL_product_##type##_large_single, KERNEL_product_##type##_large_vector},       \
        {KERNEL_product_##type##_small_single, KERNEL_product_##type##_small_vector}, { \
      KERNEL_few_##type##_single, KERNEL_few_##type##_vector                            \
    }                                                                                   \
  }
                                             KINDS(f32), KINDS(f16), KINDS(bf16)};
  const bool small = b->small_tiles || args->m <= 48 || args->n <= 48;
  const int tile = small ? 32 : 128;
  GpuLaunch launch = {.kernel = kernels[type][few ? 2 : small][in_quadruples(args)],
                      .items = few     ? GPU_FEW_COLUMNS * GPU_FEW_BLOCKS
                               : small ? 64
                                       : 256,
                      .groups = {(uint32_t)((args->n + tile - 1) / tile),
                                 (uint32_t)((args->m + tile - 1) / tile), (uint32_t)batches},
                      .buffers = {y, x, w, bias},
                      .buffer_count = 4,
                      .args = args,
                      .args_size = sizeof *args};
  if (few) {
    launch.groups[0] = (uint32_t)((args->n + GPU_FEW_COLUMNS - 1) / GPU_FEW_COLUMNS);
    launch.groups[1] = (uint32_t)((args->m + GPU_FEW_ROWS - 1) / GPU_FEW_ROWS);
  }
  gpu_launch(b->device, &launch);
}

void gpu_matmul(Backend *backend, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  GpuBackend *b = gpu_of(backend);
  if (m <= 0) return;
  const GpuPlace to = gpu_place(y), from = gpu_place(x), plus = gpu_place(bias);
  const GpuProduct args = {.y = to.at,
                           .x = from.at,
                           .bias = plus.at,
                           .m = m,
                           .n = w->n,
                           .k = w->k,
                           .chain = GPU_K_BLOCK,
                           .ldy = w->n,
                           .ldx = w->k,
                           .group = 1,
                           .ldw = w->k,
                           .has_bias = plus.buffer != NULL};
  gpu_multiply(b, w->type, m <= 2 * GPU_FEW_ROWS, &args, 1, to.buffer, from.buffer, w->data,
               plus.buffer);
}
