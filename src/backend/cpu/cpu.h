/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the CPU backend share. */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/cpu_checks.h"
#include "backend/cpu/kernels.h"

/* Panels of a weight that a thread takes at once: with the rows of a block and their sums they fit in its
 * L2. */
#define CPU_GROUP_PANELS 32
/* The most rows that a product packs at once in a block of K. Products with more rows are computed
 * in pieces. */
#define CPU_PACKED_ROWS ((size_t)5632)
_Static_assert(CPU_PACKED_LD >= BACKEND_K_BLOCK, "a packed row holds a block of K");

typedef struct CpuBackend {
  Backend base; /* first: a Backend* is a CpuBackend* */
  const Kernels *kernels;
  const PairKernels *pairs; /* bfloat16 products, where the processor has instructions; else NULL */
  float *scratch;           /* threads * scratch_floats; nothing is allocated while an op runs */
  size_t scratch_floats;    /* of one thread */
  float *packed;            /* CPU_PACKED_ROWS * CPU_PACKED_LD: a product's activations */
} CpuBackend;

static inline CpuBackend *cpu_of(Backend *b) { return (CpuBackend *)b; }
/* A Dev is an address here: `buffer` points to memory. */
static inline float *cpu_floats(Dev d) {
  return d.buffer ? (float *)((char *)d.buffer + d.offset) : NULL;
}
static inline const int32_t *cpu_ints(IndexList list) {
  return (const int32_t *)cpu_floats(list.at);
}
/* Memory that is not from `alloc`, as an op's argument: for code that knows that it runs on the
 * CPU. */
static inline Dev cpu_dev(const void *at) { return (Dev){.buffer = (void *)(uintptr_t)at}; }
static inline float *cpu_scratch(const CpuBackend *b, int thread) {
  return b->scratch + (size_t)thread * b->scratch_floats;
}
/* Makes room for `floats` floats per thread. If memory runs out, the old room is kept. */
xt_status cpu_scratch_reserve(CpuBackend *b, size_t floats, xt_error *error);

/* 64-byte aligned, zeroed; large blocks in huge pages where the system has them. */
xt_status cpu_block_create(size_t bytes, void *out, xt_error *error);
void cpu_block_free(void *block); /* accepts NULL */

/* What is the same for every set of kernels. */
xt_status cpu_alloc(Backend *, size_t bytes, Dev *out, xt_error *error);
void cpu_destroy(Backend *); /* of every CPU backend; accepts NULL */
void cpu_release(Backend *, Dev);
void cpu_upload(Backend *, Dev to, const void *from, size_t bytes);
void cpu_download(Backend *, void *to, Dev from, size_t bytes);
xt_status cpu_status(Backend *, xt_error *error);
void cpu_copy_rows(Backend *, Dev to, IndexList to_rows, Dev from, IndexList from_rows, int m,
                   int width);

/* cpu_matmul.c */
xt_status cpu_weight_create(Backend *, const MatrixSource *parts, int n_parts, Weight **out,
                            xt_error *error);
void cpu_weight_release(Backend *, Weight *);
size_t cpu_weight_bytes(const Weight *);
void cpu_matmul(Backend *, Dev y, Dev x, const Weight *, Dev bias, int m);

/* cpu_rows.c */
struct Table {
  MatrixSource source;
};
xt_status cpu_table_create(Backend *, const MatrixSource *source, Table **out, xt_error *error);
void cpu_table_release(Backend *, Table *);
void cpu_embed(Backend *, Dev y, const Table *, IndexList ids, int m);
void cpu_norm(Backend *, const NormArgs *);
void cpu_rope(Backend *, const RopeArgs *);
void cpu_activate(Backend *, const ActivateArgs *);
void cpu_scale(Backend *, Dev x, size_t floats, float factor, float cap);
void cpu_add(Backend *, Dev x, Dev y, size_t floats);
void cpu_mix(Backend *, const MixArgs *);
void cpu_choose(Backend *, const ChooseArgs *);
void cpu_compare(Backend *, const CompareArgs *);

/* cpu_seen.c */
xt_status cpu_seen_create(Backend *, const SeenSource *source, SeenIds **out, xt_error *error);
void cpu_seen_release(Backend *, SeenIds *);
/* Adds the newest id to the row's list and applies the penalty; nothing without lists. */
void cpu_penalize(const ChooseArgs *args, int row);

/* cpu_attend.c */
/* Makes a prefix of each capacity by `make`; where one fails, releases those that were made. */
xt_status cpu_each_prefix(Backend *, KvShape, const int *capacities, int count,
                          xt_status (*make)(Backend *, KvShape, int capacity, KvPrefix **out,
                                            xt_error *),
                          KvPrefix **out, xt_error *error);
xt_status cpu_prefix_create(Backend *, KvShape, const int *capacities, int count, KvPrefix **out,
                            xt_error *error);
void cpu_prefix_release(Backend *, KvPrefix *);
void cpu_prefix_store(Backend *, KvPrefix *, int layer, Dev k, Dev v, int ld, int m, int first);
void cpu_prefix_copy(Backend *, KvPrefix *to, const KvPrefix *from, int count);
xt_status cpu_tail_create(Backend *, KvShape, const int32_t *slots, KvTail **out, xt_error *error);
void cpu_tail_release(Backend *, KvTail *);
void cpu_tail_store(Backend *, KvTail *, int layer, Dev k, Dev v, int ld, int m, IndexList slots);
void cpu_attend(Backend *, const AttendArgs *);

/* cpu_reference.c: the same table in plain loops with sums in double. */
extern const BackendOps cpu_reference_ops;

/* cpu_peak.c */
xt_status cpu_peak(Backend *, double *flops, double *bytes, xt_error *error);

#endif
