/* SPDX-License-Identifier: Apache-2.0 */
/* The op table: everything the engine asks of a device.
 *
 * Activations, keys, values and row tables live in the backend's memory and are named by a Dev or
 * an IndexList; engine code never looks through one. Matrices are row-major, float32. Short names:
 * m rows of a batch, C width, N and K a product's columns and depth, V vocabulary, L layers, P
 * positions of a shared prefix.
 *
 * Ops may be asynchronous: they run in the order in which they were called, and only `download` and
 * `status` wait. What the arguments point to on the host is read during the call. An op that fails
 * leaves the backend failed: ops after it do nothing of use, and `status`, read at a step's end,
 * says why. A decoding step is therefore one upload (the row tables of all layers), ops, and one
 * download (what was chosen for all rows). Dearer are
 *   a mixture of experts: in each layer, for each piece of work_rows rows, a download (the router's
 *     logits) and an upload (which rows each expert has);
 *   draws: a download of each row's logits;
 *   generation settings that forbid tokens: an upload for each piece of logit_rows rows, more where
 *     many tokens are forbidden;
 *   numbers of the first token (effects), in that step: an upload and a download, and one of each
 *     for every distribution that others are compared with.
 *
 * The numerics promise: every output row depends on its own inputs only. It has the same bits
 * whatever the number of other rows, the number of threads, or how rows are tiled. Therefore the
 * order of every reduction depends on its length alone. matmul: one chain of fused multiply-adds
 * per block of BACKEND_K_BLOCK along K, block sums added in order. argmax takes the lowest id on
 * ties. */
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

/* A place in the backend's memory: a buffer that `alloc` made, and bytes from its beginning. buffer
 * NULL: none. Only the backend knows what a buffer is; places in it are made by dev_at and index_at
 * alone. */
typedef struct Dev {
  void *buffer;
  size_t offset;
} Dev;

static inline Dev dev_at(Dev base, size_t floats) {
  return (Dev){base.buffer, base.offset + floats * sizeof(float)};
}
static inline bool dev_is_none(Dev d) { return !d.buffer; }

/* int32 values in the backend's memory: positions, slots, ids. Ops take ranges of such lists, which
 * are uploaded together once for a step. */
typedef struct IndexList {
  Dev at;
} IndexList;

static inline IndexList index_at(IndexList base, size_t ints) {
  return (IndexList){{base.at.buffer, base.at.offset + ints * sizeof(int32_t)}};
}
static inline bool index_is_none(IndexList list) { return !list.at.buffer; }

typedef struct Backend Backend;
typedef struct Weight Weight;     /* [N,K], prepared for products */
typedef struct Table Table;       /* [N,C] rows to look up: token embeddings */
typedef struct KvPrefix KvPrefix; /* keys and values of positions 0..capacity-1, every layer:
                                     shared by rows */
typedef struct KvTail KvTail;     /* slots, each one position's key and value, of every layer */
typedef struct SeenIds SeenIds;   /* lists of distinct ids that the repetition penalty lowers */

/* A stored matrix [rows, cols], row-major, maybe unaligned. Borrowed for the call unless said
 * otherwise. */
typedef struct MatrixSource {
  Dtype dtype; /* F32, F16, BF16 or a quantised type */
  int rows, cols;
  const void *data;
  int paired; /* D: of each D rows, row k is stored at place 2k and row k + D/2 at 2k + 1, for k
                  < D/2; 0: in order */
} MatrixSource;

/* The place of a row among those stored. */
static inline int matrix_source_place(const MatrixSource *s, int row) {
  if (!s->paired) return row;
  const int half = s->paired / 2, in_head = row % s->paired;
  return row - in_head + in_head % half * 2 + in_head / half;
}

typedef struct KvShape {
  int layers, kv_heads, head_dim;
} KvShape;

/* Rows first..first+rows-1 see positions of one prefix; NULL: they see none, whatever prefix_end
 * says. */
typedef struct AttendSpan {
  int first, rows;
  const KvPrefix *prefix;
} AttendSpan;

