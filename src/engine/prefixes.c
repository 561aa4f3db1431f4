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

/* Runs positions [first, first + rows) through the layers. Only their keys and values are needed,
 * so that the last layer ends there. */
static void run_piece(RowTable *t, const Prefix *prefix, size_t first, int rows) {
  const PrefixKey *key = &prefix->key;
  Forward *f = &t->session->forward;
  const int layers = t->session->model->config.layers;
  rows_begin(t, rows, 0);
  for (int r = 0; r < rows; r++) {
    const int32_t position = (int32_t)first + r;
    t->prefix[r] = prefix->kv;
    t->column[ROW_TOKEN][r] = key->ids[position];
    t->column[ROW_POSITION][r] = position;
    t->column[ROW_PREFIX_END][r] = position + 1;
  }
  for (size_t i = 0; key->request && i < key->request->intervention_count; i++) {
    const xt_intervention *iv = &key->request->interventions[i];
    for (int r = 0; r < rows; r++)
      if (intervention_is_at(key->request, iv, first + (size_t)r))
        rows_edit(t, r, iv, key->first_value + (int32_t)i);
  }
  rows_upload(t);
  Batch batch = rows_batch(t, 0, rows);
  batch.store = prefix->kv;
  batch.store_first = (int)first;
  forward_embed(f, rows_column(t, ROW_TOKEN, 0), rows_column(t, ROW_POSITION, 0), rows);
  for (int l = 0; l < layers - 1; l++) {
    forward_attention(f, &batch, l);
    forward_ffn(f, &batch, l);
  }
  forward_keys(f, &batch, layers - 1);
}

/* Whether both prompts, which have one more token than the prefixes, use the same rotary angles. */
static bool same_angles(const xt_session *s, const PrefixKey *a, const PrefixKey *b) {
  return rope_class(&s->model->config, (int)a->count + 1) ==
         rope_class(&s->model->config, (int)b->count + 1);
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

static xt_status run_prefix(PrefixPool *pool, RowTable *t, int index, size_t *computed,
                            xt_error *error) {
  xt_session *s = pool->session;
  const BackendOps *ops = s->backend->ops;
  Prefix *p = &pool->list[index];
  size_t done = 0;
  TRY(forward_prompt(&s->forward, (int)p->key.count + 1, error));
  if (index > 0 && pool->list[index - 1].kv && same_angles(s, &pool->list[index - 1].key, &p->key))
    done = shared_positions(&pool->list[index - 1].key, &p->key);
  if (done) ops->prefix_copy(s->backend, p->kv, pool->list[index - 1].kv, (int)done);
  *computed = p->key.count - done;
  for (bool begun = false; done < p->key.count; begun = true) {
    const size_t left = p->key.count - done;
    const int rows = left < (size_t)t->most ? (int)left : t->most;
    if (begun && s->cancel && s->cancel(s->cancel_user))
      return err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
    run_piece(t, p, done, rows);
    done += (size_t)rows;
  }
  return ops->status(s->backend, error);
}

/* The largest number of edits in one piece of this many positions. */
static size_t inner_edits(const PrefixKey *k, size_t positions) {
  const size_t most = positions < k->count ? positions : k->count;
  size_t edits = 0, at = 0;
  for (const xt_intervention *iv; (iv = next_inner(k, &at));)
    edits += iv->position == XT_POSITION_ALL ? most : 1;
  return edits;
}

xt_status prefixes_run(PrefixPool *pool, EditValues values,
                       xt_status (*ran)(void *user, size_t positions, xt_error *error), void *user,
                       xt_error *error) {
  xt_session *s = pool->session;
  size_t longest = 0, most_edits = 0;
  for (int p = 0; p < pool->count; p++) {
    const PrefixKey *key = &pool->list[p].key;
    if (key->count > longest) longest = key->count;
    const size_t edits = inner_edits(key, (size_t)s->backend->limits.work_rows);
    if (edits > most_edits) most_edits = edits;
  }
  if (longest == 0) return XT_STATUS_OK;
  const int most =
      longest < (size_t)s->backend->limits.work_rows ? (int)longest : s->backend->limits.work_rows;
  RowTable table = {0};
  xt_status status = forward_reserve(&s->forward, most, (int)longest, error);
  if (!status)
    status = rows_create(&table, s, &(RowTableSize){.rows = most, .edits = most_edits}, error);
  if (!status) status = make_prefixes(pool, error);
  table.edit_values = values;
  for (int p = 0; p < pool->count && !status; p++) {
    size_t computed;
    if (pool->list[p].key.count == 0) continue;
    status = run_prefix(pool, &table, p, &computed, error);
    if (!status && ran) status = ran(user, computed, error);
  }
  rows_release(&table);
  return status;
}
