/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/forward.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/experts.h"
#include "engine/session.h"
#include "model/arch.h"
#include "model/rope.h"

static void release_prompt_angles(Forward *f) {
  for (int i = 0; i < MODEL_ROTARIES; i++) {
    f->backend->ops->release(f->backend, f->prompt_cos_sin[i]);
    f->prompt_cos_sin[i] = (Dev){0};
  }
  f->prompt_class = 0;
}

static void release_angles(Forward *f) {
  release_prompt_angles(f);
  for (int i = 0; i < MODEL_ROTARIES; i++) {
    f->backend->ops->release(f->backend, f->cos_sin[i]);
    f->cos_sin[i] = (Dev){0};
  }
  f->backend->ops->release(f->backend, f->sinusoids);
  f->sinusoids = (Dev){0};
  f->positions = 0;
}

static xt_status reserve_angles(Forward *f, int positions, xt_error *error) {
  const ModelConfig *c = &f->model->config;
  if (positions <= f->positions) return XT_STATUS_OK;
  const size_t floats = (size_t)positions * (size_t)c->rope_width,
               wide = c->sinusoids ? (size_t)positions * (size_t)c->width : 0;
  float *table;
  TRY(MEM_ALLOC(&table, floats > wide ? floats : wide, error));
  xt_status status = XT_STATUS_OK;
  release_angles(f);
  for (int i = 0; i < arch_rotaries(c); i++) {
    TRY_DONE(f->backend->ops->alloc(f->backend, floats * sizeof *table, &f->cos_sin[i], error));
    rope_table(&c->rotary[i], c->rope_width, 0, positions, 0, table);
    f->backend->ops->upload(f->backend, f->cos_sin[i], table, floats * sizeof *table);
  }
  if (c->sinusoids) {
    TRY_DONE(f->backend->ops->alloc(f->backend, wide * sizeof *table, &f->sinusoids, error));
    sinusoid_table(c->width, positions, table);
    f->backend->ops->upload(f->backend, f->sinusoids, table, wide * sizeof *table);
  }
  f->positions = positions;
done:
  free(table);
  return status;
}

xt_status forward_prompt(Forward *f, int length, xt_error *error) {
  const ModelConfig *c = &f->model->config;
  const size_t floats = (size_t)length * (size_t)c->rope_width;
  const int kind = rope_class(c, length);
  float *table;
  release_prompt_angles(f);
  if (kind == 0) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&table, floats, error));
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i < arch_rotaries(c); i++) {
    TRY_DONE(
        f->backend->ops->alloc(f->backend, floats * sizeof *table, &f->prompt_cos_sin[i], error));
    rope_table(&c->rotary[i], c->rope_width, 0, length, length, table);
    f->backend->ops->upload(f->backend, f->prompt_cos_sin[i], table, floats * sizeof *table);
  }
  f->prompt_class = kind;
done:
  free(table);
  return status;
}

xt_status forward_reserve(Forward *f, int rows, int positions, xt_error *error) {
  TRY(reserve_angles(f, positions, error));
  if (rows <= f->rows) return XT_STATUS_OK;
  f->backend->ops->release(f->backend, f->block);
  f->block = (Dev){0};
  f->rows = 0;
  f->sizes = sizes_activations(&f->model->config, &f->backend->limits, rows);
  if (!f->spans) TRY(MEM_ALLOC(&f->spans, (size_t)f->backend->limits.work_rows, error));
  if (f->model->config.experts && !f->routes) TRY(routes_create(f, error));
  TRY(f->backend->ops->alloc(f->backend, f->sizes.total * sizeof(float), &f->block, error));
  f->rows = rows;
  return XT_STATUS_OK;
}

void forward_release(Forward *f) {
  if (f->backend) {
    f->backend->ops->release(f->backend, f->block);
    release_angles(f);
  }
  free(f->spans);
  routes_free(f->routes);
}

