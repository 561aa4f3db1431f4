/* SPDX-License-Identifier: Apache-2.0 */
/* --vector FILE[:NAME]: steering vectors in place of a source prompt. */
#ifndef CLI_INPUTS_VECTOR_INPUT_H
#define CLI_INPUTS_VECTOR_INPUT_H

#include "shell/cli.h"

typedef struct VectorInput {
  xt_vector *vector;
  float *values;             /* [layers][width]; zeros where the file has none */
  char label[XT_LABEL_SIZE]; /* of sites that write it: the file's name and a digest of `values` */
} VectorInput;

/* clang-format off */
#define OPTION_VECTOR(Arguments, member) \
  {.name = "vector", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member), .value = "FILE[:NAME]", \
   .help = "write a steering vector in place of a source prompt's value: a tensor of a safetensors file, a .npy array or a GGUF control vector, of " \
           "[width] or [layers, width]; a source layer is then the layer whose vector is written"}
/* clang-format on */

/* Reads it for a described model. */
xt_status vector_input_read(const char *text, const xt_model_info *info, VectorInput *out,
                            xt_error *error);
void vector_input_deinit(VectorInput *vector);
/* The vector of a source layer, which the file must have; `text` and `option` are for messages. */
xt_status vector_input_at(const VectorInput *vector, const char *text, int layer, const float **out,
                          xt_error *error);

#endif
