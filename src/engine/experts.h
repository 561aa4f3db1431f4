/* SPDX-License-Identifier: Apache-2.0 */
/* Mixtures of experts (ModelConfig.experts). */
#ifndef ENGINE_EXPERTS_H
#define ENGINE_EXPERTS_H

#include "engine/forward.h"

/* Room for what the router chooses of the rows that a layer's half works on, into f->routes. */
xt_status routes_create(Forward *f, xt_error *error);
void routes_free(struct Routes *routes);

/* branch [rows, C] := the mixture of `in` [rows, C]. Each expert's products run over the rows that
 * chose it, and their results are added in the order of the experts, so that a row's bits are its
 * own. The router's choice is made on the host: the backend is waited for once. */
void experts_run(Forward *f, const LayerWeights *w, Dev branch, Dev in, int rows);

#endif
