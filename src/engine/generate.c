/* SPDX-License-Identifier: Apache-2.0 */
/* Greedy generation of many requests at once.
 *
 * Requests are sorted so that those whose prompts agree in all but the last token lie together; each such
 * group runs its inner positions once (prefix_run). Then all rows advance together: step 0 takes the
 * prompts' last tokens, step k the k-th generated ones; rows leave at EOS. A wave is as many requests as
 * memory allows at a time; what a request generates does not depend on its wave. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "engine/sampling.h"
#include "engine/session.h"

#define DEFAULT_NEW_TOKENS 20
#define WAVE_ROWS 1024 /* products gain nothing from more */

typedef struct Group {
  int rows;         /* of the wave */
  int inner;        /* positions before the last prompt token */
  KvPrefix *prefix; /* NULL when inner is 0 */
} Group;

typedef struct Row {
  const xt_request *request;
  xt_generation *out;
  const Group *group;
  Dev values;       /* of its interventions, [n, C] */
  bool edits_later; /* some intervention names a generated token */
  int32_t *seen;    /* distinct ids of prompt and output */
  int32_t seen_count;
  uint64_t key;     /* where tokens are drawn */
} Row;

typedef struct Wave {
  xt_session *session;
  const xt_generate_options *options;
  int max_new;
  float penalty;
  Sampling *sampling; /* NULL: greedy */
  Arena arena;
  Row *rows;
  Group *groups;
  int row_count, group_count;
  Dev values;        /* interventions of all rows */
  KvTail *tail;      /* row r owns slots r*max_new ... */
  EditList edits;
  Dev lens;          /* [layers, rows, C] or none */
  /* of the rows that still run, in order of `active` */
  int active_count;
  int32_t *active, *tokens, *positions, *prefix_end, *slots, *tail_slots, *tail_end;
  BatchSpan *spans;
  const int32_t **seen;
  int32_t *seen_count;
  /* results of one choice */
  int32_t *best;
  float *margin, *entropy, *logprob;
} Wave;

/* ---- grouping ------------------------------------------------------------------------------- */

typedef struct SortKey {
  uint64_t hash;
  size_t index;
} SortKey;

static uint64_t mix_hash(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 29);
}

static bool is_inner(const xt_request *r, const xt_intervention *iv) { return intervention_position(r, iv) + 1 < r->count; }

/* Of the inner ids and of the interventions among them. */
static uint64_t prefix_hash(const xt_request *r) {
  uint64_t hash = r->count;
  for (size_t i = 0; i + 1 < r->count; i++) hash = mix_hash(hash, (uint64_t)r->ids[i]);
  for (size_t i = 0; i < r->intervention_count; i++)
    if (is_inner(r, &r->interventions[i])) hash = mix_hash(hash, (uint64_t)(uintptr_t)r->interventions[i].value);
  return hash;
}

static bool same_intervention(const xt_intervention *a, const xt_intervention *b) {
  return a->write == b->write && a->layer == b->layer && a->position == b->position && a->rule == b->rule && a->value == b->value &&
         (a->rule == XT_RULE_REPLACE || memcmp(&a->alpha, &b->alpha, sizeof a->alpha) == 0);
}

static const xt_intervention *next_inner(const xt_request *r, size_t *at) {
  while (*at < r->intervention_count) {
    const xt_intervention *iv = &r->interventions[(*at)++];
    if (is_inner(r, iv)) return iv;
  }
  return NULL;
}

static bool same_prefix(const xt_request *a, const xt_request *b) {
  if (a->count != b->count || memcmp(a->ids, b->ids, (a->count - 1) * sizeof *a->ids) != 0) return false;
  size_t i = 0, k = 0;
  for (;;) {
    const xt_intervention *x = next_inner(a, &i), *y = next_inner(b, &k);
    if (!x || !y) return x == y;
    if (!same_intervention(x, y)) return false;
  }
}

