/* SPDX-License-Identifier: Apache-2.0 */
/* Products on tensor cores: operands are rounded on the device, and the vendor's library
 * multiplies.
 *
 * A row's bits depend neither on the other rows nor on their number: a shape's products are all
 * done with one algorithm, which sums over k in one sequence, on whole tiles of GPU_TENSOR_ROWS
 * rows. A library promises less than that for rows of different products, so each algorithm is
 * tried on the weight, with each number of tiles that a product may have, before it is pinned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_checks.h"
#include "backend/gpu/gpu_backend.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/system.h"

enum { REST_ROWS = 512 }; /* most rows whose result has its own room before it gets its place */

static size_t bytes_of(GpuNarrowKind kind) { return kind == GPU_TO_TF32 ? 4 : 2; }
static int whole(int count, int unit) { return (count + unit - 1) / unit * unit; }

static GpuTensorShape shape_of(const GpuBackend *b, const Weight *w) {
  return (GpuTensorShape){b->narrow, w->n, (int)w->parts[0].row};
}

static void narrow(GpuBackend *b, GpuBuffer *to, gpu_size at, GpuBuffer *from, GpuNarrow args) {
  args.to = at;
  args.kind = (int)b->narrow;
  GPU_LAUNCH(b, narrow, gpu_groups((uint64_t)args.all_rows * (uint64_t)args.ld), 1, 1, 256, args,
             to, from, b->flag);
}

/* ---- which algorithm ------------------------------------------------------------------------- */

/* A product has at most GPU_TENSOR_MOST rows, and fewer where its operand and result would take more
 * than TRIED_BYTES, so that each number of tiles can be tried. */
enum { TRIED_BYTES = 256 << 20 };

static int most_tiles(GpuTensorShape shape) {
  const size_t row = (size_t)shape.k * bytes_of(shape.type) + (size_t)whole(shape.n, 4) * 4,
               rows = TRIED_BYTES / row;
  if (rows >= GPU_TENSOR_MOST) return GPU_TENSOR_MOST / GPU_TENSOR_ROWS;
  return rows < REST_ROWS ? REST_ROWS / GPU_TENSOR_ROWS : (int)rows / GPU_TENSOR_ROWS;
}

typedef struct Trial {
  GpuTensorProduct product;
  uint16_t *values; /* rows of one tile, twice */
  size_t row;       /* bytes of one of them */
  int tiles;        /* most of a product */
  float *first, *again;
} Trial;

/* Tile t has the rows of tile 0, from row t on. */
static void trial_rows(GpuBackend *b, const Trial *t, GpuBuffer *x) {
  const size_t tile = GPU_TENSOR_ROWS * t->row;
  for (int i = 0; i < t->tiles; i++)
    gpu_write(&b->user, x, (size_t)i * tile,
              (const char *)t->values + (size_t)(i % GPU_TENSOR_ROWS) * t->row, tile);
}

static void read_tile(GpuBackend *b, const Trial *t, int tile, float *result) {
  const size_t bytes = (size_t)GPU_TENSOR_ROWS * (size_t)t->product.ldy * sizeof(float);
  gpu_read(&b->user, result, t->product.y, (size_t)tile * bytes, bytes);
}

static bool is_same_tile(GpuBackend *b, Trial *t, int tile) {
  const size_t floats = (size_t)t->product.ldy, n = (size_t)t->product.shape.n;
  read_tile(b, t, tile, t->again);
  for (size_t r = 0; r < GPU_TENSOR_ROWS; r++)
    if (memcmp(t->first + (r + (size_t)tile) % GPU_TENSOR_ROWS * floats, t->again + r * floats,
               n * sizeof(float)) != 0)
      return false;
  return true;
}

/* Whether rows get the same bits in every place of a tile and among any number of rows: looks at the
 * first and the last tile of each number of tiles, and at all of the largest. */
