/* SPDX-License-Identifier: Apache-2.0 */
/* Teacher-forced scoring of many sequences at once.
 *
 * A sequence's first `first - 1` tokens are its prefix, as a prompt's inner positions are in generation, run once for
 * all sequences that share them. The others but the last (whose successor nobody asks for) are rows of one batch; each
 * has its slot, and sees the slots of those before it in its own sequence. So prefix and tail are parted where generation
 * parts them, and the sums are the same. A wave is as many sequences as memory allows at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "engine/session.h"
#include "xtransplant/score.h"

#define WAVE_ROWS 1024 /* products gain nothing from more */

typedef struct Key {
  const xt_score_request *request;
  uint64_t hash; /* of the prefix */
  size_t index;
} Key;

static size_t row_count(const xt_score_request *r) { return r->count - r->first; }

static uint64_t prefix_hash(const xt_score_request *r) {
  uint64_t hash = r->first;
  for (size_t i = 0; i + 1 < r->first; i++) {
    hash = (hash ^ (uint64_t)(uint32_t)r->ids[i]) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  }
  return hash;
}

static bool same_prefix(const xt_score_request *a, const xt_score_request *b) {
  return a->first == b->first && memcmp(a->ids, b->ids, (a->first - 1) * sizeof *a->ids) == 0;
}

static int compare_keys(const void *a, const void *b) {
  const Key *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* ---- planning ------------------------------------------------------------------------------- */

typedef struct Size {
  size_t sequences, rows, longest;
  uint64_t positions; /* of prefixes */
} Size;

static uint64_t wave_bytes(const xt_model *m, const Size *s) {
  return xt_model_session_bytes(m, (int)s->positions, (int)s->rows, 1) + (uint64_t)s->rows * (s->longest + 8) * sizeof(int32_t);
}

/* How much of keys[from..n) makes the next wave. */
static xt_status wave_plan(const xt_session *s, const Key *keys, size_t from, size_t n, Size *out, xt_error *error) {
  const xt_model *m = s->model;
  const uint64_t budget = m->memory_limit > m->weight_bytes ? m->memory_limit - m->weight_bytes : 0;
  *out = (Size){0};
  while (from + out->sequences < n) {
    const xt_score_request *r = keys[from + out->sequences].request;
    const bool shared = out->sequences && same_prefix(r, keys[from + out->sequences - 1].request);
    const Size more = {.sequences = out->sequences + 1, .rows = out->rows + row_count(r), .longest = row_count(r) > out->longest ? row_count(r) : out->longest,
                       .positions = out->positions + (shared ? 0 : r->first - 1)};
    if (out->sequences && more.rows > WAVE_ROWS) break;
    const uint64_t need = wave_bytes(m, &more);
    if (more.positions > INT32_MAX || need > budget) {
      if (out->sequences) break;
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "scoring a text of %zu tokens needs %.2f GiB beside the weights; %.2f GiB are left of the memory limit",
                     r->count, (double)need / 0x1p30, (double)budget / 0x1p30);
    }
    *out = more;
  }
  return XT_STATUS_OK;
}

/* ---- a wave --------------------------------------------------------------------------------- */

typedef struct Wave {
  xt_session *session;
  Arena arena;
  const Key *keys;
  Size size;
  int group_count;
  KvPrefix **prefixes; /* [groups], NULL where a prefix is empty */
  BatchSpan *spans;    /* [groups] */
  KvTail *tail;
  int32_t *tokens, *positions, *prefix_end, *slots, *tail_slots, *tail_end, *wanted; /* [rows], tail_slots [rows, longest] */
  float *logprobs;     /* [rows] */
} Wave;

static xt_status wave_arrays(Wave *w, xt_error *error) {
  const size_t rows = w->size.rows;
  int32_t **const ints[] = {&w->tokens, &w->positions, &w->prefix_end, &w->slots, &w->tail_end, &w->wanted};
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) TRY(arena_alloc(&w->arena, ints[i], rows, sizeof(int32_t), error));
  TRY(arena_alloc(&w->arena, &w->logprobs, rows, sizeof *w->logprobs, error));
  TRY(arena_alloc(&w->arena, &w->prefixes, w->size.sequences, sizeof *w->prefixes, error));
  TRY(arena_alloc(&w->arena, &w->spans, w->size.sequences, sizeof *w->spans, error));
  return arena_alloc(&w->arena, &w->tail_slots, rows * w->size.longest, sizeof *w->tail_slots, error);
}

/* Places the rows of one sequence from row `at` on. */
static void place_sequence(Wave *w, const xt_score_request *r, size_t at) {
  for (size_t k = 0; k < row_count(r); k++) {
    const size_t row = at + k, position = r->first - 1 + k;
    w->tokens[row] = r->ids[position];
    w->wanted[row] = r->ids[position + 1];
    w->positions[row] = (int32_t)position;
    w->prefix_end[row] = (int32_t)(r->first - 1);
    w->slots[row] = (int32_t)row;
    w->tail_end[row] = (int32_t)k + 1;
    for (size_t before = 0; before <= k; before++) w->tail_slots[row * w->size.longest + before] = (int32_t)(at + before);
  }
}

static xt_status run_prefix(Wave *w, const xt_score_request *r, KvPrefix **out, xt_error *error) {
  const xt_request request = {.ids = r->ids, .count = r->first};
  return prefix_run(w->session, &request, (Dev){0}, (int)(r->first - 1), out, error);
}

