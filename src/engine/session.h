/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's own files share: a session, and a prompt's inner positions as a shared prefix. */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include "engine/forward.h"

struct xt_session {
  const xt_model *model;
  Backend *backend;
  Forward forward;
  bool (*cancel)(void *user); /* of the call under way: asked between the pieces of a prompt; may be NULL */
  void *cancel_user;
  double sweep_speed; /* what sweeps of this session have measured so far (SweepConfig.speed); 0: nothing yet */
};

/* Checks ids, lengths and interventions of a request that may generate `max_new_tokens`. `index` is for messages. */
xt_status request_check(const xt_model *model, const xt_request *request, size_t index, int max_new_tokens, xt_error *error);

/* The absolute position that an intervention names. */
static inline size_t intervention_position(const xt_request *request, const xt_intervention *iv) {
  return iv->position == XT_POSITION_LAST ? request->count - 1 : (size_t)iv->position;
}

/* Whether the configuration ends a response at this id. */
bool engine_is_eos(const ModelConfig *config, int32_t id);

/* The repetition penalty's list: writes the distinct ones of `ids` (count of them at most) and returns how many. */
int32_t engine_distinct_ids(int32_t *out, const int32_t *ids, size_t count);
/* Adds `id` unless it is listed; there must be room. */
void engine_add_distinct(int32_t *list, int32_t *count, int32_t id);

/* Interventions of a batch on their way to the forward pass: values in the backend's memory, edits
 * sorted by place. */
typedef struct EditList {
  Edit *edits;
  Edit *sorted;
  int32_t *start; /* [layers * XT_TAP_COUNT + 1] */
  size_t count, capacity;
} EditList;

xt_status edit_list_init(EditList *list, const xt_model *model, size_t capacity, xt_error *error);
void edit_list_deinit(EditList *list);
void edit_list_clear(EditList *list);
void edit_list_add(EditList *list, int row, const xt_intervention *iv, Dev value);
/* Sorts, keeping the order of those at one place, and points the batch at them. */
void edit_list_apply(EditList *list, const xt_model *model, Batch *batch);

/* Runs positions 0..count-1 of `request` (its inner ones), with the interventions that fall there, and
 * keeps their keys and values. `values` holds the request's intervention values, [n, C].
 * The caller releases *out with the backend's prefix_release, also when it was cancelled; it is NULL for a count of 0. */
xt_status prefix_run(xt_session *session, const xt_request *request, Dev values, int count, KvPrefix **out, xt_error *error);

#endif