static int compare_keys(const void *a, const void *b) {
  const SortKey *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* ---- planning ------------------------------------------------------------------------------- */

static uint64_t wave_bytes(const xt_model *m, size_t rows, uint64_t prefix_positions, int max_new, size_t interventions, bool lens) {
  const uint64_t width_bytes = (uint64_t)m->config.width * sizeof(float);
  return xt_model_session_bytes(m, (int)prefix_positions, (int)rows, max_new) + interventions * width_bytes +
         (lens ? rows * (uint64_t)m->config.layers * width_bytes : 0);
}

/* How many requests of keys[from..n) make the next wave. */
static xt_status wave_plan(const xt_session *s, const xt_request *requests, const SortKey *keys, size_t from, size_t n,
                           int max_new, bool lens, size_t *count, xt_error *error) {
  const xt_model *m = s->model;
  const uint64_t budget = m->memory_limit > m->weight_bytes ? m->memory_limit - m->weight_bytes : 0;
  uint64_t positions = 0;
  size_t interventions = 0;
  *count = 0;
  while (from + *count < n && *count < WAVE_ROWS) {
    const xt_request *r = &requests[keys[from + *count].index];
    const bool shared = *count && same_prefix(r, &requests[keys[from + *count - 1].index]);
    const uint64_t more = positions + (shared ? 0 : r->count);
    const uint64_t need = wave_bytes(m, *count + 1, more, max_new, interventions + r->intervention_count, lens);
    if (more > INT32_MAX || need > budget) {
      if (*count) break;
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                     "a prompt of %zu tokens needs %.2f GiB beside the weights; %.2f GiB are left of the memory limit",
                     r->count, (double)need / 0x1p30, (double)budget / 0x1p30);
    }
    positions = more;
    interventions += r->intervention_count;
    (*count)++;
  }
  return XT_STATUS_OK;
}

/* ---- a wave --------------------------------------------------------------------------------- */

static xt_status row_init(Wave *w, Row *row, xt_error *error) {
  const xt_request *r = row->request;
  for (size_t i = 0; i < r->intervention_count; i++)
    if (intervention_position(r, &r->interventions[i]) >= r->count) row->edits_later = true;
  if (w->penalty == 1.0f) return XT_STATUS_OK;
  TRY(arena_alloc(&w->arena, &row->seen, r->count + (size_t)w->max_new, sizeof *row->seen, error));
  row->seen_count = engine_distinct_ids(row->seen, r->ids, r->count);
  return XT_STATUS_OK;
}

static xt_status wave_arrays(Wave *w, xt_error *error) {
  const size_t n = (size_t)w->row_count;
  int32_t **const ints[] = {&w->active, &w->tokens, &w->positions, &w->prefix_end, &w->slots, &w->tail_end, &w->seen_count, &w->best};
  float **const floats[] = {&w->margin, &w->entropy, &w->logprob};
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) TRY(arena_alloc(&w->arena, ints[i], n, sizeof(int32_t), error));
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) TRY(arena_alloc(&w->arena, floats[i], n, sizeof(float), error));
  TRY(arena_alloc(&w->arena, &w->tail_slots, n * (size_t)w->max_new, sizeof *w->tail_slots, error));
  TRY(arena_alloc(&w->arena, &w->seen, n, sizeof *w->seen, error));
  return arena_alloc(&w->arena, &w->spans, (size_t)w->group_count, sizeof *w->spans, error);
}

/* Uploads every row's intervention values. */
static xt_status wave_values(Wave *w, size_t *total, xt_error *error) {
  Backend *be = w->session->backend;
  const size_t width = (size_t)w->session->model->config.width;
  size_t at = 0;
  *total = 0;
  for (int r = 0; r < w->row_count; r++) *total += w->rows[r].request->intervention_count;
  if (*total == 0) return XT_STATUS_OK;
  TRY(be->ops->alloc(be, *total * width * sizeof(float), &w->values, error));
  for (int r = 0; r < w->row_count; r++) {
    const xt_request *request = w->rows[r].request;
    w->rows[r].values = dev_at(w->values, at * width);
    for (size_t i = 0; i < request->intervention_count; i++, at++)
      be->ops->upload(be, dev_at(w->values, at * width), request->interventions[i].value, width * sizeof(float));
  }
  return XT_STATUS_OK;
}

