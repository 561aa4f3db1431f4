/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/prefixes.h"

#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "base/mem.h"
#include "model/rope.h"

/* ---- which are the same ---------------------------------------------------------------------- */

static int compare_sizes(size_t a, size_t b) { return a < b ? -1 : a > b; }

/* The next of the request's interventions that falls on an inner position; NULL after the last. */
static const xt_intervention *next_inner(const PrefixKey *k, size_t *at) {
  while (k->request && *at < k->request->intervention_count) {
    const xt_intervention *iv = &k->request->interventions[(*at)++];
    if (intervention_first(k->request, iv) < k->count) return iv;
  }
  return NULL;
}

static int compare_interventions(const xt_intervention *a, const xt_intervention *b) {
  if (a->position != b->position) return a->position - b->position;
  if (a->layer != b->layer) return a->layer - b->layer;
  if (a->write != b->write) return (int)a->write - (int)b->write;
  if (a->head != b->head) return a->head - b->head;
  if (a->rule != b->rule) return (int)a->rule - (int)b->rule;
  if (a->value != b->value) return (uintptr_t)a->value < (uintptr_t)b->value ? -1 : 1;
  return a->rule == XT_RULE_REPLACE ? 0 : memcmp(&a->alpha, &b->alpha, sizeof a->alpha);
}

int interventions_compare(const xt_intervention *a, size_t n, const xt_intervention *b, size_t m) {
  if (n != m) return compare_sizes(n, m);
  for (size_t i = 0; a != b && i < n; i++) {
    const int order = compare_interventions(&a[i], &b[i]);
    if (order) return order;
  }
  return 0;
}

static size_t common_ids(const PrefixKey *a, const PrefixKey *b) {
  return ids_common(a->ids, a->count, b->ids, b->count);
}

int prefix_compare(const PrefixKey *a, const PrefixKey *b) {
  const size_t common = common_ids(a, b);
  if (common < a->count && common < b->count) return a->ids[common] < b->ids[common] ? -1 : 1;
  if (a->count != b->count) return compare_sizes(a->count, b->count);
  for (size_t i = 0, k = 0;;) {
    const xt_intervention *x = next_inner(a, &i), *y = next_inner(b, &k);
    if (!x || !y) return (x != NULL) - (y != NULL);
    const int order = compare_interventions(x, y);
    if (order) return order;
  }
}

/* The position of the first intervention; `count` where there is none. */
static size_t first_changed(const PrefixKey *k) {
  size_t first = k->count, at = 0;
  for (const xt_intervention *iv; (iv = next_inner(k, &at));)
    if (intervention_first(k->request, iv) < first) first = intervention_first(k->request, iv);
  return first;
}

/* The number of positions that have the same keys and values in both: these depend on the ids and
 * the interventions up to the position. */
static size_t shared_positions(const PrefixKey *a, const PrefixKey *b) {
  const size_t ids = common_ids(a, b), x = first_changed(a), y = first_changed(b);
  const size_t unchanged = x < y ? x : y;
  return ids < unchanged ? ids : unchanged;
}

/* ---- the pool -------------------------------------------------------------------------------- */

xt_status prefixes_create(PrefixPool *pool, xt_session *session, size_t most, xt_error *error) {
  *pool = (PrefixPool){.session = session};
  return MEM_ALLOC(&pool->list, most, error);
}

void prefixes_release(PrefixPool *pool) {
  for (int p = 0; p < pool->count; p++)
    pool->session->backend->ops->prefix_release(pool->session->backend, pool->list[p].kv);
  free(pool->list);
  *pool = (PrefixPool){0};
}

int prefixes_add(PrefixPool *pool, const PrefixKey *key) {
  if (pool->count == 0 || prefix_compare(&pool->list[pool->count - 1].key, key) != 0)
    pool->list[pool->count++] = (Prefix){.key = *key};
  return pool->count - 1;
}

/* ---- running --------------------------------------------------------------------------------- */

/* A piece is as many positions as are run at once, of one prefix after the other. What a prefix shares
 * with the one before it is copied from there, as far as it was computed before the piece, and stored
 * in both where the piece computes it: where the piece's rows are positions of three prompts
 *
 *     abcde|f    rows 0 to 4    abcde
 *     abcx|y     row 5          x        shares abc: rows 0 to 2 are stored in this prefix, too
 *     abcxz|z    row 6          z        shares abcx: rows 0 to 2, and row 5
 *
 * no position is computed twice, and none waits for another piece. */
typedef struct Part {
  int prefix;   /* of the pool */
  size_t first; /* position */
  int row, rows;
} Part;

