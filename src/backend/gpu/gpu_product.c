/* SPDX-License-Identifier: Apache-2.0 */
/* Weights as they are stored, [N][K] in their own type, and the products. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_checks.h"
#include "backend/cpu/quantised.h"
#include "backend/gpu/gpu_backend.h"
#include "base/mem.h"

static GpuType type_of(Dtype dtype) {
  return dtype == DTYPE_F32    ? GPU_F32
         : dtype == DTYPE_F16  ? GPU_F16
         : dtype == DTYPE_BF16 ? GPU_BF16
                               : GPU_QUANTISED;
}

_Static_assert(VALUES_SUM == 0 && VALUES_F16 == GPU_VALUES_F16 && VALUES_BF16 == GPU_VALUES_BF16 &&
                   VALUES_F8 == GPU_VALUES_F8 && VALUES_F8_BF16 == GPU_VALUES_F8_BF16,
               "as the kernels have them");

static int format_of(Dtype dtype) {
  if (!dtype_is_quantised(dtype)) return 0;
  const QuantisedFormat *f = quantised_format(dtype);
  return GPU_FORMAT(f->block, f->low, f->high, f->group, f->offset, f->scales, f->plus, f->minus,
                    (int)f->values);
}

/* Rows [first, first + count), in order, as they are in the device's memory. */
static void stage_rows(char *to, const MatrixSource *s, int first, int count, size_t row) {
  const size_t stored = dtype_bytes(s->dtype, (size_t)s->cols);
  for (int r = first; r < first + count; r++, to += row) {
    const char *from = (const char *)s->data + (size_t)matrix_source_place(s, r) * stored;
    if (dtype_is_quantised(s->dtype))
      quantised_pack(s->dtype, from, s->cols, to, 1, 0);
    else
      memcpy(to, from, row);
  }
}

xt_status gpu_matrix(GpuBackend *b, const MatrixSource *parts, int n_parts, GpuMatrix *out,
                     xt_error *error) {
  const Dtype dtype = parts->dtype;
  const size_t cols = (size_t)parts->cols;
  size_t row = dtype_bytes(dtype, cols), at = 0;
  char *own = NULL;
  *out = (GpuMatrix){.type = type_of(dtype), .format = format_of(dtype), .row = cols};
  if (out->type == GPU_QUANTISED)
    out->row = row = cols / dtype_block(dtype) * quantised_block_bytes(quantised_format(dtype), 1);
  for (int p = 0; p < n_parts; p++) out->rows += parts[p].rows;
  const bool staged = row <= GPU_STAGE_BYTES && gpu_stage_begin(b->device);
  const size_t most = staged ? GPU_STAGE_BYTES / row : GPU_STAGE_BYTES / row + 1;
  xt_status status = staged ? XT_STATUS_OK : mem_alloc(&own, most, row, error);
  if (!status) status = gpu_buffer(b->device, (size_t)out->rows * row, &out->data, error);
  for (int p = 0; p < n_parts && !status; p++)
    for (int first = 0, count; first < parts[p].rows; first += count, at += (size_t)count * row) {
      count = (size_t)(parts[p].rows - first) < most ? parts[p].rows - first : (int)most;
      char *stage = staged ? gpu_stage_next(&b->user) : own;
      if (!stage) break;
      stage_rows(stage, &parts[p], first, count, row);
      gpu_write(&b->user, out->data, at, stage, (size_t)count * row);
    }
  if (staged) gpu_stage_end(b->device);
  free(own);
  if (!status) status = gpu_status(&b->user, error);
  if (status) {
    gpu_buffer_free(b->device, out->data);
    out->data = NULL;
  }
  return status;
}

xt_status gpu_weight_create(Backend *backend, const MatrixSource *parts, int n_parts, Weight **out,
                            xt_error *error) {
  Weight *w;
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  TRY(cpu_find_not_finite(parts, n_parts, 0, INT32_MAX, XT_COMPUTE_F32, error));
  TRY(mem_alloc(&w, 1, sizeof *w + (size_t)n_parts * sizeof *w->parts, error));
  w->k = parts->cols;
  xt_status status = XT_STATUS_OK;
  for (int p = 0, next; p < n_parts && !status; p = next) {
    for (next = p + 1; next < n_parts && parts[next].dtype == parts[p].dtype;) next++;
    status = gpu_matrix(gpu_of(backend), &parts[p], next - p, &w->parts[w->count], error);
    w->n += w->parts[w->count].rows;
    w->count += status == XT_STATUS_OK;
  }
  if (status)
    gpu_weight_release(backend, w);
  else
    *out = w;
  return status;
}

void gpu_weight_release(Backend *backend, Weight *w) {
  if (!w) return;
  for (int p = 0; p < w->count; p++) gpu_buffer_free(gpu_of(backend)->device, w->parts[p].data);
  free(w);
}

size_t gpu_weight_bytes(const Weight *w) {
  size_t bytes = 0;
  for (int p = 0; p < w->count; p++) bytes += w->parts[p].data->bytes;
  return bytes;
}

/* Whether rows are multiples of four elements at aligned places; rows of quantised weights always
 * are. */
