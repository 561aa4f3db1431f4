/* SPDX-License-Identifier: Apache-2.0 */
/* What one instruction set provides: the inner loops, each on one thread. Built from one source
 * (kernels_*.inc over simd.h) for each instruction set. */
#ifndef CPU_KERNELS_H
#define CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "files/dtype.h"
#include "files/model_config.h"

/* c[rows, columns] = (add ? add : 0) + a[rows, depth] * panels, then + bias.
 * A panel holds `tile_columns` columns, [depth][tile_columns]; bfloat16 panels hold them in the
 * order that kernels_panel_slot gives. Each element is one chain of fused multiply-adds over
 * depth. */
typedef struct GemmArgs {
  const float *a;
  size_t lda; /* floats between rows */
  int rows, columns, depth;
  const void *b;       /* first panel, at the block's first k */
  size_t panel_stride; /* bytes between panels */
  /* What is read after this product and is prefetched while it runs: the block of the panel after
   * the last, and rows. NULL: nothing. */
  const void *next_panel, *next_rows;
  size_t next_rows_bytes;
  Dtype type; /* F32, F16 or BF16 */
  float *c;
  size_t ldc;
  const float *add; /* [rows, columns], may be c; or NULL */
  size_t ld_add;
  const float *bias; /* [columns] or NULL */
} GemmArgs;

/* Floats between rows that are packed for a product: not a power of two, so that rows spread over the
 * cache's sets and banks. */
#define CPU_PACKED_LD 528
/* Packed rows of activations that a thread works on in a block of K: they live in its L2 cache. */
#define CPU_ROW_BLOCK 96

#define STREAM_PANELS 2

/* The product of a few rows and quantised panels (quantised.h), which are not expanded first. The
 * sums have the same bits as gemm's sums of the expanded values. */
typedef struct StreamArgs {
  Dtype type;
  const float *x;                    /* [rows, values] */
  size_t ldx;                        /* floats between rows */
  int rows, values;                  /* whole blocks */
  const void *panels[STREAM_PANELS]; /* may be the same */
  float *sums;                       /* [rows][STREAM_PANELS * tile_columns] */
} StreamArgs;

/* The private positions of one row, for `heads` query heads that share one kv head. */
typedef struct TailArgs {
  const float *q; /* [heads][head_dim] */
  int heads, head_dim;
  const float *keys; /* of slot 0; the value follows `value_offset` floats later */
  size_t slot_stride, value_offset;
  const int32_t *slots;
  int count;
  float scale, cap;     /* as AttendArgs has them */
  const float *slopes;  /* [heads] or NULL */
  int position;         /* of the first of the positions: only with slopes */
  float *out;           /* [heads][head_dim] weighted values, not yet divided by the sum */
  float *largest, *sum; /* [heads] */
} TailArgs;

typedef struct ChosenToken {
  int32_t best;
  float margin, entropy, logprob;
} ChosenToken;

/* One step of AdamW (Loshchilov & Hutter 2019) over n parameters: g' = g factor; m and v are its
 * moving averages; w := w keep - step m / (sqrt(v) root + eps), with keep = 1 - lr decay, step = lr
 * / (1 - beta1^t), root = 1 / sqrt(1 - beta2^t). */
typedef struct AdamArgs {
  float *w, *m, *v;
  const float *g;
  size_t n;
  float factor, beta1, beta2, keep, step, root, eps;
} AdamArgs;