static xt_status wave_init(Wave *w, const xt_request *requests, const SortKey *keys, size_t n, xt_generation *out, xt_error *error) {
  const xt_model *m = w->session->model;
  const KvShape shape = {.layers = m->config.layers, .kv_heads = m->config.kv_heads, .head_dim = m->config.head_dim};
  size_t interventions;
  int positions = 0;
  w->row_count = (int)n;
  TRY(arena_alloc(&w->arena, &w->rows, n, sizeof *w->rows, error));
  TRY(arena_alloc(&w->arena, &w->groups, n, sizeof *w->groups, error));
  for (size_t r = 0; r < n; r++) {
    const xt_request *request = &requests[keys[r].index];
    if (r == 0 || !same_prefix(request, w->rows[r - 1].request))
      w->groups[w->group_count++].inner = (int)request->count - 1;
    Group *group = &w->groups[w->group_count - 1];
    group->rows++;
    w->rows[r] = (Row){.request = request, .out = &out[keys[r].index], .group = group};
    if ((int)request->count + w->max_new > positions) positions = (int)request->count + w->max_new;
    TRY(row_init(w, &w->rows[r], error));
  }
  TRY(wave_arrays(w, error));
  TRY(wave_values(w, &interventions, error));
  TRY(edit_list_init(&w->edits, m, interventions, error));
  int32_t *slots;
  TRY(arena_alloc(&w->arena, &slots, (size_t)m->config.layers, sizeof *slots, error));
  for (int l = 0; l < m->config.layers; l++) slots[l] = (int32_t)n * w->max_new;
  TRY(w->session->backend->ops->tail_create(w->session->backend, shape, slots, &w->tail, error));
  if (w->options->lens)
    TRY(w->session->backend->ops->alloc(w->session->backend, n * (size_t)m->config.layers * (size_t)m->config.width * sizeof(float),
                                        &w->lens, error));
  return forward_reserve(&w->session->forward, (int)n, positions, error);
}

static void wave_deinit(Wave *w) {
  Backend *be = w->session->backend;
  for (int g = 0; g < w->group_count; g++) be->ops->prefix_release(be, w->groups[g].prefix);
  be->ops->tail_release(be, w->tail);
  be->ops->release(be, w->values);
  be->ops->release(be, w->lens);
  edit_list_deinit(&w->edits);
  arena_free(&w->arena);
}

/* ---- a step --------------------------------------------------------------------------------- */

/* The batch of step `step`: every active row's newest token. */
static Batch step_batch(Wave *w, int step) {
  const int ld = w->max_new;
  int spans = 0;
  bool later = false;
  for (int a = 0; a < w->active_count; a++) {
    const int r = w->active[a];
    const Row *row = &w->rows[r];
    w->tokens[a] = step == 0 ? row->request->ids[row->request->count - 1] : row->out->ids[row->out->count - 1];
    w->positions[a] = row->group->inner + step;
    w->prefix_end[a] = row->group->inner;
    w->slots[a] = r * ld + step;
    w->tail_end[a] = step + 1;
    for (int k = 0; k <= step; k++) w->tail_slots[a * ld + k] = r * ld + k;
    if (a == 0 || row->group != w->rows[w->active[a - 1]].group)
      w->spans[spans++] = (BatchSpan){.first = a, .prefix = row->group->prefix};
    w->spans[spans - 1].rows++;
    later |= row->edits_later;
  }
  Batch batch = {.rows = w->active_count, .x = forward_x(&w->session->forward), .positions = w->positions, .spans = w->spans,
                 .span_count = spans, .prefix_end = w->prefix_end, .tail = w->tail, .slots = w->slots,
                 .tail_slots = w->tail_slots, .tail_ld = ld, .tail_end = w->tail_end};
  edit_list_clear(&w->edits);
  for (int a = 0; (step == 0 || later) && a < w->active_count; a++) {
    const Row *row = &w->rows[w->active[a]];
    for (size_t i = 0; i < row->request->intervention_count; i++)
      if (intervention_position(row->request, &row->request->interventions[i]) == (size_t)w->positions[a])
        edit_list_add(&w->edits, a, &row->request->interventions[i],
                      dev_at(row->values, i * (size_t)w->session->model->config.width));
  }
  edit_list_apply(&w->edits, w->session->model, &batch);
  batch.capture[XT_TAP_BLOCK] = w->lens;
  return batch;
}

/* Puts drawn tokens in the place of the likeliest; `logits` [rows, vocab] have the penalty. */
static void draw_rows(Wave *w, Dev logits, int first, int rows) {
  Sampling *s = w->sampling;
  for (int r = 0; r < rows; r++) {
    const Row *row = &w->rows[w->active[first + r]];
    w->session->backend->ops->download(w->session->backend, s->logits, dev_at(logits, (size_t)r * (size_t)s->vocab), (size_t)s->vocab * sizeof *s->logits);
    w->best[first + r] = sampling_draw(s, row->key, row->out->count, &w->logprob[first + r]);
  }
}

