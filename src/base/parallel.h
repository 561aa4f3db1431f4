/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that share a loop's work.
 *
 * A pool is the calling thread and threads - 1 workers, which start when they are first needed.
 * Between two loops a worker waits actively for some microseconds and then sleeps, so that decoding
 * finds its workers awake while a busy machine loses next to nothing. A loop never waits for a
 * worker that has not taken part in it: where another process holds the processors, the caller does
 * the work itself.
 *
 * Workers block all signals. A child process made by fork() has no workers; its copy of a pool
 * starts new ones. */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

#include "base/err.h"

typedef struct ThreadPool ThreadPool;

/* What a loop does with one item. `thread`, from 0 (the caller) to threads - 1, tells those apart
 * that run this loop. */
typedef void ParallelBody(void *context, size_t item, int thread);

/* A pool of `threads` threads, the caller included; starts none yet. The caller frees *out with
 * pool_free. */
xt_status pool_create(int threads, ThreadPool **out, xt_error *error);
/* Ends the workers. Accepts NULL. Not to be called while a loop runs. */
void pool_free(ThreadPool *pool);

/* Threads of a pool, the caller included: 1 for NULL. */
int pool_threads(const ThreadPool *pool);

/* Calls body(context, item, thread) once for every item in [0, items), each handed to the thread
 * that is free first, and returns when all are done; what they wrote is then visible. Pool NULL:
 * the calling thread does all of it, as thread 0. So does a call from within a body, and one while
 * another thread uses the pool: nothing is gained by waiting. */
void parallel_for(ThreadPool *pool, size_t items, ParallelBody *body, void *context);

/* The same with a pool of `threads` threads for this one loop: for loops of milliseconds and
 * more. */
void parallel_for_once(int threads, size_t items, ParallelBody *body, void *context);

#endif
