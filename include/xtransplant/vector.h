/* SPDX-License-Identifier: Apache-2.0 */
/* Steering vectors in files: what is written in place of a source prompt's activation. */
#ifndef XTRANSPLANT_VECTOR_H
#define XTRANSPLANT_VECTOR_H

#include "xtransplant/api.h"
#include "xtransplant/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_vector xt_vector;

/* Reads the vectors of a model of these sizes from a file:
 *   .safetensors  the tensor `name`; NULL: the only one that the file has
 *   .npy          NumPy's format, versions 1 to 3, of '<f2', '<f4' or '<f8' in C order
 *   .gguf         a control vector, as llama.cpp and repeng write them: tensors direction.N of
 *                 [width], for what layer N adds to the residual stream's output
 * A tensor or array is [width], one vector for every layer, or [layers, width]. It is kept in
 * float32; a value that is not finite there is an XT_STATUS_INPUT error, like every other fault of
 * a file. The caller frees *out with xt_vector_free. */
XT_API xt_status xt_vector_open(const char *path, const char *name, int layers, int width,
                                xt_vector **out, xt_error *error);
XT_API void xt_vector_free(xt_vector *vector); /* accepts NULL */

/* [width], borrowed; NULL: the file has none for this layer, or there is no such layer. */
XT_API const float *xt_vector_get(const xt_vector *vector, int layer);
/* Whether it is one vector for every layer. */
XT_API bool xt_vector_is_single(const xt_vector *vector);

/* Writes vectors of every layer, values [layers][width], into a file whose format the end of `path`
 * says: .npy; .gguf, a control vector, whose controlvector.model_hint is `hint` and which has no
 * direction for layer 0, since llama.cpp takes none; otherwise safetensors, as a tensor "vector".
 * The file is replaced completely or not at all. */
XT_API xt_status xt_vector_save(const char *path, const float *values, int layers, int width,
                                const char *hint, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
