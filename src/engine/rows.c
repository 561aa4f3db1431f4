/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/arch.h"

enum { EDIT_INTS = sizeof(MixEdit) / sizeof(int32_t) };

xt_status rows_create(RowTable *t, xt_session *s, const RowTableSize *size, xt_error *error) {
  const ModelConfig *c = &s->model->config;
  const BackendOps *ops = s->backend->ops;
  const size_t rows = (size_t)size->rows;
  *t = (RowTable){.session = s,
                  .most = size->rows,
                  .penalty = 1,
                  .most_edits = size->edits,
                  .most_ints = rows * (ROW_COLUMNS + (size_t)size->tail) + size->edits * EDIT_INTS};
  TRY(MEM_ALLOC(&t->host, t->most_ints, error));
  TRY(MEM_ALLOC(&t->prefix, rows, error));
  TRY(MEM_ALLOC(&t->spans, rows, error));
  TRY(MEM_ALLOC(&t->chosen, size->choices, error));
  TRY(MEM_ALLOC(&t->edits, size->edits, error));
  TRY(MEM_ALLOC(&t->edit_start, (size_t)c->layers * EDIT_TAPS + 1, error));
  TRY(ops->alloc(s->backend, t->most_ints * sizeof *t->host, &t->device, error));
  if (size->choices)
    TRY(ops->alloc(s->backend, size->choices * sizeof *t->chosen, &t->chosen_dev, error));
  if (size->slots == 0) return XT_STATUS_OK;
  int32_t *slots;
  TRY(MEM_ALLOC(&slots, (size_t)c->layers, error));
  for (int l = 0; l < c->layers; l++) slots[l] = size->slots;
  const xt_status status =
      ops->tail_create(s->backend, session_kv_shape(s), slots, &t->tail, error);
  free(slots);
  return status;
}

void rows_release(RowTable *t) {
  if (!t->session) return;
  Backend *be = t->session->backend;
  be->ops->tail_release(be, t->tail);
  be->ops->seen_release(be, t->seen);
  be->ops->release(be, t->device);
  be->ops->release(be, t->chosen_dev);
  be->ops->release(be, t->comparison.lists_dev);
  be->ops->release(be, t->comparison.out_dev);
  free(t->comparison.lists);
  free(t->comparison.out);
  be->ops->release(be, t->rules.places_dev);
  be->ops->release(be, t->rules.impossible);
  free(t->rules.texts);
  free(t->rules.allowed);
  free(t->rules.banned);
  free(t->rules.places);
  free(t->host);
  free(t->prefix);
  free(t->spans);
  free(t->chosen);
  free(t->edits);
  free(t->edit_start);
  *t = (RowTable){0};
}

/* ---- the repetition penalty ------------------------------------------------------------------ */

/* Writes the distinct ids among `ids` (at most count) and returns their number. */
static int32_t distinct_ids(int32_t *out, const RowPrompt *prompt) {
  int32_t distinct = 0;
  memcpy(out, prompt->ids, prompt->count * sizeof *out);
  qsort(out, prompt->count, sizeof *out, token_id_compare);
  for (size_t i = 0; i < prompt->count; i++)
    if (i == 0 || out[i] != out[distinct - 1]) out[distinct++] = out[i];
  return distinct;
}

xt_status rows_penalize(RowTable *t, float penalty, const RowPrompt *prompts, int prompt_count,
                        const int32_t *prompt_of_list, int lists, int capacity, xt_error *error) {
  Backend *be = t->session->backend;
  int32_t *ids, *start = NULL;
  size_t total = 0;
  t->penalty = penalty;
  if (penalty == 1.0f) return XT_STATUS_OK;
  for (int p = 0; p < prompt_count; p++) total += prompts[p].count;
  TRY(MEM_ALLOC(&ids, total, error));
  xt_status status = MEM_ALLOC(&start, (size_t)prompt_count + 1, error);
  for (int p = 0; p < prompt_count && !status; p++)
    start[p + 1] = start[p] + distinct_ids(ids + start[p], &prompts[p]);
  if (!status)
    status = be->ops->seen_create(be,
                                  &(SeenSource){.ids = ids,
                                                .start = start,
                                                .prompts = prompt_count,
                                                .prompt = prompt_of_list,
                                                .lists = lists,
                                                .capacity = capacity},
                                  &t->seen, error);
  free(ids);
  free(start);
  return status;
}

