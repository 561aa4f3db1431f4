/* SPDX-License-Identifier: Apache-2.0 */
/* Measures the speed of this machine, with which benchmarks compare their results. */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "base/parallel.h"

#define PEAK_ROUNDS 2000000L
#define PEAK_BYTES ((size_t)512 << 20)
#define PEAK_PIECE ((size_t)1 << 20)

/* One thread is timed by processor time, because on a busy machine it does not run all the time. */
static double now(int threads) {
  struct timespec t;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct Peak {
  double (*spin)(long rounds, float *sink);
  const uint64_t *buffer;
  float (*sinks)
      [16]; /* [threads] each thread's result, kept so that the compiler does not remove the loop */
  double operations; /* of one thread */
  atomic_uint_least64_t sum;
} Peak;

static void spin(void *context, size_t item, int thread) {
  Peak *p = context;
  (void)thread;
  float *sink = p->sinks[item];
  sink[0] = 1.0f;
  sink[1] = 0.0f;
  const double each = p->spin(PEAK_ROUNDS, sink);
  if (item == 0) p->operations = each * (double)PEAK_ROUNDS;
}

static void read_piece(void *context, size_t item, int thread) {
  Peak *p = context;
  (void)thread;
  const uint64_t *at = p->buffer + item * (PEAK_PIECE / 8);
  /* A word of every line brings the line; four streams keep the prefetchers busy. */
  uint64_t sum = 0;
  const size_t quarter = PEAK_PIECE / 32;
  for (size_t i = 0; i < quarter; i += 8)
    for (size_t s = 0; s < 4; s++) sum ^= at[s * quarter + i];
  /* never true: the buffer is zero */
  if (sum == 1) atomic_store_explicit(&p->sum, sum, memory_order_relaxed);
}

static xt_status measure_bytes(Peak *p, ThreadPool *pool, int threads, double *bytes,
                               xt_error *error) {
  uint64_t *buffer;
  *bytes = 0;
  TRY(cpu_block_create(PEAK_BYTES, &buffer, error));
  /* written, so that it has pages of its own and not the zero page */
  for (size_t i = 0; i < PEAK_BYTES / 8; i += 512) buffer[i] = 0;
  p->buffer = buffer;
  for (int i = 0; i < 5; i++) {
    const double from = now(threads);
    parallel_for(pool, PEAK_BYTES / PEAK_PIECE, read_piece, p);
    const double rate = (double)PEAK_BYTES / (now(threads) - from);
    if (rate > *bytes) *bytes = rate;
  }
  cpu_block_free(buffer);
  return XT_STATUS_OK;
}

xt_status cpu_peak(Backend *backend, double *flops, double *bytes, xt_error *error) {
  Peak *p;
  xt_status status = XT_STATUS_OK;
  const int threads = backend->threads, times = bytes ? 5 : 1;
  *flops = 0;
  TRY(MEM_ALLOC(&p, 1, error));
  TRY_DONE(MEM_ALLOC(&p->sinks, (size_t)threads, error));
  const CpuBackend *b = cpu_of(backend);
  p->spin = b->pairs ? b->pairs->spin : b->kernels ? b->kernels->spin : kernels_portable.spin;
  for (int i = 0; i < times; i++) {
    const double from = now(threads);
    parallel_for(backend->pool, (size_t)threads, spin, p);
    const double rate = p->operations * threads / (now(threads) - from);
    if (rate > *flops) *flops = rate;
  }
  if (bytes) status = measure_bytes(p, backend->pool, threads, bytes, error);
done:
  free(p->sinks);
  free(p);
  return status;
}