static xt_status keeps_bits(GpuBackend *b, Trial *t, bool *keeps, xt_error *error) {
  *keeps = true;
  for (int tiles = 1; tiles <= t->tiles && *keeps; tiles++) {
    t->product.rows = tiles * GPU_TENSOR_ROWS;
    gpu_tensor_multiply(&b->user, &t->product);
    if (tiles == 1)
      read_tile(b, t, 0, t->first);
    else
      *keeps = is_same_tile(b, t, tiles - 1) && is_same_tile(b, t, 0);
    TRY(gpu_status(&b->user, error));
  }
  for (int i = 1; i < t->tiles - 1 && *keeps; i++) *keeps = is_same_tile(b, t, i);
  return gpu_status(&b->user, error);
}

static xt_status try_all(GpuBackend *b, Trial *t, xt_error *error) {
  const GpuTensorShape shape = t->product.shape;
  int count = 0;
  TRY(gpu_tensor_find(b->device, shape, &count, error));
  for (int i = 0; i < count; i++) {
    bool keeps = false;
    TRY(gpu_tensor_pin(b->device, shape, i, false, error));
    TRY(keeps_bits(b, t, &keeps, error));
    if (keeps) return gpu_tensor_pin(b->device, shape, i, true, error);
  }
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                 "%.70s has no algorithm for products of %d by %d whose rows are the same in every "
                 "batch (of %d that were tried)",
                 b->name, shape.n, shape.k, count);
}

/* Numbers of the type below 2 in size. */
static void fill_trial(Trial *t, GpuNarrowKind kind, size_t count) {
  Rng rng = {7};
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = float_bits(rng_symmetric(&rng));
    if (kind == GPU_TO_TF32) {
      const uint32_t cut = bits & 0xffffe000u;
      memcpy(t->values + 2 * i, &cut, sizeof cut);
    } else
      t->values[i] =
          (uint16_t)(kind == GPU_TO_BF16 ? bits >> 16
                                         : (bits >> 16 & 0x8000u) | (bits >> 13 & 0x3fffu));
  }
}

