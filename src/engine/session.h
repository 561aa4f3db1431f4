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

/* Checks that the members of a site are in their ranges, and those that nothing uses 0. */
xt_status site_check(const xt_site *site, xt_error *error);
/* The number of heads that a site names; whether it names this one. */
int site_heads(const xt_site *site);
bool site_has_head(const xt_site *site, int head);
/* Checks that a model has the heads. */
xt_status site_check_heads(const xt_site *site, const ModelConfig *config, xt_error *error);

/* Taps that edits name: those of xt_tap. */
#define EDIT_TAPS (XT_TAP_HEADS + 1)

/* The first absolute position that an intervention changes. */
static inline size_t intervention_first(const xt_request *request, const xt_intervention *iv) {
  if (iv->position == XT_POSITION_ALL) return 0;
  if (iv->position == XT_POSITION_GENERATED) return request->count;
  return iv->position == XT_POSITION_LAST ? request->count - 1 : (size_t)iv->position;
}

/* Whether it changes all tokens from the first one on. */
static inline bool intervention_is_many(const xt_intervention *iv) {
  return iv->position == XT_POSITION_ALL || iv->position == XT_POSITION_GENERATED;
}

/* Whether it changes the token at this absolute position. */
static inline bool intervention_is_at(const xt_request *request, const xt_intervention *iv,
                                      size_t position) {
  const size_t first = intervention_first(request, iv);
  return intervention_is_many(iv) ? position >= first : position == first;
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