/* Row `row`, of `width` floats, of the activation buffer `at`. */
static Dev buffer_row(const Forward *f, size_t at, int row, int width) {
  return dev_at(f->block, at + (size_t)row * (size_t)width);
}

Dev forward_x(const Forward *f, int row) {
  return buffer_row(f, f->sizes.x, row, f->model->config.width);
}

/* A layer's half works on some rows of a batch at a time. */
typedef struct Slice {
  int first, rows;
} Slice;

static Slice slice_at(const Forward *f, const Batch *b, int first) {
  const int left = b->rows - first, most = f->backend->limits.work_rows;
  return (Slice){first, left < most ? left : most};
}
#define EACH_SLICE(s, f, b) \
  (Slice s = slice_at(f, b, 0); s.rows > 0; s = slice_at(f, b, s.first + s.rows))

static Dev slice_x(const Forward *f, const Batch *b, Slice s) {
  return forward_x(f, b->first + s.first);
}
/* The place that keeps the input of a parallel layer for its feed-forward module, row for row like
 * the residual stream. */
static Dev slice_input(const Forward *f, const Batch *b, Slice s) {
  return buffer_row(f, f->sizes.input, b->first + s.first, f->model->config.width);
}

void forward_edit(Forward *f, const Batch *b, int layer, xt_tap tap, Dev x, int first, int rows) {
  const ModelConfig *c = &f->model->config;
  const int32_t *edits = b->edit_start ? b->edit_start + layer * EDIT_TAPS + (int)tap : NULL;
  const bool heads = tap == XT_TAP_HEADS;
  const int each = heads ? c->heads : 1; /* rows of the op for one */
  if (!edits || edits[1] == edits[0]) return;
  f->backend->ops->mix(
      f->backend,
      &(MixArgs){.x = x,
                 .first = first * each,
                 .rows = rows * each,
                 .width = heads ? c->head_dim : c->width,
                 .values = heads ? b->edit_values.heads : b->edit_values.wide,
                 .edits = index_at(b->edits, sizeof(MixEdit) / sizeof(int32_t) * (size_t)edits[0]),
                 .count = edits[1] - edits[0]});
}

/* The one place where activations are changed and recorded: interventions first, then captures,
 * which therefore see what the rest of the pass sees. values: [s.rows, C]. */
static void tap_dispatch(Forward *f, const Batch *b, Slice s, int layer, xt_tap tap, Dev values) {
  const ModelConfig *c = &f->model->config;
  const bool heads = tap == XT_TAP_HEADS;
  const Dev to = heads ? b->capture_heads : b->capture[tap];
  const int width = heads ? c->heads * c->head_dim : c->width;
  forward_edit(f, b, layer, tap, values, b->first + s.first, s.rows);
  if (dev_is_none(to)) return;
  const size_t row = (size_t)layer * (size_t)b->rows + (size_t)s.first;
  f->backend->ops->copy_rows(f->backend, dev_at(to, row * (size_t)width), (IndexList){0}, values,
                             (IndexList){0}, s.rows, width);
}

static IndexList from_row(IndexList list, int row) {
  return index_is_none(list) ? list : index_at(list, (size_t)row);
}

/* The batch's spans that lie in the slice, counted from its first row. */
static int slice_spans(Forward *f, const Batch *b, Slice s) {
  int count = 0;
  for (int k = 0; k < b->span_count; k++) {
    const AttendSpan *span = &b->spans[k];
    const int from = span->first > s.first ? span->first : s.first;
    const int end =
        span->first + span->rows < s.first + s.rows ? span->first + span->rows : s.first + s.rows;
    if (from < end)
      f->spans[count++] =
          (AttendSpan){.first = from - s.first, .rows = end - from, .prefix = span->prefix};
  }
  return count;
}

