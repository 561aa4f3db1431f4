/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a token, without a copy of the logits. */

FUNCTION float lowered(float s, float penalty) { return s < 0.0f ? s * penalty : s / penalty; }

/* A work-group for each row. Every id is listed once; the newest is added unless it is there. */
KERNEL(64)
penalize(GLOBAL float *logits, GLOBAL int *seen, GLOBAL const int *lists, GLOBAL const int *newest,
         GpuPenalize a) {
  LOCAL int known[2]; /* whether the newest is listed; how many were added before */
  const int item = ITEM, row = (int)GROUP_X, list = lists[a.lists + row],
            id = newest[a.newest + row], prompt = seen[a.prompt + list];
  const int from = seen[a.start + prompt], end = seen[a.start + prompt + 1];
  GLOBAL int *added = seen + a.added + (gpu_size)list * a.capacity;
  logits += a.logits + (gpu_size)row * a.vocab;
  if (item == 0) { /* the count is this item's alone to read, since it is the one to write it */
    known[0] = 0;
    known[1] = seen[a.counts + list];
  }
  BARRIER();
  const int count = known[1];
  for (int i = from + item; i < end; i += 64) {
    logits[seen[i]] = lowered(logits[seen[i]], a.penalty);
    if (seen[i] == id) known[0] = 1;
  }
  for (int i = item; i < count; i += 64) {
    logits[added[i]] = lowered(logits[added[i]], a.penalty);
    if (added[i] == id) known[0] = 1;
  }
  BARRIER();
  if (item > 0 || known[0] || count >= a.capacity) return;
  added[count] = id;
  seen[a.counts + list] = count + 1;
  logits[id] = lowered(logits[id], a.penalty);
}

/* The two largest of a row, ties counted twice, and the lowest id of the first. One work-group a
 * row. */
KERNEL(256)
two_largest(GLOBAL const float *logits, GLOBAL uint *chosen, GLOBAL const int *wanted,
            GpuChoose a) {
  LOCAL float firsts[256], seconds[256];
  LOCAL int ids[256];
  const int item = ITEM, row = (int)GROUP_X;
  logits += a.logits + (gpu_size)row * a.vocab;
  float first = -INFINITY, second = -INFINITY;
  int id = a.vocab;
  for (int i = item; i < a.vocab; i += 256) {
    const float x = logits[i];
    if (x > first) {
      second = first;
      first = x;
      id = i;
    } else if (x > second)
      second = x;
  }
  firsts[item] = first;
  seconds[item] = second;
  ids[item] = id;
  for (int half_way = 128; half_way > 0; half_way /= 2) {
    BARRIER();
    if (item < half_way) {
      const int other = item + half_way;
      const float x = firsts[item], y = firsts[other], low = x < y ? x : y, u = seconds[item],
                  v = seconds[other];
      ids[item] = x > y                    ? ids[item]
                  : y > x                  ? ids[other]
                  : ids[item] < ids[other] ? ids[item]
                                           : ids[other];
      firsts[item] = x < y ? y : x;
      seconds[item] = u > v ? (u > low ? u : low) : (v > low ? v : low);
    }
  }
  if (item > 0) return;
  chosen += a.chosen + (gpu_size)row * 5;
  chosen[0] = (uint)(ids[0] < a.vocab ? ids[0] : 0);
  chosen[1] = as_uint(firsts[0] - seconds[0]);
  chosen[2] = as_uint(firsts[0]);
  chosen[3] = 0u;
  chosen[4] = a.has_wanted ? as_uint(logits[wanted[a.wanted + row]] - firsts[0]) : 0u;
}

/* Sums of e^(x - best) and of e^(x - best) (x - best), a block of 1024 logits in 16 lanes; a
 * work-group has four blocks of a row. The first of a row copies its choice. */
KERNEL(64)
weigh(GLOBAL const float *logits, GLOBAL const uint *chosen, GLOBAL uint *all, GpuChoose a) {
  LOCAL float lanes[64];
  const uint groups = (uint)(a.blocks + 3) / 4u; /* of one row */
  const int item = ITEM, lane = item % GPU_LANES,
            block = (int)(GROUP_X % groups) * 4 + item / GPU_LANES, row = (int)(GROUP_X / groups);
  const int from = block * GPU_MASS_BLOCK,
            end = from + GPU_MASS_BLOCK < a.vocab ? from + GPU_MASS_BLOCK : a.vocab;
  chosen += a.chosen + (gpu_size)row * 5;
  all += a.all + (gpu_size)row * (uint)(5 + 2 * a.blocks);
  const float best = as_float(chosen[2]);
  float sum = 0.0f, moment = 0.0f;
  logits += a.logits + (gpu_size)row * a.vocab;
  for (int i = from + lane; i < end; i += GPU_LANES) {
    float t = logits[i] - best;
    t = t > -100.0f ? t : -100.0f;
    const float e = exponential(t);
    sum = sum + e;
    moment = fma(e, t, moment);
  }
  sum = sum_of(lanes, sum, item);
  moment = sum_of(lanes, moment, item);
  if (GROUP_X % groups == 0u && item < 5) all[item] = chosen[item];
  if (lane > 0 || block >= a.blocks) return;
  all[5 + 2 * block] = as_uint(sum);
  all[6 + 2 * block] = as_uint(moment);
}

/* The sums of q (s - (x - best)) of blocks of 1024 ids in 16 lanes; a work-group has four blocks of
 * a row and one of its two distributions. The first groups look up, too. */
KERNEL(64)
compare(GLOBAL const float *logits, GLOBAL const uint *chosen, GLOBAL const int *ids,
        GLOBAL const int *against, GLOBAL const float *distributions, GLOBAL float *out,
        GpuCompare a) {
  LOCAL float lanes[64];
  const uint groups = (uint)(a.blocks + 3) / 4u, group = GROUP_X % groups;
  const int item = ITEM, lane = item % GPU_LANES, block = (int)group * 4 + item / GPU_LANES,
            row = (int)(GROUP_X / groups / 2u), which = (int)(GROUP_X / groups % 2u);
  const int from = block * GPU_MASS_BLOCK,
            end = from + GPU_MASS_BLOCK < a.vocab ? from + GPU_MASS_BLOCK : a.vocab;
  const int other = against[a.against + (gpu_size)row * 2 + which];
  float sum = 0.0f;
  logits += a.logits + (gpu_size)row * a.vocab;
  out += a.out + (gpu_size)row * a.width;
  const float best = logits[chosen[a.chosen + (gpu_size)row * 5]];
  if (other >= 0) {
    GLOBAL const float *q = distributions + a.distributions + (gpu_size)other * 2 * a.vocab,
                       *s = q + a.vocab;
    for (int i = from + lane; i < end; i += GPU_LANES)
      sum = fma(q[i], s[i] - (logits[i] - best), sum);
  }
  sum = sum_of(lanes, sum, item);
  if (lane == 0 && block < a.blocks) out[which * a.blocks + block] = sum;
  if (group > 0 || which > 0) return;
  for (int k = item; k < a.asked; k += 64)
    out[2 * a.blocks + k] = logits[ids[a.ids + (gpu_size)row * a.asked + k]] - best;
}
