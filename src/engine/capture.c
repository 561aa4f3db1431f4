/* SPDX-License-Identifier: Apache-2.0 */
/* The taps of one prompt's last token, and their file. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/text_buffer.h"
#include "engine/session.h"
#include "files/safetensors_writer.h"

struct xt_taps {
  int layers, width, vocab;
  float *values;  /* [XT_TAP_COUNT, layers, width] */
  float *embed;   /* [width] */
  float *logits;  /* [vocab] */
  int32_t *ids;
  size_t count;
};

static const char *const tap_names[XT_TAP_COUNT] = {"attn", "mid", "ffn", "block"};

void xt_taps_free(xt_taps *t) {
  if (!t) return;
  free(t->values);
  free(t->embed);
  free(t->logits);
  free(t->ids);
  free(t);
}

const float *xt_taps_get(const xt_taps *t, xt_tap tap, int layer) {
  if ((unsigned)tap >= XT_TAP_COUNT || layer < 0 || layer >= t->layers) return NULL;
  return t->values + ((size_t)tap * (size_t)t->layers + (size_t)layer) * (size_t)t->width;
}
const float *xt_taps_embed(const xt_taps *t) { return t->embed; }
const float *xt_taps_logits(const xt_taps *t) { return t->logits; }

static xt_status taps_create(const ModelConfig *c, const xt_request *r, xt_taps **out, xt_error *error) {
  xt_taps *t;
  TRY(mem_alloc(&t, 1, sizeof *t, error));
  *t = (xt_taps){.layers = c->layers, .width = c->width, .vocab = c->vocab, .count = r->count};
  xt_status status = mem_alloc(&t->values, XT_TAP_COUNT * (size_t)c->layers * (size_t)c->width, sizeof *t->values, error);
  if (!status) status = mem_alloc(&t->embed, (size_t)c->width, sizeof *t->embed, error);
  if (!status) status = mem_alloc(&t->logits, (size_t)c->vocab, sizeof *t->logits, error);
  if (!status) status = mem_alloc(&t->ids, r->count, sizeof *t->ids, error);
  for (size_t i = 0; i < r->count && !status; i++) t->ids[i] = r->ids[i];
  if (status)
    xt_taps_free(t);
  else
    *out = t;
  return status;
}

/* The last token as a batch of one row, every tap captured into `store` [XT_TAP_COUNT, layers, C]. */
static xt_status capture_last(xt_session *s, const xt_request *r, const KvPrefix *prefix, KvTail *tail, Dev values, Dev store,
                              xt_taps *taps, xt_error *error) {
  const ModelConfig *c = &s->model->config;
  const int32_t position = (int32_t)r->count - 1, slot = 0, one = 1;
  const BatchSpan span = {.first = 0, .rows = 1, .prefix = prefix};
  Batch batch = {.rows = 1, .x = forward_x(&s->forward), .positions = &position, .spans = &span, .span_count = 1,
                 .prefix_end = &position, .tail = tail, .slots = &slot, .tail_slots = &slot, .tail_ld = 1, .tail_end = &one};
  EditList edits;
  TRY(edit_list_init(&edits, s->model, r->intervention_count, error));
  for (size_t i = 0; i < r->intervention_count; i++)
    if (intervention_position(r, &r->interventions[i]) == (size_t)position)
      edit_list_add(&edits, 0, &r->interventions[i], dev_at(values, i * (size_t)c->width));
  edit_list_apply(&edits, s->model, &batch);
  for (int tap = 0; tap < XT_TAP_COUNT; tap++)
    batch.capture[tap] = dev_at(store, (size_t)tap * (size_t)c->layers * (size_t)c->width);
  forward_embed(&s->forward, batch.x, &r->ids[position], 1);
  s->backend->ops->download(s->backend, taps->embed, batch.x, (size_t)c->width * sizeof(float));
  forward_layers(&s->forward, &batch);
  s->backend->ops->download(s->backend, taps->logits, forward_logits(&s->forward, batch.x, 1), (size_t)c->vocab * sizeof(float));
  s->backend->ops->download(s->backend, taps->values, store, XT_TAP_COUNT * (size_t)c->layers * (size_t)c->width * sizeof(float));
  edit_list_deinit(&edits);
  return XT_STATUS_OK;
}

xt_status xt_session_capture(xt_session *s, const xt_request *r, xt_taps **out, xt_error *error) {
  const ModelConfig *c = &s->model->config;
  const KvShape shape = {.layers = c->layers, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
  Backend *be = s->backend;
  const size_t row = (size_t)c->width * sizeof(float);
  KvPrefix *prefix = NULL;
  KvTail *tail = NULL;
  Dev store = {0}, values = {0};
  xt_taps *taps = NULL;
  int32_t *slots = NULL;
  *out = NULL;
  TRY(request_check(s->model, r, 0, 1, error));
  xt_status status;
  TRY_DONE(taps_create(c, r, &taps, error));
  TRY_DONE(be->ops->alloc(be, XT_TAP_COUNT * (size_t)c->layers * row, &store, error));
  TRY_DONE(be->ops->alloc(be, (r->intervention_count + 1) * row, &values, error));
  for (size_t i = 0; i < r->intervention_count; i++)
    be->ops->upload(be, dev_at(values, i * (size_t)c->width), r->interventions[i].value, row);
  TRY_DONE(mem_alloc(&slots, (size_t)c->layers, sizeof *slots, error));
  for (int l = 0; l < c->layers; l++) slots[l] = 1;
  TRY_DONE(be->ops->tail_create(be, shape, slots, &tail, error));
  TRY_DONE(prefix_run(s, r, values, (int)r->count - 1, &prefix, error));
  TRY_DONE(forward_reserve(&s->forward, 1, (int)r->count, error));
  TRY_DONE(capture_last(s, r, prefix, tail, values, store, taps, error));
  *out = taps;
  taps = NULL;
done:
  be->ops->prefix_release(be, prefix);
  be->ops->tail_release(be, tail);
  be->ops->release(be, store);
  be->ops->release(be, values);
  xt_taps_free(taps);
  free(slots);
  return status;
}

static xt_status write_taps(const xt_taps *t, SafetensorsWriter *w, xt_error *error) {
  const int64_t width = t->width, vocab = t->vocab, layered[2] = {t->layers, t->width};
  TextBuffer ids = {0};
  text_buffer_add_text(&ids, "[");
  for (size_t i = 0; i < t->count; i++) text_buffer_format(&ids, "%s%d", i ? ", " : "", t->ids[i]);
  text_buffer_add_text(&ids, "]");
  xt_status status = ids.failed ? err_memory(error, ids.size) : safetensors_writer_metadata(w, "ids", ids.data, error);
  text_buffer_free(&ids);
  TRY(status);
  TRY(safetensors_writer_declare(w, "embed", DTYPE_F32, 1, &width, error));
  for (int tap = 0; tap < XT_TAP_COUNT; tap++) TRY(safetensors_writer_declare(w, tap_names[tap], DTYPE_F32, 2, layered, error));
  TRY(safetensors_writer_declare(w, "logits", DTYPE_F32, 1, &vocab, error));
  TRY(safetensors_writer_data(w, t->embed, (size_t)t->width * sizeof(float), error));
  TRY(safetensors_writer_data(w, t->values, XT_TAP_COUNT * (size_t)t->layers * (size_t)t->width * sizeof(float), error));
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
