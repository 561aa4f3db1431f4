/* SPDX-License-Identifier: Apache-2.0 */
/* Activations of source prompts, by question. */
#ifndef ANALYSIS_SELECT_STATES_H
#define ANALYSIS_SELECT_STATES_H

#include "xtransplant/select.h"

enum { STATE_EARLY = 0, STATE_MIDDLE, STATE_COUNT }; /* a quarter and half of the way up */

struct xt_states {
  size_t count, width;
  int64_t *questions; /* [count] the store's numbers, ascending */
  float *values;      /* [count, STATE_COUNT, width] */
};

#endif
