/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products by oneDNN: weights packed once in the layout it prefers, one primitive kept for
 * each number of rows that it is asked for. Rows are split into pieces of few sizes, because making
 * a primitive costs 0.2 ms and its run-time-sized one is slow. A build without the library has
 * onednn_absent.c in its place.
 *
 * Threads: a weight is packed as strips of columns, and the threads of the backend's own pool each
 * take some strips of a product; oneDNN uses one thread in each. Its OpenMP therefore never starts
 * a team, which would compete for the processors with our threads and a host program's, and for
 * which a child process made by fork() would wait forever. */
#ifndef CPU_ONEDNN_MATMUL_H
#define CPU_ONEDNN_MATMUL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/parallel.h"
#include "files/dtype.h"

#define ONEDNN_MOST_ROWS 512 /* of one piece */

typedef struct OnednnCache OnednnCache;   /* primitives: of one backend, one thread at a time */
typedef struct OnednnWeight OnednnWeight; /* immutable: may be shared */

/* The library's version. False: this build has none, and every function below refuses. */
bool onednn_version(int version[3]);

/* Products run on `pool`, which has to outlive the cache; NULL: on the calling thread. Caller frees
 * *out with onednn_cache_free. */
xt_status onednn_cache_create(ThreadPool *pool, OnednnCache **out, xt_error *error);
void onednn_cache_free(OnednnCache *cache); /* accepts NULL */

/* Whether oneDNN has more than its plain reference for products of this type (F32 or BF16) here. */
bool onednn_has(OnednnCache *cache, Dtype type);

/* Whether a row's bits are the same whatever other rows are in the product and however many threads
 * work. This is tried on a sample, because oneDNN does not promise it: it holds with AVX-512's
 * bfloat16, and does not hold for its AVX2 product. */
xt_status onednn_keeps_order(ThreadPool *pool, Dtype type, bool *keeps, xt_error *error);

/* Packs [n,k] of `type`, row-major, 4-byte aligned. Makes the primitive for one row, so that a
 * product can be had even if there is no memory for others later. Caller frees *out with
 * onednn_weight_free. */
xt_status onednn_weight_create(OnednnCache *cache, Dtype type, int n, int k, const void *rows,
                               OnednnWeight **out, xt_error *error);
void onednn_weight_free(OnednnWeight *weight); /* accepts NULL */
size_t onednn_weight_bytes(const OnednnWeight *weight);

/* y[m,n] = x[m,k] W^T with x of the weight's type; m <= ONEDNN_MOST_ROWS. False: no memory was
 * left. */
bool onednn_multiply(OnednnCache *cache, const OnednnWeight *weight, const void *x, float *y,
                     int m);

#endif
