/* SPDX-License-Identifier: Apache-2.0 */
/* Two small classifiers: given features of an example, the probability that it is right.
 * Deterministic: serial sums in double, no random numbers. */
#ifndef ANALYSIS_SELECT_LEARN_H
#define ANALYSIS_SELECT_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef enum LearnerKind { LEARNER_LOGISTIC = 0, LEARNER_STUMPS } LearnerKind;

typedef struct Examples {
  size_t count, capacity;
  int width;       /* features of an example */
  float *features; /* [count, width] */
  uint8_t *right;  /* [count] */
  size_t feature_capacity;
} Examples;

/* Appends one; its features are copied. */
xt_status examples_add(Examples *examples, const float *features, bool right, xt_error *error);
void examples_free(Examples *examples);

typedef struct Learner Learner;

/* Trains on the examples named by rows[0..count). The caller frees *out with learner_free. */
xt_status learner_train(LearnerKind kind, const Examples *examples, const size_t *rows,
                        size_t count, Learner **out, xt_error *error);
void learner_free(Learner *learner);
/* features: [width] */
double learner_probability(const Learner *learner, const float *features);

#endif
