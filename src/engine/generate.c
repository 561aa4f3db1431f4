/* SPDX-License-Identifier: Apache-2.0 */
/* Generation of many requests at once.
 *
 * Requests are sorted by the inner positions of their prompts, so that requests that share them are
 * neighbours; each such prefix is run once (prefixes.h). Then all rows advance together: the input
 * of step 0 is the last token of each prompt, and that of step k the k-th generated token; rows
 * leave at EOS. A wave is as many requests as memory allows at a time; the response to a request
 * does not depend on its wave. */
#include "engine/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/options.h"
#include "engine/prefixes.h"
#include "engine/rows.h"
#include "engine/sampling.h"

#define DEFAULT_NEW_TOKENS 20
#define WAVE_ROWS 1024 /* more rows do not make products faster */

typedef struct SortKey {
  PrefixKey prefix;
  size_t index; /* of the request */
} SortKey;

typedef struct Row {
  const xt_request *request;
  xt_generation *out;
  size_t index;        /* of the request */
  int prefix;          /* of the pool */
  int32_t first_value; /* of its interventions' values */
  bool edits_later;    /* some intervention names a generated token */
  uint64_t key;        /* where tokens are drawn */
  int reference;       /* others are compared with it; below 0: none are */
  RowQuestion question;
} Row;

typedef struct Wave {
  xt_session *session;
  const xt_generate_options *options;
  int max_new;
  size_t done;        /* requests of earlier waves */
  Sampling *sampling; /* NULL: greedy */
  Arena arena;
  Row *rows;
  int row_count;
  PrefixPool prefixes;
  const Compared *compared; /* of the caller; NULL: */
  References references;    /* rows of the wave that others are compared with */
  RowTable table;    /* row r's keys and values of generated tokens are in slots r*max_new ... */
  EditValues values; /* interventions' of all rows */
  Dev lens;          /* [layers, rows, C] or none */
  int32_t *active;   /* rows that still run */
  int active_count;
  int32_t *drawn; /* [rows] tokens of the step, where they are drawn */
  float *drawn_logprob;
} Wave;

static int compare_keys(const void *a, const void *b) {
  const SortKey *x = a, *y = b;
  const int order = prefix_compare(&x->prefix, &y->prefix);
  return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* ---- planning -------------------------------------------------------------------------------- */

static uint64_t wave_bytes(const xt_model *m, size_t rows, uint64_t prefix_positions, int max_new,
                           size_t interventions, bool lens) {
  const uint64_t width_bytes = (uint64_t)m->config.width * sizeof(float);
  return xt_model_session_bytes(m, (int)prefix_positions, (int)rows, max_new) +
         interventions * (width_bytes + (uint64_t)m->config.head_dim * sizeof(float)) +
         (lens ? rows * (uint64_t)m->config.layers * width_bytes : 0);
}

/* The largest of its allocations is one that the device gives. */
static bool wave_fits(const xt_model *m, size_t rows, int max_new, bool lens) {
  const ModelConfig *c = &m->config;
  const uint64_t most = m->limits.largest, layers = (uint64_t)c->layers,
                 work = sizes_activations(c, &m->limits, (int)rows).total * sizeof(float);
  return !most ||
         (work <= most && rows * (uint64_t)max_new * sizes_position_bytes(c) / layers <= most &&
          (!lens || rows * layers * (uint64_t)c->width * sizeof(float) <= most));
}

/* How many requests of keys[from..n) make the next wave. */
static xt_status wave_plan(const xt_session *s, const SortKey *keys, size_t from, size_t n,
                           int max_new, bool lens, size_t *count, xt_error *error) {
  const xt_model *m = s->model;
  const uint64_t budget = m->memory_limit > m->weight_bytes ? m->memory_limit - m->weight_bytes : 0;
  uint64_t positions = 0;
  size_t interventions = 0;
  *count = 0;
  while (from + *count < n && *count < WAVE_ROWS) {
    const PrefixKey *key = &keys[from + *count].prefix;
    const xt_request *r = key->request;
    const bool shared = *count && prefix_compare(key, &keys[from + *count - 1].prefix) == 0;
    const uint64_t more = positions + (shared ? 0 : r->count);
    const uint64_t need =
        wave_bytes(m, *count + 1, more, max_new, interventions + r->intervention_count, lens);
    if (*count && !wave_fits(m, *count + 1, max_new, lens)) break;
    if (more > INT32_MAX || need > budget) {
      if (*count) break;
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                     "a prompt of %zu tokens needs %.2f GiB beside the weights; %.2f GiB are left "
                     "of the memory limit",
                     r->count, (double)need / 0x1p30, (double)budget / 0x1p30);
    }
    positions = more;
    interventions += r->intervention_count;
    (*count)++;
  }
  return XT_STATUS_OK;
}