static void choose_rows(Wave *w, Dev x) {
  Forward *f = &w->session->forward;
  const int width = w->session->model->config.width;
  for (int a = 0; a < w->active_count; a++) {
    w->seen[a] = w->rows[w->active[a]].seen;
    w->seen_count[a] = w->rows[w->active[a]].seen_count;
  }
  for (int first = 0; first < w->active_count; first += SIZES_LOGIT_ROWS) {
    const int rows = w->active_count - first < SIZES_LOGIT_ROWS ? w->active_count - first : SIZES_LOGIT_ROWS;
    const ChooseArgs args = {.rows = rows, .vocab = w->session->model->config.vocab, .penalty = w->penalty,
                             .logits = forward_logits(f, dev_at(x, (size_t)first * (size_t)width), rows),
                             .seen = w->seen + first, .seen_count = w->seen_count + first, .best = w->best + first,
                             .margin = w->margin + first, .entropy = w->entropy + first, .logprob = w->logprob + first};
    w->session->backend->ops->choose(w->session->backend, &args);
    if (w->sampling) draw_rows(w, args.logits, first, rows);
  }
}

/* Appends the chosen tokens; rows that ended leave `active`. */
static void record_rows(Wave *w) {
  int left = 0;
  for (int a = 0; a < w->active_count; a++) {
    Row *row = &w->rows[w->active[a]];
    xt_generation *out = row->out;
    out->ids[out->count] = w->best[a];
    out->margins[out->count] = w->margin[a];
    out->entropies[out->count] = w->entropy[a];
    out->logprobs[out->count] = w->logprob[a];
    out->count++;
    if (w->penalty != 1.0f) engine_add_distinct(row->seen, &row->seen_count, w->best[a]);
    out->stopped = !w->options->ignore_eos && engine_is_eos(&w->session->model->config, w->best[a]);
    if (!out->stopped && out->count < (size_t)w->max_new) w->active[left++] = w->active[a];
  }
  w->active_count = left;
}

/* The logit lens of the step that `batch` ran: final norm and unembedding of every layer's output.
 * Called before record_rows, so token `count` of each row is the one being made. */
static void read_lens(Wave *w, const Batch *batch) {
  const ModelConfig *c = &w->session->model->config;
  for (int l = 0; l < c->layers; l++) {
    for (int first = 0; first < batch->rows; first += SIZES_LOGIT_ROWS) {
      const int rows = batch->rows - first < SIZES_LOGIT_ROWS ? batch->rows - first : SIZES_LOGIT_ROWS;
      const size_t at = ((size_t)l * (size_t)batch->rows + (size_t)first) * (size_t)c->width;
      const ChooseArgs args = {.rows = rows, .vocab = c->vocab, .penalty = 1.0f, .best = w->best, .logprob = w->logprob,
                               .logits = forward_logits(&w->session->forward, dev_at(w->lens, at), rows)};
      w->session->backend->ops->choose(w->session->backend, &args);
      for (int r = 0; r < rows; r++) {
        xt_generation *out = w->rows[w->active[first + r]].out;
        const size_t cell = out->count * (size_t)c->layers + (size_t)l;
        out->lens_ids[cell] = w->best[r];
        out->lens_logprobs[cell] = w->logprob[r];
      }
    }
  }
}

static xt_status wave_run(Wave *w, xt_error *error) {
  const xt_generate_options *o = w->options;
  for (int g = 0, first = 0; g < w->group_count; first += w->groups[g++].rows)
    TRY(prefix_run(w->session, w->rows[first].request, w->rows[first].values, w->groups[g].inner, &w->groups[g].prefix, error));
  TRY(forward_reserve(&w->session->forward, w->row_count, 0, error));
  w->active_count = w->row_count;
  for (int r = 0; r < w->row_count; r++) w->active[r] = r;
  for (int step = 0; w->active_count > 0; step++) {
    if (o->cancel && o->cancel(o->user)) return err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
    const Batch batch = step_batch(w, step);
    forward_embed(&w->session->forward, batch.x, w->tokens, batch.rows);
    forward_layers(&w->session->forward, &batch);
    if (o->lens) read_lens(w, &batch);
    choose_rows(w, batch.x);
    record_rows(w);
  }
  return XT_STATUS_OK;
}

/* ---- the public call ------------------------------------------------------------------------ */

