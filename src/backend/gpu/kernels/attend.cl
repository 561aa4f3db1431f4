/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, values and attention. Attention over shared prefixes, as many as GPU_SPANS in a launch, is
 * two products (product.cl) with `softmax` between; `finish` reduces each row's private positions and merges the two by
 * log-sum-exp. */

KERNEL(256)
prefix_store(GLOBAL float *data, GLOBAL const float *k, GLOBAL const float *v, GpuPrefixStore a) {
  const uint width = (uint)(a.kv_heads * a.head_dim);
  const gpu_size each = EACH, row = each / width;
  const int column = (int)(each % width), head = column / a.head_dim, i = column % a.head_dim;
  if (row >= (gpu_size)a.m) return;
  const gpu_size position = (gpu_size)a.first + row, keys = (gpu_size)a.capacity * a.head_dim;
  data += a.at + (gpu_size)head * 2 * keys;
  data[position * a.head_dim + i] = k[a.k + row * a.ld + column];
  data[keys + (gpu_size)i * a.capacity + position] = v[a.v + row * a.ld + column];
}

/* Positions [0, count) of every head of every layer; each item has a number of a key and of a
 * value. */
KERNEL(256) prefix_copy(GLOBAL float *to, GLOBAL const float *from, GpuPrefixCopy a) {
  const gpu_size each = EACH, floats = (gpu_size)a.count * a.head_dim, head = each / floats,
                 at = each % floats;
  if (head >= (gpu_size)a.heads) return;
  const gpu_size to_keys = (gpu_size)a.to_capacity * a.head_dim,
                 from_keys = (gpu_size)a.from_capacity * a.head_dim;
  to += a.to + head * 2 * to_keys;
  from += a.from + head * 2 * from_keys;
  to[at] = from[at];
  const gpu_size i = at / (uint)a.count, position = at % (uint)a.count;
  to[to_keys + i * a.to_capacity + position] = from[from_keys + i * a.from_capacity + position];
}

KERNEL(256)
tail_store(GLOBAL float *data, GLOBAL const float *k, GLOBAL const float *v,
           GLOBAL const int *slots, GpuTailStore a) {
  const gpu_size each = EACH, row = each / (uint)a.width, i = each % (uint)a.width;
  if (row >= (gpu_size)a.m) return;
  data += a.at + (gpu_size)slots[a.slots + row] * 2 * a.width + i;
  data[0] = k[a.k + row * a.ld + i];
  data[a.width] = v[a.v + row * a.ld + i];
}

/* What the CPU's `bend` does to one score. */
FUNCTION float bent(float s, float factor, float cap, float slope, int position) {
  s = s * factor;
  if (cap != 0.0f) s = capped(s, cap);
  return slope != 0.0f ? s + slope * (float)position : s;
}

/* The largest of each set of 16 lanes, to each of its items, and the sum. */
FUNCTION float largest_of(LOCAL_POINTER(float) lanes, float own, int item) {
  BARRIER();
  lanes[item] = own;
  BARRIER();
  LOCAL_POINTER(const float) set = lanes + item / GPU_LANES * GPU_LANES;
  float largest = set[0];
  UNROLL
  for (int i = 1; i < GPU_LANES; i++) largest = largest > set[i] ? largest : set[i];
  return largest;
}
FUNCTION float sum_of(LOCAL_POINTER(float) lanes, float own, int item) {
  BARRIER();
  lanes[item] = own;
  BARRIER();
  return fold(lanes + item / GPU_LANES * GPU_LANES);
}

/* The product of one head and one span: scores of queries and keys, or weighted values of scores and
 * values. */