typedef struct Piece {
  PrefixPool *pool;
  RowTable table;
  int most, rows; /* at most; so far */
  int prefix;     /* the next one to run, */
  size_t at;      /* from this position on */
  Part *parts;    /* [most] */
  int part_count;
  KvStore *stores;
  size_t store_count, store_capacity;
} Piece;

/* Whether both prompts, which have one more token than the prefixes, use the same rotary angles. */
static bool same_angles(const xt_session *s, const PrefixKey *a, const PrefixKey *b) {
  return rope_class(&s->model->config, (int)a->count + 1) ==
         rope_class(&s->model->config, (int)b->count + 1);
}

/* How many of its positions a prefix shares with the one before it. */
static size_t shared_with_last(const PrefixPool *pool, int index) {
  const Prefix *p = &pool->list[index];
  if (index == 0 || !p[-1].kv || !same_angles(pool->session, &p[-1].key, &p->key)) return 0;
  return shared_positions(&p[-1].key, &p->key);
}

/* A row that follows the last one in its prefix, too, needs no further entry. */
static xt_status add_store(Piece *w, const KvStore *store, xt_error *error) {
  KvStore *last = w->store_count ? &w->stores[w->store_count - 1] : NULL;
  if (last && last->prefix == store->prefix && last->row + last->rows == store->row &&
      last->first + last->rows == store->first) {
    last->rows += store->rows;
    return XT_STATUS_OK;
  }
  TRY(MEM_GROW(&w->stores, &w->store_capacity, w->store_count + 1, error));
  w->stores[w->store_count++] = *store;
  return XT_STATUS_OK;
}

/* Gives the next prefix its first `shared` positions, which the one before it has: those of earlier
 * pieces at once, and those of this one when they are computed. */
static xt_status begin_shared(Piece *w, size_t shared, xt_error *error) {
  const Prefix *p = &w->pool->list[w->prefix];
  Backend *be = w->pool->session->backend;
  size_t from = w->store_count, copied = shared;
  const size_t end = w->store_count;
  if (shared == 0) return XT_STATUS_OK;
  while (from > 0 && w->stores[from - 1].prefix == p[-1].kv) from--;
  if (from < end && (size_t)w->stores[from].first < shared) copied = (size_t)w->stores[from].first;
  if (copied) be->ops->prefix_copy(be, p->kv, p[-1].kv, (int)copied);
  for (; from < end && (size_t)w->stores[from].first < shared; from++) {
    KvStore store = w->stores[from];
    store.prefix = p->kv;
    if ((size_t)(store.first + store.rows) > shared) store.rows = (int)shared - store.first;
    TRY(add_store(w, &store, error));
  }
  return XT_STATUS_OK;
}

/* Fills the piece with the positions that come next. */
static xt_status fill_piece(Piece *w, xt_error *error) {
  const PrefixPool *pool = w->pool;
  w->rows = w->part_count = 0;
  w->store_count = 0;
  while (w->prefix < pool->count && w->rows < w->most) {
    const Prefix *p = &pool->list[w->prefix];
    if (w->at == 0 && p->key.count > 0) {
      if (w->rows && !same_angles(pool->session, &p[-1].key, &p->key)) break;
      w->at = shared_with_last(pool, w->prefix);
      TRY(begin_shared(w, w->at, error));
    }
    const size_t left = p->key.count - w->at;
    const int rows = left < (size_t)(w->most - w->rows) ? (int)left : w->most - w->rows;
    if (rows > 0) {
      TRY(add_store(w,
                    &(KvStore){.row = w->rows, .rows = rows, .prefix = p->kv, .first = (int)w->at},
                    error));
      w->parts[w->part_count++] =
          (Part){.prefix = w->prefix, .first = w->at, .row = w->rows, .rows = rows};
    }
    w->rows += rows;
    w->at += (size_t)rows;
    if (w->at < p->key.count) break;
    w->prefix++;
    w->at = 0;
  }
  return XT_STATUS_OK;
}

static void place_part(RowTable *t, const Prefix *prefix, const Part *part) {
  const PrefixKey *key = &prefix->key;
  for (int k = 0; k < part->rows; k++) {
    const int r = part->row + k;
    const int32_t position = (int32_t)part->first + k;
    t->prefix[r] = prefix->kv;
    t->column[ROW_TOKEN][r] = key->ids[position];
    t->column[ROW_POSITION][r] = position;
    t->column[ROW_PREFIX_END][r] = position + 1;
  }
  for (size_t i = 0; key->request && i < key->request->intervention_count; i++) {
    const xt_intervention *iv = &key->request->interventions[i];
    for (int k = 0; k < part->rows; k++)
      if (intervention_is_at(key->request, iv, part->first + (size_t)k))
        rows_edit(t, part->row + k, iv, key->first_value + (int32_t)i);
  }
}