/* ---- a wave ---------------------------------------------------------------------------------- */

/* Uploads every row's intervention values. */
static xt_status wave_values(Wave *w, size_t total, xt_error *error) {
  bool heads = false;
  size_t at = 0;
  for (int r = 0; r < w->row_count && !heads; r++)
    heads = request_has_heads(w->rows[r].request->interventions,
                              w->rows[r].request->intervention_count);
  TRY(edit_values_create(w->session, total, heads, &w->values, error));
  for (int r = 0; r < w->row_count; r++)
    for (size_t i = 0; i < w->rows[r].request->intervention_count; i++, at++)
      edit_values_set(w->session, &w->values, at, &w->rows[r].request->interventions[i]);
  return XT_STATUS_OK;
}

static xt_status wave_rows(Wave *w, const SortKey *keys, xt_generation *out, size_t *interventions,
                           xt_error *error) {
  *interventions = 0;
  TRY(prefixes_create(&w->prefixes, w->session, (size_t)w->row_count, error));
  for (int r = 0; r < w->row_count; r++) {
    const xt_request *request = keys[r].prefix.request;
    Row *row = &w->rows[r];
    PrefixKey key = keys[r].prefix;
    *row = (Row){.request = request,
                 .out = &out[keys[r].index],
                 .index = keys[r].index,
                 .first_value = (int32_t)*interventions};
    key.first_value = row->first_value;
    row->prefix = prefixes_add(&w->prefixes, &key);
    for (size_t i = 0; i < request->intervention_count; i++) {
      const xt_intervention *iv = &request->interventions[i];
      if (intervention_is_many(iv) || intervention_first(request, iv) >= request->count)
        row->edits_later = true;
    }
    if (w->sampling) row->key = sampling_key(request->ids, request->count, request->sample);
    *interventions += request->intervention_count;
  }
  return XT_STATUS_OK;
}

static xt_status wave_penalty(Wave *w, float penalty, xt_error *error) {
  const size_t n = (size_t)w->row_count;
  RowPrompt *prompts;
  int32_t *own;
  TRY(ARENA_ALLOC(&w->arena, &prompts, n, error));
  TRY(ARENA_ALLOC(&w->arena, &own, n, error));
  for (int r = 0; r < w->row_count; r++) {
    prompts[r] = (RowPrompt){.ids = w->rows[r].request->ids, .count = w->rows[r].request->count};
    own[r] = r;
  }
  return rows_penalize(&w->table, penalty, prompts, w->row_count, own, w->row_count, w->max_new,
                       error);
}

/* The row of the request with this index plus 1 becomes a reference; returns which. */
static int add_reference(Wave *w, int request) {
  for (int r = 0; r < w->row_count; r++)
    if (w->rows[r].index + 1 == (size_t)request) {
      if (w->rows[r].reference < 0) w->rows[r].reference = w->references.count++;
      return w->rows[r].reference;
    }
  return -1;
}

static bool row_has_effects(const Row *row) { return row->question.against[0] >= 0; }

static RowQuestion question_of(Wave *w, const Row *row) {
  const xt_request *q = row->request;
  if (w->compared) return w->compared->questions[row->index];
  if (!request_has_effects(q)) return (RowQuestion){.against = {-1, -1}};
  return (RowQuestion){.ids = q->tracked,
                       .count = (int)q->tracked_count,
                       .against = {add_reference(w, q->untouched), add_reference(w, q->source)}};
}

/* Finds what is compared with what, and makes room for it. */
static xt_status wave_comparison(Wave *w, xt_error *error) {
  int asked = 0;
  bool any = false;
  for (int r = 0; r < w->row_count; r++) w->rows[r].reference = -1;
  for (int r = 0; r < w->row_count; r++) {
    RowQuestion *question = &w->rows[r].question;
    *question = question_of(w, &w->rows[r]);
    any = any || row_has_effects(&w->rows[r]);
    asked = question->count > asked ? question->count : asked;
  }
  if (!any) return XT_STATUS_OK;
  if (!w->compared) TRY(references_create(&w->references, w->session, w->references.count, error));
  return rows_compare(&w->table, w->compared ? w->compared->references : &w->references,
                      w->row_count, asked, error);
}

