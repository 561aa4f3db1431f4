/* SPDX-License-Identifier: Apache-2.0 */
/* Row-wise operations. Those on single numbers have an item for each, in groups of 256. */
#define EACH ((gpu_size)GROUP_X * 256 + ITEM)

/* Four times 16 lanes, as the CPU has them: number i goes to lane i % 64. All 64 items come here;
 * the sum is returned to each. */
FUNCTION float sum_of_64(LOCAL_POINTER(float) lanes, float own, int item) {
  BARRIER();
  lanes[item] = own;
  BARRIER();
  if (item < GPU_LANES)
    lanes[item] = (lanes[item] + lanes[item + 32]) + (lanes[item + 16] + lanes[item + 48]);
  BARRIER();
  return fold(lanes);
}

/* A work-group for each group of each row, which these find. */
#define NORM_PLACES()                                                                         \
  const int item = ITEM, group = (int)GROUP_X % a.groups;                                     \
  const gpu_size row = GROUP_X / (uint)a.groups, own = a.own ? (gpu_size)group * a.width : 0; \
  x += a.x + row * a.ldx + (gpu_size)group * a.width;                                         \
  y += a.y + row * a.ldy + (gpu_size)group * a.width;                                         \
  weight += a.weight + own

KERNEL(64) norm_rms(GLOBAL float *y, GLOBAL const float *x, GLOBAL const float *weight, GpuNorm a) {
  LOCAL float lanes[64];
  NORM_PLACES();
  float sum = 0.0f;
  for (int i = item; i < a.width; i += 64) sum = fma(x[i], x[i], sum);
  const float factor = 1.0f / sqrt(sum_of_64(lanes, sum, item) / (float)a.width + a.eps);
  for (int i = item; i < a.width; i += 64) y[i] = x[i] * factor * weight[i];
}

KERNEL(64)
norm_layer(GLOBAL float *y, GLOBAL const float *x, GLOBAL const float *weight,
           GLOBAL const float *bias, GpuNorm a) {
  LOCAL float lanes[64];
  NORM_PLACES();
  float sum = 0.0f, squares = 0.0f;
  for (int i = item; i < a.width; i += 64) sum = sum + x[i];
  const float mean = sum_of_64(lanes, sum, item) / (float)a.width;
  for (int i = item; i < a.width; i += 64) {
    const float t = x[i] - mean;
    squares = squares + t * t;
  }
  const float factor = 1.0f / sqrt(sum_of_64(lanes, squares, item) / (float)a.width + a.eps);
  for (int i = item; i < a.width; i += 64) {
    const float t = (x[i] - mean) * factor * weight[i];
    y[i] = a.has_bias ? t + bias[a.bias + own + i] : t;
  }
}

/* An item for each pair of each head of each row. */
KERNEL(256)
rope(GLOBAL float *x, GLOBAL const int *positions, GLOBAL const float *cos_sin, GpuRope a) {
  const int half_width = a.width / 2;
  const gpu_size each = EACH, head = each / (uint)half_width;
  const int i = (int)(each % (uint)half_width), row = (int)(head / (uint)a.heads);
  if (row >= a.rows) return;
  x += a.x + (gpu_size)row * a.ld + head % (uint)a.heads * a.head_dim + (a.pairs ? 2 * i : i);
  cos_sin += a.cos_sin + (gpu_size)positions[a.positions + row] * a.width;
  const int apart = a.pairs ? 1 : half_width;
  const float c = cos_sin[i], s = cos_sin[half_width + i], p = x[0], q = x[apart];
  x[0] = p * c - q * s;
  x[apart] = q * c + p * s;
}

FUNCTION float xielu(float x, const GpuActivate *a) {
  const float below = x < 0.0f ? x : 0.0f, above = x > 0.0f ? x : 0.0f;
  const float t = hyperbolic_tangent((below < a->eps ? below : a->eps) * 0.5f),
              curve = (t + t) / (1.0f - t) - below;
  return fma(a->beta, x, 0.0f < x ? a->positive * (above * above) : a->negative * curve);
}

/* The kinds are in the order of Activation. */
KERNEL(256) activate(GLOBAL float *y, GLOBAL const float *x, GpuActivate a) {
  const gpu_size each = EACH, row = each / (uint)a.width, i = each % (uint)a.width;
  if (row >= (gpu_size)a.rows) return;
  x += a.x + row * (a.gated ? 2 : 1) * a.width + i;
  const float g = x[0], u = a.gated ? x[a.width] : 1.0f;
  float result;
  if (a.kind == 0)
    result = g / (1.0f + exponential(0.0f - g));
  else if (a.kind == 1)
    result =
        0.5f * g * (1.0f + hyperbolic_tangent(fma(g * g * g, 0.044715f, g) * 0.797884560802865f));
  else if (a.kind == 2)
    result = 0.5f * g * (1.0f + error_function(g * 0.70710678118654752f));
  else
    result = xielu(g, &a);
  y[a.y + each] = result * u;
}

