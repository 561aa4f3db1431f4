/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products of TinyLlama's shapes: GFLOP/s beside the peak measured in the same run, rounds
 * of all cases interleaved, best of them.
 * usage: bench_matmul [KERNELS|best [THREADS [ROUNDS [TYPE|all [f32|bf16]]]]]; TYPE is the weights',
 * and the last argument what products are computed in. */
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
} shapes[] = {{"q/o 2048x2048", 2048, 2048},
              {"qkv 2048->2560", 2560, 2048},
              {"gate+up 2048->11264", 11264, 2048},
              {"down 5632->2048", 2048, 5632}};
static const int rows[] = {1, 8, 16, 64, 256, 512, 1024};
static const struct {
  const char *name;
  Dtype dtype;
  int half; /* where a quantised block has its f16 scale */
} types[] = {{"f32", DTYPE_F32, 0},    {"f16", DTYPE_F16, 0},   {"bf16", DTYPE_BF16, 0},
             {"q4_0", DTYPE_Q4_0, 0},  {"q4_1", DTYPE_Q4_1, 0}, {"q5_0", DTYPE_Q5_0, 0},
             {"q8_0", DTYPE_Q8_0, 0},  {"q4_k", DTYPE_Q4_K, 0}, {"q5_k", DTYPE_Q5_K, 0},
             {"q6_k", DTYPE_Q6_K, 208}};
enum {
  SHAPES = 4,
  ROWS = 7,
  TYPES = sizeof types / sizeof *types,
  MOST_ROWS = 1024,
  MOST_WIDTH = 11264
};

/* Random blocks with a scale of 1/1024 (and a minimum of as much). */
static void fill_blocks(uint8_t *data, size_t bytes, int t) {
  const size_t block = dtype_size(types[t].dtype);
  const uint16_t scale = 0x1400;
  Rng rng = {1};
  for (size_t i = 0; i < bytes; i++) data[i] = (uint8_t)(rng_next(&rng) >> 24);
  for (size_t i = 0; i < bytes; i += block)
    for (size_t h = 0; h < 2; h++)
      if (h == 0 || types[t].dtype == DTYPE_Q4_1 || types[t].dtype == DTYPE_Q4_K ||
          types[t].dtype == DTYPE_Q5_K)
        memcpy(data + i + (size_t)types[t].half + 2 * h, &scale, 2);
}

static Weight *make_weight(Backend *b, int n, int k, int t) {
  const Dtype type = types[t].dtype;
  const size_t count = (size_t)n * (size_t)k;
  float *values = malloc(count * sizeof *values);
  if (!values) return NULL;
  Rng rng = {1};
  uint16_t *half = (uint16_t *)values;
  if (dtype_is_quantised(type)) fill_blocks((uint8_t *)values, dtype_bytes(type, count), t);
  for (size_t i = 0; i < count && !dtype_is_quantised(type); i++) {
    if (type == DTYPE_F32)
      values[i] = rng_symmetric(&rng) * 0.05f;
    else
      half[i] = (uint16_t)(0x2c00 + (rng_next(&rng) & 0x83ff));
  }
  const MatrixSource source = {.dtype = type, .rows = n, .cols = k, .data = values};
  Weight *w = NULL;
  if (b->ops->weight_create(b, &source, 1, &w, NULL) != XT_STATUS_OK) w = NULL;
  free(values);
  return w;
}

static double best[SHAPES][TYPES][ROWS]; /* products a second */

static void print_table(const Backend *b, int rounds, const char *only, double peak,
                        double bandwidth) {
  printf("%s, %d threads: peak %.1f GFLOP/s, memory %.1f GB/s (best of %d rounds)\n", b->ops->name,
         b->threads, peak, bandwidth * 1e-9, rounds);
  printf("%-20s %-5s", "GFLOP/s (% of peak)", "");
  for (int r = 0; r < ROWS; r++) printf("  M=%-8d", rows[r]);
  printf("  M=1 GB/s (%% of memory)\n");
  for (int s = 0; s < SHAPES; s++)
    for (int t = 0; t < TYPES; t++) {
      if (only && strcmp(only, types[t].name)) continue;
      printf("%-20s %-5s", shapes[s].name, types[t].name);
      for (int r = 0; r < ROWS; r++) {
        const double g = best[s][t][r] * 2e-9 * shapes[s].n * shapes[s].k * rows[r];
        printf("  %5.1f (%2.0f%%)", g, 100 * g / peak);
      }
      const double gb =
          best[s][t][0] *
          (double)dtype_bytes(types[t].dtype, (size_t)shapes[s].n * (size_t)shapes[s].k);
      printf("  %5.1f (%.0f%%)\n", gb * 1e-9, 100 * gb / bandwidth);
    }
}

int main(int argc, char **argv) {
  Backend *b;
  xt_error error;
  char line[1400];
  const int rounds = argc > 3 ? atoi(argv[3]) : 7;
  const char *only = argc > 4 && strcmp(argv[4], "all") ? argv[4] : NULL;
  const BackendOptions options = {
      .kernels = argc > 1 && strcmp(argv[1], "best") ? argv[1] : NULL,
      .threads = argc > 2 ? atoi(argv[2]) : 0,
      .compute = argc > 5 && strcmp(argv[5], "bf16") == 0 ? XT_COMPUTE_BF16 : XT_COMPUTE_F32};
  if (backend_create("cpu", &options, &b, &error)) {
    fprintf(stderr, "%s\n", xt_error_format(&error, line, sizeof line));
    return 1;
  }
  if (b->threads == 1) clock_used = CLOCK_THREAD_CPUTIME_ID;
  Dev x, y;
  if (b->ops->alloc(b, (size_t)MOST_ROWS * 5632 * 4, &x, NULL) ||
      b->ops->alloc(b, (size_t)MOST_ROWS * MOST_WIDTH * 4, &y, NULL))
    return 1;
  float *values = (float *)x.buffer;
  Rng rng = {2};
  for (size_t i = 0; i < (size_t)MOST_ROWS * 5632; i++) values[i] = rng_symmetric(&rng);

  double peak = 0, bandwidth = 0;
  for (int t = 0; t < TYPES; t++) {
    if (only && strcmp(only, types[t].name)) continue;
    Weight *w[SHAPES];
    for (int s = 0; s < SHAPES; s++)
      if (!(w[s] = make_weight(b, shapes[s].n, shapes[s].k, t))) return 1;
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
  print_table(b, rounds, only, peak, bandwidth);
  b->ops->release(b, x);
  b->ops->release(b, y);
  b->ops->destroy(b);
  return 0;
}
