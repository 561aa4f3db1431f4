/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that share a loop's work.
 *
 * A pool is the calling thread and threads - 1 workers, which start when they are first needed.
 * Between two loops a worker waits actively for some microseconds and then sleeps, so that workers
 * are awake during decoding, while a busy machine loses almost nothing. A loop never waits for a
 * worker that has not taken part in it: if another process uses the processors, the caller does the
 * work itself.
 *
 * Workers block all signals but those of their own faults (SIGBUS of a mapped file that is cut short,
 * for one). A child process made by fork() has no workers; its copy of a pool
 * starts new ones. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

#include "base/err.h"

typedef struct ThreadPool ThreadPool;

/* What a loop does with one item. `thread`, from 0 (the caller) to threads - 1, is the number of
 * the thread within this loop. */
typedef void ParallelBody(void *context, size_t item, int thread);

/* A pool of `threads` threads, including the caller; no thread is started yet. The caller frees
 * *out with pool_free. */
xt_status pool_create(int threads, ThreadPool **out, xt_error *error);
/* Ends the workers. Accepts NULL. Not to be called while a loop runs. */
void pool_free(ThreadPool *pool);

/* The number of threads of a pool, including the caller; 1 for NULL. */
int pool_threads(const ThreadPool *pool);

/* Calls body(context, item, thread) once for every item in [0, items), each handed to the thread
 * that is free first, and returns when all are done; what they wrote is then visible. If `pool` is
 * NULL, the calling thread does all items, as thread 0; so does a call from within a body, and a
 * call while another thread uses the pool, because waiting would gain nothing. */
void parallel_for(ThreadPool *pool, size_t items, ParallelBody *body, void *context);

/* The same with a pool of `threads` threads for this one loop: for loops of milliseconds and
 * more. */
void parallel_for_once(int threads, size_t items, ParallelBody *body, void *context);

#endif
