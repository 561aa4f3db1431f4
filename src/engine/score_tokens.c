/* SPDX-License-Identifier: Apache-2.0 */
/* Teacher-forced scoring of many sequences at once.
 *
 * A sequence's first `first - 1` tokens are its prefix, as a prompt's inner positions are in
 * generation, run once for all sequences that share them (prefixes.h). The others, except the last
 * (whose successor is not needed), are rows of one batch; each has its slot, and sees the slots of
 * the tokens before it in its sequence. Prefix and tail are thus divided at the same place as in
 * generation, and the sums are the same. A wave is as many sequences as memory allows at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/prefixes.h"
#include "engine/rows.h"
#include "xtransplant/score.h"
#include "model/rope.h"

#define WAVE_ROWS 1024 /* more rows do not make products faster */

typedef struct Key {
  PrefixKey prefix; /* of the request that generation would have */
  const xt_score_request *request;
  size_t index;
} Key;

static size_t row_count(const xt_score_request *r) { return r->count - r->first; }

/* The request to which the scored tokens would be a response. */
static xt_request as_prompt(const xt_score_request *r) {
  return (xt_request){.ids = r->ids,
                      .count = r->first,
                      .interventions = r->interventions,
                      .intervention_count = r->intervention_count};
}

/* The number of rows that a request's interventions change. */
static size_t edit_count(const xt_score_request *r) {
  const xt_request prompt = as_prompt(r);
  size_t n = 0;
  for (size_t i = 0; i < r->intervention_count; i++) {
    const xt_intervention *iv = &r->interventions[i];
    n += intervention_is_many(iv) ? row_count(r) : intervention_first(&prompt, iv) >= r->first - 1;
  }
  return n;
}

static int compare_keys(const void *a, const void *b) {
  const Key *x = a, *y = b;
  const int order = prefix_compare(&x->prefix, &y->prefix);
  return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* ---- planning -------------------------------------------------------------------------------- */

typedef struct Size {
  size_t sequences, rows, longest, interventions, edits;
  uint64_t positions; /* of prefixes */
} Size;

static uint64_t wave_bytes(const xt_model *m, const Size *s) {
  return xt_model_session_bytes(m, (int)s->positions, (int)s->rows, 1) +
         s->interventions * (uint64_t)m->config.width * sizeof(float) +
         (uint64_t)s->rows * (s->longest + 8) * sizeof(int32_t);
}

/* How much of keys[from..n) makes the next wave. */
static xt_status wave_plan(const xt_session *s, const Key *keys, size_t from, size_t n, Size *out,
                           xt_error *error) {
  const xt_model *m = s->model;
  const uint64_t budget = m->memory_limit > m->weight_bytes ? m->memory_limit - m->weight_bytes : 0;
  *out = (Size){0};
  while (from + out->sequences < n) {
    const xt_score_request *r = keys[from + out->sequences].request;
    const Key *key = &keys[from + out->sequences];
    const bool shared = out->sequences && prefix_compare(&key->prefix, &key[-1].prefix) == 0;
    const Size more = {.sequences = out->sequences + 1,
                       .rows = out->rows + row_count(r),
                       .longest = row_count(r) > out->longest ? row_count(r) : out->longest,
                       .interventions = out->interventions + r->intervention_count,
                       .edits = out->edits + edit_count(r),
                       .positions = out->positions + (shared ? 0 : r->first - 1)};
    if (out->sequences && more.rows > WAVE_ROWS) break;
    const uint64_t need = wave_bytes(m, &more);
    if (more.positions > INT32_MAX || need > budget) {
      if (out->sequences) break;
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                     "scoring a text of %zu tokens needs %.2f GiB beside the weights; %.2f GiB are "
                     "left of the memory limit",
                     r->count, (double)need / 0x1p30, (double)budget / 0x1p30);
    }
    *out = more;
  }
  return XT_STATUS_OK;
}

/* ---- a wave ---------------------------------------------------------------------------------- */

typedef struct Wave {
  xt_session *session;
  const Key *keys;
  Size size;
  PrefixPool prefixes;
  EditValues values; /* interventions' of all sequences */
  RowTable table;    /* a row and a slot for each token that is read */
} Wave;

/* Uploads the values of every sequence's interventions. */
static xt_status wave_values(Wave *w, xt_error *error) {
  bool heads = false;
  size_t at = 0;
  for (size_t s = 0; s < w->size.sequences && !heads; s++)
    heads = request_has_heads(w->keys[s].request->interventions,
                              w->keys[s].request->intervention_count);
  TRY(edit_values_create(w->session, w->size.interventions, heads, &w->values, error));
  for (size_t s = 0; s < w->size.sequences; s++)
    for (size_t i = 0; i < w->keys[s].request->intervention_count; i++, at++)
      edit_values_set(w->session, &w->values, at, &w->keys[s].request->interventions[i]);
  return XT_STATUS_OK;
}

static xt_status wave_prefixes(Wave *w, xt_error *error) {
  int32_t first_value = 0;
  TRY(wave_values(w, error));
  TRY(prefixes_create(&w->prefixes, w->session, w->size.sequences, error));
  for (size_t s = 0; s < w->size.sequences; s++) {
    PrefixKey key = w->keys[s].prefix;
    key.first_value = first_value;
    prefixes_add(&w->prefixes, &key);
    first_value += (int32_t)w->keys[s].request->intervention_count;
  }
  return prefixes_run(&w->prefixes, w->values, NULL, NULL, error);
}