FUNCTION GpuProduct product_of_span(GpuSpan s, int head, gpu_size q, gpu_size stacked, int group,
                                    int d, int ldq, int values) {
  const int own = s.rows * group;
  const gpu_size keys = (gpu_size)s.capacity * d, first = (gpu_size)s.first,
                 scores = (gpu_size)s.scores + (gpu_size)head * own * s.capacity,
                 data = s.keys + (gpu_size)head * 2 * keys;
  GpuProduct p;
  p.y = values ? ((gpu_size)head * stacked + first * group) * d : scores;
  p.x = values ? scores : q + first * ldq + (gpu_size)head * group * d;
  p.w = values ? data + keys : data;
  p.bias = 0;
  p.m = s.capacity ? own : 0;
  p.n = p.ldy = values ? d : s.capacity;
  p.k = p.ldw = values ? s.capacity : d;
  p.chain = values ? GPU_K_BLOCK : 1 << 30;
  p.ldx = values ? s.capacity : ldq;
  p.ldx_in = values ? 0 : d;
  p.group = values ? 1 : group;
  p.has_bias = p.format = 0;
  p.from_zero = values;
  return p;
}
#define OF_SPAN(a, batch, values)                                                          \
  product_of_span((a).spans[(batch) / (a).heads], (batch) % (a).heads, (a).q, (a).stacked, \
                  (a).group, (a).head_dim, (a).ldq, values)
#define OF_SCORES(a, batch) OF_SPAN(a, batch, 0)
#define OF_VALUES(a, batch) OF_SPAN(a, batch, 1)

/* Scores become e^(scale s - largest) inside of [begin, end), 0 outside. A work-group has four
 * stacked rows of a span and kv head; position p is lane p % 16. All of the capacity is written,
 * since the host does not know what the rows see. */
KERNEL(64)
softmax(GLOBAL float *scores, GLOBAL const int *begins, GLOBAL const int *ends,
        GLOBAL const float *slopes, GLOBAL float *largest, GLOBAL float *sums, GpuAttend a) {
  LOCAL float lanes[64];
  const GpuSpan s = a.spans[GROUP_Z];
  const int item = ITEM, lane = item % GPU_LANES, stacked = (int)GROUP_X * 4 + item / GPU_LANES,
            head = (int)GROUP_Y, own = s.rows * a.group;
  const int exists = stacked < own, row = s.first + (exists ? stacked / a.group : 0);
  const int end = exists && s.capacity ? ends[a.end + row] : 0,
            begin = a.has_begin && exists ? begins[a.begin + row] : 0;
  const gpu_size at = (gpu_size)head * own + (exists ? stacked : 0);
  const int bends = a.cap != 0.0f || a.has_slopes;
  const float slope = a.has_slopes ? slopes[a.slopes + head * a.group + stacked % a.group] : 0.0f,
              factor = bends ? 1.0f : a.scale;
  const int first = begin / GPU_LANES * GPU_LANES + lane; /* this lane's first position that may
                                                             be seen */
  float top = -INFINITY, total = 0.0f;
  scores += (gpu_size)s.scores + at * s.capacity;
  for (int p = first; p < end; p += GPU_LANES)
    if (p >= begin) {
      float score = scores[p];
      if (bends) scores[p] = score = bent(score, a.scale, a.cap, slope, p);
      top = score > top ? score : top;
    }
  top = largest_of(lanes, top, item) * factor;
  for (int p = first; p < end; p += GPU_LANES)
    if (p >= begin) {
      const float e = exponential(fma(scores[p], factor, 0.0f - top));
      scores[p] = e;
      total = total + e;
    }
  if (exists)
    for (int p = lane; p < s.capacity; p += GPU_LANES)
      if (p < begin || p >= end) scores[p] = 0.0f;
  total = sum_of(lanes, total, item);
  if (!exists || lane > 0) return;
  const gpu_size place = (gpu_size)head * a.stacked + (gpu_size)s.first * a.group + stacked;
  largest[a.largest + place] = top;
  sums[a.sum + place] = begin < end ? total : 0.0f;
}

/* A work-group for each row and query head: 64 items are four times 16 lanes for the dot products,
 * one item a position for the softmax of a block, and one item a number of the value. */
