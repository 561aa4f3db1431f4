/* SPDX-License-Identifier: Apache-2.0 */
/* The product for few rows, where reading the weights is what takes time. A work-item has one
 * column and one block of K; eight blocks lie side by side in a work-group, and their sums are
 * added in order. Read once for each type: FEW its name, LOAD_W, WEIGHT. */
KERNEL(GPU_FEW_COLUMNS *GPU_FEW_BLOCKS)
FEW(GLOBAL float *y, GLOBAL const float *RESTRICT x, GLOBAL const WEIGHT *RESTRICT w,
    GLOBAL const float *RESTRICT bias, GpuProduct a) {
  LOCAL float sums[GPU_FEW_BLOCKS][GPU_FEW_ROWS][GPU_FEW_COLUMNS];
  const int column = ITEM % GPU_FEW_COLUMNS, own = ITEM / GPU_FEW_COLUMNS;
  const int c = (int)GROUP_X * GPU_FEW_COLUMNS + column, row0 = (int)GROUP_Y * GPU_FEW_ROWS;
  const gpu_size at_w = a.w + (gpu_size)min(c, a.n - 1) * a.ldw;
  gpu_size at_x[GPU_FEW_ROWS];
  float total = 0.0f;
  UNROLL
  for (int r = 0; r < GPU_FEW_ROWS; r++) at_x[r] = a.x + (gpu_size)min(row0 + r, a.m - 1) * a.ldx;
  for (int base = 0; base < a.k; base += GPU_FEW_BLOCKS * GPU_K_BLOCK) {
    const int from = base + own * GPU_K_BLOCK, end = min(a.k, from + GPU_K_BLOCK);
    float sum[GPU_FEW_ROWS];
    UNROLL
    for (int r = 0; r < GPU_FEW_ROWS; r++) sum[r] = 0.0f;
    for (int k = from; k < end; k += 4) {
      float v[4];
      LOAD_W(v, w, at_w, k, a.k);
      UNROLL
      for (int r = 0; r < GPU_FEW_ROWS; r++) {
        float u[4];
        LOAD_X(u, x, at_x[r], k, a.k);
        UNROLL
        for (int j = 0; j < 4; j++) sum[r] = fma(u[j], v[j], sum[r]);
      }
    }
    UNROLL
    for (int r = 0; r < GPU_FEW_ROWS; r++) sums[own][r][column] = sum[r];
    BARRIER();
    if (own < GPU_FEW_ROWS)
      for (int i = 0; i < GPU_FEW_BLOCKS && base + i * GPU_K_BLOCK < a.k; i++) {
        const float next = sums[i][own][column];
        total = base + i == 0 ? next : total + next;
      }
    BARRIER();
  }
  if (own >= GPU_FEW_ROWS || row0 + own >= a.m || c >= a.n) return;
  y[a.y + (gpu_size)(row0 + own) * a.ldy + c] = a.has_bias ? total + bias[a.bias + c] : total;
}

#undef FEW
#undef LOAD_W
#undef LOAD_X
#undef WEIGHT