typedef struct AttendArgs {
  int layer, rows, heads; /* kv_heads and head_dim are the caches'; heads % kv_heads == 0,
                                 query head h reads kv head h / (heads / kv_heads) */
  float scale;            /* of the scores, usually 1/sqrt(head_dim) */
  float cap;              /* 0: none; else scaled scores s become cap * tanh(s / cap) */
  const float *slopes;    /* [heads], on the host, or NULL: slope * (the key's position) is
                                 added to each score (ALiBi, Press et al. 2022); a row's private
                                 positions follow its prefix_end */
  Dev q;                  /* [rows, heads*head_dim], rows ld_q floats apart */
  int ld_q;
  Dev out;                 /* [rows, heads*head_dim] contiguous */
  const AttendSpan *spans; /* cover all rows, in order; on the host */
  int span_count;
  IndexList prefix_begin; /* [rows] or none (0): first prefix position that a row sees
                                 (sliding window) */
  IndexList prefix_end;   /* [rows] one past the last; begin == end: sees none. None where no
                                 span has a prefix */
  const KvTail *tail;     /* may be NULL */
  IndexList tail_slots;   /* [rows, tail_ld] slots of a row's private positions, in order */
  int tail_ld;
  IndexList tail_begin; /* [rows] or none (0): first index into the row's slots that it
                                 sees */
  IndexList tail_end;   /* [rows] one past the last, at most tail_ld */
} AttendArgs;
/* A row's result: softmax over prefix and tail together. Each part is reduced on its own (maximum,
 * sum, weighted values; order by position), then merged by log-sum-exp with the kernels' own e^x; a
 * row seeing only one part gives that part alone, a row that sees nothing zeros. */

/* Each of `groups` groups of `width` floats of each row is normalised by itself:
 *   NORM_RMS    y = x / sqrt(mean(x^2) + eps) * weight (RMSNorm, Zhang and Sennrich 2019)
 *   NORM_LAYER  y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias (LayerNorm, Ba et al. 2016)
 * The groups of a row follow one another; rows of y and x are ld_y and ld_x floats apart. y may be
 * x. */
typedef struct NormArgs {
  NormKind kind;
  Dev y, x;
  Dev weight, bias; /* [width], or [groups, width] with weight_of_group; bias only of
                                 NORM_LAYER, or none */
  bool weight_of_group;
  int rows, groups, width, ld_y, ld_x;
  float eps;
} NormArgs;

/* Rotary positions in place: the first `width` of each head's head_dim floats are turned in pairs,
 * k with k + width/2 (ROPE_HALVES) or 2k with 2k + 1 (ROPE_PAIRS). cos_sin: [positions, width],
 * width/2 cosines, then as many sines. */
typedef struct RopeArgs {
  RopeStyle style;
  Dev x;
  int ld, rows, heads, head_dim, width; /* rows are ld floats apart, their heads head_dim */
  IndexList positions;                  /* [rows] */
  Dev cos_sin;
} RopeArgs;

/* y = act(g) * u with x [rows, 2 width]: g in the first columns of a row, u after it; or, not
 * gated, act(x) with x [rows, width]. */
typedef struct ActivateArgs {
  Activation kind;
  bool gated;
  Dev y, x; /* y [rows, width] */
  int rows, width;
  XieluNumbers xielu; /* of ACTIVATION_XIELU */
} ActivateArgs;

/* One change of one row: x[c] = keep * x[c] + gain * v[c]; keep == 0 and gain == 1 copies v
 * exactly. Four words of an IndexList. */
typedef struct MixEdit {
  int32_t row, value; /* rows of x and of the values */
  float keep, gain;
} MixEdit;
_Static_assert(sizeof(MixEdit) == 4 * sizeof(int32_t), "laid out as kernels read it");

typedef struct MixArgs {
  Dev x;                  /* [rows, width] */
  int first, rows, width; /* edits name rows first..first+rows-1, which are rows 0.. of x;
                                 the others are passed over */
  Dev values;             /* [.., width] */
  IndexList edits;        /* [count] MixEdit; those of one row apply in order */
  int count;
} MixArgs;

/* What the repetition penalty's lists begin with: list r has the distinct ids of prompt `prompt[r]`
 * and room for `capacity` more. Read during the call. */
typedef struct SeenSource {
  const int32_t *ids;   /* of all prompts, one after the other; each prompt's distinct */
  const int32_t *start; /* [prompts + 1] where each prompt's begin */
  int prompts;
  const int32_t *prompt; /* [lists] */
  int lists, capacity;
} SeenSource;

/* What was chosen for one row: five words of the backend's memory. */
typedef struct Choice {
  int32_t best;         /* lowest id with the largest logit */
  float margin;         /* best minus second-best logit */
  float entropy;        /* nats, of softmax(logits after the penalty) */
  float logprob;        /* of the best */
  float wanted_logprob; /* of the id asked about, 0 where none is; that of the best is
                                 `logprob`, to the bit */
} Choice;
#define CHOICE_WORDS 5
_Static_assert(sizeof(Choice) == CHOICE_WORDS * sizeof(float), "laid out as kernels write it");

typedef struct ChooseArgs {
  int rows, vocab;
  Dev logits;       /* [rows, vocab]; the penalty changes it in place */
  float penalty;    /* logits of listed ids below 0 are multiplied by it, others
                                 divided (Keskar et al. 2019) */
  SeenIds *seen;    /* NULL: no penalty */
  IndexList lists;  /* [rows] the list of each row; with `seen` */
  IndexList newest; /* [rows] an id that is added to the row's list first, unless it is
                                 there; with `seen` */
  IndexList wanted; /* [rows] ids asked about, or none */
  Dev out;          /* [rows] Choice; until they are released or chosen anew, nothing but uploads
                       writes there */
} ChooseArgs;