KERNEL(256) scale(GLOBAL float *x, GpuScale a) {
  const gpu_size i = EACH;
  if (i >= a.floats) return;
  const float t = x[a.x + i] * a.factor;
  x[a.x + i] = a.cap != 0.0f ? capped(t, a.cap) : t;
}

KERNEL(256) add(GLOBAL float *x, GLOBAL const float *y, GpuAdd a) {
  const gpu_size i = EACH;
  if (i < a.floats) x[a.x + i] = x[a.x + i] + y[a.y + i];
}

/* The edits of one row apply in their order: the first of them does all, up to the last. A
 * work-group looks for both together; the work-groups of one edit follow one another. */
KERNEL(256)
mix_rows(GLOBAL float *x, GLOBAL const float *values, GLOBAL const int *edits, GpuMix a) {
  LOCAL int ends[2];
  const int blocks = (a.width + 255) / 256, edit = (int)(GROUP_X / (uint)blocks);
  const gpu_size i = (gpu_size)(GROUP_X % (uint)blocks) * 256 + ITEM;
  edits += a.edits;
  const int row = edits[4 * (gpu_size)edit];
  if (ITEM == 0) ends[0] = ends[1] = edit;
  BARRIER();
  for (int e = ITEM; e < a.count; e += 256)
    if (edits[4 * (gpu_size)e] == row) {
      AT_MOST(&ends[0], e);
      AT_LEAST(&ends[1], e);
    }
  BARRIER();
  const int last = ends[1];
  if (ends[0] < edit || row < a.first || row >= a.first + a.rows || i >= (gpu_size)a.width) return;
  x += a.x + (gpu_size)(row - a.first) * a.width + i;
  for (int e = edit; e <= last; e++) {
    GLOBAL const int *each = edits + 4 * (gpu_size)e;
    if (each[0] != row) continue;
    const float from = values[a.values + (gpu_size)each[1] * a.width + i];
    const float keep = as_float((uint)each[2]), gain = as_float((uint)each[3]);
    x[0] = keep == 0.0f && gain == 1.0f ? from : keep * x[0] + gain * from;
  }
}

KERNEL(256)
copy_rows(GLOBAL float *to, GLOBAL const float *from, GLOBAL const int *to_rows,
          GLOBAL const int *from_rows, GpuCopy a) {
  const gpu_size each = EACH, row = each / (uint)a.width, i = each % (uint)a.width;
  if (row >= (gpu_size)a.m) return;
  const gpu_size r = a.has_to ? (gpu_size)to_rows[a.to_rows + row] : row,
                 s = a.has_from ? (gpu_size)from_rows[a.from_rows + row] : row;
  to[a.to + r * a.width + i] = from[a.from + s * a.width + i];
}

KERNEL(256) embed(GLOBAL float *y, GLOBAL const ushort *table, GLOBAL const int *ids, GpuEmbed a) {
  const gpu_size each = EACH, row = each / (uint)a.width;
  if (row >= (gpu_size)a.m) return;
  const gpu_size id = (gpu_size)ids[a.ids + row];
  const int quantised = a.type == 3;
  const gpu_size row_at = quantised ? id * quantised_row(a.width, a.format) : id * a.width;
  y[a.y + each] =
      stored_number(table, row_at, (int)(each % (uint)a.width), a.width, a.type, a.format);
}

/* Multiply-adds that wait for nothing: what the device can do at most. */
KERNEL(256) spin(GLOBAL float *sink, GpuSpin a) {
  const float x = sink[0], y = sink[1];
  float sums[GPU_SPIN_CHAINS];
  UNROLL
  for (int i = 0; i < GPU_SPIN_CHAINS; i++) sums[i] = (float)(ITEM + i);
  for (int n = 0; n < a.rounds; n++) {
    UNROLL
    for (int i = 0; i < GPU_SPIN_CHAINS; i++) sums[i] = fma(sums[i], x, y);
  }
  float all = 0.0f;
  UNROLL
  for (int i = 0; i < GPU_SPIN_CHAINS; i++) all = all + sums[i];
  if (all == 12345.0f) sink[2] = all; /* never: so that nothing is left out */
}