#define DOT_LD (GPU_LANES + 1) /* so that items which fold side by side read from different banks */
KERNEL(64)
finish(GLOBAL float *out, GLOBAL const float *q, GLOBAL const float *shared,
       GLOBAL const float *largest, GLOBAL const float *sums, GLOBAL const float *tail,
       GLOBAL const int *slots, GLOBAL const int *begins, GLOBAL const int *ends,
       GLOBAL const int *prefix_ends, GLOBAL const float *slopes, GpuFinish a) {
  LOCAL float lanes[GPU_TAIL_BLOCK * DOT_LD], weights[GPU_TAIL_BLOCK];
  const int item = ITEM, lane = item % GPU_LANES, part = item / GPU_LANES,
            row = (int)(GROUP_X / (uint)a.heads), head = (int)(GROUP_X % (uint)a.heads),
            kv = head / a.group;
  const int d = a.head_dim, begin = a.has_tail && a.has_begin ? begins[a.tail_begin + row] : 0,
            end = a.has_tail ? ends[a.tail_end + row] : 0;
  const int count = end > begin ? end - begin : 0,
            position = (a.has_prefix_end ? prefix_ends[a.prefix_end + row] : 0) + begin;
  const gpu_size stacked =
      (gpu_size)kv * a.rows * a.group + (gpu_size)row * a.group + head % a.group;
  const float slope = a.has_slopes ? slopes[a.slopes + head] : 0.0f;
  out += a.out + ((gpu_size)row * a.heads + head) * d;
  q += a.q + (gpu_size)row * a.ldq + (gpu_size)head * d;
  tail += a.tail + (gpu_size)kv * d;
  slots += a.slots + (gpu_size)row * a.slots_ld + begin;
  float top = -INFINITY, sum = 0.0f;
  for (int at = 0; at < count; at += GPU_TAIL_BLOCK) {
    const int block = count - at < GPU_TAIL_BLOCK ? count - at : GPU_TAIL_BLOCK;
    const float before = top;
    for (int i = part; i < block; i += 4) {
      GLOBAL const float *key = tail + (gpu_size)slots[at + i] * 2 * a.tail_width;
      float dot = 0.0f;
      for (int c = lane; c < d; c += GPU_LANES) dot = fma(q[c], key[c], dot);
      if (d % GPU_LANES != 0 && lane >= d % GPU_LANES) dot = fma(0.0f, 0.0f, dot);
      lanes[i * DOT_LD + lane] = dot;
    }
    BARRIER();
    if (item < block) {
      float dot = fold(lanes + item * DOT_LD) * a.scale;
      if (a.cap != 0.0f || a.has_slopes) dot = bent(dot, 1.0f, a.cap, slope, position + at + item);
      weights[item] = dot;
    }
    BARRIER();
    for (int i = 0; i < block; i++) top = weights[i] > top ? weights[i] : top;
    const float shrink = at ? exponential(before - top) : 0.0f;
    BARRIER();
    if (item < block) weights[item] = exponential(weights[item] - top);
    BARRIER();
    float total = 0.0f;
    if (part == 0)
      for (int i = lane; i < block; i += GPU_LANES) total = total + weights[i];
    if (part == 0) lanes[lane] = total;
    BARRIER();
    sum = sum * shrink + fold(lanes);
    for (int c = item; c < d; c += 64) { /* an item's numbers are its own: `out` holds them
                                            between blocks */
      float value = at ? out[c] * shrink : 0.0f;
      for (int i = 0; i < block; i++)
        value = fma(weights[i], tail[(gpu_size)slots[at + i] * 2 * a.tail_width + a.tail_width + c],
                    value);
      out[c] = value;
    }
    BARRIER();
  }
  const float s = a.has_prefix ? sums[a.sum + stacked] : 0.0f,
              m = a.has_prefix ? largest[a.largest + stacked] : 0.0f;
  const float higher = m > top ? m : top, keep = exponential(m - higher),
              gain = exponential(top - higher);
  const float factor = s > 0.0f && sum > 0.0f ? 1.0f / (s * keep + sum * gain)
                       : s > 0.0f             ? 1.0f / s
                                              : 1.0f / sum;
  for (int c = item; c < d; c += 64) {
    float t = 0.0f;
    if (s > 0.0f) t = shared[a.shared + stacked * d + c];
    if (s > 0.0f && sum > 0.0f)
      t = fma(out[c], gain, t * keep);
    else if (sum > 0.0f)
      t = out[c];
    out[c] = s > 0.0f || sum > 0.0f ? t * factor : 0.0f;
  }
}