void xt_generation_deinit(xt_generation *g) {
  if (!g) return;
  free(g->ids);
  free(g->margins);
  free(g->entropies);
  free(g->logprobs);
  free(g->lens_ids);
  free(g->lens_logprobs);
  *g = (xt_generation){0};
}

static xt_status generation_init(xt_generation *g, int max_new, int lens_layers, xt_error *error) {
  const size_t n = (size_t)max_new, cells = n * (size_t)lens_layers;
  g->layers = lens_layers;
  TRY(mem_alloc(&g->ids, n, sizeof *g->ids, error));
  TRY(mem_alloc(&g->margins, n, sizeof *g->margins, error));
  TRY(mem_alloc(&g->entropies, n, sizeof *g->entropies, error));
  TRY(mem_alloc(&g->logprobs, n, sizeof *g->logprobs, error));
  if (lens_layers == 0) return XT_STATUS_OK;
  TRY(mem_alloc(&g->lens_ids, cells, sizeof *g->lens_ids, error));
  return mem_alloc(&g->lens_logprobs, cells, sizeof *g->lens_logprobs, error);
}

static xt_status generate_waves(xt_session *s, const xt_request *requests, const SortKey *keys, size_t n,
                                const xt_generate_options *o, Sampling *sampling, xt_generation *out, xt_error *error) {
  const int max_new = o->max_new_tokens > 0 ? o->max_new_tokens : DEFAULT_NEW_TOKENS;
  const double penalty = o->repetition_penalty > 0 ? o->repetition_penalty : s->model->config.repetition_penalty;
  for (size_t from = 0, count; from < n; from += count) {
    TRY(wave_plan(s, requests, keys, from, n, max_new, o->lens, &count, error));
    Wave wave = {.session = s, .options = o, .max_new = max_new, .penalty = (float)penalty, .sampling = sampling};
    xt_status status = wave_init(&wave, requests, keys + from, count, out, error);
    for (int r = 0; sampling && !status && r < wave.row_count; r++)
      wave.rows[r].key = sampling_key(wave.rows[r].request->ids, wave.rows[r].request->count, wave.rows[r].request->sample);
    if (!status) status = wave_run(&wave, error);
    wave_deinit(&wave);
    if (status) return status;
  }
  return XT_STATUS_OK;
}

xt_status xt_session_generate(xt_session *s, const xt_request *requests, size_t n, const xt_generate_options *options,
                              xt_generation *out, xt_error *error) {
  const xt_generate_options defaults = {0}, *o = options ? options : &defaults;
  const int max_new = o->max_new_tokens > 0 ? o->max_new_tokens : DEFAULT_NEW_TOKENS;
  SortKey *keys;
  for (size_t i = 0; i < n; i++) out[i] = (xt_generation){0};
  if (o->max_new_tokens < 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "max_new_tokens", -1, "is %d; it must not be negative", o->max_new_tokens);
  if (!(o->repetition_penalty >= 0 && o->repetition_penalty <= 1e6))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "repetition_penalty", -1, "is %g; it must be positive", o->repetition_penalty);
  if (!(o->temperature >= 0 && o->temperature <= 1e6))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "temperature", -1, "is %g; it must be 0 (greedy) or above", o->temperature);
  if (!(o->top_p >= 0 && o->top_p <= 1)) return err_set(error, XT_STATUS_ARGUMENT, NULL, "top_p", -1, "is %g; it must be from 0 to 1", o->top_p);
  for (size_t i = 0; i < n; i++) TRY(request_check(s->model, &requests[i], i, max_new, error));
  TRY(mem_alloc(&keys, n, sizeof *keys, error));
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < n && !status; i++) {
    keys[i] = (SortKey){.hash = prefix_hash(&requests[i]), .index = i};
    status = generation_init(&out[i], max_new, o->lens ? s->model->config.layers : 0, error);
  }
  qsort(keys, n, sizeof *keys, compare_keys);
  Sampling sampling = {0};
  if (!status && o->temperature > 0) status = sampling_init(&sampling, o->temperature, o->top_p, o->seed, s->model->config.vocab, error);
  if (!status) status = generate_waves(s, requests, keys, n, o, o->temperature > 0 ? &sampling : NULL, out, error);
  sampling_deinit(&sampling);
  free(keys);
  for (size_t i = 0; i < n && status; i++) xt_generation_deinit(&out[i]);
  return status;
}
