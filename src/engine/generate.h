/* SPDX-License-Identifier: Apache-2.0 */
/* Generation: the parts of a call, and calls in which first tokens are compared with references of
 * the caller. */
#ifndef ENGINE_GENERATE_H
#define ENGINE_GENERATE_H

#include "engine/references.h"

typedef struct Compared {
  const References *references;
  const RowQuestion *questions; /* of each request, on these references */
} Compared;

/* As xt_session_generate; with `compared`, which may be NULL, every response has
 * xt_generation.effects, and no request names what it is compared with itself. */
xt_status generate_compared(xt_session *session, const xt_request *requests, size_t n,
                            const xt_generate_options *options, const Compared *compared,
                            xt_generation *out, xt_error *error);

/* Checks how long responses may be and the penalty on repeated tokens, of any call that generates;
 * 0 of either stands for the default. */
xt_status generation_check(int max_new_tokens, double repetition_penalty, xt_error *error);
/* Checks what a call is given; `max_new`: tokens of each response. */
xt_status generate_check(const xt_session *session, const xt_request *requests, size_t n,
                         const xt_generate_options *options, int max_new, xt_error *error);
/* Room for a response of `max_new` tokens, with `effects` numbers and the tokens of `lens_layers`
 * layers, each of which may be 0. The caller calls xt_generation_deinit, after an error too. */
xt_status generation_init(xt_generation *g, size_t effects, int max_new, int lens_layers,
                          xt_error *error);

#endif