typedef struct Kernels {
  const char *name;
  int tile_rows, tile_columns;
  int lanes; /* floats of one vector: bfloat16 panels interleave two of them */
  void (*gemm)(const GemmArgs *);
  /* Whole blocks of a quantised panel as [values][tile_columns] (quantised.h). */
  void (*expand)(Dtype type, float *to, const void *panel, int values);
  void (*stream)(const StreamArgs *);
  /* y[n] = x[n] rounded to bfloat16 */
  void (*round_bf16)(float *y, const float *x, size_t n);
  void (*narrow)(uint16_t *y, const float *x, size_t n); /* the same, as 16 bits */
  void (*widen)(float *y, const void *x, Dtype type, size_t n);
  void (*norm)(float *y, const float *x, const float *weight, size_t c, float eps);
  /* bias may be NULL */
  void (*layer_norm)(float *y, const float *x, const float *weight, const float *bias, size_t c,
                     float eps);
  void (*rope)(float *x, int heads, int head_dim, int width, const float *cos_sin);
  void (*rope_pairs)(float *x, int heads, int head_dim, int width, const float *cos_sin);
  /* y = act(x) * up; up may be NULL */
  void (*activate)(Activation act, const XieluNumbers *numbers, float *y, const float *x,
                   const float *up, size_t n);
  void (*scale)(float *x, size_t n, float factor, float cap);
  void (*add)(float *x, const float *y, size_t n);
  void (*mix)(float *x, const float *v, size_t n, float keep, float gain);
  /* Scores s[0, count) are scaled, capped (cap 0: not) and biased by slope * (position + i), before
   * a softmax of scale 1. */
  void (*bend)(float *s, int count, float scale, float cap, float slope, int position);
  /* Scores s[0, count) become exp(scale * s - largest) inside [begin, end), 0 outside. s[0] is at a
   * position that is a multiple of 16, so that a position's lane never changes. */
  void (*softmax)(float *s, int count, int begin, int end, float scale, float *largest, float *sum);
  void (*tail)(const TailArgs *);
  float (*exponential)(float x); /* simd.h's, as everywhere: the C library's differs from one
                                    machine to the next */
  /* out[n] = (keep * x + gain * y) * scale; y may be NULL: x * scale. */
  void (*merge)(float *out, const float *x, float keep, const float *y, float gain, float scale,
                size_t n);
  /* Best, second best, entropy and log-probability of a row of logits. */
  void (*choose)(const float *logits, int32_t vocab, bool entropy, ChosenToken *out);
  /* The sum of q[i] (s[i] - (x[i] - best)), in 16 lanes. */
  float (*diverge)(const float *q, const float *s, const float *x, float best, size_t n);

  /* ---- training ------------------------------------------------------------------------------ */
  float (*dot)(const float *x, const float *y, size_t n);
  /* dx += gradient of norm's x, given dy; returns 1/sqrt(mean(x^2) + eps). */
  float (*norm_back)(float *dx, const float *dy, const float *x, const float *weight, size_t c,
                     float eps);
  /* Gradient of act(gate) * up, with SiLU or GELU's form with tanh. */
  void (*activate_back)(Activation act, float *dgate, float *dup, const float *dact,
                        const float *gate, const float *up, size_t n);
  /* ds = p (ds - mean) scale */
  void (*softmax_back)(float *ds, const float *p, float mean, float scale, size_t n);
  void (*scale_by)(float *x, size_t n, float factor);
  void (*add_scaled)(float *x, const float *y, size_t n, float factor); /* x += y factor */
  /* -log softmax(logits)[target], nats; the logits become their gradient, softmax - onehot. */
  double (*cross_entropy)(float *logits, int32_t vocab, int32_t target);
  double (*sum_squares)(const float *x, size_t n);
  void (*adamw)(const AdamArgs *);
  void (*transpose)(float *to, size_t ld_to, const float *from, size_t ld_from, int rows,
                    int columns);
  /* A loop in registers, of `rounds` times the returned number of floating-point operations. */
  double (*spin)(long rounds, float *sink);
} Kernels;

/* Products of bfloat16 operands by an instruction that adds two products to a float32. A pair is
 * the values of k and k + 1, k even, in the low and the high half of 32 bits; after an odd depth
 * comes a zero. */
typedef struct PairKernels {
  int block_words;  /* pairs in a block of K */
  size_t packed_ld; /* floats between packed rows of a block */
  /* Of a thread's L2. So many bytes of packed rows, of all K, stay in it while the panels are read
   * once from memory; with more rows, a group of panels that take half of it stays, and the rows
   * are read. 0: the rows and panels of one block of K do, as in other products. */
  size_t cached_bytes;
  /* As Kernels.gemm, of rows and panels of pairs: type is F32, and lda, depth and the panels'
   * columns count pairs. */
  void (*gemm)(const GemmArgs *);
  double (*spin)(long rounds, float *sink); /* as Kernels.spin */
} PairKernels;

extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
extern const PairKernels kernels_avx512bf16, kernels_amx; /* beside kernels_avx512 */
#elif defined(__aarch64__)
extern const Kernels kernels_neon;
#endif

/* Where a panel keeps column j: bfloat16 panels put columns j and j + lanes side by side, so that
 * one load with a shift and a mask widens both. */
static inline int kernels_panel_slot(int column, int lanes, Dtype type) {
  if (type != DTYPE_BF16) return column;
  const int pair = column / (2 * lanes), in_pair = column % (2 * lanes);
  return pair * 2 * lanes + (in_pair < lanes ? 2 * in_pair : 2 * (in_pair - lanes) + 1);
}

#endif
