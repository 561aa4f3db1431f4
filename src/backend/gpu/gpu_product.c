/* SPDX-License-Identifier: Apache-2.0 */
/* Weights, [N][K]: float32, float16 and bfloat16 as they are stored, quantised ones as the float32 values that they stand for; and the
 * products. */
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

static bool is_plain(const MatrixSource *s) {
  return !s->paired && (s->dtype == DTYPE_F32 || s->dtype == DTYPE_F16 || s->dtype == DTYPE_BF16);
}

Dtype gpu_stored_type(const MatrixSource *parts, int n_parts) {
  for (int p = 0; p < n_parts; p++)
    if (!is_plain(&parts[p]) || parts[p].dtype != parts->dtype) return DTYPE_F32;
  return parts->dtype;
}

GpuType gpu_type(Dtype type) { return type == DTYPE_F32 ? GPU_F32 : type == DTYPE_F16 ? GPU_F16 : GPU_BF16; }

/* Some rows at a time become float32. */
static xt_status write_expanded(GpuBackend *b, GpuBuffer *to, size_t at, const MatrixSource *s, xt_error *error) {
  enum { ROWS = 64 };
  const size_t cols = (size_t)s->cols, row_bytes = dtype_bytes(s->dtype, cols);
  float *values;
  TRY(mem_alloc(&values, ROWS * cols, sizeof *values, error));
  for (int first = 0; first < s->rows; first += ROWS) {
    const int rows = s->rows - first < ROWS ? s->rows - first : ROWS;
    for (int r = 0; r < rows; r++)
      dtype_widen(s->dtype, (const char *)s->data + (size_t)matrix_source_place(s, first + r) * row_bytes, cols, values + (size_t)r * cols);
    gpu_write(b->device, to, at + (size_t)first * cols * sizeof(float), values, (size_t)rows * cols * sizeof(float));
  }
  free(values);
  return XT_STATUS_OK;
}

xt_status gpu_write_matrix(GpuBackend *b, GpuBuffer *to, const MatrixSource *parts, int n_parts, xt_error *error) {
  const Dtype type = gpu_stored_type(parts, n_parts);
  size_t at = 0;
  for (int p = 0; p < n_parts; p++) {
    const size_t bytes = dtype_bytes(type, (size_t)parts[p].rows * (size_t)parts[p].cols);
    if (is_plain(&parts[p]) && parts[p].dtype == type) gpu_write(b->device, to, at, parts[p].data, bytes);
    else TRY(write_expanded(b, to, at, &parts[p], error));
    at += bytes;
  }
  return gpu_status(b->device, error);
}

xt_status gpu_weight_create(Backend *backend, const MatrixSource *parts, int n_parts, Weight **out, xt_error *error) {
  GpuBackend *b = gpu_of(backend);
  Weight *w;
  xt_status status;
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  TRY(cpu_find_not_finite(parts, n_parts, 0, INT32_MAX, false, error));
  TRY(mem_alloc(&w, 1, sizeof *w, error));
  for (int p = 0; p < n_parts; p++) w->n += parts[p].rows;
  w->k = parts->cols;
  const Dtype type = gpu_stored_type(parts, n_parts);
  w->type = gpu_type(type);
  status = gpu_buffer(b->device, dtype_bytes(type, (size_t)w->n * (size_t)w->k), &w->data, error);
  if (!status) status = gpu_write_matrix(b, w->data, parts, n_parts, error);
  if (status) {
    if (w->data) gpu_buffer_free(b->device, w->data);
    free(w);
    return status;
  }
  *out = w;
  return XT_STATUS_OK;
}

void gpu_weight_release(Backend *backend, Weight *w) {
  if (!w) return;
  gpu_buffer_free(gpu_of(backend)->device, w->data);
  free(w);
}

size_t gpu_weight_bytes(const Weight *w) { return w->data->bytes; }

/* Rows of whole quadruples at aligned places. */
static bool in_quadruples(const GpuProduct *a) {
  const gpu_size bits = a->x | a->w | a->x_z | a->w_z | (gpu_size)a->ldx | (gpu_size)a->ldx_in | (gpu_size)a->ldw | (gpu_size)a->k;
  return bits % 4 == 0;
}

void gpu_multiply(GpuBackend *b, GpuType type, bool few, const GpuProduct *args, int batches, GpuBuffer *y, GpuBuffer *x, GpuBuffer *w, GpuBuffer *bias) {
  static const GpuKernel kernels[3][3][2] = { /* type; large, small, few; single, vector */
#define KINDS(type)                                                                    \
  {{KERNEL_product_##type##_large_single, KERNEL_product_##type##_large_vector},       \
   {KERNEL_product_##type##_small_single, KERNEL_product_##type##_small_vector},       \
   {KERNEL_few_##type##_single, KERNEL_few_##type##_vector}}
      KINDS(f32), KINDS(f16), KINDS(bf16)};
  const bool small = b->small_tiles || args->m <= 48 || args->n <= 48;
  const int tile = small ? 32 : 128;
  GpuLaunch launch = {.kernel = kernels[type][few ? 2 : small][in_quadruples(args)], .items = few ? GPU_FEW_COLUMNS * GPU_FEW_BLOCKS : small ? 64 : 256,
                      .groups = {(uint32_t)((args->n + tile - 1) / tile), (uint32_t)((args->m + tile - 1) / tile), (uint32_t)batches},
                      .buffers = {y, x, w, bias}, .buffer_count = 4, .args = args, .args_size = sizeof *args};
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
  const GpuProduct args = {.y = to.at, .x = from.at, .bias = plus.at, .m = m, .n = w->n, .k = w->k, .chain = GPU_K_BLOCK, .ldy = w->n, .ldx = w->k,
                           .group = 1, .ldw = w->k, .has_bias = plus.buffer != NULL};
  gpu_multiply(b, w->type, m <= 2 * GPU_FEW_ROWS, &args, 1, to.buffer, from.buffer, w->data, plus.buffer);
}
