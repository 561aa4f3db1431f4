/* SPDX-License-Identifier: Apache-2.0 */
/* Row-wise operations, embeddings and copies. */
#include <stdlib.h>

#include "backend/cpu/cpu_checks.h"
#include "backend/gpu/gpu_backend.h"
#include "base/mem.h"

struct Table {
  GpuMatrix matrix;
  int cols;
};

xt_status gpu_table_create(Backend *backend, const MatrixSource *source, Table **out,
                           xt_error *error) {
  Table *t;
  *out = NULL;
  TRY(cpu_check_parts(source, 1, error));
  TRY(MEM_ALLOC(&t, 1, error));
  t->cols = source->cols;
  const xt_status status = gpu_matrix(gpu_of(backend), source, 1, &t->matrix, error);
  if (status)
    free(t);
  else
    *out = t;
  return status;
}

void gpu_table_release(Backend *backend, Table *t) {
  if (!t) return;
  gpu_buffer_free(gpu_of(backend)->device, t->matrix.data);
  free(t);
}

void gpu_embed(Backend *backend, Dev y, const Table *t, IndexList ids, int m) {
  GpuBackend *b = gpu_of(backend);
  if (m <= 0) return;
  const GpuPlace to = gpu_place(y), list = gpu_place(ids.at);
  const GpuEmbed args = {.y = to.at,
                         .ids = list.at,
                         .m = m,
                         .width = t->cols,
                         .type = (int)t->matrix.type,
                         .format = t->matrix.format};
  GPU_LAUNCH(b, embed, gpu_groups((uint64_t)m * (uint64_t)t->cols), 1, 1, 256, args, to.buffer,
             t->matrix.data, list.buffer);
}

void gpu_norm(Backend *backend, const NormArgs *a) {
  GpuBackend *b = gpu_of(backend);
  const GpuPlace y = gpu_place(a->y), x = gpu_place(a->x), weight = gpu_place(a->weight),
                 bias = gpu_place(a->bias);
  const GpuNorm args = {.y = y.at,
                        .x = x.at,
                        .weight = weight.at,
                        .bias = bias.at,
                        .width = a->width,
                        .groups = a->groups,
                        .ldy = a->ld_y,
                        .ldx = a->ld_x,
                        .own = a->weight_of_group,
                        .has_bias = bias.buffer != NULL,
                        .eps = a->eps};
  if (a->rows <= 0 || a->groups <= 0) return;
  const uint32_t groups = (uint32_t)a->rows * (uint32_t)a->groups;
  if (a->kind == NORM_RMS)
    GPU_LAUNCH(b, norm_rms, groups, 1, 1, 64, args, y.buffer, x.buffer, weight.buffer);
  else
    GPU_LAUNCH(b, norm_layer, groups, 1, 1, 64, args, y.buffer, x.buffer, weight.buffer,
               bias.buffer);
}

void gpu_rope(Backend *backend, const RopeArgs *a) {
  GpuBackend *b = gpu_of(backend);
  if (a->rows <= 0 || a->width < 2) return;
  const GpuPlace x = gpu_place(a->x), angles = gpu_place(a->cos_sin),
                 list = gpu_place(a->positions.at);
  const GpuRope args = {.x = x.at,
                        .positions = list.at,
                        .cos_sin = angles.at,
                        .rows = a->rows,
                        .ld = a->ld,
                        .heads = a->heads,
                        .head_dim = a->head_dim,
                        .width = a->width,
                        .pairs = a->style == ROPE_PAIRS};
  const uint64_t pairs = (uint64_t)a->rows * (uint64_t)a->heads * (uint64_t)(a->width / 2);
  GPU_LAUNCH(b, rope, gpu_groups(pairs), 1, 1, 256, args, x.buffer, list.buffer, angles.buffer);
}

_Static_assert(ACTIVATION_SILU == 0 && ACTIVATION_GELU_TANH == 1 && ACTIVATION_GELU == 2 &&
                   ACTIVATION_XIELU == 3 && ACTIVATION_COUNT == 4,
               "as the kernel has them");

void gpu_activate(Backend *backend, const ActivateArgs *a) {
  GpuBackend *b = gpu_of(backend);
  if (a->rows <= 0 || a->width <= 0) return;
  const GpuPlace y = gpu_place(a->y), x = gpu_place(a->x);
  const GpuActivate args = {.y = y.at,
                            .x = x.at,
                            .rows = a->rows,
                            .width = a->width,
                            .kind = (int)a->kind,
                            .gated = a->gated,
                            .positive = a->xielu.positive,
                            .negative = a->xielu.negative,
                            .beta = a->xielu.beta,
                            .eps = a->xielu.eps};
  GPU_LAUNCH(b, activate, gpu_groups((uint64_t)a->rows * (uint64_t)a->width), 1, 1, 256, args,
             y.buffer, x.buffer);
}

void gpu_scale(Backend *backend, Dev x, size_t floats, float factor, float cap) {
  GpuBackend *b = gpu_of(backend);
  const GpuPlace p = gpu_place(x);
  const GpuScale args = {.x = p.at, .floats = floats, .factor = factor, .cap = cap};
  GPU_LAUNCH(b, scale, gpu_groups(floats), 1, 1, 256, args, p.buffer);
}

void gpu_add(Backend *backend, Dev x, Dev y, size_t floats) {
  GpuBackend *b = gpu_of(backend);
  const GpuPlace to = gpu_place(x), from = gpu_place(y);
  const GpuAdd args = {.x = to.at, .y = from.at, .floats = floats};
  GPU_LAUNCH(b, add, gpu_groups(floats), 1, 1, 256, args, to.buffer, from.buffer);
}

void gpu_mix(Backend *backend, const MixArgs *a) {
  GpuBackend *b = gpu_of(backend);
  if (a->count <= 0 || a->rows <= 0 || a->width <= 0) return;
  const GpuPlace x = gpu_place(a->x), values = gpu_place(a->values), edits = gpu_place(a->edits.at);
  const GpuMix args = {.x = x.at,
                       .values = values.at,
                       .edits = edits.at,
                       .first = a->first,
                       .rows = a->rows,
                       .width = a->width,
                       .count = a->count};
  GPU_LAUNCH(b, mix_rows, gpu_groups((uint64_t)a->width) * (uint32_t)a->count, 1, 1, 256, args,
             x.buffer, values.buffer, edits.buffer);
}

void gpu_copy_rows(Backend *backend, Dev to, IndexList to_rows, Dev from, IndexList from_rows,
                   int m, int width) {
  GpuBackend *b = gpu_of(backend);
  if (m <= 0 || width <= 0) return;
  const GpuPlace y = gpu_place(to), x = gpu_place(from), to_list = gpu_place(to_rows.at),
                 from_list = gpu_place(from_rows.at);
  const GpuCopy args = {.to = y.at,
                        .from = x.at,
                        .to_rows = to_list.at,
                        .from_rows = from_list.at,
                        .m = m,
                        .width = width,
                        .has_to = to_list.buffer != NULL,
                        .has_from = from_list.buffer != NULL};
  GPU_LAUNCH(b, copy_rows, gpu_groups((uint64_t)m * (uint64_t)width), 1, 1, 256, args, y.buffer,
             x.buffer, to_list.buffer, from_list.buffer);
}
