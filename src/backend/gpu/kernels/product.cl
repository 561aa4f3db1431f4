/* SPDX-License-Identifier: Apache-2.0 */
/* One product of matrices, read once for each type of the second operand and each size of tile:
 * PRODUCT its name, LOAD_X and LOAD_W read four numbers of x and w, WEIGHT the type of w as it is
 * stored, ARGS what the kernel is given, OF the GpuProduct that a work-group of a batch makes of it,
 * MAY_LIE_BEYOND whether some have none of its tiles, SIDE x SIDE work-items, QUADS^2 times 4 x 4 sums in each one's registers.
 *
 * Both operands go through local memory, STEP of k at a time, the next step's being read while this
 * one's is multiplied. Every sum is one work-item's own chain over k; after each `chain` of them it
 * is added to y. What lies beyond k is padded with +0 and -0, whose product -0 leaves every sum as
 * it is. */
#define TILE (SIDE * 4 * QUADS)
#define ITEMS (SIDE * SIDE)
#define STEP 8
#define LD (TILE + 4)
#define READS \
  (TILE * STEP / 4 / ITEMS) /* quadruples that an item reads of each operand in a
                                           step */

KERNEL_OF(ITEMS, TOGETHER / ITEMS)
PRODUCT(GLOBAL float *y, GLOBAL const float *RESTRICT x, GLOBAL const WEIGHT *RESTRICT w,
        GLOBAL const float *RESTRICT bias, ARGS given) {
  LOCAL float rows[2][STEP * LD] ALIGNED, columns[2][STEP * LD] ALIGNED;
  const int item = ITEM, down = item / SIDE * 4, across = item % SIDE * 4;
  const int row0 = (int)GROUP_Y * TILE, column0 = (int)GROUP_X * TILE;
  const GpuProduct a = OF(given, (int)GROUP_Z);
  if (MAY_LIE_BEYOND && (row0 >= a.m || column0 >= a.n)) return;
  float sums[4 * QUADS][4 * QUADS], read_x[READS][4], read_w[READS][4];
  gpu_size at_x[READS], at_w[READS];
  UNROLL
  for (int i = 0; i < READS; i++) {
    const int place = (item + i * ITEMS) / (STEP / 4), r = min(row0 + place, a.m - 1),
              c = min(column0 + place, a.n - 1);
    at_x[i] = a.x + (gpu_size)(r / a.group) * a.ldx + (gpu_size)(r % a.group) * a.ldx_in;
    at_w[i] = a.w + (gpu_size)c * a.ldw;
  }
  UNROLL
  for (int i = 0; i < 4 * QUADS; i++) UNROLL
  for (int j = 0; j < 4 * QUADS; j++) sums[i][j] = 0.0f;
  const int depth = item % (STEP / 4) * 4; /* the same in all of its reads */
  for (int k0 = -STEP, turn = 1; k0 < a.k; k0 += STEP, turn ^= 1) {
    const int next = k0 + STEP;
    if (next < a.k) {
      UNROLL
      for (int i = 0; i < READS; i++) {
        LOAD_X(read_x[i], x, at_x[i], next + depth, a.k);
        LOAD_W(read_w[i], w, at_w[i], next + depth, a.k);
      }
    }
    if (k0 >= 0) {
      LOCAL_POINTER(const float) from_x = rows[turn] + down;
      LOCAL_POINTER(const float) from_w = columns[turn] + across;
      UNROLL_BY_2
      for (int k = 0; k < STEP; k++) {
        float4 p[QUADS], q[QUADS];
        UNROLL
        for (int i = 0; i < QUADS; i++)
          p[i] = *(LOCAL_POINTER(const float4))(from_x + k * LD + i * SIDE * 4);
        UNROLL
        for (int i = 0; i < QUADS; i++)
          q[i] = *(LOCAL_POINTER(const float4))(from_w + k * LD + i * SIDE * 4);
        UNROLL
        for (int i = 0; i < QUADS; i++) UNROLL
        for (int j = 0; j < QUADS; j++) {
          MULTIPLY4(sums[4 * i], 4 * j, p[i].x, q[j]);
          MULTIPLY4(sums[4 * i + 1], 4 * j, p[i].y, q[j]);
          MULTIPLY4(sums[4 * i + 2], 4 * j, p[i].z, q[j]);
          MULTIPLY4(sums[4 * i + 3], 4 * j, p[i].w, q[j]);
        }
      }
    }
    if (next < a.k) {
      UNROLL
      for (int i = 0; i < READS; i++) {
        const int place = (item + i * ITEMS) / (STEP / 4);
        UNROLL
        for (int j = 0; j < 4; j++) {
          rows[turn ^ 1][(depth + j) * LD + place] = read_x[i][j];
          columns[turn ^ 1][(depth + j) * LD + place] = read_w[i][j];
        }
      }
    }
    if (k0 >= 0 && (next % a.chain == 0 || next >= a.k)) {
      /* made anew, so that none of it takes a register until now */
      const GpuProduct p = OF(given, AGAIN((int)GROUP_Z));
      const int mode = next <= p.chain ? p.from_zero : 2; /* 0: the first sums; 1: to +0; 2: to
                                                             those before */
      GLOBAL const float *plus = p.has_bias && next >= p.k ? bias + p.bias : 0;
      UNROLL
      for (int i = 0; i < 4 * QUADS; i++) {
        const int r = row0 + i / 4 * SIDE * 4 + down + i % 4;
        GLOBAL float *to = y + p.y + (gpu_size)r * p.ldy;
        UNROLL
        for (int j = 0; j < 4 * QUADS; j++) {
          const int c = column0 + j / 4 * SIDE * 4 + across + j % 4;
          if (r < p.m && c < p.n) {
            float sum = sums[i][j];
            if (mode > 0) sum = (mode == 2 ? to[c] : 0.0f) + sum;
            if (plus) sum = sum + plus[c];
            to[c] = sum;
          }
          sums[i][j] = 0.0f;
        }
      }
    }
    BARRIER();
  }
}

#undef PRODUCT
#undef LOAD_W
#undef LOAD_X
#undef WEIGHT
#undef ARGS
#undef OF
#undef MAY_LIE_BEYOND
#undef SIDE
#undef TOGETHER
#undef QUADS
#undef TILE
#undef ITEMS
#undef STEP
#undef LD
#undef READS
