/* SPDX-License-Identifier: Apache-2.0 */
/* Teacher-forced scoring of many sequences at once.
 *
 * A sequence's first `first - 1` tokens are its prefix, as a prompt's inner positions are in
 * generation, run once for all sequences that share them (prefixes.h). The others, except the last
 * (whose successor is not needed), are rows of one batch; each has its slot, and sees the slots of
 * the tokens before it in its sequence. Prefix and tail are thus divided at the same place as in
 * generation, and the sums are the same. Sequences under the same interventions that agree in more
 * tokens than their prefix share the rows of these, too, and a row is asked about each of the tokens
 * that follow it: the answers "Yes , he" and "Yes , she" to one prompt are three rows, its last token,
 * "Yes" and ",", and the third is asked about two. A wave is as many sequences as memory allows at a
 * time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
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
/* The tokens of its rows, and the one after them. */
static const int32_t *row_ids(const xt_score_request *r) { return r->ids + r->first - 1; }

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

/* 0: both start from the same prefix, under the same interventions. */
static int compare_starts(const Key *x, const Key *y) {
  const xt_score_request *a = x->request, *b = y->request;
  const int order = prefix_compare(&x->prefix, &y->prefix);
  return order ? order
               : interventions_compare(a->interventions, a->intervention_count, b->interventions,
                                       b->intervention_count);
}

/* So that each follows the one with which it shares most. */
static int compare_rows(const xt_score_request *a, const xt_score_request *b) {
  const size_t n = row_count(a) + 1, m = row_count(b) + 1,
               common = ids_common(row_ids(a), n, row_ids(b), m);
  if (common < n && common < m) return row_ids(a)[common] < row_ids(b)[common] ? -1 : 1;
  return (n > m) - (n < m);
}