static void attend_slice(Forward *f, const Batch *b, Slice s, int layer) {
  const ModelConfig *c = &f->model->config;
  const bool slides = arch_window(c, layer) > 0;
  AttendArgs args = {.layer = layer,
                     .rows = s.rows,
                     .heads = c->heads,
                     .scale = c->score_scale,
                     .cap = c->score_cap,
                     .slopes = f->model->slopes,
                     .q = dev_at(f->block, f->sizes.qkv),
                     .ld_q = f->sizes.qkv_width,
                     .out = dev_at(f->block, f->sizes.heads),
                     .spans = f->spans,
                     .span_count = slice_spans(f, b, s),
                     .prefix_end = from_row(b->prefix_end, s.first)};
  if (slides) args.prefix_begin = from_row(b->prefix_begin, s.first);
  if (!b->stores) {
    args.tail = b->tail;
    args.tail_slots = index_at(b->tail_slots, (size_t)s.first * (size_t)b->tail_ld);
    args.tail_ld = b->tail_ld;
    args.tail_end = from_row(b->tail_end, s.first);
    if (slides) args.tail_begin = from_row(b->tail_begin, s.first);
  }
  f->backend->ops->attend(f->backend, &args);
}

static void norm_rows(Forward *f, Dev y, Dev x, NormWeights w, int rows) {
  const ModelConfig *c = &f->model->config;
  f->backend->ops->norm(f->backend, &(NormArgs){.kind = c->norm,
                                                .y = y,
                                                .x = x,
                                                .weight = w.weight,
                                                .bias = w.bias,
                                                .rows = rows,
                                                .groups = 1,
                                                .width = c->width,
                                                .ld_y = c->width,
                                                .ld_x = c->width,
                                                .eps = (float)c->norm_eps});
}

void forward_embed(Forward *f, IndexList ids, IndexList positions, int rows) {
  const ModelConfig *c = &f->model->config;
  Backend *be = f->backend;
  const Dev x = forward_x(f, 0), branch = dev_at(f->block, f->sizes.branch);
  const int most = be->limits.work_rows;
  be->ops->embed(be, x, f->model->embedding, ids, rows);
  if (c->embedding_scale != 1)
    be->ops->scale(be, x, (size_t)rows * (size_t)c->width, c->embedding_scale, 0);
  for (int first = 0; c->sinusoids && first < rows; first += most) {
    const int count = rows - first < most ? rows - first : most;
    be->ops->copy_rows(be, branch, (IndexList){0}, f->sinusoids, index_at(positions, (size_t)first),
                       count, c->width);
    be->ops->add(be, forward_x(f, first), branch, (size_t)count * (size_t)c->width);
  }
  if (c->embed_norm) norm_rows(f, x, x, f->model->embed_norm, rows);
}

/* Normalises queries and keys in place; the heads of one row follow one another. */
static void norm_queries(Forward *f, const LayerWeights *w, Dev q, Dev k, int rows) {
  const ModelConfig *c = &f->model->config;
  const bool whole = c->qk_norm == QK_NORM_WHOLE;
  NormArgs args = {.kind = c->norm,
                   .weight_of_group = c->qk_norm == QK_NORM_OWN_HEAD,
                   .rows = rows,
                   .ld_y = f->sizes.qkv_width,
                   .ld_x = f->sizes.qkv_width,
                   .eps = (float)c->norm_eps};
  args.y = args.x = q;
  args.weight = w->q_norm;
  args.groups = whole ? 1 : c->heads;
  args.width = whole ? c->heads * c->head_dim : c->head_dim;
  f->backend->ops->norm(f->backend, &args);
  args.y = args.x = k;
  args.weight = w->k_norm;
  args.groups = whole ? 1 : c->kv_heads;
  args.width = whole ? c->kv_heads * c->head_dim : c->head_dim;
  f->backend->ops->norm(f->backend, &args);
}

