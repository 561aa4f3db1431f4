/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/parallel.h"

#include <omp.h>
#include <sched.h>

void parallel_for(int threads, size_t items, void (*body)(void *context, size_t item, int thread),
                  void *context) {
  if (threads <= 1 || items <= 1) {
    for (size_t i = 0; i < items; i++) body(context, i, 0);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (size_t i = 0; i < items; i++) body(context, i, omp_get_thread_num());
}

int parallel_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}
