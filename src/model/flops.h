/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of the matrix products; a multiplication and an addition are two. All reported speeds
 * and amounts of work use these counts. They do not include what grows with the number of positions
 * (the sums of attention). */
#ifndef MODEL_FLOPS_H
#define MODEL_FLOPS_H

#include "files/model_config.h"

/* Of one token through one layer: q, k, v, the attention's output, and the products of the
 * feed-forward module. */
static inline double flops_layer(const ModelConfig *c) {
  const double width = c->width, query = (double)c->heads * c->head_dim,
               key = (double)c->kv_heads * c->head_dim;
  const double modules = c->experts ? c->experts_used : 1;
  return 2 * (width * (2 * query + 2 * key) + width * c->experts +
              modules * (c->no_gate ? 2 : 3) * width * c->feed_forward);
}

/* Of one token's logits. */
static inline double flops_unembed(const ModelConfig *c) { return 2.0 * c->width * c->vocab; }

#endif