static xt_status wave_init(Wave *w, const SortKey *keys, size_t n, float penalty,
                           xt_generation *out, xt_error *error) {
  const ModelConfig *c = &w->session->model->config;
  Backend *be = w->session->backend;
  size_t interventions;
  w->row_count = (int)n;
  TRY(ARENA_ALLOC(&w->arena, &w->rows, n, error));
  TRY(ARENA_ALLOC(&w->arena, &w->active, n, error));
  TRY(ARENA_ALLOC(&w->arena, &w->drawn, n, error));
  TRY(ARENA_ALLOC(&w->arena, &w->drawn_logprob, n, error));
  TRY(wave_rows(w, keys, out, &interventions, error));
  TRY(wave_values(w, interventions, error));
  size_t longest = 0;
  for (size_t r = 0; r < n; r++)
    if (w->rows[r].request->count + (size_t)w->max_new > longest)
      longest = w->rows[r].request->count + (size_t)w->max_new;
  const size_t lens_layers = w->options->lens ? (size_t)c->layers : 0;
  TRY(rows_create(&w->table, w->session,
                  &(RowTableSize){.rows = w->row_count,
                                  .tail = w->max_new,
                                  .slots = w->row_count * w->max_new,
                                  .edits = interventions,
                                  .choices = n * (1 + lens_layers)},
                  error));
  w->table.edit_values = w->values;
  TRY(wave_penalty(w, penalty, error));
  TRY(wave_comparison(w, error));
  TRY(rows_restrict(&w->table, longest, error));
  if (lens_layers)
    TRY(be->ops->alloc(be, n * lens_layers * (size_t)c->width * sizeof(float), &w->lens, error));
  return forward_reserve(&w->session->forward, (int)n, (int)longest, error);
}