static bool in_quadruples(GpuType type, const GpuProduct *a) {
  gpu_size bits = a->x | (gpu_size)a->ldx | (gpu_size)a->k;
  if (type != GPU_QUANTISED) bits |= a->w | (gpu_size)a->ldw;
  return bits % 4 == 0;
}

const GpuTileSize gpu_tile_sizes[GPU_TILE_SIZES] = {
    {128, 256, 40 << 10, 64}, {64, 64, 16 << 10, 32}, {GPU_SMALL_TILE, 64, 0, 0}};

unsigned gpu_tiles_of(const GpuInfo *info) {
  unsigned sizes = 1u << (GPU_TILE_SIZES - 1);
  for (int s = 0; s < GPU_TILE_SIZES && !info->processor; s++)
    if (info->local >= gpu_tile_sizes[s].local && info->items >= (int)gpu_tile_sizes[s].items)
      sizes |= 1u << s;
  return sizes;
}

GpuTiles gpu_tiles(const GpuBackend *b, GpuType type, bool few, bool quadruples, int m, int n,
                   int count) {
#define TILES(type, kind)                                                      \
  KERNEL_product_##type##_large_##kind, KERNEL_product_##type##_medium_##kind, \
      KERNEL_product_##type##_small_##kind
#define WEIGHTS(type)                                    \
  {                                                      \
    {TILES(type, single), KERNEL_few_##type##_single}, { \
      TILES(type, vector), KERNEL_few_##type##_vector    \
    }                                                    \
  }
  /* GpuType; single, vector; sizes, few */
  static const GpuKernel kernels[][2][GPU_TILE_SIZES + 1] = {
      WEIGHTS(f32),
      WEIGHTS(f16),
      WEIGHTS(bf16),
      WEIGHTS(quantised),
      {{TILES(scores, single)}, {TILES(scores, vector)}},
      {{0}, {TILES(values, vector)}}};
  if (few)
    return (GpuTiles){kernels[type][quadruples][GPU_TILE_SIZES], GPU_FEW_COLUMNS * GPU_FEW_BLOCKS,
                      GPU_FEW_ROWS, GPU_FEW_COLUMNS};
  int taken = 0;
  for (int s = 0; s < GPU_TILE_SIZES; s++) {
    if (!(b->tiles >> s & 1)) continue;
    const GpuTileSize *size = &gpu_tile_sizes[s];
    const uint64_t groups =
        (uint64_t)gpu_parts(m, size->side) * gpu_parts(n, size->side) * (uint64_t)count;
    taken = s;
    if (m > size->beyond && n > size->beyond && 4 * groups >= 3 * (uint64_t)b->device->info.units)
      break;
  }
  const GpuTileSize *size = &gpu_tile_sizes[taken];
  return (GpuTiles){kernels[type][quadruples][taken], size->items, size->side, size->side};
}

/* As many rows at a time as a launch has room for. `few`: by the kernels for few rows. */
static void multiply(GpuBackend *b, GpuType type, bool few, const GpuProduct *args, GpuBuffer *y,
                     GpuBuffer *x, GpuBuffer *w, GpuBuffer *bias) {
  const GpuTiles tiles = gpu_tiles(b, type, few, in_quadruples(type, args), args->m, args->n, 1);
  const int64_t most = (int64_t)tiles.rows * b->device->info.grid;
  GpuProduct piece = *args;
  for (int done = 0; done < args->m; done += piece.m) {
    piece.m = args->m - done < most ? args->m - done : (int)most;
    piece.y = args->y + (gpu_size)done * (gpu_size)args->ldy;
    piece.x = args->x + (gpu_size)done * (gpu_size)args->ldx;
    gpu_launch(&b->user, &(GpuLaunch){.kernel = tiles.kernel,
                                      .items = tiles.items,
                                      .groups = {gpu_parts(args->n, tiles.columns),
                                                 gpu_parts(piece.m, tiles.rows), 1},
                                      .buffers = {y, x, w, bias},
                                      .buffer_count = 4,
                                      .args = &piece,
                                      .args_size = sizeof piece});
  }
}

void gpu_matmul(Backend *backend, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  GpuBackend *b = gpu_of(backend);
  if (m <= 0) return;
  const GpuPlace to = gpu_place(y), from = gpu_place(x), plus = gpu_place(bias);
  gpu_size first = 0;
  for (int p = 0; p < w->count; first += (gpu_size)w->parts[p++].rows) {
    const GpuMatrix *part = &w->parts[p];
    const GpuProduct args = {.y = to.at + first,
                             .x = from.at,
                             .bias = plus.at + first,
                             .m = m,
                             .n = part->rows,
                             .k = w->k,
                             .chain = GPU_K_BLOCK,
                             .ldy = w->n,
                             .ldx = w->k,
                             .group = 1,
                             .ldw = (int)part->row,
                             .has_bias = plus.buffer != NULL,
                             .format = part->format};
    multiply(b, part->type, m <= 2 * GPU_FEW_ROWS, &args, to.buffer, from.buffer, part->data,
             plus.buffer);
  }
}
