/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products of TinyLlama's shapes: GFLOP/s beside the peak measured in the same run, rounds of
 * all cases interleaved, best of them. usage: bench_matmul [KERNELS|best [THREADS [ROUNDS [f32|f16|bf16]]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/cpu.h"
#include "base/rng.h"

/* One thread: its processor time, which other programs of a busy machine do not lengthen. */
static clockid_t clock_used = CLOCK_MONOTONIC;
static double now(void) {
  struct timespec t;
  clock_gettime(clock_used, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const struct {
  const char *name;
  int n, k;
} shapes[] = {{"q/o 2048x2048", 2048, 2048}, {"qkv 2048->2560", 2560, 2048}, {"gate+up 2048->11264", 11264, 2048},
              {"down 5632->2048", 2048, 5632}};
static const int rows[] = {1, 8, 16, 64, 256, 512, 1024};
static const char *const type_names[] = {"f32", "f16", "bf16"};
enum { SHAPES = 4, ROWS = 7, TYPES = 3, MOST_ROWS = 1024, MOST_WIDTH = 11264 };

static Weight *make_weight(Backend *b, int n, int k, Dtype type) {
  const size_t count = (size_t)n * (size_t)k;
  float *values = malloc(count * sizeof *values);
  if (!values) return NULL;
  Rng rng = {1};
  uint16_t *half = (uint16_t *)values;
  for (size_t i = 0; i < count; i++) {
    if (type == DTYPE_F32) values[i] = rng_symmetric(&rng) * 0.05f;
    else half[i] = (uint16_t)(0x2c00 + (rng_next(&rng) & 0x83ff));
  }
  const MatrixSource source = {.dtype = type, .rows = n, .cols = k, .data = values};
  Weight *w = NULL;
  if (b->ops->weight_create(b, &source, 1, &w, NULL) != XT_STATUS_OK) w = NULL;
  free(values);
  return w;
}

int main(int argc, char **argv) {
  Backend *b;
  xt_error error;
  char line[1400];
  const int rounds = argc > 3 ? atoi(argv[3]) : 7;
  const char *only = argc > 4 ? argv[4] : NULL;
  const BackendOptions options = {.kernels = argc > 1 && strcmp(argv[1], "best") ? argv[1] : NULL, .threads = argc > 2 ? atoi(argv[2]) : 0};
  if (backend_create("cpu", &options, &b, &error)) {
    fprintf(stderr, "%s\n", xt_error_format(&error, line, sizeof line));
    return 1;
  }
  if (b->threads == 1) clock_used = CLOCK_THREAD_CPUTIME_ID;
  Dev x, y;
  if (b->ops->alloc(b, (size_t)MOST_ROWS * 5632 * 4, &x, NULL) || b->ops->alloc(b, (size_t)MOST_ROWS * MOST_WIDTH * 4, &y, NULL)) return 1;
  float *values = (float *)x.buffer;
  Rng rng = {2};
  for (size_t i = 0; i < (size_t)MOST_ROWS * 5632; i++) values[i] = rng_symmetric(&rng);

  static double best[SHAPES][TYPES][ROWS];
  double peak = 0, bandwidth = 0;
  for (int t = 0; t < TYPES; t++) {
    if (only && strcmp(only, type_names[t])) continue;
    Weight *w[SHAPES];
    for (int s = 0; s < SHAPES; s++)
      if (!(w[s] = make_weight(b, shapes[s].n, shapes[s].k, (Dtype)t))) return 1;
    for (int round = 0; round < rounds; round++) {
      double flops, bytes;
      if (b->ops->peak(b, &flops, &bytes, NULL)) return 1;
      if (flops * 1e-9 > peak) peak = flops * 1e-9;
      if (bytes > bandwidth) bandwidth = bytes;
      for (int r = 0; r < ROWS; r++)
        for (int s = 0; s < SHAPES; s++) {
          const double from = now();
          b->ops->matmul(b, y, x, w[s], (Dev){0}, rows[r]);
          const double rate = 1 / (now() - from);
          if (rate > best[s][t][r]) best[s][t][r] = rate;
        }
    }
    for (int s = 0; s < SHAPES; s++) b->ops->weight_release(b, w[s]);
  }
  printf("%s, %d threads: peak %.1f GFLOP/s, memory %.1f GB/s (best of %d rounds)\n", b->ops->name, b->threads, peak,
         bandwidth * 1e-9, rounds);
  printf("%-20s %-5s", "GFLOP/s (% of peak)", "");
  for (int r = 0; r < ROWS; r++) printf("  M=%-8d", rows[r]);
  printf("  M=1 GB/s (%% of memory)\n");
  for (int s = 0; s < SHAPES; s++)
    for (int t = 0; t < TYPES; t++) {
      if (only && strcmp(only, type_names[t])) continue;
      printf("%-20s %-5s", shapes[s].name, type_names[t]);
      for (int r = 0; r < ROWS; r++) {
        const double g = best[s][t][r] * 2e-9 * shapes[s].n * shapes[s].k * rows[r];
        printf("  %5.1f (%2.0f%%)", g, 100 * g / peak);
      }
      const double gb = best[s][t][0] * shapes[s].n * shapes[s].k * (t == 0 ? 4 : 2);
      printf("  %5.1f (%.0f%%)\n", gb * 1e-9, 100 * gb / bandwidth);
    }
  b->ops->release(b, x);
  b->ops->release(b, y);
  b->ops->destroy(b);
  return 0;
}