static void wave_deinit(Wave *w) {
  Backend *be = w->session->backend;
  prefixes_release(&w->prefixes);
  rows_release(&w->table);
  references_release(&w->references);
  edit_values_release(w->session, &w->values);
  be->ops->release(be, w->lens);
  arena_free(&w->arena);
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Lays out step `step`: every active row's newest token. */
static void place_rows(Wave *w, int step) {
  RowTable *t = &w->table;
  rows_begin(t, w->active_count, step + 1);
  for (int a = 0; a < w->active_count; a++) {
    const int r = w->active[a], first_slot = r * w->max_new;
    const Row *row = &w->rows[r];
    const xt_request *q = row->request;
    const Prefix *prefix = &w->prefixes.list[row->prefix];
    for (int k = 0; k < step; k++) rows_slots(t, a)[k] = first_slot + k;
    rows_place(t, a, prefix->kv, (int)q->count - 1, step,
               step == 0 ? q->ids[q->count - 1] : row->out->ids[row->out->count - 1],
               first_slot + step);
    t->column[ROW_LIST][a] = r;
    rows_text(t, a,
              &(RowText){.prompt = q->ids,
                         .prompt_count = (int)q->count,
                         .generated = row->out->ids,
                         .generated_count = step,
                         .max_new = w->max_new});
    for (size_t i = 0; (step == 0 || row->edits_later) && i < q->intervention_count; i++)
      if (intervention_is_at(q, &q->interventions[i], (size_t)t->column[ROW_POSITION][a]))
        rows_edit(t, a, &q->interventions[i], row->first_value + (int32_t)i);
    if (step == 0 && t->comparison.references) rows_ask(t, a, &row->question);
  }
  rows_upload(t);
}

/* Draws tokens for rows [first, first + rows) from their logits, [rows, vocab], after the
 * penalty. */
static void draw_rows(Wave *w, Dev logits, int first, int rows) {
  Backend *be = w->session->backend;
  Sampling *s = w->sampling;
  for (int r = 0; r < rows; r++) {
    const Row *row = &w->rows[w->active[first + r]];
    be->ops->download(be, s->logits, dev_at(logits, (size_t)r * (size_t)s->vocab),
                      (size_t)s->vocab * sizeof *s->logits);
    w->drawn[first + r] = sampling_draw(s, row->key, row->out->count, &w->drawn_logprob[first + r]);
  }
}

/* Choices 0.. belong to the active rows. */
static void choose_tokens(Wave *w) {
  const int most = w->session->backend->limits.logit_rows;
  for (int first = 0; first < w->active_count; first += most) {
    const int left = w->active_count - first, rows = left < most ? left : most;
    const Dev logits = rows_choose_piece(&w->table, forward_x(&w->session->forward, first), first,
                                         rows, (size_t)first, false);
    if (w->sampling) draw_rows(w, logits, first, rows);
  }
}

/* Sets the references, whose tokens are chosen for that once more. */
static xt_status set_references(Wave *w, xt_error *error) {
  const int most = w->session->backend->limits.logit_rows, n = w->active_count;
  w->table.comparison.on = false;
  for (int first = 0; first < n; first += most) {
    const int rows = n - first < most ? n - first : most;
    const Dev logits = rows_choose_piece(&w->table, forward_x(&w->session->forward, first), first,
                                         rows, (size_t)first, false);
    for (int r = first; r < first + rows; r++)
      if (w->rows[r].reference >= 0)
        references_set(
            &w->references, w->rows[r].reference,
            dev_at(logits, (size_t)(r - first) * (size_t)w->session->model->config.vocab));
  }
  TRY(rows_read(&w->table, 0, (size_t)n, error));
  for (int r = 0; r < n; r++)
    if (w->rows[r].reference >= 0)
      w->references.logprob[w->rows[r].reference] =
          rows_forced(&w->table, r) ? NAN : w->table.chosen[r].logprob;
  w->table.comparison.on = true;
  return XT_STATUS_OK;
}

static void record_effects(Wave *w) {
  for (int r = 0; r < w->active_count; r++) {
    xt_generation *out = w->rows[r].out;
    if (row_has_effects(&w->rows[r]) &&
        rows_numbers(&w->table, r, &w->rows[r].question, out->effects))
      out->effect_count = XT_EFFECT_TRACKED + (size_t)w->rows[r].question.count;
  }
}

/* The logit lens of the step: final norm and unembedding of every layer's output. Its choices
 * follow those of the active rows, layer by layer. */
static void choose_lens(Wave *w) {
  const ModelConfig *c = &w->session->model->config;
  const int most = w->session->backend->limits.logit_rows, n = w->active_count;
  for (int l = 0; l < c->layers; l++)
    for (int first = 0; first < n; first += most) {
      const size_t at = (size_t)l * (size_t)n + (size_t)first;
      rows_choose_piece(&w->table, dev_at(w->lens, at * (size_t)c->width), first,
                        n - first < most ? n - first : most, (size_t)n + at, true);
    }
}

static void record_lens(Wave *w, xt_generation *out, int a) {
  const size_t layers = (size_t)w->session->model->config.layers, n = (size_t)w->active_count;
  for (size_t l = 0; l < layers; l++) {
    const Choice *choice = &w->table.chosen[n + l * n + (size_t)a];
    out->lens_ids[out->count * layers + l] = choice->best;
    out->lens_logprobs[out->count * layers + l] = choice->logprob;
  }
}

/* Appends the chosen tokens; rows that ended leave `active`. */
static void record_rows(Wave *w) {
  const xt_generate_options *o = w->options;
  int left = 0;
  for (int a = 0; a < w->active_count; a++) {
    const Row *row = &w->rows[w->active[a]];
    xt_generation *out = row->out;
    Choice *choice = &w->table.chosen[a];
    if (o->lens) record_lens(w, out, a);
    if (w->sampling && !rows_forced(&w->table, a)) {
      choice->best = w->drawn[a];
      choice->logprob = w->drawn_logprob[a];
    }
    rows_append(out, choice);
    out->stopped = !o->ignore_eos && engine_is_eos(&w->session->model->config, choice->best);
    if (out->stopped || (o->stop && o->stop(o->user, row->index, out->ids, out->count))) continue;
    if (out->count < (size_t)w->max_new) w->active[left++] = w->active[a];
  }
  w->active_count = left;
}

static xt_status wave_run(Wave *w, xt_error *error) {
  const xt_generate_options *o = w->options;
  Forward *f = &w->session->forward;
  TRY(prefixes_run(&w->prefixes, w->values, NULL, NULL, error));
  TRY(forward_reserve(f, w->row_count, 0, error));
  w->active_count = w->row_count;
  for (int r = 0; r < w->row_count; r++) w->active[r] = r;
  for (int step = 0; w->active_count > 0; step++) {
    if (o->cancel && o->cancel(o->user))
      return err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
    place_rows(w, step);
    Batch batch = rows_batch(&w->table, 0, w->active_count);
    batch.capture[XT_TAP_BLOCK] = w->lens;
    forward_embed(f, rows_column(&w->table, ROW_TOKEN, 0), rows_column(&w->table, ROW_POSITION, 0),
                  batch.rows);
    forward_layers(f, &batch);
    if (step == 0 && w->references.count) TRY(set_references(w, error));
    choose_tokens(w);
    if (o->lens) choose_lens(w);
    TRY(rows_read(&w->table, 0,
                  (size_t)batch.rows * (o->lens ? 1 + (size_t)w->session->model->config.layers : 1),
                  error));
    if (step == 0 && w->table.comparison.references) record_effects(w);
    record_rows(w);
    const double ended = (double)(w->row_count - w->active_count),
                 grown = (double)(step + 1) / w->max_new;
    if (o->progress) o->progress(o->user, (double)w->done + ended + grown * w->active_count);
  }
  return XT_STATUS_OK;
}

/* ---- the public call ------------------------------------------------------------------------- */

static xt_status generate_waves(xt_session *s, const SortKey *keys, size_t n,
                                const xt_generate_options *o, Sampling *sampling,
                                const Compared *compared, xt_generation *out, xt_error *error) {
  const int max_new = o->max_new_tokens > 0 ? o->max_new_tokens : DEFAULT_NEW_TOKENS;
  const double penalty =
      o->repetition_penalty > 0 ? o->repetition_penalty : s->model->config.repetition_penalty;
  for (size_t from = 0, count; from < n; from += count) {
    TRY(wave_plan(s, keys, from, n, max_new, o->lens, &count, error));
    for (size_t i = 0; i < n && count < n; i++)
      if (request_has_effects(keys[i].prefix.request))
        return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                       "%zu requests cannot run together, as the effects of some need; %zu can", n,
                       count);
    Wave wave = {.session = s,
                 .options = o,
                 .max_new = max_new,
                 .done = from,
                 .sampling = sampling,
                 .compared = compared};
    xt_status status = wave_init(&wave, keys + from, count, (float)penalty, out, error);
    if (!status) status = wave_run(&wave, error);
    wave_deinit(&wave);
    if (status) return status;
  }
  return XT_STATUS_OK;
}

