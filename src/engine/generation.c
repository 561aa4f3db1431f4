/* SPDX-License-Identifier: Apache-2.0 */
/* The arrays of a response, and the checks of a call that generates some. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/generate.h"

void xt_generation_deinit(xt_generation *g) {
  if (!g) return;
  free(g->ids);
  free(g->margins);
  free(g->entropies);
  free(g->logprobs);
  free(g->lens_ids);
  free(g->lens_logprobs);
  free(g->effects);
  *g = (xt_generation){0};
}

xt_status generation_init(xt_generation *g, size_t effects, int max_new, int lens_layers,
                          xt_error *error) {
  const size_t n = (size_t)max_new, cells = n * (size_t)lens_layers;
  g->layers = lens_layers;
  TRY(MEM_ALLOC(&g->ids, n, error));
  TRY(MEM_ALLOC(&g->margins, n, error));
  TRY(MEM_ALLOC(&g->entropies, n, error));
  TRY(MEM_ALLOC(&g->logprobs, n, error));
  if (effects) TRY(MEM_ALLOC(&g->effects, effects, error));
  if (lens_layers == 0) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&g->lens_ids, cells, error));
  return MEM_ALLOC(&g->lens_logprobs, cells, error);
}

xt_status generation_check(int max_new_tokens, double repetition_penalty, xt_error *error) {
  if (max_new_tokens < 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "max_new_tokens", -1,
                   "is %d; it must not be negative", max_new_tokens);
  if (!(repetition_penalty >= 0 && repetition_penalty <= 1e6))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "repetition_penalty", -1,
                   "is %g; it must be positive", repetition_penalty);
  return XT_STATUS_OK;
}

xt_status generate_check(const xt_session *s, const xt_request *requests, size_t n,
                         const xt_generate_options *o, int max_new, xt_error *error) {
  TRY(generation_check(o->max_new_tokens, o->repetition_penalty, error));
  if (!(o->temperature >= 0 && o->temperature <= 1e6))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "temperature", -1,
                   "is %g; it must be 0 (greedy) or above", o->temperature);
  if (!(o->top_p >= 0 && o->top_p <= 1))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "top_p", -1, "is %g; it must be from 0 to 1",
                   o->top_p);
  for (size_t i = 0; i < n; i++) {
    TRY(request_check(s->model, &requests[i], i, max_new, error));
    TRY(effects_check(s->model, &requests[i], i, n, error));
  }
  return XT_STATUS_OK;
}
