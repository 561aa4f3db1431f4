/* SPDX-License-Identifier: Apache-2.0 */
/* The taps of prompts' last tokens, and their file. Prompts are sorted by their inner positions, so
 * that what they share is run once (prefixes.h); their last tokens are then one batch. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text_buffer.h"
#include "engine/prefixes.h"
#include "engine/rows.h"
#include "files/safetensors_writer.h"

struct xt_taps {
  int layers, width, vocab;
  float *values; /* [XT_TAP_COUNT, layers, width] */
  float *heads;  /* [layers, head_width] */
  int head_width;
  float *embed;  /* [width] */
  float *logits; /* [vocab] */
  int32_t *ids;
  size_t count;
};

const char *const engine_tap_names[XT_TAP_COUNT] = {"attn", "mid", "ffn", "block"};

void xt_taps_free(xt_taps *t) {
  if (!t) return;
  free(t->values);
  free(t->heads);
  free(t->embed);
  free(t->logits);
  free(t->ids);
  free(t);
}

const float *xt_taps_get(const xt_taps *t, xt_tap tap, int layer) {
  if ((unsigned)tap > XT_TAP_HEADS || layer < 0 || layer >= t->layers) return NULL;
  if (tap == XT_TAP_HEADS) return t->heads + (size_t)layer * (size_t)t->head_width;
  return t->values + ((size_t)tap * (size_t)t->layers + (size_t)layer) * (size_t)t->width;
}
const float *xt_taps_embed(const xt_taps *t) { return t->embed; }
const float *xt_taps_logits(const xt_taps *t) { return t->logits; }

static xt_status taps_create(const ModelConfig *c, const xt_request *r, xt_taps **out,
                             xt_error *error) {
  xt_taps *t;
  TRY(MEM_ALLOC(&t, 1, error));
  *t = (xt_taps){.layers = c->layers,
                 .width = c->width,
                 .head_width = c->heads * c->head_dim,
                 .vocab = c->vocab,
                 .count = r->count};
  xt_status status =
      MEM_ALLOC(&t->values, XT_TAP_COUNT * (size_t)c->layers * (size_t)c->width, error);
  if (!status) status = MEM_ALLOC(&t->heads, (size_t)c->layers * (size_t)t->head_width, error);
  if (!status) status = MEM_ALLOC(&t->embed, (size_t)c->width, error);
  if (!status) status = MEM_ALLOC(&t->logits, (size_t)c->vocab, error);
  if (!status) status = MEM_ALLOC(&t->ids, r->count, error);
  for (size_t i = 0; i < r->count && !status; i++) t->ids[i] = r->ids[i];
  if (status)
    xt_taps_free(t);
  else
    *out = t;
  return status;
}

/* ---- many prompts ---------------------------------------------------------------------------- */

/* Prompts whose last tokens are run together: enough for the products, and few enough that what is
 * kept of all layers stays small. */
#define CAPTURED_TOGETHER 64

typedef struct Key {
  PrefixKey prefix;
  size_t index; /* of the request */
} Key;

typedef struct Wave {
  xt_session *session;
  const Key *keys;
  int rows;
  xt_taps **out; /* of all requests */
  PrefixPool prefixes;
  EditValues values;
  RowTable table;
  Dev store, heads; /* [XT_TAP_COUNT, layers, rows, C], [layers, rows, head_width] */
  float *host;      /* either of them, as read back; or the embeddings */
} Wave;

static int compare_keys(const void *a, const void *b) {
  const Key *x = a, *y = b;
  const int order = prefix_compare(&x->prefix, &y->prefix);
  return order ? order : (x->index > y->index) - (x->index < y->index);
}

static const xt_request *request_of(const Wave *w, int row) { return w->keys[row].prefix.request; }
static xt_taps *taps_of(const Wave *w, int row) { return w->out[w->keys[row].index]; }

