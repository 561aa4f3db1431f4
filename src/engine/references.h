/* SPDX-License-Identifier: Apache-2.0 */
/* The distributions of first generated tokens that others are compared with. A row that is compared
 * gets numbers as xt_generation.effects has them: its divergences from two references, and the
 * log-probabilities of the ids that are asked about. */
#ifndef ENGINE_REFERENCES_H
#define ENGINE_REFERENCES_H

#include "engine/session.h"

typedef struct References {
  xt_session *session;
  int count;
  Dev distributions; /* [count][2][vocab] as CompareArgs has them */
  float *logprob;    /* [count] of the best token; NaN: settings force the token */
  float *host;       /* room for four rows of the vocabulary */
  double *weights;   /* room for one, and a number for each block of it */
} References;

/* What a row is compared with. */
typedef struct RowQuestion {
  const int32_t *ids; /* [count] asked about */
  int count;
  int against[BACKEND_COMPARED]; /* references; below 0: none */
} RowQuestion;

/* *r is zero before. The caller calls references_release even after an error. */
xt_status references_create(References *r, xt_session *session, int count, xt_error *error);
void references_release(References *r);
/* Checks tracked ids of request `index`; at most XT_TRACKED_MOST. */
xt_status tracked_check(const xt_model *model, const int32_t *ids, size_t count, size_t index,
                        xt_error *error);
static inline bool request_has_effects(const xt_request *r) {
  return r->untouched > 0 && r->source > 0;
}
/* Checks what request `index` of `n` is compared with, and its tracked ids. */
xt_status effects_check(const xt_model *model, const xt_request *request, size_t index, size_t n,
                        xt_error *error);
/* Bytes of so many. */
uint64_t references_bytes(const xt_model *model, uint64_t count);

/* Sets reference `index` to a row of logits, as `choose` left it; the caller sets its logprob. */
void references_set(References *r, int index, Dev logits);
/* The numbers of a reference itself, the same bits as of a row with its logits: [2 + count] */
void references_numbers(const References *r, int self, const RowQuestion *question, float *out);
/* A divergence from the sums of its blocks and the log-probabilities of both runs' best tokens. */
float references_divergence(const float *sums, int blocks, float reference, float own);

#endif