static int compare_keys(const void *a, const void *b) {
  const Key *x = a, *y = b;
  int order = compare_starts(x, y);
  if (!order) order = compare_rows(x->request, y->request);
  return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* What a sequence has in common with the one before it. */
typedef struct Shared {
  size_t rows;
  bool asks; /* the last of these rows is asked about another token */
} Shared;

static Shared shared_rows(const Key *before, const Key *key) {
  const xt_score_request *a = before->request, *b = key->request;
  if (compare_starts(before, key) != 0) return (Shared){0};
  const size_t ids = ids_common(row_ids(a), row_count(a) + 1, row_ids(b), row_count(b) + 1);
  const size_t least = row_count(a) < row_count(b) ? row_count(a) : row_count(b);
  return ids > least ? (Shared){least, false} : (Shared){ids, ids > 0};
}

/* ---- planning -------------------------------------------------------------------------------- */

typedef struct Size {
  size_t sequences, tokens, rows, questions, longest, interventions, edits;
  uint64_t positions; /* of prefixes */
} Size;

static uint64_t wave_bytes(const xt_model *m, const Size *s) {
  return xt_model_session_bytes(m, (int)s->positions, (int)s->rows, 1) +
         s->interventions * (uint64_t)m->config.width * sizeof(float) +
         (uint64_t)s->rows * (s->longest + 8) * sizeof(int32_t);
}

static Size size_add(const Size *s, const Key *key) {
  const xt_score_request *r = key->request;
  const Shared shared = s->sequences ? shared_rows(&key[-1], key) : (Shared){0};
  const bool same = s->sequences && prefix_compare(&key->prefix, &key[-1].prefix) == 0;
  return (Size){.sequences = s->sequences + 1,
                .tokens = s->tokens + row_count(r),
                .rows = s->rows + row_count(r) - shared.rows,
                .questions = s->questions + shared.asks,
                .longest = row_count(r) > s->longest ? row_count(r) : s->longest,
                .interventions = s->interventions + r->intervention_count,
                .edits = s->edits + edit_count(r),
                .positions = s->positions + (same ? 0 : r->first - 1)};
}

/* How much of keys[from..n) makes the next wave. */
static xt_status wave_plan(const xt_session *s, const Key *keys, size_t from, size_t n, Size *out,
                           xt_error *error) {
  const xt_model *m = s->model;
  const uint64_t budget = m->memory_limit > m->weight_bytes ? m->memory_limit - m->weight_bytes : 0;
  *out = (Size){0};
  while (from + out->sequences < n) {
    const Key *key = &keys[from + out->sequences];
    const Size more = size_add(out, key);
    if (out->sequences && more.rows > WAVE_ROWS) break;
    const uint64_t need = wave_bytes(m, &more);
    if (more.positions > INT32_MAX || need > budget) {
      if (out->sequences) break;
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                     "scoring a text of %zu tokens needs %.2f GiB beside the weights; %.2f GiB are "
                     "left of the memory limit",
                     key->request->count, (double)need / 0x1p30, (double)budget / 0x1p30);
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
  int rows;          /* that are placed */
  int32_t *choices;  /* [tokens] of each sequence's tokens: the choice that tells of it */
  int32_t *path;     /* [longest] the rows of the newest sequence */
  int32_t *asked; /* [questions] further ids that rows are asked about; choice rows + q is of q */
  int32_t *asked_row;
  int questions;
  IndexList asked_dev;
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
  Backend *be = w->session->backend;
  const Size *size = &w->size;
  TRY(wave_prefixes(w, error));
  const int rows = (int)size->rows;
  TRY(rows_create(&w->table, w->session,
                  &(RowTableSize){.rows = rows,
                                  .tail = (int)size->longest,
                                  .slots = rows,
                                  .edits = size->edits,
                                  .choices = size->rows + size->questions},
                  error));
  w->table.edit_values = w->values;
  TRY(MEM_ALLOC(&w->choices, size->tokens, error));
  TRY(MEM_ALLOC(&w->path, size->longest, error));
  TRY(MEM_ALLOC(&w->asked, size->questions, error));
  TRY(MEM_ALLOC(&w->asked_row, size->questions, error));
  if (size->questions)
    TRY(be->ops->alloc(be, size->questions * sizeof *w->asked, &w->asked_dev.at, error));
  size_t longest = 0;
  for (size_t s = 0; s < size->sequences; s++)
    if (w->keys[s].request->count > longest) longest = w->keys[s].request->count;
  return forward_reserve(&w->session->forward, rows, (int)longest, error);
}

/* Places row k of a sequence, whose earlier rows are those of the path. A row is in the slot of its
 * number, and sees those before it. `first_value`: of its interventions. */
static void place_row(Wave *w, const xt_score_request *r, const KvPrefix *prefix, size_t k,
                      int32_t first_value) {
  RowTable *t = &w->table;
  const xt_request prompt = as_prompt(r);
  const int row = w->rows++;
  rows_place(t, row, prefix, (int)r->first - 1, (int)k, row_ids(r)[k], row);
  w->path[k] = row;
  for (size_t before = 0; before < k; before++) rows_slots(t, row)[before] = w->path[before];
  t->column[ROW_WANTED][row] = row_ids(r)[k + 1];
  for (size_t i = 0; i < r->intervention_count; i++)
    if (intervention_is_at(&prompt, &r->interventions[i], r->first - 1 + k))
      rows_edit(t, row, &r->interventions[i], first_value + (int32_t)i);
}

/* Places the rows of sequence s that the one before it does not have. `before`, `choices`: the
 * choices of that one, and of this. */
static void place_sequence(Wave *w, size_t s, const KvPrefix *prefix, const int32_t *before,
                           int32_t *choices, int32_t first_value) {
  const xt_score_request *r = w->keys[s].request;
  const Shared shared = s ? shared_rows(&w->keys[s - 1], &w->keys[s]) : (Shared){0};
  for (size_t k = 0; k < row_count(r); k++) {
    if (k >= shared.rows) {
      place_row(w, r, prefix, k, first_value);
      choices[k] = w->path[k];
    } else if (shared.asks && k + 1 == shared.rows) {
      w->asked_row[w->questions] = w->path[k];
      w->asked[w->questions] = row_ids(r)[k + 1];
      choices[k] = (int32_t)w->size.rows + w->questions++;
    } else
      choices[k] = before[k];
  }
}

static void place_sequences(Wave *w) {
  int prefix = 0;
  int32_t first_value = 0, *choices = w->choices, *before = w->choices;
  rows_begin(&w->table, (int)w->size.rows, (int)w->size.longest);
  for (size_t s = 0; s < w->size.sequences; s++) {
    const xt_score_request *r = w->keys[s].request;
    if (s && prefix_compare(&w->keys[s].prefix, &w->keys[s - 1].prefix) != 0) prefix++;
    place_sequence(w, s, w->prefixes.list[prefix].kv, before, choices, first_value);
    before = choices;
    choices += row_count(r);
    first_value += (int32_t)r->intervention_count;
  }
  rows_upload(&w->table);
  if (w->questions)
    w->session->backend->ops->upload(w->session->backend, w->asked_dev.at, w->asked,
                                     (size_t)w->questions * sizeof *w->asked);
}

/* What all rows are asked about. */
static void choose_tokens(Wave *w) {
  RowTable *t = &w->table;
  const int most = w->session->backend->limits.logit_rows;
  const size_t vocab = (size_t)w->session->model->config.vocab;
  for (int first = 0; first < w->rows; first += most) {
    const int rows = w->rows - first < most ? w->rows - first : most;
    const Dev logits = rows_choose_piece(t, forward_x(&w->session->forward, first), first, rows,
                                         (size_t)first, false);
    for (int q = 0; q < w->questions; q++) {
      const int row = w->asked_row[q] - first;
      if (row >= 0 && row < rows)
        rows_choose_again(t, dev_at(logits, (size_t)row * vocab), index_at(w->asked_dev, (size_t)q),
                          (size_t)(w->rows + q));
    }
  }
}

static xt_status wave_run(Wave *w, xt_error *error) {
  RowTable *t = &w->table;
  TRY(wave_init(w, error));
  place_sequences(w);
  const Batch batch = rows_batch(t, 0, w->rows);
  forward_embed(&w->session->forward, rows_column(t, ROW_TOKEN, 0), rows_column(t, ROW_POSITION, 0),
                w->rows);
  forward_layers(&w->session->forward, &batch);
  choose_tokens(w);
  TRY(rows_read(t, 0, (size_t)(w->rows + w->questions), error));
  const int32_t *choice = w->choices;
  for (size_t s = 0; s < w->size.sequences; s++) {
    const xt_score_request *r = w->keys[s].request;
    for (size_t k = 0; k < row_count(r); k++, choice++) {
      r->logprobs[k] = t->chosen[*choice].wanted_logprob;
      if (r->best) r->best[k] = t->chosen[*choice].best;
    }
  }
  return XT_STATUS_OK;
}

static void wave_deinit(Wave *w) {
  prefixes_release(&w->prefixes);
  rows_release(&w->table);
  edit_values_release(w->session, &w->values);
  w->session->backend->ops->release(w->session->backend, w->asked_dev.at);
  free(w->choices);
  free(w->path);
  free(w->asked);
  free(w->asked_row);
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
