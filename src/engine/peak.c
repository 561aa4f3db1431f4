/* What the machine gives: the yardstick beside which the engine's own speed is told.
 *
 * Products: oneDNN's float32 matrix product, not this project's kernels, so that the yardstick does
 * not move with what it measures. Memory: every thread sums its share of a buffer far larger than
 * any cache. */
#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "engine/session.h"

#define PEAK_SIDE 1536            /* of the square matrices: 9 MB each */
#define PEAK_BYTES ((size_t)256 << 20)
#define PEAK_PIECE ((size_t)1 << 20) /* bytes that a thread reads at a time */
#define PEAK_SECONDS 0.4          /* spent on each of the two */

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static xt_status measure_products(int threads, double *per_second, xt_error *error) {
  const dnnl_dim_t n = PEAK_SIDE;
  const size_t floats = PEAK_SIDE * (size_t)PEAK_SIDE;
  float *all;
  TRY(mem_alloc(&all, 3 * floats, sizeof *all, error));
  for (size_t i = 0; i < 2 * floats; i++) all[i] = (float)(i % 7) - 3;
  const int before = omp_get_max_threads(); /* of this thread alone */
  omp_set_num_threads(threads);
  xt_status status = XT_STATUS_OK;
  *per_second = 0;
  for (double begin = seconds(); !status && seconds() - begin < PEAK_SECONDS;) {
    const double start = seconds();
    if (dnnl_sgemm('N', 'N', n, n, n, 1, all, n, all + floats, n, 0, all + 2 * floats, n) != dnnl_success)
      status = err_memory(error, floats * sizeof *all);
    const double rate = 2 * (double)n * (double)n * (double)n / (seconds() - start);
    if (rate > *per_second) *per_second = rate;
  }
  omp_set_num_threads(before);
  free(all);
  return status;
}

typedef struct Reading {
  const uint64_t *words;
  uint64_t *sums; /* [threads] kept, so that the reading is not optimised away */
} Reading;

static void read_piece(void *context, size_t item, int thread) {
  Reading *reading = context;
  const uint64_t *piece = reading->words + item * (PEAK_PIECE / sizeof(uint64_t));
  uint64_t sums[8] = {0}; /* independent chains: one alone would wait for itself */
  for (size_t i = 0; i < PEAK_PIECE / sizeof(uint64_t); i += 8)
    for (size_t k = 0; k < 8; k++) sums[k] += piece[i + k];
  for (size_t k = 0; k < 8; k++) reading->sums[thread] += sums[k];
}

static xt_status measure_memory(int threads, double *per_second, xt_error *error) {
  Reading reading = {0};
  uint64_t *words;
  TRY(mem_alloc(&words, PEAK_BYTES, 1, error));
  const xt_status status = mem_alloc(&reading.sums, (size_t)threads, sizeof *reading.sums, error);
  if (status) {
    free(words);
    return status;
  }
  memset(words, 1, PEAK_BYTES); /* untouched pages would all be the one zero page */
  reading.words = words;
  *per_second = 0;
  for (double begin = seconds(); seconds() - begin < PEAK_SECONDS;) {
    const double start = seconds();
    parallel_for(threads, PEAK_BYTES / PEAK_PIECE, read_piece, &reading);
    const double rate = (double)PEAK_BYTES / (seconds() - start);
    if (rate > *per_second) *per_second = rate;
  }
  free(reading.sums);
  free(words);
  return XT_STATUS_OK;
}

xt_status xt_session_peak(xt_session *session, double *flops_per_second, double *bytes_per_second, xt_error *error) {
  TRY(measure_products(session->backend->threads, flops_per_second, error));
  return measure_memory(session->backend->threads, bytes_per_second, error);
}
