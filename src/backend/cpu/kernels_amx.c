/* SPDX-License-Identifier: Apache-2.0 */
/* Products of bfloat16 pairs by the processor's tiles (AMX). A tile has 16 rows of 64 bytes; two
 * tiles of activations and two of weights make four of sums, 32 rows by 32 columns.
 *
 * What the instruction computes (Intel's Instruction Set Extensions Programming Reference,
 * TDPBF16PS): over the 16 pairs of a step, the products of the first values make one chain of fused
 * multiply-adds and those of the second values another; both begin at zero, and their sum is added
 * to the element. Denormal operands and results count as zero. An element is therefore one chain
 * over all of K in steps of 32 values, whatever rows are beside it: other than in the other
 * products, what the blocks of K before have summed is where the next one begins.
 * CMakeLists.txt sets the compiler's flags for this file. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

#define SIDE 16          /* rows of a tile, and words of 32 bits of one */
#define BLOCK (2 * SIDE) /* rows and columns of the sums that tiles hold at once */
_Static_assert(TILE_COLUMNS == BLOCK, "a panel is as wide as two tiles");

/* The operand of LDTILECFG. */
typedef struct TileConfig {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} TileConfig;

/* Tiles 0 to 3 are sums, 4 and 5 activations, 6 and 7 weights. */
static void configure(int rows, int words) {
  const int first = rows < SIDE ? rows : SIDE, second = rows - first;
  TileConfig c = {.palette = 1};
  for (int t = 0; t < 6; t++) {
    c.rows[t] = (uint8_t)(t == 2 || t == 3 || t == 5 ? second : first);
    c.row_bytes[t] = (uint16_t)(c.rows[t] == 0 ? 0 : t < 4 ? 4 * SIDE : 4 * words);
  }
  for (int t = 6; t < 8; t++) c.rows[t] = (uint8_t)words, c.row_bytes[t] = 4 * SIDE;
  /* To the compiler, the instruction reads the first eight bytes: all others have to be written, too. */
  __asm__ volatile("" : : "r"(&c) : "memory");
  _tile_loadconfig(&c);
}

/* The compiler does not know that tiles are read from and written to memory. */
#define MEMORY_BARRIER() __asm__ volatile("" ::: "memory")

/* Sums in memory: floats, `ld` of them between rows. */
typedef struct Sums {
  float *at;
  size_t ld;
} Sums;

INLINE void load_sums(const int tall, Sums s) {
  const long row = (long)(s.ld * sizeof(float));
  _tile_loadd(0, s.at, row);
  _tile_loadd(1, s.at + SIDE, row);
  if (tall) {
    _tile_loadd(2, s.at + SIDE * s.ld, row);
    _tile_loadd(3, s.at + SIDE * s.ld + SIDE, row);
  }
}
INLINE void store_sums(const int tall, Sums s) {
  const long row = (long)(s.ld * sizeof(float));
  _tile_stored(0, s.at, row);
  _tile_stored(1, s.at + SIDE, row);
  if (tall) {
    _tile_stored(2, s.at + SIDE * s.ld, row);
    _tile_stored(3, s.at + SIDE * s.ld + SIDE, row);
  }
}
INLINE void zero_sums(const int tall) {
  _tile_zero(0);
  _tile_zero(1);
  if (tall) {
    _tile_zero(2);
    _tile_zero(3);
  }
}

/* Lines of 64 bytes that a step asks for of what is read next, which comes from memory. More of them
 * keep what the step itself reads waiting. */
#define LINES_AHEAD 4
/* Where these lines are; NULL: nothing is asked for. */
typedef const char *Ahead;

INLINE void add_steps(const int tall, const float *a, size_t lda, const float *b, int steps,
                      Ahead *ahead) {
  const long a_row = (long)(lda * sizeof(float)), b_row = BLOCK * sizeof(float);
  const char *next = *ahead;
  for (int s = 0; s < steps; s++, a += SIDE, b += SIDE * BLOCK) {
    _tile_loadd(6, b, b_row);
    _tile_loadd(4, a, a_row);
    if (tall) _tile_loadd(5, a + SIDE * lda, a_row);
    _tile_loadd(7, b + SIDE, b_row);
    if (next)
      for (int i = 0; i < LINES_AHEAD; i++, next += 64) _mm_prefetch(next, _MM_HINT_T1);
    _tile_dpbf16ps(0, 4, 6);
    if (tall) _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (tall) _tile_dpbf16ps(3, 5, 7);
  }
  *ahead = next;
}

/* The sums `from`, or zeros where it has none, with the products over `words` words added, go to
 * `to`. Tiles are configured for the rows and whole steps. */
