/* SPDX-License-Identifier: Apache-2.0 */
/* One pool for the whole library: OpenMP's, which oneDNN uses too. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

/* Calls body(context, item, thread) for every item in [0, items), items handed out dynamically to at
 * most `threads` threads; `thread` in [0, threads) tells them apart. Returns when all are done. */
void parallel_for(int threads, size_t items, void (*body)(void *context, size_t item, int thread),
                  void *context);

/* Processors this process may run on. */
int parallel_processors(void);

#endif