/* ---- generation settings --------------------------------------------------------------------- */

xt_status rows_restrict(RowTable *t, size_t longest, xt_error *error) {
  const ModelConfig *c = &t->session->model->config;
  Backend *be = t->session->backend;
  RowRules *r = &t->rules;
  if (!c->rules.any) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&r->allowed, (size_t)t->most, error));
  TRY(MEM_ALLOC(&r->banned, rules_most(c, longest), error));
  TRY(MEM_ALLOC(&r->places, RULES_PLACES, error));
  TRY(be->ops->alloc(be, RULES_PLACES * sizeof *r->places, &r->places_dev, error));
  TRY(be->ops->alloc(be, RULES_PLACES * sizeof(float), &r->impossible, error));
  for (int i = 0; i < RULES_PLACES; i++) {
    const float impossible = RULES_IMPOSSIBLE;
    memcpy(&r->places[i], &impossible, sizeof impossible);
  }
  be->ops->upload(be, r->impossible, r->places, RULES_PLACES * sizeof(float));
  return MEM_ALLOC(&r->texts, (size_t)t->most, error);
}

static void make_impossible(const RowTable *t, Dev logits, int places) {
  Backend *be = t->session->backend;
  const RowRules *r = &t->rules;
  if (places == 0) return;
  be->ops->upload(be, r->places_dev, r->places, (size_t)places * sizeof *r->places);
  be->ops->copy_rows(be, logits, (IndexList){r->places_dev}, r->impossible, (IndexList){0}, places,
                     1);
}

/* Rows [first, first + count) of the table, whose logits are given: what their rules forbid becomes
 * impossible. */
static void restrict_rows(RowTable *t, Dev logits, int first, int count) {
  const ModelConfig *c = &t->session->model->config;
  RowRules *r = &t->rules;
  int places = 0, base = 0; /* places count from row first + base */
  for (int k = 0; k < count; k++) {
    const Allowed a = rules_apply(c, &r->texts[first + k], r->banned);
    r->allowed[first + k] = a;
    for (int i = 0; i < a.banned_count; i++) {
      if (places == RULES_PLACES || (int64_t)(k - base + 1) * c->vocab > INT32_MAX) {
        make_impossible(t, dev_at(logits, (size_t)base * (size_t)c->vocab), places);
        places = 0;
      }
      if (places == 0) base = k;
      r->places[places++] = (k - base) * c->vocab + r->banned[i];
    }
  }
  make_impossible(t, dev_at(logits, (size_t)base * (size_t)c->vocab), places);
}

/* What was chosen where only some tokens are possible, whose logits are alike. */
static Choice forced_choice(const Allowed *a) {
  const float choices = logf((float)a->forced);
  return (Choice){.best = a->id,
                  .margin = a->forced > 1 ? 0 : -RULES_IMPOSSIBLE,
                  .entropy = choices,
                  .logprob = -choices};
}

/* ---- comparing ------------------------------------------------------------------------------- */

static size_t compared_ints(uint64_t rows, uint64_t asked) {
  return (size_t)(rows * (asked + BACKEND_COMPARED));
}

uint64_t rows_compare_bytes(const xt_model *m, uint64_t rows, uint64_t asked) {
  const uint64_t width = (uint64_t)compare_width(m->config.vocab, (int)asked);
  return 2 * (compared_ints(rows, asked) * sizeof(int32_t) + rows * width * sizeof(float));
}

xt_status rows_compare(RowTable *t, const References *references, int rows, int asked,
                       xt_error *error) {
  Backend *be = t->session->backend;
  RowComparison *c = &t->comparison;
  const size_t floats =
      (size_t)rows * (size_t)compare_width(t->session->model->config.vocab, asked);
  const size_t ints = compared_ints((uint64_t)rows, (uint64_t)asked);
  *c = (RowComparison){.references = references, .rows = rows, .asked = asked};
  if (rows == 0) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&c->lists, ints, error));
  TRY(MEM_ALLOC(&c->out, floats, error));
  TRY(be->ops->alloc(be, ints * sizeof *c->lists, &c->lists_dev, error));
  return be->ops->alloc(be, floats * sizeof *c->out, &c->out_dev, error);
}

