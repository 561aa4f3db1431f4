/* SPDX-License-Identifier: Apache-2.0 */
#include "xtransplant/align.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/least_squares.h"
#include "base/mem.h"

struct xt_alignment {
  size_t width;
  float *difference; /* [width] */
  float *map;        /* [width, width]; NULL: none */
};

/* states: [2][count, width], sources first. */
static xt_status learn(xt_alignment *a, const float *states, size_t count, bool map, double ridge,
                       xt_error *error) {
  const float *sources = states, *targets = states + count * a->width;
  double square = 0;
  for (size_t k = 0; k < a->width; k++) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
      const double target = (double)targets[i * a->width + k];
      sum += (double)sources[i * a->width + k] - target;
      square += target * target / (double)count;
    }
    a->difference[k] = (float)(sum / (double)count);
  }
  if (!map) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&a->map, a->width * a->width, error));
  return least_squares(targets, sources, count, a->width, a->width,
                       ridge * (square > 0 ? square : 1), a->map, error);
}

xt_status xt_alignment_create(const float *const *sources, const float *const *targets,
                              size_t count, size_t width, bool map, double ridge,
                              xt_alignment **out, xt_error *error) {
  xt_alignment *a = NULL;
  float *states = NULL;
  xt_status status;
  *out = NULL;
  if (count == 0 || width == 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "count", -1,
                   "is 0: there is nothing to learn from");
  if (map && !(ridge > 0))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "ridge", -1, "is %g; it must be above 0",
                   ridge);
  TRY_DONE(MEM_ALLOC(&a, 1, error));
  a->width = width;
  TRY_DONE(MEM_ALLOC(&a->difference, width, error));
  TRY_DONE(MEM_ALLOC(&states, 2 * count * width, error));
  for (size_t i = 0; i < count; i++) {
    memcpy(states + i * width, sources[i], width * sizeof *states);
    memcpy(states + (count + i) * width, targets[i], width * sizeof *states);
  }
  TRY_DONE(learn(a, states, count, map, ridge, error));
done:
  free(states);
  if (status)
    xt_alignment_free(a);
  else
    *out = a;
  return status;
}

void xt_alignment_free(xt_alignment *a) {
  if (!a) return;
  free(a->difference);
  free(a->map);
  free(a);
}

const float *xt_alignment_difference(const xt_alignment *a) { return a->difference; }

void xt_alignment_map(const xt_alignment *a, const float *x, float *out) {
  for (size_t i = 0; i < a->width; i++) {
    double sum = 0;
    for (size_t k = 0; k < a->width; k++) sum += (double)a->map[i * a->width + k] * (double)x[k];
    out[i] = (float)sum;
  }
}
