/* SPDX-License-Identifier: Apache-2.0 */
/* The taps of one prompt's last token, and their file. */
#include <stdlib.h>

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

/* The last token as a batch of one row, every tap captured into `store` [XT_TAP_COUNT, layers, C],
 * and the heads into `heads`. */
static xt_status capture_last(xt_session *s, const xt_request *r, const KvPrefix *prefix,
                              RowTable *t, Dev store, Dev heads, xt_taps *taps, xt_error *error) {
  const ModelConfig *c = &s->model->config;
  const BackendOps *ops = s->backend->ops;
  Forward *f = &s->forward;
  const int inner = (int)r->count - 1;
  rows_begin(t, 1, 1);
  rows_place(t, 0, prefix, inner, 0, r->ids[inner], 0);
  for (size_t i = 0; i < r->intervention_count; i++)
    if (intervention_is_at(r, &r->interventions[i], (size_t)inner))
      rows_edit(t, 0, &r->interventions[i], (int32_t)i);
  rows_upload(t);
  Batch batch = rows_batch(t, 0, 1);
  for (int tap = 0; tap < XT_TAP_COUNT; tap++)
    batch.capture[tap] = dev_at(store, (size_t)tap * (size_t)c->layers * (size_t)c->width);
  batch.capture_heads = heads;
  forward_embed(f, rows_column(t, ROW_TOKEN, 0), rows_column(t, ROW_POSITION, 0), 1);
  ops->download(s->backend, taps->embed, forward_x(f, 0), (size_t)c->width * sizeof(float));
  forward_layers(f, &batch);
  ops->download(s->backend, taps->logits, forward_logits(f, forward_x(f, 0), 1),
                (size_t)c->vocab * sizeof(float));
  ops->download(s->backend, taps->values, store,
                XT_TAP_COUNT * (size_t)c->layers * (size_t)c->width * sizeof(float));
  ops->download(s->backend, taps->heads, heads,
                (size_t)c->layers * (size_t)taps->head_width * sizeof(float));
  return ops->status(s->backend, error);
}

xt_status xt_session_capture(xt_session *s, const xt_request *r, xt_taps **out, xt_error *error) {
  const ModelConfig *c = &s->model->config;
  Backend *be = s->backend;
  const size_t row = (size_t)c->width * sizeof(float);
  PrefixPool prefixes = {0};
  RowTable table = {0};
  Dev store = {0}, heads = {0};
  EditValues values = {0};
  xt_taps *taps = NULL;
  *out = NULL;
  TRY(request_check(s->model, r, 0, 1, error));
  xt_status status;
  TRY_DONE(taps_create(c, r, &taps, error));
  TRY_DONE(be->ops->alloc(be, XT_TAP_COUNT * (size_t)c->layers * row, &store, error));
  TRY_DONE(be->ops->alloc(be, (size_t)c->layers * (size_t)taps->head_width * sizeof(float), &heads,
                          error));
  TRY_DONE(edit_values_create(s, r->intervention_count,
                              request_has_heads(r->interventions, r->intervention_count), &values,
                              error));
  for (size_t i = 0; i < r->intervention_count; i++)
    edit_values_set(s, &values, i, &r->interventions[i]);
  TRY_DONE(rows_create(
      &table, s, &(RowTableSize){.rows = 1, .tail = 1, .slots = 1, .edits = r->intervention_count},
      error));
  table.edit_values = values;
  TRY_DONE(prefixes_create(&prefixes, s, 1, error));
  prefixes_add(&prefixes, &(PrefixKey){.ids = r->ids, .count = r->count - 1, .request = r});
  TRY_DONE(prefixes_run(&prefixes, values, NULL, NULL, error));
  TRY_DONE(forward_reserve(&s->forward, 1, (int)r->count, error));
  TRY_DONE(capture_last(s, r, prefixes.list[0].kv, &table, store, heads, taps, error));
  *out = taps;
  taps = NULL;
done:
  prefixes_release(&prefixes);
  rows_release(&table);
  be->ops->release(be, store);
  be->ops->release(be, heads);
  edit_values_release(s, &values);
  xt_taps_free(taps);
  return status;
}

static xt_status write_taps(const xt_taps *t, SafetensorsWriter *w, xt_error *error) {
  const int64_t width = t->width, vocab = t->vocab, layered[2] = {t->layers, t->width};
  TextBuffer ids = {0};
  text_buffer_add_text(&ids, "[");
  for (size_t i = 0; i < t->count; i++) text_buffer_format(&ids, "%s%d", i ? ", " : "", t->ids[i]);
  text_buffer_add_text(&ids, "]");
  xt_status status = ids.failed ? err_memory(error, ids.size)
                                : safetensors_writer_metadata(w, "ids", ids.data, error);
  text_buffer_free(&ids);
  TRY(status);
  TRY(safetensors_writer_declare(w, "embed", DTYPE_F32, 1, &width, error));
  for (int tap = 0; tap < XT_TAP_COUNT; tap++)
    TRY(safetensors_writer_declare(w, engine_tap_names[tap], DTYPE_F32, 2, layered, error));
  TRY(safetensors_writer_declare(w, "logits", DTYPE_F32, 1, &vocab, error));
  TRY(safetensors_writer_data(w, t->embed, (size_t)t->width * sizeof(float), error));
  TRY(safetensors_writer_data(
      w, t->values, XT_TAP_COUNT * (size_t)t->layers * (size_t)t->width * sizeof(float), error));
  return safetensors_writer_data(w, t->logits, (size_t)t->vocab * sizeof(float), error);
}

xt_status xt_taps_save(const xt_taps *t, const char *path, xt_error *error) {
  SafetensorsWriter *w;
  TRY(safetensors_writer_open(path, &w, error));
  const xt_status status = write_taps(t, w, error);
  if (!status) return safetensors_writer_commit(w, error);
  safetensors_writer_discard(w);
  return status;
}
