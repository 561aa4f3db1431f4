/* SPDX-License-Identifier: Apache-2.0 */
/* A site at a pair of layers as the interventions of a request. */
#ifndef CLI_INPUTS_WRITES_H
#define CLI_INPUTS_WRITES_H

#include "inputs/vector_input.h"

/* Where written values come from: the first of these that there is. All are borrowed. */
typedef struct WriteValues {
  const float *mean;         /* [layers][width] */
  const VectorInput *vector; /* which `vector_name`, for messages, says */
  const char *vector_name;
  const xt_taps *taps; /* of the prompt that is read */
} WriteValues;

/* Whether the site names attention heads. */
bool writes_heads(const xt_site *site);
/* An XT_STATUS_ARGUMENT error at `field` if it names one that the model does not have. */
xt_status writes_check_heads(const xt_site *site, const xt_model_info *info, const char *field,
                             xt_error *error);
/* The most interventions that a site makes. */
size_t writes_most(const xt_site *site, const xt_model_info *info);
/* Appends the site's interventions from source layer `from` into target layer `to` at
 * out[*count]. */
xt_status writes_list(const xt_site *site, const xt_model_info *info, const WriteValues *values,
                      int from, int to, xt_intervention *out, size_t *count, xt_error *error);

#endif
