/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "xtransplant/speed.h"

xt_status xt_session_create(const xt_model *model, xt_session **out, xt_error *error) {
  xt_session *s;
  *out = NULL;
  if (!model->backend)
    return err_set(error, XT_STATUS_ARGUMENT, model->path, NULL, -1,
                   "the model was opened for inspection only; its weights are not loaded");
  TRY(MEM_ALLOC(&s, 1, error));
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

xt_status site_check_heads(const xt_site *site, const ModelConfig *c, xt_error *error) {
  for (int h = c->heads; h < XT_SITE_HEADS; h++)
    if (site_has_head(site, h))
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "heads", -1,
                     "head %d is out of range; the model has heads 0 to %d", h, c->heads - 1);
  return XT_STATUS_OK;
}

static xt_status check_intervention(const xt_model *model, const xt_request *request,
                                    const xt_intervention *iv, const char *field,
                                    int max_new_tokens, xt_error *error) {
  const ModelConfig *c = &model->config;
  if (iv->layer < 0 || iv->layer >= c->layers)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "layer %d is out of range; the model has layers 0 to %d", iv->layer,
                   c->layers - 1);
  if ((unsigned)iv->write > XT_TAP_HEADS)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "%d is no tap", (int)iv->write);
  const bool heads = iv->write == XT_TAP_HEADS;
  if (iv->head < 0 || iv->head >= (heads ? c->heads : 1))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   heads ? "head %d is out of range; the model has heads 0 to %d"
                         : "names head %d, and its tap is not of heads; only %d is allowed",
                   iv->head, heads ? c->heads - 1 : 0);
  if (iv->write == XT_TAP_MID && c->parallel)
    return err_set(
        error, XT_STATUS_ARGUMENT, NULL, field, -1,
        "writes at mid, but %s has no residual stream between its modules: both read the layer's "
        "input",
        c->architecture);
  if ((unsigned)iv->rule > XT_RULE_BLEND)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "%d is no rule", (int)iv->rule);
  const size_t reach = request->count + (size_t)(max_new_tokens > 0 ? max_new_tokens - 1 : 0);
  if (iv->position < XT_POSITION_GENERATED || (iv->position >= 0 && (size_t)iv->position >= reach))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "position %d is never reached; the run has positions 0 to %zu", iv->position,
                   reach - 1);
  if (!iv->value) return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "has no value");
  for (int k = 0; k < (heads ? c->head_dim : c->width); k++)
    if (!isfinite(iv->value[k]))
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                     "element %d of the value is not finite", k);
  if (iv->rule != XT_RULE_REPLACE && !isfinite(iv->alpha))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "alpha is not finite");
  return XT_STATUS_OK;
}

xt_status request_check(const xt_model *model, const xt_request *request, size_t index,
                        int max_new_tokens, xt_error *error) {
  const ModelConfig *c = &model->config;
  char field[96];
  snprintf(field, sizeof field, "request %zu", index);
  if (request->count == 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "the prompt has no tokens");
  const size_t positions = request->count + (size_t)(max_new_tokens > 0 ? max_new_tokens - 1 : 0);
  const size_t original = (size_t)c->rotary[0].original_positions;
  if (c->begins_anew && request->count <= original && positions > original)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "the prompt's %zu tokens and %d new ones exceed %zu positions, beyond which "
                   "%s uses other rotary angles for all positions; at most %zu new tokens are "
                   "possible",
                   request->count, max_new_tokens, original, c->architecture,
                   original - request->count + 1);
  if (positions > (size_t)c->max_positions && !c->unbounded)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                   "the prompt's %zu tokens and %d new ones need %zu positions; the model has %d "
                   "(max_position_embeddings)",
                   request->count, max_new_tokens, positions, c->max_positions);
  for (size_t i = 0; i < request->count; i++)
    if (request->ids[i] < 0 || request->ids[i] >= c->vocab)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                     "token %zu is id %d; the model has ids 0 to %d", i, request->ids[i],
                     c->vocab - 1);
  for (size_t i = 0; i < request->intervention_count; i++) {
    snprintf(field, sizeof field, "request %zu, intervention %zu", index, i);
    TRY(check_intervention(model, request, &request->interventions[i], field, max_new_tokens,
                           error));
  }
  return XT_STATUS_OK;
}

bool engine_is_eos(const ModelConfig *c, int32_t id) {
  for (int i = 0; i < c->eos_count; i++)
    if (c->eos[i] == id) return true;
  return false;
}

xt_status xt_session_peak(xt_session *s, double *flops_per_second, double *bytes_per_second,
                          xt_error *error) {
  return s->backend->ops->peak(s->backend, flops_per_second, bytes_per_second, error);
}