/* Floats of one row in all layers: of the taps, and of the heads. */
static size_t tap_floats(const ModelConfig *c) {
  return XT_TAP_COUNT * (size_t)c->layers * (size_t)c->width;
}
static size_t head_floats(const ModelConfig *c) {
  return (size_t)c->layers * (size_t)c->heads * (size_t)c->head_dim;
}
static size_t most_floats(const ModelConfig *c) {
  return tap_floats(c) > head_floats(c) ? tap_floats(c) : head_floats(c);
}

/* How many of keys[0..n) make a wave that fits into memory; at least one. */
static int wave_rows(const xt_session *s, const Key *keys, size_t n) {
  const xt_model *m = s->model;
  const ModelConfig *c = &m->config;
  const uint64_t budget = m->memory_limit > m->weight_bytes ? m->memory_limit - m->weight_bytes : 0,
                 each = 2 * (uint64_t)(tap_floats(c) + head_floats(c)) * sizeof(float),
                 largest = (uint64_t)most_floats(c) * sizeof(float);
  uint64_t positions = 0;
  int rows = 0;
  for (; rows < CAPTURED_TOGETHER && (size_t)rows < n; rows++) {
    const uint64_t row = (uint64_t)rows + 1;
    positions += keys[rows].prefix.request->count;
    if (rows == 0) continue;
    if (positions > INT32_MAX || (m->limits.largest && row * largest > m->limits.largest)) break;
    if (xt_model_session_bytes(m, (int)positions, rows + 1, 1) + row * each > budget) break;
  }
  return rows;
}

/* The interventions' values, and the prefixes. */
static xt_status wave_prefixes(Wave *w, size_t *interventions, xt_error *error) {
  xt_session *s = w->session;
  bool heads = false;
  *interventions = 0;
  for (int r = 0; r < w->rows; r++) {
    const xt_request *q = request_of(w, r);
    heads = heads || request_has_heads(q->interventions, q->intervention_count);
    *interventions += q->intervention_count;
  }
  TRY(edit_values_create(s, *interventions, heads, &w->values, error));
  TRY(prefixes_create(&w->prefixes, s, (size_t)w->rows, error));
  size_t at = 0;
  for (int r = 0; r < w->rows; r++) {
    const xt_request *q = request_of(w, r);
    PrefixKey key = w->keys[r].prefix;
    key.first_value = (int32_t)at;
    prefixes_add(&w->prefixes, &key);
    for (size_t i = 0; i < q->intervention_count; i++)
      edit_values_set(s, &w->values, at++, &q->interventions[i]);
  }
  return prefixes_run(&w->prefixes, w->values, NULL, NULL, error);
}

static xt_status wave_init(Wave *w, xt_error *error) {
  const ModelConfig *c = &w->session->model->config;
  Backend *be = w->session->backend;
  const size_t rows = (size_t)w->rows;
  size_t interventions, longest = 0;
  for (int r = 0; r < w->rows; r++) {
    if (request_of(w, r)->count > longest) longest = request_of(w, r)->count;
    TRY(taps_create(c, request_of(w, r), &w->out[w->keys[r].index], error));
  }
  TRY(wave_prefixes(w, &interventions, error));
  TRY(be->ops->alloc(be, rows * tap_floats(c) * sizeof(float), &w->store, error));
  TRY(be->ops->alloc(be, rows * head_floats(c) * sizeof(float), &w->heads, error));
  TRY(MEM_ALLOC(&w->host, rows * most_floats(c), error));
  TRY(rows_create(
      &w->table, w->session,
      &(RowTableSize){.rows = w->rows, .tail = 1, .slots = w->rows, .edits = interventions},
      error));
  w->table.edit_values = w->values;
  return forward_reserve(&w->session->forward, w->rows, (int)longest, error);
}

static void place_last_tokens(Wave *w) {
  RowTable *t = &w->table;
  int prefix = 0;
  int32_t value = 0;
  rows_begin(t, w->rows, 1);
  for (int r = 0; r < w->rows; r++) {
    const xt_request *q = request_of(w, r);
    const size_t inner = q->count - 1;
    if (r && prefix_compare(&w->keys[r].prefix, &w->keys[r - 1].prefix) != 0) prefix++;
    rows_place(t, r, w->prefixes.list[prefix].kv, (int)inner, 0, q->ids[inner], r);
    for (size_t i = 0; i < q->intervention_count; i++, value++)
      if (intervention_is_at(q, &q->interventions[i], inner))
        rows_edit(t, r, &q->interventions[i], value);
  }
  rows_upload(t);
}