/* Rotates queries and keys in place. */
static void rotate_queries(Forward *f, const Batch *b, Slice s, int rotary, Dev q, Dev k) {
  const ModelConfig *c = &f->model->config;
  const Dev *angles = b->stores && f->prompt_class ? f->prompt_cos_sin : f->cos_sin;
  RopeArgs args = {.style = c->rope_style,
                   .x = q,
                   .ld = f->sizes.qkv_width,
                   .rows = s.rows,
                   .heads = c->heads + c->kv_heads,
                   .head_dim = c->head_dim,
                   .width = c->rope_width,
                   .positions = from_row(b->positions, s.first),
                   .cos_sin = angles[rotary]};
  if (c->queries_apart) {
    args.heads = c->heads;
    args.cos_sin = angles[rotary + 1];
    f->backend->ops->rope(f->backend, &args);
    args.x = k;
    args.heads = c->kv_heads;
    args.cos_sin = angles[rotary];
  }
  f->backend->ops->rope(f->backend, &args);
}

/* Stores those keys and values of a slice that belong into a prefix. */
static void store_rows(Forward *f, const KvStore *to, Slice s, int layer, Dev k, Dev v) {
  const int from = to->row > s.first ? to->row : s.first,
            left = to->row + to->rows < s.first + s.rows ? to->row + to->rows - from
                                                         : s.first + s.rows - from;
  const size_t ld = (size_t)f->sizes.qkv_width, at = (size_t)(from - s.first) * ld;
  if (left > 0)
    f->backend->ops->prefix_store(f->backend, to->prefix, layer, dev_at(k, at), dev_at(v, at),
                                  (int)ld, left, to->first + from - to->row);
}

/* Computes the queries, keys and values of a slice, and stores the keys and values. */
static void project_slice(Forward *f, const Batch *b, Slice s, int layer) {
  const ModelConfig *c = &f->model->config;
  const LayerWeights *w = &f->model->layers[layer];
  const int rotary = c->kinds[layer].rotary, ld = f->sizes.qkv_width;
  Backend *be = f->backend;
  const Dev norm = dev_at(f->block, f->sizes.norm), q = dev_at(f->block, f->sizes.qkv),
            x = slice_x(f, b, s);
  const Dev k = dev_at(q, (size_t)c->heads * (size_t)c->head_dim),
            v = dev_at(k, (size_t)c->kv_heads * (size_t)c->head_dim);
  if (c->pre_norm) norm_rows(f, norm, x, w->norm_attn, s.rows);
  be->ops->matmul(be, q, c->pre_norm ? norm : x, w->qkv, w->qkv_bias, s.rows);
  if (c->qk_norm && !c->qk_norm_late) norm_queries(f, w, q, k, s.rows);
  if (rotary >= 0) rotate_queries(f, b, s, rotary, q, k);
  if (c->qk_norm_late) norm_queries(f, w, q, k, s.rows);
  for (size_t i = 0; b->stores && i < b->store_count; i++)
    store_rows(f, &b->stores[i], s, layer, k, v);
  if (!b->stores)
    be->ops->tail_store(be, b->tail, layer, k, v, ld, s.rows, from_row(b->slots, s.first));
}

void forward_keys(Forward *f, const Batch *b, int layer) {
  for
    EACH_SLICE (s, f, b) project_slice(f, b, s, layer);
}

/* Turns a module's output into what is added to the residual stream. */
static void finish_branch(Forward *f, Dev branch, NormWeights post_norm, int rows) {
  const ModelConfig *c = &f->model->config;
  if (c->post_norm) norm_rows(f, branch, branch, post_norm, rows);
  if (c->residual_scale != 1)
    f->backend->ops->scale(f->backend, branch, (size_t)rows * (size_t)c->width, c->residual_scale,
                           0);
}

Dev forward_heads(const Forward *f) { return dev_at(f->block, f->sizes.heads); }

void forward_project(Forward *f, int layer, int rows) {
  const LayerWeights *w = &f->model->layers[layer];
  const Dev branch = dev_at(f->block, f->sizes.branch);
  f->backend->ops->matmul(f->backend, branch, forward_heads(f), w->out, w->out_bias, rows);
  finish_branch(f, branch, w->post_attn, rows);
}