/* What rows of logits are compared with: distributions in one matrix with two rows of `vocab`
 * floats for each, its probabilities q and then its logits minus the largest, s. With x a row's
 * logits and x* the logit of its choice, the largest, a row of `out` has
 *     for each of its two distributions, and each block of BACKEND_COMPARE_BLOCK ids, the sum of
 *     q[v] (s[v] - (x[v] - x*)): added up, and with the difference of the two log-probabilities of
 *     the best, that is the Kullback-Leibler divergence of the row from the distribution;
 *     for each id asked about, x[id] - x*. */
#define BACKEND_COMPARE_BLOCK 1024
#define BACKEND_COMPARED 2
typedef struct CompareArgs {
  int rows, vocab, asked;
  Dev logits;        /* [rows, vocab] as `choose` left them */
  Dev chosen;        /* [rows] Choice, of which `best` is read */
  IndexList ids;     /* [rows, asked] */
  IndexList against; /* [rows, BACKEND_COMPARED] distributions; below 0: none, and sums of 0 */
  Dev distributions; /* [.., 2, vocab] */
  Dev out;           /* [rows, BACKEND_COMPARED * blocks + asked] */
} CompareArgs;

static inline int compare_blocks(int vocab) {
  return (vocab + BACKEND_COMPARE_BLOCK - 1) / BACKEND_COMPARE_BLOCK;
}
static inline int compare_width(int vocab, int asked) {
  return BACKEND_COMPARED * compare_blocks(vocab) + asked;
}

typedef struct BackendOps {
  const char *name; /* "cpu:avx2", ... */
  void (*destroy)(Backend *);

  /* Device memory, zeroed. release takes what alloc gave, or none. upload has read `from` when it
   * returns; download waits for the ops before it, and fills `to` with zeros once the backend has
   * failed. */
  xt_status (*alloc)(Backend *, size_t bytes, Dev *out, xt_error *);
  void (*release)(Backend *, Dev);
  void (*upload)(Backend *, Dev to, const void *from, size_t bytes);
  void (*download)(Backend *, void *to, Dev from, size_t bytes);
  /* Waits, and returns the first failure of the ops so far. Where ops were left out for it, it stays
   * until the backend is destroyed: out of memory, for this backend; a device that was lost, for
   * all that share it. An activation that is too large for the compute type is told once. */
  xt_status (*status)(Backend *, xt_error *);
  /* to[to_rows[r]] = from[from_rows[r]] for r in [0, m), rows of `width` floats; no list means
   * 0..m-1. Rows must not overlap between to and from. */
  void (*copy_rows)(Backend *, Dev to, IndexList to_rows, Dev from, IndexList from_rows, int m,
                    int width);

  /* Prepares the parts stacked along rows (q,k,v; gate,up) as one matrix; all have the same cols.
   * Quantised parts stay as they are stored, and the product is that by the float32 values they
   * stand for. A value that is not finite is an XT_STATUS_INPUT error whose `offset` is the byte
   * offset from that part's data and whose `field` is the part's index in decimal. */
  xt_status (*weight_create)(Backend *, const MatrixSource *parts, int n_parts, Weight **out,
                             xt_error *);
  void (*weight_release)(Backend *, Weight *);
  size_t (*weight_bytes)(const Weight *);
  /* y[m,N] = x[m,K] * W^T + bias. bias [N] or none. y and x contiguous, distinct. */
  void (*matmul)(Backend *, Dev y, Dev x, const Weight *, Dev bias, int m);

  /* Keeps source->data, which must outlive the table. */
  xt_status (*table_create)(Backend *, const MatrixSource *source, Table **out, xt_error *);
  void (*table_release)(Backend *, Table *);
  void (*embed)(Backend *, Dev y, const Table *, IndexList ids, int m); /* y[m,C] */

  void (*norm)(Backend *, const NormArgs *);
  void (*rope)(Backend *, const RopeArgs *);
  void (*activate)(Backend *, const ActivateArgs *);
  /* x = x * factor and then, unless cap is 0, cap * tanh(x / cap). */
  void (*scale)(Backend *, Dev x, size_t floats, float factor, float cap);
  void (*add)(Backend *, Dev x, Dev y, size_t floats); /* x += y */
  void (*mix)(Backend *, const MixArgs *);

  /* One for each of the capacities, of which none is 0; `attend` reads those that were made together
   * at once where it can. An error leaves none. */
  xt_status (*prefix_create)(Backend *, KvShape, const int *capacities, int count, KvPrefix **out,
                             xt_error *);
  void (*prefix_release)(Backend *, KvPrefix *);
  /* Keys and values [m, kv_heads*head_dim], rows ld floats apart, at positions first..first+m-1. */
  void (*prefix_store)(Backend *, KvPrefix *, int layer, Dev k, Dev v, int ld, int m, int first);
  /* Positions 0..count-1 of every layer. */
  void (*prefix_copy)(Backend *, KvPrefix *to, const KvPrefix *from, int count);
  /* slots: [layers] of each */
  xt_status (*tail_create)(Backend *, KvShape, const int32_t *slots, KvTail **out, xt_error *);
  void (*tail_release)(Backend *, KvTail *);
  void (*tail_store)(Backend *, KvTail *, int layer, Dev k, Dev v, int ld, int m, IndexList slots);

  void (*attend)(Backend *, const AttendArgs *);
  xt_status (*seen_create)(Backend *, const SeenSource *, SeenIds **out, xt_error *);
  void (*seen_release)(Backend *, SeenIds *);
  void (*choose)(Backend *, const ChooseArgs *);
  void (*compare)(Backend *, const CompareArgs *);

  /* What the machine gives with this backend's threads and compute type: operations a second of
   * multiply-adds that wait for nothing (of a large product, where a library does the products),
   * bytes a second read from memory; the best of several. bytes may be NULL: then the former alone,
   * measured once, in milliseconds. */
  xt_status (*peak)(Backend *, double *flops, double *bytes, xt_error *);
} BackendOps;