static int32_t *compared_with(const RowComparison *c, int row) {
  return c->lists + (size_t)c->rows * (size_t)c->asked + (size_t)row * BACKEND_COMPARED;
}

void rows_ask(RowTable *t, int row, const RowQuestion *q) {
  RowComparison *c = &t->comparison;
  int32_t *ids = c->lists + (size_t)row * (size_t)c->asked, *against = compared_with(c, row);
  for (int k = 0; k < c->asked; k++) ids[k] = k < q->count ? q->ids[k] : 0;
  for (int k = 0; k < BACKEND_COMPARED; k++) against[k] = q->against[k];
  c->on = true;
}

/* Rows [first, first + count), whose logits and choices are given. */
static void compare_piece(const RowTable *t, const ChooseArgs *chosen, int first, int count) {
  const RowComparison *c = &t->comparison;
  Backend *be = t->session->backend;
  const IndexList lists = {c->lists_dev};
  const size_t at = (size_t)first;
  const size_t width = (size_t)compare_width(chosen->vocab, c->asked);
  be->ops->compare(be,
                   &(CompareArgs){.rows = count,
                                  .vocab = chosen->vocab,
                                  .asked = c->asked,
                                  .logits = chosen->logits,
                                  .chosen = chosen->out,
                                  .ids = index_at(lists, at * (size_t)c->asked),
                                  .against = index_at(lists, (size_t)c->rows * (size_t)c->asked +
                                                                 at * BACKEND_COMPARED),
                                  .distributions = c->references->distributions,
                                  .out = dev_at(c->out_dev, at * width)});
}

bool rows_numbers(const RowTable *t, int row, const RowQuestion *q, float *out) {
  const RowComparison *c = &t->comparison;
  const int vocab = t->session->model->config.vocab, blocks = compare_blocks(vocab);
  const float *sums = c->out + (size_t)row * (size_t)compare_width(vocab, c->asked);
  const float own = t->chosen[row].logprob;
  if (rows_forced(t, row)) return false;
  for (int k = 0; k < BACKEND_COMPARED; k++, sums += blocks)
    *out++ = q->against[k] < 0
                 ? NAN
                 : references_divergence(sums, blocks, c->references->logprob[q->against[k]], own);
  for (int k = 0; k < q->count; k++) *out++ = sums[k] + own;
  return true;
}

/* ---- values of interventions ----------------------------------------------------------------- */

bool request_has_heads(const xt_intervention *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (list[i].write == XT_TAP_HEADS) return true;
  return false;
}

xt_status edit_values_create(xt_session *s, size_t count, bool heads, EditValues *out,
                             xt_error *error) {
  const ModelConfig *c = &s->model->config;
  Backend *be = s->backend;
  *out = (EditValues){0};
  if (!count) return XT_STATUS_OK;
  TRY(be->ops->alloc(be, count * (size_t)c->width * sizeof(float), &out->wide, error));
  if (!heads) return XT_STATUS_OK;
  return be->ops->alloc(be, count * (size_t)c->head_dim * sizeof(float), &out->heads, error);
}

void edit_values_set(xt_session *s, EditValues *values, size_t at, const xt_intervention *iv) {
  const ModelConfig *c = &s->model->config;
  const bool heads = iv->write == XT_TAP_HEADS;
  const size_t width = (size_t)(heads ? c->head_dim : c->width);
  s->backend->ops->upload(s->backend, dev_at(heads ? values->heads : values->wide, at * width),
                          iv->value, width * sizeof *iv->value);
}

void edit_values_release(xt_session *s, EditValues *values) {
  s->backend->ops->release(s->backend, values->wide);
  s->backend->ops->release(s->backend, values->heads);
  *values = (EditValues){0};
}

/* ---- laying out a step ----------------------------------------------------------------------- */

