/* SPDX-License-Identifier: Apache-2.0 */
/* THE forward pass: every architecture, every backend, prompts and generated tokens alike.
 *
 * A Batch is a range of rows of the residual stream, each of which is a token at its position.
 * forward_attention and forward_ffn are the two halves of a layer; their caller may add rows
 * between the halves. Taps are handled in one place, tap_dispatch in forward.c. */
#ifndef ENGINE_FORWARD_H
#define ENGINE_FORWARD_H

#include "backend/backend.h"
#include "model/model.h"
#include "model/sizes.h"
#include "xtransplant/engine.h"

/* The buffers of a pass. */
typedef struct Forward {
  const xt_model *model;
  Backend *backend;
  int rows; /* capacity of the residual stream buffer */
  ActivationSizes sizes;
  Dev block;                          /* all activation buffers, at the offsets of `sizes` */
  Dev cos_sin[MODEL_ROTARIES];        /* rotary angles of positions 0..positions-1, by
                                         ModelConfig.rotary */
  Dev prompt_cos_sin[MODEL_ROTARIES]; /* of the prompt whose inner positions are run
                                         (forward_prompt), if they differ: */
  int prompt_class;                   /* 0: they are the same; else rope_class's */
  Dev sinusoids; /* [positions, C] of the same positions, if the architecture has them */
  int positions;
  AttendSpan *spans;     /* [work_rows] of the rows that a layer's half works on */
  struct Routes *routes; /* of a mixture's experts; NULL: there are none */
} Forward;

/* What edits put in: `wide` [.., C], and of XT_TAP_HEADS `heads` [.., head_dim]. */
typedef struct EditValues {
  Dev wide, heads;
} EditValues;

/* Rows of a batch that are positions of a prefix from `first` on. A row may be one of several
 * prefixes. */
typedef struct KvStore {
  int row, rows;
  KvPrefix *prefix;
  int first;
} KvStore;

typedef struct Batch {
  int first, rows;         /* rows first..first+rows-1 of the residual stream's buffer, changed
                              in place */
  IndexList positions;     /* [rows] absolute */
  const AttendSpan *spans; /* cover all rows, in order */
  int span_count;
  IndexList prefix_begin, prefix_end; /* [rows] the range of prefix positions that a row sees;
                                         the begin is for layers with a sliding window */

  /* Where new keys and values go: into prefixes; or, with `stores` NULL, into the tail slots. */
  const KvStore *stores; /* [store_count] */
  size_t store_count;
  KvTail *tail;
  IndexList slots;      /* [rows] slot that the row's own key and value go to */
  IndexList tail_slots; /* [rows, tail_ld] the row's private positions, including its own */
  int tail_ld;
  IndexList tail_begin, tail_end; /* [rows] the range of them that it sees; the begin is for
                                     layers with a sliding window */

  IndexList edits;           /* MixEdit, sorted by layer, then tap; rows are counted like
                                `first` */
  const int32_t *edit_start; /* [layers * EDIT_TAPS + 1], on the host; NULL: there are none */
  EditValues edit_values;    /* what the edits put in */
  Dev capture[XT_TAP_COUNT]; /* each none or [layers, rows, C]: records that tap of every row */
  Dev capture_heads;         /* the same of XT_TAP_HEADS: [layers, rows, heads, head_dim] */
} Batch;

/* `f` must be zeroed before the first call. Growing discards the contents of the buffers. */
xt_status forward_reserve(Forward *f, int rows, int positions, xt_error *error);
/* Says that the following stored positions (Batch.stores) are inner positions of prompts like one of
 * `length` tokens, on which rotary angles may depend. */
xt_status forward_prompt(Forward *f, int length, xt_error *error);
void forward_release(Forward *f);

/* Row `row` of the pass's own residual stream buffer, [rows, C]. */
Dev forward_x(const Forward *f, int row);

/* Applies the edits of a place to rows [first, first + rows) of the residual stream's buffer, whose
 * values at this tap are `x` [rows, C], of XT_TAP_HEADS [rows, heads, head_dim]. Edits of heads count
 * rows of [head_dim]: row * heads + head. */
void forward_edit(Forward *f, const Batch *b, int layer, xt_tap tap, Dev x, int first, int rows);

/* Sets rows 0.. of the residual stream to the embeddings of ids at positions, [rows] each. */
void forward_embed(Forward *f, IndexList ids, IndexList positions, int rows);
/* a := what the attention module adds to the stream; x += a: taps attn and mid. */
void forward_attention(Forward *f, const Batch *b, int layer);
/* Rows of the buffer of heads, [work_rows, heads, head_dim], from which forward_project makes what
 * attention adds to the stream, in the buffer `branch`: the end of forward_attention. */
Dev forward_heads(const Forward *f);
void forward_project(Forward *f, int layer, int rows);
/* Only stores the keys and values of the layer, which is all that is needed of a prompt's inner
 * positions in the last layer. */
void forward_keys(Forward *f, const Batch *b, int layer);
/* f := what the feed-forward module adds; x += f: taps ffn and block. In a parallel layer
 * (ModelConfig) the module reads x as it was before forward_attention. */
void forward_ffn(Forward *f, const Batch *b, int layer);
/* All layers. */
void forward_layers(Forward *f, const Batch *b);
/* Final norm and unembedding of up to the backend's logit_rows rows; the result, [rows, V], lives
 * until the next call. */
Dev forward_logits(Forward *f, Dev x, int rows);

#endif