/* Reads floats [count, rows, width] of the device, of which row r's are [count, width]. */
static void read_rows(const Wave *w, Dev from, size_t count, size_t width,
                      float *(*to)(xt_taps *taps)) {
  Backend *be = w->session->backend;
  const size_t rows = (size_t)w->rows;
  be->ops->download(be, w->host, from, count * rows * width * sizeof(float));
  for (size_t r = 0; r < rows; r++)
    for (size_t k = 0; k < count; k++)
      memcpy(to(taps_of(w, (int)r)) + k * width, w->host + (k * rows + r) * width,
             width * sizeof(float));
}

static float *to_values(xt_taps *taps) { return taps->values; }
static float *to_heads(xt_taps *taps) { return taps->heads; }
static float *to_embed(xt_taps *taps) { return taps->embed; }

static void read_logits(const Wave *w) {
  Backend *be = w->session->backend;
  Forward *f = &w->session->forward;
  const size_t vocab = (size_t)w->session->model->config.vocab;
  const int most = be->limits.logit_rows;
  for (int first = 0; first < w->rows; first += most) {
    const int rows = w->rows - first < most ? w->rows - first : most;
    const Dev logits = forward_logits(f, forward_x(f, first), rows);
    for (int r = 0; r < rows; r++)
      be->ops->download(be, taps_of(w, first + r)->logits, dev_at(logits, (size_t)r * vocab),
                        vocab * sizeof(float));
  }
}

/* The last tokens as one batch, of which every tap is captured. */
static xt_status wave_run(Wave *w, xt_error *error) {
  const ModelConfig *c = &w->session->model->config;
  const size_t layers = (size_t)c->layers, width = (size_t)c->width;
  Forward *f = &w->session->forward;
  RowTable *t = &w->table;
  TRY(wave_init(w, error));
  place_last_tokens(w);
  Batch batch = rows_batch(t, 0, w->rows);
  for (size_t tap = 0; tap < XT_TAP_COUNT; tap++)
    batch.capture[tap] = dev_at(w->store, tap * layers * (size_t)w->rows * width);
  batch.capture_heads = w->heads;
  forward_embed(f, rows_column(t, ROW_TOKEN, 0), rows_column(t, ROW_POSITION, 0), w->rows);
  read_rows(w, forward_x(f, 0), 1, width, to_embed);
  forward_layers(f, &batch);
  read_logits(w);
  read_rows(w, w->store, XT_TAP_COUNT * layers, width, to_values);
  read_rows(w, w->heads, layers, (size_t)c->heads * (size_t)c->head_dim, to_heads);
  return w->session->backend->ops->status(w->session->backend, error);
}

static void wave_deinit(Wave *w) {
  Backend *be = w->session->backend;
  prefixes_release(&w->prefixes);
  rows_release(&w->table);
  be->ops->release(be, w->store);
  be->ops->release(be, w->heads);
  edit_values_release(w->session, &w->values);
  free(w->host);
}

xt_status xt_session_capture_all(xt_session *s, const xt_request *requests, size_t n, xt_taps **out,
                                 xt_error *error) {
  Key *keys;
  for (size_t i = 0; i < n; i++) out[i] = NULL;
  for (size_t i = 0; i < n; i++) TRY(request_check(s->model, &requests[i], i, 1, error));
  TRY(MEM_ALLOC(&keys, n, error));
  for (size_t i = 0; i < n; i++)
    keys[i] = (Key){
        .prefix = {.ids = requests[i].ids, .count = requests[i].count - 1, .request = &requests[i]},
        .index = i};
  qsort(keys, n, sizeof *keys, compare_keys);
  xt_status status = XT_STATUS_OK;
  for (size_t at = 0; at < n && !status;) {
    Wave wave = {
        .session = s, .keys = keys + at, .rows = wave_rows(s, keys + at, n - at), .out = out};
    status = wave_run(&wave, error);
    wave_deinit(&wave);
    at += (size_t)wave.rows;
  }
  free(keys);
  for (size_t i = 0; i < n && status; i++) {
    xt_taps_free(out[i]);
    out[i] = NULL;
  }
  return status;
}