void rows_begin(RowTable *t, int rows, int tail_ld) {
  t->rows = rows;
  t->tail_ld = tail_ld;
  t->edit_count = 0;
  t->comparison.on = false;
  for (int c = 0; c < ROW_COLUMNS; c++) t->column[c] = t->host + (size_t)c * (size_t)rows;
  memset(t->host, 0, (size_t)rows * ROW_COLUMNS * sizeof *t->host);
  t->tail_slots = t->host + (size_t)rows * ROW_COLUMNS;
  t->ints = (size_t)rows * (ROW_COLUMNS + (size_t)tail_ld);
}

void rows_place(RowTable *t, int row, const KvPrefix *prefix, int inner, int step, int32_t token,
                int32_t slot) {
  t->prefix[row] = prefix;
  t->column[ROW_TOKEN][row] = token;
  t->column[ROW_POSITION][row] = inner + step;
  t->column[ROW_PREFIX_END][row] = inner;
  t->column[ROW_SLOT][row] = slot;
  t->column[ROW_TAIL_END][row] = step + 1;
  rows_slots(t, row)[step] = slot;
}

void rows_edit(RowTable *t, int row, const xt_intervention *iv, int32_t value) {
  const bool add = iv->rule == XT_RULE_ADD, blend = iv->rule == XT_RULE_BLEND,
             heads = iv->write == XT_TAP_HEADS;
  const int32_t of_head = row * t->session->model->config.heads + iv->head;
  t->edits[t->edit_count++] = (PlacedEdit){.place = iv->layer * EDIT_TAPS + (int)iv->write,
                                           .edit = {.row = heads ? of_head : row,
                                                    .value = value,
                                                    .keep = add     ? 1.0f
                                                            : blend ? 1.0f - iv->alpha
                                                                    : 0.0f,
                                                    .gain = add || blend ? iv->alpha : 1.0f}};
}

/* Sorts the edits by place, and keeps the order of edits at the same place. */
static void lay_out_edits(RowTable *t) {
  const int places = t->session->model->config.layers * EDIT_TAPS;
  int32_t *start = t->edit_start, *to = t->host + t->ints;
  memset(start, 0, ((size_t)places + 1) * sizeof *start);
  for (size_t e = 0; e < t->edit_count; e++) start[t->edits[e].place + 1]++;
  for (int p = 0; p < places; p++) start[p + 1] += start[p];
  for (size_t e = 0; e < t->edit_count; e++) /* start[p] advances while edits are placed, and is
                                                restored below */
    memcpy(to + (size_t)start[t->edits[e].place]++ * EDIT_INTS, &t->edits[e].edit, sizeof(MixEdit));
  for (int p = places; p > 0; p--) start[p] = start[p - 1];
  start[0] = 0;
}

/* First prefix and tail position that each row sees under a sliding window. A prefix of length P is
 * followed by tail index 0 at position P. */
static void place_windows(RowTable *t, int window) {
  for (int r = 0; r < t->rows; r++) {
    const int32_t first = t->column[ROW_POSITION][r] - window + 1,
                  prefix = t->column[ROW_PREFIX_END][r];
    t->column[ROW_PREFIX_BEGIN][r] = first < 0 ? 0 : first < prefix ? first : prefix;
    t->column[ROW_TAIL_BEGIN][r] = first > prefix ? first - prefix : 0;
  }
}

void rows_upload(RowTable *t) {
  const int window = t->session->model->config.sliding_window;
  Backend *be = t->session->backend;
  if (window) place_windows(t, window);
  if (t->edit_count) lay_out_edits(t);
  be->ops->upload(be, t->device, t->host, (t->ints + t->edit_count * EDIT_INTS) * sizeof *t->host);
  const RowComparison *c = &t->comparison;
  if (c->on)
    be->ops->upload(be, c->lists_dev, c->lists,
                    compared_ints((uint64_t)c->rows, (uint64_t)c->asked) * sizeof *c->lists);
}

/* ---- using it -------------------------------------------------------------------------------- */

IndexList rows_column(const RowTable *t, RowColumn column, int first) {
  return index_at((IndexList){t->device}, (size_t)column * (size_t)t->rows + (size_t)first);
}