/* Runs the piece through the layers. Only keys and values are needed, so that the last layer ends
 * there. */
static xt_status run_piece(Piece *w, xt_error *error) {
  RowTable *t = &w->table;
  Forward *f = &t->session->forward;
  const int layers = t->session->model->config.layers;
  const Prefix *list = w->pool->list;
  size_t longest = 0; /* all are of one class of lengths */
  for (int k = 0; k < w->part_count; k++)
    if (list[w->parts[k].prefix].key.count > longest) longest = list[w->parts[k].prefix].key.count;
  TRY(forward_prompt(f, (int)longest + 1, error));
  rows_begin(t, w->rows, 0);
  for (int k = 0; k < w->part_count; k++) place_part(t, &list[w->parts[k].prefix], &w->parts[k]);
  rows_upload(t);
  Batch batch = rows_batch(t, 0, w->rows);
  batch.stores = w->stores;
  batch.store_count = w->store_count;
  forward_embed(f, rows_column(t, ROW_TOKEN, 0), rows_column(t, ROW_POSITION, 0), w->rows);
  for (int l = 0; l < layers - 1; l++) {
    forward_attention(f, &batch, l);
    forward_ffn(f, &batch, l);
  }
  forward_keys(f, &batch, layers - 1);
  return t->session->backend->ops->status(t->session->backend, error);
}

/* Makes all that have positions at once, so that the backend can read them together. */
static xt_status make_prefixes(PrefixPool *pool, xt_error *error) {
  Backend *be = pool->session->backend;
  int *counts, made = 0;
  KvPrefix **kv = NULL;
  TRY(MEM_ALLOC(&counts, (size_t)pool->count, error));
  xt_status status = MEM_ALLOC(&kv, (size_t)pool->count, error);
  for (int p = 0; p < pool->count; p++)
    if (pool->list[p].key.count > 0) counts[made++] = (int)pool->list[p].key.count;
  if (!status)
    status = be->ops->prefix_create(be, session_kv_shape(pool->session), counts, made, kv, error);
  for (int p = pool->count - 1; p >= 0 && !status; p--)
    if (pool->list[p].key.count > 0) pool->list[p].kv = kv[--made];
  free(kv);
  free(counts);
  return status;
}

/* The number of a prefix's interventions that fall on some of its positions. */
static size_t count_inner(const PrefixKey *k) {
  size_t count = 0, at = 0;
  while (next_inner(k, &at)) count++;
  return count;
}

/* Finds how many rows a piece may have, 0 where nothing is to be run, and makes what pieces need. */
static xt_status piece_init(Piece *w, xt_error *error) {
  xt_session *s = w->pool->session;
  const size_t work = (size_t)s->backend->limits.work_rows;
  size_t positions = 0, interventions = 0, longest = 0;
  for (int p = 0; p < w->pool->count; p++) {
    const PrefixKey *key = &w->pool->list[p].key;
    const size_t inner = count_inner(key);
    if (key->count > longest) longest = key->count;
    if (inner > interventions) interventions = inner;
    positions += key->count;
  }
  if (positions == 0) return XT_STATUS_OK;
  w->most = positions < work ? (int)positions : (int)work;
  TRY(MEM_ALLOC(&w->parts, (size_t)w->most, error));
  TRY(forward_reserve(&s->forward, w->most, (int)longest, error));
  TRY(rows_create(&w->table, s,
                  &(RowTableSize){.rows = w->most, .edits = interventions * (size_t)w->most},
                  error));
  return make_prefixes(w->pool, error);
}

xt_status prefixes_run(PrefixPool *pool, EditValues values,
                       xt_status (*ran)(void *user, size_t positions, xt_error *error), void *user,
                       xt_error *error) {
  xt_session *s = pool->session;
  Piece piece = {.pool = pool};
  xt_status status = piece_init(&piece, error);
  piece.table.edit_values = values;
  for (bool begun = false; !status && piece.most > 0; begun = true) {
    status = fill_piece(&piece, error);
    if (status || piece.rows == 0) break;
    if (begun && s->cancel && s->cancel(s->cancel_user))
      status = err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
    if (!status) status = run_piece(&piece, error);
    if (!status && ran) status = ran(user, (size_t)piece.rows, error);
  }
  rows_release(&piece.table);
  free(piece.parts);
  free(piece.stores);
  return status;
}
