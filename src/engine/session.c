/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

xt_status xt_session_create(const xt_model *model, xt_session **out, xt_error *error) {
  xt_session *s;
  *out = NULL;
  if (!model->backend)
    return err_set(error, XT_STATUS_ARGUMENT, model->path, NULL, -1, "the model was opened for inspection only; its weights are not loaded");
  TRY(mem_alloc(&s, 1, sizeof *s, error));
  s->model = model;
  const xt_status status = model_backend_create(model, &s->backend, error);
  if (status) {
    free(s);
    return status;
  }
  s->forward.model = model;
  s->forward.backend = s->backend;
  *out = s;
  return XT_STATUS_OK;
}

void xt_session_free(xt_session *s) {
  if (!s) return;
  forward_release(&s->forward);
  s->backend->ops->destroy(s->backend);
  free(s);
}

static xt_status check_intervention(const xt_model *model, const xt_request *request, const xt_intervention *iv,
                                    const char *field, int max_new_tokens, xt_error *error) {
  const ModelConfig *c = &model->config;
  if (iv->layer < 0 || iv->layer >= c->layers)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "layer %d is out of range; the model has layers 0 to %d", iv->layer, c->layers - 1);
  if ((unsigned)iv->write >= XT_TAP_COUNT)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "%d is no tap", (int)iv->write);
  if (iv->write == XT_TAP_MID && c->parallel)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "writes at mid, but %s has no stream between its modules: both read the layer's input",
                   c->architecture);
  if ((unsigned)iv->rule > XT_RULE_BLEND)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "%d is no rule", (int)iv->rule);
  const size_t reach = request->count + (size_t)(max_new_tokens > 0 ? max_new_tokens - 1 : 0);
  if (iv->position < XT_POSITION_LAST || (iv->position >= 0 && (size_t)iv->position >= reach))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "position %d is never reached; the run has positions 0 to %zu", iv->position, reach - 1);
  if (!iv->value) return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "has no value");
  for (int k = 0; k < c->width; k++)
    if (!isfinite(iv->value[k]))
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "element %d of the value is not finite", k);
  if (iv->rule != XT_RULE_REPLACE && !isfinite(iv->alpha))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "alpha is not finite");
  return XT_STATUS_OK;
}

xt_status request_check(const xt_model *model, const xt_request *request, size_t index, int max_new_tokens, xt_error *error) {
  const ModelConfig *c = &model->config;
  char field[96];
  snprintf(field, sizeof field, "request %zu", index);
  if (request->count == 0) return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "the prompt has no tokens");
  const size_t positions = request->count + (size_t)(max_new_tokens > 0 ? max_new_tokens - 1 : 0);
  if (positions > (size_t)c->max_positions)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "the prompt's %zu tokens and %d new ones need %zu positions; the model has %d (max_position_embeddings)",
                   request->count, max_new_tokens, positions, c->max_positions);
  for (size_t i = 0; i < request->count; i++)
    if (request->ids[i] < 0 || request->ids[i] >= c->vocab)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "token %zu is id %d; the model has ids 0 to %d", i, request->ids[i], c->vocab - 1);
  for (size_t i = 0; i < request->intervention_count; i++) {
    snprintf(field, sizeof field, "request %zu, intervention %zu", index, i);
    TRY(check_intervention(model, request, &request->interventions[i], field, max_new_tokens, error));
  }
  return XT_STATUS_OK;
}

bool engine_is_eos(const ModelConfig *c, int32_t id) {
  for (int i = 0; i < c->eos_count; i++)
    if (c->eos[i] == id) return true;
  return false;
}

static int compare_ids(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return x < y ? -1 : x > y;
}

int32_t engine_distinct_ids(int32_t *out, const int32_t *ids, size_t count) {
  int32_t distinct = 0;
  memcpy(out, ids, count * sizeof *ids);
  qsort(out, count, sizeof *out, compare_ids);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || out[i] != out[distinct - 1]) out[distinct++] = out[i];
  return distinct;
}

void engine_add_distinct(int32_t *list, int32_t *count, int32_t id) {
  for (int32_t i = 0; i < *count; i++)
    if (list[i] == id) return;
  list[(*count)++] = id;
}

xt_status edit_list_init(EditList *list, const xt_model *model, size_t capacity, xt_error *error) {
  *list = (EditList){.capacity = capacity};
  xt_status status = mem_alloc(&list->edits, capacity, sizeof *list->edits, error);
  if (!status) status = mem_alloc(&list->sorted, capacity, sizeof *list->sorted, error);
  if (!status) status = mem_alloc(&list->start, (size_t)model->config.layers * XT_TAP_COUNT + 1, sizeof *list->start, error);
  if (status) edit_list_deinit(list);
  return status;
}