void forward_attention(Forward *f, const Batch *b, int layer) {
  const ModelConfig *c = &f->model->config;
  Backend *be = f->backend;
  const Dev branch = dev_at(f->block, f->sizes.branch);
  for
    EACH_SLICE (s, f, b) {
      const Dev x = slice_x(f, b, s);
      project_slice(f, b, s, layer);
      attend_slice(f, b, s, layer);
      tap_dispatch(f, b, s, layer, XT_TAP_HEADS, forward_heads(f));
      forward_project(f, layer, s.rows);
      tap_dispatch(f, b, s, layer, XT_TAP_ATTN, branch);
      if (c->parallel)
        be->ops->copy_rows(be, slice_input(f, b, s), (IndexList){0}, x, (IndexList){0}, s.rows,
                           c->width);
      be->ops->add(be, x, branch, (size_t)s.rows * (size_t)c->width);
      tap_dispatch(f, b, s, layer, XT_TAP_MID, x);
    }
}

/* A module without a mixture. */
static void feed_forward(Forward *f, const LayerWeights *w, Dev branch, Dev in, int rows) {
  const ModelConfig *c = &f->model->config;
  Backend *be = f->backend;
  const Dev gate_up = dev_at(f->block, f->sizes.gate_up), act = dev_at(f->block, f->sizes.act);
  be->ops->matmul(be, gate_up, in, w->gate_up, w->gate_up_bias, rows);
  be->ops->activate(be, &(ActivateArgs){.kind = c->activation,
                                        .gated = !c->no_gate,
                                        .y = act,
                                        .x = gate_up,
                                        .rows = rows,
                                        .width = c->feed_forward,
                                        .xielu = w->xielu});
  be->ops->matmul(be, branch, act, w->down, w->down_bias, rows);
}

void forward_ffn(Forward *f, const Batch *b, int layer) {
  const ModelConfig *c = &f->model->config;
  const LayerWeights *w = &f->model->layers[layer];
  Backend *be = f->backend;
  const Dev norm = dev_at(f->block, f->sizes.norm), branch = dev_at(f->block, f->sizes.branch);
  for
    EACH_SLICE (s, f, b) {
      const Dev x = slice_x(f, b, s), from = c->parallel ? slice_input(f, b, s) : x;
      if (c->pre_norm)
        norm_rows(f, norm, from, c->shared_norm ? w->norm_attn : w->norm_mlp, s.rows);
      const Dev in = c->pre_norm ? norm : from;
      if (c->experts)
        experts_run(f, w, branch, in, s.rows);
      else
        feed_forward(f, w, branch, in, s.rows);
      finish_branch(f, branch, w->post_mlp, s.rows);
      tap_dispatch(f, b, s, layer, XT_TAP_FFN, branch);
      be->ops->add(be, x, branch, (size_t)s.rows * (size_t)c->width);
      tap_dispatch(f, b, s, layer, XT_TAP_BLOCK, x);
    }
}

void forward_layers(Forward *f, const Batch *b) {
  for (int l = 0; l < f->model->config.layers; l++) {
    forward_attention(f, b, l);
    forward_ffn(f, b, l);
  }
}

Dev forward_logits(Forward *f, Dev x, int rows) {
  const ModelConfig *c = &f->model->config;
  Backend *be = f->backend;
  const Dev norm = dev_at(f->block, f->sizes.norm), logits = dev_at(f->block, f->sizes.logits);
  norm_rows(f, norm, x, f->model->final_norm, rows);
  be->ops->matmul(be, logits, norm, f->model->unembed, (Dev){0}, rows);
  if (c->logit_scale != 1 || c->logit_cap != 0)
    be->ops->scale(be, logits, (size_t)rows * (size_t)c->vocab, c->logit_scale, c->logit_cap);
  return logits;
}
