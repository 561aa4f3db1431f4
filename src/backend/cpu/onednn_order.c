/* SPDX-License-Identifier: Apache-2.0 */
/* Whether oneDNN's product gives a row the same bits, whatever other rows are in it. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "files/dtype.h"
#include "backend/cpu/onednn_matmul.h"
#include "base/mem.h"
#include "base/rng.h"

enum { SAMPLE_N = 160, SAMPLE_K = 1100, SAMPLE_ROWS = 64 };

/* Products of several row counts against those of all rows at once. */
static bool sample_agrees(OnednnCache *c, const OnednnWeight *w, const char *x, size_t row_bytes,
                          const float *all, float *some) {
  static const int counts[] = {1, 2, 5, 7, 16, 37, SAMPLE_ROWS};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    const int first = SAMPLE_ROWS - counts[i];
    if (!onednn_multiply(c, w, x + (size_t)first * row_bytes, some, counts[i])) return false;
    if (memcmp(some, all + first * SAMPLE_N, (size_t)(counts[i] * SAMPLE_N) * sizeof *some) != 0)
      return false;
  }
  return true;
}

xt_status onednn_keeps_order(ThreadPool *pool, Dtype type, bool *keeps, xt_error *error) {
  *keeps = false;
  const size_t values = (SAMPLE_N + SAMPLE_ROWS) * SAMPLE_K, sums = SAMPLE_ROWS * SAMPLE_N;
  const size_t size = type == DTYPE_BF16 ? 2 : 4, row_bytes = SAMPLE_K * size;
  OnednnCache *many = NULL, *one = NULL;
  OnednnWeight *w = NULL, *whole = NULL; /* in strips for many threads; for one */
  char *data = NULL;
  float *all = NULL;
  xt_status status = XT_STATUS_OK;
  TRY_DONE(cpu_block_create(values * size, &data, error));
  TRY_DONE(MEM_ALLOC(&all, 2 * sums, error));
  Rng rng = {1};
  for (size_t i = 0; i < values; i++) {
    const float x = rng_symmetric(&rng);
    const uint16_t h = dtype_to_bf16(x);
    memcpy(data + i * size, type == DTYPE_BF16 ? (const void *)&h : (const void *)&x, size);
  }
  TRY_DONE(onednn_cache_create(pool, &many, error));
  TRY_DONE(onednn_cache_create(NULL, &one, error));
  TRY_DONE(onednn_weight_create(many, type, SAMPLE_N, SAMPLE_K, data, &w, error));
  TRY_DONE(onednn_weight_create(one, type, SAMPLE_N, SAMPLE_K, data, &whole, error));
  const char *x = data + SAMPLE_N * row_bytes;
  *keeps = onednn_multiply(many, w, x, all, SAMPLE_ROWS) &&
           sample_agrees(many, w, x, row_bytes, all, all + sums) &&
           sample_agrees(one, whole, x, row_bytes, all, all + sums);
done:
  onednn_weight_free(w);
  onednn_weight_free(whole);
  onednn_cache_free(many);
  onednn_cache_free(one);
  cpu_block_free(data);
  free(all);
  return status;
}
