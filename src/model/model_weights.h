/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_MODEL_WEIGHTS_H
#define MODEL_MODEL_WEIGHTS_H

#include "model/arch.h"
#include "model/model.h"

/* The tensor of a role, or of a stack of experts one's part; `layer` is ignored where the role is not
 * in a layer, `expert` where it is none's. */
xt_status model_find_tensor(const xt_model *m, ArchRole role, int layer, int expert, Tensor *out,
                            xt_error *error);
/* Its bytes in the memory of a backend that keeps its type: those of quantised blocks are laid out
 * anew, and some are twice as long then. */
uint64_t model_stored_bytes(const Tensor *t);
/* Every tensor that the architecture needs is there and has its shape. */
xt_status model_check_tensors(const xt_model *m, xt_error *error);
/* Loads all of them into the backend. */
xt_status model_load_weights(xt_model *m, xt_error *error);

#endif
