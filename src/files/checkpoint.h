/* SPDX-License-Identifier: Apache-2.0 */
/* The weight files of a model as one set of named tensors: those of a directory, in this order:
 * model.safetensors, model.safetensors.index.json (shards), pytorch_model.bin,
 * pytorch_model.bin.index.json (shards); or a GGUF file, with the other parts where it is the first
 * of several. */
#ifndef FILES_CHECKPOINT_H
#define FILES_CHECKPOINT_H

#include "files/packed.h"

typedef struct Checkpoint Checkpoint;

xt_status checkpoint_open(const char *path, Checkpoint **out, xt_error *error);
/* One .safetensors file alone. */
xt_status checkpoint_open_file(const char *path, Checkpoint **out, xt_error *error);
/* One .npy file alone: an array, as the tensor NPY_TENSOR (npy.h). */
xt_status checkpoint_open_npy(const char *path, Checkpoint **out, xt_error *error);
/* From here on checkpoint_find gives quantised matrices, too, by the name that they have as floats;
 * checkpoint_get gives what is stored. */
xt_status checkpoint_unpack(Checkpoint *checkpoint, const PackedFormat *packing, xt_error *error);
void checkpoint_close(Checkpoint *checkpoint);

/* An XT_STATUS_IO error when a file has become shorter since it was opened: what was read of its
 * end since then is not the weights. */
xt_status checkpoint_check(const Checkpoint *checkpoint, xt_error *error);

size_t checkpoint_count(const Checkpoint *checkpoint);
const Tensor *checkpoint_get(const Checkpoint *checkpoint, size_t index);
/* NULL when absent. */
const Tensor *checkpoint_find(const Checkpoint *checkpoint, const char *name);

/* "safetensors", "pytorch .bin" or "GGUF". */
const char *checkpoint_format(const Checkpoint *checkpoint);
int checkpoint_files(const Checkpoint *checkpoint);
const FileMap *checkpoint_first_file(const Checkpoint *checkpoint);
uint64_t checkpoint_file_bytes(const Checkpoint *checkpoint);
/* Value of a key in a safetensors file's __metadata__ (of the first file), or NULL. Borrowed. */
const char *checkpoint_metadata(const Checkpoint *checkpoint, const char *key);

#endif