INLINE void block(const int tall, int rows, const float *a, size_t lda, const float *b, int words,
                  Sums from, Sums to, Ahead *ahead) {
  const int steps = words / SIDE, left = words % SIDE;
  MEMORY_BARRIER();
  if (from.at)
    load_sums(tall, from);
  else
    zero_sums(tall);
  add_steps(tall, a, lda, b, steps, ahead);
  store_sums(tall, to);
  if (left) { /* to configure tiles clears them */
    Ahead nothing = NULL;
    configure(rows, left);
    load_sums(tall, to);
    add_steps(tall, a + steps * SIDE, lda, b + (size_t)steps * SIDE * BLOCK, 1, &nothing);
    store_sums(tall, to);
    configure(rows, SIDE);
  }
  MEMORY_BARRIER();
}

/* One panel of all columns and up to BLOCK rows: c = add + a * panel. */
static void panel_times_rows(const GemmArgs *g, const float *b, int row, int rows, Sums add, Sums c,
                             int *configured, Ahead *ahead) {
  const float *a = g->a + (size_t)row * g->lda;
  if (*configured != rows) configure(*configured = rows, SIDE);
  if (rows > SIDE)
    block(1, rows, a, g->lda, b, g->depth, add, c, ahead);
  else
    block(0, rows, a, g->lda, b, g->depth, add, c, ahead);
}

static void copy_columns(Sums to, Sums from, int rows, int columns) {
  for (int r = 0; r < rows; r++)
    memcpy(to.at + (size_t)r * to.ld, from.at + (size_t)r * from.ld,
           (size_t)columns * sizeof(float));
}

/* The last panel, of which c has not all columns. */
static void edge_times_rows(const GemmArgs *g, const float *b, int row, int rows, int columns,
                            Sums add, Sums c, int *configured, Ahead *ahead) {
  float whole[BLOCK * BLOCK] = {0};
  const Sums sums = {whole, BLOCK};
  if (add.at) copy_columns(sums, add, rows, columns);
  panel_times_rows(g, b, row, rows, add.at ? sums : add, sums, configured, ahead);
  copy_columns(c, sums, rows, columns);
}

static void add_bias(Sums c, const float *bias, int rows, int columns) {
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < columns; j++) c.at[(size_t)r * c.ld + (size_t)j] += bias[j];
}

static void gemm(const GemmArgs *g) {
  int configured = 0;
  const char *panel = g->b;
  Ahead rows_ahead = g->next_rows;
  for (int column = 0; column < g->columns; column += BLOCK, panel += g->panel_stride) {
    const int columns = g->columns - column < BLOCK ? g->columns - column : BLOCK;
    const float *b = (const float *)(const void *)panel;
    Ahead panel_ahead = g->columns - column > BLOCK ? panel + g->panel_stride : g->next_panel;
    Ahead *ahead = rows_ahead ? &rows_ahead : &panel_ahead; /* with rows, panels are in L2 */
    for (int row = 0; row < g->rows; row += BLOCK) {
      const int rows = g->rows - row < BLOCK ? g->rows - row : BLOCK;
      const Sums c = {g->c + (size_t)row * g->ldc + column, g->ldc},
                 add = {g->add ? (float *)g->add + (size_t)row * g->ld_add + column : NULL,
                        g->ld_add};
      if (columns == BLOCK)
        panel_times_rows(g, b, row, rows, add, c, &configured, ahead);
      else
        edge_times_rows(g, b, row, rows, columns, add, c, &configured, ahead);
      if (g->bias) add_bias(c, g->bias + column, rows, columns);
    }
  }
  _tile_release();
}

static double spin(long rounds, float *sink) {
  float zero[SIDE * SIDE] = {0};
  configure(BLOCK, SIDE);
  MEMORY_BARRIER();
  _tile_loadd(4, zero, 64);
  _tile_loadd(5, zero, 64);
  _tile_loadd(6, zero, 64);
  _tile_loadd(7, zero, 64);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (long n = 0; n < rounds; n++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, zero, 64);
  MEMORY_BARRIER();
  _tile_release();
  sink[0] = zero[0];
  return 2.0 * 4 * SIDE * SIDE * BLOCK;
}

/* Bytes of one word of K in a panel. */
INLINE size_t k_bytes(Dtype type) {
  (void)type;
  return BLOCK * sizeof(float);
}
#include "backend/cpu/kernels_operands.inc"

const PairKernels kernels_amx = {.block_words = 256,
                                 .packed_ld = 272,
                                 .cached_bytes = (size_t)3 << 19,
                                 .gemm = CHECKED(gemm),
                                 .spin = CHECKED(spin)};
#else
typedef int kernels_amx_absent; /* a file may not be empty */
#endif