xt_status xt_session_capture(xt_session *s, const xt_request *request, xt_taps **out,
                             xt_error *error) {
  return xt_session_capture_all(s, request, 1, out, error);
}

/* ---- their file ------------------------------------------------------------------------------ */

static void add_ids(TextBuffer *out, const xt_taps *t) {
  text_buffer_add_text(out, "[");
  for (size_t i = 0; i < t->count; i++) text_buffer_format(out, "%s%d", i ? ", " : "", t->ids[i]);
  text_buffer_add_text(out, "]");
}

static xt_status write_ids(xt_taps *const *taps, size_t n, bool many, SafetensorsWriter *w,
                           xt_error *error) {
  TextBuffer ids = {0};
  if (many) text_buffer_add_text(&ids, "[");
  for (size_t i = 0; i < n; i++) {
    if (i) text_buffer_add_text(&ids, ", ");
    add_ids(&ids, taps[i]);
  }
  if (many) text_buffer_add_text(&ids, "]");
  const xt_status status = ids.failed ? err_memory(error, ids.size)
                                      : safetensors_writer_metadata(w, "ids", ids.data, error);
  text_buffer_free(&ids);
  return status;
}

/* With `many`, the first dimension is the prompts. */
static xt_status declare(SafetensorsWriter *w, const char *name, size_t n, bool many, int dims,
                         const int64_t *shape, xt_error *error) {
  int64_t all[3] = {(int64_t)n};
  for (int d = 0; d < dims; d++) all[1 + d] = shape[d];
  return safetensors_writer_declare(w, name, DTYPE_F32, dims + many, many ? all : shape, error);
}

static xt_status write_taps(xt_taps *const *taps, size_t n, bool many, SafetensorsWriter *w,
                            xt_error *error) {
  const xt_taps *t = taps[0];
  const int64_t width = t->width, vocab = t->vocab, layered[2] = {t->layers, t->width};
  const size_t each = (size_t)t->layers * (size_t)t->width;
  TRY(write_ids(taps, n, many, w, error));
  TRY(declare(w, "embed", n, many, 1, &width, error));
  for (int tap = 0; tap < XT_TAP_COUNT; tap++)
    TRY(declare(w, engine_tap_names[tap], n, many, 2, layered, error));
  TRY(declare(w, "logits", n, many, 1, &vocab, error));
  for (size_t i = 0; i < n; i++)
    TRY(safetensors_writer_data(w, taps[i]->embed, (size_t)t->width * sizeof(float), error));
  for (size_t tap = 0; tap < XT_TAP_COUNT; tap++)
    for (size_t i = 0; i < n; i++)
      TRY(safetensors_writer_data(w, taps[i]->values + tap * each, each * sizeof(float), error));
  for (size_t i = 0; i < n; i++)
    TRY(safetensors_writer_data(w, taps[i]->logits, (size_t)t->vocab * sizeof(float), error));
  return XT_STATUS_OK;
}

static xt_status save(xt_taps *const *taps, size_t n, bool many, const char *path,
                      xt_error *error) {
  SafetensorsWriter *w;
  TRY(safetensors_writer_open(path, &w, error));
  const xt_status status = write_taps(taps, n, many, w, error);
  if (!status) return safetensors_writer_commit(w, error);
  safetensors_writer_discard(w);
  return status;
}

xt_status xt_taps_save(const xt_taps *t, const char *path, xt_error *error) {
  xt_taps *const one = (xt_taps *)(uintptr_t)t;
  return save(&one, 1, false, path, error);
}

xt_status xt_taps_save_all(xt_taps *const *taps, size_t n, const char *path, xt_error *error) {
  if (n == 0) return err_set(error, XT_STATUS_ARGUMENT, path, NULL, -1, "there are no prompts");
  return save(taps, n, true, path, error);
}