/* What a device can do, and how much of it an engine should ask for at a time. */
typedef struct BackendLimits {
  int work_rows;    /* rows that a layer's half works on at a time: enough for the products, few
                       enough that what lies between two of them stays in the cache */
  int logit_rows;   /* rows of logits held at once, at most work_rows */
  uint64_t memory;  /* bytes of the device's own memory that were free when the backend was made;
                       0: it uses the host's */
  uint64_t largest; /* bytes of one allocation; 0: no fewer than of all. Caches lie in several where
                       they have to */
  bool exact;       /* in float32 it gives the CPU's bits */
  int weight_bytes; /* of an element of a weight there; 0: as it is stored in the file */
} BackendLimits;

#define BACKEND_CPU_LIMITS ((BackendLimits){.work_rows = 512, .logit_rows = 256, .exact = true})

/* Zero-initialise for the defaults. */
typedef struct BackendOptions {
  const char *kernels; /* of the CPU: NULL for the best this processor has, or "avx512", "avx2",
                          "neon", "portable" (the same code without vector instructions) or
                          "reference" (plain loops, the oracle of the others) */
  int threads;         /* 0: as many as system_processors says */
  xt_compute compute;
  const char *kernel_cache; /* folder in which a GPU's compiled kernels are kept; NULL: nowhere */
  bool inexact;             /* take a device, too, that does not promise the CPU's bits */
} BackendOptions;

struct Backend {
  const BackendOps *ops;
  const char *device;     /* what backend_create was given, static or owned by the backend */
  BackendOptions options; /* with what was chosen for the defaults */
  BackendLimits limits;
  int threads;
  ThreadPool *pool; /* of so many threads: what the CPU's loops run on. NULL: a device that
                             has none */
  xt_compute compute;
  /* implementation data follows in the backend's own struct */
};

/* device: "cpu", or NULL for it; or a GPU's name as gpu_open has it ("opencl:0", "cuda"). A device,
 * or kernels, that this machine or build lacks is an XT_STATUS_UNSUPPORTED error that lists what
 * there is. A Backend's ops may be called from one thread at a time, except on Weights and Tables
 * of another Backend made alike: those are immutable and may be shared. */
xt_status backend_create(const char *device, const BackendOptions *options, Backend **out,
                         xt_error *error);
/* The limits that such a backend has, without making one; of a GPU, which would have to be opened to
 * know them, the CPU's in float32. */
xt_status backend_limits(const char *device, const BackendOptions *options, BackendLimits *out,
                         xt_error *error);
/* Another one of the same device and options. */
xt_status backend_create_alike(const Backend *like, Backend **out, xt_error *error);

/* The GPU's, backend/gpu/: its limits.exact says whether the device promises the CPU's bits. */
xt_status backend_gpu_create(const char *device, const BackendOptions *options, Backend **out,
                             xt_error *error);
/* One more backend on the device of `like`, for another thread. Both can use the same weights and
 * tables. */
xt_status backend_gpu_share(const Backend *like, Backend **out, xt_error *error);
/* The CPU's, backend/cpu/. */
xt_status backend_cpu_create(const BackendOptions *options, Backend **out, xt_error *error);
xt_status backend_cpu_limits(const BackendOptions *options, BackendLimits *out, xt_error *error);

#endif
