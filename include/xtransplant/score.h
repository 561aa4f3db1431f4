/* SPDX-License-Identifier: Apache-2.0 */
/* Teacher-forced scoring: the log-probabilities of given tokens. */
#ifndef XTRANSPLANT_SCORE_H
#define XTRANSPLANT_SCORE_H

#include "xtransplant/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tokens first..count-1 are scored, each given all tokens before it. Borrowed for the call.
 *
 * Interventions are those of xt_request, of a prompt of the first `first` tokens and a response of
 * those that are scored: XT_POSITION_LAST is token first-1, XT_POSITION_ALL is every token. */
typedef struct xt_score_request {
  const int32_t *ids;
  size_t count, first; /* 1 <= first <= count: at least one token must come before the first
                          scored one */
  const xt_intervention *interventions;
  size_t intervention_count;
  float *logprobs; /* [count - first], filled: natural logs of the tokens' probabilities */
  int32_t *best;   /* [count - first], filled: the most likely token in each place. May be NULL */
} xt_score_request;

/* Scores `n` sequences in batches through the forward pass that generation uses: the
 * log-probabilities of tokens that xt_session_generate chose without a penalty, under the same
 * interventions, have the same bits.
 * The result for a sequence does not depend on the other sequences. Sequences that agree in all
 * tokens before token first-1 share that work, and under the same interventions that of all tokens up
 * to the first in which they differ. No repetition penalty is applied. `cancel` (may be
 * NULL) is asked between batches; true stops with XT_STATUS_CANCELLED. */
XT_API xt_status xt_session_score(xt_session *session, const xt_score_request *requests, size_t n,
                                  bool (*cancel)(void *user), void *user, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