static xt_status pin(GpuBackend *b, const Weight *w, xt_error *error) {
  const GpuTensorShape shape = shape_of(b, w);
  if (gpu_tensor_is_pinned(b->device, shape)) return XT_STATUS_OK;
  const int ld = whole(shape.n, 4);
  const size_t row = (size_t)shape.k * bytes_of(shape.type),
               floats = (size_t)GPU_TENSOR_ROWS * (size_t)ld;
  GpuBuffer *x = NULL, *y = NULL;
  Trial t = {.row = row, .tiles = most_tiles(shape)};
  const size_t rows = (size_t)t.tiles * GPU_TENSOR_ROWS;
  xt_status status = mem_alloc(&t.values, 2 * GPU_TENSOR_ROWS, row, error);
  if (!status) status = MEM_ALLOC(&t.first, 2 * floats, error);
  if (!status) status = gpu_buffer(b->device, rows * row, &x, error);
  if (!status) status = gpu_buffer(b->device, rows * (size_t)ld * sizeof(float), &y, error);
  if (!status) {
    t.again = t.first + floats;
    fill_trial(&t, shape.type, GPU_TENSOR_ROWS * (size_t)shape.k);
    memcpy((char *)t.values + GPU_TENSOR_ROWS * row, t.values, GPU_TENSOR_ROWS * row);
    t.product =
        (GpuTensorProduct){.shape = shape, .ldy = ld, .x = x, .w = w->parts[0].data, .y = y};
    trial_rows(b, &t, x);
    status = try_all(b, &t, error);
  }
  gpu_buffer_free(b->device, x);
  gpu_buffer_free(b->device, y);
  free(t.values);
  free(t.first);
  return status;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Each part goes up as it is stored, and is rounded there. */
static xt_status round_parts(GpuBackend *b, const MatrixSource *parts, int n_parts, Weight *w,
                             xt_error *error) {
  GpuMatrix *to = &w->parts[0];
  gpu_size at = 0;
  for (int p = 0; p < n_parts; p++) {
    GpuMatrix stored;
    TRY(gpu_matrix(b, &parts[p], 1, &stored, error));
    narrow(b, to->data, at, stored.data,
           (GpuNarrow){.row = stored.row,
                       .rows = stored.rows,
                       .cols = w->k,
                       .all_rows = stored.rows,
                       .ld = (int)to->row,
                       .type = (int)stored.type,
                       .format = stored.format});
    const xt_status status = gpu_finish(&b->user, error);
    gpu_buffer_free(b->device, stored.data);
    if (status) return status;
    at += (gpu_size)stored.rows * to->row;
  }
  return XT_STATUS_OK;
}

static xt_status weight_create(Backend *backend, const MatrixSource *parts, int n_parts,
                               Weight **out, xt_error *error) {
  GpuBackend *b = gpu_of(backend);
  Weight *w;
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  TRY(cpu_find_not_finite(parts, n_parts, 0, INT32_MAX, backend->compute, error));
  TRY(mem_alloc(&w, 1, sizeof *w + sizeof *w->parts, error));
  w->k = parts->cols;
  for (int p = 0; p < n_parts; p++) w->n += parts[p].rows;
  w->parts[0] = (GpuMatrix){.rows = w->n, .row = (size_t)whole(w->k, GPU_TENSOR_DEPTH)};
  w->count = 1;
  xt_status status = gpu_buffer(b->device, (size_t)w->n * w->parts[0].row * bytes_of(b->narrow),
                                &w->parts[0].data, error);
  if (!status) status = round_parts(b, parts, n_parts, w, error);
  if (!status) status = pin(b, w, error);
  if (status)
    gpu_weight_release(backend, w);
  else
    *out = w;
  return status;
}

/* ---- products -------------------------------------------------------------------------------- */

static void settle(GpuBackend *b, GpuPlace y, GpuBuffer *from, gpu_size at, int ld, GpuPlace bias,
                   int rows, int n) {
  const GpuSettle args = {.y = y.at,
                          .from = at,
                          .bias = bias.at,
                          .rows = rows,
                          .cols = n,
                          .ldy = n,
                          .ld = ld,
                          .has_bias = bias.buffer != NULL};
  GPU_LAUNCH(b, settle, gpu_groups((uint64_t)rows * (uint64_t)n), 1, 1, 256, args, y.buffer, from,
             bias.buffer);
}

/* Whole tiles of rows have their result written where it belongs, if that is at an aligned place;
 * the rest first somewhere else, since its tile has more rows than there is room for. */
static void matmul(Backend *backend, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  GpuBackend *b = gpu_of(backend);
  if (m <= 0) return;
  const GpuTensorShape shape = shape_of(b, w);
  const size_t row = (size_t)shape.k * bytes_of(shape.type);
  const int all = whole(m, GPU_TENSOR_ROWS), ld = whole(w->n, 4),
            most = most_tiles(shape) * GPU_TENSOR_ROWS;
  const GpuPlace from = gpu_place(x), plus = gpu_place(bias);
  if (!gpu_room(b, &b->rounded, (size_t)all * row)) return;
  narrow(b, b->rounded.buffer, 0, from.buffer,
         (GpuNarrow){.from = from.at,
                     .row = (gpu_size)w->k,
                     .rows = m,
                     .cols = w->k,
                     .all_rows = all,
                     .ld = shape.k,
                     .type = GPU_F32});
  GpuTensorProduct product = {
      .shape = shape, .x = b->rounded.buffer, .w = w->parts[0].data, .ldy = ld};
  for (int done = 0, rows; done < m; done += rows) {
    const GpuPlace to = gpu_place(dev_at(y, (size_t)done * (size_t)w->n));
    const bool direct = ld == w->n && to.at % 4 == 0 && m - done >= GPU_TENSOR_ROWS;
    rows = direct ? (m - done < most ? m - done : most) / GPU_TENSOR_ROWS * GPU_TENSOR_ROWS
           : m - done < REST_ROWS ? m - done
                                  : REST_ROWS;
    product.rows = whole(rows, GPU_TENSOR_ROWS);
    if (!direct && !gpu_room(b, &b->rest, (size_t)product.rows * (size_t)ld * sizeof(float)))
      return;
    product.x_at = (size_t)done * row;
    product.y = direct ? to.buffer : b->rest.buffer;
    product.y_at = direct ? (size_t)to.at * sizeof(float) : 0;
    gpu_tensor_multiply(&b->user, &product);
    if (!direct)
      settle(b, to, b->rest.buffer, 0, ld, plus, rows, w->n);
    else if (plus.buffer)
      settle(b, to, to.buffer, to.at, w->n, plus, rows, w->n);
  }
}

xt_status gpu_tensor_check(GpuBackend *b, xt_error *error) {
  int32_t up = 0;
  gpu_read(&b->user, &up, b->flag, 0, sizeof up);
  TRY(gpu_status(&b->user, error));
  if (!up) return XT_STATUS_OK;
  up = 0;
  gpu_write(&b->user, b->flag, 0, &up, sizeof up);
  return err_set(error, XT_STATUS_INPUT, NULL, NULL, -1,
                 "%s: an activation is too large for %s; --compute bf16 has float32's range",
                 b->name, xt_compute_name(b->base.compute));
}

/* A product of a matrix with itself. */
xt_status gpu_tensor_peak(GpuBackend *b, double *flops, xt_error *error) {
  enum { SIDE = 4096, BLOCK = 256 }; /* so many rows are filled, and repeated */
  const size_t row = SIDE * bytes_of(b->narrow);
  Trial t = {.row = row};
  Weight *w;
  GpuBuffer *y = NULL;
  xt_status status;
  TRY(mem_alloc(&w, 1, sizeof *w + sizeof *w->parts, error));
  w->n = w->k = SIDE;
  w->parts[0].row = SIDE;
  w->count = 1;
  TRY_DONE(mem_alloc(&t.values, BLOCK, row, error));
  TRY_DONE(gpu_buffer(b->device, SIDE * row, &w->parts[0].data, error));
  TRY_DONE(gpu_buffer(b->device, (size_t)SIDE * SIDE * sizeof(float), &y, error));
  fill_trial(&t, b->narrow, (size_t)BLOCK * SIDE);
  for (int r = 0; r < SIDE; r += BLOCK)
    gpu_write(&b->user, w->parts[0].data, (size_t)r * row, t.values, BLOCK * row);
  TRY_DONE(pin(b, w, error));
  const GpuTensorProduct product = {.shape = shape_of(b, w),
                                    .rows = SIDE,
                                    .ldy = SIDE,
                                    .x = w->parts[0].data,
                                    .w = w->parts[0].data,
                                    .y = y};
  double best = 0;
  for (int i = 0; i < 4; i++) { /* the first makes all ready */
    gpu_finish(&b->user, NULL);
    const double begin = system_seconds();
    gpu_tensor_multiply(&b->user, &product);
    gpu_finish(&b->user, NULL);
    const double took = system_seconds() - begin;
    if (i > 0 && (i == 1 || took < best)) best = took;
  }
  *flops = 2.0 * SIDE * SIDE * SIDE / (best > 0 ? best : 1e-9);
  status = gpu_status(&b->user, error);
done:
  gpu_weight_release(&b->base, w); /* a buffer that is not there counts as freed */
  gpu_buffer_free(b->device, y);
  free(t.values);
  return status;
}

/* ---- making it ------------------------------------------------------------------------------- */

xt_status gpu_tensor_begin(GpuBackend *b, xt_compute compute, const GpuOptions *options,
                           xt_error *error) {
  char library[48];
  TRY(gpu_tensor_open(b->device, options, library, error));
  TRY(gpu_buffer(b->device, sizeof(int32_t), &b->flag, error));
  b->narrow = compute == XT_COMPUTE_BF16  ? GPU_TO_BF16
              : compute == XT_COMPUTE_F16 ? GPU_TO_F16
                                          : GPU_TO_TF32;
  snprintf(b->name, sizeof b->name, "%s, %s", b->device->info.id, library);
  b->base.compute = compute;
  b->base.limits.weight_bytes = (int)bytes_of(b->narrow);
  b->base.limits.exact = false;
  b->ops.name = b->name;
  b->ops.weight_create = weight_create;
  b->ops.matmul = matmul;
  return XT_STATUS_OK;
}

void gpu_tensor_end(GpuBackend *b) {
  gpu_buffer_free(b->device, b->rounded.buffer);
  gpu_buffer_free(b->device, b->rest.buffer);
  gpu_buffer_free(b->device, b->flag);
}