static xt_status place_all(Wave *w, xt_error *error) {
  size_t at = 0;
  for (size_t s = 0; s < w->size.sequences; s++) {
    const xt_score_request *r = w->keys[s].request;
    if (s == 0 || !same_prefix(r, w->keys[s - 1].request)) {
      const int g = w->group_count++; /* before prefix_run, so that what it made is released in any case */
      TRY(run_prefix(w, r, &w->prefixes[g], error));
      w->spans[g] = (BatchSpan){.first = (int)at, .prefix = w->prefixes[g]};
    }
    w->spans[w->group_count - 1].rows += (int)row_count(r);
    place_sequence(w, r, at);
    at += row_count(r);
  }
  return XT_STATUS_OK;
}

static void read_logprobs(Wave *w, Dev x) {
  const ModelConfig *c = &w->session->model->config;
  const int all = (int)w->size.rows;
  for (int first = 0; first < all; first += SIZES_LOGIT_ROWS) {
    const int rows = all - first < SIZES_LOGIT_ROWS ? all - first : SIZES_LOGIT_ROWS;
    const ChooseArgs args = {.rows = rows, .vocab = c->vocab, .penalty = 1.0f, .wanted = w->wanted + first, .wanted_logprob = w->logprobs + first,
                             .logits = forward_logits(&w->session->forward, dev_at(x, (size_t)first * (size_t)c->width), rows)};
    w->session->backend->ops->choose(w->session->backend, &args);
  }
  const float *from = w->logprobs;
  for (size_t s = 0; s < w->size.sequences; s++) {
    const xt_score_request *r = w->keys[s].request;
    memcpy(r->logprobs, from, row_count(r) * sizeof *from);
    from += row_count(r);
  }
}

static xt_status wave_run(Wave *w, xt_error *error) {
  const ModelConfig *c = &w->session->model->config;
  const BackendOps *ops = w->session->backend->ops;
  const KvShape shape = {.layers = c->layers, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
  int32_t *slots;
  size_t longest = 0;
  TRY(wave_arrays(w, error));
  TRY(arena_alloc(&w->arena, &slots, (size_t)c->layers, sizeof *slots, error));
  for (int l = 0; l < c->layers; l++) slots[l] = (int32_t)w->size.rows;
  TRY(ops->tail_create(w->session->backend, shape, slots, &w->tail, error));
  TRY(place_all(w, error));
  for (size_t s = 0; s < w->size.sequences; s++)
    if (w->keys[s].request->count > longest) longest = w->keys[s].request->count;
  TRY(forward_reserve(&w->session->forward, (int)w->size.rows, (int)longest, error));
  const Batch batch = {.rows = (int)w->size.rows, .x = forward_x(&w->session->forward), .positions = w->positions, .spans = w->spans,
                       .span_count = w->group_count, .prefix_end = w->prefix_end, .tail = w->tail, .slots = w->slots,
                       .tail_slots = w->tail_slots, .tail_ld = (int)w->size.longest, .tail_end = w->tail_end};
  forward_embed(&w->session->forward, batch.x, w->tokens, batch.rows);
  forward_layers(&w->session->forward, &batch);
  read_logprobs(w, batch.x);
  return XT_STATUS_OK;
}

static void wave_deinit(Wave *w) {
  const BackendOps *ops = w->session->backend->ops;
  for (int g = 0; g < w->group_count; g++) ops->prefix_release(w->session->backend, w->prefixes[g]);
  ops->tail_release(w->session->backend, w->tail);
  arena_free(&w->arena);
}

/* ---- the public call ------------------------------------------------------------------------ */

static xt_status check_request(const xt_model *m, const xt_score_request *r, size_t index, xt_error *error) {
  char field[64];
  snprintf(field, sizeof field, "text %zu", index);
  if (r->first < 1 || r->first > r->count)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "tokens from the %zu-th on cannot be scored: there are %zu, and one at least has to stand before", r->first, r->count);
  if (r->count == r->first) return XT_STATUS_OK;
  const int32_t last = r->ids[r->count - 1];
  if (last < 0 || last >= m->config.vocab)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "token %zu is id %d; the model has ids 0 to %d", r->count - 1, (int)last, m->config.vocab - 1);
  return request_check(m, &(xt_request){.ids = r->ids, .count = r->count - 1}, index, 0, error);
}

xt_status xt_session_score(xt_session *s, const xt_score_request *requests, size_t n, bool (*cancel)(void *user), void *user, xt_error *error) {
  Key *keys;
  size_t count = 0;
  for (size_t i = 0; i < n; i++) TRY(check_request(s->model, &requests[i], i, error));
  TRY(mem_alloc(&keys, n, sizeof *keys, error));
  for (size_t i = 0; i < n; i++)
    if (row_count(&requests[i])) keys[count++] = (Key){.request = &requests[i], .hash = prefix_hash(&requests[i]), .index = i};
  qsort(keys, count, sizeof *keys, compare_keys);
  xt_status status = XT_STATUS_OK;
  for (size_t from = 0; from < count && !status;) {
    Wave wave = {.session = s, .keys = keys + from};
    if (cancel && cancel(user)) status = err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
    if (!status) status = wave_plan(s, keys, from, count, &wave.size, error);
    if (!status) status = wave_run(&wave, error);
    wave_deinit(&wave);
    from += wave.size.sequences;
  }
  free(keys);
  return status;
}
