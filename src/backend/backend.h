/* SPDX-License-Identifier: Apache-2.0 */
/* The op table: everything the engine asks of a device.
 *
 * Activations and keys/values live in the backend's memory and are named by a Dev; engine code never
 * looks through one. Matrices are row-major, float32. Short names: m rows of a batch, C width, N and K
 * a product's columns and depth, V vocabulary, L layers, P positions of a shared prefix.
 *
 * The numerics promise. Every output row depends on its own inputs only: the same bits whatever the
 * number of rows beside it, the number of threads, or how rows are tiled. So the order of every
 * reduction is a function of its length alone. matmul: one chain of fused multiply-adds a block of
 * BACKEND_K_BLOCK along K, block sums added in order. argmax takes the lowest id on ties. */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/parallel.h"
#include "files/dtype.h"
#include "files/model_config.h"
#include "xtransplant/model.h"

#define BACKEND_K_BLOCK 512

/* An address in the backend's memory. at == 0: none. */
typedef struct Dev {
  uintptr_t at;
} Dev;

static inline Dev dev_at(Dev base, size_t floats) { return (Dev){base.at + floats * sizeof(float)}; }
static inline bool dev_is_none(Dev d) { return d.at == 0; }

typedef struct Backend Backend;
typedef struct Weight Weight;     /* [N,K], prepared for products */
typedef struct Table Table;       /* [N,C] rows to look up: token embeddings */
typedef struct KvPrefix KvPrefix; /* keys and values of positions 0..capacity-1, every layer: shared by rows */
typedef struct KvTail KvTail;     /* slots, each one position's key and value, of every layer */

/* A stored matrix [rows, cols], row-major, maybe unaligned. Borrowed for the call unless said otherwise. */
typedef struct MatrixSource {
  Dtype dtype; /* F32, F16 or BF16 */
  int rows, cols;
  const void *data;
} MatrixSource;

typedef struct KvShape {
  int layers, kv_heads, head_dim;
} KvShape;

typedef struct AttendArgs {
  int layer, rows, heads;     /* kv_heads and head_dim are the caches'; heads % kv_heads == 0, query head h
                                 reads kv head h / (heads / kv_heads) */
  float scale;                /* of the scores, usually 1/sqrt(head_dim) */
  float cap;                  /* 0: none; else scaled scores s become cap * tanh(s / cap) */
  const float *slopes;        /* [heads] or NULL: slope * (the key's position) is added to each score (ALiBi, Press et al. 2022);
                                 a row's private positions follow its prefix_end */
  Dev q;                      /* [rows, heads*head_dim], rows ld_q floats apart */
  int ld_q;
  Dev out;                    /* [rows, heads*head_dim] contiguous */
  const KvPrefix *prefix;     /* may be NULL: no shared part */
  const int32_t *prefix_begin;/* [rows] or NULL (0): first prefix position that a row sees (sliding window) */
  const int32_t *prefix_end;  /* [rows] one past the last; begin == end: sees none */
  const KvTail *tail;         /* may be NULL */
  const int32_t *tail_slots;  /* [rows, tail_ld] slots of a row's private positions, in order */
  int tail_ld;
  const int32_t *tail_begin;  /* [rows] or NULL (0): first index into the row's slots that it sees */
  const int32_t *tail_end;    /* [rows] one past the last */
} AttendArgs;
/* A row's result: softmax over prefix and tail together. Each part is reduced on its own (maximum,
 * sum, weighted values; order by position), then merged by log-sum-exp; a row seeing only one part
 * gives that part alone. The host arrays are read during the call. */

/* Each of `groups` groups of `width` floats of each row is normalised by itself:
 *   NORM_RMS    y = x / sqrt(mean(x^2) + eps) * weight                        (RMSNorm, Zhang & Sennrich 2019)
 *   NORM_LAYER  y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias       (LayerNorm, Ba et al. 2016)
 * The groups of a row follow one another; rows of y and x are ld_y and ld_x floats apart. y may be x. */
typedef struct NormArgs {
  NormKind kind;
  Dev y, x;
  Dev weight, bias;           /* [width], or [groups, width] with weight_of_group; bias only of NORM_LAYER, or none */
  bool weight_of_group;
  int rows, groups, width, ld_y, ld_x;
  float eps;
} NormArgs;

/* Rotary positions in place: the first `width` of each head's head_dim floats are turned in pairs, k with
 * k + width/2 (ROPE_HALVES) or 2k with 2k + 1 (ROPE_PAIRS). cos_sin: [positions, width], width/2 cosines, then as many sines. */
typedef struct RopeArgs {
  RopeStyle style;
  Dev x;
  int ld, rows, heads, head_dim, width; /* rows are ld floats apart, their heads head_dim */
  const int32_t *positions;   /* [rows] */
  Dev cos_sin;
} RopeArgs;

/* y = act(g) * u with x [rows, 2 width]: g in the first columns of a row, u after it; or, not gated, act(x) with x [rows, width]. */
typedef struct ActivateArgs {
  Activation kind;
  bool gated;
  Dev y, x;            /* y [rows, width] */
  int rows, width;
  XieluNumbers xielu;  /* of ACTIVATION_XIELU */
} ActivateArgs;