static xt_status wave_init(Wave *w, xt_error *error) {
  TRY(wave_prefixes(w, error));
  const int rows = (int)w->size.rows;
  TRY(rows_create(&w->table, w->session,
                  &(RowTableSize){.rows = rows,
                                  .tail = (int)w->size.longest,
                                  .slots = rows,
                                  .edits = w->size.edits,
                                  .choices = w->size.rows},
                  error));
  w->table.edit_values = w->values;
  size_t longest = 0;
  for (size_t s = 0; s < w->size.sequences; s++)
    if (w->keys[s].request->count > longest) longest = w->keys[s].request->count;
  return forward_reserve(&w->session->forward, rows, (int)longest, error);
}

/* Places the rows of one sequence from row `at` on: row `at + k` is in slot `at + k`, and sees
 * those before it. `first_value`: of its interventions. */
static void place_sequence(RowTable *t, const xt_score_request *r, const KvPrefix *prefix, int at,
                           int32_t first_value) {
  const xt_request prompt = as_prompt(r);
  const int inner = (int)r->first - 1, rows = (int)row_count(r);
  for (int k = 0; k < rows; k++) {
    rows_place(t, at + k, prefix, inner, k, r->ids[inner + k], at + k);
    for (int before = 0; before < k; before++) rows_slots(t, at + k)[before] = at + before;
    t->column[ROW_WANTED][at + k] = r->ids[inner + k + 1];
    for (size_t i = 0; i < r->intervention_count; i++)
      if (intervention_is_at(&prompt, &r->interventions[i], (size_t)(inner + k)))
        rows_edit(t, at + k, &r->interventions[i], first_value + (int32_t)i);
  }
}

static xt_status wave_run(Wave *w, xt_error *error) {
  RowTable *t = &w->table;
  int at = 0, prefix = 0;
  int32_t first_value = 0;
  TRY(wave_init(w, error));
  rows_begin(t, (int)w->size.rows, (int)w->size.longest);
  for (size_t s = 0; s < w->size.sequences; s++) {
    if (s && prefix_compare(&w->keys[s].prefix, &w->keys[s - 1].prefix) != 0) prefix++;
    place_sequence(t, w->keys[s].request, w->prefixes.list[prefix].kv, at, first_value);
    at += (int)row_count(w->keys[s].request);
    first_value += (int32_t)w->keys[s].request->intervention_count;
  }
  rows_upload(t);
  const Batch batch = rows_batch(t, 0, at);
  forward_embed(&w->session->forward, rows_column(t, ROW_TOKEN, 0), rows_column(t, ROW_POSITION, 0),
                at);
  forward_layers(&w->session->forward, &batch);
  rows_choose(t, 0, at);
  TRY(rows_read(t, 0, (size_t)at, error));
  const Choice *from = t->chosen;
  for (size_t s = 0; s < w->size.sequences; s++) {
    const xt_score_request *r = w->keys[s].request;
    for (size_t k = 0; k < row_count(r); k++, from++) {
      r->logprobs[k] = from->wanted_logprob;
      if (r->best) r->best[k] = from->best;
    }
  }
  return XT_STATUS_OK;
}

static void wave_deinit(Wave *w) {
  prefixes_release(&w->prefixes);
  rows_release(&w->table);
  edit_values_release(w->session, &w->values);
}

/* ---- the public call ------------------------------------------------------------------------- */

static xt_status check_request(const xt_model *m, const xt_score_request *r, size_t index,
                               xt_error *error) {
  char field[64];
  snprintf(field, sizeof field, "text %zu", index);
  if (r->first < 1 || r->first > r->count)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "tokens from the %zu-th on cannot be scored: there are %zu, and at least one "
                   "must come before",
                   r->first, r->count);
  if (r->count == r->first) return XT_STATUS_OK;
  const int32_t last = r->ids[r->count - 1];
  if (last < 0 || last >= m->config.vocab)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "token %zu is id %d; the model has ids 0 to %d", r->count - 1, (int)last,
                   m->config.vocab - 1);
  if (rope_class(&m->config, (int)r->first) != rope_class(&m->config, (int)r->count))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "has %zu tokens; the rotary angles of sequences longer than %d depend on "
                   "their length, and such texts are not scored",
                   r->count, m->config.rotary[0].original_positions);
  TRY(request_check(m, &(xt_request){.ids = r->ids, .count = r->count - 1}, index, 0, error));
  const xt_request prompt = as_prompt(r);
  return request_check(m, &prompt, index, (int)row_count(r), error);
}

xt_status xt_session_score(xt_session *s, const xt_score_request *requests, size_t n,
                           bool (*cancel)(void *user), void *user, xt_error *error) {
  Key *keys;
  xt_request *prompts;
  size_t count = 0;
  for (size_t i = 0; i < n; i++) TRY(check_request(s->model, &requests[i], i, error));
  TRY(MEM_ALLOC(&keys, n, error));
  xt_status status = MEM_ALLOC(&prompts, n, error);
  for (size_t i = 0; i < n && !status; i++) {
    prompts[i] = as_prompt(&requests[i]);
    if (row_count(&requests[i]))
      keys[count++] = (Key){.prefix = {.ids = requests[i].ids,
                                       .count = requests[i].first - 1,
                                       .request = &prompts[i]},
                            .request = &requests[i],
                            .index = i};
  }
  qsort(keys, count, sizeof *keys, compare_keys);
  for (size_t from = 0; from < count && !status;) {
    Wave wave = {.session = s, .keys = keys + from};
    if (cancel && cancel(user))
      status = err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
    if (!status) status = wave_plan(s, keys, from, count, &wave.size, error);
    if (!status) status = wave_run(&wave, error);
    wave_deinit(&wave);
    from += wave.size.sequences;
  }
  free(prompts);
  free(keys);
  return status;
}
