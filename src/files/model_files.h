/* SPDX-License-Identifier: Apache-2.0 */
/* The small files of a model directory. */
#ifndef FILES_MODEL_FILES_H
#define FILES_MODEL_FILES_H

#include "base/err.h"

/* The files beside the weights that decide what a prompt gives: the configuration, then the files
 * of a tokenizer, the most informative first. NULL-terminated, and so is the part that is the
 * tokenizer's. Hashes of models depend on the order. */
extern const char *const model_files_small[];
extern const char *const *const model_files_tokenizer;

/* An error when `from`/name is a link that leads out of the model's folder: otherwise an archive
 * from a stranger could have any of the user's files copied into a model that the user passes on.
 * Links of the Hugging Face hub's cache into its blobs are allowed. */
xt_status model_files_check(const char *from, const char *name, xt_error *error);

/* Copies `from`/name to `to`/name if it exists; an existing file is replaced. */
xt_status model_files_copy(const char *from, const char *to, const char *name, xt_error *error);

#endif