Batch rows_batch(RowTable *t, int first, int count) {
  int spans = 0;
  for (int r = first; r < first + count; r++) {
    if (r == first || t->prefix[r] != t->prefix[r - 1])
      t->spans[spans++] = (AttendSpan){.first = r - first, .prefix = t->prefix[r]};
    t->spans[spans - 1].rows++;
  }
  const IndexList all = {t->device};
  Batch b = {.first = first,
             .rows = count,
             .positions = rows_column(t, ROW_POSITION, first),
             .spans = t->spans,
             .span_count = spans,
             .prefix_begin = rows_column(t, ROW_PREFIX_BEGIN, first),
             .prefix_end = rows_column(t, ROW_PREFIX_END, first),
             .tail = t->tail,
             .slots = rows_column(t, ROW_SLOT, first),
             .tail_slots =
                 index_at(all, (size_t)t->rows * ROW_COLUMNS + (size_t)first * (size_t)t->tail_ld),
             .tail_ld = t->tail_ld,
             .tail_begin = rows_column(t, ROW_TAIL_BEGIN, first),
             .tail_end = rows_column(t, ROW_TAIL_END, first)};
  if (t->edit_count) {
    b.edits = index_at(all, t->ints);
    b.edit_start = t->edit_start;
    b.edit_values = t->edit_values;
  }
  return b;
}

Dev rows_choose_piece(RowTable *t, Dev x, int first, int count, size_t at, bool plain) {
  xt_session *s = t->session;
  ChooseArgs args = {.rows = count,
                     .vocab = s->model->config.vocab,
                     .logits = forward_logits(&s->forward, x, count),
                     .penalty = t->penalty,
                     .wanted = rows_column(t, ROW_WANTED, first),
                     .out = dev_at(t->chosen_dev, at * CHOICE_WORDS)};
  if (!plain && t->rules.texts) restrict_rows(t, args.logits, first, count);
  if (!plain && t->seen) {
    args.seen = t->seen;
    args.lists = rows_column(t, ROW_LIST, first);
    args.newest = rows_column(t, ROW_TOKEN, first);
  }
  s->backend->ops->choose(s->backend, &args);
  if (!plain && t->comparison.on) compare_piece(t, &args, first, count);
  return args.logits;
}

void rows_choose(RowTable *t, int first, int count) {
  const int most = t->session->backend->limits.logit_rows;
  for (int r = first; r < first + count; r += most) {
    const int left = first + count - r;
    rows_choose_piece(t, forward_x(&t->session->forward, r), r, left < most ? left : most,
                      (size_t)r, false);
  }
}

void rows_choose_again(RowTable *t, Dev logits, IndexList wanted, size_t at) {
  xt_session *s = t->session;
  s->backend->ops->choose(s->backend,
                          &(ChooseArgs){.rows = 1,
                                        .vocab = s->model->config.vocab,
                                        .logits = logits,
                                        .penalty = 1,
                                        .wanted = wanted,
                                        .out = dev_at(t->chosen_dev, at * CHOICE_WORDS)});
}

xt_status rows_read(RowTable *t, size_t first, size_t count, xt_error *error) {
  Backend *be = t->session->backend;
  be->ops->download(be, t->chosen + first, dev_at(t->chosen_dev, first * CHOICE_WORDS),
                    count * sizeof *t->chosen);
  const RowComparison *c = &t->comparison;
  const size_t width = (size_t)compare_width(t->session->model->config.vocab, c->asked);
  if (c->on && first < (size_t)t->rows)
    be->ops->download(be, c->out + first * width, dev_at(c->out_dev, first * width),
                      (first + count < (size_t)t->rows ? count : (size_t)t->rows - first) * width *
                          sizeof *c->out);
  for (size_t r = first; r < first + count && r < (size_t)t->rows; r++)
    if (rows_forced(t, (int)r)) t->chosen[r] = forced_choice(&t->rules.allowed[r]);
  return be->ops->status(be, error);
}

void rows_append(xt_generation *out, const Choice *choice) {
  out->ids[out->count] = choice->best;
  out->margins[out->count] = choice->margin;
  out->entropies[out->count] = choice->entropy;
  out->logprobs[out->count] = choice->logprob;
  out->count++;
}