void edit_list_deinit(EditList *list) {
  free(list->edits);
  free(list->sorted);
  free(list->start);
  *list = (EditList){0};
}

void edit_list_clear(EditList *list) { list->count = 0; }

void edit_list_add(EditList *list, int row, const xt_intervention *iv, Dev value) {
  const bool add = iv->rule == XT_RULE_ADD, blend = iv->rule == XT_RULE_BLEND;
  list->edits[list->count++] = (Edit){.row = row, .layer = iv->layer, .tap = iv->write, .value = value,
                                      .keep = add ? 1.0f : blend ? 1.0f - iv->alpha : 0.0f,
                                      .gain = add || blend ? iv->alpha : 1.0f};
}

void edit_list_apply(EditList *list, const xt_model *model, Batch *batch) {
  batch->edits = NULL;
  if (list->count == 0) return;
  const int places = model->config.layers * XT_TAP_COUNT;
  memset(list->start, 0, ((size_t)places + 1) * sizeof *list->start);
  for (size_t e = 0; e < list->count; e++) list->start[list->edits[e].layer * XT_TAP_COUNT + (int)list->edits[e].tap + 1]++;
  for (int p = 0; p < places; p++) list->start[p + 1] += list->start[p];
  for (size_t e = 0; e < list->count; e++) /* start[p] runs ahead while placing, and is set back below */
    list->sorted[list->start[list->edits[e].layer * XT_TAP_COUNT + (int)list->edits[e].tap]++] = list->edits[e];
  for (int p = places; p > 0; p--) list->start[p] = list->start[p - 1];
  list->start[0] = 0;
  batch->edits = list->sorted;
  batch->edit_start = list->start;
}

/* One chunk of a prompt's inner positions through the layers. Nothing but keys and values is wanted of
 * them, so the last layer ends there. */
static void prefix_chunk(xt_session *s, Batch *batch, const int32_t *ids) {
  Forward *f = &s->forward;
  const int layers = s->model->config.layers;
  forward_embed(f, batch->x, ids, batch->rows);
  for (int l = 0; l < layers - 1; l++) {
    forward_attention(f, batch, l);
    forward_ffn(f, batch, l);
  }
  forward_keys(f, batch, layers - 1);
}

xt_status prefix_run(xt_session *s, const xt_request *request, Dev values, int count, KvPrefix **out, xt_error *error) {
  const ModelConfig *c = &s->model->config;
  const KvShape shape = {.layers = c->layers, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
  int32_t *positions = NULL, *ends = NULL;
  EditList edits = {0};
  *out = NULL;
  if (count == 0) return XT_STATUS_OK;
  const int chunk = count < SIZES_WORK_ROWS ? count : SIZES_WORK_ROWS;
  xt_status status = forward_reserve(&s->forward, chunk, count, error);
  if (!status) status = mem_alloc(&positions, (size_t)chunk, sizeof *positions, error);
  if (!status) status = mem_alloc(&ends, (size_t)chunk, sizeof *ends, error);
  if (!status) status = edit_list_init(&edits, s->model, request->intervention_count, error);
  if (!status) status = s->backend->ops->prefix_create(s->backend, shape, count, out, error);
  for (int first = 0; !status && first < count; first += chunk) {
    const int rows = count - first < chunk ? count - first : chunk;
    if (first > 0 && s->cancel && s->cancel(s->cancel_user)) {
      status = err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
      break;
    }
    const BatchSpan span = {.first = 0, .rows = rows, .prefix = *out};
    Batch batch = {.rows = rows, .x = forward_x(&s->forward), .positions = positions, .spans = &span, .span_count = 1,
                   .prefix_end = ends, .store = *out, .store_first = first};
    edit_list_clear(&edits);
    for (size_t i = 0; i < request->intervention_count; i++) {
      const size_t p = intervention_position(request, &request->interventions[i]);
      if (p >= (size_t)first && p < (size_t)(first + rows))
        edit_list_add(&edits, (int)p - first, &request->interventions[i], dev_at(values, i * (size_t)c->width));
    }
    edit_list_apply(&edits, s->model, &batch);
    for (int r = 0; r < rows; r++) {
      positions[r] = first + r;
      ends[r] = first + r + 1;
    }
    prefix_chunk(s, &batch, request->ids + first);
  }
  free(positions);
  free(ends);
  edit_list_deinit(&edits);
  return status;
}

xt_status xt_session_peak(xt_session *s, double *flops_per_second, double *bytes_per_second, xt_error *error) {
  return s->backend->ops->peak(s->backend, flops_per_second, bytes_per_second, error);
}