typedef struct ChooseArgs {
  int rows, vocab;
  Dev logits;                 /* [rows, vocab]; the penalty changes it in place */
  float penalty;              /* 1: none */
  const int32_t *const *seen; /* [rows] distinct ids of prompt and output, each id once (penalty != 1 only) */
  const int32_t *seen_count;  /* [rows] */
  /* host results, [rows] each, any may be NULL */
  int32_t *best;              /* lowest id with the largest logit */
  float *margin;              /* best minus second-best logit */
  float *entropy;             /* nats, of softmax(logits after the penalty) */
  float *logprob;             /* of the best */
  const int32_t *wanted;      /* [rows] ids asked about (wanted_logprob only) */
  float *wanted_logprob;      /* of `wanted`; that of the best is `logprob`, to the bit */
} ChooseArgs;

typedef struct BackendOps {
  const char *name; /* "cpu:avx2", ... */
  void (*destroy)(Backend *);

  /* Device memory, zeroed. release accepts none. Transfers complete before they return. */
  xt_status (*alloc)(Backend *, size_t bytes, Dev *out, xt_error *);
  void (*release)(Backend *, Dev);
  void (*upload)(Backend *, Dev to, const void *from, size_t bytes);
  void (*download)(Backend *, void *to, Dev from, size_t bytes);
  /* to[to_rows[r]] = from[from_rows[r]] for r in [0, m), rows of `width` floats; a NULL list means
   * 0..m-1. Rows must not overlap between to and from. */
  void (*copy_rows)(Backend *, Dev to, const int32_t *to_rows, Dev from, const int32_t *from_rows, int m, int width);

  /* Prepares the parts stacked along rows (q,k,v; gate,up) as one matrix; all have the same cols and
   * dtype. A value that is not finite is an XT_STATUS_INPUT error whose `offset` is the byte offset
   * from that part's data and whose `field` is the part's index in decimal. */
  xt_status (*weight_create)(Backend *, const MatrixSource *parts, int n_parts, Weight **out, xt_error *);
  void (*weight_release)(Backend *, Weight *);
  size_t (*weight_bytes)(const Weight *);
  /* y[m,N] = x[m,K] * W^T + bias. bias [N] or none. y and x contiguous, distinct. */
  void (*matmul)(Backend *, Dev y, Dev x, const Weight *, Dev bias, int m);

  /* Keeps source->data, which must outlive the table. */
  xt_status (*table_create)(Backend *, const MatrixSource *source, Table **out, xt_error *);
  void (*table_release)(Backend *, Table *);
  void (*embed)(Backend *, Dev y, const Table *, const int32_t *ids, int m); /* y[m,C] */

  void (*norm)(Backend *, const NormArgs *);
  void (*rope)(Backend *, const RopeArgs *);
  void (*activate)(Backend *, const ActivateArgs *);
  /* x = x * factor and then, unless cap is 0, cap * tanh(x / cap). */
  void (*scale)(Backend *, Dev x, size_t floats, float factor, float cap);
  void (*add)(Backend *, Dev x, Dev y, size_t floats); /* x += y */
  /* x[c] = keep * x + gain * v; keep == 0 and gain == 1 copies v exactly. */
  void (*mix)(Backend *, Dev x, Dev v, int c, float keep, float gain);

  xt_status (*prefix_create)(Backend *, KvShape, int capacity, KvPrefix **out, xt_error *);
  void (*prefix_release)(Backend *, KvPrefix *);
  /* Keys and values [m, kv_heads*head_dim], rows ld floats apart, at positions first..first+m-1. */
  void (*prefix_store)(Backend *, KvPrefix *, int layer, Dev k, Dev v, int ld, int m, int first);
  xt_status (*tail_create)(Backend *, KvShape, const int32_t *slots, KvTail **out, xt_error *); /* slots: [layers] of each */
  void (*tail_release)(Backend *, KvTail *);
  void (*tail_store)(Backend *, KvTail *, int layer, Dev k, Dev v, int ld, int m, const int32_t *slots);

  void (*attend)(Backend *, const AttendArgs *);
  void (*choose)(Backend *, const ChooseArgs *);

  /* What the machine gives with this backend's threads and compute type: operations a second of multiply-adds that
   * wait for nothing (of a large product, where a library does the products), bytes a second read from memory; the best
   * of several. bytes may be NULL: then the former alone, measured once, in milliseconds. */
  xt_status (*peak)(Backend *, double *flops, double *bytes, xt_error *);
} BackendOps;

struct Backend {
  const BackendOps *ops;
  int threads;
  ThreadPool *pool; /* of so many threads: what the ops' loops run on */
  xt_compute compute;
  /* implementation data follows in the backend's own struct */
};

/* kernels: NULL for the best this processor has, or "avx512", "avx2", "neon", "portable" (the same
 * code without vector instructions) or "reference" (plain loops, the oracle of the others). A name
 * this processor or build lacks is an XT_STATUS_UNSUPPORTED error that lists what there is.
 * threads 0: as many as system_processors says. A Backend's ops may be called from one thread at a time, except on
 * Weights and Tables of another Backend made alike: those are immutable and may be shared. */
xt_status backend_cpu_create(const char *kernels, int threads, xt_compute compute, Backend **out, xt_error *error);

#endif