/* Numbers of a request's effects; 0: it has none. */
static size_t effects_of(const xt_request *request, const Compared *compared, size_t index) {
  if (compared) return XT_EFFECT_TRACKED + (size_t)compared->questions[index].count;
  return request_has_effects(request) ? XT_EFFECT_TRACKED + request->tracked_count : 0;
}

xt_status generate_compared(xt_session *s, const xt_request *requests, size_t n,
                            const xt_generate_options *options, const Compared *compared,
                            xt_generation *out, xt_error *error) {
  const xt_generate_options defaults = {0}, *o = options ? options : &defaults;
  const int max_new = o->max_new_tokens > 0 ? o->max_new_tokens : DEFAULT_NEW_TOKENS;
  SortKey *keys;
  for (size_t i = 0; i < n; i++) out[i] = (xt_generation){0};
  TRY(OPTIONS_CHECK(options, error));
  TRY(generate_check(s, requests, n, o, max_new, error));
  TRY(MEM_ALLOC(&keys, n, error));
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < n && !status; i++) {
    keys[i] = (SortKey){
        .prefix = {.ids = requests[i].ids, .count = requests[i].count - 1, .request = &requests[i]},
        .index = i};
    status = generation_init(&out[i], effects_of(&requests[i], compared, i), max_new,
                             o->lens ? s->model->config.layers : 0, error);
  }
  qsort(keys, n, sizeof *keys, compare_keys);
  s->cancel = o->cancel, s->cancel_user = o->user;
  Sampling sampling = {0};
  if (!status && o->temperature > 0)
    status =
        sampling_init(&sampling, o->temperature, o->top_p, o->seed, s->model->config.vocab, error);
  if (!status)
    status =
        generate_waves(s, keys, n, o, o->temperature > 0 ? &sampling : NULL, compared, out, error);
  s->cancel = NULL;
  sampling_deinit(&sampling);
  free(keys);
  for (size_t i = 0; i < n && status; i++) xt_generation_deinit(&out[i]);
  return status;
}

xt_status xt_session_generate(xt_session *s, const xt_request *requests, size_t n,
                              const xt_generate_options *options, xt_generation *out,
                              xt_error *error) {
  return generate_compared(s, requests, n, options, NULL, out, error);
}
