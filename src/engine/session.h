/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the engine: a session, and the checks of requests. */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "engine/forward.h"

struct xt_session {
  const xt_model *model;
  Backend *backend;
  Forward forward;
  bool (*cancel)(void *user); /* of the current call: called between the pieces of a prompt; may
                                 be NULL */
  void *cancel_user;
  double sweep_speed; /* the speed that sweeps of this session have measured (SweepConfig.speed);
                         0: none yet */
};

/* Checks ids, lengths and interventions of a request that may generate `max_new_tokens`. `index` is
 * for messages. */
xt_status request_check(const xt_model *model, const xt_request *request, size_t index,
                        int max_new_tokens, xt_error *error);

/* The first absolute position that an intervention changes. */
static inline size_t intervention_first(const xt_request *request, const xt_intervention *iv) {
  if (iv->position == XT_POSITION_ALL) return 0;
  return iv->position == XT_POSITION_LAST ? request->count - 1 : (size_t)iv->position;
}

/* Whether it changes the token at this absolute position. */
static inline bool intervention_is_at(const xt_request *request, const xt_intervention *iv,
                                      size_t position) {
  return iv->position == XT_POSITION_ALL || intervention_first(request, iv) == position;
}

/* The keys and values of this model's layers. */
static inline KvShape session_kv_shape(const xt_session *s) {
  const ModelConfig *c = &s->model->config;
  return (KvShape){.layers = c->layers, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
}

/* Whether the configuration ends a response at this id. */
bool engine_is_eos(const ModelConfig *config, int32_t id);

/* "attn", "mid", "ffn", "block": names of the taps in files. */
extern const char *const engine_tap_names[XT_TAP_COUNT];

#endif
